//! Networks.
//!
//! A model is a list of [`layer::Layer`]s. [`plan`] walks the list once with shapes and a quantization
//! configuration and says what stands where, at what cost, or why it cannot be; [`network`] builds the plan as
//! libtorch modules. To add a model: a file in `zoo`, a line in [`MODELS`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod error;
pub mod layer;
pub mod network;
pub mod plan;
pub mod recurrent;
pub mod weights;
pub mod zoo;

pub use error::ModelError;
pub use network::Network;
pub use plan::{Input, LayerSummary, Plan};
pub use recurrent::State;
pub use zoo::{MODELS, Model, find};
