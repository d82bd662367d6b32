//! Batch normalization at deployment. Plain numbers, no tensors.

use crate::Bits;

/// One batch-normalization channel at deployment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormChannel {
    /// Learned scale.
    pub gamma: f64,
    /// Learned shift.
    pub beta: f64,
    /// Running mean.
    pub mean: f64,
    /// Running variance.
    pub var: f64,
    /// Real value of one accumulator unit.
    pub input_scale: f64,
    /// Real value of one output code.
    pub output_scale: f64,
}

/// What is folded: see [`crate::Method::fold`].
#[derive(Debug, Clone, PartialEq)]
pub struct Fold<'a> {
    /// Channels of the layer.
    pub channels: &'a [BatchNormChannel],
    /// Added to the variance.
    pub eps: f64,
    /// Range the accumulator can reach, inclusive.
    pub range: (i64, i64),
    /// Width of the output code.
    pub bits: Bits,
}

/// `clip((a * x + b) >> shift, 0, 2^bits - 1)`, `>>` arithmetic, one shift for the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerBatchNorm {
    /// Shared shift.
    pub shift: u32,
    /// `(a, b)` per channel.
    pub channels: Vec<(i64, i64)>,
}
