//! Every key of `train` changes something that a trial leaves behind: a key that nobody reads would not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Workplace, numbers};

const SWEEP: &str = "\
name: keys
base:
  dataset: {name: synthetic, channels: 1, height: 8, width: 8, classes: 10, train: 120, test: 60, noise: 0.3}
  model: {name: lenet, variant: small}
  train: {epochs: 2, batch: 20, optimizer: {name: sgd, lr: 0.05}}
axes:
  cell:
";

/// A trial on a text, in the place of one on images.
const TEXT: &str = "dataset: {name: synthetic-text, vocabulary: 20, train: 300, validation: 60, test: 60}, \
                    model: {name: lstm, hidden: 8}";

/// A trial with ranges to calibrate.
const QUANT: &str = "quant.activations: {method: uniform, bits: 2}";

/// A key, and what two trials have that must not come out the same.
const CASES: &[(&str, &str, &str)] = &[
    ("epochs", "train.epochs: 2", "train.epochs: 3"),
    ("batch", "train.epochs: 2", "train.batch: 30"),
    ("clip_norm", "train.epochs: 2", "train.clip_norm: 0.01"),
    ("label_smoothing", "train.epochs: 2", "train.label_smoothing: 0.2"),
    ("seed", "train.epochs: 2", "train.seed: 1"),
    ("threads", "train.epochs: 2", "train.threads: 2"),
    ("restarts", "train.epochs: 2", "train.restarts: 2"),
    ("limit", "train.epochs: 2", "train.limit: 60"),
    ("limit_test", "train.epochs: 2", "train.limit_test: 20"),
    ("accumulate", "train.epochs: 2", "train.accumulate: 2"),
    ("ema", "train.epochs: 2", "train.ema: 0.5"),
    ("amp", "train.epochs: 2", "train.amp: bf16"),
    ("bptt", "TEXT, train.bptt: 4", "TEXT, train.bptt: 8"),
    ("init", "train.epochs: 2", "train.init: {trial: {train.epochs: 3}}"),
    ("calibrate.images", "QUANT, train.calibrate: {images: 20}", "QUANT, train.calibrate: {images: 40}"),
    (
        "calibrate.batch_norm",
        "QUANT, train.calibrate: {images: 20}",
        "QUANT, train.calibrate: {images: 20, batch_norm: false}",
    ),
    (
        "calibrate.activations",
        "QUANT, train.calibrate: {images: 20}",
        "QUANT, train.calibrate: {images: 20, activations: max}",
    ),
    (
        "calibrate.percentile",
        "QUANT, train.calibrate: {images: 20, activations: percentile}",
        "QUANT, train.calibrate: {images: 20, activations: percentile, percentile: 90}",
    ),
    ("distill.teacher", "train.epochs: 2", "train.distill: {teacher: {train.epochs: 3}}"),
    (
        "distill.alpha",
        "train.distill: {teacher: {train.epochs: 3}}",
        "train.distill: {teacher: {train.epochs: 3}, alpha: 0.5}",
    ),
    (
        "distill.temperature",
        "train.distill: {teacher: {train.epochs: 3}}",
        "train.distill: {teacher: {train.epochs: 3}, temperature: 3}",
    ),
    ("optimizer.sgd.lr", "train.epochs: 2", "train.optimizer: {name: sgd, lr: 0.04}"),
    ("optimizer.sgd.momentum", "train.epochs: 2", "train.optimizer: {name: sgd, lr: 0.05, momentum: 0.5}"),
    ("optimizer.sgd.nesterov", "train.epochs: 2", "train.optimizer: {name: sgd, lr: 0.05, nesterov: true}"),
    ("optimizer.sgd.weight_decay", "train.epochs: 2", "train.optimizer: {name: sgd, lr: 0.05, weight_decay: 0.1}"),
    ("optimizer.adam.lr", "train.optimizer: {name: adam}", "train.optimizer: {name: adam, lr: 0.01}"),
    ("optimizer.adam.betas", "train.optimizer: {name: adam}", "train.optimizer: {name: adam, betas: [0.5, 0.9]}"),
    ("optimizer.adam.eps", "train.optimizer: {name: adam}", "train.optimizer: {name: adam, eps: 0.1}"),
    (
        "optimizer.adam.weight_decay",
        "train.optimizer: {name: adam}",
        "train.optimizer: {name: adam, weight_decay: 0.1}",
    ),
    ("optimizer.adamw.lr", "train.optimizer: {name: adamw}", "train.optimizer: {name: adamw, lr: 0.01}"),
    ("optimizer.adamw.betas", "train.optimizer: {name: adamw}", "train.optimizer: {name: adamw, betas: [0.5, 0.9]}"),
    ("optimizer.adamw.eps", "train.optimizer: {name: adamw}", "train.optimizer: {name: adamw, eps: 0.1}"),
    (
        "optimizer.adamw.weight_decay",
        "train.optimizer: {name: adamw}",
        "train.optimizer: {name: adamw, weight_decay: 0.5}",
    ),
    ("schedule.constant.warmup", "train.epochs: 2", "train.schedule: {name: constant, warmup: 1}"),
    ("schedule.step.every", "train.schedule: {name: step, every: 1}", "train.schedule: {name: step, every: 2}"),
    (
        "schedule.step.gamma",
        "train.schedule: {name: step, every: 1}",
        "train.schedule: {name: step, every: 1, gamma: 0.5}",
    ),
    (
        "schedule.step.warmup",
        "train.schedule: {name: step, every: 1}",
        "train.schedule: {name: step, every: 1, warmup: 1}",
    ),
    (
        "schedule.multi-step.milestones",
        "train.schedule: {name: multi-step, milestones: [1]}",
        "train.schedule: {name: multi-step, milestones: [2]}",
    ),
    (
        "schedule.multi-step.gamma",
        "train.schedule: {name: multi-step, milestones: [1]}",
        "train.schedule: {name: multi-step, milestones: [1], gamma: 0.5}",
    ),
    (
        "schedule.multi-step.warmup",
        "train.schedule: {name: multi-step, milestones: [1]}",
        "train.schedule: {name: multi-step, milestones: [1], warmup: 1}",
    ),
    ("schedule.linear.end", "train.schedule: {name: linear}", "train.schedule: {name: linear, end: 0.5}"),
    ("schedule.linear.warmup", "train.schedule: {name: linear}", "train.schedule: {name: linear, warmup: 1}"),
    ("schedule.cosine.end", "train.schedule: {name: cosine}", "train.schedule: {name: cosine, end: 0.5}"),
    ("schedule.cosine.warmup", "train.schedule: {name: cosine}", "train.schedule: {name: cosine, warmup: 1}"),
];

