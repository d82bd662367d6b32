//! The keys of a configuration that no plug owns: their types, ranges and defaults, in one place. The parser, the
//! trial id (which leaves defaults out) and the JSON Schema all read these tables.

use std::fmt;

use serde_json::json;

use crate::yaml::node::{Node, Value};

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
pub(crate) const ROLES: [&str; 3] = ["weights", "activations", "gradients"];

/// A key with its type and default.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Fallback,
    pub(crate) doc: &'static str,
}

/// A thing of ours that is chosen by name, with its own keys.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
}

/// Type and range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Bool,
    /// A whole number, both ends included.
    Whole {
        min: u64,
        max: u64,
    },
    /// A finite number greater than zero.
    Positive,
    /// A finite number, zero or more.
    NotNegative,
    /// A number in [0, 1).
    Portion,
    /// A number in [0, 1], both ends included.
    Share,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Two numbers in [0, 1).
    Portions,
    /// Whole numbers from 1, each greater than the one before.
    Epochs,
}

/// What a key that is not given stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fallback {
    Required,
    Null,
    Bool(bool),
    Whole(u64),
    Number(f64),
    Pair(f64, f64),
}

impl Fallback {
    /// As JSON; `None` where the key must be given.
    pub(crate) fn json(self) -> Option<serde_json::Value> {
        match self {
            Fallback::Required => None,
            Fallback::Null => Some(serde_json::Value::Null),
            Fallback::Bool(v) => Some(json!(v)),
            Fallback::Whole(v) => Some(json!(v)),
            Fallback::Number(v) => Some(json!(v)),
            Fallback::Pair(a, b) => Some(json!([a, b])),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Bool => f.write_str("true or false"),
            Kind::Whole { min, max } if max >= u64::from(u32::MAX) => write!(f, "a whole number of at least {min}"),
            Kind::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Kind::Positive => f.write_str("a number greater than 0"),
            Kind::NotNegative => f.write_str("a number of at least 0"),
            Kind::Portion => f.write_str("a number from 0 to below 1"),
            Kind::Share => f.write_str("a number from 0 to 1"),
            Kind::Word(words) => {
                f.write_str(&words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "))
            }
            Kind::Portions => f.write_str("two numbers from 0 to below 1, such as [0.9, 0.999]"),
            Kind::Epochs => f.write_str("an ascending list of epochs, such as [30, 60]"),
        }
    }
}

fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Int(v) => Some(v as f64),
        Value::Float(v) if v.is_finite() => Some(v),
        _ => None,
    }
}

fn whole(node: &Node, min: u64, max: u64) -> Option<u64> {
    match node.value {
        Value::Int(v) => u64::try_from(v).ok().filter(|v| (min..=max).contains(v)),
        _ => None,
    }
}

fn fraction(node: &Node) -> Option<f64> {
    number(node).filter(|v| (0.0..1.0).contains(v))
}

impl Kind {
    /// The value in canonical form (numbers of a float key are floats), or `None` when type or range are wrong.
    pub(crate) fn accept(self, node: &Node) -> Option<serde_json::Value> {
        match self {
            Kind::Bool => match node.value {
                Value::Bool(v) => Some(json!(v)),
                _ => None,
            },
            Kind::Whole { min, max } => whole(node, min, max).map(|v| json!(v)),
            Kind::Positive => number(node).filter(|v| *v > 0.0).map(|v| json!(v)),
            Kind::NotNegative => number(node).filter(|v| *v >= 0.0).map(|v| json!(v)),
            Kind::Portion => fraction(node).map(|v| json!(v)),
            Kind::Share => number(node).filter(|v| (0.0..=1.0).contains(v)).map(|v| json!(v)),
            Kind::Word(words) => node.text().filter(|word| words.contains(word)).map(|word| json!(word)),
            Kind::Portions => match &node.value {
                Value::List(nodes) if nodes.len() == 2 => {
                    nodes.iter().map(fraction).collect::<Option<Vec<f64>>>().map(|v| json!(v))
                }
                _ => None,
            },
            Kind::Epochs => match &node.value {
                Value::List(nodes) if !nodes.is_empty() => {
                    let epochs: Vec<u64> = nodes.iter().map(|n| whole(n, 1, u32::MAX.into())).collect::<Option<_>>()?;
                    epochs.is_sorted_by(|a, b| a < b).then(|| json!(epochs))
                }
                _ => None,
            },
        }
    }
}

