//! Run records and kernel speeds as entries of the history.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use harness_records::catalog::Catalog;
use harness_records::config::{MethodChoice, TrialConfig};
use harness_records::record::{Environment, RunRecord, Status};
use harness_records::trial::trial_id;
use serde::Deserialize;
use serde_json::Value;

use crate::error::TrackError;
use crate::git::Commit;
use crate::history::{Entry, VERSION};

/// The sweep under which kernel speeds are kept.
pub const KERNELS: &str = "kernels";

/// An entry made from a record.
#[must_use]
pub fn entry(record: &RunRecord, commit: &Commit, catalog: &Catalog) -> Entry {
    let mut metrics = BTreeMap::new();
    if let Some(found) = record.metrics.as_ref().filter(|_| record.status == Status::Ok) {
        let all = [("loss", Some(found.loss)), ("top1", found.top1), ("perplexity", found.perplexity)];
        metrics.extend(
            all.into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|value| value.is_finite())?))),
        );
    }
    let mut config = record.config.clone();
    config.train.seed = 0;
    Entry {
        v: VERSION,
        config: trial_id(&config, catalog),
        seed: record.seed,
        hardware: hardware(&record.environment),
        committed: commit.time,
        commit: commit.id.clone(),
        label: label(&record.config, catalog),
        status: record.status,
        error: record.error.as_ref().map(|error| error.class),
        metrics,
        correct_samples: record.correct_samples.clone().filter(|_| record.status == Status::Ok),
    }
}

/// What numbers may depend on besides the code: device, instruction sets, platform. Not the host: equal machines are
/// equal.
#[must_use]
pub fn hardware(environment: &Environment) -> String {
    let kind = environment.device.split(':').next().unwrap_or("cpu");
    let Environment { device_name, cpu_capability, platform, .. } = environment;
    match kind {
        "cpu" => format!("{device_name} ({cpu_capability}), {platform}"),
        kind => format!("{device_name} ({kind}), {platform}"),
    }
}

/// A configuration in words: `digits lenet dorefa w2 a32`, options only where they are not the default.
fn label(config: &TrialConfig, catalog: &Catalog) -> String {
    let quant = &config.quant;
    let mut words = vec![config.dataset.name.clone(), config.model.name.clone()];
    if [&quant.weights, &quant.activations, &quant.gradients].iter().all(|choice| choice.is_float()) {
        words.push("float".to_owned());
        return words.join(" ");
    }
    let mut last = None;
    for (letter, choice) in [("w", &quant.weights), ("a", &quant.activations), ("g", &quant.gradients)] {
        if choice.is_float() && letter == "g" {
            continue;
        }
        let method = named(choice, catalog);
        if !choice.is_float() && last.as_ref() != Some(&method) {
            words.push(method.clone());
            last = Some(method);
        }
        words.push(format!("{letter}{}", choice.bits.filter(|_| !choice.is_float()).map_or(32, u32::from)));
    }
    words.join(" ")
}

fn named(choice: &MethodChoice, catalog: &Catalog) -> String {
    let known = catalog.methods.iter().find(|entry| entry.about.name == choice.method);
    let docs = known.map_or(&[][..], |entry| entry.about.options);
    let options: Vec<String> =
        choice.options.non_default(docs).iter().map(|(name, value)| format!("{name}={value}")).collect();
    if options.is_empty() { choice.method.clone() } else { format!("{}({})", choice.method, options.join(",")) }
}

/// What `harness bench --json` prints, as far as tracking needs it; whatever else it holds is passed over.
#[derive(Debug, Deserialize)]
struct Bench {
    cells: Vec<Cell>,
    #[serde(default)]
    environment: Option<Environment>,
}

#[derive(Debug, Deserialize)]
struct Cell {
    shape: String,
    #[serde(default)]
    op: Option<String>,
    #[serde(default)]
    bits: Option<String>,
    #[serde(default)]
    route: Option<String>,
    #[serde(default)]
    threads: Option<u32>,
    /// False for a route that would not run unasked.
    #[serde(default)]
    chosen: Option<bool>,
    #[serde(default)]
    ratio_f32: Option<Value>,
    #[serde(default)]
    ratio_int8: Option<Value>,
    #[serde(default)]
    fraction_of_limit: Option<Value>,
}

/// A number, or the middle of several.
fn middle(value: Option<Value>) -> Option<f64> {
    let value = value?;
    let number = value.as_f64().or_else(|| value.get("median")?.as_f64())?;
    (number > 0.0 && number.is_finite()).then_some(number)
}

/// Speeds of kernels, one entry a cell: the ratio to f32 in the same run (where there is none, to int8, or the fraction
/// of the machine's limit). Times themselves are not kept: they belong to a machine and a moment.
///
/// `environment` describes this machine, for files that do not say where they were measured.
///
/// # Errors
/// [`TrackError::Bench`] for a file in another form, or without a single ratio.
pub fn kernels(file: &Path, run: u64, commit: &Commit, environment: &Environment) -> Result<Vec<Entry>, TrackError> {
    let wrong = |reason: String| TrackError::Bench { file: file.to_owned(), reason };
    let text = fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let expected = "expected what `harness bench --json` prints, `{\"cells\": [...]}`";
    let bench: Bench = serde_json::from_str(&text).map_err(|error| wrong(format!("{error}; {expected}")))?;
    let hardware = hardware(bench.environment.as_ref().unwrap_or(environment));
    let mut entries = Vec::new();
    for cell in bench.cells {
        let ratios = [("f32", cell.ratio_f32), ("int8", cell.ratio_int8), ("the limit", cell.fraction_of_limit)];
        let ratio = ratios.into_iter().find_map(|(to, ratio)| Some((to, middle(ratio)?)));
        let Some((to, ratio)) = ratio.filter(|_| cell.chosen != Some(false)) else { continue };
        let threads = cell.threads.map(|threads| format!("{threads}t"));
        let parts = [cell.op, Some(cell.shape), cell.bits, cell.route, threads];
        let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        entries.push(Entry {
            v: VERSION,
            config: format!("{name} over {to}"),
            seed: run,
            hardware: hardware.clone(),
            committed: commit.time,
            commit: commit.id.clone(),
            label: format!("{name}, speed over {to}"),
            status: Status::Ok,
            error: None,
            metrics: BTreeMap::from([("ratio".to_owned(), ratio)]),
            correct_samples: None,
        });
    }
    if entries.is_empty() {
        return Err(wrong(format!("no cell has a ratio (`ratio_f32`, `ratio_int8`, `fraction_of_limit`); {expected}")));
    }
    Ok(entries)
}
