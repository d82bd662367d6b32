//! What a training learns from: images, or a text in parallel streams.

use harness_datasets::{Contents, Split};
use harness_methods::core::StepContext;
use harness_models::plan::Input;
use harness_records::config::{TrainConfig, TrialConfig};
use tch::{Device, Tensor};

use crate::data::{self, Batch, DeviceImages, DeviceText};
use crate::failure::EngineError;
use crate::schedule::ScheduleLength;

/// The training split on the device.
#[derive(Debug)]
pub(crate) enum Samples {
    Images(DeviceImages),
    Text(DeviceText),
}

/// What one step learns from.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Images f32 `[n, c, h, w]`, or tokens i64 `[time, batch]`.
    pub(crate) input: Tensor,
    /// Classes, or the tokens that follow: i64 `[count]`, in the order of the network's logits.
    pub(crate) targets: Tensor,
    /// Number of targets.
    pub(crate) count: u64,
}

impl Sample {
    /// Images and their labels.
    fn images(batch: Batch) -> Sample {
        let Batch { images, labels } = batch;
        Sample { input: images, count: labels.size()[0].unsigned_abs(), targets: labels }
    }

    /// Tokens `[batch, time]` and those that follow them.
    pub(crate) fn text((input, targets): (Tensor, Tensor)) -> Result<Sample, EngineError> {
        let targets = targets.f_tr()?.f_reshape([-1])?;
        Ok(Sample { input: input.f_tr()?, count: targets.size()[0].unsigned_abs(), targets })
    }

    /// Cut into this many parts of nearly equal size along the images.
    pub(crate) fn parts(self, parts: u32) -> Result<Vec<Sample>, EngineError> {
        let parts = u64::from(parts).clamp(1, self.count.max(1));
        if parts == 1 {
            return Ok(vec![self]);
        }
        let bound = |part: u64| self.count * part / parts;
        let cut = |part: u64| {
            let (start, count) = (bound(part), bound(part + 1) - bound(part));
            let narrow = |t: &Tensor| t.f_narrow(0, start.cast_signed(), count.cast_signed());
            Ok(Sample { input: narrow(&self.input)?, targets: narrow(&self.targets)?, count })
        };
        (0..parts).map(cut).collect()
    }
}

/// One epoch's walk through the training split.
pub(crate) type Walk<'a> = Box<dyn ExactSizeIterator<Item = Result<Sample, EngineError>> + 'a>;

impl Samples {
    /// The training split of a data set.
    pub(crate) fn load(config: &TrialConfig, device: Device) -> Result<Samples, EngineError> {
        let (dataset, limit) = (&config.dataset, config.train.limit);
        Ok(match contents(config)? {
            Contents::Images(_) => Samples::Images(data::load(dataset, Split::Train, limit, device)?),
            Contents::Text(_) => {
                Samples::Text(data::load_text(dataset, Split::Train, limit, config.train.batch, device)?)
            }
        })
    }

    /// The images, if that is what it is.
    pub(crate) fn images(&self) -> Option<&DeviceImages> {
        match self {
            Samples::Images(images) => Some(images),
            Samples::Text(_) => None,
        }
    }

    /// Steps of one epoch.
    pub(crate) fn steps(&self, config: &TrainConfig) -> u64 {
        match self {
            Samples::Images(images) => images.steps(config.batch),
            Samples::Text(text) => text.windows(config.bptt as usize).len() as u64,
        }
    }

    /// An epoch (from 1) without its first `skip` steps.
    pub(crate) fn epoch(&self, config: &TrainConfig, epoch: u32, skip: u64) -> Walk<'_> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        match self {
            Samples::Images(images) => {
                let batches = images.epoch(config.seed, u64::from(epoch), config.batch, skip);
                Box::new(batches.map(|batch| batch.map(Sample::images)))
            }
            Samples::Text(text) => {
                let windows = text.windows(config.bptt as usize).skip(skip);
                Box::new(windows.map(|window| Sample::text(text.window(&window)?)))
            }
        }
    }
}

/// What the data set of a trial holds.
pub(crate) fn contents(config: &TrialConfig) -> Result<Contents, EngineError> {
    let dataset = data::dataset(&config.dataset)?;
    Ok(dataset.probe(config.dataset.root.as_deref(), &config.dataset.options)?)
}

/// What a network for these contents reads, and how many different answers it gives.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_make_up_the_whole(n in 1i64..40, parts in 1u32..50) {
            let whole = Sample { input: Tensor::arange(n, (tch::Kind::Float, Device::Cpu)).view([n, 1]), targets: Tensor::arange(n, (tch::Kind::Int64, Device::Cpu)), count: n as u64 };
            let expected = whole.targets.copy();
            let cut = whole.parts(parts).unwrap();
            prop_assert_eq!(cut.len() as i64, i64::from(parts).min(n));
            let sizes: Vec<u64> = cut.iter().map(|part| part.count).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
            let targets: Vec<&Tensor> = cut.iter().map(|part| &part.targets).collect();
            prop_assert_eq!(Tensor::cat(&targets, 0), expected);
            for part in &cut {
                prop_assert_eq!(part.input.view([-1]).to_kind(tch::Kind::Int64), part.targets.shallow_clone());
            }
        }
    }
}
