//! The resolved configuration of one trial, with every default written out.

use std::path::PathBuf;

use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

pub use crate::config::choices::{DatasetChoice, MethodChoice, ModelChoice};
use crate::config::keys;
use crate::config::layers::LayerRule;
use crate::config::role::Role;

/// Everything that decides the numbers of a trial, and the places its data come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialConfig {
    /// What is learned from.
    pub dataset: DatasetChoice,
    /// What learns.
    pub model: ModelChoice,
    /// How it is trained.
    pub train: TrainConfig,
    /// What is quantized, and by which method.
    pub quant: QuantConfig,
}

/// A resolved configuration as YAML, which [`read_config`](crate::sweep::spec::read_config) reads back to the same.
///
/// # Errors
/// Text that YAML cannot hold.
pub fn config_yaml(config: &TrialConfig) -> Result<String, serde_yaml::SerializeError> {
    serde_yaml::to_string(config)
}

/// Which quantizer sits where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantConfig {
    /// Weights of convolutions and linear layers.
    pub weights: MethodChoice,
    /// Inputs of convolutions and linear layers, in the place of the non-linearity.
    pub activations: MethodChoice,
    /// Gradients with respect to the outputs of convolutions and linear layers.
    pub gradients: MethodChoice,
    /// Layers kept in full precision, weights and input: `first`, `last`, `shortcuts` (all that stand on shortcuts of a
    /// residual network) or a layer's name.
    pub keep_float: Vec<String>,
    /// What the network reads.
    #[serde(default, skip_serializing_if = "InputKind::is_default")]
    pub input: InputKind,
    /// What differs in some layers, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerRule>,
}

impl QuantConfig {
    /// One setting for the whole network.
    #[must_use]
    pub fn of(
        weights: MethodChoice,
        activations: MethodChoice,
        gradients: MethodChoice,
        keep_float: Vec<String>,
    ) -> QuantConfig {
        QuantConfig { weights, activations, gradients, keep_float, input: InputKind::default(), layers: Vec::new() }
    }

    /// The setting of a role.
    #[must_use]
    pub fn choice(&self, role: Role) -> &MethodChoice {
        match role {
            Role::Weight => &self.weights,
            Role::Activation => &self.activations,
            Role::Gradient => &self.gradients,
        }
    }

    /// True where no layer is quantized, whatever it is called.
    #[must_use]
    pub fn is_float(&self) -> bool {
        Role::ALL.into_iter().all(|role| self.choice(role).is_float())
            && self.layers.iter().flat_map(LayerRule::changes).all(|change| change.method.as_deref() == Some("float"))
    }

    /// What differs in some layers, in words: `first w8 a8; layer3.* w3`. Empty where nothing does.
    #[must_use]
    pub fn layers_label(&self) -> String {
        self.layers.iter().map(LayerRule::label).collect::<Vec<_>>().join("; ")
    }
}

/// What the first layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Normalized images in full precision.
    #[default]
    Float,
    /// The 8-bit values of an image. Normalization is an exact affine function of them for each channel, so the numbers of
    /// a training are the same; what changes is that the first layer counts as one of 8-bit inputs and can be computed
    /// in integers.
    Bytes,
}

impl InputKind {
    fn is_default(&self) -> bool {
        *self == InputKind::default()
    }
}

