//! A network on the test set.

use harness_methods::core::Step;
use harness_models::Network;
use harness_records::record::{Answers, Metrics};
use tch::{Kind, Reduction, Tensor};

use crate::data::{Batch, DeviceImages};
use crate::failure::EngineError;

/// Images of one evaluation batch. Part of the numbers' definition, as sums depend on it; not a setting.
pub const BATCH: u32 = 250;

/// Guesses that count for top-5.
const GUESSES: i64 = 5;

/// Sums over a test set.
#[derive(Debug, Default)]
struct Sums {
    loss: f64,
    five: i64,
    /// Of every sample so far, whether the first guess is right.
    right: Vec<bool>,
}

/// Metrics of `network` on all of `images`, and which of them it gets right. `between` is called after each batch.
///
/// # Errors
/// When the network fails, or whatever `between` returns.
pub fn evaluate(
    network: &mut Network,
    images: &DeviceImages,
    classes: i64,
    step: &Step,
    mut between: impl FnMut() -> Result<(), EngineError>,
) -> Result<(Metrics, Answers), EngineError> {
    let step = Step { training: false, ..*step };
    let mut sums = Sums::default();
    for batch in images.in_order(BATCH) {
        let batch = batch?;
        tch::no_grad(|| sums.add(network, &batch, &step))?;
        between()?;
    }
    let n = f64::from(images.len());
    let answers = Answers::new(sums.right);
    let metrics = Metrics {
        loss: sums.loss / n,
        top1: Some(answers.right() as f64 / n),
        top5: (classes > GUESSES).then_some(sums.five as f64 / n),
        perplexity: None,
    };
    Ok((metrics, answers))
}

impl Sums {
    fn add(&mut self, network: &mut Network, batch: &Batch, step: &Step) -> Result<(), EngineError> {
        let Batch { images: x, labels: y } = batch;
        let scores = network.forward(x, step)?;
        let loss = scores.f_cross_entropy_loss(y, None::<Tensor>, Reduction::Sum, -100, 0.0)?;
        self.loss += f64::try_from(&loss.f_to_kind(Kind::Double)?)?;
        let guesses = GUESSES.min(scores.size()[1]);
        let (_, best) = scores.f_topk(guesses, 1, true, true)?;
        let right = best.f_eq_tensor(&y.f_unsqueeze(1)?)?;
        let count = |right: &Tensor| -> Result<i64, EngineError> { Ok(i64::try_from(&right.f_sum(Kind::Int64)?)?) };
        self.right.extend(Vec::<bool>::try_from(&right.f_select(1, 0)?.f_contiguous()?)?);
        self.five += count(&right)?;
        Ok(())
    }
}
