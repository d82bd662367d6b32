//! The keys of `train`, with their types, ranges and defaults. The parser, the trial id (which leaves defaults out)
//! and the JSON Schema all read these tables.
//!
//! A new key is a row here and a field in [`TrainConfig`](crate::config::TrainConfig), and nothing else; the tests compare
//! the two.

use crate::config::key::{KeyDefault, KeyDoc, KeyKind};
use crate::config::role::Role;

/// Data set of a sweep that names none.
pub(crate) const DATASET: &str = "digits";
/// Model of a sweep that names none.
pub(crate) const MODEL: &str = "lenet";
/// Method of a site for which none is named.
pub(crate) const METHOD: &str = "float";
/// Update rule of a sweep that names none.
pub(crate) const OPTIMIZER: &str = "adam";
/// Schedule of a sweep that names none.
pub(crate) const SCHEDULE: &str = "constant";
/// Layers kept in full precision where nothing is said.
pub(crate) const KEEP_FLOAT: [&str; 2] = ["first", "last"];
/// The places that a method can occupy, as keys of `quant`.
pub(crate) const ROLES: [&str; 3] = [Role::Weight.key(), Role::Activation.key(), Role::Gradient.key()];

/// A thing of ours that is chosen by name, with its own keys.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [KeyDoc],
}

/// The keys of `train` beside `optimizer` and `schedule`.
pub(crate) const TRAIN: &[KeyDoc] = &[
    KeyDoc {
        name: "epochs",
        kind: KeyKind::Int { min: 0, max: u32::MAX as i64 },
        default: KeyDefault::Int(10),
        doc: "Passes over the training set. 0: the network of `init` is quantized and evaluated without training.",
    },
    KeyDoc {
        name: "batch",
        kind: KeyKind::Int { min: 1, max: u32::MAX as i64 },
        default: KeyDefault::Int(128),
        doc: "Images a step; the last, smaller batch of an epoch is used too.",
    },
    KeyDoc {
        name: "clip_norm",
        kind: KeyKind::PositiveFloat,
        default: KeyDefault::Absent,
        doc: "Largest global L2 norm of all gradients together; null: no clipping.",
    },
    KeyDoc {
        name: "label_smoothing",
        kind: KeyKind::FractionBelowOne,
        default: KeyDefault::Float(0.0),
        doc: "Fraction of the target spread evenly over all classes.",
    },
    KeyDoc {
        name: "seed",
        kind: KeyKind::Unsigned { min: 0 },
        default: KeyDefault::Int(0),
        doc: "Keys every random number of the trial.",
    },
    KeyDoc {
        name: "threads",
        kind: KeyKind::Int { min: 1, max: 1024 },
        default: KeyDefault::Int(1),
        doc: "CPU threads of the trial; sums in another order are other numbers.",
    },
    KeyDoc {
        name: "restarts",
        kind: KeyKind::Int { min: 1, max: u32::MAX as i64 },
        default: KeyDefault::Int(1),
        doc: "Equal parts of the training; schedule and optimizer state start over in each. 1: no restart.",
    },
    KeyDoc {
        name: "deterministic",
        kind: KeyKind::Bool,
        default: KeyDefault::Bool(true),
        doc: "Only deterministic algorithms, also where they are slower (CUDA).",
    },
    KeyDoc {
        name: "limit",
        kind: KeyKind::Unsigned { min: 1 },
        default: KeyDefault::Absent,
        doc: "Use this many training samples (images, or words of a text) only, the first ones; null: all.",
    },
    KeyDoc {
        name: "limit_test",
        kind: KeyKind::Unsigned { min: 1 },
        default: KeyDefault::Absent,
        doc: "Evaluate on this many samples of each other split only, the first ones; null: on all.",
    },
    KeyDoc {
        name: "accumulate",
        kind: KeyKind::Int { min: 1, max: u32::MAX as i64 },
        default: KeyDefault::Int(1),
        doc: "Passes that the batch of a step is cut into, for batches that do not fit into memory; their gradients add up to the batch's.",
    },
    KeyDoc {
        name: "ema",
        kind: KeyKind::FractionBelowOne,
        default: KeyDefault::Absent,
        doc: "Decay of a moving average of all weights, which is what is evaluated and kept; null: the weights themselves.",
    },
    KeyDoc {
        name: "amp",
        kind: KeyKind::Choice(&["bf16"]),
        default: KeyDefault::Absent,
        doc: "bf16: convolutions and matrix products of the training in bfloat16, everything else and evaluation in f32 (made for GPUs; CPUs compute the same, most of them more slowly); null: everything in f32.",
    },
    KeyDoc {
        name: "bptt",
        kind: KeyKind::Int { min: 1, max: u32::MAX as i64 },
        default: KeyDefault::Int(20),
        doc: "Words that a gradient reaches back in a text; data sets of images do not use it.",
    },
    KeyDoc {
        name: CHECKPOINT_EVERY,
        kind: KeyKind::Unsigned { min: 1 },
        default: KeyDefault::Absent,
        doc: "Steps between two checkpoints inside an epoch; null: at the end of each epoch only. Not part of the trial id.",
    },
];

