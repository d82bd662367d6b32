//! `harness batchnorm`: the batch normalization of a layer as integers.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use harness_method_bn_optimal::alternatives::mismatch;
use harness_method_bn_optimal::json::{self, Layer};
use harness_methods::core::{IntegerBatchNorm, Options};
use serde::{Deserialize, Serialize};

use crate::arguments::Volume;
use crate::chosen::chosen;
use crate::exit::{Outcome, Stop, refuse};
use crate::files;
use crate::output::{print_json, talk};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness batchnorm --in bn.json --out integers.json
  harness batchnorm --in - --out - --set mode=round --set shift=12 < bn.json

Input, where a channel may carry scales of its own:
  {\"channels\": [{\"gamma\": 1.0, \"beta\": 0.0, \"mean\": 0.0, \"var\": 1.0}], \"eps\": 1e-5,
   \"input_scale\": 0.01, \"output_scale\": 0.1, \"x_min\": -128, \"x_max\": 127, \"bits\": 2}
Output, which means clip((a*x + b) >> shift, 0, 2^bits - 1):
  {\"shift\": 12, \"channels\": [{\"a\": 409, \"b\": 2048}]}")]
pub(crate) struct Arguments {
    /// The layer, - for standard input
    #[arg(long = "in", value_name = "BN.json")]
    input: PathBuf,
    /// Where the integers go, - for standard output
    #[arg(long = "out", value_name = "INT.json")]
    output: PathBuf,
    /// Option of the method bn-optimal: share, mode, shift (repeatable)
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    sets: Vec<String>,
    /// Print what came out as JSON on standard output, not as a line on standard error
    #[arg(long)]
    json: bool,
}

/// The integers as they were written.
#[derive(Debug, Deserialize)]
struct Integers {
    shift: u32,
    channels: Vec<Channel>,
}

#[derive(Debug, Deserialize)]
struct Channel {
    a: i64,
    b: i64,
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

pub(crate) fn run(arguments: &Arguments, volume: Volume) -> Outcome {
    files::check_outputs(("--in", &arguments.input), &[("--out", &arguments.output)])?;
    if arguments.json && files::is_standard(&arguments.output) {
        return Err(refuse("`--out -` and --json both take standard output"));
    }
    let (_, options) = chosen("bn-optimal", &arguments.sets)?;
    let shown = arguments.input.display();
    let mut input = String::new();
    let read = files::open(&arguments.input)?.read_to_string(&mut input);
    read.map_err(|error| refuse(format_args!("cannot read {shown}: {error}")))?;
    let refused = |error: json::BatchNormError| refuse(format_args!("{shown}: {error}"));
    let output = json::run(&input, &options).map_err(refused)?;
    let summary = Summary::of(&Layer::parse(&input).map_err(refused)?, &serde_json::from_str(&output)?)?;
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

/// Whether the integers were promised to be exact.
fn is_exact(options: &Options) -> bool {
    options.text("mode") == "exact"
}

impl Summary {
    /// Compares the integers with the layer they came from, at every accumulator value.
    fn of(layer: &Layer, integers: &Integers) -> Result<Summary, Stop> {
        let channels: Vec<(i64, i64)> = integers.channels.iter().map(|channel| (channel.a, channel.b)).collect();
        let widest = |pick: fn(&(i64, i64)) -> i64| channels.iter().map(pick).map(signed_width).max().unwrap_or(0);
        let (a_bits, b_bits) = (widest(|pair| pair.0), widest(|pair| pair.1));
        let (low, high) = layer.range;
        let compared = (i128::from(high) - i128::from(low) + 1).unsigned_abs() * channels.len() as u128;
        let folded = IntegerBatchNorm { shift: integers.shift, channels };
        let portion = mismatch(&layer.fold(), &folded)?;
        let mismatches = (portion * compared as f64).round() as u128;
        // A single one must not be rounded away.
        let mismatches = if portion > 0.0 { mismatches.max(1) } else { 0 };
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