/// How a trial is trained. Defaults stand in the table of keys alone; a record that is older than a key reads as if it
/// had the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct TrainConfig {
    /// Passes over the training set.
    pub epochs: u32,
    /// Images a step; the last, smaller batch of an epoch is used too.
    pub batch: u32,
    /// Update rule.
    pub optimizer: OptimizerConfig,
    /// Learning rate over time.
    pub schedule: ScheduleConfig,
    /// Largest global L2 norm of all gradients together; `None`: no clipping.
    pub clip_norm: Option<f64>,
    /// Fraction of the target spread evenly over all classes, in [0, 1).
    pub label_smoothing: f64,
    /// Keys every random number of the trial.
    pub seed: u64,
    /// CPU threads of the trial. Part of the id: sums in another order are other numbers.
    pub threads: u32,
    /// Equal parts of the training; the schedule and the optimizer's state start over in each. 1: no restart.
    pub restarts: u32,
    /// Only deterministic algorithms, also where they are slower (CUDA).
    pub deterministic: bool,
    /// Use this many training samples (images, or words of a text) only, the first ones; `None`: all.
    pub limit: Option<u64>,
    /// Evaluate on this many samples of each other split only, the first ones; `None`: on all.
    pub limit_test: Option<u64>,
    /// Passes that the batch of a step is cut into; their gradients add up to the batch's.
    pub accumulate: u32,
    /// Decay of a moving average of all weights, in [0, 1), which is what is evaluated and kept; `None`: no average.
    pub ema: Option<f64>,
    /// Narrower numbers in convolutions and matrix products; `None`: f32 everywhere.
    pub amp: Option<Precision>,
    /// Words that a gradient reaches back in a text; data sets of images do not use it.
    pub bptt: u32,
    /// Steps between two checkpoints inside an epoch; `None`: at the end of each epoch only. Not part of the id.
    pub checkpoint_every: Option<u64>,
    /// Where the first weights come from; `None`: drawn at random.
    pub init: Option<Init>,
    /// Who is learned from beside the labels; `None`: nobody.
    pub distill: Option<Distill>,
    /// What is set from training images before the first step; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrate: Option<Calibrate>,
}

impl Serialize for TrainConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived function; `remote = "Self"` makes it one of the type's own.
        TrainConfig::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for TrainConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TrainConfig, D::Error> {
        let mut given = serde_json::Map::deserialize(deserializer)?;
        let newer = keys::TRAIN.iter().filter(|row| !keys::IN_EVERY_RECORD.contains(&row.name));
        keys::add_defaults(newer, &mut given);
        TrainConfig::deserialize(serde_json::Value::Object(given)).map_err(de::Error::custom)
    }
}

impl Default for TrainConfig {
    /// What a sweep file that says nothing about the training means.
    #[expect(clippy::expect_used, reason = "a test compares every row of the table with a field")]
    fn default() -> TrainConfig {
        let mut all = serde_json::Map::new();
        keys::add_defaults(keys::TRAIN, &mut all);
        for (key, table, name) in
            [("optimizer", keys::OPTIMIZERS, keys::OPTIMIZER), ("schedule", keys::SCHEDULES, keys::SCHEDULE)]
        {
            let mut variant = serde_json::Map::from_iter([("name".to_owned(), name.into())]);
            keys::add_defaults(keys::variant(table, name).map_or(&[][..], |found| found.fields), &mut variant);
            all.insert(key.to_owned(), variant.into());
        }
        TrainConfig::deserialize(serde_json::Value::Object(all)).expect("the defaults of the table")
    }
}

impl TrainConfig {
    /// Ids of the trials that must have ended well before this one can begin.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let init = match &self.init {
            Some(Init::Trial(id)) => Some(id.as_str()),
            _ => None,
        };
        init.into_iter().chain(self.distill.as_ref().map(|distill| distill.teacher.as_str()))
    }
}

/// What is set from images of the training set, without labels, before the first step: in place of a training where there
/// are no epochs, as initialization where there are.
///
/// The statistics of batch normalization are estimated first, with the weights quantized; then the ranges of activations
/// are set, layer by layer in the order of the data; then the statistics are estimated again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrate {
    /// The first so many training images.
    pub images: u64,
    /// Whether the statistics of batch normalization are estimated again on these images.
    pub batch_norm: bool,
    /// How the ranges of activations are chosen.
    pub activations: RangeChoice,
    /// Percent of the positive inputs below the end of a range under [`RangeChoice::Percentile`].
    pub percentile: f64,
}

/// How the range of an activation quantizer is chosen from its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeChoice {
    /// The largest input.
    Max,
    /// The input below which [`Calibrate::percentile`] percent of the positive ones lie.
    Percentile,
    /// The end with the least squared error.
    Mse,
}

/// A kind of numbers narrower than f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bfloat16: the range of f32 with 8 significant bits.
    Bf16,
}

