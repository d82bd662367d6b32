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
    /// Portion of the elements that are quantized, 0..=1.
    pub portion: f64,
}

impl Statistics {
    /// Measures `codes` against `x`, the tensor that was quantized. Waits for the device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn of(x: &Tensor, codes: &Codes) -> Result<Statistics, MethodError> {
        tch::no_grad(|| {
            let wide = x.f_to_kind(Kind::Double)?;
            let error = codes.dequantize(x)?.f_to_kind(Kind::Double)?.f_sub(&wide)?;
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
                portion: codes.portion()?,
            })
        })
    }
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
        assert_eq!(statistics.portion, 1.0);
    }
}
