//! The form without a partition: a uniform grid whose range makes it balanced for bell-shaped weights.

use harness_method_core::rows::{Rows, column, inverse_or_zero, quotient};
use harness_method_core::{Codes, Levels, MethodError, Quantizer, Site, StepContext};
use tch::{Kind, Tensor};

/// `m (round((2^k - 1) u)/(2^k - 1) - 1/2)` with `X = tanh W`, `m = 2.5 mean|X|`, `u = clip(X/m, -1/2, 1/2) + 1/2`,
/// ties to even.
#[derive(Debug)]
pub(crate) struct TanhGrid {
    pub(crate) site: Site,
}

/// Range in mean magnitudes: with two bits the outer thresholds are a third of it.
pub(crate) const MEANS: f64 = 2.5;

impl Quantizer for TanhGrid {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let n = f64::from(self.site.bits.max_code());
        let t = x.f_tanh()?;
        let range = Rows::Tensor.mean(&t.f_abs()?)?.f_mul_scalar(MEANS)?;
        let unit = t.f_mul(&column(&inverse_or_zero(&range)?, t.dim())?)?.f_add_scalar(0.5)?;
        let codes = unit.f_mul_scalar(n)?.f_round()?.f_clamp(0.0, n)?;
        // m (c/n - 1/2) = (2c - n) m/2n
        let scale = quotient(&range, 2.0 * n)?;
        let levels = Levels::Affine { bits: self.site.bits, step: 2, zero: scale.f_full_like(n)?, scale };
        Ok(Codes { codes: codes.f_to_kind(Kind::Uint8)?, levels, kept: None })
    }

    /// Rounding and clip are the identity, the range a constant; the tanh keeps its derivative.
    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(x.f_tanh()?)
    }
}
