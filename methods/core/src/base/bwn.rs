//! Binary weights with a scale: the quantizer of Binary-Weight-Networks (Rastegari et al. 2016, arXiv:1603.05279).

use harness_kernels::levels::Bits;
use tch::{Kind, Tensor};

use crate::rows::Rows;
use crate::{Codes, Levels, MethodError};

/// `W ~ alpha * sign(W)`, `alpha = mean |W|` over each group of `rows`, `sign(0) = +1`: the least squares solution.
///
/// `bits` is the width that the codes are declared with; they are 0 and 1.
///
/// # Errors
/// When libtorch fails.
pub fn bwn(x: &Tensor, rows: Rows, bits: Bits) -> Result<Codes, MethodError> {
    let scale = rows.mean(&x.f_abs()?)?;
    let levels = Levels::Affine { bits, step: 2, zero: scale.f_ones_like()?, scale };
    Ok(Codes { codes: x.f_ge(0.0)?.f_to_kind(Kind::Uint8)?, levels, kept: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn floats(x: &Tensor) -> Vec<f32> {
        Vec::try_from(&x.reshape([-1])).unwrap()
    }

    proptest! {
        #[test]
        fn is_the_mean_magnitude_times_the_sign(values in prop::collection::vec(-2.0f32..2.0, 24), each: bool) {
            let x = Tensor::from_slice(&values).view([3, 2, 2, 2]);
            let rows = if each { Rows::Each } else { Rows::Tensor };
            let found = floats(&bwn(&x, rows, Bits::new(1).unwrap()).unwrap().dequantize(&x).unwrap());
            let group = if each { 8 } else { 24 };
            for (row, found) in values.chunks(group).zip(found.chunks(group)) {
                let mean = row.iter().map(|v| f64::from(v.abs())).sum::<f64>() / group as f64;
                for (v, q) in row.iter().zip(found) {
                    let expected = if *v >= 0.0 { mean } else { -mean };
                    prop_assert!((f64::from(*q) - expected).abs() < 1e-6, "{v} -> {q}");
                }
            }
        }
    }

    #[test]
    fn the_sign_of_both_zeros_is_plus_one() {
        let x = Tensor::from_slice(&[0.0f32, -0.0, -3.0, 1.0]).view([1, 4]);
        let codes = bwn(&x, Rows::Each, Bits::new(1).unwrap()).unwrap();
        assert_eq!(floats(&codes.dequantize(&x).unwrap()), [1.0, 1.0, -1.0, 1.0]);
    }
}
