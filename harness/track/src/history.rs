//! The history: what was measured at which commit.
//!
//! ```text
//! history/<sweep>.jsonl     one JSON object a line: one trial at one commit on one kind of hardware
//! history/.gitattributes    lets git merge two histories by keeping the lines of both
//! ```
//!
//! Lines are sorted by trial, hardware and the time of the commit, so that two branches that add lines rarely touch the
//! same place; where they do, the union of both is right, in any order: readers sort, and a line that stands there
//! twice counts once. `v` is the version of a line's form; readers accept every version up to their own.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use harness_records::atomic;
use harness_records::record::{CorrectSamples, FailureClass, Status};
use serde::{Deserialize, Serialize};

use crate::error::TrackError;

/// Version of the lines that are written.
pub const VERSION: u32 = 1;

/// One trial at one commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// See [`VERSION`].
    pub v: u32,
    /// What the configuration is without its seed, 16 hex digits: trials that agree in it are compared. For kernels a
    /// name, `gemm 512x512x512 w1a1`.
    pub config: String,
    /// Seed of the trial; of kernels, the number of the run.
    pub seed: u64,
    /// What it ran on. Different hardware is never compared.
    pub hardware: String,
    /// When the commit was made, seconds since 1970.
    pub committed: i64,
    /// The commit.
    pub commit: String,
    /// The configuration in words.
    pub label: String,
    /// How the trial ended.
    pub status: Status,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureClass>,
    /// What was measured, by name: `top1` and `loss`, `perplexity`, or for kernels `ratio`.
    pub metrics: BTreeMap<String, f64>,
    /// Which test samples are right.
    #[serde(rename = "answers", default, skip_serializing_if = "Option::is_none")]
    pub correct_samples: Option<CorrectSamples>,
}

/// What makes an entry: where it stands in its file, and no other entry has it.
type Key<'a> = (&'a str, u64, &'a str, i64, &'a str);

impl Entry {
    fn key(&self) -> Key<'_> {
        (&self.config, self.seed, &self.hardware, self.committed, &self.commit)
    }
}

/// All that was recorded, by sweep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Entries of each sweep, sorted, each trial and commit once.
    pub sweeps: BTreeMap<String, Vec<Entry>>,
    /// What the reader should know: entries that contradict each other.
    pub problems: Vec<String>,
}

const EXTENSION: &str = "jsonl";
const ATTRIBUTES: &str = ".gitattributes";

impl History {
    /// Reads the history in a folder; a folder that does not exist has none.
    ///
    /// # Errors
    /// [`TrackError::Line`] with the place of the first line that is no entry, and files that cannot be read.
    pub fn read(folder: &Path) -> Result<History, TrackError> {
        let mut history = History::default();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(history),
            Err(error) => return Err(file_error("read", folder)(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(file_error("read", folder))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(path);
            }
        }
        files.sort();
        for file in files {
            let Some(name) = file.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let text = fs::read_to_string(&file).map_err(file_error("read", &file))?;
            let mut entries = parse(&file, &text)?;
            let twice = sort(&mut entries);
            history.problems.extend(twice.into_iter().map(|what| format!("{}: {what}", file.display())));
            history.sweeps.insert(name.to_owned(), entries);
        }
        Ok(history)
    }

    /// Adds entries of one sweep; one that is there already, for the same trial, commit and hardware, is replaced.
    /// Returns how many lines are new or different.
    pub fn add(&mut self, sweep: &str, entries: Vec<Entry>) -> usize {
        let there = self.sweeps.entry(sweep.to_owned()).or_default();
        let mut changed = 0;
        for entry in entries {
            match there.iter_mut().find(|other| other.key() == entry.key()) {
                Some(other) if *other == entry => {}
                Some(other) => {
                    *other = entry;
                    changed += 1;
                }
                None => {
                    there.push(entry);
                    changed += 1;
                }
            }
        }
        sort(there);
        changed
    }

    /// Writes the file of one sweep, and the rule by which git merges it.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(&self, folder: &Path, sweep: &str) -> Result<PathBuf, TrackError> {
        fs::create_dir_all(folder).map_err(file_error("create", folder))?;
        let attributes = folder.join(ATTRIBUTES);
        if !attributes.exists() {
            atomic::write(&attributes, b"*.jsonl merge=union\n").map_err(file_error("write", &attributes))?;
        }
        let mut text = String::new();
        for entry in self.sweeps.get(sweep).into_iter().flatten() {
            // An entry is numbers and text: it always has a JSON form.
            text.push_str(&serde_json::to_string(entry).unwrap_or_default());
            text.push('\n');
        }
        let file = folder.join(format!("{sweep}.{EXTENSION}"));
        atomic::write(&file, text.as_bytes()).map_err(file_error("write", &file))?;
        Ok(file)
    }

    /// Entries of one commit, with the sweep each belongs to.
    pub fn of<'a>(&'a self, commit: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> + 'a {
        let all =
            self.sweeps.iter().flat_map(|(sweep, entries)| entries.iter().map(move |entry| (sweep.as_str(), entry)));
        all.filter(move |(_, entry)| entry.commit == commit)
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrackError {
    let path = path.to_owned();
    move |source| TrackError::File { action, path, source }
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

fn parse(file: &Path, text: &str) -> Result<Vec<Entry>, TrackError> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |reason: String| TrackError::Line { file: file.to_owned(), line: index + 1, reason };
        if line.trim().is_empty() {
            continue;
        }
        if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark)) {
            let advice = "delete the marks and keep the lines of both sides, each stands for itself";
            return Err(wrong(format!("a merge was not finished: {advice}")));
        }
        let expected = "expected an entry as `harness track record` writes it";
        let head: Head = serde_json::from_str(line).map_err(|error| wrong(format!("{error}; {expected}")))?;
        if head.v > VERSION {
            return Err(wrong(format!("version {}, this harness reads up to {VERSION}: use a newer one", head.v)));
        }
        entries.push(serde_json::from_str(line).map_err(|error| wrong(format!("{error}; {expected}")))?);
    }
    Ok(entries)
}

/// Sorts, and keeps of entries for the same trial and commit the first; says which contradicted each other.
fn sort(entries: &mut Vec<Entry>) -> Vec<String> {
    let text = |entry: &Entry| serde_json::to_string(entry).unwrap_or_default();
    entries.sort_by(|a, b| a.key().cmp(&b.key()).then_with(|| text(a).cmp(&text(b))));
    let mut problems = Vec::new();
    entries.dedup_by(|later, kept| {
        let same = later.key() == kept.key();
        if same && later != kept {
            let problem = format!(
                "{} with seed {} at {} is there more than once with different results; the first is used",
                kept.label,
                kept.seed,
                crate::git::short(&kept.commit)
            );
            if problems.last() != Some(&problem) {
                problems.push(problem);
            }
        }
        same
    });
    problems
}
