//! What the exact integers are compared with: naive rounding, powers of two, single precision.
//!
//! All of them are step functions, so the number of x at which one errs is counted from its steps, over ranges of
//! any width.

use harness_method_core::{BatchNormChannel, Bits, IntegerBatchNorm, MethodError, NormLayer};

use crate::reference::{Line, Steps};
use crate::solve::{self, GREATEST_SHIFT, checked};

/// The constants of every channel.
fn lines(layer: &NormLayer) -> Result<Vec<Line>, MethodError> {
    let line = |(channel, parameters): (usize, &BatchNormChannel)| {
        Line::of(parameters, layer.eps).map_err(|bad| MethodError::Fold { channel, reason: bad.to_string() })
    };
    layer.channels.iter().enumerate().map(line).collect()
}

/// Integers from real numbers, by channel, refused where an i64 cannot hold them.
fn integers(
    layer: &NormLayer,
    shift: u32,
    number: impl Fn(&Line, f64) -> (f64, f64),
) -> Result<IntegerBatchNorm, MethodError> {
    let unit = 2f64.powi(i32::try_from(shift.min(GREATEST_SHIFT)).unwrap_or(0));
    let convert = |(channel, (line, steps)): (usize, (&Line, &Steps))| {
        let (a, b) = number(line, unit);
        // A cast saturates, far beyond an i64; `checked` then refuses.
        checked((a as i128, b as i128), steps).ok_or_else(|| MethodError::Fold {
            channel,
            reason: format!("a*x + b at a shift of {shift} does not fit an i64"),
        })
    };
    let (lines, steps) = (lines(layer)?, solve::steps(layer)?);
    let channels = lines.iter().zip(&steps).enumerate().map(convert).collect::<Result<_, _>>()?;
    Ok(IntegerBatchNorm { shift, channels })
}

/// `A = round(a*2^s)`, `B = round(b*2^s)`: the usual conversion to fixed point, with no guarantee.
///
/// # Errors
/// [`MethodError::Fold`] when a channel cannot be folded or does not fit an i64.
pub fn rounded(layer: &NormLayer, shift: u32) -> Result<IntegerBatchNorm, MethodError> {
    integers(layer, shift, |line, unit| ((line.a * unit).round(), (line.b * unit).round()))
}

/// `A = +-2^e`, so that the product is a shift too: `e = s + round(log2 |a|)`, `B = round(b*2^s)` (the shift-based
/// normalization of Courbariaux et al. 2016, arXiv:1602.02830, section 1.4). A slope below `2^-s` becomes 0.
///
/// # Errors
/// As [`rounded`].
pub fn power_of_two(layer: &NormLayer, shift: u32) -> Result<IntegerBatchNorm, MethodError> {
    integers(layer, shift, |line, unit| {
        let slope = if line.a == 0.0 { 0.0 } else { line.a.signum() * line.a.abs().log2().round().exp2() };
        // What is left after the product is a power of two or a proper fraction of one.
        ((slope * unit).trunc(), (line.b * unit).round())
    })
}

/// The steps of a channel evaluated in f32 throughout: constants, product, sum.
fn single_precision(channel: &BatchNormChannel, layer: &NormLayer) -> Steps {
    let of = |value: f64| value as f32;
    let deviation = (of(channel.var) + of(layer.eps)).sqrt();
    let (gamma, output) = (of(channel.gamma), of(channel.output_scale));
    let a = (gamma * of(channel.input_scale)) / (output * deviation);
    let b = (of(channel.beta) - gamma * of(channel.mean) / deviation) / output + 0.5;
    let slope = a.abs();
    let guess = |j: i64| f64::from((j as f32 - b) / slope).ceil() as i128;
    // Each operation is monotone and so is its rounding: the codes never fall with the position.
    Steps::search(a < 0.0, layer.range, layer.bits, guess, |x, j| slope * x as f32 + b >= j as f32)
}

