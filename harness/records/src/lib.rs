//! Sweep files, trial ids, run records and the store they live in. Nothing here knows a tensor; nothing heavy is
//! needed to read a record.
//!
//! The crate has two halves. The first is the language of sweep files:
//! - [`yaml`]: a tree of keys and values with their positions, and messages that show them.
//! - [`config`]: the keys and options of one trial, with types, ranges and defaults; the trial's configuration and id.
//! - [`sweep`]: a file read, merged, checked and expanded into trials ([`spec::SweepSpec`]).
//!
//! The second is what is stored:
//! - [`mod@record`]: the contents of a trial's record ([`record::RunRecord`]) and of a report on kernel speeds.
//! - [`store`]: the folder `runs/`, who may write into it, checkpoints and lists of trials.
//!
//! Each folder knows only those above it, except that nothing in `record` knows `sweep`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod config;
pub mod record;
pub mod store;
pub mod sweep;
pub mod yaml;

pub use config::{catalog, options, trial};
pub use record::{bench_report, losses};
pub use store::checkpoint as resume;
pub use store::{atomic, attempt, lease, listing, submission, verification};
pub use sweep::{expand, filter, schema, slurm, spec};
pub use yaml::diagnostics as problem;
pub use yaml::node;
