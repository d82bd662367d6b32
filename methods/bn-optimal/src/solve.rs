//! The smallest shift, exactly.
//!
//! Wanted: integers A, B and the least s with `clip((A*x + B) >> s, 0, 2^k - 1)` equal to the reference at every x of
//! the range; then the least |A|, then the least |B|. Only the steps of the reference matter. With t_j the first
//! position that reaches code j (a falling channel is mirrored, so codes rise and A >= 0):
//! ```text
//! A*t_j + B >= j*2^s            where t_j lies in the range: j is reached there
//! A*(t_j - 1) + B < j*2^s       where t_j - 1 does: and not before
//! ```
//! A line must pass on or above the points (t_j, j) and below the points (t_j - 1, j), so of the former only the
//! corners of the upper convex hull count, of the latter those of the lower one: a handful among 2^k. Two constraints
//! at distinct positions bound A by a quotient of integers; where the bounds leave an integer A, every pair holds,
//! and since A times a position is an integer, an integer B between the largest lower and the least upper bound
//! exists. So a shift is possible exactly if the least A does not exceed the largest.
//!
//! What is possible at s is possible at s + 1 by (2A, 2B). A range of n = 2^N values never needs more than s = 2N.

use harness_method_core::{IntegerBatchNorm, MethodError, NormLayer};

use crate::reference::{Line, Steps};

/// Largest shift tried: what is shifted is an i64.
pub const GREATEST_SHIFT: u32 = 62;

/// A position and a code.
type Point = (i128, i128);

/// What a line must meet: see the head of this file.
#[derive(Debug)]
pub struct Constraints {
    /// The line reaches this code here.
    reached: Vec<Point>,
    /// The line stays below this code here.
    missed: Vec<Point>,
}

impl Constraints {
    /// The constraints of `steps`, without those that others imply.
    #[must_use]
    pub fn of(steps: &Steps) -> Constraints {
        let (low, high) = steps.range();
        let (mut reached, mut missed): (Vec<Point>, Vec<Point>) = (Vec::new(), Vec::new());
        for (&t, j) in steps.thresholds().iter().zip(1..) {
            // Where several codes are first reached at one position, the largest of them is the one to reach,
            // the least the one to miss just before.
            if t <= high {
                if reached.last().is_some_and(|last| last.0 == t) {
                    reached.pop();
                }
                reached.push((t, j));
            }
            if t > low && missed.last().is_none_or(|last| last.0 != t - 1) {
                missed.push((t - 1, j));
            }
        }
        Constraints { reached: hull(&reached, 1), missed: hull(&missed, -1) }
    }

    /// The solution at `shift` with the least A >= 0, then the least |B|.
    #[must_use]
    pub fn at(&self, shift: u32) -> Option<(i128, i128)> {
        if shift > GREATEST_SHIFT {
            return None;
        }
        let unit = 1i128 << shift;
        let (mut min, mut max) = (0i128, i128::MAX);
        for &(p, j) in &self.reached {
            for &(q, i) in &self.missed {
                // A*p + B >= j*unit and A*q + B <= i*unit - 1.
                if p > q {
                    min = min.max(div_ceil((j - i) * unit + 1, p - q));
                } else if p < q {
                    max = max.min(((i - j) * unit - 1).div_euclid(q - p));
                }
            }
        }
        if min > max || i64::try_from(min).is_err() {
            return None;
        }
        let above = self.reached.iter().map(|&(p, j)| j * unit - min * p).max().unwrap_or(i128::MIN);
        let below = self.missed.iter().map(|&(q, i)| i * unit - 1 - min * q).min().unwrap_or(i128::MAX);
        Some((min, 0.clamp(above, below)))
    }

    /// The least shift that has a solution.
    #[must_use]
    pub fn smallest(&self) -> Option<u32> {
        (0..=GREATEST_SHIFT).find(|&shift| self.at(shift).is_some())
    }
}

/// The corners of the upper (`side` 1) or lower (`side` -1) convex hull of points in ascending order of position.
fn hull(points: &[Point], side: i128) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    for &point in points {
        while let [.., first, second] = corners[..] {
            let turn = (second.0 - first.0) * (point.1 - first.1) - (second.1 - first.1) * (point.0 - first.0);
            if turn * side < 0 {
                break;
            }
            corners.pop();
        }
        corners.push(point);
    }
    corners
}

fn div_ceil(numerator: i128, positive: i128) -> i128 {
    -(-numerator).div_euclid(positive)
}

/// The steps of every channel.
///
/// # Errors
/// [`MethodError::Fold`] when the range is empty or a channel cannot be folded.
pub fn steps(layer: &NormLayer) -> Result<Vec<Steps>, MethodError> {
    if layer.range.0 > layer.range.1 {
        let reason = format!("the range of the accumulator, {} to {}, is empty", layer.range.0, layer.range.1);
        return Err(MethodError::Fold { channel: 0, reason });
    }
    let channel = |(index, channel)| match Line::of(channel, layer.eps) {
        Ok(line) => Ok(Steps::of(&line, layer.range, layer.bits)),
        Err(bad) => Err(MethodError::Fold { channel: index, reason: bad.to_string() }),
    };
    layer.channels.iter().enumerate().map(channel).collect()
}

/// The least shift of every channel by itself.
///
/// # Errors
/// As [`steps`], and when no shift up to [`GREATEST_SHIFT`] will do (ranges far beyond 32 bits).
pub fn smallest_shifts(steps: &[Steps]) -> Result<Vec<u32>, MethodError> {
    let shift = |(channel, steps): (usize, &Steps)| {
        Constraints::of(steps).smallest().ok_or_else(|| MethodError::Fold {
            channel,
            reason: format!(
                "needs a shift beyond {GREATEST_SHIFT}; a narrower range of the accumulator would need less"
            ),
        })
    };
    steps.iter().enumerate().map(shift).collect()
}

/// Exact integers for all channels at one given shift.
///
/// # Errors
/// [`MethodError::Fold`] for the first channel that needs a greater shift, or whose numbers leave an i64.
pub fn at_shift(steps: &[Steps], shift: u32) -> Result<IntegerBatchNorm, MethodError> {
    let solve = |(channel, steps): (usize, &Steps)| {
        let constraints = Constraints::of(steps);
        let refused = |reason| MethodError::Fold { channel, reason };
        let (slope, b) = constraints.at(shift).ok_or_else(|| {
            refused(match constraints.smallest() {
                Some(min) if min > shift => format!("a shift of {shift} is too small, it takes at least {min}"),
                _ => format!("its slope at a shift of {shift} does not fit an i64"),
            })
        })?;
        let a = if steps.mirrored() { -slope } else { slope };
        checked((a, b), steps).ok_or_else(|| {
            refused(format!(
                "a*x + b at a shift of {shift} does not fit an i64; a narrower range of the accumulator would"
            ))
        })
    };
    Ok(IntegerBatchNorm { shift, channels: steps.iter().enumerate().map(solve).collect::<Result<_, _>>()? })
}

/// The pair as i64, if it and `a*x + b` fit over the whole range.
pub(crate) fn checked((a, b): (i128, i128), steps: &Steps) -> Option<(i64, i64)> {
    let (low, high) = steps.range();
    let slope = if steps.mirrored() { -a } else { a };
    let fits = |x: i128| i64::try_from(slope.checked_mul(x)?.checked_add(b)?).ok();
    fits(low)?;
    fits(high)?;
    Some((i64::try_from(a).ok()?, i64::try_from(b).ok()?))
}
