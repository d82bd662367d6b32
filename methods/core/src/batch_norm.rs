//! Batch normalization as integer arithmetic: what a folder is given and what it returns. Plain numbers, no tensors.
//!
//! Folding means this and nothing else in these crates: batch normalization and the rounding of the activation
//! quantizer behind it become `clip((a * x + b) >> shift, 0, 2^bits - 1)`.

use crate::{About, Bits, MethodError, Options};

/// Rewrites the batch normalizations of a network as integer arithmetic. Found by name; one `static` per folder.
///
/// A folder is given all layers of the network at once, because what it chooses may be shared between them.
pub trait BatchNormFolder: Sync {
    /// Name, paper and options: `harness methods`, `harness eval --batch-norm` and `harness batchnorm` read them here.
    fn about(&self) -> &'static FolderAbout;

    /// Integers for every layer, in the order of `layers`.
    ///
    /// # Errors
    /// [`MethodError::Fold`] for a channel that has no such integers, inside [`MethodError::Layer`] where the layer
    /// has a name.
    fn fold(&self, layers: &[NormLayer], options: &Options) -> Result<Vec<IntegerBatchNorm>, MethodError>;
}

/// What a folder says about itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FolderAbout {
    /// Name, summary, paper and options.
    pub about: About,
    /// Minimum and maximum width of the activation codes that it can produce, bits.
    pub bits: (u8, u8),
}

/// Why a folder cannot be chosen as a quantizer, whatever the role.
pub const FOLDS_ONLY: &str = "it rewrites batch normalization; combine it with a method that quantizes";

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

/// One batch normalization between an integer accumulator and the codes of an activation quantizer.
#[derive(Debug, Clone, PartialEq)]
pub struct NormLayer {
    /// The layer that its codes feed; empty where there is no network around it.
    pub name: String,
    /// Channels.
    pub channels: Vec<BatchNormChannel>,
    /// Added to the variance.
    pub eps: f64,
    /// Smallest and largest value that the accumulator can reach.
    pub range: (i64, i64),
    /// Width of the output code.
    pub bits: Bits,
}

/// `clip((a * x + b) >> shift, 0, 2^bits - 1)`, `>>` arithmetic, one shift for the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerBatchNorm {
    /// Shift of all channels.
    pub shift: u32,
    /// `(a, b)` per channel.
    pub channels: Vec<(i64, i64)>,
}
