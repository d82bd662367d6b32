//! What can be typed.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    batchnorm, bench, cancel, completions, data, doctor, eval, export, methods, models, quantize, report, runs, schema,
    status, sweep, task, track, verify, worker,
};
use crate::exit::Outcome;
use crate::shared_arguments::{Listing, Volume};

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

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train every trial of a sweep file and report on them
    Sweep(Box<sweep::SweepArguments>),
    /// Say how far a sweep is, and run nothing
    Status(status::StatusArguments),
    /// End the tasks of a sweep on a cluster; trials keep their checkpoints
    Cancel(cancel::CancelArguments),
    /// Write tables and figures of trials that have run
    Report(report::ReportArguments),
    /// Keep results of commits, compare them, and find the commit that changed them
    Track(track::TrackArguments),
    /// Run a finished trial again and compare every number to the bit
    Verify(verify::VerifyArguments),
    /// List, show, clear and pack trials that have run
    Runs(runs::RunsArguments),
    /// Evaluate a finished trial again, also with batch normalization in integers
    Eval(eval::EvalArguments),
    /// Write the weights of a finished trial for other programs
    Export(export::ExportArguments),
    /// Time the native kernels beside libtorch and the limits of the processor; or training steps
    Bench(bench::BenchArguments),
    /// Quantize an array with a method
    Quantize(quantize::QuantizeArguments),
    /// Turn batch normalization into integers that give the same codes
    Batchnorm(batchnorm::BatchnormArguments),
    /// List the quantization methods and their options
    Methods(Listing),
    /// List the models and their options
    Models(models::ModelsArguments),
    /// List, fetch and verify data sets
    Data(data::DataArguments),
    /// Look at the machine: libtorch, CUDA, CPU, data sets
    Doctor(Listing),
    /// Print the JSON Schema of sweep files
    #[command(after_help = "Example:\n  harness schema > sweep.schema.json")]
    Schema,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArguments),
    /// Run one task of an array (started by a cluster)
    #[command(hide = true)]
    Task(task::TaskArguments),
    /// Run trials given on standard input (started by `sweep`)
    #[command(hide = true)]
    Worker(worker::WorkerArguments),
}

impl Arguments {
    /// Runs the command.
    pub(crate) fn run(self) -> Outcome {
        let volume = self.volume;
        match self.command {
            Command::Sweep(arguments) => sweep::run(&arguments, volume),
            Command::Status(arguments) => status::run(&arguments, volume),
            Command::Cancel(arguments) => cancel::run(&arguments, volume),
            Command::Report(arguments) => report::run(&arguments, volume),
            Command::Track(arguments) => track::run(&arguments, volume),
            Command::Eval(arguments) => eval::run(&arguments),
            Command::Export(arguments) => export::run(&arguments),
            Command::Bench(arguments) => bench::run(&arguments, volume),
            Command::Quantize(arguments) => quantize::run(&arguments),
            Command::Batchnorm(arguments) => batchnorm::run(&arguments, volume),
            Command::Methods(listing) => methods::run(&listing),
            Command::Models(arguments) => models::run(&arguments),
            Command::Data(arguments) => data::run(&arguments, volume),
            Command::Doctor(listing) => doctor::run(&listing),
            Command::Verify(arguments) => verify::run(&arguments, volume),
            Command::Runs(arguments) => runs::run(&arguments),
            Command::Schema => schema::run(),
            Command::Completions(arguments) => completions::run(&arguments, &mut Arguments::command()),
            Command::Task(arguments) => task::run(&arguments, volume),
            Command::Worker(arguments) => worker::run(&arguments),
        }
    }
}
