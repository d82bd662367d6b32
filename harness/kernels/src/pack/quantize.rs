//! Values to codes.

use crate::levels::Bits;
use crate::thresholds::Thresholds;

/// An activation quantizer as the packing loops run it.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantize {
    /// `round_half_even(clamp(x * inverse, 0, 2^k - 1))`, in f32: DoReFa's activations with `inverse = 2^k - 1`.
    Uniform {
        /// Bit width k.
        bits: Bits,
        /// Codes per unit of `x`.
        inverse: f32,
    },
    /// `code(x) = #{ t : x >= t }` with measured boundaries: exact for every quantizer that never decreases.
    Thresholds {
        /// Bit width k.
        bits: Bits,
        /// `2^k - 1` boundaries, ascending.
        boundaries: Thresholds,
    },
}

impl Quantize {
    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        match *self {
            Quantize::Uniform { bits, .. } | Quantize::Thresholds { bits, .. } => bits,
        }
    }

    /// The code of one value. NaN gives code 0.
    #[must_use]
    pub fn code(&self, x: f32) -> u8 {
        match self {
            Quantize::Uniform { bits, inverse } => uniform(x, *inverse, f32::from(bits.max_code())),
            Quantize::Thresholds { boundaries, .. } => boundaries.code(x),
        }
    }

    /// The codes of `values`, which is as long as `codes`.
    pub(crate) fn codes(&self, values: &[f32], codes: &mut [u8]) {
        match self {
            Quantize::Uniform { bits, inverse } => {
                super::simd::uniform(values, *inverse, f32::from(bits.max_code()), codes);
            }
            Quantize::Thresholds { boundaries, .. } => match boundaries.as_slice() {
                &[a] => super::simd::thresholds(values, &[a], codes),
                &[a, b, c] => super::simd::thresholds(values, &[a, b, c], codes),
                &[a, b, c, d, e, f, g] => super::simd::thresholds(values, &[a, b, c, d, e, f, g], codes),
                many => search(values, many, codes),
            },
        }
    }
}

/// `1.5 * 2^23`: adding it to a number below 2^22 rounds half to even and leaves the integer in the low bits.
const ROUND: f32 = 12_582_912.0;

#[inline(always)]
pub(super) fn uniform(x: f32, inverse: f32, most: f32) -> u8 {
    // `max` first: it turns NaN into 0.
    ((x * inverse).max(0.0).min(most) + ROUND).to_bits() as u8
}

/// The number of boundaries at or below each value, by halving: eight comparisons for 255 boundaries.
fn search(values: &[f32], boundaries: &[f32], codes: &mut [u8]) {
    for (code, &x) in codes.iter_mut().zip(values) {
        let mut at = 0;
        let mut step = boundaries.len().div_ceil(2);
        while step > 0 {
            // One comparison without a branch: values are in no order.
            at += if x >= boundaries[at + step - 1] { step } else { 0 };
            step /= 2;
        }
        *code = at as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::round_half_even;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn uniform_is_the_formula(pattern: u32, k in 1u8..=8, inverse in 0.01f32..300.0) {
            let x = f32::from_bits(pattern);
            let bits = Bits::new(k).unwrap();
            let expected = if x.is_nan() {
                0
            } else {
                round_half_even((x * inverse).clamp(0.0, f32::from(bits.max_code()))) as u8
            };
            prop_assert_eq!(Quantize::Uniform { bits, inverse }.code(x), expected);
        }

        #[test]
        fn slices_equal_single_values(
            values in prop::collection::vec(-2.0f32..2.0, 0..150), k in 1u8..=8, special in 0usize..4,
        ) {
            let bits = Bits::new(k).unwrap();
            let mut values = values;
            values.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0].into_iter().take(special));
            let n = f32::from(bits.max_code());
            let uniform = Quantize::Uniform { bits, inverse: n };
            let boundaries = Thresholds::of(bits, |x| uniform.code(x));
            for quantize in [uniform, Quantize::Thresholds { bits, boundaries }] {
                let mut codes = vec![9; values.len()];
                quantize.codes(&values, &mut codes);
                let expected: Vec<u8> = values.iter().map(|&x| quantize.code(x)).collect();
                prop_assert_eq!(codes, expected);
            }
        }
    }
}
