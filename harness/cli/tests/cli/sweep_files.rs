//! The sweep files that come with the project: all of them are right, and their trials run, on made-up data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Ran;
use serde_json::Value;
use tempfile::TempDir;

/// Every file under `sweeps/`.
fn sweep_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps");
    let (mut folders, mut files) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// `harness sweep FILE --json` in `folder`, with no data set anywhere.
fn run(file: &Path, folder: &TempDir, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.ends_with("_DIR")) {
        command.env_remove(name);
    }
    command.args(["sweep", "--json"]).arg(file).args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    Ran::new(command.output().unwrap())
}

fn sweep(file: &Path, folder: &TempDir, arguments: &[&str]) -> Value {
    let ran = run(file, folder, arguments);
    assert_eq!(ran.code, 0, "{}: {ran:?}", file.display());
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn every_sweep_file_is_right() {
    let folder = TempDir::new().unwrap();
    let files = sweep_files();
    assert!(files.len() >= 12, "{files:?}");
    for file in &files {
        let plan = sweep(file, &folder, &["--smoke", "--dry-run"]);
        assert!(!plan["trials"].as_array().unwrap().is_empty(), "{}", file.display());
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with("# "), "{}: its head says what it asks", file.display());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a dry run writes nothing");
}

/// What a trial tries that another may not have: its network, and how each role is quantized, built on and taught. A
/// network for photographs takes seconds a trial, so there a method counts once for all such networks together.
fn novelties(trial: &Value) -> Vec<String> {
    const SLOW: u64 = 100_000_000;
    let config = &trial["config"];
    let network = config["model"]["name"].as_str().unwrap();
    let scope = if trial["model"]["macs"].as_u64().unwrap() > SLOW { "photographs" } else { network };
    let role = |role: &str| {
        let choice = &config["quant"][role];
        format!("{scope}: {role} {} {} {} {}", choice["method"], choice["variant"], choice["base"], choice["schedule"])
    };
    let builds = |key: &str| format!("{scope}: {key} {}", !config["train"][key].is_null());
    let mut novelties = vec![network.to_owned(), builds("init"), builds("distill")];
    novelties.extend(["weights", "activations", "gradients"].map(role));
    novelties
}

/// Every file runs, and between them everything that a trial can try; `--smoke` by hand runs every trial of a file.
#[test]
fn trials_of_every_kind_run_on_made_up_data() {
    let mut seen = BTreeSet::new();
    for file in sweep_files() {
        let folder = TempDir::new().unwrap();
        let plan = sweep(&file, &folder, &["--smoke", "--dry-run"]);
        let mut wanted = Vec::new();
        for trial in plan["trials"].as_array().unwrap() {
            let novel = novelties(trial).into_iter().filter(|novelty| seen.insert(novelty.clone())).count() > 0;
            if novel || wanted.is_empty() {
                wanted.push(trial["id"].as_str().unwrap().to_owned());
            }
        }
        let mut arguments = vec!["--smoke".to_owned()];
        arguments.extend(wanted.iter().flat_map(|id| ["--only".to_owned(), id.clone()]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let summary = sweep(&file, &folder, &arguments);
        let ran = summary["counts"]["ok"].as_u64().unwrap();
        assert!(ran >= wanted.len() as u64, "{}: {summary}", file.display());
        let sweep = summary["sweep"].as_str().unwrap();
        assert!(sweep.ends_with("-smoke"), "{sweep}");
        assert!(folder.path().join("runs").join(sweep).join("report/report.md").exists(), "{}", file.display());
    }
}

#[test]
fn without_its_data_a_sweep_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps/ptb_bits.yaml");
    let ran = run(&file, &folder, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    for part in ["`PTB_DIR` is not set", "`export PTB_DIR=...`", "--set dataset.root=FOLDER", "`ptb`", "`--smoke`"] {
        assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
    }
    let ran = run(&file, &folder, &["--set", "dataset.root=/no/such/folder"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("/no/such/folder"), "{ran:?}");
    // A folder that was named and is not there is a mistake also in a smoke run.
    let ran = run(&file, &folder, &["--smoke", "--set", "dataset.root=/no/such/folder"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = run(&file, &folder, &["--smoke", "--dry-run", "-q"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("SMOKE RUN") && ran.stderr.contains("MADE-UP DATA: `ptb`"), "however quiet: {ran:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
