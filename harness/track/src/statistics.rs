//! The distributions and tests that [`crate::check`] decides with.

mod holm;
mod mcnemar;
mod student;

pub(crate) use holm::holm;
pub(crate) use mcnemar::mcnemar;
pub(crate) use student::{detectable, quantile, two_sided};
