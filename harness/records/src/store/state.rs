//! How far a trial is: the one type that says so, and the two readers of it.
//!
//! ```text
//!             claim                     every epoch ends well
//!   New ───────────────▶ Running ─────────────────────────────▶ Done
//!    ▲                    │  ▲  │
//!    │ no checkpoint      │  │  └── diverged, error, out of time ──▶ Failed ──┐ claim: at the next start, or with
//!    └── process died ────┤  └───────────────────────────────────────────────┘ --retry-failed, as its class says
//!                         ▼  ▲ claim
//!                        Partial   (stopped, killed or preempted, with a checkpoint)
//! ```
//!
//! `Broken` is any of them whose files cannot be used. What follows from a state is decided in the engine: whether a
//! sweep begins the trial (`worker::decide`), and whether a task of a cluster waits for it (`cluster::status`).

use crate::record::{RecordView, RunRecord, Status};
use crate::store::error::StoreError;
use crate::store::lease::{Holder, Owner};
use crate::store::trial_dir::TrialDir;

/// How far a trial is. `R` is what was read of its record: the whole of it, or only what a list shows.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialState<R = RunRecord> {
    /// Nothing is there that could be used.
    New,
    /// A checkpoint is there after this many epochs, and nobody works on the trial.
    Partial(u32),
    /// Somebody works on it.
    Running {
        /// Who, where the lease can be read.
        owner: Option<Owner>,
        /// The record of an earlier attempt, which did not end well.
        earlier: Option<Box<R>>,
    },
    /// It ended well.
    Done(Box<R>),
    /// It diverged or failed.
    Failed(Box<R>),
    /// Its files cannot be used, for this reason.
    Broken(String),
}

impl<R: RecordView> TrialState<R> {
    /// The names, as [`TrialState::name`] gives them.
    pub const NAMES: [&str; 7] = ["new", "partial", "running", "ok", "diverged", "failed", "broken"];

    /// The name in tables and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            TrialState::New => "new",
            TrialState::Partial(_) => "partial",
            TrialState::Running { .. } => "running",
            TrialState::Done(_) => "ok",
            TrialState::Failed(record) if record.status() == Status::Diverged => "diverged",
            TrialState::Failed(_) => "failed",
            TrialState::Broken(_) => "broken",
        }
    }

    /// What is known of the record: of the trial, or of an earlier attempt while it is tried again.
    #[must_use]
    pub fn record(&self) -> Option<&R> {
        match self {
            TrialState::Done(record) | TrialState::Failed(record) => Some(record),
            TrialState::Running { earlier, .. } => earlier.as_deref(),
            TrialState::New | TrialState::Partial(_) | TrialState::Broken(_) => None,
        }
    }
}

impl TrialDir {
    /// How far the trial is, with its whole record. Reads only.
    #[must_use]
    pub fn state(&self) -> TrialState {
        self.state_with()
    }

    /// How far the trial is, with what `R` takes of its record. Reads only.
    #[must_use]
    pub fn state_with<R: RecordView>(&self) -> TrialState<R> {
        self.try_state().unwrap_or_else(|error| TrialState::Broken(error.to_string()))
    }

    fn try_state<R: RecordView>(&self) -> Result<TrialState<R>, StoreError> {
        let record = match self.record_with::<R>()? {
            Some(record) if record.status() == Status::Ok => return Ok(TrialState::Done(Box::new(record))),
            record => record.map(Box::new),
        };
        // A failed trial that is being tried again has a lease.
        if let Holder::Lives(owner) | Holder::Silent { owner, .. } = self.holder()? {
            return Ok(TrialState::Running { owner, earlier: record });
        }
        if let Some(record) = record {
            return Ok(TrialState::Failed(record));
        }
        Ok(self.resume_state()?.map_or(TrialState::New, |state| TrialState::Partial(state.epoch)))
    }
}
