//! The sign of `a*x + b - j`, exactly, for any finite f64 `a` and `b`.
//!
//! An f64 is an integer times a power of two, so the sum is one too. It is first computed in f64 with a bound on
//! the error; where that cannot decide (the line stands on an integer, or an ulp beside it), the three terms are
//! added as one fixed-point number that is wide enough for every f64 there is.

/// Least exponent of an f64: the fixed-point number counts units of `2^-1074`.
const UNIT: u32 = 1074;
/// `a*x` reaches bit `971 + 53 + 65 + UNIT`, the sum two more; with the sign that is below 34 words.
const WORDS: usize = 34;

/// Whether `a*x + b >= j`, without rounding. `|x| <= 2^64`, `a` and `b` finite.
pub(crate) fn reaches(a: f64, x: i128, b: f64, j: i64) -> bool {
    let product = a * x as f64;
    let rest = b - j as f64;
    let sum = product + rest;
    // Rounding x, the product, the rest and the sum: four errors of half an ulp each, doubled for safety. The last
    // term covers underflow. An overflow makes the bound infinite or the sum NaN, so that nothing is decided here.
    let bound = 4.0 * f64::EPSILON * (product.abs() + rest.abs()) + f64::MIN_POSITIVE;
    if sum > bound {
        return true;
    }
    if sum < -bound {
        return false;
    }
    let mut total = [0u64; WORDS];
    let (mantissa, shift) = parts(a);
    add(&mut total, mantissa * x, shift);
    let (mantissa, shift) = parts(b);
    add(&mut total, mantissa, shift);
    add(&mut total, -i128::from(j), UNIT);
    total[WORDS - 1] >> 63 == 0
}

/// `(mantissa, shift)` with `value = mantissa * 2^(shift - UNIT)`.
fn parts(value: f64) -> (i128, u32) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as u32;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let magnitude = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    (if value.is_sign_negative() { -magnitude } else { magnitude }, exponent.max(1) - 1)
}

/// `total += value << shift`, two's complement, least word first.
fn add(total: &mut [u64; WORDS], value: i128, shift: u32) {
    let (skip, bit) = ((shift / 64) as usize, shift % 64);
    let low = (value as u128) << bit;
    let high = if bit == 0 { value >> 127 } else { value >> (128 - bit) };
    let words = [low as u64, (low >> 64) as u64, high as u64];
    let fill = (value >> 127) as u64;
    let mut carry = false;
    for (index, word) in total.iter_mut().skip(skip).enumerate() {
        let (sum, first) = word.overflowing_add(words.get(index).copied().unwrap_or(fill));
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        *word = sum;
        carry = first || second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ulp_beside_an_integer_decides() {
        for j in [1i64, 3, 1 << 20, (1 << 62) + 1] {
            let x = i128::from(j);
            assert!(reaches(1.0, x, 0.0, j) && reaches(-1.0, -x, 0.0, j));
            assert!(!reaches(1.0f64.next_down(), x, 0.0, j) && !reaches((-1.0f64).next_up(), -x, 0.0, j));
            assert!(!reaches(1.0, x, -f64::from_bits(1), j) && reaches(1.0, x, f64::from_bits(1), j));
        }
        // 0.3 is below three tenths as an f64, though 0.3 * 10.0 rounds to 3.
        assert!(!reaches(0.3, 10, 0.0, 3));
        assert!(reaches(0.1, 10, 0.0, 1));
    }

    #[test]
    fn the_whole_range_of_f64_is_exact() {
        let min = f64::from_bits(1);
        assert!(reaches(min, 1, -min, 0) && !reaches(min, 1, -2.0 * min, 0));
        assert!(!reaches(0.0, 5, -min, 0) && reaches(0.0, 5, -0.0, 0));
        assert!(!reaches(0.0, 0, 7.0 - 1e-15, 7) && reaches(0.0, 0, 7.0, 7));
        // Overflows to infinity in f64; the terms cancel exactly.
        assert!(reaches(f64::MAX, 1, -f64::MAX, 0) && !reaches(f64::MAX, 1, -f64::MAX, 1));
        assert!(reaches(f64::MAX, 1 << 64, -f64::MAX, 255) && !reaches(f64::MAX, -(1 << 64), f64::MAX, 0));
    }

    proptest! {
        /// Against i128 on numbers with few bits after the point, where ties abound.
        #[test]
        fn equals_integer_arithmetic(p in -4096i64..4096, r in -4096i64..4096, x in -70000i64..70000, e in 0i32..12, j in -3i64..256) {
            let unit = 2f64.powi(-e);
            let expected = i128::from(p) * i128::from(x) + i128::from(r) >= i128::from(j) << e;
            prop_assert_eq!(reaches(p as f64 * unit, i128::from(x), r as f64 * unit, j), expected);
        }

        /// On a line through integers, moved by one ulp either way.
        #[test]
        fn an_ulp_of_the_intercept_decides(p in 1i64..4096, x in -70000i64..70000, e in 0i32..12, j in 0i64..256) {
            let a = p as f64 * 2f64.powi(-e);
            let b = j as f64 - a * x as f64;
            prop_assert!(reaches(a, i128::from(x), b, j));
            prop_assert!(!reaches(a, i128::from(x), b.next_down(), j));
        }
    }
}
