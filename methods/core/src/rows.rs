//! Reductions per tensor or per index of dimension 0 (output channel, sample).

use tch::{Kind, TchError, Tensor};

/// How many numbers share one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The whole tensor is one group.
    Tensor,
    /// Every index of dimension 0 is a group.
    Each,
}

impl Rows {
    /// `x` as a matrix with one row a group: `[1, n]` or `[x.size(0), n]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn matrix(self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Rows::Tensor => x.f_reshape([1, -1]),
            Rows::Each => x.f_reshape([x.size().first().copied().unwrap_or(1), -1]),
        }
    }

    /// Mean per group, `[g]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn mean(self, x: &Tensor) -> Result<Tensor, TchError> {
        self.matrix(x)?.f_mean_dim(1i64, false, Kind::Float)
    }

    /// Least and largest value per group, `[g]` each.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn range(self, x: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        self.matrix(x)?.f_aminmax(1, false)
    }

    /// Largest magnitude per group, `[g]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn max_abs(self, x: &Tensor) -> Result<Tensor, TchError> {
        let (min, max) = self.range(x)?;
        max.f_maximum(&min.f_neg()?)
    }
}

/// Numbers per group, `[g]`, shaped to broadcast over dimension 0 of a tensor of `dimensions` dimensions.
///
/// # Errors
/// When libtorch fails.
pub fn column(numbers: &Tensor, dimensions: usize) -> Result<Tensor, TchError> {
    let mut shape = vec![1i64; dimensions.max(1)];
    shape[0] = -1;
    numbers.f_reshape(shape)
}

/// `numbers / divisor`, f32, rounded once on every device: a GPU multiplies by the inverse of a divisor that is a number,
/// which rounds twice.
///
/// # Errors
/// When libtorch fails.
pub fn quotient(numbers: &Tensor, divisor: f64) -> Result<Tensor, TchError> {
    numbers.f_div(&numbers.f_full_like(divisor)?)
}

/// `1 / numbers`, and 0 where a number is 0: an empty range has no codes per unit.
///
/// # Errors
/// When libtorch fails.
pub fn inverse_or_zero(numbers: &Tensor) -> Result<Tensor, TchError> {
    numbers.f_reciprocal()?.f_masked_fill(&numbers.f_eq(0.0)?, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(t: &Tensor) -> Vec<f32> {
        Vec::try_from(&t.view([-1])).unwrap()
    }

    #[test]
    fn groups_are_the_tensor_or_dimension_zero() {
        let x = Tensor::from_slice(&[1.0f32, -5.0, 2.0, 0.5, 0.25, 0.0]).view([2, 3, 1]);
        assert_eq!(floats(&Rows::Tensor.max_abs(&x).unwrap()), [5.0]);
        assert_eq!(floats(&Rows::Each.max_abs(&x).unwrap()), [5.0, 0.5]);
        assert_eq!(floats(&Rows::Each.mean(&x).unwrap()), [-2.0 / 3.0, 0.25]);
        let (min, max) = Rows::Each.range(&x).unwrap();
        assert_eq!((floats(&min), floats(&max)), (vec![-5.0, 0.0], vec![2.0, 0.5]));
        assert_eq!(column(&max, 3).unwrap().size(), [2, 1, 1]);
    }

    #[test]
    fn an_empty_range_has_no_inverse() {
        let x = Tensor::from_slice(&[0.0f32, -0.0, 4.0]);
        assert_eq!(floats(&inverse_or_zero(&x).unwrap()), [0.0, 0.0, 0.25]);
    }
}
