//! Typed options shared by methods, models and data sets.
//!
//! Whatever can be chosen by name in a sweep file describes its options in one static table of [`OptionDoc`]s.
//! The parser, `--help`, `harness methods` and the JSON Schema all read that table, so an option that exists is
//! an option that is documented and checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// What a thing chosen by name says about itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct About {
    /// Name in sweep files, `balanced`.
    pub name: &'static str,
    /// One sentence: what it is.
    pub summary: &'static str,
    /// Where it comes from: authors, title, year, identifier. Empty when there is nothing to cite.
    pub source: &'static str,
    /// Its options, in the order help shows them.
    pub options: &'static [OptionDoc],
}

/// One option: name, type with range, default, one sentence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionDoc {
    /// Key in the sweep file, `threshold`.
    pub name: &'static str,
    /// Type and range.
    pub kind: OptionKind,
    /// Value when the key is absent.
    pub default: OptionDefault,
    /// One sentence.
    pub doc: &'static str,
}

/// Type and range of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptionKind {
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Int {
        /// Least value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A finite number, both ends included.
    Float {
        /// Least value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// A path: text that says where something is, not what it is, so it stays out of trial ids.
    Path,
}

/// Default of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptionDefault {
    /// The option is optional and absent.
    Absent,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A word or text.
    Text(&'static str),
}

/// A scalar given to an option.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A word or text.
    Text(String),
}

/// What is wrong with one given option.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// No option has this name.
    #[error("unknown option `{name}`{}", known(.expected))]
    Unknown {
        /// What was given.
        name: String,
        /// Names that exist.
        expected: Vec<&'static str>,
    },
    /// The value has the wrong type or is out of range.
    #[error("option `{name}` is {found}, expected {expected}")]
    Value {
        /// Option name.
        name: &'static str,
        /// What was given.
        found: String,
        /// Type and range wanted.
        expected: String,
    },
}

fn known(names: &[&'static str]) -> String {
    if names.is_empty() {
        return ": there are no options here".to_owned();
    }
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    format!(", expected {}", names.join(", "))
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            OptionKind::Bool => f.write_str("true or false"),
            OptionKind::Int { min: i64::MIN, max: i64::MAX } => f.write_str("a whole number"),
            OptionKind::Int { min, max: i64::MAX } => write!(f, "a whole number of at least {min}"),
            OptionKind::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            OptionKind::Float { min, max } if min == f64::MIN && max == f64::MAX => f.write_str("a number"),
            OptionKind::Float { min, max } if max == f64::MAX => write!(f, "a number of at least {min}"),
            OptionKind::Float { min, max } => write!(f, "a number from {min} to {max}"),
            OptionKind::Choice(words) => {
                let words: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => write!(f, "{} or {last}", rest.join(", ")),
                    _ => f.write_str(&words.join("")),
                }
            }
            OptionKind::Text => f.write_str("text"),
            OptionKind::Path => f.write_str("a path"),
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Bool(v) => write!(f, "{v}"),
            OptionValue::Int(v) => write!(f, "{v}"),
            OptionValue::Float(v) => write!(f, "{v}"),
            OptionValue::Text(v) => f.write_str(v),
        }
    }
}

impl OptionDefault {
    /// The value an absent key stands for; `None` for an option that may be absent.
    #[must_use]
    pub fn value(self) -> Option<OptionValue> {
        match self {
            OptionDefault::Absent => None,
            OptionDefault::Bool(v) => Some(OptionValue::Bool(v)),
            OptionDefault::Int(v) => Some(OptionValue::Int(v)),
            OptionDefault::Float(v) => Some(OptionValue::Float(v)),
            OptionDefault::Text(v) => Some(OptionValue::Text(v.to_owned())),
        }
    }
}

impl OptionKind {
    /// The value in this option's own type (a whole number given to a float option becomes a float), or `None`
    /// when the type or the range is wrong.
    pub(crate) fn accept(self, value: &OptionValue) -> Option<OptionValue> {
        match (self, value) {
            (OptionKind::Bool, OptionValue::Bool(_)) => Some(value.clone()),
            (OptionKind::Int { min, max }, &OptionValue::Int(v)) => (min..=max).contains(&v).then(|| value.clone()),
            (OptionKind::Float { min, max }, &OptionValue::Float(v)) => (min..=max).contains(&v).then(|| value.clone()),
            (OptionKind::Float { .. }, &OptionValue::Int(v)) => self.accept(&OptionValue::Float(v as f64)),
            (OptionKind::Choice(words), OptionValue::Text(v)) => words.contains(&v.as_str()).then(|| value.clone()),
            (OptionKind::Text | OptionKind::Path, OptionValue::Text(_)) => Some(value.clone()),
            _ => None,
        }
    }
}

