//! What a worker reports while it works: one JSON object a line on its standard output.

use harness_records::record::{EpochRecord, Metrics, RecordedDevice, Status, TrialError};
use serde::{Deserialize, Serialize};

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Work on a trial begins.
    Started {
        /// Trial id.
        id: String,
        /// Which attempt, from 1.
        attempt: u32,
        /// Epochs that a checkpoint spares it.
        resumed_epochs: u32,
        /// `cpu` or `cuda:0`.
        device: RecordedDevice,
    },
    /// Some steps are done; sent a few times a second at most.
    Step {
        /// Trial id.
        id: String,
        /// Epoch, from 1.
        epoch: u32,
        /// Optimizer steps of the whole training that are done.
        done: u64,
        /// Optimizer steps of the whole training.
        total: u64,
        /// Loss of the last step.
        loss: f64,
        /// Fraction of the training images of this epoch so far that were classified correctly; none for a text.
        top1: Option<f64>,
        /// Training images (or words) a second in this epoch.
        samples_per_second: f64,
    },
    /// An epoch is done.
    Epoch {
        /// Trial id.
        id: String,
        /// Its results.
        record: EpochRecord,
    },
    /// A trial ended and its record is written.
    Finished {
        /// Trial id.
        id: String,
        /// Whether it ended well, diverged or failed.
        status: Status,
        /// Final metrics.
        metrics: Option<Metrics>,
        /// What went wrong; none when it ended well.
        error: Option<TrialError>,
    },
    /// A trial was stopped when asked to; it goes on from its checkpoint.
    Stopped {
        /// Trial id.
        id: String,
        /// How far it is.
        reason: String,
    },
    /// A trial that could not be run to its end is begun again in the same sweep.
    Again {
        /// Trial id.
        id: String,
        /// The reason, as a sentence for people.
        reason: String,
    },
    /// A trial was not run: somebody else has it or finished it.
    Passed {
        /// Trial id.
        id: String,
        /// The reason, as a sentence for people.
        reason: String,
    },
    /// A trial cannot be run, because one that it builds on did not end well.
    Blocked {
        /// Trial id.
        id: String,
        /// Which one, and how it ended.
        reason: String,
    },
    /// Something the user should know.
    Note {
        /// Trial id.
        id: String,
        /// The message, as a sentence for people.
        message: String,
    },
    /// A trial could not even be recorded as failed.
    Broken {
        /// Trial id.
        id: String,
        /// What went wrong.
        error: TrialError,
    },
}
