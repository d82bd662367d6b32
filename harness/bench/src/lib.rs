//! How fast the native kernels are: beside what a user would run instead (libtorch in f32 and int8) and beside what
//! the processor can do at most, in one process and in turn, so that a change of the machine's speed meets all alike.
//!
//! [`shapes`] names layers, [`pairs`] bit widths, [`contender`] what is timed, [`timing`] how, and [`run`] makes a
//! [`report::Report`] of it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod contender;
pub mod pairs;
pub mod report;
pub mod run;
pub mod shapes;
pub mod timing;

use harness_kernels::{KernelError, Route, UnknownRoute};
use tch::TchError;

/// Why a benchmark cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A name that is no shape.
    #[error("unknown shape \"{name}\", expected MxNxK or one of {known}")]
    Shape {
        /// What was given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A shape with a zero or with more multiply-accumulates than anyone would wait for.
    #[error("shape {name}: {reason}")]
    Size {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that is no pair of widths.
    #[error("unknown bits \"{0}\", expected a pair such as w2a4 with 1 to 8 bits each")]
    Pair(String),
    /// A name that is no route.
    #[error(transparent)]
    UnknownRoute(#[from] UnknownRoute),
    /// The processor lacks the instructions of the route asked for.
    #[error("this processor cannot run the route {route}, expected one of {available}")]
    Route {
        /// What was asked for.
        route: Route,
        /// What there is.
        available: String,
    },
    /// A kernel's result is not libtorch's.
    #[error("{cell}: {differing} of {outputs} sums differ from libtorch's: this is a bug, please report it")]
    Wrong {
        /// Shape, bits and route.
        cell: String,
        /// Outputs that differ.
        differing: usize,
        /// Outputs.
        outputs: usize,
    },
    /// A product cannot be set up.
    #[error("{cell}: {source}")]
    Kernel {
        /// Shape, bits and route.
        cell: String,
        /// Why.
        source: KernelError,
    },
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}