/// The one key of `train` that changes no number of a trial.
pub(crate) const CHECKPOINT_EVERY: &str = "checkpoint_every";

/// The keys of `train.distill` beside `teacher`.
pub(crate) const DISTILL: &[KeyDoc] = &[
    KeyDoc {
        name: "alpha",
        kind: KeyKind::Float { min: 0.0, max: 1.0 },
        default: KeyDefault::Float(1.0),
        doc: "Fraction of the teacher in the loss; the rest is cross entropy with the labels.",
    },
    KeyDoc {
        name: "temperature",
        kind: KeyKind::PositiveFloat,
        default: KeyDefault::Float(1.0),
        doc: "Temperature: the logits of student and teacher are divided by it before the softmax.",
    },
];

/// The keys of `train.calibrate`.
pub(crate) const CALIBRATE: &[KeyDoc] = &[
    KeyDoc {
        name: "images",
        kind: KeyKind::Unsigned { min: 1 },
        default: KeyDefault::Int(1024),
        doc: "The first so many training images are used, without labels.",
    },
    KeyDoc {
        name: "batch_norm",
        kind: KeyKind::Bool,
        default: KeyDefault::Bool(true),
        doc: "Estimate the statistics of batch normalization again on these images, with the quantized network.",
    },
    KeyDoc {
        name: "activations",
        kind: KeyKind::Choice(&["max", "percentile", "mse"]),
        default: KeyDefault::Text("mse"),
        doc: "Range of activations: up to the largest input, to a percentile of the positive ones, or of least squared error.",
    },
    KeyDoc {
        name: "percentile",
        kind: KeyKind::Float { min: 50.0, max: 100.0 },
        default: KeyDefault::Float(99.9),
        doc: "Percent of the positive inputs below the end of the range under `activations: percentile`.",
    },
];

const WARMUP: KeyDoc = KeyDoc {
    name: "warmup",
    kind: KeyKind::Float { min: 0.0, max: f64::MAX },
    default: KeyDefault::Float(0.0),
    doc: "Epochs over which the rate first rises linearly from zero.",
};
const GAMMA: KeyDoc =
    KeyDoc { name: "gamma", kind: KeyKind::PositiveFloat, default: KeyDefault::Float(0.1), doc: "Factor of a drop." };
