//! Sweep files that cannot run: exit code 2, the place, what would be right, and nothing written.

use std::fs;

use crate::support::{TINY, Workplace};

/// Checks one file. `at` is the text that the error points at, where it stands last in the file; empty where the error
/// has no place.
fn check(bytes: &[u8], at: &str, parts: &[&str]) {
    let place = if at.is_empty() { String::new() } else { place(std::str::from_utf8(bytes).unwrap(), at) };
    let workplace = Workplace::new("");
    fs::write(workplace.path("sweep.yaml"), bytes).unwrap();
    let ran = workplace.run(&["sweep", "sweep.yaml"]);
    let shown = format!("{}\n{ran:?}", String::from_utf8_lossy(bytes));
    assert_eq!(ran.code, 2, "{shown}");
    if !place.is_empty() {
        assert!(ran.stderr.contains(&format!("sweep.yaml:{place}")), "{place}\n{shown}");
    }
    for part in parts {
        assert!(ran.stderr.contains(part), "{part}\n{shown}");
    }
    assert!(ran.stdout.is_empty(), "{shown}");
    assert!(!workplace.path("runs").exists(), "{shown}");
}

/// `line:column` of the last `at` in `text`, both from 1.
fn place(text: &str, at: &str) -> String {
    let before = &text[..text.rfind(at).unwrap()];
    let line = before.matches('\n').count() + 1;
    format!("{line}:{}", before.chars().rev().take_while(|&c| c != '\n').count() + 1)
}

#[test]
fn mistakes_are_shown_at_their_place_with_a_hint() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("bass: {}\n", "bass", &["bass", "base"]),
        ("base:\n  trian: {epochs: 1}\n", "trian", &["train"]),
        ("base:\n  train: {epochs: ten}\n", "ten", &["epochs"]),
        ("base:\n  train: {epochs: 0}\n", "0", &["epochs", "1"]),
        ("base:\n  train: {batch: -3}\n", "-3", &["batch"]),
        ("base:\n  train: {optimizer: {name: sgd, lr: .nan}}\n", ".nan", &["lr"]),
        ("base:\n  train: {optimizer: {name: sgdd}}\n", "sgdd", &["`sgd`"]),
        ("base:\n  train: {optimizer: {name: sgd, betas: [0.9, 0.99]}}\n", "betas", &["betas"]),
        ("base:\n  train: {schedule: {name: cosin}}\n", "cosin", &["cosine"]),
        ("base:\n  quant:\n    weights: {method: dorfa, bits: 2}\n", "dorfa", &["dorefa"]),
        ("base:\n  quant:\n    weights: {method: dorefa, bits: 9}\n", "9", &["bits", "8"]),
        ("base:\n  quant:\n    weights: {method: dorefa}\n", "dorefa", &["bits"]),
        ("base:\n  quant:\n    weights: {method: float, bits: 4}\n", "bits", &["float"]),
        ("base:\n  quant:\n    weights: {method: uniform, bits: 2, per: chanel}\n", "chanel", &["channel"]),
        ("base:\n  quant:\n    weights: {method: uniform, bits: 2, range: 7}\n", "7", &["symmetric"]),
        ("base:\n  quant:\n    gradients: {method: uniform, bits: 8}\n", "uniform", &["gradient"]),
        ("base:\n  quant: {keep_float: 3}\n", "3", &["keep_float"]),
        ("base:\n  model: {name: lenat}\n", "lenat", &["lenet"]),
        ("base:\n  dataset: {name: digit}\n", "digit", &["digits"]),
        ("axes:\n  train.seed: []\n", "[]", &["train.seed"]),
        ("axes:\n  train.seeds: [1]\n", "train.seeds", &["train.seed"]),
        ("base: {train: {epochs: 1, epochs: 2}}\n", "epochs", &["epochs"]),
        ("base: {train: {epochs: 1}\n", "", &["sweep.yaml:"]),
        ("report: {tables: [accurcy]}\n", "accurcy", &["accuracy"]),
        ("name: ../up\n", "../up", &["name"]),
        ("extends: absent.yaml\n", "absent.yaml", &["absent.yaml"]),
        ("", "", &["sweep.yaml"]),
        ("exclude: [{quant.weights.method: float}]\n", "", &["exclude"]),
    ];
    for (text, at, parts) in rows {
        check(text.as_bytes(), at, parts);
    }
}

#[test]
fn what_only_the_data_or_the_network_can_tell_is_shown_at_its_place_too() {
    check(b"base:\n  dataset: {name: fashion-mnist, root: nowhere}\n", "nowhere", &["dataset.root"]);
    check(b"base:\n  dataset: {name: fashion-mnist}\n", "{", &["dataset.root"]);
    check(b"base:\n  dataset: {name: mnist, root: \"${NO_SUCH_VARIABLE}\"}\n", "\"$", &["NO_SUCH_VARIABLE"]);
    check(b"base:\n  quant: {keep_float: [conv9]}\n", "[", &["conv9", "`conv1`"]);
    check(b"base:\n  dataset: {name: synthetic, height: 4, width: 4}\n  model: {name: vgg9}\n", "{", &["too small"]);
    check(
        b"base:\n  quant:\n    activations: {method: uniform, bits: 2, per: channel}\n",
        "",
        &["inside a dot product"],
    );
}

#[test]
fn hostile_files_are_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let alias = format!("*a{}", i - 1);
        bomb += &format!("a{i}: &a{i} [{}]\n", [alias.as_str(); 9].join(", "));
    }
    check(bomb.as_bytes(), "", &["sweep.yaml"]);
    check(b"name: \xff\xfe\n", "", &["UTF-8"]);
    check(&b"[".repeat(20_000), "", &["sweep.yaml"]);
    check(b"name: a\n---\nname: b\n", "", &["sweep.yaml"]);
}

#[test]
fn bad_arguments_are_refused() {
    let workplace = Workplace::new(TINY);
    let rows: &[(&[&str], &str)] = &[
        (&["sweep", "absent.yaml"], "absent.yaml"),
        (&["sweep", "sweep.yaml", "--set", "train.epoch=3"], "epochs"),
        (&["sweep", "sweep.yaml", "--set", "train.epochs=none"], "--set"),
        (&["sweep", "sweep.yaml", "--set", "train"], "="),
        (&["sweep", "sweep.yaml", "--filter", "train.sed=1"], "train.seed"),
        (&["sweep", "sweep.yaml", "--device", "tpu"], "tpu"),
        (&["sweep", "sweep.yaml", "--jobs", "0"], "0"),
        (&["sweep", "sweep.yaml", "--executor", "cloud"], "local"),
        (&["swep"], "sweep"),
        (&["bench", "--suite", "methods"], "--training"),
        (&["bench", "--bits", "w9a1"], "w9a1"),
    ];
    for (arguments, part) in rows {
        let ran = workplace.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(part), "{arguments:?}: {ran:?}");
        assert!(!workplace.path("runs").exists());
    }
}
