//! What right sweep files mean.

use harness_records::config::{MethodChoice, OptimizerConfig, ScheduleConfig, TrialConfig};
use harness_records::filter::Filter;
use harness_records::spec::{PaperLayout, PaperValue};
use harness_records::trial::Trial;
use proptest::prelude::*;

use crate::support::{Folder, catalog, good, labels};

const QUICKSTART: &str = "
name: quickstart
base:
  dataset: {name: digits}
  model: {name: lenet}
  train: {epochs: 10, batch: 128, optimizer: {name: adam, lr: 1.0e-3}, schedule: {name: cosine}, seed: 0}
  quant:
    weights: {method: float}
    activations: {method: float}
    keep_float: [first, last]
axes:
  quant.weights:
    - {method: float}
    - {method: uniform,  bits: 2}
    - {method: balanced, bits: 2, threshold: mean}
  train.seed: [0, 1, 2]
exclude: [{quant.weights.method: float, quant.activations.bits: 1}]
include: []
report: {tables: [accuracy], figures: [accuracy_vs_bits]}
";

#[test]
fn the_quickstart_expands_in_the_order_of_the_file() {
    let spec = good(QUICKSTART, &[]);
    assert_eq!(spec.name, "quickstart");
    let want = [
        "float seed=0",
        "float seed=1",
        "float seed=2",
        "uniform w2 a32 seed=0",
        "uniform w2 a32 seed=1",
        "uniform w2 a32 seed=2",
        "balanced w2 a32 threshold=mean seed=0",
        "balanced w2 a32 threshold=mean seed=1",
        "balanced w2 a32 threshold=mean seed=2",
    ];
    assert_eq!(labels(&spec), want);
    let trial = &spec.trials()[4];
    assert_eq!(trial.sweep, "quickstart");
    let axes = [("quant.weights", "{method: uniform, bits: 2}"), ("train.seed", "1")];
    assert_eq!(trial.axes, axes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(trial.config.train.seed, 1);
    assert_eq!(trial.config.train.schedule, ScheduleConfig::Cosine { end: 0.0, warmup: 0.0 });
    assert_eq!(trial.config.quant.weights.bits, Some(2));
    assert_eq!(spec.report.tables.as_deref(), Some(&["accuracy".to_owned()][..]));
    assert_eq!(spec.notes.len(), 1, "{:?}", spec.notes);
    assert!(spec.notes[0].contains("this entry of `exclude` matches no trial"), "{:?}", spec.notes);
}

#[test]
fn an_empty_sweep_is_one_trial_of_defaults() {
    let spec = good("{}", &[]);
    assert_eq!(spec.name, "sweep");
    assert_eq!(labels(&spec), ["float"]);
    let config = &spec.trials()[0].config;
    assert_eq!((config.dataset.name.as_str(), config.model.name.as_str()), ("digits", "lenet"));
    assert_eq!((config.train.epochs, config.train.batch, config.train.seed), (10, 128, 0));
    assert_eq!((config.train.threads, config.train.deterministic), (1, true));
    assert_eq!((config.train.clip_norm, config.train.limit, config.train.label_smoothing), (None, None, 0.0));
    let adam = OptimizerConfig::Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 };
    assert_eq!(config.train.optimizer, adam);
    assert_eq!(config.train.schedule, ScheduleConfig::Constant { warmup: 0.0 });
    assert_eq!(config.quant.gradients, MethodChoice::float());
    assert_eq!(config.quant.keep_float, ["first", "last"]);
}

#[test]
fn each_optimizer_and_schedule_has_its_defaults() {
    let sgd = OptimizerConfig::Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let adamw = OptimizerConfig::AdamW { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2 };
    for (name, want) in [("sgd", sgd), ("adamw", adamw)] {
        let spec = good(&format!("base: {{train: {{optimizer: {{name: {name}}}}}}}"), &[]);
        assert_eq!(spec.trials()[0].config.train.optimizer, want);
    }
    for (text, want) in [
        ("{name: step, every: 3}", ScheduleConfig::Step { every: 3, gamma: 0.1, warmup: 0.0 }),
        (
            "{name: multi-step, milestones: [3, 6], gamma: 0.2}",
            ScheduleConfig::MultiStep { milestones: vec![3, 6], gamma: 0.2, warmup: 0.0 },
        ),
        ("{name: linear, warmup: 0.5}", ScheduleConfig::Linear { end: 0.0, warmup: 0.5 }),
        ("{name: cosine, end: 1}", ScheduleConfig::Cosine { end: 1.0, warmup: 0.0 }),
    ] {
        let spec = good(&format!("base: {{train: {{schedule: {text}}}}}"), &[]);
        assert_eq!(spec.trials()[0].config.train.schedule, want);
    }
}