/// The keys of `train` beside `optimizer` and `schedule`.
pub(crate) const TRAIN: &[Field] = &[
    Field {
        name: "epochs",
        kind: Kind::Whole { min: 1, max: u32::MAX as u64 },
        default: Fallback::Whole(10),
        doc: "Passes over the training set.",
    },
    Field {
        name: "batch",
        kind: Kind::Whole { min: 1, max: u32::MAX as u64 },
        default: Fallback::Whole(128),
        doc: "Images a step; the last, smaller batch of an epoch is used too.",
    },
    Field {
        name: "clip_norm",
        kind: Kind::Positive,
        default: Fallback::Null,
        doc: "Largest global L2 norm of all gradients together; null: no clipping.",
    },
    Field {
        name: "label_smoothing",
        kind: Kind::Portion,
        default: Fallback::Number(0.0),
        doc: "Fraction of the target spread evenly over all classes.",
    },
    Field {
        name: "seed",
        kind: Kind::Whole { min: 0, max: u64::MAX },
        default: Fallback::Whole(0),
        doc: "Keys every random number of the trial.",
    },
    Field {
        name: "threads",
        kind: Kind::Whole { min: 1, max: 1024 },
        default: Fallback::Whole(1),
        doc: "CPU threads of the trial; sums in another order are other numbers.",
    },
    Field {
        name: "restarts",
        kind: Kind::Whole { min: 1, max: u32::MAX as u64 },
        default: Fallback::Whole(1),
        doc: "Equal parts of the training; schedule and optimizer state start over in each. 1: no restart.",
    },
    Field {
        name: "deterministic",
        kind: Kind::Bool,
        default: Fallback::Bool(true),
        doc: "Only deterministic algorithms, also where they are slower (CUDA).",
    },
    Field {
        name: "limit",
        kind: Kind::Whole { min: 1, max: u64::MAX },
        default: Fallback::Null,
        doc: "Use this many training samples (images, or words of a text) only, the first ones; null: all.",
    },
    Field {
        name: "limit_test",
        kind: Kind::Whole { min: 1, max: u64::MAX },
        default: Fallback::Null,
        doc: "Evaluate on this many samples of each other split only, the first ones; null: on all.",
    },
    Field {
        name: "accumulate",
        kind: Kind::Whole { min: 1, max: u32::MAX as u64 },
        default: Fallback::Whole(1),
        doc: "Passes that the batch of a step is cut into, for batches that do not fit into memory; their gradients add up to the batch's.",
    },
    Field {
        name: "ema",
        kind: Kind::Portion,
        default: Fallback::Null,
        doc: "Decay of a moving average of all weights, which is what is evaluated and kept; null: the weights themselves.",
    },
    Field {
        name: "amp",
        kind: Kind::Word(&["bf16"]),
        default: Fallback::Null,
        doc: "bf16: convolutions and matrix products of the training in bfloat16, everything else and evaluation in f32 (made for GPUs; CPUs compute the same, most of them more slowly); null: everything in f32.",
    },
    Field {
        name: "bptt",
        kind: Kind::Whole { min: 1, max: u32::MAX as u64 },
        default: Fallback::Whole(20),
        doc: "Words that a gradient reaches back in a text; data sets of images do not use it.",
    },
    Field {
        name: CHECKPOINT_EVERY,
        kind: Kind::Whole { min: 1, max: u64::MAX },
        default: Fallback::Null,
        doc: "Steps between two checkpoints inside an epoch; null: at the end of each epoch only. Not part of the trial id.",
    },
];

/// The one key of `train` that changes no number of a trial.
pub(crate) const CHECKPOINT_EVERY: &str = "checkpoint_every";

/// The keys of `train.distill` beside `teacher`.
pub(crate) const DISTILL: &[Field] = &[
    Field {
        name: "alpha",
        kind: Kind::Share,
        default: Fallback::Number(1.0),
        doc: "Fraction of the teacher in the loss; the rest is cross entropy with the labels.",
    },
    Field {
        name: "temperature",
        kind: Kind::Positive,
        default: Fallback::Number(1.0),
        doc: "Temperature: the logits of student and teacher are divided by it before the softmax.",
    },
];

const WARMUP: Field = Field {
    name: "warmup",
    kind: Kind::NotNegative,
    default: Fallback::Number(0.0),
    doc: "Epochs over which the rate first rises linearly from zero.",
};
const GAMMA: Field =
    Field { name: "gamma", kind: Kind::Positive, default: Fallback::Number(0.1), doc: "Factor of a drop." };
const END: Field = Field {
    name: "end",
    kind: Kind::NotNegative,
    default: Fallback::Number(0.0),
    doc: "Last rate, as a factor of the first.",
};
const BETAS: Field = Field {
    name: "betas",
    kind: Kind::Portions,
    default: Fallback::Pair(0.9, 0.999),
    doc: "Decay of the first and second moments.",
};
const EPS: Field = Field {
    name: "eps",
    kind: Kind::Positive,
    default: Fallback::Number(1e-8),
    doc: "Added to the root of the second moment.",
};

const fn lr(default: f64) -> Field {
    Field { name: "lr", kind: Kind::Positive, default: Fallback::Number(default), doc: "Learning rate." }
}

const fn weight_decay(default: f64) -> Field {
    Field {
        name: "weight_decay",
        kind: Kind::NotNegative,
        default: Fallback::Number(default),
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
            Field { name: "momentum", kind: Kind::Portion, default: Fallback::Number(0.9), doc: "Momentum." },
            Field {
                name: "nesterov",
                kind: Kind::Bool,
                default: Fallback::Bool(false),
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
            Field {
                name: "every",
                kind: Kind::Whole { min: 1, max: u32::MAX as u64 },
                default: Fallback::Required,
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
            Field {
                name: "milestones",
                kind: Kind::Epochs,
                default: Fallback::Required,
                doc: "Epochs at which the rate drops.",
            },
            GAMMA,
            WARMUP,
        ],
    },
    Variant { name: "linear", doc: "A straight line over all steps.", fields: &[END, WARMUP] },
    Variant { name: "cosine", doc: "Half a cosine over all steps.", fields: &[END, WARMUP] },
];

/// A variant of a table by name.
pub(crate) fn variant(table: &'static [Variant], name: &str) -> Option<&'static Variant> {
    table.iter().find(|variant| variant.name == name)
}