/// Where the first weights of a trial come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "InitKeys", into = "InitKeys")]
pub enum Init {
    /// The network that the trial of this id ended with.
    Trial(String),
    /// A file of named tensors (`.safetensors`).
    File {
        /// Where it is; not part of the trial id.
        path: PathBuf,
        /// First 16 hex digits of the BLAKE3 hash of its content.
        blake3: String,
    },
}

/// [`Init`] as it is written: `{trial: ID}` or `{file: PATH, blake3: HASH}`.
#[derive(Serialize, Deserialize)]
struct InitKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
}

impl TryFrom<InitKeys> for Init {
    type Error = &'static str;

    fn try_from(keys: InitKeys) -> Result<Init, &'static str> {
        match keys {
            InitKeys { trial: Some(id), file: None, blake3: None } => Ok(Init::Trial(id)),
            InitKeys { trial: None, file: Some(path), blake3: Some(blake3) } => Ok(Init::File { path, blake3 }),
            _ => Err("expected either `trial`, or `file` and `blake3`"),
        }
    }
}

impl From<Init> for InitKeys {
    fn from(init: Init) -> InitKeys {
        match init {
            Init::Trial(id) => InitKeys { trial: Some(id), file: None, blake3: None },
            Init::File { path, blake3 } => InitKeys { trial: None, file: Some(path), blake3: Some(blake3) },
        }
    }
}

/// Knowledge distillation (Hinton, Vinyals and Dean 2015): the loss is
/// `alpha T^2 KL(softmax(teacher / T) || softmax(student / T)) + (1 - alpha) cross entropy`, means over the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distill {
    /// Id of the trial whose final network is the teacher.
    pub teacher: String,
    /// Fraction of the teacher in the loss, in [0, 1].
    pub alpha: f64,
    /// `T`, greater than 0.
    pub temperature: f64,
}

/// Update rule and its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// Momentum, in [0, 1).
        momentum: f64,
        /// Nesterov's form of the momentum.
        nesterov: bool,
        /// L2 penalty, on weights only (not on biases and normalization).
        weight_decay: f64,
    },
    /// Adam (Kingma and Ba 2015), the penalty inside the gradient.
    Adam {
        /// Learning rate.
        lr: f64,
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the root of the second moment.
        eps: f64,
        /// L2 penalty, on weights only.
        weight_decay: f64,
    },
    /// AdamW (Loshchilov and Hutter 2019), decoupled decay.
    AdamW {
        /// Learning rate.
        lr: f64,
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the root of the second moment.
        eps: f64,
        /// Decoupled decay, on weights only.
        weight_decay: f64,
    },
}

impl OptimizerConfig {
    /// Base learning rate.
    #[must_use]
    pub fn lr(&self) -> f64 {
        match *self {
            OptimizerConfig::Sgd { lr, .. } | OptimizerConfig::Adam { lr, .. } | OptimizerConfig::AdamW { lr, .. } => {
                lr
            }
        }
    }
}

/// Learning rate over time, as a factor of the optimizer's `lr`. `warmup` is the number of epochs (fractions
/// allowed) over which the factor first rises linearly from zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// No change.
    Constant {
        /// Epochs of warm-up.
        warmup: f64,
    },
    /// Times `gamma` every `every` epochs.
    Step {
        /// Epochs between two drops.
        every: u32,
        /// Factor of a drop.
        gamma: f64,
        /// Epochs of warm-up.
        warmup: f64,
    },
    /// Times `gamma` at each milestone.
    MultiStep {
        /// Epochs at which the rate drops, ascending.
        milestones: Vec<u32>,
        /// Factor of a drop.
        gamma: f64,
        /// Epochs of warm-up.
        warmup: f64,
    },
    /// Straight line over all steps to `end` times the base rate.
    Linear {
        /// Last factor.
        end: f64,
        /// Epochs of warm-up.
        warmup: f64,
    },
    /// Half a cosine over all steps to `end` times the base rate.
    Cosine {
        /// Last factor.
        end: f64,
        /// Epochs of warm-up.
        warmup: f64,
    },
}
