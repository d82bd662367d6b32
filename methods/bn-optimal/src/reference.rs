//! What must be reproduced: batch normalization and the quantizer after it as a line and a floor, decided exactly.
//!
//! With the constants of a channel folded in f64, each operation rounded once in the order written,
//! ```text
//! a = (gamma * input_scale) / (output_scale * sqrt(var + eps))
//! b = (beta - gamma * mean / sqrt(var + eps)) / output_scale + 1/2
//! code(x) = clip(floor(a*x + b), 0, 2^k - 1)
//! ```
//! the two f64 numbers `a` and `b` *are* the channel: they are dyadic rationals, and the floor is that of the exact
//! real number `a*x + b`. Evaluating it in f64 instead can round up to an integer that is not reached (0.3 * 10.0),
//! at some x and not at others, which no line does; here a value that is exactly integral, and only such a value,
//! takes the integer itself.

use harness_method_core::{BatchNormChannel, Bits};

use crate::exact::reaches;

/// A number of a channel that cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct BadNumber {
    /// Name of the number, as in the input of `harness batchnorm`.
    pub field: &'static str,
    /// What it is and what it would have to be.
    pub reason: String,
}

/// A folded channel: `code(x) = clip(floor(a*x + b), 0, 2^k - 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Codes per accumulator unit.
    pub a: f64,
    /// Code at zero, with the half that turns rounding half up into a floor.
    pub b: f64,
}

impl Line {
    /// Folds one channel.
    ///
    /// # Errors
    /// The first number that is not finite, a negative variance or epsilon, both zero, a scale that is not above
    /// zero, or constants that leave the range of f64.
    pub fn of(channel: &BatchNormChannel, eps: f64) -> Result<Line, BadNumber> {
        let BatchNormChannel { gamma, beta, mean, var, input_scale, output_scale } = *channel;
        for (field, value) in [("gamma", gamma), ("beta", beta), ("mean", mean)] {
            ensure(field, value, value.is_finite(), "a finite number")?;
        }
        for (field, value) in [("var", var), ("eps", eps)] {
            ensure(field, value, value.is_finite() && value >= 0.0, "finite and not negative")?;
        }
        ensure("var", var, var + eps > 0.0, "above 0 where eps is 0")?;
        for (field, value) in [("input_scale", input_scale), ("output_scale", output_scale)] {
            ensure(field, value, value.is_finite() && value > 0.0, "finite and above 0")?;
        }
        let deviation = (var + eps).sqrt();
        let a = (gamma * input_scale) / (output_scale * deviation);
        let b = (beta - gamma * mean / deviation) / output_scale + 0.5;
        ensure("gamma", gamma, a.is_finite(), "such that gamma * input_scale / (output_scale * deviation) is finite")?;
        ensure("beta", beta, b.is_finite(), "such that (beta - gamma * mean / deviation) / output_scale is finite")?;
        Ok(Line { a, b })
    }

    /// The code of `x`, from `x` alone.
    #[must_use]
    pub fn code(&self, x: i64, bits: Bits) -> u8 {
        let reaches = |j: u8| reaches(self.a, x.into(), self.b, j.into());
        // The f64 value (clipped; 0 if it overflowed to NaN) is the answer but for a step at an integer.
        let mut code = (self.a * x as f64 + self.b) as u8;
        code = code.min(bits.max_code());
        while code < bits.max_code() && reaches(code + 1) {
            code += 1;
        }
        while code > 0 && !reaches(code) {
            code -= 1;
        }
        code
    }
}

/// Refuses `value` unless `ok`.
pub(crate) fn ensure(field: &'static str, value: f64, ok: bool, expected: &str) -> Result<(), BadNumber> {
    if ok { Ok(()) } else { Err(BadNumber { field, reason: format!("is {value}, expected {expected}") }) }
}

/// The codes of a channel over a range as thresholds: the reference in the form that the solver works on, and the
/// table of `2^k - 1` comparisons that is exact by construction.
///
/// A falling line is mirrored: it is held as a rising one over `-x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    mirrored: bool,
    low: i128,
    high: i128,
    /// For j = 1, 2, ...: the least position in `low..=high` whose code is at least j, else `high + 1`.
    thresholds: Vec<i128>,
}

impl Steps {
    /// The steps of `line` for `x` in `range`, both ends included; `range.0 <= range.1`.
    #[must_use]
    pub fn of(line: &Line, range: (i64, i64), bits: Bits) -> Steps {
        let slope = line.a.abs();
        let guess = |j: i64| ((j as f64 - line.b) / slope).ceil() as i128;
        Steps::search(line.a < 0.0, range, bits, guess, |x, j| reaches(slope, x, line.b, j))
    }

