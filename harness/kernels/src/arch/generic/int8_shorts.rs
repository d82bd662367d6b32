//! Products of 16-bit numbers, for codes so wide that a pair of their byte products does not fit 16 bits: on sets without a
//! dot product that holds any two bytes (AVX2).

use super::int8::Dot;
use crate::arch::tile::Tile;

/// What the 16-bit loop needs besides the operations of the byte loop. See [`crate::arch::generic`] for the rules that
/// implementers keep.
pub(crate) trait Shorts: Dot {
    /// Bytes 0 and 2 of every lane, sign-extended to the lane's two 16-bit halves.
    unsafe fn even(weights: Self::Vector) -> Self::Vector;
    /// Bytes 1 and 3 of every lane, in the same way.
    unsafe fn odd(weights: Self::Vector) -> Self::Vector;
    /// In every 32-bit lane, `sums` plus the dot product of two by two signed 16-bit numbers.
    unsafe fn pairs(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector;
}

/// The tile function for activations stored in 16 bits, in the order of `SHORT_ORDER`; weights are stored in 16 bits too if
/// `SHORT_WEIGHTS`, else in bytes.
///
/// # Safety
/// As for [`crate::arch::tile::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<D: Shorts, const SHORT_WEIGHTS: bool, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    let vector = 4 * D::LANES;
    for pass in tile.passes {
        let mut weights = tile.weights;
        // SAFETY: offsets stay inside the segments and the panels, by the caller's promise.
        unsafe {
            let mut sums = [[D::zero(); C]; R];
            for &segment in pass.segments {
                let columns: [*const u8; C] =
                    std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
                for k_step in 0..pass.k_steps {
                    for half in 0..2 {
                        let mut loaded = [D::zero(); R];
                        for r in 0..R {
                            let panel = weights.add(r * tile.panel_bytes);
                            loaded[r] = match (SHORT_WEIGHTS, half) {
                                (true, _) => D::load(panel.add(half * vector)),
                                (false, 0) => D::even(D::load(panel)),
                                (false, _) => D::odd(D::load(panel)),
                            };
                        }
                        for c in 0..C {
                            let activations = D::splat(columns[c].add(8 * k_step + 4 * half));
                            for r in 0..R {
                                sums[r][c] = D::pairs(sums[r][c], activations, loaded[r]);
                            }
                        }
                    }
                    weights = weights.add(if SHORT_WEIGHTS { 2 * vector } else { vector });
                }
            }
            for r in 0..R {
                for c in 0..C {
                    D::finish(sums[r][c], false, out.add(c * stride + r * D::LANES));
                }
            }
        }
    }
}
