//! Statistics of few values: means and spreads over seeds, the tests that compare two samples, and their power.
//!
//! Reports, tracking and the kernel bench all take their numbers from here. It is written by hand because the crates
//! that offer these distributions bring linear algebra along and have neither a paired exact test nor Holm's
//! correction. Its one dependency, `libm`, has the error function and the logarithm of the gamma function, which the
//! standard library lacks.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod compare;
mod holm;
mod mcnemar;
mod power;
mod quartiles;
mod student;
mod summary;

pub use compare::p_of_means;
pub use holm::holm;
pub use mcnemar::mcnemar;
pub use power::detectable;
pub use quartiles::quartiles;
pub use student::{quantile, two_sided};
pub use summary::{Interval, Summary};
