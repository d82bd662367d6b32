//! What is known of a trial's data set and of the length of its training before anything is loaded.

use harness_datasets::Contents;
use harness_methods::core::StepContext;
use harness_models::plan::Input;
use harness_records::config::{TrainConfig, TrialConfig};

use crate::data;
use crate::failure::EngineError;
use crate::schedule::ScheduleLength;

/// What the data set of a trial holds.
pub(crate) fn contents(config: &TrialConfig) -> Result<Contents, EngineError> {
    let dataset = data::dataset(&config.dataset)?;
    Ok(dataset.probe(config.dataset.root.as_deref(), &data::options(&config.dataset, dataset))?)
}

/// What a network for these contents reads, and how many classes (or words of the vocabulary) it tells apart.
pub(crate) fn input(contents: Contents) -> (Input, i64) {
    let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    match contents {
        Contents::Images(shape) => {
            (Input::Image([int(shape.channels), int(shape.height), int(shape.width)]), int(shape.classes))
        }
        Contents::Text(shape) => (Input::Tokens, int(shape.vocabulary)),
    }
}

/// Samples of one training epoch: images, or words of a text.
pub(crate) fn training_samples(contents: Contents, config: &TrainConfig) -> u64 {
    let all = match contents {
        Contents::Images(shape) => shape.train,
        Contents::Text(shape) => shape.train,
    };
    (all as u64).min(config.limit.unwrap_or(u64::MAX))
}

/// Samples that are evaluated after each epoch.
pub(crate) fn evaluation_samples(contents: Contents, config: &TrainConfig) -> u64 {
    let limit = config.limit_test.unwrap_or(u64::MAX);
    match contents {
        Contents::Images(shape) => (shape.test as u64).min(limit),
        Contents::Text(shape) => (shape.validation as u64).min(limit) + (shape.test as u64).min(limit),
    }
}

/// Length of the training of a trial, known without loading anything.
pub(crate) fn length(contents: Contents, config: &TrainConfig) -> ScheduleLength {
    let samples = training_samples(contents, config);
    let steps_per_epoch = match contents {
        Contents::Images(_) => data::steps(u32::try_from(samples).unwrap_or(u32::MAX), config.batch),
        Contents::Text(_) => {
            let length = samples / u64::from(config.batch).max(1);
            length.saturating_sub(1).div_ceil(u64::from(config.bptt).max(1))
        }
    };
    ScheduleLength { steps_per_epoch, total: steps_per_epoch * u64::from(config.epochs) }
}

/// The step after the last one of a training: what evaluation of the finished network is keyed by.
pub(crate) fn last_step(contents: Contents, config: &TrainConfig) -> StepContext {
    let ScheduleLength { total, .. } = length(contents, config);
    StepContext { step: total, total, seed: config.seed, training: false }
}
