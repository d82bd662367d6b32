//! The resolved configuration of one trial, with every default written out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::{self, Deserializer};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::options::{OptionValue, Options};

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

/// A data set by name: `{name: mnist, root: /data/mnist}`, its options beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetChoice {
    /// Registered name.
    pub name: String,
    /// Folder of the files; not part of the trial id.
    pub root: Option<PathBuf>,
    /// Checked options.
    pub options: Options,
}

/// A model by name: `{name: lenet}`, its options beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// Registered name.
    pub name: String,
    /// Checked options.
    pub options: Options,
}

/// A quantization method by name: `{method: uniform, bits: 2, per: channel}`.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodChoice {
    /// Registered name; `float` means full precision.
    pub method: String,
    /// Bit width, 1..=8; `None` for `float`.
    pub bits: Option<u8>,
    /// Checked options.
    pub options: Options,
}

impl MethodChoice {
    /// Full precision: the absence of a quantizer.
    #[must_use]
    pub fn float() -> MethodChoice {
        MethodChoice { method: "float".to_owned(), bits: None, options: Options::default() }
    }

    /// True for full precision.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.method == "float"
    }
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
    /// Layers kept in full precision, weights and input: `first`, `last` or a layer's name.
    pub keep_float: Vec<String>,
}

/// How a trial is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Portion of the target spread evenly over all classes, in [0, 1).
    pub label_smoothing: f64,
    /// Keys every random number of the trial.
    pub seed: u64,
    /// CPU threads of the trial. Part of the id: sums in another order are other numbers.
    pub threads: u32,
    /// Equal parts of the training; the schedule and the optimizer's state start over in each. 1: no restart.
    #[serde(default = "one")]
    pub restarts: u32,
    /// Only deterministic algorithms, also where they are slower (CUDA).
    pub deterministic: bool,
    /// Use this many training images only, the first ones of the fixed order; `None`: all.
    pub limit: Option<u64>,
}

/// Value of a key that older records do not have.
fn one() -> u32 {
    1
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

/// A map of scalars in which some keys have a meaning of their own and the rest are options.
type Scalars = BTreeMap<String, OptionValue>;

fn take_text<E: de::Error>(map: &mut Scalars, key: &'static str) -> Result<Option<String>, E> {
    match map.remove(key) {
        None => Ok(None),
        Some(OptionValue::Text(v)) => Ok(Some(v)),
        Some(other) => Err(E::custom(format!("`{key}` is `{other}`, expected text"))),
    }
}

fn serialize_choice<S: Serializer>(
    s: S,
    head: &[(&str, Option<OptionValue>)],
    rest: &Options,
) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(None)?;
    for (key, value) in head {
        if let Some(value) = value {
            map.serialize_entry(key, value)?;
        }
    }
    for (key, value) in rest.iter() {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

impl Serialize for DatasetChoice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let root = self.root.as_ref().map(|r| OptionValue::Text(r.to_string_lossy().into_owned()));
        serialize_choice(s, &[("name", Some(OptionValue::Text(self.name.clone()))), ("root", root)], &self.options)
    }
}

impl<'de> Deserialize<'de> for DatasetChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<DatasetChoice, D::Error> {
        let mut map = Scalars::deserialize(d)?;
        let name = take_text(&mut map, "name")?.ok_or_else(|| de::Error::missing_field("name"))?;
        let root = take_text(&mut map, "root")?.map(PathBuf::from);
        Ok(DatasetChoice { name, root, options: map.into_iter().collect() })
    }
}

impl Serialize for ModelChoice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_choice(s, &[("name", Some(OptionValue::Text(self.name.clone())))], &self.options)
    }
}

impl<'de> Deserialize<'de> for ModelChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ModelChoice, D::Error> {
        let mut map = Scalars::deserialize(d)?;
        let name = take_text(&mut map, "name")?.ok_or_else(|| de::Error::missing_field("name"))?;
        Ok(ModelChoice { name, options: map.into_iter().collect() })
    }
}

impl Serialize for MethodChoice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let bits = self.bits.map(|b| OptionValue::Int(i64::from(b)));
        serialize_choice(s, &[("method", Some(OptionValue::Text(self.method.clone()))), ("bits", bits)], &self.options)
    }
}

impl<'de> Deserialize<'de> for MethodChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<MethodChoice, D::Error> {
        let mut map = Scalars::deserialize(d)?;
        let method = take_text(&mut map, "method")?.ok_or_else(|| de::Error::missing_field("method"))?;
        let bits = match map.remove("bits") {
            None => None,
            Some(OptionValue::Int(b)) if (1..=8).contains(&b) => u8::try_from(b).ok(),
            Some(other) => return Err(de::Error::custom(format!("`bits` is `{other}`, expected 1 to 8"))),
        };
        Ok(MethodChoice { method, bits, options: map.into_iter().collect() })
    }
}
