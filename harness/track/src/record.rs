//! Run records and kernel speeds as entries of the history.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use harness_records::bench_report::{BenchReport, KernelResult};
use harness_records::catalog::Catalog;
use harness_records::config::{MethodChoice, TrialConfig};
use harness_records::record::{Environment, RecordedDevice, Role, RunRecord, Status};
use harness_records::trial::trial_id;

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
    let Environment { device, device_name, cpu_capability, platform, .. } = environment;
    match device {
        RecordedDevice::Cpu => format!("{device_name} ({cpu_capability}), {platform}"),
        RecordedDevice::Cuda(_) => format!("{device_name} ({}), {platform}", device.kind()),
    }
}

/// A configuration in words: `digits lenet dorefa w2 a32`, options only where they are not the default.
fn label(config: &TrialConfig, catalog: &Catalog) -> String {
    let quant = &config.quant;
    let mut words = vec![config.dataset.name.clone(), config.model.name.clone()];
    let layers = quant.layers_label();
    let of_layers = (!layers.is_empty()).then(|| format!("({layers})"));
    if Role::ALL.into_iter().all(|role| quant.choice(role).is_float()) {
        words.push("float".to_owned());
        words.extend(of_layers);
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
    words.extend(of_layers);
    words.join(" ")
}

fn named(choice: &MethodChoice, catalog: &Catalog) -> String {
    let known = catalog.methods.iter().find(|entry| entry.about.name == choice.method);
    let docs = known.map_or(&[][..], |entry| entry.about.options);
    let options: Vec<String> =
        choice.options.non_default(docs).iter().map(|(name, value)| format!("{name}={value}")).collect();
    if options.is_empty() { choice.method.clone() } else { format!("{}({})", choice.method, options.join(",")) }
}

/// Speeds of kernels, one entry per kernel whose route runs when none is asked for: the speed over libtorch's f32 in the
/// same run, or where there is none, over its int8, or else the fraction of the machine's limit. Times are not kept: they
/// belong to a machine and a moment.
///
/// # Errors
/// [`TrackError::Bench`] for a file in another form or of another version, or without a single such ratio.
pub fn kernels(file: &Path, run: u64, commit: &Commit) -> Result<Vec<Entry>, TrackError> {
    let wrong = |reason: String| TrackError::Bench { file: file.to_owned(), reason };
    let text = fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let bench = BenchReport::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let hardware = hardware(&bench.environment);
    let mut entries = Vec::new();
    for kernel in bench.kernels.iter().filter(|kernel| kernel.chosen) {
        let of_limit = Some(kernel.fraction_of_limit).filter(|fraction| *fraction > 0.0 && fraction.is_finite());
        let ratios = [("f32", kernel.speedup_f32()), ("int8", kernel.speedup_int8()), ("the limit", of_limit)];
        let Some((to, ratio)) = ratios.into_iter().find_map(|(to, ratio)| Some((to, ratio?))) else { continue };
        let KernelResult { op, shape, bits, route, threads, .. } = kernel;
        let name = format!("{op} {shape} {bits} {route} {threads}t");
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
        return Err(wrong(
            "no kernel of a chosen route has `ratio_f32`, `ratio_int8` or `fraction_of_limit`".to_owned(),
        ));
    }
    Ok(entries)
}
