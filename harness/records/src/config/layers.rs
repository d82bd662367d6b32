//! A setting for some layers: what differs there from the setting of the whole network.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::config::choices::{MethodChoice, Scalars, serialize_choice, take_bits, take_text};
use crate::config::key::KeyDoc;
use crate::config::options::{OptionError, OptionValue, Options};
use crate::config::role::Role;

/// An entry of `quant.layers`. Entries apply in the order of the file, each over what the ones before it gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRule {
    /// Which layers: a name, a pattern with `*` and `?`, `first`, `last`, or a kind of layer.
    #[serde(rename = "layer")]
    pub pattern: String,
    /// What changes for their weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<MethodChange>,
    /// What changes for their inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<MethodChange>,
    /// What changes for the gradients with respect to their outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradients: Option<MethodChange>,
}

impl LayerRule {
    /// What changes for one role.
    #[must_use]
    pub fn change(&self, role: Role) -> Option<&MethodChange> {
        match role {
            Role::Weight => self.weights.as_ref(),
            Role::Activation => self.activations.as_ref(),
            Role::Gradient => self.gradients.as_ref(),
        }
    }

    /// Everything that changes.
    pub fn changes(&self) -> impl Iterator<Item = &MethodChange> {
        Role::ALL.into_iter().filter_map(|role| self.change(role))
    }

    /// In a few words: `layer3.* w3 a3`, `first w8 per=channel`.
    #[must_use]
    pub fn label(&self) -> String {
        let mut parts = vec![self.pattern.clone()];
        for (letter, change) in [("w", &self.weights), ("a", &self.activations), ("g", &self.gradients)] {
            let Some(MethodChange { method, bits, options }) = change else { continue };
            match (method.as_deref(), bits) {
                (Some("float"), _) => parts.push(format!("{letter}32")),
                (method, bits) => {
                    parts.extend(method.map(str::to_owned));
                    parts.extend(bits.map(|bits| format!("{letter}{bits}")));
                }
            }
            parts.extend(options.iter().map(|(name, value)| format!("{name}={value}")));
        }
        parts.join(" ")
    }
}

/// The keys of a method that change; the others stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MethodChange {
    /// Another method. Options that were given for the one before mean nothing to it; the bit width stays where the new
    /// method can have it.
    pub method: Option<String>,
    /// Another bit width.
    pub bits: Option<u8>,
    /// Other values of options.
    pub options: BTreeMap<String, OptionValue>,
}

/// What has to be known of a method to change to it.
#[derive(Debug, Clone, Copy)]
pub struct MethodFacts {
    /// Least and largest bit width; `None` where there are no bits to choose.
    pub bits: Option<(u8, u8)>,
    /// Its options.
    pub options: &'static [KeyDoc],
}

/// Why a change leads to no setting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// No method has this name.
    #[error("unknown method `{0}`")]
    UnknownMethod(String),
    /// A bit width for a method that has none.
    #[error("`{0}` takes no bits")]
    TakesNoBits(String),
    /// The bit width is missing, or not one of the method's.
    #[error("`{method}` takes {}{}", widths(*min, *max), found.map_or_else(String::new, |found| format!(", not {found}")))]
    Bits {
        /// The method.
        method: String,
        /// Least width.
        min: u8,
        /// Largest width.
        max: u8,
        /// The width, where there is one.
        found: Option<u8>,
    },
    /// An option that the method does not have, or a value that it does not take.
    #[error("`{method}`: {source}")]
    Option {
        /// The method.
        method: String,
        /// What is wrong.
        source: OptionError,
    },
}

fn widths(min: u8, max: u8) -> String {
    match (min, max) {
        (1, 1) => "1 bit".to_owned(),
        _ if min == max => format!("{min} bits"),
        _ => format!("{min} to {max} bits"),
    }
}

impl MethodChange {
    /// The setting after the change. `facts` are those of the method of a name, where there is one.
    ///
    /// # Errors
    /// The change does not fit the setting that it is made to.
    pub fn apply(
        &self,
        before: &MethodChoice,
        facts: impl Fn(&str) -> Option<MethodFacts>,
    ) -> Result<MethodChoice, ChangeError> {
        let method = self.method.as_ref().unwrap_or(&before.method);
        let known = facts(method).ok_or_else(|| ChangeError::UnknownMethod(method.clone()))?;
        let is_new = *method != before.method;
        let mut given: BTreeMap<String, OptionValue> = BTreeMap::new();
        if !is_new {
            given.extend(before.options.iter().map(|(name, value)| (name.to_owned(), value.clone())));
        }
        given.extend(self.options.iter().map(|(name, value)| (name.clone(), value.clone())));
        let options = Options::resolve(known.options, &given)
            .map_err(|source| ChangeError::Option { method: method.clone(), source })?;
        let bits = match (known.bits, self.bits) {
            (None, None) => None,
            (None, Some(_)) => return Err(ChangeError::TakesNoBits(method.clone())),
            (Some((min, max)), given) => {
                let wrong = |found| ChangeError::Bits { method: method.clone(), min, max, found };
                let fits = |bits: &u8| (min..=max).contains(bits);
                let inherited = || if min == max { Some(min) } else { before.bits.filter(fits) };
                let bits = given.or_else(inherited);
                Some(bits.filter(fits).ok_or_else(|| wrong(bits))?)
            }
        };
        Ok(MethodChoice { method: method.clone(), bits, options })
    }
}

