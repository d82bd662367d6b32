//! What can be chosen by name, handed in by whoever knows it: this crate knows no method, model or data set.

use crate::config::options::About;

/// Everything a sweep file can name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Quantization methods.
    pub methods: Vec<Entry>,
    /// Models.
    pub models: Vec<Entry>,
    /// Data sets.
    pub datasets: Vec<Entry>,
    /// Tables that `report.tables` can ask for; empty: names are not checked.
    pub tables: Vec<&'static str>,
    /// Figures that `report.figures` can ask for; empty: names are not checked.
    pub figures: Vec<&'static str>,
    /// Papers whose numbers `report.paper` can set beside ours; empty: names are not checked.
    pub papers: Vec<String>,
}

/// One thing that can be chosen by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Name, source and options.
    pub about: &'static About,
    /// Methods only: least and largest bit width; `None` where there are no bits to choose, as for `float`.
    /// With one possible width, `bits` may be left out of a sweep file.
    pub bits: Option<(u8, u8)>,
    /// Methods only: what it can quantize.
    pub roles: Roles,
}

/// What a method can quantize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// Weights.
    pub weights: bool,
    /// Activations.
    pub activations: bool,
    /// Gradients with respect to layer outputs.
    pub gradients: bool,
}

impl Roles {
    /// Weights, activations and gradients.
    pub const ALL: Roles = Roles { weights: true, activations: true, gradients: true };

    /// Whether the role with this key in `quant` is among them.
    pub(crate) fn has(self, role: &str) -> bool {
        match role {
            "weights" => self.weights,
            "activations" => self.activations,
            "gradients" => self.gradients,
            _ => false,
        }
    }
}

impl Entry {
    /// A model or a data set.
    #[must_use]
    pub fn new(about: &'static About) -> Entry {
        Entry { about, bits: None, roles: Roles::default() }
    }

    /// A method.
    #[must_use]
    pub fn method(about: &'static About, bits: Option<(u8, u8)>, roles: Roles) -> Entry {
        Entry { about, bits, roles }
    }
}

impl Catalog {
    pub(crate) fn method(&self, name: &str) -> Option<&Entry> {
        self.methods.iter().find(|entry| entry.about.name == name)
    }

    pub(crate) fn model(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.about.name == name)
    }

    pub(crate) fn dataset(&self, name: &str) -> Option<&Entry> {
        self.datasets.iter().find(|entry| entry.about.name == name)
    }
}
