//! Typed options shared by methods, models and data sets.
//!
//! Whatever can be chosen by name in a sweep file describes its options in one static table of [`KeyDoc`]s.
//! The parser, `--help`, `harness methods` and the JSON Schema all read that table, so an option that exists is
//! an option that is documented and checked.

use std::collections::BTreeMap;

use crate::config::key::{KeyDefault, KeyDoc, KeyKind};
pub use crate::config::value::OptionValue;

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
    pub options: &'static [KeyDoc],
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
    /// An option that must be given is not.
    #[error("option `{name}` is missing, expected {expected}")]
    Missing {
        /// Option name.
        name: String,
        /// Type and range wanted.
        expected: String,
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

fn missing(name: &str, expected: impl ToString) -> OptionError {
    OptionError::Missing { name: name.to_owned(), expected: expected.to_string() }
}

/// Checked options: every documented option that has a value, given or default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options(BTreeMap<String, OptionValue>);

impl Options {
    /// Checks `given` against `docs` and fills in the defaults.
    ///
    /// # Errors
    /// The first (in key order) unknown name, wrong type or value out of range; else the first missing option.
    pub fn resolve(docs: &[KeyDoc], given: &BTreeMap<String, OptionValue>) -> Result<Options, OptionError> {
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
            if doc.default == KeyDefault::Required && !resolved.contains_key(doc.name) {
                return Err(missing(doc.name, doc.kind));
            }
            if let Some(value) = doc.default.value() {
                resolved.entry(doc.name.to_owned()).or_insert(value);
            }
        }
        Ok(Options(resolved))
    }

    /// The defaults of `docs`.
    #[must_use]
    pub fn defaults(docs: &[KeyDoc]) -> Options {
        let values = docs.iter().filter_map(|doc| Some((doc.name.to_owned(), doc.default.value()?)));
        Options(values.collect())
    }

    /// These values, and the default of every option of `docs` that has none: for options that were read back from a
    /// record older than an option.
    #[must_use]
    pub fn with_defaults(&self, docs: &[KeyDoc]) -> Options {
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
    pub fn non_default(&self, docs: &[KeyDoc]) -> Options {
        let differs = |name: &str, value: &OptionValue| match docs.iter().find(|doc| doc.name == name) {
            Some(doc) => doc.kind != KeyKind::Path && doc.default.value().as_ref() != Some(value),
            None => true,
        };
        Options(self.0.iter().filter(|(n, v)| differs(n, v)).map(|(n, v)| (n.clone(), v.clone())).collect())
    }

    /// A truth value; false when absent.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(OptionValue::Bool(true)))
    }

    /// A whole number.
    ///
    /// # Errors
    /// It has no value: options that were read back must be completed by [`Options::with_defaults`] first, and an option
    /// without a default is for [`Options::optional_int`].
    pub fn int(&self, name: &str) -> Result<i64, OptionError> {
        self.optional_int(name).ok_or_else(|| missing(name, "a whole number"))
    }

    /// A number.
    ///
    /// # Errors
    /// As [`Options::int`].
    pub fn float(&self, name: &str) -> Result<f64, OptionError> {
        self.optional_float(name).ok_or_else(|| missing(name, "a number"))
    }

    /// A whole number; `None` when absent. For options that have no default.
    #[must_use]
    pub fn optional_int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(&OptionValue::Int(v)) => Some(v),
            _ => None,
        }
    }

    /// A number; `None` when absent. For options that have no default.
    #[must_use]
    pub fn optional_float(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(&OptionValue::Float(v)) => Some(v),
            Some(&OptionValue::Int(v)) => Some(v as f64),
            _ => None,
        }
    }

    /// The whole number of the option that `doc` describes: the given value, otherwise its default, and 0 where it has
    /// neither.
    #[must_use]
    pub fn int_or_default(&self, doc: &KeyDoc) -> i64 {
        let default = || if let KeyDefault::Int(default) = doc.default { default } else { 0 };
        self.optional_int(doc.name).unwrap_or_else(default)
    }

    /// [`Options::int_or_default`] as a size; 0 for a negative number.
    #[must_use]
    pub fn size_or_default(&self, doc: &KeyDoc) -> usize {
        usize::try_from(self.int_or_default(doc)).unwrap_or(0)
    }

    /// The number of the option that `doc` describes: the given value, otherwise its default, and 0 where it has
    /// neither.
    #[must_use]
    pub fn float_or_default(&self, doc: &KeyDoc) -> f64 {
        let default = || if let KeyDefault::Float(default) = doc.default { default } else { 0.0 };
        self.optional_float(doc.name).unwrap_or_else(default)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_gives_the_default_of_an_option_without_a_value() {
        let doc = |default| KeyDoc { name: "width", kind: KeyKind::Int { min: -9, max: 9 }, default, doc: "" };
        let given = Options::from_iter([("width".to_owned(), OptionValue::Int(-4))]);
        let absent = Options::default();
        assert_eq!(given.int_or_default(&doc(KeyDefault::Int(7))), -4);
        assert_eq!(given.size_or_default(&doc(KeyDefault::Int(7))), 0);
        assert_eq!(absent.size_or_default(&doc(KeyDefault::Int(7))), 7);
        assert_eq!(absent.int_or_default(&doc(KeyDefault::Required)), 0);
        assert_eq!(absent.float_or_default(&doc(KeyDefault::Float(0.5))), 0.5);
        assert_eq!(given.float_or_default(&doc(KeyDefault::Float(0.5))), -4.0);
    }

    #[test]
    fn an_option_without_a_value_is_named() {
        let options = Options::from_iter([("width".to_owned(), OptionValue::Int(64))]);
        assert_eq!(options.int("width"), Ok(64));
        assert_eq!(options.float("width"), Ok(64.0));
        assert_eq!(options.optional_int("depth"), None);
        let message = options.int("depth").unwrap_err().to_string();
        assert_eq!(message, "option `depth` is missing, expected a whole number");
        let message = options.float("dropout").unwrap_err().to_string();
        assert_eq!(message, "option `dropout` is missing, expected a number");
    }
}
