//! `harness track`, from trainings in a repository built here to the commit that made them worse.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Ran, Workplace};
use serde_json::{Value, json};

const SWEEP: &str = "\
name: planted
base:
  dataset: {name: digits}
  model: {name: mlp}
  train: {epochs: 12, batch: 1, optimizer: {name: sgd, lr: 0.02}}
  quant: {weights: {method: uniform, bits: 2}}
axes: {train.seed: [0, 1, 2]}
";

const RUN: &str = "\
set -e
COMMIT=$(git rev-parse HEAD)
export COMMIT
mkdir -p \"$HARNESS_RUNS\"
rustc --edition 2024 -C opt-level=2 -o \"$HARNESS_RUNS/train\" train.rs
\"$HARNESS_RUNS/train\"
";

/// A repository whose commits train a classifier on the digits: compiled from source at every commit.
struct Project {
    workplace: Workplace,
}

impl Project {
    fn new() -> Project {
        let workplace = Workplace::new(SWEEP);
        let project = Project { workplace };
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        let dry = project.workplace.run(&["sweep", "sweep.yaml", "--dry-run", "--json"]);
        let dry: Value = serde_json::from_str(&dry.stdout).unwrap();
        for trial in dry["trials"].as_array().unwrap() {
            let seed = &trial["config"]["train"]["seed"];
            project.write(&format!("record-{seed}.json"), &template(trial).to_string());
        }
        project.write("quantizer.rs", include_str!("planted/quantizer.rs"));
        project.write("train.rs", include_str!("planted/train.rs"));
        project.write("run.sh", RUN);
        project.write(".gitignore", "runs*\n");
        project
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.workplace.path(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]);
        let output = command.current_dir(self.workplace.path("")).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Trains at HEAD into a folder of its own.
    fn train(&self, runs: &str, dirty: bool) {
        let mut command = Command::new("sh");
        command.arg("run.sh").current_dir(self.workplace.path("")).env("HARNESS_RUNS", self.workplace.path(runs));
        command.env("DIGITS", digits()).env("DIRTY", dirty.to_string());
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
    }

    fn track(&self, arguments: &[&str]) -> Ran {
        self.workplace.run(&[&["track"], arguments].concat())
    }

    /// As [`Project::track`], successfully.
    fn tracked(&self, arguments: &[&str]) -> String {
        let ran = self.track(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.stdout
    }
}

fn digits() -> String {
    format!("{}/../../datasets/data/digits.bin", env!("CARGO_MANIFEST_DIR"))
}

/// A record with tokens where the training puts its numbers.
fn template(trial: &Value) -> Value {
    json!({
        "format": 2, "id": trial["id"], "sweep": "planted", "status": "ok", "error": null, "config": trial["config"],
        "seed": trial["config"]["train"]["seed"],
        "metrics": {"loss": 0.5, "top1": "@TOP1@", "top5": null, "perplexity": null},
        "epochs": [], "layers": [], "model": trial["model"],
        "time": {"started": 0, "finished": 1, "seconds": 1.0, "resumed": 0},
        "environment": {
            "commit": "@COMMIT@", "dirty": "@DIRTY@", "harness": "0.1.0", "libtorch": "none", "device": "cpu",
            "device_name": "a CPU", "cpu": "a CPU", "cpu_capability": "none", "threads": 1, "host": "here",
            "platform": "linux-x86_64",
        },
        "attempt": 1, "answers": {"samples": "@SAMPLES@", "right": "@RIGHT@"},
    })
}

#[test]
fn a_planted_regression_is_found_and_its_commit_named() {
    let project = Project::new();
    let good = project.commit("Train a classifier on two-bit weights");
    project.train("runs-good", false);
    assert!(project.tracked(&["record", "runs-good"]).starts_with("3 trials of "));
    assert!(project.tracked(&["record", "runs-good"]).contains(", 0 of them new"));
    project.commit("Record");

    project.write("README.md", "Nothing changes here.\n");
    project.commit("Explain");
    project.train("runs-same", false);
    project.tracked(&["record", "runs-same"]);
    let same = project.tracked(&["check", "--against", &good, "--json"]);
    let same: Value = serde_json::from_str(&same).unwrap();
    assert_eq!(same["check"]["rows"][0]["verdict"], "equivalent", "{same}");
    assert_eq!(same["check"]["rows"][0]["design"], "identical", "{same}");
    project.commit("Record again");

    // The lower end of the clip is wrong: negative weights are lost.
    project.write("quantizer.rs", &include_str!("planted/quantizer.rs").replace("clamp(-1.0, 1.0)", "clamp(0.0, 1.0)"));
    let bad = project.commit("Simplify the clip");
    for i in 0..4 {
        project.write("README.md", &format!("Version {i}.\n"));
        project.commit(&format!("Explain more, {i}"));
    }
    project.train("runs-bad", false);
    project.tracked(&["record", "runs-bad"]);

    let check = project.track(&["check", "--against", &good]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.stdout.contains("regressed") && check.stdout.contains("digits mlp uniform w2 a32"), "{check:?}");
    assert!(check.stdout.contains("McNemar p"), "{check:?}");
    let check = project.track(&["check", "--against", &good, "--format", "github"]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.stdout.starts_with("::error title=planted regressed::digits mlp"), "{check:?}");
    let check = project.track(&["check", "--against", &good, "--format", "markdown"]);
    assert!(check.stdout.contains("| regressed | planted: digits mlp"), "{check:?}");

    let log = project.tracked(&["log", "--out", "log.html"]);
    assert!(log.contains("▁") && log.contains("regressed at "), "{log}");
    assert!(fs::read_to_string(project.workplace.path("log.html")).unwrap().contains("<svg "));

    let command = format!("DIGITS='{}' sh run.sh", digits());
    let bisect = ["bisect", "--good", &good, "--command", &command];
    let found = project.track(&bisect);
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.stdout.starts_with(&format!("first bad commit: {bad} Simplify the clip\n")), "{found:?}");
    // Everything that was run is known now, and the working tree was left alone.
    let again = project.track(&[&bisect[..], &["--json"]].concat());
    let found: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&found["suspects"], &found["ran"]), (&json!([bad]), &json!([])));
    assert_eq!(project.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(project.git(&["status", "--porcelain", "--", "quantizer.rs", "train.rs"]), "");
    let good_again = project.track(&["bisect", "--good", &bad, "--command", &command]);
    assert_eq!(good_again.code, 2, "{good_again:?}");
    assert!(good_again.stderr.contains("nothing regressed"), "{good_again:?}");
}

