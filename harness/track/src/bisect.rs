//! The commit that changed the results: halving of the line between a good commit and a bad one.
//!
//! A commit whose results are in the history is not run again; those that are run are added to it, so an interrupted
//! search goes on where it stopped. Only what regressed between the two ends is looked at, and a commit in between
//! counts as bad when its results lie nearer to those of the bad end. That needs no significance at every step, and
//! the answer is checked at the end: the commit found is compared with the one before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness_records::catalog::Catalog;
use harness_records::record::Status;
use harness_records::store::{Store, TrialState};
use harness_stats::Summary;
use serde::Serialize;

use crate::check::{self, Check, Place, Row, Settings, Verdict, places};
use crate::compare::Side;
use crate::error::TrackError;
use crate::git::{Commit, Repository, short};
use crate::history::{Entry, History};
use crate::measure::Measure;
use crate::record;

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The first bad commit, or where commits could not be run all that may be it, oldest first.
    pub suspects: Vec<String>,
    /// What regressed between the ends.
    pub regressed: Vec<Row>,
    /// The suspect compared with the commit before it; `None` with several suspects.
    pub check: Option<Check>,
    /// Commits that were run, in order.
    pub ran: Vec<String>,
    /// Commits that could not be run.
    pub skipped: Vec<String>,
}

impl Found {
    /// True when the one suspect by itself is a regression: not one of many small steps.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.of(Verdict::Regressed).next().is_some())
    }
}

/// What happens during a search, for whoever watches.
#[derive(Debug)]
pub enum Step<'a> {
    /// A commit's results are needed and not in the history: it is being run.
    Runs(&'a Commit),
    /// A commit was judged.
    Judged {
        /// The commit.
        commit: &'a Commit,
        /// Whether it is on the bad side.
        bad: bool,
        /// Commits that may still be the first bad one.
        left: usize,
    },
    /// A commit gave no results.
    Skipped(&'a Commit),
}

/// Results of a commit by sweep; `None` when it gives none.
pub type Results = Option<BTreeMap<String, Vec<Entry>>>;

/// A search on one repository and history.
pub struct Search<'a> {
    /// Where the commits are.
    pub repository: &'a Repository,
    /// What is known; grows.
    pub history: &'a mut History,
    /// Folder of the history.
    pub folder: &'a Path,
    /// How regressions are told from noise.
    pub settings: &'a Settings,
    /// Runs a commit.
    pub run: &'a mut dyn FnMut(&Commit) -> Result<Results, TrackError>,
    /// Listens.
    pub say: &'a mut dyn FnMut(Step<'_>),
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("repository", self.repository).field("folder", &self.folder).finish()
    }
}

impl Search<'_> {
    /// The first commit after `good`, up to `bad`, with the results of `bad`.
    ///
    /// # Errors
    /// Ends that are not on one line, that give no results, or between which nothing regressed; failures of git and of
    /// the history's files.
    pub fn first_bad(&mut self, good: &Commit, bad: &Commit) -> Result<Found, TrackError> {
        let mut found =
            Found { suspects: Vec::new(), regressed: Vec::new(), check: None, ran: Vec::new(), skipped: Vec::new() };
        let mut chain = vec![good.clone()];
        chain.extend(self.repository.between(good, bad)?);
        for end in [good, bad] {
            if !self.has_results(end, &mut found)? {
                return Err(TrackError::Nothing(format!("{} gives no results, see what it said above", end.short())));
            }
        }
        let check = check::compare(self.history, &good.id, &bad.id, self.settings);
        found.regressed = check.of(Verdict::Regressed).cloned().collect();
        if found.regressed.is_empty() {
            let rows = check.rows.len();
            return Err(TrackError::Nothing(format!(
                "nothing regressed from {} to {} ({rows} configurations compared): there is no commit to find",
                good.short(),
                bad.short()
            )));
        }
        let (mut low, mut high) = (0, chain.len() - 1);
        while let Some(middle) = middle(&chain, low, high, &found.skipped) {
            let commit = chain[middle].clone();
            if !self.has_results(&commit, &mut found)? {
                continue;
            }
            let Some(is_bad) = self.is_bad(&commit, good, bad, &found.regressed) else {
                found.skipped.push(commit.id.clone());
                (self.say)(Step::Skipped(&commit));
                continue;
            };
            if is_bad {
                high = middle
            } else {
                low = middle
            }
            (self.say)(Step::Judged { commit: &commit, bad: is_bad, left: high - low });
        }
        found.suspects = chain[low + 1..=high].iter().map(|commit| commit.id.clone()).collect();
        if let [only] = found.suspects.as_slice() {
            found.check = Some(check::compare(self.history, &chain[low].id, only, self.settings));
        }
        Ok(found)
    }

    /// Sees to it that the history has results of a commit; false where it gives none.
    fn has_results(&mut self, commit: &Commit, found: &mut Found) -> Result<bool, TrackError> {
        if self.history.of(&commit.id).next().is_some() {
            return Ok(true);
        }
        (self.say)(Step::Runs(commit));
        found.ran.push(commit.id.clone());
        let Some(results) = (self.run)(commit)? else {
            found.skipped.push(commit.id.clone());
            (self.say)(Step::Skipped(commit));
            return Ok(false);
        };
        for (sweep, entries) in results {
            self.history.add(&sweep, entries);
            self.history.write(self.folder, &sweep)?;
        }
        Ok(self.history.of(&commit.id).next().is_some())
    }

    /// Whether the results of a commit lie nearer to the bad end, over everything that regressed; `None` where it has
    /// none of that.
    fn is_bad(&self, commit: &Commit, good: &Commit, bad: &Commit, regressed: &[Row]) -> Option<bool> {
        let (here, old, new) =
            (places(self.history.of(&commit.id)), places(self.history.of(&good.id)), places(self.history.of(&bad.id)));
        let mut votes = Vec::new();
        for row in regressed {
            let place: Place<'_> = (&row.sweep, &row.config, &row.hardware);
            let (Some(here), Some(old), Some(new)) = (here.get(&place), old.get(&place), new.get(&place)) else {
                continue;
            };
            votes.extend(position(here, old, new, row.measure));
        }
        (!votes.is_empty()).then(|| votes.iter().sum::<f64>() / votes.len() as f64 > 0.5)
    }
}

