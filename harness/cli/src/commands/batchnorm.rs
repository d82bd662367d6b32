//! `harness batchnorm`: the batch normalization of a layer as integers.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use harness_method_bn_optimal::alternatives::{compare, mismatch, mismatch_by_shift};
use harness_method_bn_optimal::json;
use harness_methods::core::{IntegerBatchNorm, NormLayer, Options};
use harness_reports::{BatchNormLayer, ReportError, write_batch_norm};
use serde::Serialize;

use crate::chosen::chosen_folder;
use crate::exit::{Outcome, Stop, refuse};
use crate::files;
use crate::output::{print_json, talk};
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness batchnorm --in bn.json --out integers.json
  harness batchnorm --in - --out - --set mode=round --set shift=12 < bn.json
  harness batchnorm --in bn.json --out integers.json --figure mismatch.svg

Input, where a channel may carry scales of its own:
  {\"channels\": [{\"gamma\": 1.0, \"beta\": 0.0, \"mean\": 0.0, \"var\": 1.0}], \"eps\": 1e-5,
   \"input_scale\": 0.01, \"output_scale\": 0.1, \"x_min\": -128, \"x_max\": 127, \"bits\": 2}
Output, which means clip((a*x + b) >> shift, 0, 2^bits - 1):
  {\"shift\": 12, \"channels\": [{\"a\": 409, \"b\": 2048}]}")]
pub(crate) struct BatchnormArguments {
    /// The layer, - for standard input
    #[arg(long = "in", value_name = "BN.json")]
    input: PathBuf,
    /// Where the integers go, - for standard output
    #[arg(long = "out", value_name = "INT.json")]
    output: PathBuf,
    /// Option of bn-optimal: mode, shift; share has no effect on a single layer (repeatable)
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    sets: Vec<String>,
    /// Draw how often naive rounding errs at each shift, and the smallest exact shift of each channel, to this file
    /// (.svg, .pdf or .png); the numbers go beside it as .csv
    #[arg(long, value_name = "FILE")]
    figure: Option<PathBuf>,
    /// Print what came out as JSON on standard output, not as a line on standard error
    #[arg(long)]
    json: bool,
}

/// What came out of it, as printed by `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    channels: usize,
    shift: u32,
    /// Bits of the widest `a`, its sign included.
    a_bits: u32,
    /// Bits of the widest `b`, its sign included.
    b_bits: u32,
    /// Pairs of channel and accumulator value whose code is another than that of the real arithmetic.
    mismatches: u128,
    /// Of how many.
    compared: u128,
}

pub(crate) fn run(arguments: &BatchnormArguments, volume: Volume) -> Outcome {
    let numbers = arguments.figure.as_ref().map(|figure| figure.with_extension("csv"));
    let mut outputs = vec![("--out", arguments.output.as_path())];
    outputs.extend(arguments.figure.as_deref().map(|figure| ("--figure", figure)));
    outputs.extend(numbers.as_deref().map(|numbers| ("the numbers of --figure", numbers)));
    files::check_outputs(("--in", &arguments.input), &outputs)?;
    if arguments.json && files::is_standard(&arguments.output) {
        return Err(refuse("`--out -` and --json both take standard output"));
    }
    let (_, options) = chosen_folder("bn-optimal", &arguments.sets)?;
    let shown = arguments.input.display();
    let mut input = String::new();
    let read = files::open(&arguments.input)?.read_to_string(&mut input);
    read.map_err(|error| refuse(format_args!("cannot read {shown}: {error}")))?;
    let refused = |error: json::BatchNormError| refuse(format_args!("{shown}: {error}"));
    let layer = json::parse(&input).map_err(refused)?;
    let folded = json::integers(&layer, &options).map_err(refused)?;
    let output = json::to_text(&folded).map_err(refused)?;
    let summary = Summary::of(&layer, &folded)?;
    if let Some(figure) = &arguments.figure {
        draw(&layer, &arguments.input, figure)?;
    }
    files::write(&arguments.output, format!("{output}\n").as_bytes())?;
    if arguments.json {
        print_json(&summary)?;
    } else if !volume.quiet {
        talk(summary.line());
    }
    if summary.mismatches > 0 && is_exact(&options) {
        return Err(Stop::Failed);
    }
    Ok(())
}

/// Shifts drawn beyond the smallest exact one: naive rounding may need more.
const BEYOND: u32 = 6;
/// The largest shift that is drawn; constants rounded to more fractional bits may not fit an i64.
const GREATEST: u32 = 40;

/// The figure: naive rounding at every shift beside the smallest exact ones.
fn draw(layer: &NormLayer, input: &Path, figure: &Path) -> Outcome {
    let smallest_shifts = compare(layer, &[])?.smallest_shifts;
    let last = (smallest_shifts.iter().copied().max().unwrap_or(0) + BEYOND).min(GREATEST);
    let mismatch = mismatch_by_shift(layer, &(0..=last).collect::<Vec<_>>())?;
    let name = input.file_stem().filter(|_| !files::is_standard(input)).and_then(|stem| stem.to_str());
    let drawn = BatchNormLayer { name: name.unwrap_or("layer").to_owned(), mismatch, smallest_shifts };
    write_batch_norm(&[drawn], figure).map_err(|error| match error {
        ReportError::Write { .. } | ReportError::Build { .. } => Stop::Broken(error.into()),
        refused => refuse(refused),
    })?;
    Ok(())
}

/// Whether the integers were promised to be exact.
fn is_exact(options: &Options) -> bool {
    options.text("mode") == "exact"
}

impl Summary {
    /// Compares the integers with the layer they came from, at every accumulator value.
    fn of(layer: &NormLayer, integers: &IntegerBatchNorm) -> Result<Summary, Stop> {
        let channels = &integers.channels;
        let widest = |pick: fn(&(i64, i64)) -> i64| channels.iter().map(pick).map(signed_width).max().unwrap_or(0);
        let (a_bits, b_bits) = (widest(|pair| pair.0), widest(|pair| pair.1));
        let (low, high) = layer.range;
        let compared = (i128::from(high) - i128::from(low) + 1).unsigned_abs() * channels.len() as u128;
        let fraction = mismatch(layer, integers)?;
        let mismatches = (fraction * compared as f64).round() as u128;
        // A single one must not be rounded away.
        let mismatches = if fraction > 0.0 { mismatches.max(1) } else { 0 };
        let (shift, channels) = (integers.shift, integers.channels.len());
        Ok(Summary { channels, shift, a_bits, b_bits, mismatches, compared })
    }

    fn line(&self) -> String {
        let Summary { channels, shift, a_bits, b_bits, mismatches, compared } = self;
        let plural = if *channels == 1 { "" } else { "s" };
        format!(
            "{channels} channel{plural}, shift {shift}, a of {a_bits} bits, b of {b_bits} bits, \
             {mismatches} of {compared} codes differ from real arithmetic"
        )
    }
}

/// Bits of the least two's complement number that holds `value`.
fn signed_width(value: i64) -> u32 {
    let magnitude = if value < 0 { !value } else { value };
    i64::BITS - magnitude.leading_zeros() + 1
}
