//! Fake quantization on an evenly spaced grid, in one pass over memory each way.

use tch::{TchError, Tensor};

use crate::ffi;

/// An evenly spaced grid of one tensor.
///
/// `code(x) = clamp(round_half_even(x * inverse) + zero_point, 0, max_code)`,
/// `level(c) = (step * c - zero) * scale`, every operation rounded once to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniformGrid {
    /// Codes per unit of x.
    pub inverse: f32,
    /// Code of x = 0 (before clamping).
    pub zero_point: i32,
    /// Greatest code, 1..=255.
    pub max_code: u8,
    /// Integer distance of neighbouring levels.
    pub step: i32,
    /// Integer subtracted from `step * code`.
    pub zero: i32,
    /// Real value of one integer unit.
    pub scale: f32,
}

impl UniformGrid {
    fn raw(self) -> ffi::Grid {
        ffi::Grid {
            inverse: self.inverse,
            zero_point: self.zero_point as f32,
            max_code: f32::from(self.max_code),
            step: self.step as f32,
            zero: self.zero as f32,
            scale: self.scale,
        }
    }

    /// The codes of `x`: u8, same shape. A NaN has no code; callers exclude it.
    ///
    /// # Errors
    /// When libtorch refuses, memory for one.
    pub fn codes(self, x: &Tensor) -> Result<Tensor, TchError> {
        let grid = self.raw();
        // SAFETY: the handle is borrowed from a live tensor and `grid` lives through the call.
        ffi::taken(unsafe { ffi::ht_quantize_codes(x.as_ptr(), &grid) })
    }

    /// The levels of the codes of `x`: f32, same shape, a NaN where `x` is one. The gradient passes where
    /// `low <= x <= high` and is zero elsewhere.
    ///
    /// # Errors
    /// When libtorch refuses, memory for one.
    pub fn fake_quantize(self, x: &Tensor, low: f32, high: f32) -> Result<Tensor, TchError> {
        let grid = self.raw();
        // SAFETY: as in `codes`.
        ffi::taken(unsafe { ffi::ht_fake_quantize(x.as_ptr(), &grid, f64::from(low), f64::from(high)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::Kind;

    fn unit(k: u32) -> UniformGrid {
        let n = (1u32 << k) - 1;
        UniformGrid { inverse: n as f32, zero_point: 0, max_code: n as u8, step: 1, zero: 0, scale: 1.0 / n as f32 }
    }

    /// The definition, one element at a time.
    fn naive(x: f32, grid: UniformGrid) -> (u8, f32) {
        let code = ((x * grid.inverse).round_ties_even() + grid.zero_point as f32).clamp(0.0, f32::from(grid.max_code));
        (code as u8, (grid.step * code as i32 - grid.zero) as f32 * grid.scale)
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            values in prop::collection::vec(-3.0f32..3.0, 1..200),
            k in 1u32..=8,
            inverse in 0.1f32..300.0,
            zero_point in -5i32..130,
            symmetric: bool,
        ) {
            let max_code = ((1u32 << k) - 1) as u8;
            let (step, zero) = if symmetric { (2, i32::from(max_code)) } else { (1, zero_point) };
            let grid = UniformGrid { inverse, zero_point, max_code, step, zero, scale: 1.0 / inverse };
            let x = Tensor::from_slice(&values);
            let codes = Vec::<u8>::try_from(grid.codes(&x).unwrap()).unwrap();
            let levels = Vec::<f32>::try_from(grid.fake_quantize(&x, -1.0, 1.0).unwrap()).unwrap();
            for (i, &value) in values.iter().enumerate() {
                prop_assert_eq!((codes[i], levels[i].to_bits()), { let (c, l) = naive(value, grid); (c, l.to_bits()) });
            }
        }
    }

    #[test]
    fn the_gradient_passes_inside_both_ends_included() {
        let x = Tensor::from_slice(&[-0.1f32, -0.0, 0.0, 0.4, 1.0, 1.000_000_1, f32::NAN]).set_requires_grad(true);
        let y = unit(2).fake_quantize(&x, 0.0, 1.0).unwrap();
        (&y * 7.0).sum(Kind::Float).backward();
        let gradient = Vec::<f32>::try_from(x.grad()).unwrap();
        assert_eq!(gradient, [0.0, 7.0, 7.0, 7.0, 7.0, 0.0, 0.0]);
        assert!(y.double_value(&[6]).is_nan(), "a NaN must not become a level");
    }

    #[test]
    fn big_and_strided_inputs() {
        let x = Tensor::rand([8, 3, 65, 67], (Kind::Float, tch::Device::Cpu)) * 2.0 - 0.5;
        let expected = (x.clamp(0.0, 1.0) * 3.0).round() * (1.0f32 / 3.0) as f64;
        assert_eq!(unit(2).fake_quantize(&x, 0.0, 1.0).unwrap(), expected);
        let last = crate::channels_last(&x, true).unwrap();
        let y = unit(2).fake_quantize(&last, 0.0, 1.0).unwrap();
        assert_eq!(y.stride(), last.stride());
        assert_eq!(y, expected);
        let transposed = x.transpose(2, 3);
        assert_eq!(unit(2).fake_quantize(&transposed, 0.0, 1.0).unwrap(), expected.transpose(2, 3));
        assert_eq!(
            unit(2).codes(&transposed).unwrap().to_kind(Kind::Float) * (1.0f32 / 3.0) as f64,
            expected.transpose(2, 3)
        );
    }

    #[test]
    fn double_precision_takes_the_general_path() {
        let x = Tensor::from_slice(&[0.1f64, 0.6]).set_requires_grad(true);
        let y = unit(1).fake_quantize(&x, 0.0, 0.5).unwrap();
        assert_eq!(Vec::<f64>::try_from(&y).unwrap(), [0.0, 1.0]);
        y.sum(Kind::Double).backward();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [1.0, 0.0]);
    }
}
