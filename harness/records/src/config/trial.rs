//! One trial of a sweep: its configuration, its id, and what to call it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::catalog::{Catalog, Entry};
use crate::config::key::KeyDoc;
use crate::config::keys::{self, ROLES};
use crate::config::options::Options;
use crate::config::trial_config::{MethodChoice, QuantConfig, TrialConfig};

/// One trial of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// See [`trial_id`].
    pub id: String,
    /// Name of the sweep.
    pub sweep: String,
    /// Resolved configuration, every default written out.
    pub config: TrialConfig,
    /// Short name for people, made of what the axes vary: `uniform w2 a32 seed=1`.
    pub label: String,
    /// Each axis with the value it has here, in the order of the file; empty for a trial of `include`.
    pub axes: Vec<(String, String)>,
}

impl Trial {
    /// The value of a dotted key in the resolved configuration, `quant.weights.bits`; `None` where there is none.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value> {
        value(&self.config, key)
    }
}

/// The value of a dotted key in a resolved configuration; `None` where there is none (or it is null).
#[must_use]
pub fn value(config: &TrialConfig, key: &str) -> Option<Value> {
    let mut value = serde_json::to_value(config).ok()?;
    for name in key.split('.') {
        value = value.as_object_mut()?.remove(name)?;
    }
    (!value.is_null()).then_some(value)
}

/// The id of a trial: the first 16 hex digits of a BLAKE3 hash over the canonical form of its configuration.
///
/// The canonical form is JSON with sorted keys, without white space, numbers in their shortest form that reads back
/// the same. Values equal to their defaults are left out, so that a key added later with a default does not change
/// the ids of old trials; the names of data set, model, methods, optimizer and schedule and all bit widths always
/// stay. Paths (`dataset.root`, options of kind path, the file of `train.init`, whose content is), how often it is
/// checkpointed and the device are not part of it: they say where and how a trial ran, not what it was.
#[must_use]
pub fn trial_id(config: &TrialConfig, catalog: &Catalog) -> String {
    let hash = blake3::hash(canonical(config, catalog).as_bytes());
    hash.to_hex()[..16].to_owned()
}

/// The text that [`trial_id`] hashes.
fn canonical(config: &TrialConfig, catalog: &Catalog) -> String {
    let mut stripped = config.clone();
    stripped.dataset.root = None;
    stripped.dataset.options = strip(&config.dataset.options, catalog.dataset(&config.dataset.name));
    stripped.model.options = strip(&config.model.options, catalog.model(&config.model.name));
    for choice in [&mut stripped.quant.weights, &mut stripped.quant.activations, &mut stripped.quant.gradients] {
        choice.options = strip(&choice.options, catalog.method(&choice.method));
    }
    // Which layers stay in full precision is a set; the order they are named in says nothing.
    stripped.quant.keep_float.sort();
    stripped.quant.keep_float.dedup();
    let mut json = serde_json::to_value(&stripped).unwrap_or_default();
    if let Some(train) = json.get_mut("train").and_then(Value::as_object_mut) {
        train.remove(keys::CHECKPOINT_EVERY);
        // Without them a trial is what it was before they existed.
        train.retain(|name, value| !(["init", "distill"].contains(&name.as_str()) && value.is_null()));
        if let Some(init) = train.get_mut("init").and_then(Value::as_object_mut) {
            init.remove("file");
        }
    }
    strip_fields(json.pointer_mut("/train"), keys::TRAIN);
    strip_fields(json.pointer_mut("/train/distill"), keys::DISTILL);
    strip_fields(json.pointer_mut("/train/calibrate"), keys::CALIBRATE);
    for (pointer, table) in [("/train/optimizer", keys::OPTIMIZERS), ("/train/schedule", keys::SCHEDULES)] {
        let name = json.pointer(pointer).and_then(|v| v.get("name")).and_then(Value::as_str);
        if let Some(variant) = name.and_then(|name| keys::variant(table, name)) {
            strip_fields(json.pointer_mut(pointer), variant.fields);
        }
    }
    if let Some(quant) = json.get_mut("quant").and_then(Value::as_object_mut)
        && quant.get("keep_float") == Some(&keys::KEEP_FLOAT.to_vec().into())
    {
        quant.remove("keep_float");
    }
    let mut text = String::new();
    write_canonical(&json, &mut text);
    text
}

