//! From f32 values to codes.

use super::{loops, portable};
use crate::arch::generic::layer::CodeRule;
use crate::levels::Bits;
use crate::thresholds::Thresholds;
use crate::vectors::Vectors;

/// The largest number of boundaries that a value is compared with one after the other.
const COMPARED: usize = 7;

/// An activation quantizer, as it runs while activations are packed.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantize {
    /// `round_half_even(clamp(x * inverse, 0, 2^k - 1))`, in f32: DoReFa's activations with `inverse = 2^k - 1`.
    Uniform {
        /// Bit width k.
        bits: Bits,
        /// Reciprocal of the distance of two levels.
        inverse: f32,
    },
    /// The same with ties rounded to zero, `round_half_to_zero(clamp(x * inverse, 0, 2^k - 1))`: Balanced Quantization's
    /// activations.
    UniformTiesToZero {
        /// Bit width k.
        bits: Bits,
        /// Reciprocal of the distance of two levels.
        inverse: f32,
    },
    /// `code(x) = #{ t : x >= t }` with measured boundaries: exact for every quantizer whose code never decreases as x grows.
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
            Quantize::Uniform { bits, .. }
            | Quantize::UniformTiesToZero { bits, .. }
            | Quantize::Thresholds { bits, .. } => bits,
        }
    }

    /// The code of one value. NaN gives code 0.
    #[must_use]
    pub fn code(&self, x: f32) -> u8 {
        match self {
            Quantize::Uniform { bits, inverse } => portable::uniform_code(x, *inverse, f32::from(bits.max_code())),
            Quantize::UniformTiesToZero { bits, inverse } => {
                portable::uniform_code_to_zero(x, *inverse, f32::from(bits.max_code()))
            }
            Quantize::Thresholds { boundaries, .. } => boundaries.code(x),
        }
    }

    /// Whether codes are found by bisection, in a loop over values that are made before.
    pub(crate) fn is_searched(&self) -> bool {
        matches!(self, Quantize::Thresholds { boundaries, .. } if boundaries.as_slice().len() > COMPARED)
    }

    /// The rule by which a layer's epilogue makes codes. Where these are searched, values go to `values`.
    pub(crate) fn rule(&self, values: *mut f32) -> CodeRule<'_> {
        match self {
            Quantize::Uniform { bits, inverse } => {
                CodeRule::Even { inverse: *inverse, max: f32::from(bits.max_code()) }
            }
            Quantize::UniformTiesToZero { bits, inverse } => {
                CodeRule::ToZero { inverse: *inverse, max: f32::from(bits.max_code()) }
            }
            Quantize::Thresholds { .. } if self.is_searched() => CodeRule::Values { to: values },
            Quantize::Thresholds { boundaries, .. } => CodeRule::Boundaries(boundaries.as_slice()),
        }
    }

    /// The codes of `values`, which is as long as `codes`.
    pub(crate) fn codes(&self, vectors: Vectors, values: &[f32], codes: &mut [u8]) {
        match self {
            Quantize::Uniform { bits, inverse } => {
                loops::uniform(vectors, values, *inverse, f32::from(bits.max_code()), codes);
            }
            Quantize::UniformTiesToZero { bits, inverse } => {
                loops::uniform_to_zero(vectors, values, *inverse, f32::from(bits.max_code()), codes);
            }
            Quantize::Thresholds { boundaries, .. } => match boundaries.as_slice() {
                &[a] => loops::thresholds(vectors, values, &[a], codes),
                &[a, b, c] => loops::thresholds(vectors, values, &[a, b, c], codes),
                &[a, b, c, d, e, f, g] => loops::thresholds(vectors, values, &[a, b, c, d, e, f, g], codes),
                many => loops::search(vectors, values, many, codes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::{round_half_even, round_half_to_zero};
    use crate::route::Isa;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn uniform_is_the_formula(
            x in prop_oneof![any::<u32>().prop_map(f32::from_bits), (-9i32..600).prop_map(|halves| halves as f32 / 2.0)],
            k in 1u8..=8, inverse in prop_oneof![Just(1.0f32), 0.01f32..300.0],
        ) {
            let bits = Bits::new(k).unwrap();
            let clamped = (x * inverse).clamp(0.0, f32::from(bits.max_code()));
            let expected = |round: fn(f32) -> f32| if x.is_nan() { 0 } else { round(clamped) as u8 };
            prop_assert_eq!(Quantize::Uniform { bits, inverse }.code(x), expected(round_half_even));
            prop_assert_eq!(Quantize::UniformTiesToZero { bits, inverse }.code(x), expected(round_half_to_zero));
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
            for quantize in [
                uniform,
                Quantize::UniformTiesToZero { bits, inverse: n },
                Quantize::Thresholds { bits, boundaries },
            ] {
                let expected: Vec<u8> = values.iter().map(|&x| quantize.code(x)).collect();
                for isa in Isa::ALL {
                    let mut codes = vec![9; values.len()];
                    quantize.codes(Vectors::of(isa), &values, &mut codes);
                    prop_assert_eq!(&codes, &expected, "{}", isa);
                }
            }
        }
    }
}
