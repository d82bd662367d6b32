//! Where a quantizer stands, and when it is called.

pub use harness_records::record::Role;
use harness_torch::random;
use tch::Device;

use crate::Bits;

/// One place in one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Layer name, `conv2`.
    pub layer: String,
    /// Number of the layer in the network; keys random draws.
    pub index: u64,
    /// What is quantized.
    pub role: Role,
    /// `[C_out, C_in / groups, h, w]` or `[C_out, C_in]` for weights; the shape of one sample otherwise.
    pub shape: Vec<i64>,
    /// Bit width.
    pub bits: Bits,
    /// Where the tensors live.
    pub device: Device,
}

impl Site {
    /// Key of the random draws of this site at `step`.
    #[must_use]
    pub fn key(&self, ctx: &StepContext) -> u64 {
        random::key(&[ctx.seed, self.index, self.role as u64, ctx.step])
    }
}

/// When a quantizer is called. Schedules and random draws are pure functions of this: resuming needs no generator
/// state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepContext {
    /// Optimizer steps done before this one.
    pub step: u64,
    /// Optimizer steps of the whole training.
    pub total: u64,
    /// Seed of the trial.
    pub seed: u64,
    /// False in evaluation: running statistics are used and left alone.
    pub training: bool,
}

impl StepContext {
    /// A step outside any training: evaluation of a finished network.
    #[must_use]
    pub fn evaluation(seed: u64) -> StepContext {
        StepContext { step: 0, total: 0, seed, training: false }
    }

    /// Fraction of the training that is done, in [0, 1]; 1 after its end.
    #[must_use]
    pub fn progress(&self) -> f64 {
        if self.total == 0 { 1.0 } else { (self.step as f64 / self.total as f64).min(1.0) }
    }
}
