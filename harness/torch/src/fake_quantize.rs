//! Fake quantization on an evenly spaced grid whose numbers are known on the host, in one pass over memory each way
//! on the CPU. Where the numbers are tensors, [`crate::ScaledGrid`] stands for this.

use tch::{TchError, Tensor};

use crate::{ffi, on_host};

/// An evenly spaced grid of one tensor.
///
/// `code(x) = clamp(round(x * inverse + offset) + zero_point, 0, max_code)`, `level(c) = (step * c - zero) * scale`, every
/// operation rounded once to f32. Ties go to the even neighbour; with [`UniformGrid::half_to_zero`] toward zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniformGrid {
    /// Codes per unit of x.
    pub inverse: f32,
    /// Added before rounding; 0 unless x = 0 lies between two codes.
    pub offset: f32,
    /// Code of x = 0 (before clamping).
    pub zero_point: i32,
    /// Largest code, 1..=255.
    pub max_code: u8,
    /// Integer distance of neighbouring levels.
    pub step: i32,
    /// Integer subtracted from `step * code`.
    pub zero: i32,
    /// Real value of one integer unit.
    pub scale: f32,
}

/// A [`UniformGrid`] whose ties go toward zero: `round(x) = sign(x) * ceil(|x| - 1/2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfToZero(UniformGrid);

impl HalfToZero {
    /// As [`UniformGrid::codes`].
    ///
    /// # Errors
    /// When libtorch refuses, memory for one.
    pub fn codes(self, x: &Tensor) -> Result<Tensor, TchError> {
        codes(x, &self.0.raw(x, true))
    }

    /// As [`UniformGrid::fake_quantize`].
    ///
    /// # Errors
    /// When libtorch refuses, memory for one.
    pub fn fake_quantize(self, x: &Tensor, low: f32, high: f32) -> Result<Tensor, TchError> {
        fake_quantize(x, &self.0.raw(x, true), low, high)
    }
}

fn codes(x: &Tensor, grid: &ffi::Grid) -> Result<Tensor, TchError> {
    // SAFETY: the handle is borrowed from a live tensor and `grid` lives through the call.
    ffi::taken(unsafe { ffi::ht_quantize_codes(x.as_ptr(), grid) })
}

fn fake_quantize(x: &Tensor, grid: &ffi::Grid, low: f32, high: f32) -> Result<Tensor, TchError> {
    // SAFETY: as in `codes`.
    ffi::taken(unsafe { ffi::ht_fake_quantize(x.as_ptr(), grid, f64::from(low), f64::from(high)) })
}

impl UniformGrid {
    /// The same grid with ties toward zero.
    #[must_use]
    pub fn half_to_zero(self) -> HalfToZero {
        HalfToZero(self)
    }

