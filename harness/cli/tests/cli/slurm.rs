//! `harness sweep --executor slurm` on a real Slurm of one node, which `cargo xtask slurm` installs and starts.
//!
//! One test, because there is one cluster: what takes longest is submitted first and looked at last.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Ran, Workplace, numbers};

/// Longest wait for anything: Slurm looks at time limits and preemption every half minute or so.
const PATIENCE: Duration = Duration::from_secs(240);

/// A trial long enough to be stopped in the middle.
fn slow(name: &str, epochs: u32) -> String {
    format!(
        "name: {name}
base:
  dataset: {{name: synthetic, channels: 1, height: 16, width: 16, train: 1500, test: 100, noise: 0.5}}
  model: {{name: lenet}}
  train: {{epochs: {epochs}, batch: 50, optimizer: {{name: adam, lr: 1.0e-3}}, schedule: {{name: cosine}}, clip_norm: 5.0}}
  quant: {{weights: {{method: dorefa, bits: 2}}, activations: {{method: uniform, bits: 4}}}}
"
    )
}

/// Six trials, one of which diverges.
const SIX: &str = "\
name: six
base:
  dataset: {name: synthetic, channels: 1, height: 8, width: 8, classes: 10, train: 200, test: 100, noise: 0.3}
  model: {name: lenet, variant: small}
  train: {epochs: 2, batch: 50, optimizer: {name: sgd, lr: 0.05}}
  quant: {weights: {method: dorefa, bits: 2}}
axes:
  train.seed: [0, 1, 2, 3, 4]
include: [{train.optimizer.lr: 1.0e+30}]
slurm: {throttle: 2, partition: steady, memory: 500M, setup: [sleep 2]}
";

fn slurm(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn status(workplace: &Workplace) -> Value {
    let ran = workplace.run(&["sweep", "sweep.yaml", "--status", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let status: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(status["cluster"], Value::Null, "the cluster answers");
    status
}

/// Waiting, running, done, failed, open.
fn counts(status: &Value) -> [u64; 5] {
    ["waiting", "running", "done", "failed", "open"].map(|name| status["counts"][name].as_u64().unwrap())
}

fn wait_until(what: &str, workplace: &Workplace, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        let queue = || slurm("squeue", &["--array", "--states=all"]);
        assert!(
            began.elapsed() < PATIENCE,
            "waited too long until {what}\n{}\n{}\n{}",
            status(workplace),
            queue(),
            logs(workplace)
        );
        thread::sleep(Duration::from_millis(500));
    }
    eprintln!("{what}: after {:.0} s", began.elapsed().as_secs_f64());
}

/// What all tasks have said.
fn logs(workplace: &Workplace) -> String {
    let mut all = String::new();
    for sweep in ["six", "preempted", "requeued", "limited"] {
        let Ok(entries) = fs::read_dir(workplace.path("runs").join(sweep).join("cluster")) else { continue };
        for path in entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "log")) {
            all.push_str(&format!("== {}\n{}", path.display(), fs::read_to_string(&path).unwrap()));
        }
    }
    all
}

fn submit(workplace: &Workplace, arguments: &[&str]) -> Value {
    let (submitted, code) = workplace.sweep(&[&["--executor", "slurm"], arguments].concat());
    assert_eq!(code, 0, "{submitted}");
    submitted
}

/// The only trial has a checkpoint. (A look at files asks for less of the machine than a status does.)
fn has_begun(workplace: &Workplace, sweep: &str) -> bool {
    workplace.trials(sweep).first().is_some_and(|trial| trial.join("state.json").exists())
}

/// The process that holds the only trial.
fn worker(workplace: &Workplace, sweep: &str) -> Option<String> {
    let trial = workplace.trials(sweep).first()?.clone();
    let mut files = fs::read_dir(trial).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let lease = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("lease."))?;
    let owner: Value = serde_json::from_slice(&fs::read(lease).ok()?).ok()?;
    (owner["released"] == false).then(|| owner["pid"].to_string())
}

/// Waits until the only trial has a checkpoint, and from then on lets its worker run a twentieth of the time, so that
/// it is not done before it is disturbed, however fast the machine. Ends with that worker.
fn begin_slowly(what: &str, workplace: &Workplace, sweep: &str) {
    let mut found = None;
    wait_until(what, workplace, || {
        found = worker(workplace, sweep).filter(|_| has_begun(workplace, sweep));
        found.is_some()
    });
    let worker = found.unwrap();
    thread::spawn(move || {
        let signal = |name: &str| {
            let output = Command::new("kill").args([name, &worker]).output();
            output.is_ok_and(|output| output.status.success())
        };
        while signal("-STOP") {
            thread::sleep(Duration::from_millis(475));
            signal("-CONT");
            thread::sleep(Duration::from_millis(25));
        }
    });
}

/// The only trial has its record.
fn is_done(workplace: &Workplace, sweep: &str) -> bool {
    workplace.trials(sweep).first().is_some_and(|trial| trial.join("record.json").exists())
}

/// The only trial went on from a checkpoint and came to the same numbers as one that nobody disturbed.
fn went_on_undisturbed(workplace: &Workplace, sweep: &str, yaml: &str) -> u64 {
    assert_eq!(counts(&status(workplace)), [0, 0, 1, 0, 0]);
    let undisturbed = Workplace::new(yaml);
    assert_eq!(undisturbed.sweep(&[]).1, 0);
    let (ours, theirs) = (workplace.records(sweep).remove(0), undisturbed.records(sweep).remove(0));
    assert_eq!(numbers(&ours), numbers(&theirs), "{}", logs(workplace));
    let resumed = ours["time"]["resumed"].as_u64().unwrap();
    assert!(resumed >= 1, "{}\n{}", ours["time"], logs(workplace));
    assert_eq!(ours["attempt"].as_u64().unwrap(), resumed + 1, "no attempt began anew");
    resumed
}

