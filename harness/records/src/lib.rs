//! What a sweep is asked for and what is written down about it: sweep files, trial ids, run records and the
//! store they live in. Nothing here knows a tensor; nothing heavy is needed to read a record.
//!
//! The way through this crate: [`spec`] reads YAML into a [`spec::SweepSpec`], whose axes are expanded into
//! [`trial::Trial`]s; the engine makes each into a [`record::RunRecord`], and [`store`] keeps those on disk.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod atomic;
pub mod attempt;
pub mod bench_report;
pub mod catalog;
pub mod config;
mod correct_samples;
mod dependency;
mod document;
pub mod expand;
mod fields;
pub mod filter;
mod garbage;
pub mod lease;
pub mod listing;
pub mod losses;
pub mod node;
mod number;
pub mod options;
mod overlay;
mod plan;
pub mod problem;
pub mod record;
mod resolve;
pub mod resume;
pub mod schema;
pub mod slurm;
pub mod spec;
pub mod store;
pub mod submission;
pub mod trial;
mod trial_dir;
pub mod verification;
