//! The JSON Schema of sweep files (draft 2020-12), made from the same tables that the parser reads, for editors that
//! complete and check YAML.

use serde_json::{Map, Value, json};

use crate::config::catalog::{Catalog, Entry};
use crate::config::keys::{self, ROLES, Variant};
use crate::sweep::filter;
use crate::sweep::paper;
use crate::sweep::sections::LABEL;

/// The schema of a sweep file that names things of this catalog.
#[must_use]
pub fn schema(catalog: &Catalog) -> Value {
    let axis_keys: Map<String, Value> = paths(catalog)
        .into_iter()
        .map(|(path, values)| {
            let values = with_label(values);
            (path, json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": values}))
        })
        .collect();
    let conditions: Map<String, Value> =
        filter::known_keys(catalog).into_iter().chain(sections()).map(|key| (key, json!(true))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness sweep",
        "description": "What a sweep is made of: a base, axes that vary it, and what to report.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "name": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
                "description": "Folder under runs/; absent: the file's stem."
            },
            "extends": {"type": "string", "description": "Path of a sweep file that this one goes over, relative to this file."},
            "base": {"$ref": "#/$defs/config", "description": "Every trial starts from this."},
            "axes": {
                "type": ["object", "null"],
                "description": "Grid: every combination, the last axis fastest. A key that is none of the configuration's varies several keys together.",
                "properties": axis_keys,
                "additionalProperties": {
                    "type": "array", "minItems": 1, "uniqueItems": true,
                    "items": {"$ref": "#/$defs/labelled"}
                },
                "propertyNames": {"pattern": "^(dataset|model|train|quant)(\\..*)?$|^[^.]+$"}
            },
            "exclude": {
                "type": ["array", "null"],
                "description": "Combinations to leave out: all keys of an entry must match.",
                "items": {"type": "object", "minProperties": 1, "properties": &conditions, "additionalProperties": false}
            },
            "include": {
                "type": ["array", "null"],
                "description": "Extra trials, merged over base.",
                "items": {"$ref": "#/$defs/labelled"}
            },
            "report": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {
                    "tables": names(&catalog.tables),
                    "figures": names(&catalog.figures),
                    "paper": paper::schema(catalog, &Value::Object(conditions))
                }
            },
            "slurm": crate::sweep::slurm::schema()
        },
        "$defs": {
            "config": config(catalog, false),
            "labelled": with_label(config(catalog, true))
        }
    })
}

/// A schema whose maps may have a `label`, which reports use as the name of the trials.
fn with_label(mut schema: Value) -> Value {
    let label = json!({"type": "string", "description": "What reports call these trials; no part of them."});
    let add = |map: &mut Value| {
        if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(LABEL.to_owned(), label.clone());
        }
    };
    match schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        Some(alternatives) => alternatives.iter_mut().for_each(add),
        None => add(&mut schema),
    }
    schema
}

fn sections() -> impl Iterator<Item = String> {
    let choices = ["train.optimizer", "train.schedule", "quant.weights", "quant.activations", "quant.gradients"];
    crate::sweep::overlay::SECTIONS.into_iter().chain(choices).map(str::to_owned)
}

fn names(known: &[&str]) -> Value {
    let item = if known.is_empty() { json!({"type": "string"}) } else { json!({"enum": known}) };
    json!({"type": "array", "items": item})
}

/// Every dotted key with the schema of its value.
fn paths(catalog: &Catalog) -> Vec<(String, Value)> {
    let mut paths = Vec::new();
    walk("", &config(catalog, false), &mut paths);
    paths
}

/// Collects the properties of a schema, and those of the alternatives of its choices, as dotted keys.
fn walk(prefix: &str, schema: &Value, out: &mut Vec<(String, Value)>) {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, schema) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match out.iter_mut().find(|(known, _)| *known == path) {
            // Two methods may have options of the same name and different types: either is right here.
            Some((_, known)) if known != schema => {
                let mut alternatives =
                    known.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![known.clone()]);
                if !alternatives.contains(schema) {
                    alternatives.push(schema.clone());
                }
                *known = json!({"anyOf": alternatives});
            }
            Some(_) => {}
            None => out.push((path.clone(), schema.clone())),
        }
        walk(&path, schema, out);
    }
    for schema in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        walk(prefix, schema, out);
    }
}

