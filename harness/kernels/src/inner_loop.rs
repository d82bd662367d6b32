//! The one place that decides which loop computes a product.
//!
//! [`InnerLoop::choose`] makes the decision from a route, both bit widths and the number of output pixels, and the layout
//! of the product keeps it. Everything that depends on the decision reads it from there: the layout of both operands
//! (`layout`, `weights`, `pack`), the shape of the tiles and the function that computes them (`arch::tile`), the
//! instructions that packing and epilogue may use (`vectors`), and the loop that measures the limit (`arch::limit`). So
//! a limit cannot be that of another loop, and a portable route is portable from end to end.

use crate::levels::Bits;
use crate::route::{FEW_PIXELS, Family, Isa, Route};

/// Columns (output pixels, or rows of a matrix product) that a tile has at most on any route.
pub(crate) const MAX_COLUMNS: usize = 6;

/// K-steps of 16-bit sums that a byte loop must be able to take before it is worth while: adding the sums to 32-bit ones
/// costs about as much as these K-steps save.
const MIN_NARROW_K_STEPS: usize = 4;

/// A loop: an algorithm in one of its forms, on an instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InnerLoop {
    pub(crate) isa: Isa,
    pub(crate) form: LoopForm,
}

/// What one K-step of a loop does, and how the weights of several K-steps share bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopForm {
    /// AND of 64-channel words of bit-planes, then population count.
    Popcount,
    /// Look-ups in tables of the sums of four channels. Two K-steps share each byte of the weights.
    NibbleTable,
    /// The same for one-bit activations, two columns in one look-up; a K-step of weights has bytes of its own. A tile with
    /// a single column has nothing to pair it with and looks up that column alone, in the same packed operands.
    NibbleTablePairs,
    /// Look-ups in tables of the sums of six channels, on vectors that hold 64 bytes (AVX-512).
    SixBitTable,
    /// Dot products of four bytes, summed in 32 bits.
    Int8Wide {
        /// K-steps that share a byte of the weights: 1, 2 or 4.
        k_steps_per_byte: usize,
    },
    /// The same, with pairs of products summed in 16 bits for a number of K-steps (AVX2).
    Int8Narrow {
        /// K-steps that share a byte of the weights: 1, 2 or 4.
        k_steps_per_byte: usize,
        /// K-steps whose products fit the 16-bit sums.
        max_k_steps: usize,
    },
    /// Activations in 16 bits, for codes whose byte products do not fit 16 bits in pairs (AVX2).
    Int8Shorts {
        /// Whether weights are stored in 16 bits too, instead of being widened in every K-step.
        short_weights: bool,
    },
}

impl InnerLoop {
    /// The loop of `route` for a product of `pixels` output pixels.
    pub(crate) fn choose(route: Route, weights: Bits, activations: Bits, pixels: usize) -> InnerLoop {
        let Route { family, isa } = route;
        // Many pixels use the same weights, so weights are stored as the loop multiplies them, in bytes of their own. With
        // 32 vector registers, taking them apart in the loop costs nothing in any case.
        let unpacked = pixels > FEW_PIXELS && matches!(isa, Isa::Portable | Isa::Avx2);
        let k_steps_per_byte = if unpacked { 1 } else { int8_k_steps_per_byte(weights) };
        let form = match (family, isa) {
            (Family::Popcount, _) => LoopForm::Popcount,
            (Family::Table, Isa::Avx512) => LoopForm::SixBitTable,
            // Two columns per look-up leave no register to take weights apart in; with one column per look-up, that costs no
            // more than reading them does.
            (Family::Table, _) if unpacked && activations.get() == 1 => LoopForm::NibbleTablePairs,
            (Family::Table, _) => LoopForm::NibbleTable,
            (Family::Int8, Isa::Avx2) => match narrow_k_steps(weights, activations) {
                0 => LoopForm::Int8Shorts { short_weights: unpacked },
                1..MIN_NARROW_K_STEPS => LoopForm::Int8Wide { k_steps_per_byte },
                max_k_steps => LoopForm::Int8Narrow { k_steps_per_byte, max_k_steps },
            },
            (Family::Int8, _) => LoopForm::Int8Wide { k_steps_per_byte },
        };
        InnerLoop { isa, form }
    }

    /// Channels of one K-step.
    pub(crate) fn k_step(self) -> usize {
        match self.form {
            LoopForm::Popcount => 64,
            LoopForm::SixBitTable => 6,
            LoopForm::NibbleTable | LoopForm::NibbleTablePairs => 4,
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => 4,
        }
    }

    /// K-steps whose weights share a byte as they are stored.
    pub(crate) fn k_steps_per_byte(self) -> usize {
        match self.form {
            LoopForm::NibbleTable => 2,
            LoopForm::Int8Wide { k_steps_per_byte } | LoopForm::Int8Narrow { k_steps_per_byte, .. } => k_steps_per_byte,
            LoopForm::Popcount | LoopForm::NibbleTablePairs | LoopForm::SixBitTable | LoopForm::Int8Shorts { .. } => 1,
        }
    }

    /// Output channels of one panel: those that a vector of sums, or of table bytes, has lanes for.
    pub(crate) fn lanes(self) -> usize {
        let vector_bytes = match self.isa {
            Isa::Avx512 => 64,
            Isa::Avx2 => 32,
            Isa::Neon | Isa::Portable => 16,
        };
        match self.form {
            // The portable loop counts in one 64-bit word.
            LoopForm::Popcount if self.isa == Isa::Portable => 1,
            LoopForm::Popcount => vector_bytes / 8,
            LoopForm::NibbleTable | LoopForm::NibbleTablePairs | LoopForm::SixBitTable => vector_bytes,
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => vector_bytes / 4,
        }
    }

