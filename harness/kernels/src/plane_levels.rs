//! The levels of one operand of a product of planes, as sums of integers with scales of their own.

use crate::error::KernelError;
use crate::levels::{Bits, LevelTable};

/// How the codes of one operand are divided into integers, each with a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Each bit of the codes, for levels [`LevelTable::Planes`].
    Planes(Bits),
    /// The single number `step * code - zero`, for levels [`LevelTable::Affine`] with this step and this zero in every row.
    Whole {
        /// Bit width.
        bits: Bits,
        /// Distance of two neighbouring integers.
        step: i32,
        /// Integer subtracted.
        zero: i32,
    },
}

impl Terms {
    /// Bit width of the codes.
    #[must_use]
    pub fn bits(self) -> Bits {
        match self {
            Terms::Planes(bits) | Terms::Whole { bits, .. } => bits,
        }
    }

    /// Bits of a code that each term has.
    pub(crate) fn term_bits(self) -> Bits {
        match self {
            Terms::Planes(_) => Bits::ONE,
            Terms::Whole { bits, .. } => bits,
        }
    }

    /// Number of terms.
    pub(crate) fn count(self) -> usize {
        match self {
            Terms::Planes(bits) => usize::from(bits.get()),
            Terms::Whole { .. } => 1,
        }
    }

    /// Step and zero of the integers of a term.
    pub(crate) fn grid(self) -> [i32; 2] {
        match self {
            Terms::Planes(_) => [1, 0],
            Terms::Whole { step, zero, .. } => [step, zero],
        }
    }
}

/// The levels of one operand, whose form has been checked: one row, or a row per output channel or image.
#[derive(Clone, Copy)]
pub(crate) struct PlaneLevels<'a> {
    /// Empty where there are no offsets.
    offset: &'a [f32],
    /// `[rows, terms]`.
    pub(crate) scales: &'a [f32],
    rows: usize,
    terms: usize,
}

impl<'a> PlaneLevels<'a> {
    /// The levels of `operand`, with one row or `rows` rows, of codes of `bits` bits.
    pub(crate) fn of(
        levels: &'a LevelTable,
        operand: &'static str,
        bits: Bits,
        rows: usize,
    ) -> Result<PlaneLevels<'a>, KernelError> {
        let wrong = |what| Err(KernelError::Levels { operand, what });
        let (offset, scales, terms) = match levels {
            LevelTable::Planes { bits, offset, scales } => (&offset[..], scales, usize::from(bits.get())),
            LevelTable::Affine { scale, .. } => (&[][..], scale, 1),
            LevelTable::Table { .. } => {
                return wrong("are a codebook, expected sums of planes or evenly spaced levels".to_owned());
            }
        };
        let (found, found_rows) = (levels.bits(), levels.groups());
        if found != bits {
            return wrong(format!("are those of {found} bits, expected {bits}"));
        }
        if found_rows != 1 && found_rows != rows {
            return wrong(format!("have {found_rows} rows, expected 1 or {rows}"));
        }
        if scales.len() != found_rows * terms {
            return wrong(format!("have {} scales, expected {}", scales.len(), found_rows * terms));
        }
        if let LevelTable::Affine { zero, .. } = levels
            && zero.len() != found_rows
        {
            return wrong(format!("have {} zeros, expected {found_rows}", zero.len()));
        }
        Ok(PlaneLevels { offset, scales, rows: found_rows, terms })
    }

    /// The levels of activations whose codes are divided into `terms`, with one row or `rows` rows.
    pub(crate) fn of_activations(
        levels: &'a LevelTable,
        terms: Terms,
        rows: usize,
    ) -> Result<PlaneLevels<'a>, KernelError> {
        let operand = "activations";
        match (levels, terms) {
            (LevelTable::Affine { .. }, Terms::Planes(_)) => {
                let what = "are evenly spaced, expected sums of planes as in Terms::Planes".to_owned();
                return Err(KernelError::Levels { operand, what });
            }
            (LevelTable::Planes { .. }, Terms::Whole { .. }) => {
                let what = "are sums of planes, expected evenly spaced ones as in Terms::Whole".to_owned();
                return Err(KernelError::Levels { operand, what });
            }
            (LevelTable::Affine { step, zero, .. }, Terms::Whole { step: own, zero: own_zero, .. }) => {
                let other = zero.iter().find(|&&zero| *step != own || zero != own_zero);
                if let Some(zero) = other {
                    let what = format!("have step {step} and zero {zero}, expected step {own} and zero {own_zero}");
                    return Err(KernelError::Levels { operand, what });
                }
            }
            _ => {}
        }
        PlaneLevels::of(levels, operand, terms.bits(), rows)
    }

    /// Distance of two rows in `scales`, 0 where one row serves all.
    pub(crate) fn step(self) -> usize {
        if self.rows > 1 { self.terms } else { 0 }
    }

    /// The offset of a row, 0 where there are none.
    pub(crate) fn offset(self, row: usize) -> f32 {
        if self.rows > 1 { self.offset.get(row) } else { self.offset.first() }.copied().unwrap_or(0.0)
    }

    pub(crate) fn scale(self, row: usize, term: usize) -> f32 {
        self.scales[row * self.step() + term]
    }
}