/// The configuration of the first trial.
#[track_caller]
fn first(yaml: &str, sets: &[&str]) -> TrialConfig {
    good(yaml, sets).trials()[0].config.clone()
}

/// Labels of the trials of `yaml` under `sets`.
#[track_caller]
fn check(yaml: &str, sets: &[&str], want: &[&str]) {
    let spec = good(yaml, sets);
    assert_eq!(labels(&spec), want, "\n{yaml}\n{sets:?}");
}

#[test]
fn a_list_of_maps_varies_several_keys_together() {
    check(
        "
base: {quant: {weights: {method: uniform, bits: 8}, activations: {method: uniform, bits: 8}}}
axes:
  width:
    - {quant.weights.bits: 1, quant.activations.bits: 2}
    - {quant: {weights: {bits: 3}, activations: {method: float}}}
    - {train.epochs: 20}
",
        &[],
        &["uniform w1 a2 epochs=10", "uniform w3 a32 epochs=10", "uniform w8 a8 epochs=20"],
    );
}

#[test]
fn axes_do_not_depend_on_which_key_comes_first() {
    let base = "base: {quant: {weights: {method: uniform, bits: 2, per: channel}}}\n";
    let want = ["uniform w1 a32 per=channel", "uniform w2 a32 per=channel", "balanced w1 a32", "balanced w2 a32"];
    check(
        &format!("{base}axes: {{quant.weights.method: [uniform, balanced], quant.weights.bits: [1, 2]}}"),
        &[],
        &want,
    );
    let mut other: Vec<String> = labels(&good(
        &format!("{base}axes: {{quant.weights.bits: [1, 2], quant.weights.method: [uniform, balanced]}}"),
        &[],
    ))
    .into_iter()
    .map(str::to_owned)
    .collect();
    other.sort();
    let mut want = want.to_vec();
    want.sort_unstable();
    assert_eq!(other, want);
}

#[test]
fn another_method_never_keeps_the_options_of_the_last_one() {
    let base = "base: {quant: {weights: {method: balanced, bits: 2, threshold: mean}}}\n";
    // As a map: everything is replaced.
    check(
        &format!("{base}axes: {{quant.weights: [{{method: uniform, bits: 3}}, {{method: float}}]}}"),
        &[],
        &["uniform w3 a32", "float"],
    );
    // The same method as a map: replaced too.
    check(&format!("{base}axes: {{quant.weights: [{{method: balanced, bits: 3}}]}}"), &[], &["balanced w3 a32"]);
    // By name alone: the options go, the width stays where there is one to choose.
    check(
        &format!("{base}axes: {{quant.weights.method: [balanced, uniform, float, xnor]}}"),
        &[],
        &["balanced w2 a32 threshold=mean", "uniform w2 a32", "float", "xnor w1 a32"],
    );
    // A map without a name changes keys.
    check(
        &format!("{base}axes: {{quant.weights: [{{bits: 1}}, {{bits: 4}}]}}"),
        &[],
        &["balanced w1 a32 threshold=mean", "balanced w4 a32 threshold=mean"],
    );
}

#[test]
fn another_optimizer_starts_from_its_own_defaults() {
    let base = "base: {train: {optimizer: {name: adam, lr: 0.5}}}\n";
    let config = first(base, &["train.optimizer.name=sgd"]);
    assert_eq!(config.train.optimizer.lr(), 0.1);
    let config = first(base, &["train.optimizer.name=sgd", "train.optimizer.lr=0.2"]);
    assert_eq!(config.train.optimizer.lr(), 0.2);
    // The order of arguments does not matter.
    let config = first(base, &["train.optimizer.lr=0.2", "train.optimizer.name=sgd"]);
    assert_eq!(config.train.optimizer.lr(), 0.2);
    let config = first(base, &["train.optimizer.name=adam"]);
    assert_eq!(config.train.optimizer.lr(), 0.5);
}

