//! Names that a sweep file gives its trials for reports.

use std::collections::BTreeMap;

use harness_records::schema::schema;

use crate::support::{catalog, good, read};

const WITH: &str = "
base: {quant: {weights: {method: uniform, bits: 2}}}
axes:
  cell:
    - {quant.weights: {method: balanced, bits: 2}, label: Ours}
    - {quant.weights: {method: balanced, bits: 2, threshold: mean}}
  quant.activations:
    - {method: float}
    - {method: uniform, bits: 4, label: A4}
include: [{train.seed: 7, label: extra}]
";

#[test]
fn labels_of_all_axes_make_a_name_and_change_no_id() {
    let spec = good(WITH, &[]);
    let without = WITH.replace(", label: Ours", "").replace(", label: A4", "").replace(", label: extra", "");
    let plain = good(&without, &[]);
    let ids = |spec: &harness_records::spec::SweepSpec| {
        spec.trials().iter().map(|trial| trial.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&spec), ids(&plain));
    assert!(plain.labels.is_empty());
    let ids = ids(&spec);
    let expected: BTreeMap<String, String> = [(0, "Ours"), (1, "Ours, A4"), (3, "A4"), (4, "extra")]
        .into_iter()
        .map(|(place, name): (usize, &str)| (ids[place].clone(), name.to_owned()))
        .collect();
    assert_eq!(spec.labels, expected);
    // What dry runs and progress bars show is made of the configuration, as before.
    assert_eq!(spec.trials()[0].label, plain.trials()[0].label);
}

#[test]
fn two_values_that_differ_in_their_label_alone_are_the_same_value() {
    let yaml = "axes:\n  cell:\n    - {train.seed: 1, label: a}\n    - {train.seed: 1, label: b}\n";
    let error = read(yaml, &[]).unwrap_err().to_string();
    assert!(error.contains(":4:7: the axis `cell` has this value twice"), "{error}");
}

#[test]
fn a_label_is_text_and_stands_in_axes_and_include_alone() {
    let long = "x".repeat(61);
    for (label, place) in [("3", ":3:33"), ("''", ":3:33"), ("[a]", ":3:33"), (long.as_str(), ":3:33")] {
        let error = read(format!("axes:\n  cell:\n    - {{train.seed: 1, label:    {label}}}\n"), &[]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(place) && error.contains("expected up to 60 letters of text"), "{label}: {error}");
    }
    let error = read("base: {label: a}\n", &[]).unwrap_err().to_string();
    assert!(error.contains("unknown key `label`"), "{error}");
    let error = read("base: {quant: {weights: {method: float, label: a}}}\n", &[]).unwrap_err().to_string();
    assert!(error.contains("label"), "{error}");
}

#[test]
fn the_schema_knows_labels_where_the_parser_does() {
    let schema = schema(&catalog());
    let properties = &schema["$defs"]["labelled"]["properties"];
    assert_eq!(properties["label"]["type"], "string");
    assert!(schema["$defs"]["config"]["properties"].get("label").is_none());
    let alternatives = &schema["properties"]["axes"]["properties"]["quant.weights"]["items"]["anyOf"];
    assert!(alternatives.as_array().unwrap().iter().all(|one| one["properties"].get("label").is_some()));
}