/// Keys whose effect no record on a CPU shows, and where it is tested.
const ELSEWHERE: &[(&str, &str)] = &[
    ("deterministic", "only CUDA has algorithms that are not deterministic"),
    ("checkpoint_every", "changes no number; tests of killed trials find the checkpoints inside an epoch"),
];

/// All keys below `train`, as the schema has them: `batch`, `optimizer.sgd.lr`, `distill.alpha`.
fn keys() -> BTreeSet<String> {
    let schema = Workplace::new("").run(&["schema"]);
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    let train = &schema["$defs"]["config"]["properties"]["train"]["properties"];
    let mut keys = BTreeSet::new();
    for (name, doc) in train.as_object().unwrap() {
        match name.as_str() {
            "optimizer" | "schedule" => {
                for variant in doc["anyOf"].as_array().unwrap() {
                    let fields = variant["properties"].as_object().unwrap();
                    // One of the forms changes keys of the variant that `base` chose; it has no name.
                    let Some(of) = fields.get("name").and_then(|name| name["const"].as_str()) else { continue };
                    keys.extend(fields.keys().filter(|field| *field != "name").map(|f| format!("{name}.{of}.{f}")));
                }
            }
            "distill" | "calibrate" => {
                keys.extend(doc["properties"].as_object().unwrap().keys().map(|field| format!("{name}.{field}")));
            }
            _ => {
                keys.insert(name.clone());
            }
        }
    }
    keys
}

#[test]
fn every_key_of_a_training_is_read() {
    let tried = CASES.iter().map(|case| case.0).chain(ELSEWHERE.iter().map(|(key, _)| *key));
    assert_eq!(tried.map(str::to_owned).collect::<BTreeSet<_>>(), keys(), "every key has a case, and every case a key");

    let mut cells: Vec<&str> = Vec::new();
    for cell in CASES.iter().flat_map(|&(_, before, after)| [before, after]) {
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    let lines = cells.iter().map(|cell| format!("    - {{{}}}\n", cell.replace("TEXT", TEXT).replace("QUANT", QUANT)));
    let workplace = Workplace::new(&(SWEEP.to_owned() + &lines.collect::<String>()));
    let (plan, code) = workplace.sweep(&["--dry-run"]);
    assert_eq!(code, 0, "{plan}");
    let ids: Vec<&str> = plan["trials"].as_array().unwrap().iter().map(|trial| trial["id"].as_str().unwrap()).collect();
    let (summary, code) = workplace.sweep(&[]);
    assert_eq!(code, 0, "{summary}");
    assert_eq!(ids.len(), cells.len(), "no two cells are the same trial");
    let records = workplace.records("keys");
    let outcome = |cell: &str| {
        let id = ids[cells.iter().position(|known| *known == cell).unwrap()];
        let record = records.iter().find(|record| record["id"] == id).unwrap();
        let mut seen = numbers(record);
        let object = seen.as_object_mut().unwrap();
        object.retain(|key, _| !["id", "config", "seed"].contains(&key.as_str()));
        json!([seen, record["environment"]["threads"]])
    };
    let idle: Vec<&str> =
        CASES.iter().filter(|(_, before, after)| outcome(before) == outcome(after)).map(|case| case.0).collect();
    assert!(idle.is_empty(), "these keys change nothing: {idle:?}");
}
