//! What a sweep came to, for people and for scripts.

use std::collections::HashMap;
use std::path::PathBuf;

use harness_engine::execute::{End, Outcome as TrialOutcome};
use harness_engine::prepare::Prepared;
use harness_engine::stop;
use harness_engine::worker::Decision;
use harness_records::record::{Status, TrialError};
use harness_records::spec::SweepSpec;
use harness_records::store::Store;
use serde::Serialize;
use serde_json::{Value, json};

use super::failures;
use crate::commands::report;
use crate::output::{quoted, talk};

/// What a sweep came to.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    sweep: String,
    counts: Counts,
    /// True when it was asked to stop before it was done.
    stopped: bool,
    /// Failed trials by class, with the next thing to try.
    failures: Vec<failures::Group>,
    trials: Vec<TrialSummary>,
    report: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    ok: usize,
    diverged: usize,
    failed: usize,
    /// Not run, because what they build on did not end well.
    blocked: usize,
    /// Run by another process, or not begun.
    open: usize,
}

#[derive(Debug, Serialize)]
struct TrialSummary {
    id: String,
    label: String,
    /// `ok`, `diverged`, `failed`, `blocked` or `open`.
    status: &'static str,
    /// True when this command ran it.
    ran: bool,
    metrics: Value,
    error: Option<TrialError>,
    /// What it builds on that did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<String>,
}

impl Summary {
    pub(super) fn new(
        spec: &SweepSpec,
        store: &Store,
        prepared: &[Prepared],
        outcomes: &[TrialOutcome],
        written: Option<&report::Written>,
    ) -> Summary {
        let outcomes: HashMap<&str, &End> = outcomes.iter().map(|o| (o.id.as_str(), &o.end)).collect();
        let mut counts = Counts::default();
        let trials = prepared.iter().map(|p| {
            let trial = &p.trial;
            let end = outcomes.get(trial.id.as_str()).copied();
            let record = store.trial(&trial.sweep, &trial.id).record().ok().flatten();
            let broken = match end {
                Some(End::Broken(error)) => Some(error.clone()),
                _ => None,
            };
            let blocked = match (end, &p.decision) {
                (Some(End::Blocked(reason)), _) | (None, Decision::Blocked(reason)) => Some(reason.clone()),
                _ => None,
            };
            let (status, count) = match record.as_ref().map(|record| record.status) {
                Some(Status::Ok) => ("ok", &mut counts.ok),
                Some(Status::Diverged) => ("diverged", &mut counts.diverged),
                Some(Status::Failed) => ("failed", &mut counts.failed),
                None if broken.is_some() => ("failed", &mut counts.failed),
                None if blocked.is_some() => ("blocked", &mut counts.blocked),
                None => ("open", &mut counts.open),
            };
            *count += 1;
            TrialSummary {
                id: trial.id.clone(),
                label: trial.label.clone(),
                status,
                ran: matches!(end, Some(End::Recorded { .. } | End::Broken(_))),
                metrics: json!(record.as_ref().and_then(|record| record.metrics.clone())),
                error: record.and_then(|record| record.error).or(broken),
                blocked,
            }
        });
        let trials: Vec<TrialSummary> = trials.collect();
        let failed = trials.iter().filter_map(|t| Some((t.error.as_ref()?.class, t.id.as_str(), t.label.as_str())));
        let failures = failures::groups(failed);
        let report = written.map(report::Written::page);
        Summary { sweep: spec.name.clone(), counts, stopped: stop::requested(), failures, trials, report }
    }

    pub(super) fn is_well(&self) -> bool {
        self.counts.diverged + self.counts.failed + self.counts.blocked + self.counts.open == 0
    }

    pub(super) fn say(&self, written: Option<&report::Written>) {
        let Counts { ok, diverged, failed, blocked, open } = self.counts;
        let blocked = if blocked > 0 { format!("{blocked} blocked, ") } else { String::new() };
        talk(format_args!("{}: {ok} ok, {diverged} diverged, {failed} failed, {blocked}{open} open", self.sweep));
        for trial in self.trials.iter().filter(|trial| trial.status != "ok") {
            let error = trial.error.as_ref();
            let class = error.map_or_else(String::new, |error| format!(" ({})", error.class.name()));
            let message = error.map(|error| error.message.as_str()).or(trial.blocked.as_deref());
            let message = message.unwrap_or("not run to its end by this command");
            talk(format_args!("  {} {}: {}{class}: {message}", trial.id, trial.label, trial.status));
        }
        for line in self.failures.iter().flat_map(failures::Group::lines) {
            talk(line);
        }
        if self.stopped && self.counts.open > 0 {
            talk(format_args!("stopped; what was running has a checkpoint. To go on: {}", quoted(std::env::args())));
        }
        for file in written.iter().flat_map(|written| &written.files) {
            let is_page = file.ends_with("report.md") || file.ends_with("report.html");
            if is_page || file.extension().is_some_and(|extension| extension == "png") {
                talk(format_args!("  {}", file.display()));
            }
        }
    }
}
