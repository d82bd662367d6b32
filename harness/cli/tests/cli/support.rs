//! The binary, in a folder of its own.

// Each test file uses its own part of this.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a sweep file, in which the binary runs.
pub struct Workplace {
    folder: TempDir,
}

/// Two tiny trials.
pub const TINY: &str = "\
name: tiny
base:
  dataset: {name: synthetic, channels: 1, height: 8, width: 8, classes: 10, train: 200, test: 100, noise: 0.3}
  model: {name: lenet, variant: small}
  train: {epochs: 2, batch: 50, optimizer: {name: sgd, lr: 0.05}}
axes:
  quant.weights:
    - {method: float}
    - {method: dorefa, bits: 2}
";

impl Workplace {
    pub fn new(sweep: &str) -> Workplace {
        let workplace = Workplace { folder: TempDir::new().unwrap() };
        fs::write(workplace.path("sweep.yaml"), sweep).unwrap();
        workplace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Another build of the same version can be put to the tests, one that was released or kept aside.
        let binary = std::env::var_os("HARNESS_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_harness").into());
        let mut command = Command::new(binary);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(arguments).output().unwrap())
    }

    /// Runs with `input` on standard input; what comes out may be any bytes.
    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Names of everything in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts a command whose training waits once it has done `steps` optimizer steps, and returns when it does. It
    /// waits until it is stopped, out of time or killed; one `name` holds once.
    pub fn start_held(&self, name: &str, steps: u64, arguments: &[&str]) -> Child {
        let file = self.path(name);
        let mut command = self.command(arguments);
        command.env("HARNESS_TEST_HOLD", format!("{steps} {}", file.display()));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the training waits", || file.exists());
        child
    }

    /// `harness sweep sweep.yaml --json` and these arguments; its summary and exit code.
    pub fn sweep(&self, arguments: &[&str]) -> (Value, i32) {
        let ran = self.run(&[&["sweep", "sweep.yaml", "--json"], arguments].concat());
        (serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}")), ran.code)
    }

    /// The folders of all trials of a sweep.
    pub fn trials(&self, sweep: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("runs").join(sweep)) else { return Vec::new() };
        let mut trials: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| is_trial(p)).collect();
        trials.sort();
        trials
    }

    /// All records of a sweep, in the order of their ids.
    pub fn records(&self, sweep: &str) -> Vec<Value> {
        let read =
            |trial: &PathBuf| serde_json::from_str(&fs::read_to_string(trial.join("record.json")).unwrap()).unwrap();
        self.trials(sweep).iter().map(read).collect()
    }
}

fn is_trial(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.len() == 16 && name.chars().all(|c| c.is_ascii_hexdigit())
}

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Everything in a record that the same trial must reproduce to the bit: all but times, attempts and places.
pub fn numbers(record: &Value) -> Value {
    let mut record = record.clone();
    let object = record.as_object_mut().unwrap();
    for key in ["time", "environment", "attempt"] {
        object.remove(key).unwrap();
    }
    for epoch in object["epochs"].as_array_mut().unwrap() {
        for key in ["train_seconds", "test_seconds", "samples_per_second"] {
            epoch.as_object_mut().unwrap().remove(key).unwrap();
        }
    }
    record
}

/// Sends a signal, by the name `kill` gives it.
pub fn kill(signal: &str, process: u64) {
    let signal = format!("-{signal}");
    assert!(Command::new("kill").args([signal, process.to_string()]).status().unwrap().success());
}

/// Waits until `done`. The limit only ends a test that would wait for ever.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(600), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
