//! Trials spread over worker processes.

pub mod cluster;
mod local;
mod persistent;
mod placement;

use harness_records::record::{Metrics, Status, TrialError};
use harness_records::trial::Trial;

use crate::event::Event;
use crate::failure::EngineError;

pub use local::{Local, STOP};
pub use persistent::Persistent;
pub use placement::{Placement, free_memory};

/// Something that gets trials run.
pub trait Executor {
    /// Runs `trials`, each after those of them that it builds on, and returns once no more can be run, with what became
    /// of each. What a trial builds on and is not among them has ended well. `watch` is told everything that workers
    /// report and decides whether to go on.
    ///
    /// # Errors
    /// When no worker can be started at all; trials that fail are outcomes, not errors.
    fn execute(&self, trials: &[Trial], watch: &mut dyn FnMut(&Event) -> Control)
    -> Result<Vec<Outcome>, ExecuteError>;
}

/// Whether an execution goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// It does.
    Continue,
    /// Trials that run may end; no other is begun.
    Drain,
    /// All workers are stopped.
    Stop,
}

/// What became of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Trial id.
    pub id: String,
    /// How it ended.
    pub end: End,
}

/// How an execution of a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Its record is written.
    Recorded {
        /// How the trial ended.
        status: Status,
        /// Final metrics.
        metrics: Option<Metrics>,
        /// Why, unless it ended well.
        error: Option<TrialError>,
    },
    /// It was left to somebody else, for this reason.
    Passed(String),
    /// It was not begun, because one that it builds on did not end well: which one, and how that ended.
    Blocked(String),
    /// It could not be recorded.
    Broken(TrialError),
    /// It was not begun, or stopped before its end.
    Stopped,
}

/// Why no trial could be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// A worker process could not be started or talked to.
    #[error("cannot start a worker process: {0}")]
    Spawn(#[from] std::io::Error),
    /// The store could not be read or written between trials.
    #[error(transparent)]
    Engine(#[from] Box<EngineError>),
}
