//! How far a trial is.

use crate::record::{RunRecord, Status};
use crate::store::error::StoreError;
use crate::store::lease::{Holder, Owner};
use crate::store::trial_dir::TrialDir;

/// How far a trial is.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialState {
    /// Nothing is there that could be used.
    New,
    /// A checkpoint is there: this many epochs are done.
    Partial(u32),
    /// Somebody works on it; the owner where its lease can be read.
    Leased(Option<Owner>),
    /// It ended well.
    Done(Box<RunRecord>),
    /// It diverged or failed.
    Failed(Box<RunRecord>),
    /// Its record cannot be read, for this reason.
    Broken(String),
}

impl TrialDir {
    /// How far the trial is. Reads only.
    #[must_use]
    pub fn state(&self) -> TrialState {
        self.try_state().unwrap_or_else(|error| TrialState::Broken(error.to_string()))
    }

    fn try_state(&self) -> Result<TrialState, StoreError> {
        let record = match self.record()? {
            Some(record) if record.status == Status::Ok => return Ok(TrialState::Done(Box::new(record))),
            record => record,
        };
        // A failed trial that is being tried again has a lease.
        match self.holder()? {
            Holder::Nobody => {}
            Holder::Lives(owner) | Holder::Silent { owner, .. } => return Ok(TrialState::Leased(owner)),
        }
        if let Some(record) = record {
            return Ok(TrialState::Failed(Box::new(record)));
        }
        Ok(match self.resume_state()? {
            Some(state) => TrialState::Partial(state.epoch),
            None => TrialState::New,
        })
    }
}
