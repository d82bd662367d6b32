//! What can be typed.

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    batchnorm, bench, completions, data, eval, export, quantize, report, runs, sweep, task, track, verify, worker,
};

/// Research harness and benchmark suite for low-bit quantized neural networks.
#[derive(Debug, Parser)]
#[command(
    name = "harness",
    version,
    max_term_width = 110,
    after_help = "Example:\n  harness sweep sweeps/quickstart.yaml"
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) volume: Volume,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Volume {
    /// Say more: every epoch, every note
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train every trial of a sweep file and report on them
    Sweep(Box<sweep::Arguments>),
    /// Write tables and figures of trials that have run
    Report(report::Arguments),
    /// Keep results of commits, compare them, and find the commit that changed them
    Track(track::Arguments),
    /// Run a finished trial again and compare every number to the bit
    Verify(verify::Arguments),
    /// List, show, clear and pack trials that have run
    Runs(runs::Arguments),
    /// Evaluate a finished trial again, also with batch normalization in integers
    Eval(eval::Arguments),
    /// Write the weights of a finished trial for other programs
    Export(export::Arguments),
    /// Time the native kernels beside libtorch and the limits of the processor; or training steps
    Bench(bench::Arguments),
    /// Quantize an array with a method
    Quantize(quantize::Arguments),
    /// Turn batch normalization into integers that give the same codes
    Batchnorm(batchnorm::Arguments),
    /// List the quantization methods and their options
    Methods(Listing),
    /// List the models and their options
    Models(Listing),
    /// List, fetch and verify data sets
    Data(data::Arguments),
    /// Look at the machine: libtorch, CUDA, CPU, data sets
    Doctor(Listing),
    /// Print the JSON Schema of sweep files
    #[command(after_help = "Example:\n  harness schema > sweep.schema.json")]
    Schema,
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Run one task of an array (started by a cluster)
    #[command(hide = true)]
    Task(task::Arguments),
    /// Run trials given on standard input (started by `sweep`)
    #[command(hide = true)]
    Worker(worker::Arguments),
}

/// A command that only lists.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  harness methods --json")]
pub(crate) struct Listing {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