    /// The steps of `clip((a*x + b) >> shift, 0, 2^bits - 1)`.
    #[must_use]
    pub fn of_integers((a, b): (i64, i64), shift: u32, range: (i64, i64), bits: Bits) -> Steps {
        let (slope, b) = (i128::from(a).abs(), i128::from(b));
        let guess = |j: i64| ((i128::from(j) << shift) - b).checked_div(slope).unwrap_or(0);
        Steps::search(a < 0, range, bits, guess, |x, j| slope * x + b >= i128::from(j) << shift)
    }

    /// The steps of any function that never falls over the mirrored or plain range, given whether position `x`
    /// reaches code `j`, and a guess of where it first does.
    pub(crate) fn search(
        mirrored: bool,
        (low, high): (i64, i64),
        bits: Bits,
        guess: impl Fn(i64) -> i128,
        reaches: impl Fn(i128, i64) -> bool,
    ) -> Steps {
        let (low, high) = (i128::from(low), i128::from(high));
        let (low, high) = if mirrored { (-high, -low) } else { (low, high) };
        let mut from = low;
        let threshold = |j: i64| {
            // Below `from` nothing reaches j; `to` does, or lies past the end.
            let mut to = high + 1;
            let near = guess(j);
            let mut probe = |x: i128| {
                if (from..to).contains(&x) {
                    if reaches(x, j) { to = x } else { from = x + 1 }
                }
            };
            // Around a good guess nothing is left to bisect.
            [near, near.saturating_sub(1), near.saturating_add(1)].into_iter().for_each(&mut probe);
            while from < to {
                let middle = from + (to - from) / 2;
                if reaches(middle, j) { to = middle } else { from = middle + 1 }
            }
            from
        };
        let thresholds = (1..=i64::from(bits.max_code())).map(threshold).collect();
        Steps { mirrored, low, high, thresholds }
    }

    /// Whether the line falls, so that positions are `-x`.
    #[must_use]
    pub fn mirrored(&self) -> bool {
        self.mirrored
    }

    /// Least and largest position.
    #[must_use]
    pub fn range(&self) -> (i128, i128) {
        (self.low, self.high)
    }

    /// For every code j >= 1 the first position that reaches it; one past the largest position if none does.
    #[must_use]
    pub fn thresholds(&self) -> &[i128] {
        &self.thresholds
    }

    /// The code of `x` by comparison with every threshold.
    #[must_use]
    pub fn code(&self, x: i64) -> u8 {
        let position = if self.mirrored { -i128::from(x) } else { x.into() };
        self.thresholds.partition_point(|&t| t <= position) as u8
    }

    /// Number of x in the range whose code differs between the two. Both must rise, or both fall, or the other be
    /// constant.
    #[must_use]
    pub fn differing(&self, other: &Steps) -> u128 {
        let turned;
        let other = if other.mirrored == self.mirrored {
            other
        } else {
            turned = other.turned();
            &turned
        };
        // Between the two thresholds of a code the answers differ; those stretches ascend, so their union is a sweep.
        let mut counted_to = self.low;
        let mut count = 0u128;
        for (&s, &t) in self.thresholds.iter().zip(&other.thresholds) {
            let (from, to) = (s.min(t).max(counted_to), s.max(t));
            if to > from {
                count += (to - from).unsigned_abs();
                counted_to = to;
            }
        }
        count
    }

