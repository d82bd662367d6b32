//! `harness eval`: a finished trial evaluated again.

use std::path::PathBuf;

use clap::Args;
use harness_engine::device::DeviceChoice;
use harness_engine::reevaluate::{IntegerReport, NormReport, Trained};
use harness_method_bn_optimal::alternatives::compare;
use harness_methods::core::NormLayer;
use harness_records::record::{Metrics, RunRecord};
use serde::Serialize;
use serde_json::json;

use crate::chosen::chosen_folder;
use crate::exit::{Outcome, Stop, refuse};
use crate::finished::record;
use crate::output::{columns, print, print_json};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness eval runs/quickstart/0123456789abcdef
  harness eval runs/quickstart/0123456789abcdef --batch-norm bn-optimal --set share=network")]
pub(crate) struct EvalArguments {
    /// Folder of the trial, runs/SWEEP/ID
    run: PathBuf,
    /// Replace batch normalization by the integers that this method chooses, and report what changes
    #[arg(long, value_name = "METHOD")]
    batch_norm: Option<String>,
    /// Option of that method (repeatable)
    #[arg(long = "set", value_name = "OPTION=VALUE", requires = "batch_norm")]
    sets: Vec<String>,
    /// Where to compute
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &EvalArguments) -> Outcome {
    let record = record(&arguments.run)?;
    let device = arguments.device.resolve().map_err(refuse)?;
    let folder = arguments.batch_norm.as_ref().map(|name| chosen_folder(name, &arguments.sets)).transpose()?;
    let mut trained = Trained::load(&record.config, &arguments.run.join("model.safetensors"), device)?;
    let metrics = trained.evaluate()?;
    let integer = folder.map(|(folder, options)| trained.with_integer_norm(folder, &options)).transpose()?;
    // Where it ran on the same kind of device, it must come out the same.
    let reproduced = record.metrics.as_ref() == Some(&metrics);
    let layers = integer.as_ref().map(compared).transpose()?;
    if arguments.json {
        print_json(&json!({
            "id": record.id, "metrics": metrics, "reproduced": reproduced, "integer": integer, "alternatives": layers,
        }))?;
    } else {
        print(summary(&record, &metrics, reproduced))?;
        if let Some(report) = &integer {
            print(format_args!("\n{}", table(report)))?;
        }
        if let Some(layers) = layers.filter(|layers| !layers.is_empty()) {
            print(format_args!("\n{}", alternatives(&layers)))?;
        }
    }
    if integer.is_some_and(|report| report.norms.iter().any(|norm| norm.different > 0)) {
        return Err(Stop::Failed);
    }
    Ok(())
}

fn summary(record: &RunRecord, metrics: &Metrics, reproduced: bool) -> String {
    let top1 = metrics.top1.map_or_else(String::new, |top1| format!("top-1 {:.2}%, ", 100.0 * top1));
    let same = if reproduced { "as recorded, to the bit" } else { "which is not what the record says" };
    format!("{}: {top1}loss {:.6}, {same}", record.id, metrics.loss)
}

fn table(report: &IntegerReport) -> String {
    let rows: Vec<Vec<String>> = (report.norms.iter())
        .map(|norm| {
            vec![
                norm.layer.clone(),
                norm.bits.to_string(),
                norm.channels.to_string(),
                format!("{}..{}", norm.x_min, norm.x_max),
                norm.shift.to_string(),
                norm.compared.to_string(),
                norm.different.to_string(),
                norm.different_f32.to_string(),
            ]
        })
        .collect();
    let header = ["feeds", "bits", "channels", "accumulator", "shift", "codes", "differ from f64", "differ from f32"];
    let mut text = columns(&header, &rows);
    for kept in &report.kept {
        text += &format!("\nnot replaced {kept}");
    }
    text += &format!(
        "\ntop-1 {:.2}% as trained, {:.2}% with integer batch normalization; {} of {} predictions changed",
        100.0 * report.top1,
        100.0 * report.integer_top1,
        report.changed_predictions,
        report.images
    );
    text
}

/// Fractional bits at which naive rounding is looked at.
const ROUNDED: [u32; 3] = [8, 12, 16];

/// What a batch normalization needs, and how often other integers than the exact ones are wrong: fractions of all pairs
/// of channel and accumulator value that can occur.
#[derive(Debug, Serialize)]
struct Alternatives {
    /// The layer that the codes feed.
    layer: String,
    /// Fractional bits that a channel by itself needs: least, mean and largest over channels.
    least_shift: u32,
    mean_shift: f64,
    largest_shift: u32,
    /// Bits of the widest factor and of the widest summand of the exact integers, their signs included.
    a_bits: u32,
    b_bits: u32,
    exact: f64,
    /// Naive rounding to 8, 12 and 16 fractional bits.
    rounded: Vec<f64>,
    /// Factors that are powers of two.
    power_of_two: f64,
    /// Arithmetic in f32.
    single_precision: f64,
}

fn compared(report: &IntegerReport) -> Result<Vec<Alternatives>, Stop> {
    let one = |(norm, layer): (&NormReport, &NormLayer)| {
        let comparison = compare(layer, &ROUNDED)?;
        let shifts = &comparison.smallest_shifts;
        let sum: u32 = shifts.iter().sum();
        Ok(Alternatives {
            layer: norm.layer.clone(),
            least_shift: shifts.iter().copied().min().unwrap_or(0),
            mean_shift: f64::from(sum) / shifts.len().max(1) as f64,
            largest_shift: shifts.iter().copied().max().unwrap_or(0),
            a_bits: comparison.slope_bits,
            b_bits: comparison.intercept_bits,
            exact: comparison.exact_mismatch,
            rounded: comparison.rounded_mismatch.iter().map(|(_, fraction)| *fraction).collect(),
            power_of_two: comparison.power_of_two_mismatch,
            single_precision: comparison.single_precision_mismatch,
        })
    };
    report.norms.iter().zip(&report.layers).map(one).collect()
}

fn alternatives(layers: &[Alternatives]) -> String {
    let percent = |fraction: f64| format!("{:.3}", 100.0 * fraction);
    let row = |layer: &Alternatives| {
        let shifts = format!("{}/{:.1}/{}", layer.least_shift, layer.mean_shift, layer.largest_shift);
        let mut cells = vec![layer.layer.clone(), shifts, layer.a_bits.to_string(), layer.b_bits.to_string()];
        let wrong = [layer.exact].into_iter().chain(layer.rounded.iter().copied());
        cells.extend(wrong.chain([layer.power_of_two, layer.single_precision]).map(percent));
        cells
    };
    let rounded = ROUNDED.map(|shift| format!("rounded at {shift}"));
    let [low, middle, high] = &rounded;
    let header = ["feeds", "shift", "a bits", "b bits", "exact", low, middle, high, "powers of two", "f32"];
    let rows: Vec<Vec<String>> = layers.iter().map(row).collect();
    format!(
        "{}\nshift: least/mean/largest number of fractional bits that a channel needs by itself; from `exact` on: percent \
         of wrong codes over all channels and accumulator values",
        columns(&header, &rows)
    )
}
