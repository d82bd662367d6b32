//! What is written down about a finished trial. A record, once written, is never changed.
//!
//! Layout on disk (`runs/<sweep>/<trial-id>/record.json`): one JSON object, the fields below. `format` is raised
//! whenever a field is added or changes its meaning; readers accept every format up to their own.

use serde::{Deserialize, Serialize};

use crate::config::role::Role;
use crate::config::trial_config::TrialConfig;
pub use crate::record::correct_samples::CorrectSamples;
use crate::record::device::RecordedDevice;
pub use crate::record::losses::Losses;

/// Format this version writes.
///
/// 1: everything not named below. 2: which test samples were right ([`RunRecord::correct_samples`]), what the values of a
/// quantized tensor were ([`LayerRecord::values`]), the quantized sites after every epoch ([`EpochRecord::sites`]); all
/// of them may be absent, so records of format 1 read as they are. Also `validation` of an epoch, and `limit_test`, `accumulate`, `ema`,
/// `amp`, `bptt`, `checkpoint_every`, `init` and `distill` of a training. 3: parts a batch was cut into because it did
/// not fit ([`RunRecord::split`]), three more classes of failures, and states of checkpoints that carry a hash of
/// themselves ([`crate::store::checkpoint`]); the losses of steps ([`RunRecord::losses`]).
pub const FORMAT: u32 = 3;

/// One finished trial: what was asked, what came out, and what it ran on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// See [`FORMAT`].
    pub format: u32,
    /// Trial id, 16 hex digits.
    pub id: String,
    /// Name of the sweep.
    pub sweep: String,
    /// How it ended.
    pub status: Status,
    /// Why it did not end well; `None` exactly when `status` is `ok`.
    pub error: Option<TrialError>,
    /// Resolved configuration.
    pub config: TrialConfig,
    /// Seed of the trial, as in the configuration.
    pub seed: u64,
    /// Final metrics on the test set; `None` when there was no evaluation.
    pub metrics: Option<Metrics>,
    /// One entry a finished epoch.
    pub epochs: Vec<EpochRecord>,
    /// One entry a quantized site, measured on the final network.
    pub layers: Vec<LayerRecord>,
    /// Size of the network.
    pub model: ModelRecord,
    /// When and how long.
    pub time: TimeRecord,
    /// What it ran on.
    pub environment: Environment,
    /// Which attempt at this trial wrote the record, from 1.
    pub attempt: u32,
    /// The training loss at steps along the way; `None` where it was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Losses>,
    /// Set when the memory did not hold what was asked: what was done instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Which samples of the test set the final network gets right; `None` where nothing was evaluated.
    #[serde(rename = "answers", default, skip_serializing_if = "Option::is_none")]
    pub correct_samples: Option<CorrectSamples>,
}

/// A batch that did not fit and was computed in parts, whose gradients were added up. The gradient is that of the whole
/// batch but for rounding; batch normalization sees parts, so the numbers are those of another `train.accumulate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Parts of a batch, in the place of `train.accumulate`.
    pub accumulate: u32,
    /// Optimizer steps that had been done in fewer parts.
    pub since_step: u64,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All epochs done.
    Ok,
    /// The loss became NaN or infinite.
    Diverged,
    /// It could not go on.
    Failed,
}

/// Why a trial did not end well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialError {
    /// Class, which decides whether it is tried again.
    pub class: FailureClass,
    /// What happened, in one sentence.
    pub message: String,
}

/// Classes of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Out of memory, on the device or on the host.
    Oom,
    /// The loss became NaN or infinite.
    Nan,
    /// No space left where records are written.
    DiskFull,
    /// The folder of the runs cannot be written.
    ReadOnly,
    /// Files of the data set are missing or unreadable.
    Data,
    /// The process died by itself: a fault or an abort inside a library.
    Crash,
    /// The process was killed from outside, by a person or by a system that had no memory left.
    Killed,
    /// Stopped from outside, in good order.
    Preempted,
    /// Ran longer than allowed.
    Timeout,
    /// The configuration or the method cannot work: trying again will not help.
    Error,
}

/// When a trial is tried again that failed in some class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// At once, in the same sweep, a few times; and by every later start.
    AtOnce,
    /// By the next start of the sweep.
    NextStart,
    /// Only when it is asked for.
    WhenAsked,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [FailureClass; 10] = [
        FailureClass::Oom,
        FailureClass::Nan,
        FailureClass::DiskFull,
        FailureClass::ReadOnly,
        FailureClass::Data,
        FailureClass::Crash,
        FailureClass::Killed,
        FailureClass::Preempted,
        FailureClass::Timeout,
        FailureClass::Error,
    ];

    /// When such a trial is tried again.
    #[must_use]
    pub fn retry(self) -> Retry {
        match self {
            FailureClass::Crash | FailureClass::Killed => Retry::AtOnce,
            FailureClass::DiskFull | FailureClass::ReadOnly | FailureClass::Data | FailureClass::Preempted => {
                Retry::NextStart
            }
            FailureClass::Oom | FailureClass::Nan | FailureClass::Timeout | FailureClass::Error => Retry::WhenAsked,
        }
    }

    /// True when the cause lies outside the trial, so that a later start of the sweep tries it again unasked.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.retry() != Retry::WhenAsked
    }

    /// True when the next trial would end the same way, so that none is begun.
    #[must_use]
    pub fn stops_the_sweep(self) -> bool {
        matches!(self, FailureClass::DiskFull | FailureClass::ReadOnly)
    }

    /// The name in records and summaries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FailureClass::Oom => "oom",
            FailureClass::Nan => "nan",
            FailureClass::DiskFull => "disk_full",
            FailureClass::ReadOnly => "read_only",
            FailureClass::Data => "data",
            FailureClass::Crash => "crash",
            FailureClass::Killed => "killed",
            FailureClass::Preempted => "preempted",
            FailureClass::Timeout => "timeout",
            FailureClass::Error => "error",
        }
    }
}

