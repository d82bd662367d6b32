//! One worker process: claims trials from the runs folder, one after the other, and runs them.
//!
//! A worker is given the trials of a sweep and decides nothing: whoever claims a trial runs it, so any number of
//! workers, started by anybody on any machine that sees the folder, share a sweep.

use std::io;

use harness_records::attempt::{AttemptEnd, Ended};
use harness_records::lease::HEARTBEAT;
use harness_records::record::{FailureClass, TrialError};
use harness_records::store::{Claim, Store, TrialState};
use harness_records::trial::Trial;
use tch::Device;

use crate::environment::Revision;
use crate::event::Event;
use crate::failure::EngineError;
use crate::job::{Job, Rules};
use crate::run;

/// What a worker is to do.
#[derive(Debug)]
pub struct Worker<'a> {
    /// Where trials are kept.
    pub store: &'a Store,
    /// Where to compute.
    pub device: Device,
    /// What is done about trials that fail or take long.
    pub rules: Rules,
}

impl Worker<'_> {
    /// Runs whichever of `trials` can be claimed, in order.
    pub fn run(&self, trials: &[Trial], report: &mut dyn FnMut(Event)) {
        let revision = Revision::here();
        for trial in trials {
            if let Err(error) = self.one(trial, &revision, report) {
                report(Event::Broken { id: trial.id.clone(), error: error.to_trial_error() });
            }
        }
    }

    fn one(&self, trial: &Trial, revision: &Revision, report: &mut dyn FnMut(Event)) -> Result<(), EngineError> {
        let dir = self.store.trial(&trial.sweep, &trial.id);
        let passed = |reason: String| Event::Passed { id: trial.id.clone(), reason };
        // Whoever hands trials out keeps their order; another worker may still be at what this one builds on.
        let open = |id: &&str| !matches!(dir.sibling(id).state(), TrialState::Done(_));
        if let Some(id) = trial.config.train.needs().find(open) {
            report(passed(format!("it builds on {id}, which has not ended well yet")));
            return Ok(());
        }
        let mut lease = match dir.claim()? {
            Claim::Ours(lease) => lease,
            Claim::Finished => {
                report(passed("finished by another process".to_owned()));
                return Ok(());
            }
            Claim::Held(_) => {
                report(passed("another process works on it".to_owned()));
                return Ok(());
            }
        };
        // Another process may have failed at it since the sweep was looked at.
        if let Some(record) = dir.record().unwrap_or_default()
            && !self.rules.retry_failed
            && record.error.is_some_and(|error| !error.class.is_transient())
        {
            report(passed("failed in another process".to_owned()));
            return Ok(());
        }
        start_heartbeat(|| lease.beat_every(HEARTBEAT))?;
        let job = Job { trial, dir: &dir, lease: &lease, device: self.device, revision, rules: self.rules, report };
        match run::run(job) {
            Ok(_) => {}
            Err(EngineError::LeaseLost) => report(passed("another process has taken it over".to_owned())),
            Err(error @ EngineError::Stopped { .. }) => {
                // Whoever hears of it may begin the trial again.
                drop(lease);
                report(Event::Stopped { id: trial.id.clone(), reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Without a heartbeat other processes would take the trial for abandoned, so it must not run.
fn start_heartbeat(start: impl FnOnce() -> io::Result<()>) -> Result<(), EngineError> {
    start().map_err(EngineError::Heartbeat)
}

/// Whether a trial in this state would be run, and why (not).
#[must_use]
pub fn decide(state: &TrialState, retry_failed: bool) -> Decision {
    match state {
        TrialState::New => Decision::Run("new".to_owned()),
        TrialState::Partial(epochs) => Decision::Resume { epochs: *epochs },
        TrialState::Running { owner, .. } => {
            let owner = owner.as_ref().map_or_else(String::new, |o| format!(" ({}, process {})", o.host, o.pid));
            Decision::Skip(format!("running in another process{owner}"))
        }
        TrialState::Done(_) => Decision::Done,
        TrialState::Failed(record) => {
            let unknown = TrialError { class: FailureClass::Error, message: String::new() };
            let error = record.error.as_ref().unwrap_or(&unknown);
            let name = error.class.name();
            if error.class.is_transient() {
                Decision::Run(format!("failed before ({name}), tried again"))
            } else if retry_failed {
                Decision::Run(format!("failed before ({name}), tried again as asked"))
            } else {
                Decision::Failed(format!("failed ({name}); --retry-failed tries it again"))
            }
        }
        TrialState::Broken(reason) => Decision::Run(format!("its record cannot be used: {reason}")),
    }
}

/// What a sweep does with a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It runs from the start, for this reason.
    Run(String),
    /// It goes on from its last checkpoint.
    Resume {
        /// Epochs that are done.
        epochs: u32,
    },
    /// It has ended well.
    Done,
    /// It has failed and is not tried again, for this reason.
    Failed(String),
    /// It cannot run, because what it builds on is not there, for this reason.
    Blocked(String),
    /// It is left to somebody else, for this reason.
    Skip(String),
}

impl Decision {
    /// Whether there is something to do.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self, Decision::Run(_) | Decision::Resume { .. })
    }

    /// The reason in words.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Decision::Run(reason) | Decision::Failed(reason) | Decision::Blocked(reason) | Decision::Skip(reason) => {
                reason.clone()
            }
            Decision::Resume { epochs } => format!("{epochs} epochs done"),
            Decision::Done => "done".to_owned(),
        }
    }

    /// `run`, `resume`, `skip` or `blocked`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Decision::Run(_) => "run",
            Decision::Resume { .. } => "resume",
            Decision::Blocked(_) => "blocked",
            Decision::Done | Decision::Failed(_) | Decision::Skip(_) => "skip",
        }
    }
}

/// Writes the record of a trial whose worker died before it could. The attempt has been counted already.
///
/// # Errors
/// When the record cannot be written.
pub fn record_death(store: &Store, trial: &Trial, device: Device, error: &TrialError) -> Result<(), EngineError> {
    let dir = store.trial(&trial.sweep, &trial.id);
    let Claim::Ours(_lease) = dir.claim()? else { return Ok(()) };
    let epochs = dir.resume_state().ok().flatten().map_or(0, |state| state.epoch);
    dir.end_attempt(dir.attempts()?, AttemptEnd::now(Ended::Died, Some(error.clone()), epochs))?;
    let record = run::record_of_death(trial, &dir, device, error)?;
    Ok(dir.write_record(&record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_that_cannot_start_is_no_matter_of_the_checkpoint() {
        let error = start_heartbeat(|| Err(io::Error::other("no more threads"))).unwrap_err();
        assert!(matches!(error, EngineError::Heartbeat(_)), "{error:?}");
        assert_eq!(error.to_string(), "the thread for the lease's heartbeat cannot be started: no more threads");
    }
}
