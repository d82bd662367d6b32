//! The JSON Schema says the same as the parser.

use std::collections::HashSet;

use harness_records::schema::schema;
use harness_records::spec::config_yaml;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::ids::config;
use crate::support::{catalog, read};

/// The part of JSON Schema that ours uses; anything else in a schema is a mistake in this test.
fn valid(value: &Value, schema: &Value, root: &Value) -> bool {
    let Value::Object(rules) = schema else { return schema == &json!(true) };
    rules.iter().all(|(rule, wanted)| match rule.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => valid(value, root.pointer(wanted.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), root),
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|wanted| is_type(value, wanted.as_str().unwrap())),
            wanted => is_type(value, wanted.as_str().unwrap()),
        },
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "anyOf" => wanted.as_array().unwrap().iter().any(|schema| valid(value, schema, root)),
        "minimum" => value.as_f64().is_none_or(|v| v >= wanted.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|v| v <= wanted.as_f64().unwrap()),
        "exclusiveMinimum" => value.as_f64().is_none_or(|v| v > wanted.as_f64().unwrap()),
        "exclusiveMaximum" => value.as_f64().is_none_or(|v| v < wanted.as_f64().unwrap()),
        "minItems" => value.as_array().is_none_or(|v| v.len() as u64 >= wanted.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|v| v.len() as u64 <= wanted.as_u64().unwrap()),
        "uniqueItems" => {
            value.as_array().is_none_or(|v| v.iter().map(Value::to_string).collect::<HashSet<_>>().len() == v.len())
        }
        "items" => value.as_array().is_none_or(|v| v.iter().all(|item| valid(item, wanted, root))),
        "required" => value
            .as_object()
            .is_none_or(|v| wanted.as_array().unwrap().iter().all(|k| v.contains_key(k.as_str().unwrap()))),
        "minProperties" => value.as_object().is_none_or(|v| v.len() as u64 >= wanted.as_u64().unwrap()),
        "properties" => {
            value.as_object().is_none_or(|v| v.iter().all(|(k, v)| wanted.get(k).is_none_or(|s| valid(v, s, root))))
        }
        "additionalProperties" => value.as_object().is_none_or(|v| {
            v.iter().all(|(k, v)| rules.get("properties").is_some_and(|p| p.get(k).is_some()) || valid(v, wanted, root))
        }),
        // Names of axes and of sweeps are checked by the two tests below them.
        "propertyNames" | "pattern" => true,
        other => panic!("the schema uses `{other}`"),
    })
}

fn is_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64() || value.as_f64().is_some_and(|v| v.fract() == 0.0),
        other => panic!("the schema uses the type `{other}`"),
    }
}

/// Whether the schema accepts, after checking that the parser says the same.
#[track_caller]
fn check(yaml: &str, want: bool) {
    let json: Value = serde_yaml::from_str(yaml).unwrap();
    let schema = schema(&catalog());
    assert_eq!(valid(&json, &schema, &schema), want, "schema: {yaml}");
    let parsed = read(yaml, &[]).map_err(|error| error.to_string());
    assert_eq!(parsed.is_ok(), want, "parser: {yaml}\n{}", parsed.err().unwrap_or_default());
}

#[test]
fn what_the_parser_accepts_the_schema_accepts() {
    for yaml in [
        "{}",
        "{name: a.b-c_1, base: , axes: , exclude: , include: , report: }",
        "base: {train: {epochs: 3, clip_norm: null, optimizer: {lr: 0.1}}, dataset: {name: mnist, root: /d}}",
        "base: {quant: {weights: {method: uniform, bits: 2, per: channel}, keep_float: [first]}}",
        "base: {quant: {weights: {method: uniform, bits: 2}, layers: {first: {weights: {bits: 8}}, l.*: {weights: {per: channel}}}}}",
        "base: {quant: {input: bytes, layers: {conv: {weights: {method: uniform, bits: 3}, activations: {method: float}}}}}",
        "axes: {quant.layers: [null, {fc: {weights: {method: uniform, bits: 3}}}]}",
        "base: {train: {epochs: 0, init: {trial: {train.epochs: 1}}, calibrate: {images: 9}}}\naxes: {cell: [{train.epochs: 1, train.init: null}, {train.seed: 0}]}",
        "base: {train: {calibrate: {images: 10, batch_norm: false, activations: percentile, percentile: 99}}}",
        "base: {quant: {weights: {method: xnor}, activations: }}",
        "base: {train: {schedule: {name: multi-step, milestones: [1, 2]}}}",
        "axes: {quant.weights: [{method: float}, {method: balanced, bits: 2}], train.seed: [0, 1]}",
        "axes: {train.optimizer.lr: [0.1, 1], train.schedule: [{name: cosine}, {name: constant}]}",
        "axes: {train: [{epochs: 1}, {epochs: 2, seed: 3}], model.name: [lenet, mlp]}",
        "axes: {cell: [{train.seed: 1}, {train: {epochs: 2}, quant.weights: {method: uniform, bits: 1}}]}",
        "{axes: {train.seed: [1, 2]}, exclude: [{train.seed: 1, quant.weights.bits: null}, {train: {seed: 7}}]}",
        "include: [{train.seed: 1}, {quant: {weights: {method: uniform, bits: 2}}}]",
        "report: {tables: [accuracy], figures: []}",
        "report: {paper: {rows: [{name: [1, LS-1], where: {train.seed: 0}}], columns: [{name: b, value: top5}], heads: [A, B]}}",
        "report: {paper: {title: t, source: Zhou et al. 2016 (arXiv:1606.06160), rows: [{name: a}], columns: [{name: b, published: {dataset: cifar10, model: vgg9}}, {name: c, published: none}]}}",
        "{base: {train: {amp: bf16, distill: {teacher: {train.seed: 1}, alpha: 1}}}, include: [{train: {seed: 1, distill: null}}]}",
        "{base: {train: {init: {trial: {train.seed: 1}}}}, axes: {cell: [{train: {seed: 1, init: null}}, {train.seed: 2}]}}",
    ] {
        check(yaml, true);
    }
}

