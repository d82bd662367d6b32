//! Accuracy and speed across commits.
//!
//! The way through this crate: [`record`] turns run records (and files of kernel speeds) into lines of the [`history`],
//! which is made to be committed; [`check`] compares two commits of it and says what it is sure of; [`log`] does so for
//! every commit of a line; [`bisect`] runs the sweep where the history has nothing and names the commit that changed
//! the results. Git is asked through its command line ([`git`]). Nothing here knows a tensor.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bisect;
pub mod check;
mod compare;
mod error;
pub mod git;
pub mod history;
pub mod log;
mod measure;
pub mod record;

pub use error::TrackError;
pub use measure::Margins;
