//! The integer world: what codes stand for, where their boundaries lie, and how they are packed.
//!
//! This crate needs the standard library alone. The training graph and native inference both speak its
//! vocabulary, which is why their answers can be compared bit by bit:
//!
//! * [`levels`]: [`levels::Bits`] and [`levels::LevelTable`], the value of every code;
//! * [`thresholds`]: an activation quantizer compiled to comparisons, measured on the real function;
//! * [`rounding`]: the rounding conventions of the papers, by name;
//! * [`planes`]: codes packed as bit-planes, 64 to a word.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod levels;
pub mod planes;
pub mod rounding;
pub mod thresholds;
