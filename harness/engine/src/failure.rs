//! What can go wrong in a trial, by class.

use std::io::{self, ErrorKind};

use harness_datasets::{DatasetError, Problem};
use harness_models::ModelError;
use harness_records::record::{FailureClass, TrialError};
use harness_records::store::StoreError;
use tch::TchError;

/// What can go wrong in a trial.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The loss became NaN or infinite.
    #[error("the loss became {loss} in epoch {epoch}, step {step}")]
    Diverged {
        /// Value of the loss.
        loss: f64,
        /// Epoch, from 1.
        epoch: u32,
        /// Optimizer step of the whole training, from 1.
        step: u64,
    },
    /// A trial that this one builds on has not ended well.
    #[error("trial {id}, which it builds on, has no network")]
    Unfinished {
        /// The other trial.
        id: String,
    },
    /// Asked to stop, with a checkpoint written.
    #[error("stopped after epoch {epochs}, step {steps}; it goes on from there")]
    Stopped {
        /// Epochs done.
        epochs: u32,
        /// Optimizer steps done.
        steps: u64,
    },
    /// Out of the time that an attempt is given, with a checkpoint written.
    #[error("not done after {seconds} s, at step {steps} of {total}; it goes on from there when tried again")]
    TimedOut {
        /// Seconds an attempt may take.
        seconds: u64,
        /// Optimizer steps done.
        steps: u64,
        /// Optimizer steps of the whole training.
        total: u64,
    },
    /// Another process took the trial over.
    #[error("another process has taken the trial over")]
    LeaseLost,
    /// No data set has this name.
    #[error("unknown data set `{0}`")]
    UnknownDataset(String),
    /// There is nothing to train or to test on.
    #[error("the data set has no {0} images")]
    NoImages(&'static str),
    /// Images where text is needed, or the other way round.
    #[error("data set `{name}` holds {holds}, expected {expected}")]
    Kind {
        /// Name of the data set.
        name: String,
        /// What it holds.
        holds: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// Micro-batches of a text.
    #[error(
        "a batch of text cannot be split into micro-batches, expected 1: choose a smaller `train.batch` or `train.bptt`"
    )]
    AccumulatedText,
    /// A calibration on a text.
    #[error("`train.calibrate` uses training images, and the data set holds text: remove it")]
    CalibratedText,
    /// A text without a word to predict.
    #[error("{words} words are too few for {batch} parallel streams, expected at least {}", 2 * .batch)]
    ShortText {
        /// Words there are.
        words: usize,
        /// Streams there should be.
        batch: u32,
    },
    /// The data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The model or a method.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A checkpoint or a file of weights that does not fit the network.
    #[error("the checkpoint does not fit: {0}")]
    Checkpoint(String),
    /// The progress within an epoch cannot be put into a checkpoint.
    #[error("the progress of the epoch cannot be written into the checkpoint: {0}")]
    EpochProgress(#[source] serde_json::Error),
    /// The thread that shows other processes that this one is alive cannot be started.
    #[error("the thread for the lease's heartbeat cannot be started: {0}")]
    Heartbeat(#[source] io::Error),
    /// The folder of a trial that this one builds on cannot be reached.
    #[error("cannot reach trial {id}, which it builds on: {source}")]
    Unreachable {
        /// The other trial.
        id: String,
        /// What the file system says.
        source: io::Error,
    },
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}

impl EngineError {
    /// Its class and message, as records keep them.
    #[must_use]
    pub fn to_trial_error(&self) -> TrialError {
        let message = self.to_string();
        // libtorch's messages carry a C++ stack after the first line.
        let message = message.lines().next().unwrap_or("unknown error").to_owned();
        TrialError { class: self.class(), message }
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            EngineError::Diverged { .. } => FailureClass::Nan,
            EngineError::LeaseLost | EngineError::Stopped { .. } => FailureClass::Preempted,
            EngineError::TimedOut { .. } => FailureClass::Timeout,
            EngineError::Store(StoreError::Io { action, source, .. }) if *action != "read" => of_writing(source.kind()),
            EngineError::Dataset(error) if is_missing(&error.problem) => FailureClass::Data,
            EngineError::Torch(error) => of_torch(error),
            other if is_out_of_memory(&other.to_string()) => FailureClass::Oom,
            _ => FailureClass::Error,
        }
    }
}

