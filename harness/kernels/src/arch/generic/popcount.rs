//! Products of bit-planes: AND, population count, and a shift between levels.
//!
//! `sum_k w_k a_k = sum_{i,j} 2^(i+j) popcount(W_i & A_j)` over the planes of the weights and of the activations. Lanes are
//! output channels, and a K-step is a word of 64 channels. The pairs of planes are taken from the highest level `i + j` down,
//! and the accumulators are doubled between levels (Horner's scheme), so one set of accumulators serves all pairs.

use crate::arch::tile::Tile;

/// The operations of the population-count loop. See [`crate::arch::generic`] for the rules that implementers keep.
pub(crate) trait Words {
    /// A vector of 64-bit words.
    type Vector: Copy;
    /// Words of the vector: output channels of a panel.
    const LANES: usize;
    /// A vector of zeros.
    unsafe fn zero() -> Self::Vector;
    /// Reads a whole vector of weights.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// Reads one word of activations into every lane.
    unsafe fn splat(from: *const u8) -> Self::Vector;
    /// In every lane, `sums + popcount(a & b)`. Sums are below `2^32`.
    unsafe fn count(sums: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// In every lane, twice the sum.
    unsafe fn double(sums: Self::Vector) -> Self::Vector;
    /// Stores the lower 32 bits of the lanes as `LANES` numbers in order.
    unsafe fn finish(sums: Self::Vector, out: *mut i32);
}

/// The tile function.
///
/// # Safety
/// As for [`crate::arch::tile::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<W: Words, const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: offsets stay inside the segments, planes and panels, by the caller's promise.
    unsafe {
        let mut sums = [[W::zero(); C]; R];
        for level in (0..tile.planes + tile.passes.len() - 1).rev() {
            for sum in sums.as_flattened_mut() {
                *sum = W::double(*sum);
            }
            for (j, pass) in tile.passes.iter().enumerate() {
                if level < j || level - j >= tile.planes {
                    continue;
                }
                let mut weights = tile.weights.add((level - j) * tile.plane_bytes);
                for &segment in pass.segments {
                    let columns: [*const u8; C] =
                        std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
                    for k_step in 0..pass.k_steps {
                        let mut loaded = [W::zero(); R];
                        for r in 0..R {
                            loaded[r] = W::load(weights.add(r * tile.panel_bytes));
                        }
                        for c in 0..C {
                            let activations = W::splat(columns[c].add(8 * k_step));
                            for r in 0..R {
                                sums[r][c] = W::count(sums[r][c], activations, loaded[r]);
                            }
                        }
                        weights = weights.add(8 * W::LANES);
                    }
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                W::finish(sums[r][c], out.add(c * stride + r * W::LANES));
            }
        }
    }
}
