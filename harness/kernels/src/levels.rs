//! Bit widths, and the levels (real values) that codes stand for.

use std::fmt;

/// Bit width of one operand, 1..=8. Full precision is the absence of a quantizer, not "32 bits".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bits(u8);

impl Bits {
    /// One bit.
    pub const ONE: Bits = Bits(1);

    /// `None` outside 1..=8.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Bits> {
        if bits >= 1 && bits <= 8 { Some(Bits(bits)) } else { None }
    }

    /// The width, 1..=8.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Number of codes, `2^k`.
    #[must_use]
    pub const fn codes(self) -> usize {
        1 << self.0
    }

    /// Largest code, `2^k - 1`: also the number of steps of a uniform grid.
    #[must_use]
    pub const fn max_code(self) -> u8 {
        (self.codes() - 1) as u8
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The value of every code, a row per group (1 = per tensor, C = per output channel, N = per sample).
///
/// The formulas below define each level in f32, down to the order of their roundings. Fake quantization in the training graph
/// uses the same formulas in the same order, so its values are these levels to the bit.
#[derive(Debug, Clone, PartialEq)]
pub enum LevelTable {
    /// Evenly spaced: `level(c) = (step * c - zero) * scale`. The bracket is an exact integer, so a level is
    /// rounded once, and a dot product of levels is an exact integer sum times the scales.
    Affine {
        /// Bit width.
        bits: Bits,
        /// Integer distance of two neighbouring levels: 1, or 2 where the grid is symmetric and has no zero (`2c - (2^k - 1)`).
        step: i32,
        /// Integer subtracted, a number per group.
        zero: Vec<i32>,
        /// Real value of the integer 1, a number per group.
        scale: Vec<f32>,
    },
    /// Sums of planes: `level(c) = offset + sum_i scale_i * bit_i(c)`, added in ascending bit order.
    Planes {
        /// Bit width.
        bits: Bits,
        /// Level of code 0, a number per group.
        offset: Vec<f32>,
        /// `[groups, k]` row-major.
        scales: Vec<f32>,
    },
    /// A codebook: `level(c) = values[c]`. For levels that no sum of planes gives (logarithmic, APoT, NF4), so that no
    /// product of bit-planes computes with them.
    Table {
        /// Bit width.
        bits: Bits,
        /// `[groups, 2^k]` row-major.
        values: Vec<f32>,
    },
}

impl LevelTable {
    /// Evenly spaced levels. `None` when `zero` and `scale` differ in length or a scale is not finite.
    #[must_use]
    pub fn affine(bits: Bits, step: i32, zero: Vec<i32>, scale: Vec<f32>) -> Option<LevelTable> {
        let ok = zero.len() == scale.len() && scale.iter().all(|s| s.is_finite());
        ok.then_some(LevelTable::Affine { bits, step, zero, scale })
    }

    /// Sums of planes; `scales` is `[groups, k]` row-major. `None` when lengths disagree or a number is not finite.
    #[must_use]
    pub fn planes(bits: Bits, offset: Vec<f32>, scales: Vec<f32>) -> Option<LevelTable> {
        let ok = scales.len() == offset.len() * usize::from(bits.get())
            && offset.iter().chain(&scales).all(|v| v.is_finite());
        ok.then_some(LevelTable::Planes { bits, offset, scales })
    }

    /// A codebook; `values` is `[groups, 2^k]` row-major. `None` when there is no whole number of groups or a number
    /// is not finite.
    #[must_use]
    pub fn table(bits: Bits, values: Vec<f32>) -> Option<LevelTable> {
        let ok = values.len().is_multiple_of(bits.codes()) && values.iter().all(|v| v.is_finite());
        ok.then_some(LevelTable::Table { bits, values })
    }

    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        match *self {
            LevelTable::Affine { bits, .. } | LevelTable::Planes { bits, .. } | LevelTable::Table { bits, .. } => bits,
        }
    }

    /// Number of groups.
    #[must_use]
    pub fn groups(&self) -> usize {
        match self {
            LevelTable::Affine { scale, .. } => scale.len(),
            LevelTable::Planes { offset, .. } => offset.len(),
            LevelTable::Table { bits, values } => values.len() / bits.codes(),
        }
    }

    /// The level of code `code` in group `group`.
    ///
    /// # Panics
    /// When `group` is not below [`LevelTable::groups`].
    #[must_use]
    pub fn level(&self, group: usize, code: u8) -> f32 {
        match self {
            LevelTable::Affine { step, zero, scale, .. } => {
                (step * i32::from(code) - zero[group]) as f32 * scale[group]
            }
            LevelTable::Table { bits, values } => values[group * bits.codes() + usize::from(code)],
            LevelTable::Planes { bits, offset, scales } => {
                let k = usize::from(bits.get());
                (0..k).fold(
                    offset[group],
                    |level, i| {
                        if code >> i & 1 == 1 { level + scales[group * k + i] } else { level }
                    },
                )
            }
        }
    }

    /// All `2^k` levels of a group, by code.
    ///
    /// # Panics
    /// When `group` is not below [`LevelTable::groups`].
    #[must_use]
    pub fn row(&self, group: usize) -> Vec<f32> {
        (0..=self.bits().max_code()).map(|code| self.level(group, code)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(k: u8) -> Bits {
        Bits::new(k).unwrap()
    }

    #[test]
    fn only_one_to_eight_bits_exist() {
        let widths: Vec<u8> = (0..=255).filter(|&k| Bits::new(k).is_some()).collect();
        assert_eq!(widths, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((bits(8).codes(), bits(8).max_code()), (256, 255));
    }

    #[test]
    fn ternary_fits_two_planes() {
        let table = LevelTable::planes(bits(2), vec![-1.2], vec![1.2, 1.2]).unwrap();
        assert_eq!(table.row(0), [-1.2, 0.0, 0.0, 1.2]);
    }

    #[test]
    fn symmetric_grid_without_zero() {
        let table = LevelTable::table(bits(1), vec![-1.0, 0.5, 2.0, 4.0]).unwrap();
        assert_eq!((table.groups(), table.row(0), table.row(1)), (2, vec![-1.0, 0.5], vec![2.0, 4.0]));
        let table = LevelTable::affine(bits(2), 2, vec![3, 3], vec![0.5, 0.25]).unwrap();
        assert_eq!(table.row(0), [-1.5, -0.5, 0.5, 1.5]);
        assert_eq!(table.row(1), [-0.75, -0.25, 0.25, 0.75]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(LevelTable::planes(bits(2), vec![0.0], vec![1.0]).is_none());
        assert!(LevelTable::planes(bits(1), vec![f32::NAN], vec![1.0]).is_none());
        assert!(LevelTable::table(bits(2), vec![0.0; 6]).is_none());
        assert!(LevelTable::table(bits(1), vec![0.0, f32::NAN]).is_none());
        assert!(LevelTable::affine(bits(1), 1, vec![0, 0], vec![1.0]).is_none());
        assert!(LevelTable::affine(bits(1), 1, vec![0], vec![f32::INFINITY]).is_none());
    }
}
