//! What a sweep would do, and why it cannot: everything that can be known before a trial runs.

use std::collections::HashMap;

use harness_datasets::Shape;
use harness_models::{ModelError, Plan};
use harness_records::config::DatasetChoice;
use harness_records::record::ModelRecord;
use harness_records::store::Store;
use harness_records::trial::Trial;

use crate::data;
use crate::failure::EngineError;
use crate::worker::{Decision, decide};

/// One trial, looked at.
#[derive(Debug)]
pub struct Prepared {
    /// The trial.
    pub trial: Trial,
    /// What would happen to it.
    pub decision: Decision,
    /// Quantized sites: layer, role, method, bits.
    pub sites: Vec<SiteSummary>,
    /// Size of the network.
    pub model: ModelRecord,
    /// The work of the whole training.
    pub work: Work,
}

/// One quantized site.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SiteSummary {
    /// Layer name.
    pub layer: String,
    /// `weight`, `activation` or `gradient`.
    pub role: String,
    /// Method name.
    pub method: &'static str,
    /// Bit width.
    pub bits: u8,
}

/// Estimated work.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Work {
    /// Training images seen, over all epochs.
    pub train_images: u64,
    /// Test images seen, over all epochs.
    pub test_images: u64,
    /// Floating-point operations: 2 a multiply-accumulate, three passes a training image, one a test image.
    pub flops: f64,
}

/// Why a sweep cannot run.
#[derive(Debug)]
pub struct Refusal {
    /// The trial that cannot run.
    pub trial: Trial,
    /// Dotted key that is to blame.
    pub key: &'static str,
    /// What is wrong.
    pub error: EngineError,
}

/// A key that is to blame, and what is wrong.
type Blame = (&'static str, EngineError);

/// Looks at every trial: its data set (once each), its network, its state in the store.
///
/// # Errors
/// The first trial that cannot run, with the key of its configuration that is to blame.
pub fn prepare(trials: &[Trial], store: &Store, retry_failed: bool) -> Result<Vec<Prepared>, Box<Refusal>> {
    let mut shapes = HashMap::new();
    let mut prepared = Vec::with_capacity(trials.len());
    for trial in trials {
        let one = prepare_one(trial, store, retry_failed, &mut shapes);
        prepared.push(one.map_err(|(key, error)| Box::new(Refusal { trial: trial.clone(), key, error }))?);
    }
    Ok(prepared)
}

fn prepare_one(
    trial: &Trial,
    store: &Store,
    retry_failed: bool,
    shapes: &mut HashMap<String, Shape>,
) -> Result<Prepared, Blame> {
    let config = &trial.config;
    let shape = shape_of(&config.dataset, shapes)?;
    let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let input = [int(shape.channels), int(shape.height), int(shape.width)];
    let plan = Plan::new(&config.model, &config.quant, input, int(shape.classes))
        .map_err(|error| (key_of(&error), error.into()))?;
    let sites = plan.sites().map(|planned| SiteSummary {
        layer: planned.site.layer.clone(),
        role: planned.site.role.to_string(),
        method: planned.method.about().about.name,
        bits: planned.site.bits.get(),
    });
    let epochs = u64::from(config.train.epochs);
    let train_images = (shape.train as u64).min(config.train.limit.unwrap_or(u64::MAX)) * epochs;
    let test_images = shape.test as u64 * epochs;
    let flops = 2.0 * plan.size.macs as f64 * (3.0 * train_images as f64 + test_images as f64);
    Ok(Prepared {
        trial: trial.clone(),
        decision: decide(&store.trial(&trial.sweep, &trial.id).state(), retry_failed),
        sites: sites.collect(),
        model: plan.size.clone(),
        work: Work { train_images, test_images, flops },
    })
}

fn shape_of(choice: &DatasetChoice, shapes: &mut HashMap<String, Shape>) -> Result<Shape, Blame> {
    let key = format!("{choice:?}");
    if let Some(shape) = shapes.get(&key) {
        return Ok(*shape);
    }
    let dataset = data::dataset(choice).map_err(|error| ("dataset", error))?;
    let to_blame = if choice.root.is_some() { "dataset.root" } else { "dataset" };
    let probed = dataset.probe(choice.root.as_deref(), &choice.options);
    let contents = probed.map_err(|error| (to_blame, error.into()))?;
    let shape = data::shape(choice, contents).map_err(|error| ("dataset", error))?;
    shapes.insert(key, shape);
    Ok(shape)
}

fn key_of(error: &ModelError) -> &'static str {
    match error {
        ModelError::UnknownLayer { .. } => "quant.keep_float",
        ModelError::Site { .. } | ModelError::UnknownMethod(_) => "quant",
        _ => "model",
    }
}
