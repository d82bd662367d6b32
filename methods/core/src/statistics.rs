//! What can be said of a quantized tensor.

use tch::{Kind, Tensor};

use crate::{Codes, MethodError};

/// Error, entropy and populations of one quantized tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Squared error over squared norm; 0 for a tensor of zeros.
    pub relative_mse: f64,
    /// Entropy of the codes, bits: how much of the width is used. 0..=bits.
    pub effective_bits: f64,
    /// How often each code occurs, `2^bits` counts.
    pub code_counts: Vec<u64>,
    /// Fraction of the elements that are quantized, 0..=1.
    pub fraction: f64,
    /// The values before and after.
    pub values: Values,
}

/// Values of a tensor before and after quantization.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Cosine of the angle between the tensor and its quantized form; 0 where one of them is zero.
    pub cosine: f64,
    /// Least value of both.
    pub low: f64,
    /// Largest value of both.
    pub high: f64,
    /// How many values of the tensor lie in each of [`BINS`] equally wide bins from `low` to `high`.
    pub before: Vec<u64>,
    /// The same of the quantized tensor.
    pub after: Vec<u64>,
    /// The level of every code; empty where there is more than one group of them.
    pub levels: Vec<f32>,
}

/// Bins of the histograms of values.
pub const BINS: usize = 64;

impl Statistics {
    /// Measures `codes` against `x`, the tensor that was quantized. Waits for the device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn of(x: &Tensor, codes: &Codes) -> Result<Statistics, MethodError> {
        tch::no_grad(|| {
            let wide = x.f_to_kind(Kind::Double)?;
            let quantized = codes.dequantize(x)?.f_to_kind(Kind::Double)?;
            let error = quantized.f_sub(&wide)?;
            let sum_of_squares = |t: &Tensor| f64::try_from(&t.f_square()?.f_sum(Kind::Double)?);
            let (error, norm) = (sum_of_squares(&error)?, sum_of_squares(&wide)?);
            let flat = codes.codes.f_reshape([-1])?.f_to_kind(Kind::Int64)?;
            let size = i64::try_from(codes.levels.bits().codes()).unwrap_or(i64::MAX);
            let counts = Vec::<i64>::try_from(&flat.f_bincount(None::<Tensor>, size)?)?;
            let code_counts: Vec<u64> = counts.into_iter().map(|c| u64::try_from(c).unwrap_or(0)).collect();
            Ok(Statistics {
                relative_mse: if norm > 0.0 { error / norm } else { 0.0 },
                effective_bits: entropy(&code_counts),
                code_counts,
                fraction: codes.fraction()?,
                values: Values::of(&wide, &quantized, codes)?,
            })
        })
    }
}

impl Values {
    /// Of a tensor and its quantized form, both f64.
    fn of(x: &Tensor, quantized: &Tensor, codes: &Codes) -> Result<Values, MethodError> {
        let sum = |t: Tensor| f64::try_from(&t.f_sum(Kind::Double)?);
        let norms = sum(x.f_square()?)? * sum(quantized.f_square()?)?;
        let product = sum(x.f_mul(quantized)?)?;
        let low = f64::try_from(&x.f_min()?)?.min(f64::try_from(&quantized.f_min()?)?);
        let high = f64::try_from(&x.f_max()?)?.max(f64::try_from(&quantized.f_max()?)?);
        let table = codes.levels.to_table()?.filter(|table| table.groups() == 1);
        Ok(Values {
            cosine: if norms > 0.0 { product / norms.sqrt() } else { 0.0 },
            low,
            high,
            before: histogram(x, low, high)?,
            after: histogram(quantized, low, high)?,
            levels: table.map_or_else(Vec::new, |table| table.row(0)),
        })
    }
}

/// Counts in [`BINS`] bins; a value at the upper end belongs to the last one. When all values are equal they lie in the
/// first.
fn histogram(x: &Tensor, low: f64, high: f64) -> Result<Vec<u64>, MethodError> {
    let scale = if high > low { BINS as f64 / (high - low) } else { 0.0 };
    let last = BINS as i64 - 1;
    let bins = x.f_sub_scalar(low)?.f_mul_scalar(scale)?.f_to_kind(Kind::Int64)?.f_clamp(0, last)?.f_reshape([-1])?;
    let counts = Vec::<i64>::try_from(&bins.f_bincount(None::<Tensor>, last + 1)?)?;
    Ok(counts.into_iter().map(|count| u64::try_from(count).unwrap_or(0)).collect())
}

/// Entropy of a histogram, bits.
#[must_use]
pub fn entropy(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let term = |&count: &u64| {
        let p = count as f64 / total as f64;
        -p * p.log2()
    };
    // The sum of an empty iterator is -0.0.
    counts.iter().filter(|&&count| count > 0).map(term).sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bits, Levels};

    #[test]
    fn entropy_of_known_histograms() {
        assert_eq!(entropy(&[]), 0.0);
        assert_eq!(entropy(&[5]), 0.0);
        assert_eq!(entropy(&[3, 3]), 1.0);
        assert_eq!(entropy(&[1, 1, 2, 0]), 1.5);
    }

    #[test]
    fn statistics_of_a_tensor_done_by_hand() {
        let x = Tensor::from_slice(&[1.0f32, -1.0, 2.0, -2.0]);
        let levels = Levels::Affine {
            bits: Bits::new(1).unwrap(),
            step: 2,
            zero: Tensor::from_slice(&[1.0f32]),
            scale: Tensor::from_slice(&[1.5f32]),
        };
        let codes = Codes { codes: x.ge(0.0).to_kind(Kind::Uint8), levels, kept: None };
        let statistics = Statistics::of(&x, &codes).unwrap();
        assert_eq!(statistics.code_counts, [2, 2]);
        assert_eq!(statistics.effective_bits, 1.0);
        assert!((statistics.relative_mse - 0.1).abs() < 1e-12);
        assert_eq!(statistics.fraction, 1.0);
        // Levels -1.5 and 1.5; the cosine is 9 / sqrt(10 * 9).
        let values = &statistics.values;
        assert!((values.cosine - 9.0 / 90f64.sqrt()).abs() < 1e-12);
        assert_eq!((values.low, values.high, values.levels.as_slice()), (-2.0, 2.0, &[-1.5, 1.5][..]));
        let filled = |bins: &[u64]| (0..BINS).filter(|&i| bins[i] > 0).map(|i| (i, bins[i])).collect::<Vec<_>>();
        assert_eq!(filled(&values.before), [(0, 1), (16, 1), (48, 1), (63, 1)]);
        assert_eq!(filled(&values.after), [(8, 2), (56, 2)]);
    }
}
