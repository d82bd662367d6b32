//! The binary, run as a user runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod after_training;
mod batchnorm;
mod bench;
mod builds_on;
#[cfg(unix)]
mod cluster;
mod data;
mod eval;
mod export;
mod faults;
mod listings;
mod quant_layers;
mod quantize;
mod refused;
mod reports;
mod runs;
mod support;
mod sweep;
mod sweep_files;
mod track;
mod trained_codes;
mod training_keys;
mod verify;
