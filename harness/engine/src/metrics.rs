//! Metrics of a network on samples that it did not learn from.

use harness_datasets::{Contents, Split};
use harness_methods::core::StepContext;
use harness_models::Network;
use harness_records::config::TrialConfig;
use harness_records::record::{CorrectSamples, Metrics};
use tch::{Device, Kind, Reduction, Tensor};

use crate::data::{self, DeviceImages, DeviceText, ImageBatch};
use crate::failure::EngineError;

/// Images of one evaluation batch. It is not a setting, because the order in which losses are added up depends on it, and
/// with that the last bits of the mean.
pub const BATCH: u32 = 250;

/// Parallel streams that a text is evaluated in. It is not a setting either, because the first words of each stream are
/// predicted without the words before them.
pub const STREAMS: u32 = 10;

/// Words a stream that are evaluated at once; changes nothing but speed and memory.
const WINDOW: usize = 50;

/// Predictions of a sample that count for top-5.
const TOP_K: i64 = 5;

/// A split to evaluate on.
#[derive(Debug)]
pub enum EvalSplit {
    /// Images and their number of classes.
    Images(DeviceImages, i64),
    /// A text in [`STREAMS`] streams.
    Text(DeviceText),
}

impl EvalSplit {
    /// The test split of a trial.
    ///
    /// # Errors
    /// Whatever is wrong with the data set.
    pub fn test(config: &TrialConfig, contents: Contents, device: Device) -> Result<EvalSplit, EngineError> {
        let (dataset, limit) = (&config.dataset, config.train.limit_test);
        Ok(match contents {
            Contents::Images(shape) => EvalSplit::Images(
                data::load(dataset, Split::Test, limit, device)?,
                i64::try_from(shape.classes).unwrap_or(i64::MAX),
            ),
            Contents::Text(_) => EvalSplit::Text(data::load_text(dataset, Split::Test, limit, STREAMS, device)?),
        })
    }

    /// The validation split of a trial, if its data set has one: texts do.
    ///
    /// # Errors
    /// Whatever is wrong with the data set.
    pub fn validation(
        config: &TrialConfig,
        contents: Contents,
        device: Device,
    ) -> Result<Option<EvalSplit>, EngineError> {
        let (dataset, limit) = (&config.dataset, config.train.limit_test);
        match contents {
            Contents::Images(_) => Ok(None),
            Contents::Text(_) => {
                Ok(Some(EvalSplit::Text(data::load_text(dataset, Split::Validation, limit, STREAMS, device)?)))
            }
        }
    }

    /// The images, if that is what it is.
    #[must_use]
    pub fn images(&self) -> Option<&DeviceImages> {
        match self {
            EvalSplit::Images(images, _) => Some(images),
            EvalSplit::Text(_) => None,
        }
    }

    /// The first [`BATCH`] images, or the first window of a text, as a network reads them. The statistics of quantized
    /// activations are measured on these samples.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn first(&self) -> Result<Tensor, EngineError> {
        match self {
            EvalSplit::Images(images, _) => Ok(images.first(BATCH)?.images),
            EvalSplit::Text(text) => match text.windows(WINDOW).next() {
                Some(window) => Ok(text.window(&window)?.0.f_tr()?),
                None => Err(EngineError::ShortText { words: 0, batch: STREAMS }),
            },
        }
    }

    /// Metrics of `network` on all of it, and which images it gets correct. `between` is called after each batch.
    ///
    /// # Errors
    /// When the network fails, or whatever `between` returns.
    pub fn evaluate(
        &self,
        network: &mut Network,
        ctx: &StepContext,
        between: impl FnMut() -> Result<(), EngineError>,
    ) -> Result<(Metrics, Option<CorrectSamples>), EngineError> {
        let ctx = StepContext { training: false, ..*ctx };
        match self {
            EvalSplit::Images(images, classes) => {
                let (metrics, correct_samples) = on_images(network, images, *classes, &ctx, between)?;
                Ok((metrics, Some(correct_samples)))
            }
            EvalSplit::Text(text) => Ok((on_text(network, text, &ctx, between)?, None)),
        }
    }
}

fn on_images(
    network: &mut Network,
    images: &DeviceImages,
    classes: i64,
    ctx: &StepContext,
    mut between: impl FnMut() -> Result<(), EngineError>,
) -> Result<(Metrics, CorrectSamples), EngineError> {
    let mut sums = TestSums::default();
    for batch in images.in_order(BATCH) {
        let batch = batch?;
        tch::no_grad(|| sums.add(network, &batch, ctx))?;
        between()?;
    }
    // Files that do not decode may have been left out.
    let n = sums.correct.len() as f64;
    let correct_samples = CorrectSamples::new(sums.correct);
    let metrics = Metrics {
        loss: sums.loss / n,
        top1: Some(correct_samples.correct() as f64 / n),
        top5: (classes > TOP_K).then_some(sums.top5 as f64 / n),
        perplexity: None,
    };
    Ok((metrics, correct_samples))
}

/// The mean loss a word, and the exponential of it.
fn on_text(
    network: &mut Network,
    text: &DeviceText,
    ctx: &StepContext,
    mut between: impl FnMut() -> Result<(), EngineError>,
) -> Result<Metrics, EngineError> {
    let mut state = network.initial_state(i64::from(STREAMS), ctx)?;
    let mut sum = 0.0;
    for window in text.windows(WINDOW) {
        let (input, targets) = text.window(&window)?;
        let (logits, after) = tch::no_grad(|| network.forward_tokens(&input.f_tr()?, &state, ctx))?;
        state = after;
        let logits = logits.f_flatten(0, 1)?;
        let targets = targets.f_tr()?.f_reshape([-1])?;
        let loss = logits.f_cross_entropy_loss(&targets, None::<Tensor>, Reduction::Sum, -100, 0.0)?;
        sum += f64::try_from(&loss.f_to_kind(Kind::Double)?)?;
        between()?;
    }
    let loss = sum / text.predictions() as f64;
    Ok(Metrics { loss, top1: None, top5: None, perplexity: Some(loss.exp()) })
}

/// Sums over a test set of images.
#[derive(Debug, Default)]
struct TestSums {
    loss: f64,
    top5: i64,
    /// Of every sample so far, whether the prediction is correct.
    correct: Vec<bool>,
}

impl TestSums {
    fn add(&mut self, network: &mut Network, batch: &ImageBatch, ctx: &StepContext) -> Result<(), EngineError> {
        let ImageBatch { images: x, labels: y } = batch;
        let logits = network.forward(x, ctx)?;
        let loss = logits.f_cross_entropy_loss(y, None::<Tensor>, Reduction::Sum, -100, 0.0)?;
        self.loss += f64::try_from(&loss.f_to_kind(Kind::Double)?)?;
        let predictions = TOP_K.min(logits.size()[1]);
        let (_, best) = logits.f_topk(predictions, 1, true, true)?;
        let correct = best.f_eq_tensor(&y.f_unsqueeze(1)?)?;
        let count = |correct: &Tensor| -> Result<i64, EngineError> { Ok(i64::try_from(&correct.f_sum(Kind::Int64)?)?) };
        self.correct.extend(Vec::<bool>::try_from(&correct.f_select(1, 0)?.f_contiguous()?)?);
        self.top5 += count(&correct)?;
        Ok(())
    }
}
