//! Sweeps that are killed, shared and broken.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Ran, Workplace, numbers, wait_until};

/// One trial of some seconds: long enough to be killed in the middle.
const SLOW: &str = "\
name: slow
base:
  dataset: {name: synthetic, channels: 1, height: 16, width: 16, train: 1500, test: 100, noise: 0.5}
  model: {name: lenet}
  train: {epochs: 6, batch: 50, optimizer: {name: adam, lr: 1.0e-3}, schedule: {name: cosine}, clip_norm: 5.0}
  quant:
    weights: {method: dorefa, bits: 2}
    activations: {method: uniform, bits: 4}
    gradients: {method: dorefa, bits: 6}
";

fn undisturbed(sweep: &str) -> Vec<Value> {
    let workplace = Workplace::new(sweep);
    let (_, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    workplace.records("slow").iter().map(numbers).collect()
}

/// Waits until the only trial has a checkpoint.
fn wait_for_checkpoint(workplace: &Workplace) {
    wait_until("there is a checkpoint", || {
        workplace.trials("slow").first().is_some_and(|trial| trial.join("state.json").exists())
    });
}

#[test]
fn killed_in_the_middle_it_goes_on_to_the_same_numbers() {
    let expected = undisturbed(SLOW);
    let workplace = Workplace::new(SLOW);
    for _ in 0..2 {
        let mut sweep = workplace.start(&["sweep", "sweep.yaml"]);
        wait_for_checkpoint(&workplace);
        sweep.kill().unwrap();
        sweep.wait().unwrap();
    }
    assert!(!workplace.trials("slow")[0].join("record.json").exists(), "it was killed too late to show anything");
    // The worker ends by itself once it sees that the sweep is dead; until then the trial is its own.
    wait_until("the trial can be claimed", || workplace.sweep(&["--dry-run"]).0["trials"][0]["decision"] == "resume");
    let (_, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    let records = workplace.records("slow");
    assert!(records[0]["time"]["resumed"].as_u64().unwrap() >= 1, "{}", records[0]["time"]);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
}

/// The same with all that a checkpoint can hold, and one long epoch at a time.
const LONG_EPOCHS: &str = "\
name: slow
base:
  dataset: {name: synthetic, channels: 1, height: 16, width: 16, train: 4000, test: 100, noise: 0.5}
  model: {name: lenet}
  train:
    {epochs: 2, batch: 50, accumulate: 2, ema: 0.95, checkpoint_every: 7, clip_norm: 5.0,
    optimizer: {name: adam, lr: 1.0e-3}, schedule: {name: cosine}}
  quant:
    weights: {method: stochastic, bits: 1}
    activations: {method: lsq, bits: 4}
    gradients: {method: dorefa, bits: 6}
";

/// A text, the state of whose network must survive.
const TEXT: &str = "\
name: slow
base:
  dataset: {name: synthetic-text, train: 40000, validation: 500, test: 500, vocabulary: 50}
  model: {name: gru, hidden: 64}
  train:
    {epochs: 2, batch: 20, bptt: 10, checkpoint_every: 3, clip_norm: 10.0, optimizer: {name: adam, lr: 1.0e-3}}
  quant: {weights: {method: balanced, bits: 2}, activations: {method: uniform, bits: 3}, keep_float: []}
";

#[test]
fn killed_in_the_middle_of_an_epoch_it_goes_on_to_the_same_numbers() {
    for sweep in [LONG_EPOCHS, TEXT] {
        let expected = undisturbed(sweep);
        let workplace = Workplace::new(sweep);
        let state = || -> Value {
            let path = workplace.trials("slow").first().map(|trial| trial.join("state.json"));
            path.and_then(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).unwrap_or_default()
        };
        for epoch in [0, 1] {
            let mut sweep = workplace.start(&["sweep", "sweep.yaml"]);
            wait_until("there is a checkpoint inside the epoch", || {
                let state = state();
                state["epoch"] == epoch && state["engine"]["steps"].as_u64().is_some_and(|steps| steps > 0)
            });
            sweep.kill().unwrap();
            sweep.wait().unwrap();
            assert!(
                !workplace.trials("slow")[0].join("record.json").exists(),
                "it was killed too late to show anything"
            );
            wait_until("the trial can be claimed", || {
                workplace.sweep(&["--dry-run"]).0["trials"][0]["decision"] == "resume"
            });
        }
        let (_, code) = workplace.sweep(&[]);
        assert_eq!(code, 0);
        let records = workplace.records("slow");
        assert!(records[0]["time"]["resumed"].as_u64().unwrap() >= 2, "{}", records[0]["time"]);
        assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_worker_that_dies_costs_one_attempt() {
    let workplace = Workplace::new(SLOW);
    let sweep = workplace.start(&["sweep", "sweep.yaml", "--json"]);
    wait_for_checkpoint(&workplace);
    let lease = fs::read_dir(&workplace.trials("slow")[0]).unwrap().map(|e| e.unwrap().path());
    let lease = lease.into_iter().find(|p| p.file_name().unwrap().to_str().unwrap().starts_with("lease.")).unwrap();
    let owner: Value = serde_json::from_slice(&fs::read(lease).unwrap()).unwrap();
    assert!(Command::new("kill").args(["-KILL", &owner["pid"].to_string()]).status().unwrap().success());
    let ran = Ran::new(sweep.wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    let record = &workplace.records("slow")[0];
    assert_eq!((&record["status"], &record["error"]["class"]), (&"failed".into(), &"crash".into()), "{record}");
    assert!(record["error"]["message"].as_str().unwrap().contains("signal: 9"), "{record}");
    // The cause lay outside the trial: the next start goes on with it.
    let (_, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    let records: Vec<Value> = workplace.records("slow");
    assert_eq!(records[0]["attempt"], 2);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), undisturbed(SLOW));
}

#[test]
fn two_processes_share_a_sweep() {
    let sweep = support::TINY.replace("axes:\n", "axes:\n  train.seed: [0, 1, 2, 3]\n");
    let workplace = Workplace::new(&sweep);
    let both = [0, 1].map(|_| workplace.start(&["sweep", "sweep.yaml", "--jobs", "2", "--json"]));
    let both = both.map(|child| Ran::new(child.wait_with_output().unwrap()));
    let mut ran = 0;
    for one in &both {
        let summary: Value = serde_json::from_str(&one.stdout).unwrap_or_else(|e| panic!("{e}: {one:?}"));
        ran += summary["trials"].as_array().unwrap().iter().filter(|t| t["ran"] == true).count();
    }
    assert_eq!(ran, 8, "no trial ran twice and none was left out: {both:?}");
    let records = workplace.records("tiny");
    assert_eq!(records.len(), 8);
    assert!(records.iter().all(|r| r["status"] == "ok" && r["attempt"] == 1));
}

#[test]
fn a_damaged_checkpoint_starts_the_trial_over() {
    let expected = undisturbed(SLOW);
    let workplace = Workplace::new(SLOW);
    let mut sweep = workplace.start(&["sweep", "sweep.yaml"]);
    wait_for_checkpoint(&workplace);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    let checkpoint = workplace.trials("slow")[0].join("checkpoint.safetensors");
    wait_until("the trial can be claimed", || workplace.sweep(&["--dry-run"]).0["trials"][0]["decision"] == "resume");
    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    let ran = workplace.run(&["sweep", "sweep.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("starts over"), "{ran:?}");
    assert_eq!(workplace.records("slow").iter().map(numbers).collect::<Vec<_>>(), expected);
}
