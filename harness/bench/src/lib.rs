//! Times the native kernels beside what a user would run instead (libtorch in f32 and int8) and beside the limits of the
//! processor, all in one process and in alternating rounds, so that a change of the machine's speed meets all alike.
//!
//! [`shapes`] names layers, [`chain`] pairs of layers as a network runs them, [`pairs`] pairs of bit widths. [`candidate`] holds everything that can be timed, [`timing`]
//! times it, and [`run`] makes a [`harness_records::bench_report::BenchReport`] of the times.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod candidate;
pub mod chain;
pub mod pairs;
mod planned;
mod quiet;
pub mod run;
pub mod shapes;
pub mod timing;
mod torch_chain;

use harness_kernels::{KernelError, Route, UnknownRoute};
use tch::TchError;

/// Why a benchmark cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The name is no shape.
    #[error("unknown shape \"{name}\", expected MxNxK or one of {known}")]
    Shape {
        /// The name that was given.
        name: String,
        /// The names that exist, separated by commas.
        known: String,
    },
    /// A shape with a zero or with too many multiply-accumulates.
    #[error("shape {name}: {reason}")]
    Size {
        /// The shape that was given.
        name: String,
        /// What is wrong with its size.
        reason: &'static str,
    },
    /// The name is no pair of bit widths.
    #[error("unknown bits \"{0}\", expected a pair such as w2a4 with 1 to 8 bits each")]
    Pair(String),
    /// The name is no route.
    #[error(transparent)]
    UnknownRoute(#[from] UnknownRoute),
    /// The processor lacks the instructions of the route asked for.
    #[error("this processor cannot run the route {route}, expected one of {available}")]
    Route {
        /// The route that was asked for.
        route: Route,
        /// The routes that the processor can run, separated by commas.
        available: String,
    },
    /// A kernel's result is not libtorch's.
    #[error("{kernel}: {differing} of {outputs} sums differ from libtorch's: this is a bug, please report it")]
    Wrong {
        /// Shape, bits and route.
        kernel: String,
        /// Number of outputs that differ.
        differing: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// The codes of a chain are not those of the plain arithmetic.
    #[error("{chain}: {differing} of {outputs} codes are wrong: this is a bug, please report it")]
    WrongCodes {
        /// Chain and bits.
        chain: String,
        /// Number of codes that differ.
        differing: usize,
        /// Number of codes.
        outputs: usize,
    },
    /// A product cannot be set up.
    #[error("{kernel}: {source}")]
    Kernel {
        /// Shape, bits and route.
        kernel: String,
        /// The kernel's error.
        source: KernelError,
    },
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}