#[test]
fn set_goes_over_base_axes_and_include() {
    let yaml = "
base: {train: {epochs: 3}}
axes:
  quant.weights: [{method: uniform, bits: 2}, {method: balanced, bits: 2}]
  train.seed: [0, 1]
include: [{train.seed: 5, train.epochs: 4}]
";
    check(yaml, &["quant.weights={method: float}", "train.epochs=7"], &["seed=0", "seed=1", "seed=5 epochs=7"]);
    check(yaml, &["train.seed=9"], &["uniform w2 a32", "balanced w2 a32", "float seed=9 epochs=4"]);
    check(yaml, &["axes.train.seed=[4]", "include=[]"], &["uniform w2 a32", "balanced w2 a32"]);
    // A key inside the maps of an axis is set in each of them.
    check(yaml, &["quant.weights.bits=1", "axes.train.seed=[0]", "include="], &["uniform w1 a32", "balanced w1 a32"]);
    // The last one wins.
    check(yaml, &["train.seed=1", "train.seed=2", "quant={weights: {method: float}}", "include=[]"], &["float"]);
    let spec = good(yaml, &["name=other", "train={epochs: 1, seed: 3}", "report.tables=[accuracy]"]);
    assert_eq!(spec.name, "other");
    assert_eq!(spec.report.tables.as_deref(), Some(&["accuracy".to_owned()][..]));
    assert!(spec.trials().iter().all(|t| t.config.train.epochs == 1 && t.config.train.seed == 3));
    assert!(spec.notes.iter().any(|note| note == "the axis `train.seed` is replaced by `--set`"), "{:?}", spec.notes);
}

#[test]
fn set_takes_any_yaml_value() {
    let value = |set: &str, key: &str| good("{}", &[set]).trials()[0].value(key).map(|v| v.to_string());
    for (set, key, want) in [
        ("dataset.root=/data/a=b", "dataset.root", Some("\"/data/a=b\"")),
        ("quant.keep_float=[]", "quant.keep_float", Some("[]")),
        ("train.clip_norm=null", "train.clip_norm", None),
        ("train.clip_norm=2", "train.clip_norm", Some("2.0")),
        ("train.optimizer.lr=1e-2", "train.optimizer.lr", Some("0.01")),
        ("train.seed=18446744073709551615", "train.seed", Some("18446744073709551615")),
        (" train.seed =4", "train.seed", Some("4")),
    ] {
        assert_eq!(value(set, key).as_deref(), want, "{set}");
    }
}

#[test]
fn exclude_matches_resolved_values_and_leaves_include_alone() {
    let yaml = "
axes:
  quant.weights: [{method: float}, {method: uniform, bits: 1}, {method: uniform, bits: 2}]
  train.seed: [0, 1]
";
    let all = labels(&good(yaml, &[])).len();
    assert_eq!(all, 6);
    for (exclude, left) in [
        ("{quant.weights.method: float}", 4),
        ("{quant.weights.bits: 1}", 4),
        ("{quant.weights.bits: null}", 4),
        ("{quant.weights: {method: uniform, bits: 1}, train.seed: 0}", 5),
        // Defaults count as if written.
        ("{quant.weights.per: tensor}", 2),
        ("{train.optimizer.lr: 0.001, train.seed: 1}", 3),
        ("{quant: {keep_float: [first, last]}, train: {seed: 1}}", 3),
        ("{train.seed: 1.0}", 3),
        ("{train.seed: 7}", 6),
    ] {
        assert_eq!(good(&format!("{yaml}exclude: [{exclude}]\n"), &[]).trials().len(), left, "{exclude}");
        let spec = good(&format!("{yaml}exclude: [{exclude}]\ninclude: [{{train.seed: 1}}, {{train.seed: 8}}]\n"), &[]);
        assert_eq!(spec.trials().last().unwrap().config.train.seed, 8);
    }
}

