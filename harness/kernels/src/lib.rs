//! Codes of 1 to 8 bits: what they stand for, and fast exact convolutions and matrix products of them.
//!
//! The crate needs the standard library alone. Two halves:
//!
//! * **The vocabulary of codes**, which the quantization methods use: [`levels`] ([`levels::Bits`] and
//!   [`levels::LevelTable`], the value of every code), [`thresholds`] (an activation quantizer compiled to comparisons),
//!   [`rounding`] (the rounding conventions of the papers) and [`planes`] (codes packed as bit-planes).
//! * **The kernels**: [`Product`], a convolution or matrix product with exact 32-bit sums; [`WideProduct`] for sums that need
//!   64 bits; [`PlaneProduct`] for levels in which every bit-plane has a scale of its own; [`Quantize`] and [`Requantize`]
//!   before and after them; [`Pool`], the threads that they run on; [`limits::Limit`], what the processor can do at most.
//!
//! **Who uses the kernels:** the benchmark (`harness bench`), and nobody else yet. No command runs a trained network on them.
//!
//! # Glossary
//!
//! * **Route**: a family of algorithms (population count, table look-up, byte products) on an instruction set.
//! * **Inner loop**: exactly what runs on a route for given bit widths and numbers of pixels; decided in one place.
//! * **K-step**: the input channels (64, 6 or 4) that one step of a loop multiplies. The channels of a pixel are padded to
//!   whole K-steps.
//! * **Bit-plane**: one bit of every code. Popcount and table loops store weights plane by plane.
//! * **Bit group**: the bits of activations that are stored together and multiplied in one pass of the loop: one bit for
//!   popcount, up to three or four for tables, all of them for byte products.
//! * **Panel**: as many output channels of the weights as a vector has lanes, stored together.
//! * **Column**: an output pixel of a convolution, or a row of a matrix product.
//! * **Tile**: a few columns by one, two or four panels, whose sums stay in registers: one call of the loop.
//! * **Column block**: up to 48 columns to which a panel is applied while it is in a cache.
//! * **Channel block**: up to 384 output channels, whose sums are finished together.
//! * **Contiguous run**: pixels of a window that are neighbours in memory: a row of the window, or one pixel.
//! * **Segment**: a contiguous run as the loop reads it: the byte offset of its K-steps from the window's first pixel.
//! * **Border class**: the windows that have the same pixels inside the image, and so the same correction for padding.
//! * **Epilogue**: what follows the sums: correction for zero points, scaling or requantization, packing for the next product.
//!
//! # Where to start reading
//!
//! 1. `geometry.rs`: the shape of a convolution.
//! 2. `route.rs` and `inner_loop.rs`: which loop runs.
//! 3. `layout.rs`, `weights.rs`, `stored_pixels.rs`, `activations.rs`: how the operands lie in memory.
//! 4. `product.rs`: from operands to results, and how a product is divided into tiles.
//! 5. `arch/generic/popcount.rs`, the shortest loop, and `arch/avx2.rs`, one set of vector operations.
//! 6. `correction.rs` and `epilogue.rs`: from sums to results.

// Vector instructions, and threads that share a buffer: each block says why it is sound, and every loop is compared with a
// plain triple loop.
#![allow(unsafe_code)]
// Tiles are indexed by panel and column, and several slices by the same channel.
#![allow(clippy::needless_range_loop)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activations;
mod arch;
mod border_classes;
mod buffer;
mod code_pooling;
mod column_block;
mod correction;
mod cost;
mod epilogue;
mod error;
mod float_product;
mod geometry;
mod inner_loop;
mod layer_output;
mod layout;
pub mod levels;
pub mod limits;
mod pack;
mod plan;
mod plan_cache;
mod plane_levels;
mod plane_product;
pub mod planes;
mod pool;
mod product;
pub mod recode;
pub mod rounding;
mod route;
mod stored_pixels;
#[cfg(test)]
mod tests;
pub mod thresholds;
mod tuning;
mod vectors;
mod weights;
mod wide;

pub use activations::Activations;
pub use code_pooling::{CodePooling, Pooling};
pub use epilogue::{Grid, Output, Requantize};
pub use error::KernelError;
pub use float_product::FloatProduct;
pub use geometry::Conv2d;
pub use layer_output::{Clip, CodesOut, LayerCodes, LayerOutput, Residual, Rows};
pub use pack::Quantize;
pub use plan_cache::{KERNEL_VERSION, PlanCache, PlanCacheError};
pub use plane_levels::Terms;
pub use plane_product::{PlaneActivations, PlaneProduct};
pub use pool::Pool;
pub use product::Product;
pub use route::{Family, Isa, Route, UnknownRoute};
pub use tuning::{Source, Timed, Tuning};
pub use wide::{WideActivations, WideProduct};
