//! From f32 values to codes.

use super::{loops, portable};
#[cfg(target_arch = "x86_64")]
use crate::arch;
use crate::arch::generic::layer::{self, CodeRule, CodesRule, Numbers, Places, Rule};
use crate::layer_output::Clip;
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
        assert!(values.len() == codes.len(), "as many codes as values");
        match self {
            Quantize::Thresholds { boundaries, .. } if self.is_searched() => {
                loops::search(vectors, values, boundaries.as_slice(), codes);
            }
            _ => self.compute(vectors, values, codes),
        }
    }

    /// [`Quantize::codes`] of a quantizer that is not searched, in the loop of a layer's epilogue.
    fn compute(&self, vectors: Vectors, values: &[f32], codes: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if vectors.wide() {
            // SAFETY: the processor has AVX-512, which is all that the function asks for.
            return unsafe { self.compute_avx512(values, codes) };
        }
        #[cfg(target_arch = "x86_64")]
        if vectors.avx2() {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            return unsafe { self.compute_avx2(values, codes) };
        }
        let _ = vectors;
        // SAFETY: plain Rust needs no instruction set.
        unsafe { self.compute_with::<layer::Plain<8>>(values, codes) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    fn compute_avx512(&self, values: &[f32], codes: &mut [u8]) {
        // SAFETY: the function has the features.
        unsafe { self.compute_with::<arch::avx512::Avx512>(values, codes) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn compute_avx2(&self, values: &[f32], codes: &mut [u8]) {
        // SAFETY: the function has the features.
        unsafe { self.compute_with::<arch::avx2::Avx2>(values, codes) }
    }

    /// # Safety
    /// The processor has the instruction set of `V`.
    #[inline(always)]
    unsafe fn compute_with<V: Numbers>(&self, values: &[f32], codes: &mut [u8]) {
        let none = CodesRule { scale: &[], bias: &[], rule: CodeRule::Boundaries(&[]) };
        // The values of a quantizer that is not searched go nowhere.
        let own = CodesRule { rule: self.rule(std::ptr::null_mut()), ..none };
        let rule = Rule { scale: &[], bias: &[], clip: Clip::None, codes: [own, none] };
        let places = Places { residual: None, values: None, codes: [codes.as_mut_ptr(), std::ptr::null_mut()] };
        // SAFETY: the caller's promise; there are as many codes as values.
        unsafe { layer::pixel::<V>(&layer::Results(values), &rule, &places) };
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