    /// The largest number of columns of a tile whose accumulators and operands stay in registers.
    pub(crate) fn max_columns(self) -> usize {
        match (self.isa, self.form) {
            // Sixteen registers hold two panels by six columns of accumulators, two vectors of weights, one of activations and
            // a product. A table has an intermediate result more, and a population count several.
            (Isa::Avx2, LoopForm::Popcount | LoopForm::NibbleTable | LoopForm::NibbleTablePairs) => 4,
            // Thirty-two hold four panels by five columns: the compiler fetches the tables of all columns first.
            (Isa::Avx512, LoopForm::SixBitTable) => 5,
            _ => MAX_COLUMNS,
        }
    }

    /// The largest number of panels (1, 2 or 4) of a tile with `columns` columns.
    pub(crate) fn max_panels(self, columns: usize) -> usize {
        match (self.isa, self.form) {
            (Isa::Portable, _) => 1,
            // Thirty-two registers: four panels by six columns leave eight.
            (Isa::Avx512 | Isa::Neon, _) => 4,
            // Sixteen registers.
            (Isa::Avx2, LoopForm::Popcount) => 2,
            (Isa::Avx2, _) if columns <= 2 => 4,
            (Isa::Avx2, _) => 2,
        }
    }
}

/// K-steps of byte weights that one byte has room for.
pub(crate) fn int8_k_steps_per_byte(weights: Bits) -> usize {
    match weights.get() {
        1..=2 => 4,
        3..=4 => 2,
        _ => 1,
    }
}

/// What is subtracted from byte weights before they are stored, so that eight-bit codes fit a signed byte.
pub(crate) fn int8_center(weights: Bits) -> i32 {
    if weights.get() == 8 { 128 } else { 0 }
}

/// K-steps after which a 16-bit sum of pairs of byte products could overflow; none where one pair could.
fn narrow_k_steps(weights: Bits, activations: Bits) -> usize {
    let max_weight = match int8_center(weights) {
        0 => usize::from(weights.max_code()),
        center => center.unsigned_abs() as usize,
    };
    32_767 / (2 * max_weight * usize::from(activations.max_code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(k: u8) -> Bits {
        Bits::new(k).unwrap()
    }

    fn form(route: &str, w: u8, a: u8, pixels: usize) -> LoopForm {
        let inner = InnerLoop::choose(route.parse().unwrap(), bits(w), bits(a), pixels);
        assert_eq!(inner.isa, route.parse::<Route>().unwrap().isa);
        inner.form
    }

    #[test]
    fn every_form_is_chosen_where_it_is_meant_to_be() {
        use LoopForm::{Int8Narrow, Int8Shorts, Int8Wide, NibbleTable, NibbleTablePairs, Popcount, SixBitTable};
        let (few, many) = (FEW_PIXELS, FEW_PIXELS + 1);
        let rows = [
            ("popcount-avx2", 3, 2, many, Popcount),
            ("table-avx2", 2, 2, many, NibbleTable),
            ("table-avx2", 2, 1, many, NibbleTablePairs),
            ("table-avx2", 2, 1, few, NibbleTable),
            ("table-portable", 2, 1, many, NibbleTablePairs),
            ("table-neon", 2, 1, many, NibbleTable),
            ("table-avx512", 2, 1, many, SixBitTable),
            ("int8-portable", 2, 4, many, Int8Wide { k_steps_per_byte: 1 }),
            ("int8-portable", 8, 8, few, Int8Wide { k_steps_per_byte: 1 }),
            ("int8-neon", 2, 4, many, Int8Wide { k_steps_per_byte: 4 }),
            ("int8-avx512", 4, 4, many, Int8Wide { k_steps_per_byte: 2 }),
            // 32767 / (2 * 3 * 15) pairs of products.
            ("int8-avx2", 2, 4, many, Int8Narrow { k_steps_per_byte: 1, max_k_steps: 364 }),
            ("int8-avx2", 2, 4, few, Int8Narrow { k_steps_per_byte: 4, max_k_steps: 364 }),
            ("int8-avx2", 4, 8, few, Int8Narrow { k_steps_per_byte: 2, max_k_steps: 4 }),
            ("int8-avx2", 5, 8, many, Int8Wide { k_steps_per_byte: 1 }),
            ("int8-avx2", 7, 8, many, Int8Shorts { short_weights: true }),
            ("int8-avx2", 8, 8, few, Int8Shorts { short_weights: false }),
            ("int8-avx2", 8, 7, many, Int8Wide { k_steps_per_byte: 1 }),
        ];
        for (route, w, a, pixels, expected) in rows {
            assert_eq!(form(route, w, a, pixels), expected, "{route} w{w}a{a}, {pixels} pixels");
        }
    }

    #[test]
    fn tiles_fit_their_limits() {
        for (isa, family) in Isa::ALL.into_iter().flat_map(|isa| Family::ALL.map(|family| (isa, family))) {
            for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (w, a))) {
                let inner = InnerLoop::choose(Route { family, isa }, bits(w), bits(a), FEW_PIXELS + 1);
                assert!((1..=MAX_COLUMNS).contains(&inner.max_columns()));
                for columns in 1..=inner.max_columns() {
                    assert!([1, 2, 4].contains(&inner.max_panels(columns)), "{inner:?}, {columns} columns");
                }
            }
        }
    }
}
