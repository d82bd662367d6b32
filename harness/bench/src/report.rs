//! What came out.

use serde::Serialize;

use crate::timing::Measured;

/// One run of the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Format of this structure.
    pub version: u32,
    /// Threads of every contender.
    pub threads: usize,
    /// Times everything was timed.
    pub rounds: usize,
    /// What the processor reads, by size.
    pub memory: Vec<Memory>,
    /// libtorch on every shape.
    pub peers: Vec<Peer>,
    /// Our kernels on every shape and pair of widths.
    pub cells: Vec<Cell>,
}

/// Reading a buffer of a size again and again, one thread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// Size of the buffer.
    pub bytes: usize,
    /// Gigabytes a second.
    pub gb_per_s: f64,
    /// Quartile distance over the median.
    pub spread: f64,
}

/// A layer of libtorch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peer {
    /// Name of the shape.
    pub shape: String,
    /// The operator.
    pub operator: &'static str,
    /// `f32` or `int8`.
    pub kind: &'static str,
    /// Seconds of one call.
    pub time_s: f64,
    /// `2 * macs / time`, in 10^9.
    pub gops: f64,
    /// Fraction of the float multiply-add loop's rate, f32 only.
    pub fraction_of_limit: Option<f64>,
    /// Quartile distance over the median.
    pub spread: f64,
    /// Whether it is the fastest of its kind on this shape: the one that ratios are to.
    pub fastest: bool,
}

/// A shape at a pair of widths on a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Name of the shape.
    pub shape: String,
    /// `gemm` or `conv`.
    pub op: &'static str,
    /// Output pixels or rows.
    pub m: usize,
    /// Output channels or columns.
    pub n: usize,
    /// Products summed.
    pub k: usize,
    /// `w2a4`.
    pub bits: String,
    /// Bits of the weights.
    pub weight_bits: u8,
    /// Bits of the activations.
    pub activation_bits: u8,
    /// The loop that ran.
    pub route: String,
    /// Whether it is the one that runs when none is asked for.
    pub chosen: bool,
    /// Threads.
    pub threads: usize,
    /// Seconds of the product on packed activations.
    pub time_s: f64,
    /// Seconds of quantizing and packing f32 activations, on one thread.
    pub pack_s: f64,
    /// `2 * macs / time`, packing not included, in 10^9.
    pub gops: f64,
    /// The same with packing included.
    pub gops_packed: f64,
    /// Packing in the time of both.
    pub packing_share: f64,
    /// Times as fast as the fastest f32 of libtorch, packing included.
    pub ratio_f32: Option<Measured>,
    /// Times as fast as the fastest int8 of libtorch, whose input is quantized already; packing included here.
    pub ratio_int8: Option<Measured>,
    /// Fraction of the limit's rate, packing not included.
    pub fraction_of_limit: f64,
    /// What the limit is: the route's innermost instructions, or reading the weights.
    pub bound: &'static str,
    /// The limit, in 10^9 operations a second.
    pub limit_gops: f64,
    /// Multiply-accumulates for each byte of weights, activations and results.
    pub intensity: f64,
    /// Quartile distance of the time over its median.
    pub spread: f64,
    /// Whether the spread is so large that the numbers say little.
    pub noisy: bool,
}

/// A spread above this is called noisy.
pub const NOISY: f64 = 0.1;
