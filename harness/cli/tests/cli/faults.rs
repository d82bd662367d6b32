//! Sweeps that are killed, shared and broken.

mod checkpoints;
mod data;
#[cfg(unix)]
mod disk;
#[cfg(target_os = "linux")]
mod kills;
mod shared;
mod signals;

use std::fs;
use std::process::Child;

use crate::support::{Workplace, numbers, wait_until};
use serde_json::Value;

/// One trial of 6 epochs of 30 steps.
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
    undisturbed_in(&Workplace::new(sweep))
}

fn undisturbed_in(workplace: &Workplace) -> Vec<Value> {
    let (_, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    workplace.records("slow").iter().map(numbers).collect()
}

/// Starts a sweep of [`SLOW`] whose training waits in the middle of the epoch after this one, with a checkpoint.
fn start_held_after(workplace: &Workplace, epoch: u64, arguments: &[&str]) -> Child {
    let arguments = [&["sweep", "sweep.yaml"], arguments].concat();
    workplace.start_held(&format!("held-after-{epoch}"), 30 * epoch + 10, &arguments)
}

#[test]
fn killed_in_the_middle_it_goes_on_to_the_same_numbers() {
    let expected = undisturbed(SLOW);
    let workplace = Workplace::new(SLOW);
    for epoch in [1, 3] {
        let mut sweep = start_held_after(&workplace, epoch, &[]);
        sweep.kill().unwrap();
        sweep.wait().unwrap();
        wait_until_claimable(&workplace);
    }
    let (_, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    let records = workplace.records("slow");
    assert_eq!(records[0]["time"]["resumed"], 2);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
}

/// A worker ends by itself once it sees that the sweep is dead; until then the trial is its own.
fn wait_until_claimable(workplace: &Workplace) {
    wait_until("the trial can be claimed", || workplace.sweep(&["--dry-run"]).0["trials"][0]["decision"] == "resume");
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
    // 80 and 199 steps in an epoch, and a checkpoint every 7 and every 3.
    for (sweep, steps) in [(LONG_EPOCHS, [20, 100]), (TEXT, [20, 250])] {
        let expected = undisturbed(sweep);
        let workplace = Workplace::new(sweep);
        let state = || -> Value {
            let path = workplace.trials("slow").first().map(|trial| trial.join("state.json"));
            path.and_then(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).unwrap_or_default()
        };
        for (epoch, steps) in steps.into_iter().enumerate() {
            let mut sweep = workplace.start_held(&format!("held-{epoch}"), steps, &["sweep", "sweep.yaml"]);
            let state = state();
            let inside = state["engine"]["steps"].as_u64().is_some_and(|steps| steps > 0);
            assert!(state["epoch"] == epoch && inside, "the checkpoint is inside the epoch: {state}");
            sweep.kill().unwrap();
            sweep.wait().unwrap();
            wait_until_claimable(&workplace);
        }
        let (_, code) = workplace.sweep(&[]);
        assert_eq!(code, 0);
        let records = workplace.records("slow");
        assert_eq!(records[0]["time"]["resumed"], 2);
        assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
    }
}
