//! What a sweep would do, and why it cannot: everything that can be known before a trial runs.

use std::collections::HashMap;

use harness_datasets::Contents;
use harness_models::{ModelError, Plan};
use harness_records::config::DatasetChoice;
use harness_records::record::{ModelRecord, Role};
use harness_records::store::Store;
use harness_records::trial::Trial;

use crate::contents;
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
    /// Weight, activation or gradient.
    pub role: Role,
    /// Method name.
    pub method: &'static str,
    /// Bit width.
    pub bits: u8,
    /// The entries of `quant.layers` that it comes from, in their order; empty where it has the network's setting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// Estimated work.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Work {
    /// Training images (or words of a text) seen, over all epochs.
    pub train_images: u64,
    /// Images (or words) evaluated, over all epochs.
    pub test_images: u64,
    /// Floating-point operations: 2 a multiply-accumulate, three passes a training image, one a test image, one of a
    /// teacher a training image.
    pub flops: f64,
}

/// Why a sweep cannot run.
#[derive(Debug)]
pub struct Refusal {
    /// The trial that cannot run.
    pub trial: Trial,
    /// Dotted key that is to blame.
    pub key: String,
    /// What is wrong.
    pub error: EngineError,
}

/// A key that is to blame, and what is wrong.
type Blame = (String, EngineError);

/// Looks at every trial: its data set (once each), its network, its state in the store.
///
/// # Errors
/// The first trial that cannot run, with the key of its configuration that is to blame.
pub fn prepare(trials: &[Trial], store: &Store, retry_failed: bool) -> Result<Vec<Prepared>, Box<Refusal>> {
    let mut seen = HashMap::new();
    let mut prepared = Vec::with_capacity(trials.len());
    for trial in trials {
        let one = prepare_one(trial, store, retry_failed, &mut seen);
        prepared.push(one.map_err(|(key, error)| Box::new(Refusal { trial: trial.clone(), key, error }))?);
    }
    add_teachers(&mut prepared);
    block(&mut prepared);
    Ok(prepared)
}

fn prepare_one(
    trial: &Trial,
    store: &Store,
    retry_failed: bool,
    seen: &mut HashMap<String, Contents>,
) -> Result<Prepared, Blame> {
    let config = &trial.config;
    let contents = contents_of(&config.dataset, seen)?;
    if config.train.accumulate > 1 && contents.text().is_some() {
        return Err(("train.accumulate".to_owned(), EngineError::AccumulatedText));
    }
    if config.train.calibrate.is_some() && contents.text().is_some() {
        return Err(("train.calibrate".to_owned(), EngineError::CalibratedText));
    }
    let (input, classes) = contents::input(contents);
    let plan =
        Plan::new(&config.model, &config.quant, input, classes).map_err(|error| (key_of(&error), error.into()))?;
    let sites = plan.sites().map(|planned| SiteSummary {
        layer: planned.site.layer.clone(),
        role: planned.site.role,
        method: planned.method.about().about.name,
        bits: planned.site.bits.get(),
        rules: planned.rules.iter().map(|&index| config.quant.layers[index].pattern.clone()).collect(),
    });
    let epochs = u64::from(config.train.epochs);
    let train_images = contents::training_samples(contents, &config.train) * epochs;
    // A network that is not trained is evaluated once.
    let test_images = contents::evaluation_samples(contents, &config.train) * epochs.max(1);
    let flops = 2.0 * plan.size.macs as f64 * (3.0 * train_images as f64 + test_images as f64);
    Ok(Prepared {
        trial: trial.clone(),
        decision: decide(&store.trial(&trial.sweep, &trial.id).state(), retry_failed),
        sites: sites.collect(),
        model: plan.size.clone(),
        work: Work { train_images, test_images, flops },
    })
}

/// Adds what the answers of teachers cost, one pass of the teacher's network a training image.
fn add_teachers(prepared: &mut [Prepared]) {
    let macs: HashMap<String, u64> = prepared.iter().map(|p| (p.trial.id.clone(), p.model.macs)).collect();
    for p in prepared {
        let teacher = p.trial.config.train.distill.as_ref().and_then(|distill| macs.get(&distill.teacher));
        p.work.flops += teacher.map_or(0.0, |&macs| 2.0 * macs as f64 * p.work.train_images as f64);
    }
}

/// Decides anew about trials that build on trials that neither are done nor will be.
fn block(prepared: &mut [Prepared]) {
    // A chain of trials is decided one link a round.
    loop {
        let known: HashMap<&str, (&Decision, &str)> =
            prepared.iter().map(|p| (p.trial.id.as_str(), (&p.decision, p.trial.label.as_str()))).collect();
        let blocked = |p: &Prepared| {
            let runs = p.decision.runs();
            let mut needs = p.trial.config.train.needs().filter(|_| runs);
            needs.find_map(|id| match known.get(id) {
                Some((Decision::Run(_) | Decision::Resume { .. } | Decision::Done, _)) => None,
                Some((Decision::Blocked(reason) | Decision::Failed(reason), label)) => {
                    Some(Decision::Blocked(format!("it builds on `{label}`: {reason}")))
                }
                Some((Decision::Skip(reason), label)) => {
                    Some(Decision::Skip(format!("it builds on `{label}`: {reason}")))
                }
                None => Some(Decision::Blocked(format!("it builds on {id}, which is no trial of this sweep"))),
            })
        };
        let changes: Vec<(usize, Decision)> =
            prepared.iter().enumerate().filter_map(|(i, p)| Some((i, blocked(p)?))).collect();
        if changes.is_empty() {
            return;
        }
        for (index, decision) in changes {
            prepared[index].decision = decision;
        }
    }
}

fn contents_of(choice: &DatasetChoice, seen: &mut HashMap<String, Contents>) -> Result<Contents, Blame> {
    let key = format!("{choice:?}");
    if let Some(contents) = seen.get(&key) {
        return Ok(*contents);
    }
    let dataset = data::dataset(choice).map_err(|error| ("dataset".to_owned(), error))?;
    let to_blame = if choice.root.is_some() { "dataset.root" } else { "dataset" };
    let probed = dataset.probe(choice.root.as_deref(), &data::options(choice, dataset));
    let contents = probed.map_err(|error| (to_blame.to_owned(), error.into()))?;
    seen.insert(key, contents);
    Ok(contents)
}

fn key_of(error: &ModelError) -> String {
    match error {
        ModelError::UnknownLayer { .. } => "quant.keep_float".to_owned(),
        ModelError::UnknownPattern { pattern, .. } => format!("quant.layers.{pattern}"),
        ModelError::NoPlace { pattern, role: of, .. } | ModelError::Change { pattern, role: of, .. } => {
            format!("quant.layers.{pattern}.{}", of.key())
        }
        ModelError::BytesOfTokens => "quant.input".to_owned(),
        ModelError::Site { .. } | ModelError::UnknownMethod(_) => "quant".to_owned(),
        _ => "model".to_owned(),
    }
}