/// Checked options: every documented option that has a value, given or default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options(BTreeMap<String, OptionValue>);

impl Options {
    /// Checks `given` against `docs` and fills in the defaults.
    ///
    /// # Errors
    /// The first (in key order) unknown name, wrong type or value out of range.
    pub fn resolve(docs: &[OptionDoc], given: &BTreeMap<String, OptionValue>) -> Result<Options, OptionError> {
        let mut resolved = BTreeMap::new();
        for (name, value) in given {
            let doc = docs.iter().find(|doc| doc.name == name).ok_or_else(|| OptionError::Unknown {
                name: name.clone(),
                expected: docs.iter().map(|doc| doc.name).collect(),
            })?;
            let value = doc.kind.accept(value).ok_or_else(|| OptionError::Value {
                name: doc.name,
                found: format!("`{value}`"),
                expected: doc.kind.to_string(),
            })?;
            resolved.insert(name.clone(), value);
        }
        for doc in docs {
            if let Some(value) = doc.default.value() {
                resolved.entry(doc.name.to_owned()).or_insert(value);
            }
        }
        Ok(Options(resolved))
    }

    /// The defaults of `docs`.
    #[must_use]
    pub fn defaults(docs: &[OptionDoc]) -> Options {
        let values = docs.iter().filter_map(|doc| Some((doc.name.to_owned(), doc.default.value()?)));
        Options(values.collect())
    }

    /// These values, and the default of every option of `docs` that has none: for options that were read back from a
    /// record older than an option.
    #[must_use]
    pub fn with_defaults(&self, docs: &[OptionDoc]) -> Options {
        let mut values = Options::defaults(docs);
        values.0.extend(self.0.clone());
        values
    }

    /// All values by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OptionValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// True when nothing has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that differ from their default and are no paths: what goes into a trial id, so that an option added
    /// later with a default does not change the ids of old trials.
    #[must_use]
    pub fn non_default(&self, docs: &[OptionDoc]) -> Options {
        let differs = |name: &str, value: &OptionValue| match docs.iter().find(|doc| doc.name == name) {
            Some(doc) => doc.kind != OptionKind::Path && doc.default.value().as_ref() != Some(value),
            None => true,
        };
        Options(self.0.iter().filter(|(n, v)| differs(n, v)).map(|(n, v)| (n.clone(), v.clone())).collect())
    }

    /// A truth value; false when absent.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(OptionValue::Bool(true)))
    }

    /// A whole number, if it has a value.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(&OptionValue::Int(v)) => Some(v),
            _ => None,
        }
    }

    /// A number, if it has a value.
    #[must_use]
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(&OptionValue::Float(v)) => Some(v),
            Some(&OptionValue::Int(v)) => Some(v as f64),
            _ => None,
        }
    }

    /// A word or text; empty when absent.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(OptionValue::Text(v)) => v,
            _ => "",
        }
    }
}

impl FromIterator<(String, OptionValue)> for Options {
    /// Takes values as they are, unchecked: for reading records back, where the tables may have moved on.
    fn from_iter<I: IntoIterator<Item = (String, OptionValue)>>(values: I) -> Options {
        Options(values.into_iter().collect())
    }
}

impl Serialize for OptionValue {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            OptionValue::Bool(v) => s.serialize_bool(*v),
            OptionValue::Int(v) => s.serialize_i64(*v),
            OptionValue::Float(v) => s.serialize_f64(*v),
            OptionValue::Text(v) => s.serialize_str(v),
        }
    }
}

impl<'de> Deserialize<'de> for OptionValue {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<OptionValue, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = OptionValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a number or text")
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<OptionValue, E> {
                Ok(OptionValue::Bool(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<OptionValue, E> {
                Ok(OptionValue::Int(v))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<OptionValue, E> {
                i64::try_from(v).map(OptionValue::Int).map_err(|_| E::custom(format!("{v} is too large")))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<OptionValue, E> {
                Ok(OptionValue::Float(v))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<OptionValue, E> {
                Ok(OptionValue::Text(v.to_owned()))
            }
        }
        d.deserialize_any(Scalar)
    }
}
