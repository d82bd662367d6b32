//! All models, one file a family.

mod lenet;
mod mlp;
mod vgg;

use harness_records::options::{About, Options};

use crate::layer::Layer;

/// A model, found by name. One `static` per model.
pub trait Model: Sync {
    /// Name, source and options.
    fn about(&self) -> &'static About;

    /// Its layers for images of `input` = `[channels, height, width]` and this number of classes.
    fn layers(&self, input: [i64; 3], classes: i64, options: &Options) -> Vec<Layer>;
}

/// All models, in the order `harness models` shows them.
pub static MODELS: &[&dyn Model] = &[&mlp::Mlp, &lenet::LeNet, &vgg::Vgg9];

/// The model of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Model> {
    MODELS.iter().copied().find(|model| model.about().name == name)
}
