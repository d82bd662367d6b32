//! The `harness` command: parse, dispatch, exit code.

mod arguments;
mod catalog;
mod commands;
mod exit;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    exit::code(commands::run(arguments))
}
