//! Entries, noise and repositories.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness_records::record::{CorrectSamples, Status};
use harness_track::git::Repository;
use harness_track::history::{Entry, History, VERSION};
use tempfile::TempDir;

pub fn id(n: u32) -> String {
    format!("{n:040x}")
}

/// An accuracy of one trial.
pub fn entry(config: &str, seed: u64, commit: &str, top1: f64) -> Entry {
    Entry {
        v: VERSION,
        config: config.to_owned(),
        seed,
        hardware: "a CPU (AVX2), linux-x86_64".to_owned(),
        committed: 0,
        commit: commit.to_owned(),
        label: format!("digits lenet {config}"),
        status: Status::Ok,
        error: None,
        metrics: BTreeMap::from([("top1".to_owned(), top1), ("loss".to_owned(), 1.0 - top1)]),
        correct_samples: None,
    }
}

pub fn history(entries: Vec<Entry>) -> History {
    let mut history = History::default();
    history.add("s", entries);
    history
}

/// Deterministic numbers (SplitMix64).
pub struct Draw(pub u64);

impl Draw {
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A training: every test sample has its difficulty, every seed its own luck, and `shift` (in units of difficulty) is
/// what the code does to all of them.
pub fn trained(draw: &mut Draw, config: &str, seed: u64, commit: &str, shift: f64, samples: usize, luck: f64) -> Entry {
    let skill = 2.5 + shift + luck * draw.normal();
    // Difficulties are the same in every training.
    let difficulty = |sample: usize| 3.0 * ((sample * 7919 + config.len() * 104_729) % 1009) as f64 / 1009.0;
    let right = (0..samples).map(|sample| draw.uniform() < 1.0 / (1.0 + (difficulty(sample) - skill).exp()));
    let correct_samples = CorrectSamples::new(right.collect::<Vec<_>>());
    let mut entry = entry(config, seed, commit, correct_samples.correct() as f64 / samples as f64);
    entry.metrics.insert("loss".to_owned(), draw.uniform());
    entry.correct_samples = Some(correct_samples);
    entry
}

/// A repository in a folder of its own.
pub struct Repo {
    pub folder: TempDir,
}

impl Repo {
    pub fn new() -> Repo {
        let repo = Repo { folder: tempfile::tempdir().unwrap() };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Commits everything and returns the id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn open(&self) -> Repository {
        Repository::around(self.folder.path()).unwrap()
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]);
    let output = command.arg("-C").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