    fn raw(self, x: &Tensor, half_to_zero: bool) -> ffi::Grid {
        ffi::Grid {
            half_to_zero,
            general: !on_host(x),
            inverse: self.inverse,
            offset: self.offset,
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
        codes(x, &self.raw(x, false))
    }

    /// The levels of the codes of `x`: f32, same shape, a NaN where `x` is one. The gradient passes where
    /// `low <= x <= high` and is zero elsewhere.
    ///
    /// # Errors
    /// When libtorch refuses, memory for one.
    pub fn fake_quantize(self, x: &Tensor, low: f32, high: f32) -> Result<Tensor, TchError> {
        fake_quantize(x, &self.raw(x, false), low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::Kind;

    fn unit(k: u32) -> UniformGrid {
        let n = (1u32 << k) - 1;
        UniformGrid {
            inverse: n as f32,
            offset: 0.0,
            zero_point: 0,
            max_code: n as u8,
            step: 1,
            zero: 0,
            scale: 1.0 / n as f32,
        }
    }

    /// The definition, one element at a time.
    fn naive(x: f32, grid: UniformGrid, round: fn(f32) -> f32) -> (u8, u32) {
        let code =
            (round(x * grid.inverse + grid.offset) + grid.zero_point as f32).clamp(0.0, f32::from(grid.max_code));
        (code as u8, ((grid.step * code as i32 - grid.zero) as f32 * grid.scale).to_bits())
    }

    fn toward_zero(x: f32) -> f32 {
        if x.abs().fract() == 0.5 { x.trunc() } else { x.round() }
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            values in prop::collection::vec(-3.0f32..3.0, 1..200),
            k in 1u32..=8,
            inverse in 0.1f32..300.0,
            offset in prop::sample::select(vec![0.0f32, 0.5, 127.5, -0.3]),
            zero_point in -5i32..130,
            symmetric: bool,
        ) {
            let max_code = ((1u32 << k) - 1) as u8;
            let (step, zero) = if symmetric { (2, i32::from(max_code)) } else { (1, zero_point) };
            let grid = UniformGrid { inverse, offset, zero_point, max_code, step, zero, scale: 1.0 / inverse };
            let x = Tensor::from_slice(&values);
            let codes = Vec::<u8>::try_from(grid.codes(&x).unwrap()).unwrap();
            let levels = Vec::<f32>::try_from(grid.fake_quantize(&x, -1.0, 1.0).unwrap()).unwrap();
            let other = grid.half_to_zero();
            let other_codes = Vec::<u8>::try_from(other.codes(&x).unwrap()).unwrap();
            let other_levels = Vec::<f32>::try_from(other.fake_quantize(&x, -1.0, 1.0).unwrap()).unwrap();
            for (i, &value) in values.iter().enumerate() {
                prop_assert_eq!((codes[i], levels[i].to_bits()), naive(value, grid, f32::round_ties_even));
                prop_assert_eq!((other_codes[i], other_levels[i].to_bits()), naive(value, grid, toward_zero));
            }
            // As on a device: the same bits but for the sign of zero.
            let (device_codes, device_levels) = crate::path::as_on_device(|| {
                (grid.codes(&x).unwrap(), grid.fake_quantize(&x, -1.0, 1.0).unwrap())
            });
            prop_assert_eq!(Vec::<u8>::try_from(device_codes).unwrap(), codes);
            prop_assert_eq!(Vec::<f32>::try_from(device_levels).unwrap(), levels);
        }
    }

    #[test]
    fn ties_go_to_even_or_toward_zero() {
        let ties = [-2.5f32, -1.5, -0.5, 0.5, 1.5, 2.5, 0.500_000_06, 0.499_999_97, 1.500_000_1, -1.500_000_1];
        // Both paths: f32 in one pass, and the general one that CUDA takes too.
        for kind in [Kind::Float, Kind::Double] {
            let x = Tensor::from_slice(&ties).to_kind(kind);
            let grid =
                UniformGrid { inverse: 1.0, offset: 0.0, zero_point: 3, max_code: 6, step: 1, zero: 3, scale: 1.0 };
            let floats = |y: Tensor| Vec::<f32>::try_from(y.to_kind(Kind::Float)).unwrap();
            let even = floats(grid.fake_quantize(&x, 0.0, 1.0).unwrap());
            assert_eq!(even, [-2.0, -2.0, 0.0, 0.0, 2.0, 2.0, 1.0, 0.0, 2.0, -2.0], "{kind:?}");
            let zero = floats(grid.half_to_zero().fake_quantize(&x, 0.0, 1.0).unwrap());
            assert_eq!(zero, [-2.0, -1.0, 0.0, 0.0, 1.0, 2.0, 1.0, 0.0, 2.0, -2.0], "{kind:?}");
            let codes = Vec::<u8>::try_from(grid.half_to_zero().codes(&x).unwrap()).unwrap();
            assert_eq!(codes, [1, 2, 3, 3, 4, 5, 4, 3, 5, 1], "{kind:?}");
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