/// A configuration. With `dotted`, its keys may also be written with dots, `train.seed`.
fn config(catalog: &Catalog, dotted: bool) -> Value {
    let roles: Map<String, Value> = ROLES
        .into_iter()
        .map(|role| {
            let able = catalog.methods.iter().filter(|m| m.roles.has(role) || m.about.name == keys::METHOD);
            (role.to_owned(), choice("method", keys::METHOD, able.map(method).collect()))
        })
        .collect();
    let mut quant = roles;
    quant.insert(
        "keep_float".to_owned(),
        json!({
            "type": "array", "items": {"type": "string"}, "default": keys::KEEP_FLOAT,
            "description": "Layers kept in full precision, weights and input: first, last, shortcuts or a layer's name."
        }),
    );
    quant.insert(
        "input".to_owned(),
        json!({
            "enum": ["float", "bytes"], "default": "float",
            "description": "What the first layer reads: float, or bytes, the 8-bit values of an image, whose normalization then belongs to that layer. The numbers of a training are the same."
        }),
    );
    quant.insert("layers".to_owned(), layers(catalog));
    let mut train: Map<String, Value> = keys::TRAIN.iter().map(|f| (f.name.to_owned(), f.schema())).collect();
    train.insert("init".to_owned(), init());
    train.insert("distill".to_owned(), distill());
    train.insert("calibrate".to_owned(), calibrate());
    train.insert("optimizer".to_owned(), variants(keys::OPTIMIZERS, keys::OPTIMIZER));
    train.insert("schedule".to_owned(), variants(keys::SCHEDULES, keys::SCHEDULE));
    let dataset = catalog.datasets.iter().map(|entry| {
        named("name", entry, json!({"root": {"type": ["string", "null"], "description": "Folder of the files."}}))
    });
    let model = catalog.models.iter().map(|entry| named("name", entry, json!({})));
    let mut schema = json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "dataset": choice("name", keys::DATASET, dataset.collect()),
            "model": choice("name", keys::MODEL, model.collect()),
            "train": {"type": ["object", "null"], "additionalProperties": false, "properties": train},
            "quant": {"type": ["object", "null"], "additionalProperties": false, "properties": quant}
        }
    });
    if dotted {
        let mut keys = Vec::new();
        walk("", &schema, &mut keys);
        schema["properties"] = keys.into_iter().collect::<Map<String, Value>>().into();
    }
    schema
}

/// What differs in some layers: keys of a method without or with its name, which the parser checks against the setting
/// that they change. A configuration that was resolved has a list, which keeps the order.
fn layers(catalog: &Catalog) -> Value {
    let change = |role: &str| {
        let able = catalog.methods.iter().filter(|m| m.roles.has(role) || m.about.name == keys::METHOD);
        let mut properties: Map<String, Value> = able
            .clone()
            .flat_map(|entry| entry.about.options)
            .map(|doc| (doc.name.to_owned(), json!({"description": doc.doc})))
            .collect();
        let names: Vec<&str> = able.map(|entry| entry.about.name).collect();
        properties.insert("method".to_owned(), json!({"enum": names}));
        properties.insert("bits".to_owned(), json!({"type": "integer", "minimum": 1, "maximum": 8}));
        json!({"type": "object", "minProperties": 1, "additionalProperties": false, "properties": properties})
    };
    let roles: Map<String, Value> = ROLES.into_iter().map(|role| (role.to_owned(), change(role))).collect();
    let mut named = roles.clone();
    named.insert("layer".to_owned(), json!({"type": "string"}));
    json!({
        "anyOf": [
            {"type": "object", "additionalProperties": {
                "type": "object", "minProperties": 1, "additionalProperties": false, "properties": roles
            }},
            {"type": "array", "items": {
                "type": "object", "required": ["layer"], "minProperties": 2, "additionalProperties": false, "properties": named
            }},
            {"type": "null"}
        ],
        "default": null,
        "description": "What differs in some layers, by name, pattern (layer3.*), first, last, conv, linear, recurrent or downsample; each entry applies over those before it."
    })
}