/// Metrics on the test set. Fractions, not percentages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean cross entropy, nats.
    #[serde(with = "crate::record::number")]
    pub loss: f64,
    /// Fraction of samples whose prediction is correct, in [0, 1].
    #[serde(with = "crate::record::number::option", default)]
    pub top1: Option<f64>,
    /// Fraction of samples with the right class among the five largest logits; `None` below six classes.
    #[serde(with = "crate::record::number::option", default)]
    pub top5: Option<f64>,
    /// exp(loss) a token, for language models.
    #[serde(with = "crate::record::number::option", default)]
    pub perplexity: Option<f64>,
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u32,
    /// Learning rate of the last step.
    #[serde(with = "crate::record::number")]
    pub lr: f64,
    /// Mean training loss over the epoch, in training mode.
    #[serde(with = "crate::record::number")]
    pub train_loss: f64,
    /// Fraction of training samples right, in training mode.
    #[serde(with = "crate::record::number::option", default)]
    pub train_top1: Option<f64>,
    /// Evaluation on the validation split after the epoch; `None` where the data set has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Metrics>,
    /// Evaluation on the test split after the epoch.
    pub test: Metrics,
    /// Wall-clock seconds of training, without evaluation.
    #[serde(with = "crate::record::number")]
    pub train_seconds: f64,
    /// Wall-clock seconds of evaluation.
    #[serde(with = "crate::record::number")]
    pub test_seconds: f64,
    /// Training samples a second.
    #[serde(with = "crate::record::number")]
    pub samples_per_second: f64,
    /// One entry a quantized site, measured after the epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteRecord>,
}

/// One quantized site at some point of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteRecord {
    /// Layer name.
    pub layer: String,
    /// Weight or activation.
    pub role: Role,
    /// As in [`LayerRecord`].
    #[serde(with = "crate::record::number")]
    pub relative_mse: f64,
    /// As in [`LayerRecord`].
    #[serde(with = "crate::record::number")]
    pub effective_bits: f64,
    /// As in [`LayerRecord`].
    #[serde(rename = "portion", with = "crate::record::number")]
    pub fraction: f64,
    /// As in [`LayerRecord`]; empty where codes are so wide that the counts would be most of the record.
    pub code_counts: Vec<u64>,
}

/// One quantized site of the final network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Layer name, `conv2`.
    pub layer: String,
    /// Weight or activation.
    pub role: Role,
    /// Method name.
    pub method: String,
    /// Bit width.
    pub bits: u8,
    /// Shape of the tensor that was measured.
    pub shape: Vec<i64>,
    /// Squared error over squared norm of the tensor; 0 for a zero tensor.
    #[serde(with = "crate::record::number")]
    pub relative_mse: f64,
    /// Entropy of the codes in bits, at most `bits`: the effective bit width.
    #[serde(with = "crate::record::number")]
    pub effective_bits: f64,
    /// How often each code occurs, `2^bits` counts.
    pub code_counts: Vec<u64>,
    /// Fraction of the elements that are quantized, 0..=1.
    #[serde(rename = "portion", with = "crate::record::number")]
    pub fraction: f64,
    /// The values themselves; `None` where they were not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<ValuesRecord>,
}

/// Values of a tensor before and after quantization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValuesRecord {
    /// Cosine of the angle between the tensor and its quantized form; 0 where one of them is zero.
    #[serde(with = "crate::record::number")]
    pub cosine: f64,
    /// Least value of both.
    #[serde(with = "crate::record::number")]
    pub low: f64,
    /// Largest value of both.
    #[serde(with = "crate::record::number")]
    pub high: f64,
    /// How many values of the tensor lie in each of equally wide bins from `low` to `high`.
    pub before: Vec<u64>,
    /// The same of the quantized tensor.
    pub after: Vec<u64>,
    /// The level of every code, in the order of codes; empty where channels or samples have levels of their own.
    pub levels: Vec<f32>,
}

/// Size of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-accumulates of one forward pass of one sample.
    pub macs: u64,
    /// Bits of all weights at their bit widths, full precision as 32.
    pub weight_bits: u64,
    /// Sum over layers of multiply-accumulates times weight bits times activation bits.
    pub bit_ops: u64,
}

/// When and how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeRecord {
    /// Start of the first attempt, seconds since 1970 UTC.
    pub started: u64,
    /// End, seconds since 1970 UTC.
    pub finished: u64,
    /// Wall-clock seconds of work, over all attempts that contributed.
    #[serde(with = "crate::record::number")]
    pub seconds: f64,
    /// Times it went on from a checkpoint.
    pub resumed: u32,
}

/// What a trial ran on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Git commit of the working directory the command ran in, 40 hex digits; `None` outside a repository.
    pub commit: Option<String>,
    /// True when tracked files differed from that commit.
    pub dirty: Option<bool>,
    /// Version of harness.
    pub harness: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// The device that computed.
    pub device: RecordedDevice,
    /// Marketing name of the CPU or GPU that computed.
    pub device_name: String,
    /// CPU model.
    pub cpu: String,
    /// Instruction sets that libtorch uses on this CPU, `AVX2`.
    pub cpu_capability: String,
    /// Threads of the trial.
    pub threads: u32,
    /// Host name.
    pub host: String,
    /// Operating system and architecture, `linux-x86_64`.
    pub platform: String,
}
