//! `harness track record`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use harness_records::record::RunRecord;
use harness_records::store::{Store, TrialState};
use harness_track::git::{Commit, short};
use harness_track::history::Entry;
use harness_track::record::{KERNELS, entry, kernels};
use serde_json::json;

use super::{Known, Place, stop};
use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{print, print_json, talk};
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness sweep sweeps/quickstart.yaml --runs fresh && harness track record fresh
  harness bench --json > one.json && harness track record --bench one.json

A finished trial is never run again, so give every commit a folder of runs of its own.
Trials of another commit, and those that ran with uncommitted changes, are left out and named.
Several files of --bench count as that many repetitions.")]
pub(crate) struct TrackRecordArguments {
    /// Folder of the runs [default: runs, unless --bench is given]
    runs: Option<PathBuf>,
    /// The commit whose trials are added
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    commit: String,
    /// Kernel speeds of that commit, as `harness bench --json` prints them (repeatable)
    #[arg(long = "bench", value_name = "FILE")]
    benches: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Print what was added as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &TrackRecordArguments, volume: Volume) -> Outcome {
    let Known { repository, folder, mut history } = arguments.place.open()?;
    let commit = repository.commit(&arguments.commit).map_err(stop)?;
    let mut added = Added::default();
    let runs = arguments.runs.clone().or_else(|| arguments.benches.is_empty().then(|| PathBuf::from("runs")));
    if let Some(runs) = &runs {
        added.runs(&Store::open(runs), &commit)?;
    }
    for (file, run) in arguments.benches.iter().zip(0..) {
        added.add(KERNELS, kernels(file, run, &commit).map_err(stop)?);
    }
    if added.sweeps.is_empty() {
        let reasons =
            if added.left_out.is_empty() { vec!["there are no trials in it".to_owned()] } else { added.reasons() };
        let shown = runs.unwrap_or_default();
        return Err(refuse(format_args!(
            "nothing in {} to record for {}: {}",
            shown.display(),
            commit.short(),
            reasons.join("; ")
        )));
    }
    let mut files = Vec::new();
    let mut lines = 0;
    let mut changed = 0;
    for (sweep, entries) in added.sweeps.clone() {
        lines += entries.len();
        changed += history.add(&sweep, entries);
        files.push(history.write(&folder, &sweep).map_err(stop)?);
    }
    if !volume.quiet {
        for reason in added.reasons() {
            talk(format_args!("left out: {reason}"));
        }
    }
    if arguments.json {
        let sweeps: BTreeMap<&String, usize> = added.sweeps.iter().map(|(name, lines)| (name, lines.len())).collect();
        return Ok(print_json(&json!({
            "commit": commit.id, "trials": lines, "changed": changed, "sweeps": sweeps, "files": files,
            "left_out": added.reasons(),
        }))?);
    }
    print(format_args!(
        "{lines} trials of {} ({}), {changed} of them new in the history",
        commit.short(),
        commit.subject
    ))?;
    Ok(())
}

/// What goes into the history, and what does not.
#[derive(Debug, Default)]
struct Added {
    sweeps: BTreeMap<String, Vec<Entry>>,
    /// Trials by reason.
    left_out: BTreeMap<String, usize>,
}

impl Added {
    fn runs(&mut self, store: &Store, commit: &Commit) -> Result<(), Stop> {
        let mut entries = store.scan(None)?;
        if entries.is_empty()
            && let (Some(parent), Some(name)) =
                (store.root().parent(), store.root().file_name().and_then(|name| name.to_str()))
        {
            // The folder of one sweep was given.
            entries = Store::open(parent).scan(Some(name))?;
        }
        let catalog = catalog();
        for found in entries {
            let record = match found.state {
                TrialState::Done(record) | TrialState::Failed(record) => record,
                TrialState::Broken(reason) => {
                    self.leave_out(reason);
                    continue;
                }
                TrialState::New | TrialState::Partial(_) | TrialState::Running { .. } => {
                    self.leave_out("not finished".to_owned());
                    continue;
                }
            };
            match unfit(&record, commit) {
                Some(reason) => self.leave_out(reason),
                None => self.add(&record.sweep.clone(), vec![entry(&record, commit, &catalog)]),
            }
        }
        Ok(())
    }

    fn add(&mut self, sweep: &str, entries: Vec<Entry>) {
        self.sweeps.entry(sweep.to_owned()).or_default().extend(entries);
    }

    fn leave_out(&mut self, reason: String) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn reasons(&self) -> Vec<String> {
        let plural = |count: usize| if count == 1 { "1 trial".to_owned() } else { format!("{count} trials") };
        self.left_out.iter().map(|(reason, count)| format!("{}: {reason}", plural(*count))).collect()
    }
}

/// Why a record does not belong to a commit.
fn unfit(record: &RunRecord, commit: &Commit) -> Option<String> {
    match (&record.environment.commit, record.environment.dirty) {
        (None, _) => Some("ran outside of a git repository".to_owned()),
        (Some(other), _) if *other != commit.id => Some(format!("ran at commit {}", short(other))),
        (Some(_), Some(false)) => None,
        (Some(_), Some(true)) => {
            Some("ran with uncommitted changes, which no commit holds: commit them and run again".to_owned())
        }
        (Some(_), None) => Some("it is not known whether it ran with uncommitted changes".to_owned()),
    }
}
