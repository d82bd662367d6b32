//! Codes, and the levels they stand for, as tensors on the device.

use tch::{Kind, Tensor};

use crate::rows::column;
use crate::{Bits, LevelTable, MethodError, Support};

/// Result of quantizing one tensor.
#[derive(Debug)]
pub struct Codes {
    /// u8, same shape as the input; bit i is plane i.
    pub codes: Tensor,
    /// What each code stands for.
    pub levels: Levels,
    /// bool, broadcastable to the input: true where the value stays in full precision (stochastic quantization
    /// before its fraction reaches 1). `None`: everything is quantized.
    pub kept: Option<Tensor>,
}

/// [`LevelTable`] while it still lives on the device: the same formulas with the same roundings, so that training
/// need not wait for numbers to reach the host. `[g]` is one number a group: g = 1 per tensor, else one per index
/// of dimension 0.
#[derive(Debug)]
pub enum Levels {
    /// `level(c) = (step * c - zero) * scale`.
    Affine {
        /// Bit width.
        bits: Bits,
        /// Integer distance of two codes.
        step: i32,
        /// Integers as f32, `[g]`.
        zero: Tensor,
        /// f32, `[g]`.
        scale: Tensor,
    },
    /// `level(c) = offset + sum_i scale_i * bit_i(c)`, added in ascending bit order.
    Planes {
        /// Bit width.
        bits: Bits,
        /// f32, `[g]`.
        offset: Tensor,
        /// f32, `[g, k]`.
        scales: Tensor,
    },
    /// `level(c) = values[c]`, a codebook: logarithmic levels, sums of powers of two (APoT), NF4.
    Table {
        /// Bit width.
        bits: Bits,
        /// f32, `[g, 2^k]`.
        values: Tensor,
    },
}

impl Levels {
    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        match *self {
            Levels::Affine { bits, .. } | Levels::Planes { bits, .. } | Levels::Table { bits, .. } => bits,
        }
    }

    /// Whether products of bit-planes can compute with these levels.
    #[must_use]
    pub fn on_bit_planes(&self) -> Support {
        match self {
            Levels::Affine { .. } | Levels::Planes { .. } => Support::Yes,
            Levels::Table { .. } => Support::No("its levels are a codebook, which no sum of bit-planes gives"),
        }
    }

    /// The levels of `codes` (u8, any shape): f32, same shape.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn of(&self, codes: &Tensor) -> Result<Tensor, MethodError> {
        let dimensions = codes.dim();
        match self {
            Levels::Affine { step, zero, scale, .. } => {
                let integers = codes.f_to_kind(Kind::Float)?.f_mul_scalar_(f64::from(*step))?;
                Ok(integers.f_sub(&column(zero, dimensions)?)?.f_mul(&column(scale, dimensions)?)?)
            }
            Levels::Planes { bits, offset, scales } => {
                let base = column(offset, dimensions)?;
                let mut level = base.f_expand(codes.size(), false)?;
                for plane in 0..bits.get() {
                    let bit = codes.f_bitwise_and(i64::from(1u8 << plane))?.f_ne(0)?;
                    let scale = column(&scales.f_select(1, i64::from(plane))?, dimensions)?;
                    level = level.f_add(&scale)?.f_where_self(&bit, &level)?;
                }
                Ok(level.f_contiguous()?)
            }
            Levels::Table { values, .. } => {
                let groups = values.size().first().copied().unwrap_or(1);
                let of_group = codes.f_to_kind(Kind::Int64)?.f_reshape([groups, -1])?;
                Ok(values.f_gather(1, &of_group, false)?.f_reshape(codes.size())?)
            }
        }
    }

    /// Brings the numbers to the host. `None` when one of them is not finite.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn to_table(&self) -> Result<Option<LevelTable>, MethodError> {
        let host = |t: &Tensor| Vec::<f32>::try_from(&t.f_contiguous()?.f_view([-1])?);
        Ok(match self {
            Levels::Affine { bits, step, zero, scale } => {
                let zero = host(zero)?.into_iter().map(|z| z as i32).collect();
                LevelTable::affine(*bits, *step, zero, host(scale)?)
            }
            Levels::Planes { bits, offset, scales } => LevelTable::planes(*bits, host(offset)?, host(scales)?),
            Levels::Table { bits, values } => LevelTable::table(*bits, host(values)?),
        })
    }
}

impl Codes {
    /// The levels; elements that are kept are copied from `x`, the tensor that was quantized.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn dequantize(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let levels = self.levels.of(&self.codes)?;
        match &self.kept {
            None => Ok(levels),
            Some(kept) => Ok(x.f_where_self(kept, &levels)?),
        }
    }

    /// Fraction of elements that are quantized, 0..=1.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn fraction(&self) -> Result<f64, MethodError> {
        match &self.kept {
            None => Ok(1.0),
            Some(kept) => Ok(1.0 - f64::try_from(&kept.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(levels: &Levels, codes: &[u8], groups: usize) {
        let table = levels.to_table().unwrap().unwrap();
        let tensor = Tensor::from_slice(codes).view([groups as i64, -1]);
        let values = Vec::<f32>::try_from(&levels.of(&tensor).unwrap().view([-1])).unwrap();
        for (i, (&code, value)) in codes.iter().zip(&values).enumerate() {
            let group = if table.groups() == 1 { 0 } else { i / (codes.len() / groups) };
            assert_eq!(table.level(group, code).to_bits(), value.to_bits(), "code {code}, group {group}");
        }
    }

    proptest! {
        /// The device's levels and the host's table are the same function, to the bit.
        #[test]
        fn device_and_host_agree(
            k in 1u8..=8, per_group: bool, symmetric: bool,
            numbers in prop::collection::vec(-2.0f32..2.0, 3 * 9),
            raw in prop::collection::vec(any::<u8>(), 30),
        ) {
            let bits = Bits::new(k).unwrap();
            let codes: Vec<u8> = raw.iter().map(|c| c & bits.max_code()).collect();
            let g = if per_group { 3 } else { 1 };
            let offset = Tensor::from_slice(&numbers[..g]);
            let scales = Tensor::from_slice(&numbers[3..3 + g * usize::from(k)]).view([g as i64, i64::from(k)]);
            check(&Levels::Planes { bits, offset: offset.shallow_clone(), scales }, &codes, 3);
            let step = if symmetric { 2 } else { 1 };
            let zero = (&offset * 50.0).round();
            check(&Levels::Affine { bits, step, zero, scale: offset }, &codes, 3);
            let entries = g * bits.codes();
            let values = Tensor::from_slice(&numbers.iter().copied().cycle().take(entries).collect::<Vec<_>>());
            check(&Levels::Table { bits, values: values.view([g as i64, -1]) }, &codes, 3);
        }
    }

    #[test]
    fn kept_elements_are_copied() {
        let x = Tensor::from_slice(&[0.3f32, -0.2, 0.9, 4.0]).view([2, 2]);
        let levels = Levels::Affine {
            bits: Bits::new(1).unwrap(),
            step: 2,
            zero: Tensor::from_slice(&[1.0f32]),
            scale: Tensor::from_slice(&[0.5f32]),
        };
        let kept = Tensor::from_slice(&[false, true]).view([2, 1]);
        let codes = Codes { codes: x.ge(0.0).to_kind(Kind::Uint8), levels, kept: Some(kept) };
        let values = Vec::<f32>::try_from(&codes.dequantize(&x).unwrap().view([-1])).unwrap();
        assert_eq!(values, [0.5, -0.5, 0.9, 4.0]);
        assert_eq!(codes.fraction().unwrap(), 0.5);
    }
}