fn strip(options: &Options, entry: Option<&Entry>) -> Options {
    let docs: &[KeyDoc] = entry.map_or(&[], |entry| entry.about.options);
    options.non_default(docs)
}

fn strip_fields(json: Option<&mut Value>, table: &[KeyDoc]) {
    if let Some(map) = json.and_then(Value::as_object_mut) {
        map.retain(|name, value| {
            let default = table.iter().find(|field| field.name == name).and_then(|field| field.default.json());
            default.as_ref() != Some(value)
        });
    }
}

/// Written by hand, because the order of a `serde_json::Map` depends on which features other crates ask for.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.sort_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (i, (name, value)) in pairs.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// The short name: quantization first where an axis varies it, then every other varied key as `seed=1`.
///
/// `varied` are the dotted keys that the axes assign in this trial.
pub(crate) fn label(config: &TrialConfig, varied: &[String], catalog: &Catalog) -> String {
    let is_quant =
        |key: &str| ["quant.weights", "quant.activations", "quant.gradients"].iter().any(|role| key.starts_with(role));
    let mut parts = Vec::new();
    if varied.is_empty() || varied.iter().any(|key| is_quant(key)) {
        parts.push(quant_label(config, varied, catalog));
    }
    for key in varied.iter().filter(|key| !is_quant(key)) {
        let train = &config.train;
        let shown = match key.as_str() {
            // What it builds on is named by what it does, not by an id.
            "train.init" if train.init.is_some() => "initialised".to_owned(),
            "train.distill" | "train.distill.teacher" if train.distill.is_some() => "distilled".to_owned(),
            key if key.starts_with("train.calibrate") && train.calibrate.is_some() => "calibrated".to_owned(),
            key if ["train.init", "train.distill", "train.calibrate"].iter().any(|whole| key.starts_with(whole))
                && value(config, key).is_none() =>
            {
                continue;
            }
            key if key.starts_with("quant.layers") => layers_label(&config.quant),
            // A choice is best named by its name.
            "dataset" | "dataset.name" => config.dataset.name.clone(),
            "model" | "model.name" => config.model.name.clone(),
            "train.optimizer" | "train.schedule" => {
                value(config, &format!("{key}.name")).map_or_else(String::new, |v| plain(&v))
            }
            _ => format!(
                "{}={}",
                key.rsplit('.').next().unwrap_or(key),
                value(config, key).map_or_else(|| "none".to_owned(), |v| plain(&v))
            ),
        };
        if !parts.contains(&shown) {
            parts.push(shown);
        }
    }
    parts.join(" ")
}

/// `float`, `uniform w2 a32`, `balanced w1 dorefa a2 uniform g6 threshold=mean`.
fn quant_label(config: &TrialConfig, varied: &[String], catalog: &Catalog) -> String {
    let quant = &config.quant;
    let choices = [&quant.weights, &quant.activations, &quant.gradients];
    if choices.iter().all(|choice| choice.is_float()) {
        return keys::METHOD.to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    let mut last: Option<&str> = None;
    for (choice, letter) in choices.into_iter().zip(["w", "a", "g"]) {
        if choice.is_float() && letter == "g" {
            continue;
        }
        if !choice.is_float() && last != Some(&choice.method) {
            parts.push(choice.method.clone());
            last = Some(&choice.method);
        }
        parts.push(format!("{letter}{}", choice.bits.map_or(32, u32::from)));
    }
    for (choice, role) in choices.into_iter().zip(ROLES) {
        let prefix = format!("quant.{role}");
        if varied.iter().any(|key| key.starts_with(&prefix)) {
            parts.extend(option_labels(choice, catalog));
        }
    }
    parts.join(" ")
}

/// `layers=first w8 a8; layer3.* w3`, or `layers=none`.
fn layers_label(quant: &QuantConfig) -> String {
    let label = quant.layers_label();
    format!("layers={}", if label.is_empty() { "none" } else { &label })
}

fn option_labels(choice: &MethodChoice, catalog: &Catalog) -> Vec<String> {
    let options = strip(&choice.options, catalog.method(&choice.method));
    options.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
