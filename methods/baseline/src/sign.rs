//! Values of -1 and +1 with a gate on the gradient, in one pass over memory each way.

use harness_method_core::{Codes, Levels, MethodError, Quantizer, Role, Site, StepContext};
use harness_torch::UniformGrid;
use tch::{Kind, Tensor};

use crate::binaryconnect::clip_to_unit;

/// `sign(x)`, `sign(0) = +1`.
///
/// Multiplying by `2^127` takes every negative number below `-2^-128` past -1/2, so that rounding tells it from
/// zero. Between those lie only some of the subnormal numbers, which count as zero.
const SIGN: UniformGrid = UniformGrid {
    inverse: f32::from_bits(254 << 23),
    offset: 0.0,
    zero_point: 1,
    max_code: 1,
    step: 2,
    zero: 1,
    scale: 1.0,
};

/// A quantizer by sign; the gradient passes where `low <= x <= high`.
#[derive(Debug)]
pub(crate) struct Sign {
    pub(crate) site: Site,
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Quantizer for Sign {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let one = Tensor::f_ones([1], (Kind::Float, x.device()))?;
        let levels = Levels::Affine { bits: self.site.bits, step: 2, zero: one.shallow_clone(), scale: one };
        Ok(Codes { codes: SIGN.codes(x)?, levels, kept: None })
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(x.f_clamp(f64::from(self.low), f64::from(self.high))?)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        Ok(SIGN.fake_quantize(x, self.low, self.high)?)
    }

    fn after_step(&self, weights: &Tensor) -> Result<(), MethodError> {
        if self.site.role == Role::Weight { clip_to_unit(weights) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::floats;

    #[test]
    fn every_normal_number_has_its_sign() {
        let min = f32::MIN_POSITIVE;
        let values = [-0.0f32, 0.0, min, -min, 1e-45, -1.0, 1.0, f32::MAX, f32::MIN, -min.next_up(), f32::INFINITY];
        let found = floats(&SIGN.fake_quantize(&Tensor::from_slice(&values), -1.0, 1.0).unwrap());
        assert_eq!(found, values.map(|v| if v >= 0.0 { 1.0 } else { -1.0 }));
        // Subnormal: the first that counts as negative, and the last that does not.
        let edge = -f32::from_bits(1 << 21);
        let found = floats(&SIGN.fake_quantize(&Tensor::from_slice(&[edge.next_down(), edge]), -1.0, 1.0).unwrap());
        assert_eq!(found, [-1.0, 1.0]);
    }
}
