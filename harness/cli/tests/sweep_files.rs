//! The sweep files that come with the project: all of them are right, and their arms can train.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::Ran;
use tempfile::TempDir;

/// Pixels a side, and images of each part, of a Fashion-MNIST that holds nothing to learn.
const SIDE: u32 = 28;
const TRAIN: u32 = 100;
const TEST: u32 = 20;

fn fashion_mnist() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (part, count) in [("train", TRAIN), ("t10k", TEST)] {
        let header = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
        let pixels = (0..count * SIDE * SIDE).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        let images: Vec<u8> = header(&[0x0803, count, SIDE, SIDE]).into_iter().chain(pixels).collect();
        let labels: Vec<u8> = header(&[0x0801, count]).into_iter().chain((0..count).map(|i| (i % 10) as u8)).collect();
        fs::write(folder.path().join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.path().join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
    folder
}

/// Every file under `sweeps/`, by folder.
fn sweep_files() -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps");
    let mut folders = vec![root];
    let mut found: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.entry(folder.clone()).or_default().push(path);
            }
        }
    }
    found.values_mut().for_each(|files| files.sort());
    found
}

/// Runs `harness sweep FILE --json` in `data`'s folder.
fn sweep(file: &Path, data: &TempDir, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["sweep", "--json"])
        .arg(file)
        .args(arguments)
        .env("FASHION_MNIST_DIR", data.path())
        .current_dir(data.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ran = Ran::new(output);
    assert_eq!(ran.code, 0, "{}: {ran:?}", file.display());
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn every_sweep_file_is_right() {
    let data = fashion_mnist();
    let folders = sweep_files();
    assert!(folders.len() >= 6, "{folders:?}");
    for file in folders.values().flatten() {
        let plan = sweep(file, &data, &["--dry-run"]);
        assert!(!plan["trials"].as_array().unwrap().is_empty(), "{}", file.display());
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with("# "), "{}: its head says what it asks", file.display());
    }
}

#[test]
fn the_arms_of_the_smallest_sweep_of_each_folder_train() {
    let data = fashion_mnist();
    let short = ["--set", "train.epochs=1", "--set", "train.limit=64", "--set", "train.seed=0"];
    for files in sweep_files().into_values() {
        let plan = |file: PathBuf| {
            let plan = sweep(&file, &data, &[&short[..], &["--dry-run"]].concat());
            (plan["trials"].as_array().unwrap().len(), file)
        };
        let (trials, file) = files.into_iter().map(plan).min().unwrap();
        let summary = sweep(&file, &data, &short);
        assert_eq!(summary["counts"]["ok"], trials, "{}: {summary}", file.display());
    }
}
