//! `harness sweep` on a cluster that is none: everything but the command line of Slurm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{TINY, Workplace, numbers, wait_until};
use serde_json::Value;

/// Four tiny trials.
fn four() -> String {
    TINY.replace("axes:\n", "axes:\n  train.seed: [0, 1]\n")
}

/// Tasks that wait in their set-up until there is a file `go`, or until the test and its folder are gone.
const GATE: &str = "while [ ! -e go ] && [ -e sweep.yaml ]; do sleep 0.02; done";

fn status(workplace: &Workplace) -> Value {
    let ran = workplace.run(&["sweep", "sweep.yaml", "--status", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

/// Waiting, running, done, failed, open.
fn counts(status: &Value) -> [u64; 5] {
    ["waiting", "running", "done", "failed", "open"].map(|name| status["counts"][name].as_u64().unwrap())
}

/// Waits for this many records, which asks for less of the machine than a status does.
fn wait_for_records(workplace: &Workplace, sweep: &str, count: usize) {
    wait_until("the trials are recorded", || {
        workplace.trials(sweep).iter().filter(|trial| trial.join("record.json").exists()).count() == count
    });
}

fn open_the_gate(workplace: &Workplace) {
    fs::write(workplace.path("go"), "").unwrap();
}

fn sorted_numbers(workplace: &Workplace, sweep: &str) -> Vec<Value> {
    workplace.records(sweep).iter().map(numbers).collect()
}

#[test]
fn an_array_gives_what_a_sweep_on_this_machine_gives() {
    let workplace = Workplace::new(&format!("{}slurm: {{setup: [touch set-up], cpus: 1}}\n", four()));
    let (summary, code) = workplace.sweep(&["--executor", "mock", "--wait"]);
    assert_eq!((code, &summary["counts"]["ok"]), (0, &4.into()), "{summary}");
    assert!(workplace.path("set-up").exists(), "set-up commands run in the folder that the sweep was started in");
    assert!(workplace.path("runs/tiny/report/report.md").exists());
    let local = Workplace::new(&four());
    local.sweep(&[]);
    assert_eq!(sorted_numbers(&workplace, "tiny"), sorted_numbers(&local, "tiny"));
    // Nothing is left, so nothing is submitted.
    let (again, code) = workplace.sweep(&["--executor", "mock"]);
    assert_eq!((code, &again["submitted"], &again["skipped"]), (0, &0.into(), &4.into()), "{again}");
    let files = fs::read_dir(workplace.path("runs/tiny/cluster")).unwrap().map(|e| e.unwrap().path());
    assert_eq!(files.filter(|path| path.extension().is_some_and(|e| e == "log")).count(), 4);
}

#[test]
fn a_dry_run_shows_the_script_on_a_machine_without_slurm_and_writes_nothing() {
    let workplace = Workplace::new(&format!("{}slurm: {{partition: gpu, setup: [module load cuda]}}\n", four()));
    let arguments = ["--executor", "slurm", "--time", "1:00:00", "--dry-run"];
    let (plan, code) = workplace.sweep(&arguments);
    assert_eq!((code, &plan["device"]), (0, &"slurm".into()), "{plan}");
    let script = plan["script"].as_str().unwrap();
    for line in ["#!/bin/bash", "#SBATCH --partition=gpu", "#SBATCH --time=1:00:00", "module load cuda"] {
        assert!(script.lines().any(|found| found == line), "{line} is missing in {script}");
    }
    assert!(script.contains(" task --runs "), "{script}");
    let text = workplace.run(&[&["sweep", "sweep.yaml"], &arguments[..]].concat()).stdout;
    assert!(text.contains("4 to run on slurm") && text.ends_with(script), "{text}");
    assert!(workplace.sweep(&["--dry-run"]).0["script"].is_null());
    assert_eq!(workplace.names(), ["sweep.yaml"]);
}

#[test]
fn submitting_again_adds_nothing_and_the_status_tells() {
    let workplace = Workplace::new(&four());
    assert_eq!(counts(&status(&workplace)), [0, 0, 0, 0, 4]);
    assert!(!workplace.path("runs").exists(), "asking writes nothing");
    let submit = ["--executor", "mock", "--setup", GATE];
    let (first, code) = workplace.sweep(&submit);
    assert_eq!((code, &first["submitted"], &first["covered"]), (0, &4.into(), &0.into()), "{first}");
    let (again, code) = workplace.sweep(&submit);
    assert_eq!((code, &again["submitted"], &again["covered"]), (0, &0.into(), &4.into()), "{again}");
    let found = status(&workplace);
    assert_eq!(counts(&found), [3, 1, 0, 0, 0], "{found}");
    assert!(found["trials"][3]["reason"].as_str().unwrap().contains("JobArrayTaskLimit"), "{found}");
    let text = workplace.run(&["sweep", "sweep.yaml", "--status"]).stdout;
    assert!(text.starts_with("tiny: 3 waiting, 1 running, 0 done, 0 failed\n"), "{text}");
    // The command of its own tells the same.
    assert_eq!(workplace.run(&["status", "sweep.yaml"]).stdout, text);
    let json = workplace.run(&["status", "sweep.yaml", "--json", "--filter", "train.seed=1"]).stdout;
    let filtered: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert_eq!(filtered["trials"].as_array().unwrap().len(), 2);
    // A trial that somebody finishes meanwhile is not run again by its task.
    let (other, code) = workplace.sweep(&["--filter", "train.seed=1"]);
    assert_eq!((code, &other["counts"]["ok"]), (0, &2.into()));
    open_the_gate(&workplace);
    wait_for_records(&workplace, "tiny", 4);
    assert_eq!(counts(&status(&workplace)), [0, 0, 4, 0, 0]);
    assert!(workplace.records("tiny").iter().all(|record| record["attempt"] == 1));
}

#[test]
fn cancelled_tasks_can_be_submitted_again() {
    let workplace = Workplace::new(&four());
    workplace.sweep(&["--executor", "mock", "--setup", GATE]);
    let (cancelled, code) = workplace.sweep(&["--cancel"]);
    assert_eq!((code, &cancelled["cancelled"]), (0, &4.into()), "{cancelled}");
    wait_until("the tasks are gone", || counts(&status(&workplace)) == [0, 0, 0, 0, 4]);
    assert!(status(&workplace)["trials"][0]["reason"].as_str().unwrap().contains("CANCELLED"));
    assert_eq!(workplace.sweep(&["--cancel"]).0["cancelled"], 0);
    let own = workplace.run(&["cancel", "sweep.yaml", "--json"]);
    let cancelled: Value = serde_json::from_str(&own.stdout).unwrap_or_else(|e| panic!("{e}: {own:?}"));
    assert_eq!((own.code, &cancelled["cancelled"]), (0, &0.into()), "{own:?}");
    open_the_gate(&workplace);
    let (summary, code) = workplace.sweep(&["--executor", "mock", "--wait"]);
    assert_eq!((code, &summary["counts"]["ok"]), (0, &4.into()), "{summary}");
}

#[test]
fn a_trial_that_fails_and_what_builds_on_it_are_told_with_their_reasons() {
    let sweep = "\
name: tiny
base:
  dataset: {name: synthetic, channels: 1, height: 8, width: 8, classes: 10, train: 200, test: 100, noise: 0.3}
  model: {name: lenet, variant: small}
  train: {epochs: 2, batch: 50, optimizer: {name: sgd, lr: 0.05}}
axes:
  cell:
    - {train.optimizer.lr: 1.0e+30}
    - {quant.weights: {method: dorefa, bits: 2}, train: {init: {trial: {quant.weights.method: float, train.optimizer.lr: 1.0e+30}}}}
    - {quant.weights: {method: dorefa, bits: 4}}
";
    let workplace = Workplace::new(sweep);
    let (summary, code) = workplace.sweep(&["--executor", "mock", "--wait"]);
    assert_eq!(
        (code, &summary["counts"]["ok"], &summary["counts"]["diverged"]),
        (1, &1.into(), &1.into()),
        "{summary}"
    );
    let found = status(&workplace);
    assert_eq!(counts(&found), [0, 0, 1, 1, 1], "{found}");
    let reason = |index: usize| found["trials"][index]["reason"].as_str().unwrap().to_owned();
    assert!(reason(0).starts_with("diverged (nan): the loss became"), "{found}");
    assert!(reason(1).contains("it builds on"), "{found}");
}

/// One trial of 6 epochs of 30 steps.
const SLOW: &str = "\
name: slow
base:
  dataset: {name: synthetic, channels: 1, height: 16, width: 16, train: 1500, test: 100, noise: 0.5}
  model: {name: lenet}
  train: {epochs: 6, batch: 50, optimizer: {name: adam, lr: 1.0e-3}, schedule: {name: cosine}, clip_norm: 5.0}
  quant: {weights: {method: dorefa, bits: 2}, activations: {method: uniform, bits: 4}}
";

/// The process that a process was started by.
fn parent(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned())
}

/// The worker that holds the only trial.
fn worker(trial: &Path) -> Option<String> {
    let mut files = fs::read_dir(trial).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let lease: PathBuf = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("lease."))?;
    let owner: Value = serde_json::from_slice(&fs::read(lease).ok()?).ok()?;
    (owner["released"] == false).then(|| owner["pid"].to_string())
}

#[test]
fn a_task_whose_time_is_up_runs_again_and_ends_with_the_same_numbers() {
    let undisturbed = Workplace::new(SLOW);
    undisturbed.sweep(&[]);
    let workplace = Workplace::new(SLOW);
    // The array inherits the environment of the sweep, and its task waits in the second epoch of its first attempt.
    let mut sweep = workplace.start_held("held", 40, &["sweep", "sweep.yaml", "--executor", "mock"]);
    sweep.wait().unwrap();
    let mut told = None;
    wait_until("there is a checkpoint and a worker", || {
        let Some(trial) = workplace.trials("slow").first().cloned() else { return false };
        let task = trial.join("state.json").exists().then(|| parent(&worker(&trial)?)).flatten();
        told = task;
        told.is_some()
    });
    assert!(Command::new("kill").args(["-USR2", &told.unwrap()]).status().unwrap().success());
    wait_for_records(&workplace, "slow", 1);
    assert_eq!(counts(&status(&workplace)), [0, 0, 1, 0, 0]);
    let record = &workplace.records("slow")[0];
    assert_eq!(record["attempt"], 2);
    assert_eq!(record["time"]["resumed"], 1);
    assert_eq!(sorted_numbers(&workplace, "slow"), sorted_numbers(&undisturbed, "slow"));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let workplace = Workplace::new(&four());
    let check = |arguments: &[&str], expected: &str| {
        let ran = workplace.run(&[&["sweep", "sweep.yaml"], arguments].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
    };
    check(&["--partition", "gpu"], "--partition is for a cluster, expected --executor slurm beside it");
    check(&["--wait"], "--wait is for a cluster");
    check(&["--executor", "slurm", "--partition", "a b"], "expected a name without blanks");
    check(&["--executor", "slurm", "--time", "4h"], "expected minutes, or a time such as `4:00:00`");
    check(&["--executor", "slurm", "--sbatch=--array=1"], "`--array` is set by the executor");
    check(&["--status", "--cancel"], "cannot be used with");
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["sweep", "sweep.yaml", "--executor", "slurm"]).current_dir(workplace.path("."));
    let ran = crate::support::Ran::new(command.env("PATH", "").output().unwrap());
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("is this a machine of the cluster?"), "{ran:?}");
    let trials = workplace.trials("tiny");
    assert!(trials.is_empty(), "{trials:?}");
}
