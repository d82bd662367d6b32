//! What can go wrong in a trial, by class.

use harness_datasets::DatasetError;
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
    /// Parts of a batch of text.
    #[error("a batch of text cannot be cut into parts, expected 1: choose a smaller `train.batch` or `train.bptt`")]
    AccumulatedText,
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
    /// A checkpoint that does not fit the network.
    #[error("the checkpoint does not fit: {0}")]
    Checkpoint(String),
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

    fn class(&self) -> FailureClass {
        match self {
            EngineError::Diverged { .. } => FailureClass::Nan,
            EngineError::LeaseLost => FailureClass::Preempted,
            EngineError::Store(error) if error.is_disk_full() => FailureClass::DiskFull,
            other if is_out_of_memory(&other.to_string()) => FailureClass::Oom,
            _ => FailureClass::Error,
        }
    }
}

/// libtorch has no error codes; these are the words of its two allocators.
fn is_out_of_memory(message: &str) -> bool {
    message.contains("CUDA out of memory") || message.contains("DefaultCPUAllocator: can't allocate memory")
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
}
