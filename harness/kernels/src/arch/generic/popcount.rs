//! Products of bit-planes: AND, count, and a shift between levels.
//!
//! `sum_k w a = sum_{i,j} 2^(i+j) popcount(W_i & A_j)`. Lanes are output channels, so nothing is summed across a
//! vector, and the depth comes in words of 64. The pairs of planes are taken from the highest level `i + j` down, and
//! the accumulators are doubled between levels (Horner), so no pair needs accumulators of its own.

use crate::arch::Tile;

/// The operations of the population-count loop.
pub(crate) trait Words {
    /// A vector of 64-bit words.
    type Vector: Copy;
    /// Words in it: output channels of a panel.
    const LANES: usize;
    /// Zero.
    unsafe fn zero() -> Self::Vector;
    /// A vector of weight words.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// One word of activations in every lane.
    unsafe fn splat(from: *const u8) -> Self::Vector;
    /// `sums + popcount(a & b)` by word.
    unsafe fn count(sums: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Twice.
    unsafe fn double(sums: Self::Vector) -> Self::Vector;
    /// Stores the lanes.
    unsafe fn finish(sums: Self::Vector, out: *mut i32);
}

/// # Safety
/// As for [`crate::arch::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
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
                    for unit in 0..pass.units {
                        let mut loaded = [W::zero(); R];
                        for r in 0..R {
                            loaded[r] = W::load(weights.add(r * tile.panel_bytes));
                        }
                        for c in 0..C {
                            let activations = W::splat(columns[c].add(8 * unit));
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
