//! Closed-form quantizers of weights that several methods start from: binary (BWN) and ternary (TWN).
//!
//! Both are functions from a tensor to [`Codes`](crate::Codes), without state. A NaN in a group makes the group's
//! scale a NaN, so that it shows in the levels instead of hiding behind a code.

mod bwn;
mod twn;

pub use bwn::bwn;
pub use twn::Twn;
