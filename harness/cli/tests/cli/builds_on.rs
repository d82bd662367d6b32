//! Trials that build on other trials of their sweep: on their networks as first weights, or as teachers.

use crate::support::Workplace;
use serde_json::{Value, json};

/// The trial that comes first stands last, and runs longer, so that order and waiting matter.
const STUDENTS: &str = "\
name: students
base:
  dataset: {name: digits}
  model: {name: lenet, variant: small}
  train: {epochs: 1, batch: 64, optimizer: {name: adam, lr: 1.0e-3}}
axes:
  cell:
    - quant.weights: {method: lsq, bits: 3}
      train.init: {trial: {quant.weights.method: float, train.seed: same}}
    - quant.weights: {method: dorefa, bits: 2}
      train.distill: {teacher: {quant.weights.method: float, train.seed: same}, alpha: 0.9, temperature: 4}
    - quant.weights: {method: dorefa, bits: 2}
    - {quant.weights: {method: float}, train.epochs: 4}
  train.seed: [0]
";

fn by_label<'a>(summary: &'a Value, part: &str) -> &'a Value {
    let trials = summary["trials"].as_array().unwrap();
    trials.iter().find(|trial| trial["label"].as_str().unwrap().contains(part)).unwrap_or_else(|| panic!("{summary}"))
}

#[test]
fn what_a_trial_builds_on_runs_before_it_and_helps() {
    let workplace = Workplace::new(STUDENTS);
    let (summary, code) = workplace.sweep(&["--jobs", "2"]);
    assert_eq!((code, &summary["counts"]["ok"]), (0, &json!(4)), "{summary}");
    let top1 = |part: &str| by_label(&summary, part)["metrics"]["top1"].as_f64().unwrap();
    let (float, alone) = (top1("float"), top1("dorefa w2 a32 epochs=1"));
    // One epoch from random weights is far from four; one epoch from the float network's is not.
    assert!(alone < float - 0.03, "alone {alone}, float {float}");
    assert!(top1("initialised") > alone + 0.02, "initialised {}, alone {alone}", top1("initialised"));
    let loss = |part: &str| by_label(&summary, part)["metrics"]["loss"].as_f64().unwrap();
    assert_ne!(loss("distilled"), loss("dorefa w2 a32 epochs=1"), "the teacher says something");
    // A student alone brings its teacher along; all is there already.
    let (again, code) = workplace.sweep(&["--filter", "quant.weights.method=lsq"]);
    assert_eq!((code, again["trials"].as_array().unwrap().len()), (0, 2), "{again}");
    assert!(again["trials"].as_array().unwrap().iter().all(|trial| trial["ran"] == false));
}

#[test]
fn what_builds_on_a_trial_that_fails_is_blocked() {
    let workplace = Workplace::new(STUDENTS);
    // The float trial alone gets a learning rate that destroys it.
    let axes = "axes.cell=[\
        {quant.weights: {method: lsq, bits: 3}, train.init: {trial: {quant.weights.method: dorefa, train.seed: same}}}, \
        {quant.weights: {method: dorefa, bits: 2}, train.init: {trial: {quant.weights.method: float, train.seed: same}}}, \
        {quant.weights: {method: uniform, bits: 2}}, \
        {quant.weights: {method: float}, train.optimizer: {name: sgd, lr: 1.0e+30}}]";
    let (summary, code) = workplace.sweep(&["--set", axes]);
    assert_eq!(code, 1, "{summary}");
    let counts = &summary["counts"];
    assert_eq!(
        (&counts["ok"], &counts["diverged"], &counts["blocked"]),
        (&json!(1), &json!(1), &json!(2)),
        "{summary}"
    );
    assert_eq!(by_label(&summary, "float")["error"]["class"], "nan");
    let blocked = by_label(&summary, "dorefa");
    assert_eq!(blocked["status"], "blocked");
    let reason = blocked["blocked"].as_str().unwrap();
    assert!(reason.starts_with("it builds on `float") && reason.ends_with("which failed (nan)"), "{reason}");
    assert!(by_label(&summary, "lsq")["blocked"].as_str().unwrap().contains("is blocked itself"));
    // The next start knows it beforehand.
    let (plan, _) = workplace.sweep(&["--set", axes, "--dry-run"]);
    let words: Vec<&str> =
        plan["trials"].as_array().unwrap().iter().map(|trial| trial["decision"].as_str().unwrap()).collect();
    assert_eq!(words, ["blocked", "blocked", "skip", "skip"]);
    let ran = workplace.run(&["sweep", "sweep.yaml", "--set", axes]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("2 blocked"), "{ran:?}");
}

#[test]
fn hours_of_a_gpu_are_estimated_before_anything_runs() {
    let workplace = Workplace::new(STUDENTS);
    let ran = workplace.run(&["sweep", "sweep.yaml", "--dry-run", "--gpu", "A100"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("GPU h") && ran.stdout.contains("GPU hours on one a100: an estimate, 30%"), "{ran:?}");
    let (plan, _) = workplace.sweep(&["--dry-run", "--gpu", "t4"]);
    for trial in plan["trials"].as_array().unwrap() {
        let (hours, flops) = (trial["gpu_hours"].as_f64().unwrap(), trial["work"]["flops"].as_f64().unwrap());
        assert!((hours - flops / (0.3 * 8.1e12) / 3600.0).abs() < 1e-12 * hours.max(1.0), "{trial}");
    }
    let work = |part: &str| by_label(&plan, part)["work"]["flops"].as_f64().unwrap();
    assert!(work("distilled") > work("dorefa w2 a32 epochs=1"), "a teacher works, too");
    let ran = workplace.run(&["sweep", "sweep.yaml", "--dry-run", "--gpu", "abacus"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("expected one of t4, v100"), "{ran:?}");
}