/// Where integers of one layer stand beside the exact ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Smallest exact shift of every channel by itself.
    pub smallest_shifts: Vec<u32>,
    /// The exact integers, at the largest of those shifts.
    pub exact: IntegerBatchNorm,
    /// Widest A of the exact integers, bits including the sign.
    pub slope_bits: u32,
    /// Widest B of the exact integers, bits including the sign.
    pub intercept_bits: u32,
    /// Fraction of (channel, x) at which the exact integers differ from the reference: 0.
    pub exact_mismatch: f64,
    /// The same for naive rounding, by shift.
    pub rounded_mismatch: Vec<(u32, f64)>,
    /// The same for powers of two, at the shift of the exact integers.
    pub power_of_two_mismatch: f64,
    /// The same for f32 arithmetic.
    pub single_precision_mismatch: f64,
}

/// Compares all alternatives on one layer.
///
/// # Errors
/// [`MethodError::Fold`] when a channel cannot be folded, or its integers do not fit an i64.
pub fn compare(layer: &NormLayer, shifts: &[u32]) -> Result<Comparison, MethodError> {
    let steps = solve::steps(layer)?;
    let smallest_shifts = solve::smallest_shifts(&steps)?;
    let shift = smallest_shifts.iter().copied().max().unwrap_or(0);
    let exact = solve::at_shift(&steps, shift)?;
    let single: Vec<Steps> = layer.channels.iter().map(|channel| single_precision(channel, layer)).collect();
    let widest = |pick: fn(&(i64, i64)) -> i64| exact.channels.iter().map(pick).map(signed_width).max().unwrap_or(0);
    Ok(Comparison {
        slope_bits: widest(|pair| pair.0),
        intercept_bits: widest(|pair| pair.1),
        exact_mismatch: fraction(&steps, &integer_steps(&exact, layer), layer.range),
        rounded_mismatch: mismatch_by_shift(layer, shifts)?,
        power_of_two_mismatch: mismatch(layer, &power_of_two(layer, shift)?)?,
        single_precision_mismatch: fraction(&steps, &single, layer.range),
        smallest_shifts,
        exact,
    })
}

/// Fraction of (channel, x) at which naive rounding errs, for each of `shifts`: the data of a figure.
///
/// # Errors
/// As [`rounded`].
pub fn mismatch_by_shift(layer: &NormLayer, shifts: &[u32]) -> Result<Vec<(u32, f64)>, MethodError> {
    shifts.iter().map(|&shift| Ok((shift, mismatch(layer, &rounded(layer, shift)?)?))).collect()
}

/// Fraction of (channel, x) at which `integers` err, over every x of the range, 0..=1.
///
/// # Errors
/// [`MethodError::Fold`] when a channel cannot be folded.
pub fn mismatch(layer: &NormLayer, integers: &IntegerBatchNorm) -> Result<f64, MethodError> {
    Ok(fraction(&solve::steps(layer)?, &integer_steps(integers, layer), layer.range))
}

fn integer_steps(integers: &IntegerBatchNorm, layer: &NormLayer) -> Vec<Steps> {
    let steps = |&pair: &(i64, i64)| Steps::of_integers(pair, integers.shift, layer.range, layer.bits);
    integers.channels.iter().map(steps).collect()
}

fn fraction(expected: &[Steps], found: &[Steps], range: (i64, i64)) -> f64 {
    let differing: u128 = expected.iter().zip(found).map(|(one, two)| one.differing(two)).sum();
    let values = (i128::from(range.1) - i128::from(range.0) + 1) as f64 * expected.len() as f64;
    if differing == 0 { 0.0 } else { differing as f64 / values }
}

/// Bits of the least two's complement number that holds `value`.
fn signed_width(value: i64) -> u32 {
    65 - (if value < 0 { !value } else { value }).leading_zeros()
}

/// The code of `x`: `clip((a*x + b) >> shift, 0, 2^bits - 1)`, in i64 as at deployment.
#[must_use]
pub fn code((a, b): (i64, i64), shift: u32, bits: Bits, x: i64) -> u8 {
    ((a * x + b) >> shift).clamp(0, i64::from(bits.max_code())) as u8
}
