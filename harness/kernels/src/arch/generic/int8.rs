//! Products of bytes: four channels per K-step, one 32-bit lane per output channel. Weights of four bits and fewer share
//! bytes and are taken apart in registers.

use std::sync::atomic::{Ordering, compiler_fence};

use crate::arch::tile::{Pass, Tile};

/// The operations of the byte loop. See [`crate::arch::generic`] for the rules that implementers keep.
pub(crate) trait Dot {
    /// A vector of 32-bit lanes, each of which holds four bytes or one number.
    type Vector: Copy;
    /// Lanes of the vector: output channels of a panel.
    const LANES: usize;
    /// Whether weights are read again for each field that is taken out of them, instead of once: on sets where the
    /// instruction that takes them apart can read memory, and no register is left to keep them in.
    const REREAD: bool;
    /// A vector of zeros.
    unsafe fn zero() -> Self::Vector;
    /// Reads a whole vector of weights.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// Reads four activations into every lane.
    unsafe fn splat(from: *const u8) -> Self::Vector;
    /// Field `index` of every byte: its bits `index * width .. (index + 1) * width` for `width = 8 / PER_BYTE`, moved to the
    /// bottom, the rest zero. `PER_BYTE` is 2 or 4.
    unsafe fn field<const PER_BYTE: usize>(weights: Self::Vector, index: usize) -> Self::Vector;
    /// In every 32-bit lane, `sums` plus the dot product of four unsigned by four signed bytes. Exact: the layout keeps the
    /// products of 8-bit codes within what the set's instructions can hold.
    unsafe fn wide(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector;
    /// In every 16-bit half lane, `sums` plus two of these products. Exact for as many K-steps as the layout allows. Called
    /// by loops with sums in 16 bits alone: a set for which no such loop is chosen may return anything, here and in `join`.
    unsafe fn narrow(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector;
    /// Adds the two signed 16-bit halves of every lane into a 32-bit number.
    unsafe fn join(sums: Self::Vector) -> Self::Vector;
    /// Stores the lanes as `LANES` numbers in order, or adds them to the numbers that are there.
    unsafe fn finish(sums: Self::Vector, add: bool, out: *mut i32);
}

/// The tile function for weights of which `PER_BYTE` K-steps (1, 2 or 4) share a byte, with sums in 16 bits if `NARROW`.
///
/// # Safety
/// As for [`crate::arch::tile::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<D: Dot, const PER_BYTE: usize, const NARROW: bool, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    for pass in tile.passes {
        // SAFETY: the caller's promise.
        unsafe { run::<D, R, C, PER_BYTE, NARROW>(tile, pass, Out { to: out, stride, add: false }) };
    }
}

/// Where the sums of a pass go.
#[derive(Clone, Copy)]
struct Out {
    to: *mut i32,
    stride: usize,
    /// Whether they are added to what is there.
    add: bool,
}

/// One pass.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn run<D: Dot, const R: usize, const C: usize, const PER_BYTE: usize, const NARROW: bool>(
    tile: &Tile<'_>,
    pass: &Pass<'_>,
    mut out: Out,
) {
    let mut weights = tile.weights;
    // SAFETY: offsets stay inside the segments and the panels, by the caller's promise.
    unsafe {
        let mut sums = [[D::zero(); C]; R];
        // A multiple of the K-steps that share a byte, so that sums are never drained in the middle of a byte.
        let max_k_steps = if NARROW { pass.max_k_steps / PER_BYTE * PER_BYTE } else { usize::MAX };
        let mut room = max_k_steps;
        for &segment in pass.segments {
            let columns: [*const u8; C] =
                std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
            // One offset for all columns: their pointers stay in registers.
            let mut at = 0;
            let mut left = pass.k_steps;
            while left > 0 {
                let count = left.min(room);
                for _ in 0..count / PER_BYTE {
                    for field in 0..PER_BYTE {
                        if D::REREAD {
                            // Emits no instruction, but forbids the compiler to keep what was read before.
                            compiler_fence(Ordering::SeqCst);
                        }
                        let mut loaded = [D::zero(); R];
                        for r in 0..R {
                            let whole = D::load(weights.add(r * tile.panel_bytes));
                            loaded[r] = if PER_BYTE == 1 { whole } else { D::field::<PER_BYTE>(whole, field) };
                        }
                        for c in 0..C {
                            let activations = D::splat(columns[c].add(at + 4 * field));
                            for r in 0..R {
                                sums[r][c] = if NARROW {
                                    D::narrow(sums[r][c], activations, loaded[r])
                                } else {
                                    D::wide(sums[r][c], activations, loaded[r])
                                };
                            }
                        }
                    }
                    weights = weights.add(4 * D::LANES);
                    at += 4 * PER_BYTE;
                }
                left -= count;
                room -= count;
                if room == 0 {
                    drain::<D, R, C>(&mut sums, NARROW, out);
                    out.add = true;
                    room = max_k_steps;
                }
            }
        }
        drain::<D, R, C>(&mut sums, NARROW, out);
    }
}

/// Stores or adds all sums, and makes them zero.
///
/// # Safety
/// As for [`run`].
#[inline(always)]
unsafe fn drain<D: Dot, const R: usize, const C: usize>(sums: &mut [[D::Vector; C]; R], narrow: bool, out: Out) {
    for r in 0..R {
        for c in 0..C {
            // SAFETY: `out` holds `C` columns of `R` panels.
            unsafe {
                let total = if narrow { D::join(sums[r][c]) } else { sums[r][c] };
                D::finish(total, out.add, out.to.add(c * out.stride + r * D::LANES));
                sums[r][c] = D::zero();
            }
        }
    }
}