#[test]
fn sweeps_on_a_real_slurm() {
    let sacct = Command::new("sacct").output().unwrap();
    assert!(!sacct.status.success() || sacct.stdout.is_empty(), "accounting is absent here: {sacct:?}");

    let limited_yaml = slow("limited", 20);
    let limited = Workplace::new(&limited_yaml);
    submit(&limited, &["--partition", "steady", "--time", "1"]);
    begin_slowly("the trial with a time limit has begun", &limited, "limited");

    an_array_with_a_throttle_and_a_failure();
    a_preempted_trial_goes_on();
    a_requeued_trial_goes_on();
    cancelled_tasks_leave_the_queue();

    wait_until("the trial with a time limit is done", &limited, || is_done(&limited, "limited"));
    let resumed = went_on_undisturbed(&limited, "limited", &limited_yaml);
    eprintln!("it went on {resumed} times");
}

fn an_array_with_a_throttle_and_a_failure() {
    let workplace = Workplace::new(SIX);
    let submitted = submit(&workplace, &[]);
    assert_eq!((&submitted["submitted"], submitted["jobs"].as_array().unwrap().len()), (&6.into(), 1), "one array");
    let again = submit(&workplace, &[]);
    assert_eq!((&again["submitted"], &again["covered"]), (&0.into(), &6.into()), "{again}");
    let job = submitted["jobs"][0].as_str().unwrap().to_owned();
    let (mut most, mut throttled) = (0, false);
    wait_until("six trials are done", &workplace, || {
        let running = slurm("squeue", &["--noheader", "--array", "--states=R", "--jobs", &job]).lines().count();
        most = most.max(running);
        throttled = throttled || status(&workplace).to_string().contains("JobArrayTaskLimit");
        workplace.trials("six").iter().filter(|trial| trial.join("record.json").exists()).count() == 6
    });
    assert_eq!((most, throttled), (2, true), "two at the same time, the others wait for them");
    let found = status(&workplace);
    assert_eq!(counts(&found), [0, 0, 5, 1, 0], "{found}");
    let failed = &found["trials"][5];
    assert!(failed["reason"].as_str().unwrap().starts_with("diverged (nan)"), "{failed}");
    let task = failed["task"].as_str().unwrap();
    wait_until("Slurm knows of the failure", &workplace, || {
        slurm("scontrol", &["--oneliner", "show", "job", task]).contains("JobState=FAILED")
    });
    // One record a trial, each at its first attempt, equal to those of a sweep on this machine.
    let here = Workplace::new(SIX);
    here.sweep(&[]);
    let [ours, theirs] = [&workplace, &here].map(|w| w.records("six").iter().map(numbers).collect::<Vec<_>>());
    assert_eq!(ours, theirs);
    assert!(workplace.records("six").iter().all(|record| record["attempt"] == 1));
    let nothing = submit(&workplace, &[]);
    assert_eq!((&nothing["submitted"], &nothing["skipped"]), (&0.into(), &6.into()), "{nothing}");
}

fn a_preempted_trial_goes_on() {
    let yaml = slow("preempted", 16);
    let workplace = Workplace::new(&yaml);
    submit(&workplace, &["--partition", "batch", "--cpus", "4", "--time", "30"]);
    begin_slowly("the trial to preempt has begun", &workplace, "preempted");
    // More cores than are left, in a partition that comes first.
    let urgent = slurm(
        "sbatch",
        &["--parsable", "--partition=steady", "--cpus-per-task=6", "--output=/dev/null", "--wrap=sleep 1"],
    );
    wait_until("the urgent job has run", &workplace, || {
        slurm("scontrol", &["--oneliner", "show", "job", &urgent]).contains("JobState=COMPLETED")
    });
    assert!(!is_done(&workplace, "preempted"), "the trial was stopped for it\n{}", logs(&workplace));
    wait_until("the preempted trial is done", &workplace, || is_done(&workplace, "preempted"));
    went_on_undisturbed(&workplace, "preempted", &yaml);
}

fn a_requeued_trial_goes_on() {
    let yaml = slow("requeued", 16);
    let workplace = Workplace::new(&yaml);
    let submitted = submit(&workplace, &["--partition", "steady"]);
    begin_slowly("the trial to requeue has begun", &workplace, "requeued");
    slurm("scontrol", &["requeue", &format!("{}_0", submitted["jobs"][0].as_str().unwrap())]);
    wait_until("the requeued trial is done", &workplace, || is_done(&workplace, "requeued"));
    went_on_undisturbed(&workplace, "requeued", &yaml);
}

fn cancelled_tasks_leave_the_queue() {
    let workplace = Workplace::new(SIX);
    submit(&workplace, &["--setup", "sleep 600"]);
    let ran = Ran::new(workplace.start(&["sweep", "sweep.yaml", "--cancel"]).wait_with_output().unwrap());
    assert!(ran.code == 0 && ran.stderr.contains("6 tasks cancelled"), "{ran:?}");
    wait_until("the cancelled tasks are gone", &workplace, || counts(&status(&workplace)) == [0, 0, 0, 0, 6]);
    assert!(status(&workplace)["trials"][0]["reason"].as_str().unwrap().contains("CANCELLED"));
}
