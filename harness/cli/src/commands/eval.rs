//! `harness eval`: a finished trial evaluated again.

use std::path::PathBuf;

use clap::Args;
use harness_engine::device::DeviceChoice;
use harness_engine::reevaluate::{IntegerReport, Trained};
use harness_records::record::{Metrics, RunRecord};
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
    if arguments.json {
        let result = json!({"id": record.id, "metrics": metrics, "reproduced": reproduced, "integer": integer});
        print_json(&result)?;
    } else {
        print(summary(&record, &metrics, reproduced))?;
        if let Some(report) = &integer {
            print(format_args!("\n{}", table(report)))?;
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
