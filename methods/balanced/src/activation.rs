//! Activations: bounded to [0, 1], rounded with ties toward zero.

use harness_method_core::{Codes, Levels, MethodError, Quantizer, Site, StepContext};
use harness_torch::{HalfToZero, UniformGrid};
use tch::{Kind, Tensor};

/// `rtz((2^k - 1) clip(x, 0, 1))/(2^k - 1)`.
#[derive(Debug)]
pub(crate) struct Activation {
    pub(crate) site: Site,
}

impl Activation {
    fn scale(&self) -> f32 {
        1.0 / f32::from(self.site.bits.max_code())
    }

    fn grid(&self) -> HalfToZero {
        let max_code = self.site.bits.max_code();
        let inverse = f32::from(max_code);
        UniformGrid { inverse, offset: 0.0, zero_point: 0, max_code, step: 1, zero: 0, scale: self.scale() }
            .half_to_zero()
    }
}

impl Quantizer for Activation {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let scale = Tensor::f_full([1], f64::from(self.scale()), (Kind::Float, x.device()))?;
        let levels = Levels::Affine { bits: self.site.bits, step: 1, zero: scale.f_zeros_like()?, scale };
        Ok(Codes { codes: self.grid().codes(x)?, levels, kept: None })
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(x.f_clamp(0.0, 1.0)?)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        Ok(self.grid().fake_quantize(x, 0.0, 1.0)?)
    }
}