    /// A constant, seen from the other side.
    fn turned(&self) -> Steps {
        let (low, high) = (-self.high, -self.low);
        let thresholds = self.thresholds.iter().map(|&t| if t > self.low { high + 1 } else { low }).collect();
        Steps { mirrored: !self.mirrored, low, high, thresholds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn channel() -> BatchNormChannel {
        BatchNormChannel { gamma: 1.0, beta: 0.0, mean: 0.0, var: 1.0, input_scale: 1.0, output_scale: 1.0 }
    }

    #[test]
    fn constants_by_hand() {
        let folded = Line::of(
            &BatchNormChannel { gamma: 3.0, beta: 1.0, mean: 4.0, var: 3.75, input_scale: 0.5, output_scale: 0.25 },
            0.25,
        );
        // Deviation 2: a = 3 * 0.5 / (0.25 * 2), b = (1 - 3 * 4/2)/0.25 + 1/2.
        assert_eq!(folded, Ok(Line { a: 3.0, b: -19.5 }));
    }

    #[test]
    fn numbers_that_cannot_be_folded_are_named() {
        let good = channel();
        let cases = [
            ("gamma", BatchNormChannel { gamma: f64::NAN, ..good }, 1e-5),
            ("beta", BatchNormChannel { beta: f64::INFINITY, ..good }, 1e-5),
            ("mean", BatchNormChannel { mean: f64::NEG_INFINITY, ..good }, 1e-5),
            ("var", BatchNormChannel { var: -1e-9, ..good }, 1e-5),
            ("var", BatchNormChannel { var: f64::NAN, ..good }, 1e-5),
            ("var", BatchNormChannel { var: 0.0, ..good }, 0.0),
            ("eps", good, -1e-5),
            ("eps", good, f64::INFINITY),
            ("input_scale", BatchNormChannel { input_scale: 0.0, ..good }, 1e-5),
            ("output_scale", BatchNormChannel { output_scale: -1.0, ..good }, 1e-5),
            ("gamma", BatchNormChannel { gamma: 1e300, output_scale: 1e-20, ..good }, 1e-5),
            ("beta", BatchNormChannel { beta: 1e300, output_scale: 1e-20, ..good }, 1e-5),
        ];
        for (field, channel, eps) in cases {
            assert_eq!(Line::of(&channel, eps).unwrap_err().field, field, "{channel:?}");
        }
        assert!(Line::of(&BatchNormChannel { var: 0.0, ..good }, 1e-5).is_ok(), "epsilon covers a variance of zero");
    }

    fn k(bits: u8) -> Bits {
        Bits::new(bits).unwrap()
    }

    #[test]
    fn an_integral_value_takes_the_integer() {
        let line = Line { a: -1.0, b: 2.0 };
        assert_eq!([-3, -1, 0, 1, 2, 3].map(|x| line.code(x, k(2))), [3, 3, 2, 1, 0, 0]);
        assert_eq!(Line { a: 0.3, b: 0.0 }.code(10, k(4)), 2, "0.3 is an f64 below three tenths");
        assert_eq!(Line { a: 0.0, b: 1.5 }.code(10, k(4)), 1);
        assert_eq!(Line { a: 0.0, b: -1e300 }.code(10, k(4)), 0);
        assert_eq!(Line { a: 1e300, b: 0.0 }.code(i64::MAX, k(4)), 15);
    }

    #[test]
    fn the_widest_range_there_is() {
        let steps = Steps::of(&Line { a: -2f64.powi(-63), b: 0.5 }, (i64::MIN, i64::MAX), k(1));
        // 1 is reached where -x >= 2^62.
        assert_eq!(steps.thresholds(), [1 << 62]);
        assert_eq!([i64::MIN, -(1 << 62), 1 - (1 << 62), 0].map(|x| steps.code(x)), [1, 1, 0, 0]);
    }

    proptest! {
        /// The table, searched, is the line, evaluated; also where the line stands on integers.
        #[test]
        fn the_table_is_the_line(
            p in -300i32..300, r in -3000i32..3000, e in 0i32..8, q in 1i32..9, bits in 1u8..=8, low in -200i64..100, width in 0i64..200,
        ) {
            // q = 1, 2, 4, 8 are dyadic and give ties, the others miss them by an ulp.
            let unit = 2f64.powi(-e) / f64::from(q);
            let line = Line { a: f64::from(p) * unit, b: f64::from(r) * unit };
            let steps = Steps::of(&line, (low, low + width), k(bits));
            for x in low..=low + width {
                prop_assert_eq!(steps.code(x), line.code(x, k(bits)), "x = {}", x);
            }
        }

        #[test]
        fn differences_are_counted(
            a in -40i64..40, b in -400i64..400, other_b in -400i64..400, flat: bool, shift in 0u32..5, bits in 1u8..=8,
            low in -200i64..100, width in 0i64..200,
        ) {
            let (range, bits) = ((low, low + width), k(bits));
            let one = Steps::of_integers((a, b), shift, range, bits);
            let two = Steps::of_integers((if flat { 0 } else { a }, other_b), shift, range, bits);
            let expected = (low..=low + width).filter(|&x| one.code(x) != two.code(x)).count() as u128;
            prop_assert_eq!(one.differing(&two), expected);
            for x in low..=low + width {
                prop_assert_eq!(i64::from(one.code(x)), ((a * x + b) >> shift).clamp(0, bits.max_code().into()));
            }
        }
    }
}