#[test]
fn what_no_commit_holds_is_not_recorded() {
    let project = Project::new();
    project.commit("first");
    project.train("runs", true);
    let refused = |part: &str| {
        let ran = project.track(&["record"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
        assert!(!project.workplace.path("history").exists());
    };
    refused("3 trials: ran with uncommitted changes, which no commit holds: commit them and run again");
    let trial = fs::read_dir(project.workplace.path("runs/planted")).unwrap().next().unwrap().unwrap().path();
    fs::write(trial.join("record.json"), "{\"format\": 2, \"id\": ").unwrap();
    refused("is damaged");
    fs::remove_file(trial.join("record.json")).unwrap();
    refused("1 trial: not finished");
    project.commit("second");
    refused("ran at commit");
}

#[test]
fn bad_input_is_refused() {
    let project = Project::new();
    let commit = project.commit("first");
    project.train("runs", false);
    project.tracked(&["record"]);
    let rows: &[(&[&str], &str)] = &[
        (&["check", "--against", "absent"], "`absent` names no commit of this repository"),
        (&["check", "--against", "HEAD"], "there is nothing to compare"),
        (&["check", "--against", "HEAD", "--name", "planed"], "no sweep `planed`, it has planted"),
        (&["check", "--against", "HEAD", "--margin", "0"], "expected a number above 0"),
        (&["check", "--against", "HEAD", "--alpha", "1"], "expected a number between 0 and 1"),
        (&["check", "--against", "HEAD", "--history", "other"], "has records"),
        (&["log", "--filter", "lenet"], "no configuration of the history has `lenet` in its name"),
        (&["log", "--out", "log.gif"], ".svg, .pdf, .png or .html"),
        (&["bisect", "--good", &commit], "--sweep"),
        (&["bisect", "--good", &commit, "--sweep", "absent.yaml"], "absent.yaml"),
        (&["record", "absent"], "there are no trials in it"),
        (&["record", "--bench", "sweep.yaml"], "harness bench --json"),
    ];
    for (arguments, part) in rows {
        let ran = project.track(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(part), "{arguments:?}: {ran:?}");
    }
    let file = project.workplace.path("history/planted.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"seed\":1", "\"seed\":x", 1)).unwrap();
    for arguments in [&["log"][..], &["check", "--against", "HEAD"], &["record"]] {
        let ran = project.track(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("planted.jsonl:2: "), "{arguments:?}: {ran:?}");
    }
    let outside = Workplace::new("").run(&["track", "log"]);
    assert_eq!(outside.code, 2, "{outside:?}");
    assert!(outside.stderr.contains("is not in a git repository"), "{outside:?}");
}

#[test]
fn kernel_speeds_are_tracked_as_ratios() {
    let project = Project::new();
    let before = project.commit("first");
    let bench = |speed: f64| {
        let old = include_str!("../../../records/tests/records/fixtures/bench-v1.json");
        let mut report: Value = serde_json::from_str(old).unwrap();
        let kernel = |shape: &str, route: &str, chosen: bool, ratio: f64| {
            let mut kernel = report["cells"][0].clone();
            (kernel["shape"], kernel["route"], kernel["chosen"]) = (shape.into(), route.into(), chosen.into());
            kernel["ratio_f32"] = json!({"median": ratio, "low": ratio, "high": ratio});
            kernel["something"] = json!([1]);
            kernel
        };
        report["cells"] = json!([
            kernel("256x256x2304", "popcount", true, 20.0 * speed),
            kernel("128x128x1152", "popcount", true, 15.0),
            kernel("256x256x2304", "bytes", false, 3.0),
        ]);
        report.to_string()
    };
    let record = |speed: f64| {
        let files: Vec<String> = (0..3).map(|i| format!("runs-{i}.json")).collect();
        for (i, file) in files.iter().enumerate() {
            project.write(file, &bench(speed * (1.0 + 0.002 * i as f64)));
        }
        let mut arguments = vec!["record"];
        files.iter().for_each(|file| arguments.extend(["--bench", file.as_str()]));
        assert!(project.tracked(&arguments).starts_with("6 trials of "));
    };
    record(1.0);
    project.commit("second");
    record(0.8);
    let check = project.track(&["check", "--against", &before, "--json"]);
    assert_eq!(check.code, 1, "{check:?}");
    let check: Value = serde_json::from_str(&check.stdout).unwrap();
    let rows = check["check"]["rows"].as_array().unwrap();
    let verdicts: Vec<&str> = rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["regressed", "equivalent"], "{check}");
    assert_eq!(rows[0]["label"], "gemm 256x256x2304 w1a1 popcount 1t, speed over f32");
    assert!(Path::new(&project.workplace.path("history/kernels.jsonl")).is_file());
}
