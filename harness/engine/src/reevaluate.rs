//! A finished trial evaluated again, as it is and with its batch normalization in integers.

use std::path::Path;

use harness_methods::core::{BatchNormFolder, NormLayer, Options, StepContext};
use harness_models::network::IntegerNorm;
use harness_models::{Network, Plan};
use harness_records::config::TrialConfig;
use harness_records::record::Metrics;
use serde::Serialize;
use tch::{Device, Kind, Tensor, nn};

use crate::checkpoint;
use crate::contents;
use crate::data::ImageBatch;
use crate::failure::EngineError;
use crate::metrics::{BATCH, EvalSplit};

/// A trained network with its test set.
#[derive(Debug)]
pub struct Trained {
    network: Network,
    dataset: String,
    test: EvalSplit,
    ctx: StepContext,
    /// Owns the variables of the network.
    _store: nn::VarStore,
}

/// What integer batch normalization changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntegerReport {
    /// Test images.
    pub images: u64,
    /// Images whose prediction changed.
    pub changed_predictions: u64,
    /// Fraction right, as trained.
    pub top1: f64,
    /// Fraction right with integer batch normalization.
    pub integer_top1: f64,
    /// One entry for each batch normalization that was replaced, counts over all images.
    pub norms: Vec<NormReport>,
    /// Batch normalizations that stayed as they are, each with the reason.
    pub kept: Vec<String>,
    /// The batch normalizations of [`IntegerReport::norms`], in their order.
    #[serde(skip)]
    pub layers: Vec<NormLayer>,
}

/// One replaced batch normalization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NormReport {
    /// The layer that its codes feed.
    pub layer: String,
    /// Width of the codes.
    pub bits: u8,
    /// Channels.
    pub channels: usize,
    /// Least accumulator value that can occur.
    pub x_min: i64,
    /// Largest accumulator value that can occur.
    pub x_max: i64,
    /// Shared shift.
    pub shift: u32,
    /// Codes compared.
    pub compared: u64,
    /// Codes that differ from batch normalization in f64.
    pub different: u64,
    /// Codes that differ from the network's own batch normalization in f32.
    pub different_f32: u64,
}

impl Trained {
    /// Builds the network of `config` with the variables in the file `model`, and loads its test set.
    ///
    /// # Errors
    /// A file that does not fit the network, and whatever is wrong with the data set.
    pub fn load(config: &TrialConfig, model: &Path, device: Device) -> Result<Trained, EngineError> {
        tch::set_num_threads(i32::try_from(config.train.threads).unwrap_or(1));
        let contents = contents::contents(config)?;
        let (input, classes) = contents::input(contents);
        let plan = Plan::new(&config.model, &config.quant, input, classes)?;
        let store = nn::VarStore::new(device);
        let network = Network::new(&plan, &store.root())?;
        checkpoint::load_model(model, &store)?;
        let test = EvalSplit::test(config, contents, device)?;
        let ctx = contents::last_step(contents, &config.train);
        Ok(Trained { network, dataset: config.dataset.name.clone(), test, ctx, _store: store })
    }

    /// Metrics on the test set: those of the record.
    ///
    /// # Errors
    /// When the network fails.
    pub fn evaluate(&mut self) -> Result<Metrics, EngineError> {
        Ok(self.test.evaluate(&mut self.network, &self.ctx, || Ok(()))?.0)
    }

    /// The whole test set with batch normalization in integers as `folder` chooses them, beside the network as it is.
    ///
    /// # Errors
    /// When the folder cannot fold a normalization, or the network fails.
    pub fn with_integer_norm(
        &mut self,
        folder: &dyn BatchNormFolder,
        options: &Options,
    ) -> Result<IntegerReport, EngineError> {
        let EvalSplit::Images(test, _) = &self.test else {
            return Err(EngineError::Kind { name: self.dataset.clone(), holds: "text", expected: "images" });
        };
        let mut report = IntegerReport {
            images: 0,
            changed_predictions: 0,
            top1: 0.0,
            integer_top1: 0.0,
            norms: Vec::new(),
            kept: Vec::new(),
            layers: Vec::new(),
        };
        let (mut right, mut integer_right) = (0, 0);
        let ctx = StepContext { training: false, ..self.ctx };
        let mut norms = None;
        for batch in test.in_order(BATCH) {
            let ImageBatch { images, labels } = batch?;
            let (own, pass) = tch::no_grad(|| -> Result<_, EngineError> {
                let norms = match &mut norms {
                    Some(norms) => norms,
                    none => {
                        let sample = images.f_narrow(0, 0, 1)?;
                        none.insert(self.network.fold_batch_norms(&sample, &ctx, folder, options)?)
                    }
                };
                let own = self.network.forward(&images, &ctx)?;
                Ok((own, self.network.integer_forward(&images, &ctx, norms)?))
            })?;
            let (own, integer) = (own.f_argmax(1, false)?, pass.logits.f_argmax(1, false)?);
            right += count_equal(&own, &labels)?;
            integer_right += count_equal(&integer, &labels)?;
            let count = labels.size()[0].unsigned_abs();
            report.images += count;
            report.changed_predictions += count - count_equal(&own, &integer)?;
            report.add(pass.norms);
        }
        if let Some(norms) = norms {
            (report.kept, report.layers) = (norms.kept, norms.layers);
        }
        report.top1 = right as f64 / report.images as f64;
        report.integer_top1 = integer_right as f64 / report.images as f64;
        Ok(report)
    }
}

fn count_equal(a: &Tensor, b: &Tensor) -> Result<u64, EngineError> {
    let count = i64::try_from(&a.f_eq_tensor(b)?.f_sum(Kind::Int64)?)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

impl IntegerReport {
    /// Adds the counts of one batch.
    fn add(&mut self, norms: Vec<IntegerNorm>) {
        if self.norms.is_empty() {
            self.norms = norms.into_iter().map(NormReport::from).collect();
            return;
        }
        for (sum, norm) in self.norms.iter_mut().zip(norms) {
            sum.compared += norm.compared;
            sum.different += norm.different;
            sum.different_f32 += norm.different_f32;
        }
    }
}

impl From<IntegerNorm> for NormReport {
    fn from(norm: IntegerNorm) -> NormReport {
        NormReport {
            layer: norm.layer,
            bits: norm.bits,
            channels: norm.channels,
            x_min: norm.range.0,
            x_max: norm.range.1,
            shift: norm.shift,
            compared: norm.compared,
            different: norm.different,
            different_f32: norm.different_f32,
        }
    }
}
