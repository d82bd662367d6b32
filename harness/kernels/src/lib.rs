//! The integer world: what codes stand for, where their boundaries lie, and how they are packed.
//!
//! This crate needs the standard library alone. The training graph and native inference both speak its
//! vocabulary, which is why their answers can be compared bit by bit:
//!
//! * [`levels`]: [`levels::Bits`] and [`levels::LevelTable`], the value of every code;
//! * [`thresholds`]: an activation quantizer compiled to comparisons, measured on the real function;
//! * [`rounding`]: the rounding conventions of the papers, by name;
//! * [`planes`]: codes packed as bit-planes, 64 to a word;
//! * [`Product`]: convolutions and matrix products of codes, exact, on the [`Route`] that fits the processor and the
//!   bits: what a deployed network runs on; [`WideProduct`] where sums need 64 bits,
//!   [`PlaneProduct`] where every plane has a scale of its own;
//! * [`Pool`]: the threads it runs on.

// Vector instructions and threads that share a buffer: each block says why it is sound, and every loop is compared
// with a plain triple loop.
#![allow(unsafe_code)]
// Tiles are indexed by row and column, and several slices by one channel.
#![allow(clippy::needless_range_loop)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activations;
mod arch;
mod buffer;
mod classes;
mod correction;
mod epilogue;
mod error;
mod geometry;
mod layout;
pub mod levels;
pub mod limits;
mod pack;
mod plan;
mod plane_product;
pub mod planes;
mod pool;
mod product;
pub mod rounding;
mod route;
mod stored;
mod strip;
#[cfg(test)]
mod tests;
pub mod thresholds;
mod weights;
mod wide;

pub use activations::Activations;
pub use epilogue::{Grid, Output, Requantize};
pub use error::KernelError;
pub use geometry::Conv2d;
pub use pack::Quantize;
pub use plane_product::{PlaneActivations, PlaneProduct};
pub use pool::Pool;
pub use product::Product;
pub use route::{Family, Isa, Route, UnknownRoute};
pub use wide::{WideActivations, WideProduct};
