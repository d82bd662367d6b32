//! The `harness` command: parse, dispatch, exit code.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arguments;
mod catalog;
mod chosen;
mod commands;
mod exit;
mod files;
mod finished;
mod npy;
mod output;
mod progress;
mod rules;
mod shared_arguments;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    exit::code(arguments.run())
}