/// Where a side lies between two others: 0 like `old`, 1 like `new`, never beyond either.
fn position(here: &Side<'_>, old: &Side<'_>, new: &Side<'_>, measure: Measure) -> Option<f64> {
    let well = |side: &Side<'_>| {
        side.values().filter(|entry| entry.status == Status::Ok).count() as f64 / side.len().max(1) as f64
    };
    let mean = |side: &Side<'_>| {
        let values: Vec<f64> = side.values().filter_map(|entry| measure.value(entry)).collect();
        Summary::of(&values).map(|summary| summary.mean)
    };
    let between = |here: f64, old: f64, new: f64| ((here - old) / (new - old)).clamp(0.0, 1.0);
    // Trials that no longer end well are what regressed, where some do not.
    let (from, to) = (well(old), well(new));
    if from > to {
        return Some(between(well(here), from, to));
    }
    let (from, to) = (mean(old)?, mean(new)?);
    if from == to { None } else { Some(between(mean(here)?, from, to)) }
}

/// The commit nearest to the middle of the open range that was not skipped.
fn middle(chain: &[Commit], low: usize, high: usize, skipped: &[String]) -> Option<usize> {
    let centre = usize::midpoint(low, high);
    (low + 1..high).filter(|&i| !skipped.contains(&chain[i].id)).min_by_key(|&i| i.abs_diff(centre))
}

/// How a commit is run: checked out beside the working tree, a command in it, records out.
#[derive(Debug)]
pub struct Runner<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// A command for `sh`, run in the top folder of the checked-out commit. It finds where to put the runs in
    /// `HARNESS_RUNS`.
    pub command: &'a str,
    /// The sweep file, given to the command as `HARNESS_SWEEP`.
    pub sweep: Option<&'a Path>,
    /// To name configurations.
    pub catalog: &'a Catalog,
    /// Where commits are checked out and run; kept until a commit is done, so that its finished trials are not lost.
    pub scratch: &'a Path,
}

impl Runner<'_> {
    /// Results of a commit; `None` when its command wrote no record.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub fn run(&self, commit: &Commit) -> Result<Results, TrackError> {
        let folder = self.scratch.join(short(&commit.id));
        let (tree, runs) = (folder.join("tree"), folder.join("runs"));
        std::fs::create_dir_all(&folder).map_err(|source| self.failed("create", &folder, source))?;
        if !tree.join(".git").exists() {
            self.repository.add_worktree(&tree, &commit.id)?;
        }
        let status = self.command(&tree, &runs).status();
        status.map_err(|source| self.failed("run the command in", &tree, source))?;
        let store = Store::open(&runs);
        let entries = store.scan(None).map_err(|error| TrackError::Nothing(error.to_string()))?;
        let mut results: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            if let TrialState::Done(record) | TrialState::Failed(record) = entry.state {
                results.entry(record.sweep.clone()).or_default().push(record::entry(&record, commit, self.catalog));
            }
        }
        self.repository.remove_worktree(&tree)?;
        if results.is_empty() {
            return Ok(None);
        }
        std::fs::remove_dir_all(&folder).map_err(|source| self.failed("remove", &folder, source))?;
        Ok(Some(results))
    }

    fn command(&self, tree: &Path, runs: &Path) -> Command {
        let mut command = Command::new("sh");
        // Standard output is for results: what builds and sweeps say there goes to where talk goes.
        let script = format!("exec 1>&2\n{}", self.command);
        command.args(["-c", &script]).current_dir(tree).env("HARNESS_RUNS", runs).stdin(Stdio::null());
        // Set by git for its hooks; in another tree they would point back here.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        if let Some(sweep) = self.sweep {
            command.env("HARNESS_SWEEP", sweep);
        }
        // Dependencies are compiled once for all commits, and never in place of the user's own build.
        if std::env::var_os("CARGO_TARGET_DIR").is_none() {
            command.env("CARGO_TARGET_DIR", self.scratch.join("target"));
        }
        // A libtorch that the repository's set-up fetched lies outside of git.
        let libtorch = self.repository.root().join(".libtorch");
        if std::env::var_os("LIBTORCH").is_none() && libtorch.is_dir() {
            command.env("LIBTORCH", libtorch);
        }
        command
    }

    fn failed(&self, action: &'static str, path: &Path, source: std::io::Error) -> TrackError {
        TrackError::File { action, path: PathBuf::from(path), source }
    }
}
