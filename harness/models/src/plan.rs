//! What stands where: shapes, sites and cost of a model under a quantization configuration. Pure; nothing is
//! allocated, so that a sweep can be checked and estimated before it runs.

mod feeds;
mod settings;
mod shape;
mod summary;
mod walk;

use harness_methods::core::{Method, Nonlinearity, Options, Role, Site};
use harness_records::config::{ModelChoice, QuantConfig};
use harness_records::record::ModelRecord;

use crate::ModelError;
use crate::layer::Layer;
use crate::zoo;
pub(crate) use shape::weight_shape;
pub use summary::LayerSummary;

/// What a network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Images of `[channels, height, width]`.
    Image([i64; 3]),
    /// Tokens; as many different ones as there are classes.
    Tokens,
}

impl From<[i64; 3]> for Input {
    fn from(image: [i64; 3]) -> Input {
        Input::Image(image)
    }
}

/// A model with everything decided.
#[derive(Debug)]
pub struct Plan {
    /// What it reads.
    pub input: Input,
    /// Its layers in order.
    pub steps: Vec<PlanStep>,
    /// Size and cost, of one image or one token.
    pub size: ModelRecord,
    /// The multiplications of each layer that has weights, in the order of the data.
    pub costs: Vec<LayerCost>,
    /// Prefixes of tensors that a file of weights may have and the model does without, see [`crate::weights`].
    pub ignored: &'static [&'static str],
}

/// One layer of a plan.
#[derive(Debug)]
pub struct PlanStep {
    /// The layer. The lists of a [`Layer::Residual`] or [`Layer::Concat`] have moved into `ways`.
    pub layer: Layer,
    /// Body and shortcut, or the branches.
    pub ways: Vec<Vec<PlanStep>>,
    /// Shape of one sample before it: `[c, h, w]`, `[c]`, or `[]` for a token.
    pub input: Vec<i64>,
    /// Shape of one sample after it.
    pub output: Vec<i64>,
    /// Number in the order of the data; keys random draws.
    pub index: u64,
    /// Quantizers that stand here.
    pub quant: Vec<QuantizerPlan>,
    /// What stands at an activation in full precision.
    pub nonlinearity: Nonlinearity,
}

impl PlanStep {
    /// The quantizer of this role at the site of this name.
    #[must_use]
    pub fn planned(&self, role: Role, site: &str) -> Option<&QuantizerPlan> {
        self.quant.iter().find(|planned| planned.site.role == role && planned.site.layer == site)
    }
}

/// The multiplications of one layer, for one image or one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerCost {
    /// Layer name.
    pub layer: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Weights, biases not counted.
    pub weights: u64,
    /// Width of its weights; 32 in full precision.
    pub weight_bits: u64,
    /// Width of its input; 32 in full precision.
    pub activation_bits: u64,
}

impl LayerCost {
    /// Multiplications of single bits.
    #[must_use]
    pub fn bit_ops(&self) -> u64 {
        self.macs * self.weight_bits * self.activation_bits
    }
}

/// A method at a site.
#[derive(Clone)]
pub struct QuantizerPlan {
    /// The method.
    pub method: &'static dyn Method,
    /// The place in the network.
    pub site: Site,
    /// With these options.
    pub options: Options,
    /// The entries of `quant.layers` that it comes from, by their places; none where it has the network's setting.
    pub rules: Vec<usize>,
}

impl std::fmt::Debug for QuantizerPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} {}", self.method.about().about.name, self.site.layer, self.site.role)
    }
}

impl Plan {
    /// Plans a model for images of `[channels, height, width]`, or for [`Input::Tokens`]. `classes` is the number of
    /// different answers: in a language model the size of its vocabulary.
    ///
    /// # Errors
    /// An unknown model, method or layer name; an activation that names a layer which it does not feed; a language model for images or the other way round; images too small
    /// for the network; a method that cannot stand at one of its sites; an option without a value or a default.
    pub fn new(
        model: &ModelChoice,
        quant: &QuantConfig,
        input: impl Into<Input>,
        classes: i64,
    ) -> Result<Plan, ModelError> {
        let found = zoo::find(&model.name).ok_or_else(|| ModelError::UnknownModel(model.name.clone()))?;
        let input = input.into();
        let image = match (input, found.reads_tokens()) {
            (Input::Image(image), false) => image,
            (Input::Tokens, true) => [0; 3],
            (Input::Image(_), true) => return Err(ModelError::Reads { model: found.about().name, reads: "tokens" }),
            (Input::Tokens, false) => return Err(ModelError::Reads { model: found.about().name, reads: "images" }),
        };
        let options = model.options.with_defaults(found.about().options);
        let mut plan = Plan::of_layers(found.layers(image, classes, &options)?, quant, input)?;
        plan.ignored = found.ignored();
        Ok(plan)
    }

    /// Plans a network given layer by layer.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of_layers(layers: Vec<Layer>, quant: &QuantConfig, input: impl Into<Input>) -> Result<Plan, ModelError> {
        feeds::check(&layers)?;
        walk::plan(layers, quant, input.into())
    }

    /// Every layer, also those inside others, in the order of the data.
    #[must_use]
    pub fn every_step(&self) -> Vec<&PlanStep> {
        let mut steps = Vec::new();
        collect(&self.steps, &mut steps);
        steps
    }

    /// Every quantizer, in the order of the data.
    pub fn sites(&self) -> impl Iterator<Item = &QuantizerPlan> {
        self.every_step().into_iter().flat_map(|step| step.quant.iter())
    }
}

fn collect<'a>(steps: &'a [PlanStep], all: &mut Vec<&'a PlanStep>) {
    for step in steps {
        all.push(step);
        step.ways.iter().for_each(|way| collect(way, all));
    }
}
