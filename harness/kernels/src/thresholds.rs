//! An activation quantizer compiled to comparisons.
//!
//! The boundary between two codes is *measured*: bisection over the ordered bit patterns of f32 on the real
//! quantizer. A boundary derived from the formula, `(j - 1/2)/n`, is wrong by an ulp in half the cases, because
//! the formula's own roundings are not in it.

use crate::levels::Bits;

/// `code(x) = #{ t in thresholds : x >= t }`, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds(Vec<f32>);

impl Thresholds {
    /// Finds the smallest f32 that reaches each code of `quantize`. Exact for every function that never decreases,
    /// whatever its rounding and its rule for ties. The boundary of a code that no finite number reaches is `+inf`.
    pub fn of(bits: Bits, quantize: impl Fn(f32) -> u8) -> Thresholds {
        let smallest_reaching = |code: u8| {
            let reaches = |key: u32| quantize(from_ordered(key)) >= code;
            let (mut below, mut at) = (ordered(f32::MIN), ordered(f32::MAX));
            if !reaches(at) {
                return f32::INFINITY;
            }
            if reaches(below) {
                return f32::MIN;
            }
            while at - below > 1 {
                let middle = below + (at - below) / 2;
                if reaches(middle) {
                    at = middle;
                } else {
                    below = middle;
                }
            }
            from_ordered(at)
        };
        Thresholds((1..=bits.max_code()).map(smallest_reaching).collect())
    }

    /// The code of `x`.
    #[must_use]
    pub fn code(&self, x: f32) -> u8 {
        // At most 255 thresholds exist, so the count fits.
        self.0.iter().filter(|&&t| x >= t).count() as u8
    }

    /// The boundaries, `2^k - 1` of them, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

/// Maps f32 to u32 so that integer order is numeric order (`-0.0` just below `+0.0`).
fn ordered(x: f32) -> u32 {
    let pattern = x.to_bits();
    if pattern >> 31 == 1 { !pattern } else { pattern | 1 << 31 }
}

/// The inverse of [`ordered`].
fn from_ordered(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::{round_half_even, round_half_to_zero, sign};
    use proptest::prelude::*;

    fn dorefa(k: u8) -> impl Fn(f32) -> u8 {
        let n = f32::from(Bits::new(k).unwrap().max_code());
        move |x| round_half_even(n * x.clamp(0.0, 1.0)) as u8
    }

    fn balanced(k: u8) -> impl Fn(f32) -> u8 {
        let n = f32::from(Bits::new(k).unwrap().max_code());
        move |x| round_half_to_zero(n * x.clamp(0.0, 1.0)) as u8
    }

    fn least_squares_2(v1: f32) -> impl Fn(f32) -> u8 {
        move |x| {
            let high = sign(x);
            2 * u8::from(high > 0.0) + u8::from(x - v1 * high >= 0.0)
        }
    }

    /// Every f32 within `reach` patterns of every threshold, where all the danger is.
    fn check_around_thresholds(k: u8, reach: u32, quantize: impl Fn(f32) -> u8) {
        let thresholds = Thresholds::of(Bits::new(k).unwrap(), &quantize);
        for &t in thresholds.as_slice() {
            for key in ordered(t) - reach..=ordered(t) + reach {
                let x = from_ordered(key);
                assert_eq!(thresholds.code(x), quantize(x), "x = {x:e}, k = {k}");
            }
        }
    }

    #[test]
    fn thresholds_equal_the_quantizer_at_every_boundary() {
        for k in 1..=8 {
            check_around_thresholds(k, 2_000, dorefa(k));
            check_around_thresholds(k, 2_000, balanced(k));
        }
        check_around_thresholds(2, 100_000, least_squares_2(0.9816));
    }

    #[test]
    fn formula_boundaries_would_be_wrong() {
        let moved = (1..=8u8)
            .flat_map(|k| {
                let n = f32::from(Bits::new(k).unwrap().max_code());
                let measured = Thresholds::of(Bits::new(k).unwrap(), dorefa(k));
                let pairs: Vec<(usize, f32)> = measured.as_slice().iter().copied().enumerate().collect();
                pairs.into_iter().map(move |(j, t)| t != (j as f32 + 0.5) / n)
            })
            .filter(|&moved| moved)
            .count();
        assert!(moved > 100, "only {moved} boundaries differ; the measurement would be needless");
    }

    #[test]
    fn unreachable_and_always_reached_codes() {
        let never = Thresholds::of(Bits::new(1).unwrap(), |_| 0);
        assert_eq!(never.as_slice(), [f32::INFINITY]);
        let always = Thresholds::of(Bits::new(1).unwrap(), |_| 1);
        assert_eq!(always.code(f32::MIN), 1);
    }

    proptest! {
        #[test]
        fn thresholds_equal_the_quantizer_anywhere(pattern: u32, k in 1u8..=8) {
            let x = f32::from_bits(pattern);
            prop_assume!(x.is_finite());
            let thresholds = Thresholds::of(Bits::new(k).unwrap(), dorefa(k));
            prop_assert_eq!(thresholds.code(x), dorefa(k)(x));
        }

        #[test]
        fn order_of_patterns_is_numeric_order(a: f32, b: f32) {
            prop_assume!(a != b);
            prop_assert_eq!(ordered(a) < ordered(b), a < b);
            prop_assert_eq!(from_ordered(ordered(a)).to_bits(), a.to_bits());
        }
    }
}
