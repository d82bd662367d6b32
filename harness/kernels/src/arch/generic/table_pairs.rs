//! The table loop for one-bit activations, two columns in one look-up.
//!
//! A sum of four one-bit products fits half a byte. So one table entry can hold the sums of two columns: the first one's in
//! the lower half, the second one's in the upper half. Three look-ups fill a half; then the upper halves are added to bytes
//! of their own, and whole bytes to other bytes modulo 256, from which the first column's sums are recovered at the end.

use std::sync::atomic::{Ordering, compiler_fence};

use super::table::{self, Out, Shuffle, WIDENINGS};
use crate::arch::tile::{Pass, Tile};

/// What a set with four-bit indices needs besides for two columns at once. See [`crate::arch::generic`] for the rules that
/// implementers keep.
pub(crate) trait Pairs: Shuffle {
    /// K-steps whose offsets are joined by one call of [`Pairs::join_offsets`]: a divisor of 16.
    const JOINED: usize;
    /// Writes [`Pairs::JOINED`] numbers: the 16-bit numbers at `a` plus twice those at `b`.
    unsafe fn join_offsets(a: *const u8, b: *const u8, out: *mut u16);
    /// Reads the table of two columns at byte `offset` of `PAIR_TABLES`, repeated as for [`Shuffle::table`].
    unsafe fn pair_table(offset: usize) -> Self::Vector;
    /// Sums of bytes modulo 256.
    unsafe fn wrap(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The first column's sums, given its bytes `both = first + 16 * second` modulo 256.
    unsafe fn first(both: Self::Vector, second: Self::Vector) -> Self::Vector;
}

/// Bytes of activations that may be read after the last one, without being used: those of 15 K-steps.
pub(crate) const SLACK: usize = 30;

/// The tile function for activations of one bit; a K-step of weights has bytes of its own. A tile with a single column has
/// no pair and is computed by the plain loop from the same operands.
///
/// # Safety
/// As for [`table::tile`]; after the panels there are as many readable bytes as two K-steps of weights have, after the
/// activations [`SLACK`].
#[inline(always)]
pub(crate) unsafe fn tile<S: Pairs, const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    if C == 1 {
        // SAFETY: the caller's promise.
        return unsafe { table::tile::<S, false, R, C>(tile, out, stride) };
    }
    for (index, pass) in tile.passes.iter().enumerate() {
        for plane in 0..tile.planes {
            // SAFETY: the plane lies in the panel; the rest is the caller's promise.
            unsafe {
                let weights = tile.weights.add(plane * tile.plane_bytes);
                let out = Out { to: out, stride, shift: plane as u32 + pass.shift, add: index + plane > 0 };
                match C.div_ceil(2) {
                    1 => run::<S, R, C, 1>(tile, pass, weights, out),
                    2 => run::<S, R, C, 2>(tile, pass, weights, out),
                    _ => run::<S, R, C, 3>(tile, pass, weights, out),
                }
            }
        }
    }
}

/// K-steps of one-bit products whose sum fits a byte: `63 * 4 = 252`.
const MAX_K_STEPS: usize = 63;
/// K-steps of one-bit products whose sum fits half a byte: `3 * 4 = 12`.
const TRIPLE: usize = 3;
/// Room for the offsets of [`MAX_K_STEPS`] K-steps, those that are joined along with the last ones, and two zeros.
const OFFSETS: usize = 66;

