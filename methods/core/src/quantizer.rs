//! One quantizer at one place in one network.

use std::fmt;

use tch::{Kind, TchError, Tensor};

use crate::{ActivationCalibration, Codes, MethodError, Site, StepContext, WeightCalibration};

/// One quantizer at one [`Site`].
///
/// Values become integers by one definition per quantizer, [`Quantizer::assign`]. An implementation may compute its
/// results in other ways too: [`Quantizer::forward`] may be overridden, and there may be one path for the CPU and one
/// of tensor operations for other devices. The conformance suite holds all of them to the definition bit by bit, on
/// both paths.
pub trait Quantizer: fmt::Debug + Send {
    /// Where it stands.
    fn site(&self) -> &Site;

    /// Assigns codes. `x` is f32, any shape; dimension 0 is the output channel for weights, the sample otherwise.
    /// Called under `no_grad`. Inputs may hold NaN only where the caller discards the code, as `forward` does.
    ///
    /// This defines the codes: export and statistics read its result, fake quantization gives the levels of it.
    ///
    /// # Errors
    /// When libtorch fails.
    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError>;

    /// [`Quantizer::assign`] for input from outside: looks at every value first (which on a GPU means waiting for
    /// it, so that training does not).
    ///
    /// # Errors
    /// [`MethodError::NotFinite`] when `x` holds NaN or an infinity, and failures of libtorch.
    fn quantize(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        tch::no_grad(|| {
            let finite = i64::try_from(&x.f_isfinite()?.f_sum(Kind::Int64)?)?;
            let total = i64::try_from(x.numel()).unwrap_or(i64::MAX);
            if finite < total {
                let layer = self.site().layer.clone();
                return Err(MethodError::NotFinite { layer, count: total - finite, total });
            }
            self.assign(x, ctx)
        })
    }

    /// A differentiable expression of the shape of `x` whose *gradient* is the backward rule; its value is discarded.
    /// By default the identity: the plain straight-through estimator (STE).
    ///
    /// # Errors
    /// When libtorch fails.
    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(x.f_view_as(x)?)
    }

    /// Fake quantization: values exactly on the grid, gradient of [`Quantizer::surrogate`]. Where `x` is not
    /// finite, neither is the result, so that divergence shows in the loss.
    ///
    /// f32, the shape of `x`. Override only for speed: the conformance suite asserts that values are bit-identical to
    /// the levels of [`Quantizer::quantize`] and gradients equal to the surrogate's within 1e-6.
    ///
    /// # Errors
    /// When libtorch fails.
    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let on_grid = tch::no_grad(|| self.assign(x, ctx)?.dequantize(x))?;
        let surrogate = self.surrogate(x)?;
        Ok(straight_through(&on_grid, &surrogate)?)
    }

    /// Called after every optimizer step, under `no_grad`, with the full precision weights it moved, so that a method
    /// can keep them where its paper does (BinaryConnect: in [-1, 1]). Changes `weights` in place; only for
    /// [`crate::Role::Weight`].
    ///
    /// # Errors
    /// When libtorch fails.
    fn after_step(&self, _weights: &Tensor) -> Result<(), MethodError> {
        Ok(())
    }

    /// Sets the range of an activation quantizer from inputs of the training set. Called under `no_grad`, before the first
    /// training step. Gives false where there is nothing to set: the range is fixed, or each sample has its own.
    ///
    /// # Errors
    /// When libtorch fails.
    fn calibrate(&mut self, _calibration: &ActivationCalibration<'_>) -> Result<bool, MethodError> {
        Ok(false)
    }

    /// True where [`Quantizer::calibrate_weights`] does something. Collecting the inputs of a layer takes a pass over the
    /// calibration images, which is spared otherwise.
    fn uses_layer_inputs(&self) -> bool {
        false
    }

    /// Changes the master weights of a layer in place, or state of its own, in view of what reaches the layer: for
    /// methods that choose each rounding, follow the path of the error or correct a bias. Called under `no_grad`, after
    /// the layer's input quantizer was calibrated, only where [`Quantizer::uses_layer_inputs`].
    ///
    /// # Errors
    /// When libtorch fails.
    fn calibrate_weights(&mut self, _weights: &Tensor, _layer: &WeightCalibration<'_>) -> Result<(), MethodError> {
        Ok(())
    }

    /// What a code depends on at inference.
    fn dependence(&self) -> Dependence {
        Dependence::Element
    }
}

/// The value of `levels` with the gradient of `surrogate`, both of one shape.
///
/// # Errors
/// When libtorch fails.
pub fn straight_through(levels: &Tensor, surrogate: &Tensor) -> Result<Tensor, TchError> {
    // `s - s` is exactly zero, so the sum stays on the grid. `x + (q - x)` would leave it by an ulp.
    levels.f_add(&surrogate.f_sub(&surrogate.f_detach()?)?)
}

/// What the code of one element depends on at inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependence {
    /// On that element alone: compiles to fixed thresholds.
    Element,
    /// On the whole sample: levels must be computed for each sample.
    Sample,
}
