//! One file a command.

pub(crate) mod batchnorm;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod data;
mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
mod methods;
mod models;
pub(crate) mod quantize;
pub(crate) mod report;
pub(crate) mod runs;
mod schema;
pub(crate) mod sweep;
pub(crate) mod task;
pub(crate) mod track;
pub(crate) mod verify;
pub(crate) mod worker;

use crate::arguments::{Arguments, Command};
use crate::exit::Outcome;

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    let volume = arguments.volume;
    match arguments.command {
        Command::Sweep(arguments) => sweep::run(&arguments, volume),
        Command::Report(arguments) => report::run(&arguments, volume),
        Command::Track(arguments) => track::run(&arguments, volume),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments, volume),
        Command::Quantize(arguments) => quantize::run(&arguments),
        Command::Batchnorm(arguments) => batchnorm::run(&arguments, volume),
        Command::Methods(listing) => methods::run(&listing),
        Command::Models(listing) => models::run(&listing),
        Command::Data(arguments) => data::run(&arguments, volume),
        Command::Doctor(listing) => doctor::run(&listing),
        Command::Verify(arguments) => verify::run(&arguments, volume),
        Command::Runs(arguments) => runs::run(&arguments),
        Command::Schema => schema::run(),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Task(arguments) => task::run(&arguments, volume),
        Command::Worker(arguments) => worker::run(&arguments),
    }
}
