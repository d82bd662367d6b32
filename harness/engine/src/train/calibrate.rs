//! Calibration from training images before the first step.

use harness_methods::core::{RangeRule, StepContext};
use harness_models::Network;
use harness_records::config::{Calibrate, RangeChoice};
use tch::Tensor;

use crate::data::DeviceImages;
use crate::event::Event;
use crate::failure::EngineError;
use crate::job::Job;

/// Images of one pass; changes nothing but memory and the weight of batches in the mean of batch normalization.
const BATCH: u32 = 250;

/// Calibrates a network as `train.calibrate` says and reports what was set.
pub(super) fn calibrate(
    job: &mut Job<'_>,
    network: &mut Network,
    images: &DeviceImages,
    calibrate: &Calibrate,
    ctx: &StepContext,
) -> Result<(), EngineError> {
    let batches = first(images, calibrate.images)?;
    let rule = match calibrate.activations {
        RangeChoice::Max => RangeRule::Max,
        RangeChoice::Percentile => RangeRule::Percentile(calibrate.percentile),
        RangeChoice::Mse => RangeRule::Mse,
    };
    if calibrate.batch_norm {
        network.estimate_batch_norm(&batches, ctx)?;
    }
    let done = network.calibrate(&batches, rule, ctx)?;
    if calibrate.batch_norm {
        network.estimate_batch_norm(&batches, ctx)?;
    }
    let used: i64 = batches.iter().map(|batch| batch.size()[0]).sum();
    let mut parts = vec![format!("ranges of {} activations set", done.activations.len())];
    if !done.fixed.is_empty() {
        parts.push(format!("{} have nothing to set", done.fixed.len()));
    }
    if !done.weights.is_empty() {
        parts.push(format!("weights of {} layers", done.weights.len()));
    }
    if calibrate.batch_norm {
        parts.push("batch normalization estimated again".to_owned());
    }
    let message = format!("calibrated on {used} training images: {}", parts.join(", "));
    (job.report)(Event::Note { id: job.trial.id.clone(), message });
    Ok(())
}

/// The first `count` training images, unchanged, f32 `[n, c, h, w]` a batch.
fn first(images: &DeviceImages, count: u64) -> Result<Vec<Tensor>, EngineError> {
    let mut left = i64::try_from(count).unwrap_or(i64::MAX);
    let mut batches = Vec::new();
    for batch in images.in_order(BATCH) {
        let batch = batch?.images;
        let here = batch.size()[0].min(left);
        batches.push(batch.f_narrow(0, 0, here)?);
        left -= here;
        if left == 0 {
            break;
        }
    }
    Ok(batches)
}