/// One plane of the weights over one bit of the activations, for the `P` pairs of `C` columns.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn run<S: Pairs, const R: usize, const C: usize, const P: usize>(
    tile: &Tile<'_>,
    pass: &Pass<'_>,
    mut weights: *const u8,
    mut out: Out,
) {
    // SAFETY: offsets stay inside the segments and the plane, by the caller's promise, except for the activations that are
    // joined along with a segment's last ones and the weights that fill up the last triple. Both may be read (see `tile`),
    // and neither counts: the end of the triple looks up in the table of zeros. One offset plus twice another is the offset
    // of a table.
    unsafe {
        let mut both = [[S::zero(); P]; R];
        let mut second = [[S::zero(); P]; R];
        let mut wide = [[[[S::zero(); 2]; 2]; P]; R];
        let mut offsets = [[0; OFFSETS]; P];
        let mut widenings = WIDENINGS - 1;
        let mut room = MAX_K_STEPS;
        for &segment in pass.segments {
            let columns: [*const u8; C] =
                std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
            let mut at = 0;
            let mut left = pass.k_steps;
            while left > 0 {
                let count = left.min(room);
                for (p, offsets) in offsets.iter_mut().enumerate() {
                    // The last column of an odd number is its own partner.
                    let (a, b) = (columns[2 * p].add(at), columns[(2 * p + 1).min(C - 1)].add(at));
                    let to = offsets.as_mut_ptr();
                    for k_step in (0..count).step_by(S::JOINED) {
                        S::join_offsets(a.add(2 * k_step), b.add(2 * k_step), to.add(k_step));
                    }
                    to.add(count).write(0);
                    to.add(count + 1).write(0);
                }
                for triple in 0..count.div_ceil(TRIPLE) {
                    let weights = weights.add(triple * TRIPLE * S::BYTES);
                    // One pair of columns after the other, and indices are read again for each: the shuffle reads them
                    // from memory anyway, and registers are few.
                    for p in 0..P {
                        // Emits no instruction, but forbids the compiler to keep what was read before.
                        compiler_fence(Ordering::SeqCst);
                        let offsets = offsets[p].as_ptr().add(triple * TRIPLE);
                        let mut sums = [S::zero(); R];
                        for k_step in 0..TRIPLE {
                            let table = S::pair_table(usize::from(offsets.add(k_step).read()));
                            for r in 0..R {
                                let index = S::load(weights.add(r * tile.panel_bytes + k_step * S::BYTES));
                                let found = S::lookup(table, index);
                                sums[r] = if k_step == 0 { found } else { S::add(sums[r], found) };
                            }
                        }
                        for r in 0..R {
                            both[r][p] = S::wrap(both[r][p], sums[r]);
                            second[r][p] = S::add(second[r][p], S::high(sums[r]));
                        }
                    }
                }
                weights = weights.add(count * S::BYTES);
                at += 2 * count;
                left -= count;
                room -= count;
                if room == 0 {
                    split::<S, R, P>(&mut both, &mut second, &mut wide);
                    room = MAX_K_STEPS;
                    widenings -= 1;
                    if widenings == 0 {
                        finish::<S, R, C, P>(&wide, out);
                        wide = [[[[S::zero(); 2]; 2]; P]; R];
                        out.add = true;
                        widenings = WIDENINGS - 1;
                    }
                }
            }
        }
        split::<S, R, P>(&mut both, &mut second, &mut wide);
        finish::<S, R, C, P>(&wide, out);
    }
}

/// Takes the columns of each pair apart and widens their sums.
///
/// # Safety
/// The operations' instructions exist.
#[inline(always)]
unsafe fn split<S: Pairs, const R: usize, const P: usize>(
    both: &mut [[S::Vector; P]; R],
    second: &mut [[S::Vector; P]; R],
    wide: &mut [[[[S::Vector; 2]; 2]; P]; R],
) {
    for r in 0..R {
        for p in 0..P {
            // SAFETY: all are exclusive references.
            unsafe {
                S::widen(S::first(both[r][p], second[r][p]), &mut wide[r][p][0]);
                S::widen(second[r][p], &mut wide[r][p][1]);
                both[r][p] = S::zero();
                second[r][p] = S::zero();
            }
        }
    }
}

/// Stores or adds the sums of all columns.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn finish<S: Pairs, const R: usize, const C: usize, const P: usize>(
    wide: &[[[[S::Vector; 2]; 2]; P]; R],
    out: Out,
) {
    for (r, row) in wide.iter().enumerate() {
        for (c, wide) in row.as_flattened().iter().enumerate().take(C) {
            // SAFETY: `out` holds `C` columns of `R` panels.
            unsafe { S::finish(wide, out.shift, out.add, out.to.add(c * out.stride + r * S::BYTES)) };
        }
    }
}
