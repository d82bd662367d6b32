//! Conditions on resolved configurations: entries of `exclude`, and `--filter` on the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::config::catalog::{Catalog, Entry};
use crate::config::keys;
use crate::config::options::OptionValue;
use crate::config::trial_config::TrialConfig;
use crate::yaml::diagnostics::{Problem, SpecError, suggest};
use crate::yaml::node::{self, Key, Node, Origin, Source, Value};

/// Keys and the values they must all have.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    conditions: Vec<(String, Node)>,
}

impl Filter {
    /// Parses `KEY=VALUE`, `quant.weights.bits=2`.
    ///
    /// # Errors
    /// No `=`, a key that no configuration has, a value that is not YAML.
    pub fn parse(argument: &str, catalog: &Catalog) -> Result<Filter, SpecError> {
        let (key, value) = split_argument("--filter", argument)?;
        let mut conditions = Vec::new();
        leaves(&key, &value, &mut conditions);
        Filter::checked(conditions, catalog).map_err(SpecError::from)
    }

    /// A map of (dotted or nested) keys to values.
    pub(crate) fn from_node(node: &Node, catalog: &Catalog) -> Result<Filter, Problem> {
        let pairs = match node.pairs() {
            Some(pairs) if !pairs.is_empty() => pairs,
            _ => {
                let message = format!("this is {}, expected a map such as `{{train.seed: 1}}`", node.value.describe());
                return Err(Problem::new(node.origin.clone(), message));
            }
        };
        let mut conditions = Vec::new();
        for (key, value) in pairs {
            leaves(key, value, &mut conditions);
        }
        Filter::checked(conditions, catalog)
    }

    fn checked(conditions: Vec<(Key, Node)>, catalog: &Catalog) -> Result<Filter, Problem> {
        let known = known_keys(catalog);
        for (key, _) in &conditions {
            if !known.contains(&key.name) {
                return Err(unknown_key(key, &known));
            }
        }
        Ok(Filter { conditions: conditions.into_iter().map(|(key, value)| (key.name, value)).collect() })
    }

    /// True when every key has its value in the resolved configuration.
    #[must_use]
    pub fn matches(&self, config: &TrialConfig) -> bool {
        serde_json::to_value(config).is_ok_and(|json| self.matches_json(&json))
    }

    pub(crate) fn matches_json(&self, config: &Json) -> bool {
        self.conditions.iter().all(|(key, wanted)| equal(wanted, lookup(config, key)))
    }

    /// As [`Filter::matches_json`], where a condition [`SAME`] asks for the value that `own` has.
    pub(crate) fn matches_beside(&self, config: &Json, own: &Json) -> bool {
        self.conditions.iter().all(|(key, wanted)| match wanted.text() {
            Some(SAME) => lookup(config, key) == lookup(own, key),
            _ => equal(wanted, lookup(config, key)),
        })
    }
}

/// The value of a condition on another trial that stands for this trial's own value.
pub(crate) const SAME: &str = "same";

fn lookup<'a>(config: &'a Json, key: &str) -> &'a Json {
    key.split('.').try_fold(config, |json, name| json.get(name)).unwrap_or(&Json::Null)
}

/// Flattens nested maps into dotted keys.
fn leaves(key: &Key, value: &Node, out: &mut Vec<(Key, Node)>) {
    match value.pairs() {
        Some(pairs) => {
            for (inner, value) in pairs {
                let name = format!("{}.{}", key.name, inner.name);
                leaves(&Key { name, origin: inner.origin.clone() }, value, out);
            }
        }
        None => out.push((key.clone(), value.clone())),
    }
}

fn equal(wanted: &Node, found: &Json) -> bool {
    match (&wanted.value, found) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Int(a), Json::Number(b)) => match b.as_i128() {
            Some(b) => *a == b,
            None => b.as_f64() == Some(*a as f64),
        },
        (Value::Float(a), Json::Number(b)) => b.as_f64() == Some(*a),
        (Value::Text(a), Json::String(b)) => a == b,
        (Value::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        _ => false,
    }
}

