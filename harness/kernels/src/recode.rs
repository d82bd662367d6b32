//! Levels that are evenly spaced although they are written as sums of planes or as a codebook, as evenly spaced ones.

use crate::levels::{Bits, LevelTable};

/// Evenly spaced levels for codes that were given others, to the bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Recoded {
    /// The levels of the new codes, always [`LevelTable::Affine`], with as many rows as before.
    pub levels: LevelTable,
    /// The new code of every old one.
    pub codes: Vec<u8>,
}

impl Recoded {
    /// Evenly spaced levels with the same values, if there are any: weights of one scale (`-s` and `s`) and of three values
    /// (`-s`, 0 and `s`) have them, and so do all levels that are small integer multiples of one number per row. One product
    /// of whole codes then computes what would take one for every pair of planes.
    ///
    /// Old codes of the same level get the same new code, and every level is equal to the old one (a zero may lose its sign).
    /// All rows must be the same multiples of their scales. `None` where there are no such levels of at most 8 bits.
    #[must_use]
    pub fn of(levels: &LevelTable) -> Option<Recoded> {
        let rows: Vec<Vec<f32>> = (0..levels.groups()).map(|group| levels.row(group)).collect();
        // A row with a scale of zero has no multiples of its own.
        let multiples = rows.iter().find_map(|row| multiples(row))?;
        let scale = |row: &Vec<f32>| {
            let (at, &multiple) = multiples.iter().enumerate().max_by_key(|(_, multiple)| multiple.abs())?;
            // The row's scale is one of the quotients, or a neighbour of it where the division was rounded.
            let quotient = row[at] / multiple as f32;
            [quotient, quotient.next_up(), quotient.next_down()]
                .into_iter()
                .find(|scale| row.iter().zip(&multiples).all(|(level, &multiple)| multiple as f32 * scale == *level))
        };
        let scales: Vec<f32> = rows.iter().map(scale).collect::<Option<_>>()?;
        let (smallest, largest) = (*multiples.iter().min()?, *multiples.iter().max()?);
        let distance = multiples.iter().fold(0, |divisor, &multiple| gcd(divisor, multiple - smallest)).max(1);
        let bits = Bits::new((1..=8).find(|bits| (largest - smallest) / distance < 1 << bits)?)?;
        let codes = multiples.iter().map(|multiple| ((multiple - smallest) / distance) as u8).collect();
        let zero = vec![-smallest; rows.len()];
        Some(Recoded { levels: LevelTable::affine(bits, distance, zero, scales)?, codes })
    }
}

/// The smallest integers whose products with one number are the levels of a row, to the bit; `None` for a row of zeros.
fn multiples(row: &[f32]) -> Option<Vec<i32>> {
    let unit = row.iter().map(|level| level.abs()).filter(|level| *level > 0.0).min_by(f32::total_cmp)?;
    // The smallest magnitude is the scale itself, or a few times it.
    (1..=3).find_map(|parts: i32| {
        let scale = unit / parts as f32;
        let multiple = |level: &f32| {
            let multiple = (level / scale).round_ties_even();
            (multiple.abs() <= 510.0 && multiple * scale == *level).then_some(multiple as i32)
        };
        row.iter().map(multiple).collect()
    })
}

fn gcd(a: i32, b: i32) -> i32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(k: u8) -> Bits {
        Bits::new(k).unwrap()
    }

    /// Every old level is the level of its new code.
    fn check(levels: &LevelTable) -> Option<Recoded> {
        let recoded = Recoded::of(levels)?;
        assert_eq!((recoded.codes.len(), recoded.levels.groups()), (levels.bits().codes(), levels.groups()));
        assert!(recoded.levels.bits() <= levels.bits(), "{recoded:?}");
        for group in 0..levels.groups() {
            for (old, &new) in recoded.codes.iter().enumerate() {
                assert_eq!(recoded.levels.level(group, new), levels.level(group, old as u8), "{levels:?}: {recoded:?}");
            }
        }
        Some(recoded)
    }

    #[test]
    fn ternary_and_binary_weights_are_affine() {
        let ternary = LevelTable::planes(bits(2), vec![-1.2, -0.3, 0.0], vec![1.2, 1.2, 0.3, 0.3, 0.0, 0.0]).unwrap();
        let recoded = check(&ternary).unwrap();
        assert_eq!(recoded.codes, [0, 1, 1, 2]);
        let expected = LevelTable::affine(bits(2), 1, vec![1; 3], vec![1.2, 0.3, 0.0]).unwrap();
        assert_eq!(recoded.levels, expected);
        let binary = LevelTable::planes(bits(1), vec![-0.7], vec![1.4]).unwrap();
        let recoded = check(&binary).unwrap();
        assert_eq!(recoded.levels, LevelTable::affine(bits(1), 2, vec![1], vec![0.7]).unwrap());
    }

    #[test]
    fn what_is_not_evenly_spaced_is_left() {
        assert!(Recoded::of(&LevelTable::planes(bits(2), vec![-0.9], vec![0.31, 1.7]).unwrap()).is_none());
        // Two rows of different multiples.
        assert!(Recoded::of(&LevelTable::table(bits(1), vec![-1.0, 1.0, 0.0, 1.0]).unwrap()).is_none());
        assert!(Recoded::of(&LevelTable::table(bits(1), vec![0.0, 0.0]).unwrap()).is_none());
    }

    proptest! {
        #[test]
        fn one_scale_per_channel(scales in prop::collection::vec(1e-3f32..9.0, 1..6), ternary: bool) {
            let levels = if ternary {
                let planes = scales.iter().flat_map(|&s| [s, s]).collect();
                LevelTable::planes(bits(2), scales.iter().map(|s| -s).collect(), planes)
            } else {
                LevelTable::planes(bits(1), scales.iter().map(|s| -s).collect(), scales.iter().map(|s| 2.0 * s).collect())
            };
            prop_assert!(check(&levels.unwrap()).is_some());
        }

        #[test]
        fn what_is_recoded_is_equal(values in prop::collection::vec(-6i32..7, 8), unit in 0.01f32..3.0, odd: bool) {
            let level = |&v: &i32| if odd { (2 * v + 1) as f32 * unit } else { v as f32 * unit };
            let levels = LevelTable::table(bits(3), values.iter().map(level).collect()).unwrap();
            if let Some(recoded) = Recoded::of(&levels) {
                for (old, &new) in recoded.codes.iter().enumerate() {
                    prop_assert_eq!(recoded.levels.level(0, new), levels.level(0, old as u8));
                }
            }
        }
    }
}
