//! Networks quantized after training: `train.epochs: 0` with `train.init` and `train.calibrate`.

use serde_json::Value;

use crate::support::{Workplace, numbers, wait_until};

const SWEEP: &str = "\
name: after
base:
  dataset: {name: digits}
  model: {name: lenet, variant: small}
  train: {epochs: 2, batch: 64, optimizer: {name: sgd, lr: 0.1}}
  quant: {keep_float: []}
axes:
  cell:
    - {train.epochs: 2}
";

/// What each further trial has, all from the network of the first one.
fn sweep(cells: &[&str]) -> Workplace {
    let cell = |cell: &&str| format!("    - {{train.epochs: 0, train.init: {{trial: {{train.epochs: 2}}}}, {cell}}}\n");
    Workplace::new(&(SWEEP.to_owned() + &cells.iter().map(cell).collect::<String>()))
}

/// The record of each trial in the order of the file.
fn records(workplace: &Workplace) -> Vec<Value> {
    let (plan, code) = workplace.sweep(&["--dry-run"]);
    assert_eq!(code, 0, "{plan}");
    let (summary, code) = workplace.sweep(&[]);
    assert_eq!(code, 0, "{summary}");
    let all = workplace.records("after");
    let of = |trial: &Value| all.iter().find(|record| record["id"] == trial["id"]).unwrap().clone();
    plan["trials"].as_array().unwrap().iter().map(of).collect()
}

const W4A4: &str = "quant.weights: {method: uniform, bits: 4}, quant.activations: {method: uniform, bits: 4}";
const W2A2: &str = "quant.weights: {method: least-squares, bits: 2}, quant.activations: {method: lsq, bits: 2}";

#[test]
fn a_network_is_evaluated_as_it_was_trained_and_quantized_as_asked() {
    let calibrated = |quant: &str, how: &str| format!("{quant}, train.calibrate: {{images: 300, {how}}}");
    let cells = [
        "train.threads: 1".to_owned(),
        W4A4.to_owned(),
        calibrated(W4A4, "batch_norm: false, activations: max"),
        calibrated(W4A4, "batch_norm: false, activations: percentile, percentile: 90"),
        calibrated(W4A4, "batch_norm: false, activations: mse"),
        calibrated(W4A4, "activations: mse"),
        calibrated(W2A2, "activations: mse"),
    ];
    let workplace = sweep(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    let records = records(&workplace);
    let [trained, same, rest @ ..] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!(trained["metrics"], same["metrics"], "the same network gives the same numbers");
    assert_eq!(trained["answers"], same["answers"]);
    assert_eq!((same["epochs"].as_array().unwrap().len(), &same["status"]), (0, &"ok".into()));
    let losses: Vec<f64> = rest.iter().map(|record| record["metrics"]["loss"].as_f64().unwrap()).collect();
    for (i, loss) in losses.iter().enumerate() {
        assert!(
            loss.is_finite() && !losses[..i].contains(loss),
            "every way to calibrate gives other numbers: {losses:?}"
        );
    }
    let top1 = |record: &Value| record["metrics"]["top1"].as_f64().unwrap();
    assert!(top1(&rest[4]) > 0.5, "4 bits are enough for most of the digits: {records:?}");
    for (trial, record) in workplace.trials("after").iter().zip(workplace.records("after")) {
        let eval: Value =
            serde_json::from_str(&workplace.run(&["eval", trial.to_str().unwrap(), "--json"]).stdout).unwrap();
        assert_eq!(eval["reproduced"], true, "{record}");
    }
    let report = workplace.run(&["report", "sweep.yaml"]);
    assert_eq!(report.code, 0, "{report:?}");
    // A second start has nothing to do.
    let (again, code) = workplace.sweep(&[]);
    assert!(code == 0 && again["trials"].as_array().unwrap().iter().all(|trial| trial["ran"] == false), "{again}");
}

/// The ranges are set before the first step, and not again after an interruption.
#[test]
fn a_calibrated_training_resumes_to_the_same_numbers() {
    let text = SWEEP.split("axes:").next().unwrap().replace("epochs: 2", "epochs: 2, calibrate: {images: 100}")
        + "  quant.weights: {method: lsq, bits: 2}\n  quant.activations: {method: pact, bits: 3}\n";
    let undisturbed = Workplace::new(&text);
    assert_eq!(undisturbed.sweep(&[]).1, 0);
    let expected: Vec<Value> = undisturbed.records("after").iter().map(numbers).collect();
    let plain = Workplace::new(&text.replace(", calibrate: {images: 100}", ""));
    assert_eq!(plain.sweep(&[]).1, 0);
    assert_ne!(plain.records("after")[0]["metrics"], expected[0]["metrics"], "it starts from other ranges");
    let workplace = Workplace::new(&text);
    let mut sweep = workplace.start_held("held", 30, &["sweep", "sweep.yaml"]);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    wait_until("the trial can be claimed", || workplace.sweep(&[]).1 == 0);
    let records = workplace.records("after");
    assert_eq!(records[0]["time"]["resumed"], 1);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
}

#[test]
fn what_cannot_be_calibrated_is_refused_with_its_place() {
    let base = |train: &str| format!("name: after\nbase:\n  dataset: {{name: digits}}\n  train: {train}\n");
    let text = "name: after\nbase:\n  dataset: {name: synthetic-text}\n  model: {name: lstm}\n  train: {calibrate: {images: 5}}\n";
    let rows: &[(String, &str, &str)] = &[
        (base("{epochs: 0}"), "4:19", "there is no `train.init` to evaluate"),
        (base("{epochs: -1}"), "4:19", "at least 0"),
        (base("{calibrate: 100}"), "4:22", "expected a map such as"),
        (base("{calibrate: {images: 0}}"), "4:31", "`train.calibrate.images` is `0`"),
        (base("{calibrate: {image: 9}}"), "4:23", "did you mean `images`?"),
        (base("{calibrate: {activations: min}}"), "4:36", "`max`"),
        (base("{calibrate: {activations: percentile, percentile: 30}}"), "4:60", "from 50 to 100"),
        (base("{calibrate: {batch_norm: 1}}"), "4:35", "true or false"),
        (text.to_owned(), "5:22", "the data set holds text"),
    ];
    for (sweep, place, part) in rows {
        let workplace = Workplace::new(sweep);
        let ran = workplace.run(&["sweep", "sweep.yaml", "--dry-run"]);
        assert!(ran.code == 2 && ran.stderr.contains(&format!("sweep.yaml:{place}: ")), "{sweep} {ran:?}");
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}