/// What a failure to write means.
fn of_writing(kind: ErrorKind) -> FailureClass {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureClass::DiskFull,
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => FailureClass::ReadOnly,
        ErrorKind::OutOfMemory => FailureClass::Oom,
        _ => FailureClass::Error,
    }
}

/// Files that were there when the sweep began may be back at its next start.
fn is_missing(problem: &Problem) -> bool {
    matches!(problem, Problem::NoRoot { .. } | Problem::RootAbsent { .. } | Problem::Absent { .. } | Problem::Read(_))
}

fn of_torch(error: &TchError) -> FailureClass {
    let message = error.to_string();
    if is_out_of_memory(&message) {
        return FailureClass::Oom;
    }
    match error {
        TchError::Io(error) => of_writing(error.kind()),
        // What safetensors met is kept as text only, which names the number of the system's error.
        _ => os_error(&message).map_or(FailureClass::Error, |error| of_writing(error.kind())),
    }
}

/// The error of the system that a message names, in one of the two ways the standard library writes it:
/// `... (os error 28)` and `Os { code: 28, ... }`.
fn os_error(message: &str) -> Option<io::Error> {
    let (_, rest) = message.rsplit_once("(os error ").or_else(|| message.rsplit_once("Os { code: "))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(io::Error::from_raw_os_error)
}

/// libtorch has no error codes for this, so its messages are searched for the words of its allocators: on a GPU the first
/// two, on the CPU the third. They are those of libtorch 2.11; a test asks the library in use for more memory than there
/// is, so that a change of the CPU's words shows.
fn is_out_of_memory(message: &str) -> bool {
    ["CUDA out of memory", "CUDA error: out of memory", "DefaultCPUAllocator: can't allocate memory"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn too_large_a_tensor_is_out_of_memory() {
        let error = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).unwrap_err();
        let error = EngineError::from(error).to_trial_error();
        assert_eq!(error.class, FailureClass::Oom, "{error:?}");
        assert_eq!(error.message.lines().count(), 1);
    }

    #[test]
    fn divergence_is_its_own_class() {
        let error = EngineError::Diverged { loss: f64::NAN, epoch: 2, step: 7 }.to_trial_error();
        assert_eq!(error.class, FailureClass::Nan);
        assert_eq!(error.message, "the loss became NaN in epoch 2, step 7");
    }

    #[cfg(unix)]
    #[test]
    fn what_the_system_says_decides_the_class() {
        let torch = |number: i32| {
            let error = io::Error::from_raw_os_error(number);
            let class = |message: String| EngineError::from(TchError::Torch(message)).class();
            let debug = class(format!("safetensors error x: IoError({error:?})"));
            assert_eq!(debug, class(format!("safetensors error x: I/O error: {error}")));
            debug
        };
        let store = |action: &'static str, kind: ErrorKind| {
            EngineError::from(StoreError::Io { action, path: "x".into(), source: kind.into() }).class()
        };
        // ENOSPC, EROFS, EDQUOT, EIO on Linux.
        assert_eq!(
            [28, 30, 122, 5].map(torch),
            [FailureClass::DiskFull, FailureClass::ReadOnly, FailureClass::DiskFull, FailureClass::Error]
        );
        assert_eq!(store("write", ErrorKind::StorageFull), FailureClass::DiskFull);
        assert_eq!(store("write", ErrorKind::PermissionDenied), FailureClass::ReadOnly);
        assert_eq!(store("read", ErrorKind::PermissionDenied), FailureClass::Error);
        let read = || Box::new(Problem::Read(ErrorKind::NotFound.into()));
        let gone = DatasetError { dataset: "imagenet", path: Some("x.jpg".into()), problem: read() };
        assert_eq!(EngineError::from(gone).class(), FailureClass::Data);
    }
}
