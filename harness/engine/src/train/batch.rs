//! The batches of a training: images, or windows of a text in parallel streams.

use harness_datasets::{Contents, Split};
use harness_records::config::{TrainConfig, TrialConfig};
use tch::{Device, Tensor};

use crate::contents::contents;
use crate::data::{self, DeviceImages, DeviceText, ImageBatch};
use crate::failure::EngineError;

/// The training split on the device.
#[derive(Debug)]
pub(crate) enum TrainingData {
    Images(DeviceImages),
    Text(DeviceText),
}

/// What one optimizer step learns from.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Images f32 `[n, c, h, w]`, or tokens i64 `[time, batch]`.
    pub(crate) input: Tensor,
    /// Classes, or the tokens that follow: i64 `[count]`, in the order of the network's logits.
    pub(crate) targets: Tensor,
    /// Number of targets.
    pub(crate) count: u64,
}

impl Batch {
    /// Images and their labels.
    fn images(batch: ImageBatch) -> Batch {
        let ImageBatch { images, labels } = batch;
        Batch { input: images, count: labels.size()[0].unsigned_abs(), targets: labels }
    }

    /// Tokens `[batch, time]` and those that follow them.
    pub(crate) fn text((input, targets): (Tensor, Tensor)) -> Result<Batch, EngineError> {
        let targets = targets.f_tr()?.f_reshape([-1])?;
        Ok(Batch { input: input.f_tr()?, count: targets.size()[0].unsigned_abs(), targets })
    }

    /// Splits the batch along its images into this many micro-batches (at least one, at most one for each image), whose
    /// sizes differ by at most one. Gradient accumulation over them gives the gradient of the effective batch.
    pub(crate) fn split_micro_batches(self, count: u32) -> Result<Vec<Batch>, EngineError> {
        let count = u64::from(count).clamp(1, self.count.max(1));
        if count == 1 {
            return Ok(vec![self]);
        }
        let bound = |number: u64| self.count * number / count;
        let micro_batch = |number: u64| {
            let (start, count) = (bound(number), bound(number + 1) - bound(number));
            let narrow = |t: &Tensor| t.f_narrow(0, start.cast_signed(), count.cast_signed());
            Ok(Batch { input: narrow(&self.input)?, targets: narrow(&self.targets)?, count })
        };
        (0..count).map(micro_batch).collect()
    }
}

/// The batches of one epoch in their order.
pub(crate) type EpochBatches<'a> = Box<dyn ExactSizeIterator<Item = Result<Batch, EngineError>> + 'a>;

impl TrainingData {
    /// The training split of a data set.
    pub(crate) fn load(config: &TrialConfig, device: Device) -> Result<TrainingData, EngineError> {
        let (dataset, limit) = (&config.dataset, config.train.limit);
        Ok(match contents(config)? {
            Contents::Images(_) => TrainingData::Images(data::load(dataset, Split::Train, limit, device)?),
            Contents::Text(_) => {
                TrainingData::Text(data::load_text(dataset, Split::Train, limit, config.train.batch, device)?)
            }
        })
    }

    /// The images, if that is what it is.
    pub(crate) fn images(&self) -> Option<&DeviceImages> {
        match self {
            TrainingData::Images(images) => Some(images),
            TrainingData::Text(_) => None,
        }
    }

    /// Steps of one epoch.
    pub(crate) fn steps(&self, config: &TrainConfig) -> u64 {
        match self {
            TrainingData::Images(images) => images.steps(config.batch),
            TrainingData::Text(text) => text.windows(config.bptt as usize).len() as u64,
        }
    }

    /// An epoch (from 1) without its first `skip` steps.
    pub(crate) fn epoch(&self, config: &TrainConfig, epoch: u32, skip: u64) -> EpochBatches<'_> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        match self {
            TrainingData::Images(images) => {
                let batches = images.epoch(config.seed, u64::from(epoch), config.batch, skip);
                Box::new(batches.map(|batch| batch.map(Batch::images)))
            }
            TrainingData::Text(text) => {
                let windows = text.windows(config.bptt as usize).skip(skip);
                Box::new(windows.map(|window| Batch::text(text.window(&window)?)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn micro_batches_make_up_the_batch(n in 1i64..40, count in 1u32..50) {
            let numbers = |kind| Tensor::arange(n, (kind, Device::Cpu));
            let whole = Batch {
                input: numbers(tch::Kind::Float).view([n, 1]),
                targets: numbers(tch::Kind::Int64),
                count: n as u64,
            };
            let expected = whole.targets.copy();
            let cut = whole.split_micro_batches(count).unwrap();
            prop_assert_eq!(cut.len() as i64, i64::from(count).min(n));
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
