//! Ternary weights with a scale: the quantizer of Ternary Weight Networks (Li et al. 2016, arXiv:1605.04711) and of
//! the code of Stochastic Quantization.

use harness_kernels::levels::Bits;
use tch::{Kind, Tensor};

use crate::rows::{Rows, column};
use crate::{Codes, Levels, MethodError};

/// `+alpha` above a threshold `delta`, `-alpha` below `-delta`, 0 between, both ends included.
///
/// `delta = 0.7 * mean |W|` (of `W - mean W` when centred) and `alpha = mean of |w| over |w| > delta`, 0 where there
/// is none. Codes are a thermometer of two planes: 0 for `-alpha`, 1 for 0, 3 for `+alpha`; 2 does not occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twn {
    /// How many numbers share a `delta`.
    pub threshold: Rows,
    /// How many numbers share an `alpha`.
    pub scale: Rows,
    /// Whether the mean is removed before `delta` is taken, and only for that.
    pub centred: bool,
}

impl Twn {
    /// One `delta` and one `alpha` for the layer, as in the paper.
    pub const LAYER: Twn = Twn { threshold: Rows::Tensor, scale: Rows::Tensor, centred: false };

    /// One `delta` for the centred layer, an `alpha` for each filter, as in the official code of Stochastic
    /// Quantization.
    pub const STOCHASTIC: Twn = Twn { threshold: Rows::Tensor, scale: Rows::Each, centred: true };

    /// Fraction of the mean magnitude that is the threshold.
    const FACTOR: f64 = 0.7;

    /// Quantizes `x`, dimension 0 the output channel. `bits` is the width that the codes are declared with, at
    /// least 2.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn quantize(self, x: &Tensor, bits: Bits) -> Result<Codes, MethodError> {
        let magnitude = x.f_abs()?;
        let centred = if self.centred {
            x.f_sub(&column(&self.threshold.mean(x)?, x.dim())?)?.f_abs()?
        } else {
            magnitude.shallow_clone()
        };
        let delta = column(&self.threshold.mean(&centred)?.f_mul_scalar(Self::FACTOR)?, x.dim())?;
        let beyond = magnitude.f_gt_tensor(&delta)?.f_to_kind(Kind::Float)?;
        // A product and not a selection: a NaN times zero is a NaN.
        let sum = self.scale.matrix(&magnitude.f_mul(&beyond)?)?.f_sum_dim_intlist(1i64, false, Kind::Float)?;
        let count = self.scale.matrix(&beyond)?.f_sum_dim_intlist(1i64, false, Kind::Float)?;
        let alpha = sum.f_div(&count.f_clamp_min(1.0)?)?;
        let low = x.f_ge_tensor(&delta.f_neg()?)?.f_to_kind(Kind::Uint8)?;
        let high = x.f_gt_tensor(&delta)?.f_to_kind(Kind::Uint8)?;
        let codes = low.f_add(&high.f_mul_scalar(2)?)?;
        let planes: Vec<Tensor> = (0..bits.get())
            .map(|plane| if plane < 2 { Ok(alpha.shallow_clone()) } else { alpha.f_zeros_like() })
            .collect::<Result<_, _>>()?;
        let levels = Levels::Planes { bits, offset: alpha.f_neg()?, scales: Tensor::f_stack(&planes, 1)? };
        Ok(Codes { codes, levels, kept: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [Twn; 3] =
        [Twn::LAYER, Twn::STOCHASTIC, Twn { threshold: Rows::Each, scale: Rows::Each, centred: false }];

    fn values(form: Twn, x: &Tensor) -> Vec<f32> {
        let codes = form.quantize(x, Bits::new(2).unwrap()).unwrap();
        Vec::try_from(&codes.dequantize(x).unwrap().reshape([-1])).unwrap()
    }

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        let (sum, count) = values.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
        if count == 0 { 0.0 } else { sum / f64::from(count) }
    }

    proptest! {
        #[test]
        fn is_the_definition(numbers in prop::collection::vec(-2.0f32..2.0, 24), form in 0usize..3) {
            let form = FORMS[form];
            let size = |rows| if rows == Rows::Each { 8 } else { 24 };
            let found = values(form, &Tensor::from_slice(&numbers).view([3, 2, 2, 2]));
            for (index, (&w, &q)) in numbers.iter().zip(&found).enumerate() {
                let group = |n: usize| numbers[index / n * n..][..n].iter().map(|&v| f64::from(v));
                let n = size(form.threshold);
                let middle = if form.centred { mean(group(n)) } else { 0.0 };
                let delta = 0.7 * mean(group(n).map(|v| (v - middle).abs()));
                // A value on the threshold may fall either way in f32, and moves alpha with it.
                prop_assume!(numbers.iter().all(|v| (f64::from(v.abs()) - delta).abs() > 1e-5));
                let alpha = mean(group(size(form.scale)).map(f64::abs).filter(|v| *v > delta));
                let w = f64::from(w);
                let expected = if w > delta { alpha } else if w < -delta { -alpha } else { 0.0 };
                prop_assert!((f64::from(q) - expected).abs() < 1e-5, "{form:?}: {w} -> {q}, expected {expected}");
            }
        }
    }

    #[test]
    fn zeros_constants_and_rows_below_the_threshold() {
        for form in FORMS {
            let filled = |v: f64| Tensor::full([2, 3], v, (Kind::Float, tch::Device::Cpu));
            assert_eq!(values(form, &filled(0.0)), [0.0; 6], "{form:?}");
            for v in [0.5f32, -0.5] {
                assert_eq!(values(form, &filled(f64::from(v))), [v; 6], "{form:?}");
            }
        }
        let x = Tensor::from_slice(&[1.0f32, -1.0, 0.01, -0.01]).view([2, 2]);
        assert_eq!(values(Twn::STOCHASTIC, &x), [1.0, -1.0, 0.0, 0.0]);
    }

    #[test]
    fn gaussian_constants() {
        let uniform = |key| harness_torch::random::uniform(&[1, 1_000_000], key, tch::Device::Cpu).unwrap();
        let normal = ((uniform(1) + 1e-7).log() * -2.0).sqrt() * (uniform(2) * std::f64::consts::TAU).cos();
        let max = values(Twn::LAYER, &normal).into_iter().fold(0.0, f32::max);
        assert!((max - 1.18416).abs() < 0.01 * 1.18416, "{max}");
    }
}