/// What another trial of the sweep must have: dotted or nested keys, which the parser checks. A configuration that was
/// resolved and written down has the id in its place, and the hash of a file beside its path.
fn reference() -> Value {
    json!({
        "anyOf": [{"type": "object", "minProperties": 1}, {"type": "string", "pattern": "^[0-9a-f]{16}$"}],
        "description": "What the one other trial has, such as {quant.weights.method: float, train.seed: same}; same: this trial's own value."
    })
}

fn init() -> Value {
    let trial = json!({
        "type": "object", "required": ["trial"], "additionalProperties": false, "properties": {"trial": reference()}
    });
    let file = json!({
        "type": "object", "required": ["file"], "additionalProperties": false,
        "properties": {
            "file": {"type": "string", "description": "Named tensors, .safetensors."},
            "blake3": {"type": "string", "pattern": "^[0-9a-f]{16}$"}
        }
    });
    json!({
        "anyOf": [trial, file, {"type": "null"}], "default": null,
        "description": "First weights: the network another trial ended with, or a file; null: drawn at random."
    })
}

fn distill() -> Value {
    let mut properties: Map<String, Value> = keys::DISTILL.iter().map(|f| (f.name.to_owned(), f.schema())).collect();
    properties.insert("teacher".to_owned(), reference());
    json!({
        "type": ["object", "null"], "additionalProperties": false, "properties": properties, "default": null,
        "description": "Knowledge distillation from another trial of the sweep; null: none."
    })
}

fn calibrate() -> Value {
    let properties: Map<String, Value> = keys::CALIBRATE.iter().map(|f| (f.name.to_owned(), f.schema())).collect();
    json!({
        "type": ["object", "null"], "additionalProperties": false, "properties": properties, "default": null,
        "description": "Ranges of activations and statistics of batch normalization set from training images before the first step; null: not."
    })
}

/// One of several maps told apart by their tag. Keys alone, without the tag, are allowed everywhere: what they go
/// over may have it.
fn choice(tag: &str, default: &str, alternatives: Vec<Value>) -> Value {
    let names = alternatives.iter().filter_map(|a| a.get("properties")?.as_object()).flat_map(Map::keys);
    let untagged: Map<String, Value> = names.filter(|name| *name != tag).map(|n| (n.clone(), json!(true))).collect();
    let mut all = alternatives;
    all.push(json!({"type": ["object", "null"], "additionalProperties": false, "properties": untagged}));
    json!({"anyOf": all, "default": {tag: default}})
}

fn method(entry: &Entry) -> Value {
    let own = match entry.bits {
        Some((lo, hi)) => {
            json!({"bits": {"type": "integer", "minimum": lo, "maximum": hi, "description": "Bit width."}})
        }
        None => json!({}),
    };
    named("method", entry, own)
}

fn named(tag: &str, entry: &Entry, own: Value) -> Value {
    let mut properties = Map::new();
    properties.insert(tag.to_owned(), json!({"const": entry.about.name, "description": entry.about.summary}));
    if let Value::Object(own) = own {
        properties.extend(own);
    }
    properties.extend(entry.about.options.iter().map(|doc| (doc.name.to_owned(), doc.schema())));
    json!({"type": "object", "required": [tag], "additionalProperties": false, "properties": properties})
}

fn variants(table: &[Variant], default: &str) -> Value {
    let all = table.iter().map(|variant| {
        let mut properties: Map<String, Value> =
            variant.fields.iter().map(|f| (f.name.to_owned(), f.schema())).collect();
        properties.insert("name".to_owned(), json!({"const": variant.name, "description": variant.doc}));
        json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": properties})
    });
    choice("name", default, all.collect())
}