#[test]
fn include_merges_over_base() {
    let yaml = "
base: {quant: {weights: {method: balanced, bits: 2, threshold: mean}}}
include:
  - {quant: {weights: {method: balanced, bits: 3}}}
  - {quant.weights: {method: uniform, bits: 3}}
";
    let spec = good(yaml, &[]);
    let shown: Vec<String> =
        spec.trials().iter().map(|t| serde_json::to_string(&t.config.quant.weights).unwrap()).collect();
    assert!(shown[1].contains(r#""bits":3"#) && shown[1].contains(r#""threshold":"mean""#), "{}", shown[1]);
    assert!(shown[2].contains("uniform") && !shown[2].contains("threshold"), "{}", shown[2]);
    assert!(spec.trials()[1].axes.is_empty());
}

#[test]
fn the_same_trial_twice_runs_once_and_is_mentioned() {
    let spec = good("axes: {train.seed: [0, 1]}\ninclude: [{train.seed: 1}, {train: {epochs: 10}}]\n", &[]);
    assert_eq!(spec.trials().len(), 2);
    assert!(spec.notes[0].starts_with("2 of the combinations are the same trial"), "{:?}", spec.notes);
}

#[test]
fn extends_merges_over_the_file_below() {
    let folder = Folder::new().file(
        "top.yaml",
        "extends: sub/mid.yaml\nbase: {train: {epochs: 1}}\naxes: {train.seed: [7]}\nreport: {tables: []}\n",
    );
    std::fs::create_dir(folder.path("sub")).unwrap();
    let folder = folder
        .file("sub/mid.yaml", "extends: ../low.yaml\nname: mid\nbase: {quant: {weights: {method: uniform, bits: 3}}}\n")
        .file(
            "low.yaml",
            "
base:
  train: {epochs: 9, batch: 64, optimizer: {name: sgd, lr: 0.5}}
  quant: {weights: {method: balanced, bits: 2, threshold: mean}}
axes:
  train.seed: [0, 1, 2]
  train.limit: [10, 20]
exclude: [{train.limit: 20}]
report: {tables: [accuracy], figures: [accuracy_vs_bits]}
",
        );
    let spec = folder.read("top.yaml", &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.name, "top");
    assert_eq!(spec.trials().len(), 1);
    let config = &spec.trials()[0].config;
    assert_eq!((config.train.epochs, config.train.batch, config.train.seed), (1, 64, 7));
    assert_eq!(config.train.optimizer.lr(), 0.5);
    assert_eq!((config.quant.weights.method.as_str(), config.quant.weights.bits), ("uniform", Some(3)));
    assert_eq!(spec.report.tables.as_deref(), Some(&[][..]));
    assert_eq!(spec.report.figures.map(|f| f.len()), Some(1));
    assert_eq!(spec.axes.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["train.seed", "train.limit"]);
}

#[test]
fn the_table_of_a_paper_has_named_rows_and_columns() {
    let spec = good(
        "
axes:
  quant.weights: [{method: float}, {method: uniform, bits: 2}]
  train.seed: [0, 1]
report:
  paper:
    heads: [Weights, Method]
    rows:
      - {name: [32, float], where: {quant.weights.method: float}}
      - {name: [2, uniform], where: {quant.weights: {method: uniform, bits: 2}}}
      - {name: [3, uniform], where: {quant.weights: {method: uniform, bits: 3}}}
    columns:
      - {name: ours}
      - {name: theirs, value: top1_error, published: {dataset: imagenet, model: resnet18}}
",
        &[],
    );
    let paper = spec.report.paper.clone().unwrap();
    assert_eq!((paper.heads.len(), paper.rows.len(), paper.columns.len()), (2, 3, 2));
    assert_eq!(paper.value_of(&paper.rows[0], &paper.columns[0]), PaperValue::Top1);
    assert_eq!(paper.value_of(&paper.rows[0], &paper.columns[1]), PaperValue::Top1Error);
    let held = |row: usize| {
        let here = |trial: &&Trial| PaperLayout::holds(&paper.rows[row], &paper.columns[0], &trial.config);
        spec.trials().iter().filter(here).count()
    };
    assert_eq!([0, 1, 2].map(held), [2, 2, 0]);
    assert_eq!(spec.notes, ["the row `3, uniform` of `report.paper` fits no trial"]);
}

#[test]
fn variables_are_needed_only_where_a_trial_uses_them() {
    let yaml = "
axes:
  dataset: [{name: digits}, {name: mnist, root: '${MNIST_DIR}/raw'}]
";
    let set = Folder::new().file("sweep.yaml", yaml).variable("MNIST_DIR", "/data");
    let spec = set.read("sweep.yaml", &[]).unwrap();
    assert_eq!(labels(&spec), ["digits", "mnist"]);
    assert_eq!(spec.trials()[1].value("dataset.root").unwrap(), "/data/raw");
    let unset = Folder::new().file("sweep.yaml", yaml);
    assert!(unset.error("sweep.yaml", &[]).contains("`MNIST_DIR` is not set"));
    assert_eq!(unset.read("sweep.yaml", &["dataset={name: digits}"]).unwrap().trials().len(), 1);
    assert_eq!(unset.read("sweep.yaml", &["exclude=[{dataset.name: mnist}]"]).unwrap().trials().len(), 1);
    assert_eq!(unset.read("sweep.yaml", &["dataset.root=/d"]).unwrap().trials().len(), 2);
}

#[test]
fn dollars_without_braces_are_characters() {
    for (text, want) in
        [("$HOME/x", "$HOME/x"), ("a$$b", "a$$b"), ("$${A}", "${A}"), ("${A}${A}", "vv"), ("x${A}y", "xvy")]
    {
        let folder = Folder::new()
            .file("s.yaml", format!("base: {{dataset: {{name: mnist, root: '{text}'}}}}"))
            .variable("A", "v");
        let spec = folder.read("s.yaml", &[]).unwrap();
        assert_eq!(spec.trials()[0].value("dataset.root").unwrap(), want);
    }
}

#[test]
fn words_like_off_and_no_are_words() {
    let yaml = "base: {quant: {weights: {method: stochastic, bits: 1, average: off, tag: no}}}";
    let config = first(yaml, &[]);
    assert_eq!(config.quant.weights.options.text("average"), "off");
    assert_eq!(config.quant.weights.options.text("tag"), "no");
}

#[test]
fn anchors_and_merge_keys_work() {
    let yaml = "
base:
  quant:
    weights: &w {method: uniform, bits: 2}
    activations: *w
    gradients: {<<: *w, bits: 6}
";
    check(yaml, &[], &["uniform w2 a2 g6"]);
}

#[test]
fn a_byte_order_mark_is_no_key() {
    check("\u{feff}name: a\nbase: {}\n", &[], &["float"]);
}

#[test]
fn an_error_found_later_is_shown_at_the_key_of_the_trial() {
    let folder =
        Folder::new().file("s.yaml", "base:\n  dataset: {name: mnist, root: /none}\naxes: {train.seed: [1]}\n");
    let spec = folder.read("s.yaml", &[]).unwrap();
    let trial = &spec.trials()[0];
    let shown = spec.error_at(trial, "dataset.root", "no such folder", Some("make it")).to_string();
    assert!(shown.contains("s.yaml:2:32: no such folder\n") && shown.ends_with("hint: make it"), "{shown}");
    // A key that was not given: the nearest thing around it.
    let shown = spec.error_at(trial, "dataset.normalize", "odd", None).to_string();
    assert!(shown.contains("s.yaml:2:12: odd"), "{shown}");
    let spec = folder.read("s.yaml", &["dataset.root=/other"]).unwrap();
    let shown = spec.error_at(&spec.trials()[0], "dataset.root", "no such folder", None).to_string();
    assert!(shown.starts_with("--set dataset.root=/other: no such folder"), "{shown}");
}

#[test]
fn filters_of_the_command_line_match_like_exclude() {
    let spec = good(QUICKSTART, &[]);
    let count = |argument: &str| {
        let filter = Filter::parse(argument, &catalog()).unwrap();
        spec.trials().iter().filter(|trial| filter.matches(&trial.config)).count()
    };
    assert_eq!(count("train.seed=1"), 3);
    assert_eq!(count("quant.weights.method=uniform"), 3);
    assert_eq!(count("quant.weights={method: balanced, bits: 2}"), 3);
    assert_eq!(count("quant.weights.bits=null"), 3);
    let shown = Filter::parse("train.sed=1", &catalog()).unwrap_err().to_string();
    assert!(shown.starts_with("--filter train.sed=1: unknown key `train.sed`"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The reference is three nested loops.
    #[test]
    fn the_grid_is_every_combination_in_order(
        seeds in proptest::collection::btree_set(0_u64..1000, 1..5),
        batches in proptest::collection::btree_set(1_u32..1000, 1..4),
        epochs in proptest::collection::btree_set(1_u32..1000, 1..4),
    ) {
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let yaml = format!(
            "axes:\n  train.seed: {}\n  train.batch: {}\n  cell: {}\n",
            list(seeds.iter().map(u64::to_string).collect()),
            list(batches.iter().rev().map(u32::to_string).collect()),
            list(epochs.iter().map(|e| format!("{{train: {{epochs: {e}}}, train.limit: {e}}}")).collect()),
        );
        let mut want = Vec::new();
        for seed in &seeds {
            for batch in batches.iter().rev() {
                for epoch in &epochs {
                    want.push((*seed, *batch, *epoch, Some(u64::from(*epoch))));
                }
            }
        }
        let spec = good(&yaml, &[]);
        prop_assert_eq!(spec.trials().len(), seeds.len() * batches.len() * epochs.len());
        let got: Vec<_> = spec.trials().iter().map(|t| &t.config.train).map(|t| (t.seed, t.batch, t.epochs, t.limit)).collect();
        prop_assert_eq!(got, want);
        let mut ids: Vec<&str> = spec.trials().iter().map(|t| t.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), spec.trials().len());
    }

    /// Whatever the bytes, the answer is a sweep or an error, never a panic or a long wait.
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = crate::support::read(bytes, &[]).map_err(|error| error.to_string());
    }

    /// The same for text that looks like a sweep.
    #[test]
    fn any_text_of_yaml_characters_is_answered(
        text in "(base|axes|train|quant|name|include|[a-z.]{1,6}|[0-9.]{1,4}|[-:{}\\[\\]&*,?!|>'\"%@$ \n#]){0,40}",
    ) {
        let _ = crate::support::read(text, &[]).map_err(|error| error.to_string());
    }
}
