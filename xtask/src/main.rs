//! Tasks of the workspace that cargo cannot do alone: `cargo xtask help` lists them.
//!
//! This is the first thing built on a bare machine, and it builds without libtorch: preparing libtorch is its main
//! job. What it says goes to stderr; the exit code is 0 (done), 1 (failed) or 2 (bad usage), and for the tasks that
//! end in another program that program's own.
#![allow(clippy::print_stderr, reason = "a command line tool")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cargo;
mod command;
mod emulate;
mod fuzz;
mod instructions;
mod nightly;
mod setup;
mod slurm;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match command::parse(&args) {
        Ok(command) => command::run(command).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }),
        Err(wrong) => {
            eprintln!("error: {wrong}\n\n{}", command::USAGE);
            ExitCode::from(2)
        }
    }
}