#[test]
fn what_the_parser_refuses_the_schema_refuses() {
    for yaml in [
        "[]",
        "nmae: a",
        "name: 3",
        "base: []",
        "base: {trian: {}}",
        "base: {train: {epoch: 3}}",
        "base: {train: {epochs: -1}}",
        "base: {train: {calibrate: {images: 0}}}",
        "base: {train: {calibrate: 3}}",
        "base: {train: {calibrate: {rule: max}}}",
        "base: {quant: {input: byte}}",
        "base: {quant: {layers: first}}",
        "base: {quant: {layers: {first: {weights: 8}}}}",
        "base: {quant: {layers: {first: {weights: {bits: 9}}}}}",
        "base: {quant: {layers: {first: {weight: {bits: 8}}}}}",
        "base: {quant: {layers: {first: {}}}}",
        "base: {train: {epochs: three}}",
        "base: {train: {seed: [1]}}",
        "base: {train: {optimizer: {name: sdg}}}",
        "base: {train: {optimizer: {name: sgd, lr: 0}}}",
        "base: {train: {optimizer: {name: sgd, eps: 1}}}",
        "base: {train: {label_smoothing: 1}}",
        "base: {train: {amp: fp16}}",
        "base: {train: {init: {trial: {}}}}",
        "base: {train: {init: weights.safetensors}}",
        "base: {train: {distill: {teacher: {train.seed: 1}, alpha: 2}}}",
        "base: {quant: {weights: float}}",
        "base: {quant: {weights: {method: float, bits: 2}}}",
        "base: {quant: {weights: {method: uniform, bits: 9}}}",
        "base: {quant: {weights: {method: uniform, bits: 2, per: row}}}",
        "base: {quant: {weights: {method: uniform, bits: 2, threshold: mean}}}",
        "base: {quant: {gradients: {method: balanced, bits: 2}}}",
        "base: {quant: {keep_float: first}}",
        "base: {model: {name: resnet}}",
        "base: {dataset: {name: mnist, root: 3}}",
        "axes: []",
        "axes: {train.seed: []}",
        "axes: {train.seed: 3}",
        "axes: {train.seed: [1, 1]}",
        "axes: {train.seed: [-1]}",
        "axes: {quant.weights: [{method: unifrom, bits: 2}]}",
        "axes: {cell: [{train.sede: 1}]}",
        "axes: {cell: [3]}",
        "exclude: {train.seed: 1}",
        "exclude: [{}]",
        "exclude: [{train.sed: 1}]",
        "include: [{seed: 1}]",
        "report: {table: []}",
        "report: {tables: accuracy}",
        "report: {paper: {rows: [{name: a}]}}",
        "report: {paper: {rows: [], columns: [{name: b}]}}",
        "report: {paper: {rows: [{where: {train.seed: 0}}], columns: [{name: b}]}}",
        "report: {paper: {rows: [{name: a, where: {train.sed: 0}}], columns: [{name: b}]}}",
        "report: {paper: {rows: [{name: a, value: top}], columns: [{name: b}]}}",
        "report: {paper: {source: Zhou, rows: [{name: a}], columns: [{name: b}]}}",
        "report: {figures: [nothing]}",
    ] {
        check(yaml, false);
    }
}

#[test]
fn the_schema_shows_names_options_and_defaults() {
    let schema = schema(&catalog());
    let weights = schema.pointer("/$defs/config/properties/quant/properties/weights/anyOf").unwrap();
    let uniform =
        weights.as_array().unwrap().iter().find(|w| w.pointer("/properties/method/const") == Some(&json!("uniform")));
    let uniform = &uniform.unwrap()["properties"];
    assert_eq!(uniform["bits"]["maximum"], 8);
    assert_eq!(
        uniform["per"],
        json!({"enum": ["tensor", "channel"], "default": "tensor", "description": "An option."})
    );
    assert_eq!(schema.pointer("/$defs/config/properties/train/properties/epochs/default"), Some(&json!(10)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_schema_accepts_every_resolved_configuration(config in config()) {
        let schema = schema(&catalog());
        let value: Value = serde_yaml::from_str(&config_yaml(&config).unwrap()).unwrap();
        prop_assert!(valid(&json!({"base": value}), &schema, &schema), "{}", value);
    }
}
