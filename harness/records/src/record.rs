//! What a trial leaves behind ([`RunRecord`]), and what a benchmark of the kernels does ([`bench_report`]).

pub mod bench_report;
mod correct_samples;
pub mod losses;
pub(crate) mod number;
mod run_record;

pub use run_record::*;
