//! Codes packed as bit-planes.

use std::fmt;

use crate::levels::Bits;

/// A matrix of k-bit codes, one bit-plane after the other: word `w` of row `r` in plane `p` holds bit `p` of the
/// codes of columns `64 w .. 64 w + 64`, the lowest column in the lowest bit. Padding bits are zero.
///
/// It is a type of its own so that packed words cannot be mistaken for codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitPlanes {
    bits: Bits,
    rows: usize,
    columns: usize,
    words: Vec<u64>,
}

/// Why codes cannot be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackError {
    /// `codes.len()` is not `rows * columns`.
    Length {
        /// Number of codes that were given.
        codes: usize,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// A code does not fit the bit width.
    Code {
        /// Index of the first such code.
        index: usize,
        /// Value of the code.
        code: u8,
        /// Bit width.
        bits: Bits,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            PackError::Length { codes, rows, columns } => {
                write!(f, "{codes} codes do not fill a {rows} x {columns} matrix")
            }
            PackError::Code { index, code, bits } => {
                write!(f, "code {code} at index {index} does not fit {bits} bits, expected at most {}", bits.max_code())
            }
        }
    }
}

impl std::error::Error for PackError {}

impl BitPlanes {
    /// Packs `codes`, `[rows, columns]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or a code needs more than `bits` bits.
    pub fn pack(bits: Bits, rows: usize, columns: usize, codes: &[u8]) -> Result<BitPlanes, PackError> {
        if rows.checked_mul(columns) != Some(codes.len()) {
            return Err(PackError::Length { codes: codes.len(), rows, columns });
        }
        if let Some(index) = codes.iter().position(|&code| code > bits.max_code()) {
            return Err(PackError::Code { index, code: codes[index], bits });
        }
        let mut planes = BitPlanes { bits, rows, columns, words: Vec::new() };
        planes.words.resize(usize::from(bits.get()) * rows * planes.words_per_row(), 0);
        for row in 0..rows {
            for (chunk_index, chunk) in codes[row * columns..(row + 1) * columns].chunks(64).enumerate() {
                for plane in 0..bits.get() {
                    let word = chunk.iter().rev().fold(0, |word, code| word << 1 | u64::from(code >> plane & 1));
                    let start = planes.row_start(usize::from(plane), row);
                    planes.words[start + chunk_index] = word;
                }
            }
        }
        Ok(planes)
    }

    /// The codes, `[rows, columns]` row-major.
    #[must_use]
    pub fn unpack(&self) -> Vec<u8> {
        let code = |row: usize, column: usize| {
            (0..self.bits.get()).fold(0, |code, plane| {
                let word = self.row(usize::from(plane), row)[column / 64];
                code | ((word >> (column % 64) & 1) as u8) << plane
            })
        };
        (0..self.rows).flat_map(|row| (0..self.columns).map(move |column| code(row, column))).collect()
    }

    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// `(rows, columns)`.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Number of words of one row of one plane, `ceil(columns / 64)`.
    #[must_use]
    pub fn words_per_row(&self) -> usize {
        self.columns.div_ceil(64)
    }

    /// The words of one row of one plane, see [`BitPlanes`].
    ///
    /// # Panics
    /// When `plane` or `row` does not exist.
    #[must_use]
    pub fn row(&self, plane: usize, row: usize) -> &[u64] {
        assert!(plane < usize::from(self.bits.get()) && row < self.rows, "plane {plane}, row {row} of {self:?}");
        let start = self.row_start(plane, row);
        &self.words[start..start + self.words_per_row()]
    }

    fn row_start(&self, plane: usize, row: usize) -> usize {
        (plane * self.rows + row) * self.words_per_row()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_lowest_column_first() {
        let mut codes = vec![0; 65];
        (codes[0], codes[1], codes[64]) = (3, 2, 1);
        let planes = BitPlanes::pack(Bits::new(2).unwrap(), 1, 65, &codes).unwrap();
        assert_eq!(planes.row(0, 0), [1, 1]);
        assert_eq!(planes.row(1, 0), [0b11, 0]);
    }

    #[test]
    fn misfits_are_refused() {
        let two = Bits::new(2).unwrap();
        assert_eq!(BitPlanes::pack(two, 2, 2, &[0; 3]), Err(PackError::Length { codes: 3, rows: 2, columns: 2 }));
        let error = BitPlanes::pack(two, 1, 3, &[3, 4, 9]).unwrap_err();
        assert_eq!(error.to_string(), "code 4 at index 1 does not fit 2 bits, expected at most 3");
        assert!(BitPlanes::pack(two, usize::MAX, 2, &[]).is_err());
    }

    fn matrix() -> impl Strategy<Value = (Bits, usize, usize, Vec<u8>)> {
        (1u8..=8, 0usize..5, 0usize..200).prop_flat_map(|(k, rows, columns)| {
            let bits = Bits::new(k).unwrap();
            let codes = prop::collection::vec(0..=bits.max_code(), rows * columns);
            (Just(bits), Just(rows), Just(columns), codes)
        })
    }

    proptest! {
        #[test]
        fn round_trip((bits, rows, columns, codes) in matrix()) {
            let planes = BitPlanes::pack(bits, rows, columns, &codes).unwrap();
            prop_assert_eq!(planes.unpack(), codes);
        }

        /// The dot product of codes is a weighted sum of popcounts.
        #[test]
        fn planes_give_the_dot_product((bits, rows, columns, codes) in matrix()) {
            prop_assume!(rows >= 2);
            let planes = BitPlanes::pack(bits, rows, columns, &codes).unwrap();
            let naive: u64 = (0..columns).map(|c| u64::from(codes[c]) * u64::from(codes[columns + c])).sum();
            let k = usize::from(bits.get());
            let mut by_planes = 0;
            for m in 0..k {
                for n in 0..k {
                    let pairs = planes.row(m, 0).iter().zip(planes.row(n, 1));
                    by_planes += pairs.map(|(a, b)| u64::from((a & b).count_ones())).sum::<u64>() << (m + n);
                }
            }
            prop_assert_eq!(by_planes, naive);
        }
    }
}
