//! `harness runs` through the binary.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::support::{Ran, TINY, Workplace, numbers};
use serde_json::Value;

fn json(workplace: &Workplace, arguments: &[&str]) -> Value {
    let ran = workplace.run(&[arguments, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

#[test]
fn trials_are_listed_shown_and_cleared() {
    let workplace = Workplace::new(TINY);
    workplace.sweep(&["--filter", "quant.weights.method=float"]);
    let listed = json(&workplace, &["runs", "list"]);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["label"]),
        (&"ok".into(), &"synthetic lenet float w32 a32 seed=0".into())
    );
    assert_eq!(json(&workplace, &["runs", "list", "tiny", "--state", "failed"]), serde_json::json!([]));
    let table = workplace.run(&["runs", "list"]);
    assert!(table.stdout.contains("top-1 "), "{table:?}");
    let trial = workplace.trials("tiny")[0].clone();
    let shown = json(&workplace, &["runs", "show", trial.to_str().unwrap()]);
    assert_eq!((&shown["state"], &shown["attempts"][0]["end"]["how"]), (&"ok".into(), &"ok".into()));
    assert!(workplace.run(&["runs", "show", trial.to_str().unwrap()]).stdout.contains("model.safetensors"));
    // As a process leaves it that is killed right after it wrote the record, and one that is killed while it writes.
    for name in ["state.json", "checkpoint.safetensors", "lease.9", ".tmp-0-record.json"] {
        fs::write(trial.join(name), "{}").unwrap();
    }
    fs::write(trial.join("lease.9"), r#"{"host":"h","pid":1,"heartbeat":0,"beats":0,"token":"t","released":true}"#)
        .unwrap();
    let would = json(&workplace, &["runs", "gc", "--dry-run"]);
    assert_eq!(would["files"].as_array().unwrap().len(), 4, "{would}");
    assert!(trial.join("state.json").exists());
    assert_eq!(json(&workplace, &["runs", "gc"])["files"].as_array().unwrap().len(), 4);
    let mut names: Vec<String> =
        fs::read_dir(&trial).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["attempt-1.json", "config.yaml", "model.safetensors", "record.json"]);
    for (arguments, wanted) in [
        (&["runs", "list", "absent"][..], "it has tiny"),
        (&["runs", "list", "--runs", "nowhere"], "there is no folder nowhere"),
        (&["runs", "show", "runs/tiny"], "is no trial"),
        (&["runs", "archive", "tiny", "--out", "x.tar", "--only", "0000000000000000"], "has no trial of this id"),
    ] {
        let ran = workplace.run(arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(wanted), "{ran:?}");
    }
}

#[test]
fn an_archive_is_looked_at_and_run_again_elsewhere() {
    let workplace = Workplace::new(TINY);
    workplace.sweep(&[]);
    let packed = json(&workplace, &["runs", "archive", "tiny", "--out", "tiny.tar"]);
    assert_eq!(packed["trials"].as_array().unwrap().len(), 2);
    let first = fs::read(workplace.path("tiny.tar")).unwrap();
    json(&workplace, &["runs", "archive", "tiny", "--out", "tiny.tar"]);
    assert_eq!(fs::read(workplace.path("tiny.tar")).unwrap(), first, "the same trials make the same archive");

    let elsewhere = Workplace::new("");
    tar::Archive::new(&first[..]).unpack(elsewhere.path("")).unwrap();
    let inside = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        Ran::new(command.args(arguments).current_dir(elsewhere.path("tiny")).output().unwrap())
    };
    // Everything is done there; without its runs everything runs again, as the same trials with the same numbers.
    let plan: Value = serde_json::from_str(&inside(&["sweep", "sweep.yaml", "--dry-run", "--json"]).stdout).unwrap();
    assert!(plan["trials"].as_array().unwrap().iter().all(|trial| trial["reason"] == "done"), "{plan}");
    fs::remove_dir_all(elsewhere.path("tiny/runs")).unwrap();
    let ran = inside(&["sweep", "sweep.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for trial in workplace.trials("tiny") {
        let read = |path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
        let id = trial.file_name().unwrap();
        let again = read(elsewhere.path("tiny/runs/tiny").join(id).join("record.json"));
        assert_eq!(numbers(&again), numbers(&read(trial.join("record.json"))));
    }
}

#[test]
fn thousands_of_trials_are_listed() {
    const TRIALS: usize = 2000;
    let workplace = Workplace::new(TINY);
    workplace.sweep(&["--filter", "quant.weights.method=float"]);
    let record = fs::read_to_string(workplace.trials("tiny")[0].join("record.json")).unwrap();
    let id = workplace.trials("tiny")[0].file_name().unwrap().to_str().unwrap().to_owned();
    for number in 0..TRIALS {
        let new = format!("{number:016x}");
        let folder = workplace.path("runs/many").join(&new);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("record.json"), record.replace(&id, &new)).unwrap();
    }
    let began = Instant::now();
    let listed = json(&workplace, &["runs", "list", "many", "--state", "ok"]);
    let took = began.elapsed();
    assert_eq!(listed.as_array().unwrap().len(), TRIALS, "listed in {took:?}");
    // Both names of the state are taken, and none of these trials is in it.
    for name in ["partial", "waiting"] {
        assert_eq!(json(&workplace, &["runs", "list", "many", "--state", name]), serde_json::json!([]));
    }
}
