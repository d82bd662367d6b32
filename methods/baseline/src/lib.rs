//! The methods that others are compared with, one file each.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod dorefa;
mod float;
#[cfg(test)]
mod testing;
mod uniform;

pub use dorefa::DoReFa;
pub use float::Float;
pub use uniform::Uniform;
