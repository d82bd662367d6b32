//! Several processes on one folder of runs.

use std::fs;

use serde_json::Value;

use crate::support::{Ran, TINY, Workplace, numbers};

#[test]
fn two_and_eight_processes_share_a_sweep() {
    let sweep = TINY.replace("axes:\n", "axes:\n  train.seed: [0, 1, 2, 3]\n");
    let alone = Workplace::new(&sweep);
    assert_eq!(alone.sweep(&[]).1, 0);
    let expected: Vec<Value> = alone.records("tiny").iter().map(numbers).collect();
    for processes in [2, 8] {
        let workplace = Workplace::new(&sweep);
        let start = |_| workplace.start(&["sweep", "sweep.yaml", "--jobs", "2", "--json"]);
        let children: Vec<_> = (0..processes).map(start).collect();
        let all: Vec<Ran> = children.into_iter().map(|child| Ran::new(child.wait_with_output().unwrap())).collect();
        let mut ran = 0;
        for one in &all {
            let summary: Value = serde_json::from_str(&one.stdout).unwrap_or_else(|e| panic!("{e}: {one:?}"));
            ran += summary["trials"].as_array().unwrap().iter().filter(|t| t["ran"] == true).count();
        }
        assert_eq!(ran, 8, "no trial ran twice and none was left out: {all:?}");
        let records = workplace.records("tiny");
        assert!(records.iter().all(|record| record["attempt"] == 1));
        assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
    }
}

/// A lease as a process on another machine would have left it.
fn elsewhere(workplace: &Workplace, beats: u64) {
    let lease = serde_json::json!({
        "host": "elsewhere", "boot_id": "another boot", "pid_namespace": "pid:[1]", "pid": 7, "process_start": 1,
        // Its clock is years ahead.
        "heartbeat": 4_000_000_000_u64, "beats": beats, "token": "t", "released": false,
    });
    let plan = workplace.sweep(&["--dry-run"]).0;
    let trial = workplace.path("runs/tiny").join(plan["trials"][0]["id"].as_str().unwrap());
    fs::create_dir_all(&trial).unwrap();
    fs::write(trial.join("lease.3"), lease.to_string()).unwrap();
}

#[test]
fn a_dead_process_elsewhere_loses_its_trial_to_a_sweep_that_waits() {
    let workplace = Workplace::new(TINY);
    elsewhere(&workplace, 5);
    let (summary, code) = workplace.sweep(&["--stale-after", "1s"]);
    assert_eq!((code, &summary["counts"]["ok"]), (0, &2.into()), "{summary}");
    // One that shows life keeps it.
    let workplace = Workplace::new(TINY);
    elsewhere(&workplace, 0);
    let sweep = workplace.start(&["sweep", "sweep.yaml", "--json", "--stale-after", "1h"]);
    crate::support::wait_until("the other trial is done", || {
        workplace.trials("tiny").iter().any(|trial| trial.join("record.json").exists())
    });
    elsewhere(&workplace, 1);
    let ran = Ran::new(sweep.wait_with_output().unwrap());
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!((ran.code, &summary["counts"]["ok"], &summary["counts"]["open"]), (1, &1.into(), &1.into()), "{ran:?}");
}
