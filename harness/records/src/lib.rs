//! What a sweep is asked for and what is written down about it: sweep files, trial ids, run records and the
//! store they live in. Nothing here knows a tensor; nothing heavy is needed to read a record.
//!
//! The way through this crate: [`spec`] reads YAML into a [`spec::SweepSpec`], [`expand`] turns its axes into
//! [`trial::Trial`]s, the engine makes each into a [`record::RunRecord`], and [`store`] keeps those on disk.

pub mod config;
pub mod options;
pub mod record;