/// Every dotted key that some configuration has.
pub(crate) fn known_keys(catalog: &Catalog) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut choice = |path: &str, own: &[&str], entries: &[Entry]| {
        let options = entries.iter().flat_map(|entry| entry.about.options).map(|doc| doc.name);
        keys.extend(own.iter().copied().chain(options).map(|name| format!("{path}.{name}")));
    };
    choice("dataset", &["name", "root"], &catalog.datasets);
    choice("model", &["name"], &catalog.models);
    for role in keys::ROLES {
        choice(&format!("quant.{role}"), &["method", "bits"], &catalog.methods);
    }
    keys.extend(["keep_float", "input", "layers"].map(|name| format!("quant.{name}")));
    keys.extend(keys::TRAIN.iter().map(|field| format!("train.{}", field.name)));
    for (path, table) in [("train.optimizer", keys::OPTIMIZERS), ("train.schedule", keys::SCHEDULES)] {
        keys.push(format!("{path}.name"));
        keys.extend(table.iter().flat_map(|variant| variant.fields).map(|field| format!("{path}.{}", field.name)));
    }
    keys.extend(["init.trial", "init.file", "distill.teacher"].map(|name| format!("train.{name}")));
    keys.extend(keys::DISTILL.iter().map(|field| format!("train.distill.{}", field.name)));
    keys.extend(keys::CALIBRATE.iter().map(|field| format!("train.calibrate.{}", field.name)));
    // Whether there is one at all can be asked, too.
    keys.extend(["train.init", "train.distill", "train.calibrate"].map(str::to_owned));
    keys.sort();
    keys.dedup();
    keys
}

/// The problem of a dotted key that no configuration has.
pub(crate) fn unknown_key(key: &Key, known: &[String]) -> Problem {
    let near = suggest(&key.name, known.iter().map(String::as_str));
    // All keys of a configuration would be a long list: show it only when one of them is meant.
    let hint =
        if near.starts_with("did") { near } else { "keys look like `train.seed` or `quant.weights.bits`".to_owned() };
    Problem::new(key.origin.clone(), format!("unknown key `{}`", key.name)).hint(hint)
}

/// Options given on a command line, `["noise=false", "portion=0.5"]`, each value in YAML as in a sweep file.
///
/// # Errors
/// No `=`, a value that is no scalar, a name given twice.
pub fn option_arguments(arguments: &[String]) -> Result<BTreeMap<String, OptionValue>, SpecError> {
    let mut options = BTreeMap::new();
    for argument in arguments {
        let (key, node) = split_argument("--set", argument)?;
        let value = match &node.value {
            Value::Bool(v) => Some(OptionValue::Bool(*v)),
            Value::Int(v) => i64::try_from(*v).ok().map(OptionValue::Int),
            Value::Float(v) => Some(OptionValue::Float(*v)),
            Value::Text(v) => Some(OptionValue::Text(v.clone())),
            _ => None,
        };
        let Some(value) = value else {
            let message =
                format!("`{}` is {}, expected a number, a word or true or false", key.name, node.value.describe());
            return Err(Problem::new(node.origin, message).into());
        };
        if options.insert(key.name.clone(), value).is_some() {
            return Err(Problem::new(key.origin, format!("option `{}` is given twice", key.name)).into());
        }
    }
    Ok(options)
}

/// Splits `key=value` of a command line option and parses the value as YAML.
pub(crate) fn split_argument(option: &str, argument: &str) -> Result<(Key, Node), Problem> {
    let source = Arc::new(Source { name: option.to_owned(), text: argument.to_owned(), is_file: false });
    let Some((key, value)) = argument.split_once('=') else {
        return Err(Problem::new(Origin::whole(&source), "there is no `=`, expected `key=value`"));
    };
    let name = key.trim().to_owned();
    let origin = Origin { length: name.chars().count().max(1), ..Origin::at(&source, 1, 1) };
    if name.is_empty() || name.split('.').any(str::is_empty) {
        return Err(Problem::new(origin, format!("`{name}` is no key, expected one such as `train.seed`")));
    }
    Ok((Key { name, origin }, node::parse_argument(&source, value)?))
}
