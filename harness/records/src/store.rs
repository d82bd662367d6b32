//! The store: plain files under one folder, everything derived can be rebuilt from them.
//!
//! ```text
//! runs/<sweep>/<trial id>/
//!   config.yaml                resolved configuration
//!   record.json                RunRecord, written once, when the trial has ended
//!   record-<attempt>.json      record of an earlier attempt that did not end well
//!   attempt-<n>.json           when and where attempt n began, and how it ended, see `attempt`
//!   state.json                 ResumeState: how far the checkpoint is, see `checkpoint`
//!   checkpoint.safetensors     parameters, optimizer state and buffers at that point
//!   previous-state.json, previous-checkpoint.safetensors  the pair before, used when the last one is damaged
//!   next-checkpoint.safetensors  the checkpoint while it is being replaced
//!   model.safetensors          the final network
//!   verified.json              what came of running it again, see `verification`
//!   lease.<n>                  who works on it, see `lease`
//! ```
//!
//! Opening a store creates nothing; folders appear with the first file that is written.

pub mod atomic;
pub mod attempt;
pub mod checkpoint;
mod error;
mod files;
mod garbage;
mod host;
pub mod lease;
pub mod listing;
mod root;
mod state;
pub mod submission;
mod trial_dir;
pub mod verification;

pub use attempt::Attempt;
pub use checkpoint::ResumeState;
pub use error::StoreError;
pub use garbage::Litter;
pub use root::{ScanEntry, Store};
pub use state::TrialState;
pub use trial_dir::{Claim, TrialDir};
