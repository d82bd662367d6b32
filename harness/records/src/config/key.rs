//! The description of one key: name, type with range, default, one sentence. The keys of `train` and the options of
//! methods, models and data sets are described alike; parser, trial id, help and JSON Schema all read the description.

use std::fmt;

use serde_json::json;

use crate::config::value::OptionValue;
use crate::yaml::node::{Node, Value};

/// One key of a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyDoc {
    /// Key in the sweep file, `threshold`.
    pub name: &'static str,
    /// Type and range.
    pub kind: KeyKind,
    /// Value when the key is absent.
    pub default: KeyDefault,
    /// One sentence.
    pub doc: &'static str,
}

/// Type and range of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyKind {
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Int {
        /// Least value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A whole number of at least `min`, up to the largest u64. Keys of `train` only.
    Unsigned {
        /// Least value.
        min: u64,
    },
    /// A finite number, both ends included.
    Float {
        /// Least value.
        min: f64,
        /// Largest value; `f64::MAX`: no bound.
        max: f64,
    },
    /// A finite number greater than 0.
    PositiveFloat,
    /// A number in [0, 1).
    FractionBelowOne,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// A path: text that says where something is, not what it is, so it stays out of trial ids.
    Path,
    /// Two numbers in [0, 1). Keys of `train` only.
    FractionPair,
    /// Whole numbers from 1, each greater than the one before. Keys of `train` only.
    AscendingInts,
}

/// Default of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyDefault {
    /// The key must be given. Keys of `train` only.
    Required,
    /// The key is optional, and null where it is absent.
    Absent,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A word or text.
    Text(&'static str),
    /// Two numbers. Keys of `train` only.
    Pair(f64, f64),
}

impl KeyDefault {
    /// As JSON; `None` where the key must be given.
    pub(crate) fn json(self) -> Option<serde_json::Value> {
        match self {
            KeyDefault::Required => None,
            KeyDefault::Absent => Some(serde_json::Value::Null),
            KeyDefault::Bool(v) => Some(json!(v)),
            KeyDefault::Int(v) => Some(json!(v)),
            KeyDefault::Float(v) => Some(json!(v)),
            KeyDefault::Text(v) => Some(json!(v)),
            KeyDefault::Pair(a, b) => Some(json!([a, b])),
        }
    }

    /// The value an absent option stands for; `None` for an option that may be absent.
    #[must_use]
    pub fn value(self) -> Option<OptionValue> {
        match self {
            KeyDefault::Required | KeyDefault::Absent | KeyDefault::Pair(..) => None,
            KeyDefault::Bool(v) => Some(OptionValue::Bool(v)),
            KeyDefault::Int(v) => Some(OptionValue::Int(v)),
            KeyDefault::Float(v) => Some(OptionValue::Float(v)),
            KeyDefault::Text(v) => Some(OptionValue::Text(v.to_owned())),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            KeyKind::Bool => f.write_str("true or false"),
            KeyKind::Int { min: i64::MIN, max: i64::MAX } => f.write_str("a whole number"),
            KeyKind::Int { min, max } if max >= i64::from(u32::MAX) => write!(f, "a whole number of at least {min}"),
            KeyKind::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            KeyKind::Unsigned { min } => write!(f, "a whole number of at least {min}"),
            KeyKind::Float { min, max } if min == f64::MIN && max == f64::MAX => f.write_str("a number"),
            KeyKind::Float { min, max } if max == f64::MAX => write!(f, "a number of at least {min}"),
            KeyKind::Float { min, max } => write!(f, "a number from {min} to {max}"),
            KeyKind::PositiveFloat => f.write_str("a number greater than 0"),
            KeyKind::FractionBelowOne => f.write_str("a number from 0 to below 1"),
            KeyKind::Choice(words) => {
                let words: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => write!(f, "{} or {last}", rest.join(", ")),
                    _ => f.write_str(&words.join("")),
                }
            }
            KeyKind::Text => f.write_str("text"),
            KeyKind::Path => f.write_str("a path"),
            KeyKind::FractionPair => f.write_str("two numbers from 0 to below 1, such as [0.9, 0.999]"),
            KeyKind::AscendingInts => f.write_str("an ascending list of epochs, such as [30, 60]"),
        }
    }
}

