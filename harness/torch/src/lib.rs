//! What harness needs of libtorch beyond tch: gradients given by a Rust closure, random numbers that are a pure
//! function of a key, fused fake quantization and optimizer steps, and a GPU found at run time.
//!
//! The only C++ of the project lives here (`csrc/`), and the only `unsafe` around libtorch. Every failure inside
//! libtorch comes back as a [`tch::TchError`]; no exception and no panic crosses the border.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod autograd;
pub mod cuda;
mod fake_quantize;
mod ffi;
mod int8;
pub mod optim;
pub mod path;
pub mod random;
mod runtime;
mod scaled_grid;
pub mod slices;

pub use autograd::with_gradient;
pub use fake_quantize::{HalfToZero, UniformGrid};
pub use int8::Int8Conv2d;
pub use path::on_host;
pub use runtime::{
    channels_last, cpu_capability, is_deterministic, keep_freed_memory, loaded_from, set_deterministic, version,
};
pub use scaled_grid::{ScaledGrid, gradient_between};