const END: KeyDoc = KeyDoc {
    name: "end",
    kind: KeyKind::Float { min: 0.0, max: f64::MAX },
    default: KeyDefault::Float(0.0),
    doc: "Last rate, as a factor of the first.",
};
const BETAS: KeyDoc = KeyDoc {
    name: "betas",
    kind: KeyKind::FractionPair,
    default: KeyDefault::Pair(0.9, 0.999),
    doc: "Decay of the first and second moments.",
};
const EPS: KeyDoc = KeyDoc {
    name: "eps",
    kind: KeyKind::PositiveFloat,
    default: KeyDefault::Float(1e-8),
    doc: "Added to the root of the second moment.",
};

const fn lr(default: f64) -> KeyDoc {
    KeyDoc { name: "lr", kind: KeyKind::PositiveFloat, default: KeyDefault::Float(default), doc: "Learning rate." }
}

const fn weight_decay(default: f64) -> KeyDoc {
    KeyDoc {
        name: "weight_decay",
        kind: KeyKind::Float { min: 0.0, max: f64::MAX },
        default: KeyDefault::Float(default),
        doc: "Decay of weights; biases and normalization are left alone.",
    }
}

/// Update rules.
pub(crate) const OPTIMIZERS: &[Variant] = &[
    Variant {
        name: "sgd",
        doc: "Stochastic gradient descent.",
        fields: &[
            lr(0.1),
            KeyDoc {
                name: "momentum",
                kind: KeyKind::FractionBelowOne,
                default: KeyDefault::Float(0.9),
                doc: "Momentum.",
            },
            KeyDoc {
                name: "nesterov",
                kind: KeyKind::Bool,
                default: KeyDefault::Bool(false),
                doc: "Nesterov's form of the momentum.",
            },
            weight_decay(0.0),
        ],
    },
    Variant {
        name: "adam",
        doc: "Adam (Kingma and Ba 2015), the decay inside the gradient.",
        fields: &[lr(1e-3), BETAS, EPS, weight_decay(0.0)],
    },
    Variant {
        name: "adamw",
        doc: "AdamW (Loshchilov and Hutter 2019), decoupled decay.",
        fields: &[lr(1e-3), BETAS, EPS, weight_decay(1e-2)],
    },
];

/// Learning rate over time.
pub(crate) const SCHEDULES: &[Variant] = &[
    Variant { name: "constant", doc: "No change.", fields: &[WARMUP] },
    Variant {
        name: "step",
        doc: "Times gamma every so many epochs.",
        fields: &[
            KeyDoc {
                name: "every",
                kind: KeyKind::Int { min: 1, max: u32::MAX as i64 },
                default: KeyDefault::Required,
                doc: "Epochs between two drops.",
            },
            GAMMA,
            WARMUP,
        ],
    },
    Variant {
        name: "multi-step",
        doc: "Times gamma at each milestone.",
        fields: &[
            KeyDoc {
                name: "milestones",
                kind: KeyKind::AscendingInts,
                default: KeyDefault::Required,
                doc: "Epochs at which the rate drops.",
            },
            GAMMA,
            WARMUP,
        ],
    },
    Variant { name: "linear", doc: "A straight line over all steps.", fields: &[END, WARMUP] },
    Variant { name: "cosine", doc: "Half a cosine over all steps.", fields: &[END, WARMUP] },
];

/// Keys that the first records had already: a record without one of them is damaged.
pub(crate) const IN_EVERY_RECORD: [&str; 6] =
    ["epochs", "batch", "label_smoothing", "seed", "threads", "deterministic"];

/// Gives every key that is absent from `map` its default, where it has one.
pub(crate) fn add_defaults<'a>(
    rows: impl IntoIterator<Item = &'a KeyDoc>,
    map: &mut serde_json::Map<String, serde_json::Value>,
) {
    for row in rows {
        if let (false, Some(default)) = (map.contains_key(row.name), row.default.json()) {
            map.insert(row.name.to_owned(), default);
        }
    }
}

/// A variant of a table by name.
pub(crate) fn variant(table: &'static [Variant], name: &str) -> Option<&'static Variant> {
    table.iter().find(|variant| variant.name == name)
}

#[cfg(test)]
mod tests;
