//! Weights: recursive partition, evenly spaced levels.

use harness_method_core::rows::{Rows, quotient};
use harness_method_core::{Codes, Levels, MethodError, Quantizer, Site, StepContext};
use tch::{Kind, TchError, Tensor};

use crate::partition::{Split, is_min};
use crate::tanh_grid::MEANS;

/// How far the levels reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// The largest magnitude.
    Max,
    /// 2.5 times the mean magnitude; values beyond are clipped.
    Mean,
}

/// Algorithm 1: the code is the part of the recursive partition, levels `(2c - n) s/n` with `n = 2^k - 1`.
#[derive(Debug)]
pub(crate) struct Weight {
    pub(crate) site: Site,
    pub(crate) split: Split,
    pub(crate) scale: Scale,
    /// The least value of a part falls one level.
    pub(crate) literal: bool,
}

impl Weight {
    /// Codes of `values` (f32, `[n]`), u8.
    fn codes(&self, values: &Tensor) -> Result<Tensor, TchError> {
        let bits = self.site.bits;
        let parts = self.split.parts(values, bits)?;
        if !self.literal {
            return Ok(parts);
        }
        let falls = is_min(values, &parts, bits)?.f_logical_and(&parts.f_gt(0)?)?;
        parts.f_sub(&falls.f_to_kind(Kind::Uint8)?)
    }
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let n = f64::from(self.site.bits.max_code());
        let values = x.f_reshape([-1])?;
        let (min, max) = Rows::Tensor.range(x)?;
        let max_abs = max.f_maximum(&min.f_neg()?)?;
        // A constant has no parts: its code is the end of the grid on its own side, its scale itself.
        let constant = min.f_eq_tensor(&max)?;
        let (codes, scale) = match self.scale {
            Scale::Max => (self.codes(&values)?, max_abs),
            Scale::Mean => {
                let mean = Rows::Tensor.mean(&x.f_abs()?)?.f_mul_scalar(MEANS)?;
                let clipped = values.f_clamp_tensor(Some(&mean.f_neg()?), Some(&mean))?;
                (self.codes(&clipped)?, max_abs.f_where_self(&constant, &mean)?)
            }
        };
        let side = values.f_ge(0.0)?.f_to_kind(Kind::Uint8)?.f_mul_scalar(i64::from(self.site.bits.max_code()))?;
        let codes = side.f_where_self(&constant, &codes)?.f_view_as(x)?;
        let levels =
            Levels::Affine { bits: self.site.bits, step: 2, zero: scale.f_full_like(n)?, scale: quotient(&scale, n)? };
        Ok(Codes { codes, levels, kept: None })
    }
}