impl KeyKind {
    /// The value in this kind's own type (a whole number given to a key of numbers becomes a float), or `None` when the
    /// type or the range is wrong. No list is a value of an option.
    pub(crate) fn accept(self, value: &OptionValue) -> Option<OptionValue> {
        match (self, value) {
            (KeyKind::Bool, OptionValue::Bool(_)) => Some(value.clone()),
            (KeyKind::Int { min, max }, &OptionValue::Int(v)) => (min..=max).contains(&v).then(|| value.clone()),
            (KeyKind::Unsigned { min }, &OptionValue::Int(v)) => {
                u64::try_from(v).is_ok_and(|v| v >= min).then(|| value.clone())
            }
            (KeyKind::Float { min, max }, &OptionValue::Float(v)) => (min..=max).contains(&v).then(|| value.clone()),
            (KeyKind::PositiveFloat, &OptionValue::Float(v)) => (v > 0.0 && v.is_finite()).then(|| value.clone()),
            (KeyKind::FractionBelowOne, &OptionValue::Float(v)) => (0.0..1.0).contains(&v).then(|| value.clone()),
            (KeyKind::Float { .. } | KeyKind::PositiveFloat | KeyKind::FractionBelowOne, &OptionValue::Int(v)) => {
                self.accept(&OptionValue::Float(v as f64))
            }
            (KeyKind::Choice(words), OptionValue::Text(v)) => words.contains(&v.as_str()).then(|| value.clone()),
            (KeyKind::Text | KeyKind::Path, OptionValue::Text(_)) => Some(value.clone()),
            _ => None,
        }
    }

    /// As [`KeyKind::accept`], for a value of a sweep file; as JSON, lists included.
    pub(crate) fn accept_node(self, node: &Node) -> Option<serde_json::Value> {
        let item = |kind: KeyKind| move |node: &Node| kind.accept_node(node);
        let items = |nodes: &[Node], kind| nodes.iter().map(item(kind)).collect::<Option<Vec<_>>>();
        match (self, &node.value) {
            // Beyond i64, which is all that an option can be.
            (KeyKind::Unsigned { min }, &Value::Int(v)) => {
                u64::try_from(v).ok().filter(|v| *v >= min).map(|v| json!(v))
            }
            (KeyKind::FractionPair, Value::List(nodes)) if nodes.len() == 2 => {
                items(nodes, KeyKind::FractionBelowOne).map(|v| json!(v))
            }
            (KeyKind::AscendingInts, Value::List(nodes)) if !nodes.is_empty() => {
                let epochs = items(nodes, KeyKind::Int { min: 1, max: u32::MAX as i64 })?;
                epochs.is_sorted_by(|a, b| a.as_u64() < b.as_u64()).then(|| json!(epochs))
            }
            // A number of any size is a number.
            (KeyKind::Float { .. } | KeyKind::PositiveFloat | KeyKind::FractionBelowOne, &Value::Int(v)) => {
                self.accept(&OptionValue::Float(v as f64)).map(|v| json!(v))
            }
            _ => node_value(node).and_then(|value| self.accept(&value)).map(|v| json!(v)),
        }
    }

    /// Its JSON Schema, without description and default.
    fn schema(self) -> serde_json::Value {
        let fraction = json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1});
        match self {
            KeyKind::Bool => json!({"type": "boolean"}),
            KeyKind::Int { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
            KeyKind::Unsigned { min } => json!({"type": "integer", "minimum": min, "maximum": u64::MAX}),
            KeyKind::Float { min, max } if max == f64::MAX => json!({"type": "number", "minimum": min}),
            KeyKind::Float { min, max } => json!({"type": "number", "minimum": min, "maximum": max}),
            KeyKind::PositiveFloat => json!({"type": "number", "exclusiveMinimum": 0}),
            KeyKind::FractionBelowOne => fraction,
            KeyKind::Choice(words) => json!({"enum": words}),
            KeyKind::Text | KeyKind::Path => json!({"type": "string"}),
            KeyKind::FractionPair => json!({"type": "array", "minItems": 2, "maxItems": 2, "items": fraction}),
            KeyKind::AscendingInts => {
                json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "integer", "minimum": 1}})
            }
        }
    }
}

impl KeyDoc {
    /// True where null means that the key is absent.
    pub(crate) fn is_optional(&self) -> bool {
        self.default == KeyDefault::Absent
    }

    /// Its JSON Schema.
    pub(crate) fn schema(&self) -> serde_json::Value {
        let mut schema = self.kind.schema();
        if self.is_optional() {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        schema["description"] = self.doc.into();
        if let Some(default) = self.default.json() {
            schema["default"] = default;
        }
        schema
    }
}

/// A scalar of a sweep file as the value of an option; `None` for null, lists, maps and whole numbers beyond i64.
pub(crate) fn node_value(node: &Node) -> Option<OptionValue> {
    match &node.value {
        Value::Bool(v) => Some(OptionValue::Bool(*v)),
        Value::Int(v) => i64::try_from(*v).ok().map(OptionValue::Int),
        Value::Float(v) => Some(OptionValue::Float(*v)),
        Value::Text(text) => Some(OptionValue::Text(text.clone())),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}
