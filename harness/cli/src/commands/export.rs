//! `harness export`: the network of a finished trial for other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use harness_models::{ModelError, weights};
use harness_records::atomic;
use serde_json::json;

use crate::exit::{Outcome, Stop, refuse};
use crate::files::{check_outputs, is_standard};
use crate::finished::record;
use crate::output::{print, print_json};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  harness export runs/quickstart/0123456789abcdef --format safetensors --out lenet.safetensors

The weights are those that were trained, in full precision also where the network quantizes them. Networks that
torchvision has too are written under its names: its load_state_dict takes the file as it is.")]
pub(crate) struct ExportArguments {
    /// Folder of the trial, runs/SWEEP/ID
    run: PathBuf,
    /// Kind of file
    #[arg(long)]
    format: Format,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Named tensors: weights, biases and statistics of normalization
    Safetensors,
    /// Refused: a quantizer is no operator of ONNX
    #[value(hide = true)]
    Onnx,
}

/// What can go wrong while the file is written.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    File(#[from] std::io::Error),
}

pub(crate) fn run(arguments: &ExportArguments) -> Outcome {
    if arguments.format == Format::Onnx {
        return Err(refuse(
            "--format onnx: networks are not written as ONNX graphs, expected `safetensors`, which PyTorch reads and \
             can export from",
        ));
    }
    let record = record(&arguments.run)?;
    let model = arguments.run.join("model.safetensors");
    if is_standard(&arguments.out) {
        return Err(refuse("--out -: safetensors are written to a file, not to standard output"));
    }
    check_outputs(("RUN", &model), &[("--out", &arguments.out)])?;
    let mut tensors = 0;
    let written = atomic::write_with(&arguments.out, |path| -> Result<(), ExportError> {
        tensors = weights::copy(&model, path)?;
        Ok(())
    });
    written.map_err(|error| match error {
        // The run is damaged: that is bad input.
        ExportError::Model(error @ ModelError::Weights { .. }) => refuse(error),
        error => Stop::from(error),
    })?;
    let (id, name) = (&record.id, &record.config.model.name);
    if arguments.json {
        let out = arguments.out.display().to_string();
        return Ok(print_json(&json!({"id": id, "model": name, "tensors": tensors, "out": out}))?);
    }
    Ok(print(format_args!("{id}: {tensors} tensors of {name} in {}", arguments.out.display()))?)
}
