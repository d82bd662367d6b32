//! What a trial leaves behind ([`RunRecord`]), and what a benchmark of the kernels does ([`bench_report`]).

pub mod bench_report;
mod correct_samples;
mod device;
pub mod losses;
pub(crate) mod number;
mod run_record;
mod view;

pub use crate::config::role::Role;
pub use device::RecordedDevice;
pub use run_record::*;
pub use view::RecordView;
