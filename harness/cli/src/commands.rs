//! One file a command.

pub(crate) mod batchnorm;
pub(crate) mod bench;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod methods;
pub(crate) mod models;
pub(crate) mod quantize;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod sweep;
pub(crate) mod task;
pub(crate) mod track;
pub(crate) mod verify;
pub(crate) mod worker;