impl Serialize for MethodChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let method = self.method.clone().map(OptionValue::Text);
        let bits = self.bits.map(|bits| OptionValue::Int(i64::from(bits)));
        let rest = self.options.iter().map(|(name, value)| (name.as_str(), value));
        serialize_choice(serializer, &[("method", method), ("bits", bits)], rest)
    }
}

impl<'de> Deserialize<'de> for MethodChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MethodChange, D::Error> {
        let mut options = Scalars::deserialize(deserializer)?;
        let method = take_text(&mut options, "method")?;
        let bits = take_bits(&mut options)?;
        Ok(MethodChange { method, bits, options })
    }
}

/// True where `pattern` fits `name`: `*` stands for any letters, also none, and `?` for one.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
        }
        Some(letter) => {
            let mut others = name.chars();
            others.next().is_some_and(|other| letter == '?' || letter == other)
                && fits(letters.as_str(), others.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key::{KeyDefault, KeyKind};

    const PER: KeyDoc = KeyDoc {
        name: "per",
        kind: KeyKind::Choice(&["tensor", "channel"]),
        default: KeyDefault::Text("tensor"),
        doc: "",
    };

    fn facts(name: &str) -> Option<MethodFacts> {
        match name {
            "float" => Some(MethodFacts { bits: None, options: &[] }),
            "uniform" => Some(MethodFacts { bits: Some((1, 8)), options: &[PER] }),
            "dorefa" => Some(MethodFacts { bits: Some((1, 8)), options: &[] }),
            "twn" => Some(MethodFacts { bits: Some((2, 2)), options: &[] }),
            _ => None,
        }
    }

    fn choice(text: &str) -> MethodChoice {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = choice(r#"{"method":"uniform","bits":2,"per":"channel"}"#);
        let after = |change: &str| {
            let change: MethodChange = serde_json::from_str(change).unwrap();
            change.apply(&before, facts).map(|after| serde_json::to_string(&after).unwrap()).map_err(|e| e.to_string())
        };
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(after(r"{}"), ok(r#"{"method":"uniform","bits":2,"per":"channel"}"#));
        assert_eq!(after(r#"{"bits":8}"#), ok(r#"{"method":"uniform","bits":8,"per":"channel"}"#));
        assert_eq!(after(r#"{"per":"tensor"}"#), ok(r#"{"method":"uniform","bits":2,"per":"tensor"}"#));
        assert_eq!(after(r#"{"method":"dorefa"}"#), ok(r#"{"method":"dorefa","bits":2}"#));
        assert_eq!(after(r#"{"method":"twn"}"#), ok(r#"{"method":"twn","bits":2}"#));
        assert_eq!(after(r#"{"method":"float"}"#), ok(r#"{"method":"float"}"#));
        let error = |text: &str| Err(text.to_owned());
        assert_eq!(after(r#"{"method":"float","bits":3}"#), error("`float` takes no bits"));
        assert_eq!(after(r#"{"method":"twn","bits":3}"#), error("`twn` takes 2 bits, not 3"));
        assert_eq!(after(r#"{"method":"none"}"#), error("unknown method `none`"));
        assert!(after(r#"{"method":"dorefa","per":"channel"}"#).unwrap_err().contains("unknown option `per`"));
        let float = choice(r#"{"method":"float"}"#);
        let change = MethodChange { method: Some("dorefa".to_owned()), ..MethodChange::default() };
        assert_eq!(change.apply(&float, facts).unwrap_err().to_string(), "`dorefa` takes 1 to 8 bits");
    }

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name) in [
            ("conv1", "conv1"),
            ("layer3.*", "layer3.0.conv1"),
            ("*", "fc"),
            ("*", ""),
            ("*.conv?", "layer1.2.conv1"),
            ("l*c*1", "layer1.conv1"),
            ("é*", "éa"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("conv1", "conv10"), ("layer3.*", "layer30"), ("?", ""), ("?", "ab"), ("", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_rule_is_written_and_read_back() {
        let text =
            r#"{"layer":"first","weights":{"method":"uniform","bits":8,"per":"channel"},"activations":{"bits":8}}"#;
        let rule: LayerRule = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        assert_eq!(rule.label(), "first uniform w8 per=channel a8");
        assert!(serde_json::from_str::<LayerRule>(r#"{"layer":"a","weights":{"bits":9}}"#).is_err());
    }
}
