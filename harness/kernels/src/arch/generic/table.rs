//! Products by table: the bits of the weights are indices of a byte shuffle.
//!
//! For a K-step of g channels with activations `a_0 .. a_{g-1}`, the table of all subset sums,
//! `T[i] = sum_b bit_b(i) * a_b`, serves every output channel at once: lane n looks up the g weight bits of channel n. One
//! shuffle and one addition make g products in each byte lane, whatever the number of activation bits. The tables of all
//! possible activations are stored in [`super::tables`], and activations are packed as offsets into these: one offset per
//! digit, a digit being two bits of each of four channels or one bit of each of six. The tables of the digits are added to
//! that of the K-step. Byte sums are widened to 16 bits before they can overflow, and stored in 32.

use crate::arch::tile::{Pass, Tile};

/// The operations of the table loop. See [`crate::arch::generic`] for the rules that implementers keep.
pub(crate) trait Shuffle {
    /// A vector of bytes.
    type Vector: Copy;
    /// Bytes of the vector: output channels of a panel.
    const BYTES: usize;
    /// Channels of a K-step, which are the bits of an index: 4, where a byte of weights has room for two K-steps, or 6.
    const K_STEP: usize;
    /// A vector of zeros.
    unsafe fn zero() -> Self::Vector;
    /// Reads a whole vector of weights.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// The indices of the first of two K-steps that share bytes: the lower half of every byte. With six-bit indices nothing
    /// is shared, and `low` and `high` are never called.
    unsafe fn low(weights: Self::Vector) -> Self::Vector;
    /// The indices of the second K-step: the upper half of every byte.
    unsafe fn high(weights: Self::Vector) -> Self::Vector;
    /// Reads the table at byte `offset` of those of digit `digit` among `DIGITS`, repeated in every part of the vector that
    /// the set's shuffle indexes separately. The offset is that of a table.
    unsafe fn table<const DIGITS: usize>(digit: usize, offset: usize) -> Self::Vector;
    /// In every byte, the byte of `table` at that byte of `index`, which is below `2^K_STEP`.
    unsafe fn lookup(table: Self::Vector, index: Self::Vector) -> Self::Vector;
    /// Sums of bytes; the layout's numbers of K-steps keep them below 256.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Adds the even bytes to the 16-bit numbers of `wide[0]`, the odd bytes to those of `wide[1]`. May keep the numbers in
    /// another form that [`Shuffle::finish`] understands.
    unsafe fn widen(bytes: Self::Vector, wide: *mut [Self::Vector; 2]);
    /// Stores the 16-bit numbers, shifted to the left, as `BYTES` 32-bit numbers in the order of the output channels, or adds
    /// them to the numbers that are there. Byte `4 * i + j` of a vector of weights belongs to output channel
    /// `j * BYTES / 4 + i` of the panel, since widening by shifts takes bytes apart in that order.
    unsafe fn finish(wide: *const [Self::Vector; 2], shift: u32, add: bool, out: *mut i32);
}

/// The tile function; two K-steps share a byte of the weights if `DENSE`.
///
/// # Safety
/// As for [`crate::arch::tile::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<S: Shuffle, const DENSE: bool, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    for (index, pass) in tile.passes.iter().enumerate() {
        for plane in 0..tile.planes {
            // SAFETY: the plane lies in the panel; the rest is the caller's promise.
            unsafe {
                let weights = tile.weights.add(plane * tile.plane_bytes);
                let out = Out { to: out, stride, shift: plane as u32 + pass.shift, add: index + plane > 0 };
                // Four-channel tables have two digits at most, so nothing is compiled for a third one.
                match (pass.digits, S::K_STEP) {
                    (1, _) => run::<S, R, C, 1, DENSE>(tile, pass, weights, out),
                    (2, _) | (_, 4) => run::<S, R, C, 2, DENSE>(tile, pass, weights, out),
                    _ => run::<S, R, C, 3, DENSE>(tile, pass, weights, out),
                }
            }
        }
    }
}

/// Where the sums of a plane go.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) to: *mut i32,
    pub(super) stride: usize,
    /// The sums count `2^shift` times.
    pub(super) shift: u32,
    /// Whether they are added to what is there.
    pub(super) add: bool,
}

/// Byte sums that a 16-bit number can take: `257 * 255 = 65535`.
pub(super) const WIDENINGS: usize = 257;

/// One plane of the weights over one pass of the activations, with `D` digits per K-step; two K-steps share a byte of the
/// weights if `DENSE`.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn run<S: Shuffle, const R: usize, const C: usize, const D: usize, const DENSE: bool>(
    tile: &Tile<'_>,
    pass: &Pass<'_>,
    mut weights: *const u8,
    mut out: Out,
) {
    let step = if DENSE { 2 } else { 1 };
    // SAFETY: offsets stay inside the segments and the plane, by the caller's promise; the 16-bit offsets read from
    // the activations are multiples of a table's size below their number.
    unsafe {
        let mut sums = [[S::zero(); C]; R];
        let mut wide = [[[S::zero(); 2]; C]; R];
        let mut widenings = WIDENINGS - 1;
        let mut room = pass.max_k_steps;
        for &segment in pass.segments {
            let columns: [*const u8; C] =
                std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
            // One offset for all columns: their pointers stay in registers.
            let mut at = 0;
            let mut left = pass.k_steps;
            while left > 0 {
                let count = left.min(room);
                for _ in 0..count / step {
                    let mut index = [S::zero(); R];
                    for r in 0..R {
                        let loaded = S::load(weights.add(r * tile.panel_bytes));
                        index[r] = if DENSE { S::low(loaded) } else { loaded };
                    }
                    look_up::<S, R, C, D>(&columns, at, &index, &mut sums);
                    if DENSE {
                        for r in 0..R {
                            index[r] = S::high(S::load(weights.add(r * tile.panel_bytes)));
                        }
                        look_up::<S, R, C, D>(&columns, at + 2 * D, &index, &mut sums);
                    }
                    weights = weights.add(S::BYTES);
                    at += step * 2 * D;
                }
                left -= count;
                room -= count;
                if room == 0 {
                    widen::<S, R, C>(&mut sums, &mut wide);
                    room = pass.max_k_steps;
                    widenings -= 1;
                    if widenings == 0 {
                        finish::<S, R, C>(&wide, out);
                        wide = [[[S::zero(); 2]; C]; R];
                        out.add = true;
                        widenings = WIDENINGS - 1;
                    }
                }
            }
        }
        widen::<S, R, C>(&mut sums, &mut wide);
        finish::<S, R, C>(&wide, out);
    }
}

/// Looks up one K-step of all columns and panels, and adds what is found to the byte sums.
///
/// # Safety
/// As for [`run`].
#[inline(always)]
unsafe fn look_up<S: Shuffle, const R: usize, const C: usize, const D: usize>(
    columns: &[*const u8; C],
    at: usize,
    index: &[S::Vector; R],
    sums: &mut [[S::Vector; C]; R],
) {
    for c in 0..C {
        // SAFETY: the caller's promise.
        unsafe {
            let mut table = S::zero();
            for digit in 0..D {
                let offset = columns[c].add(at + 2 * digit).cast::<u16>().read_unaligned();
                let part = S::table::<D>(digit, usize::from(offset));
                table = if digit == 0 { part } else { S::add(table, part) };
            }
            // All look-ups first: the processor is then free to start them before any sum is needed.
            let mut found = [S::zero(); R];
            for r in 0..R {
                found[r] = S::lookup(table, index[r]);
            }
            for r in 0..R {
                sums[r][c] = S::add(sums[r][c], found[r]);
            }
        }
    }
}

/// Adds all byte sums to the 16-bit ones, and makes them zero.
///
/// # Safety
/// The operations' instructions exist.
#[inline(always)]
unsafe fn widen<S: Shuffle, const R: usize, const C: usize>(
    sums: &mut [[S::Vector; C]; R],
    wide: &mut [[[S::Vector; 2]; C]; R],
) {
    for r in 0..R {
        for c in 0..C {
            // SAFETY: both are exclusive references.
            unsafe {
                S::widen(sums[r][c], &mut wide[r][c]);
                sums[r][c] = S::zero();
            }
        }
    }
}

/// Stores or adds all 16-bit sums.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn finish<S: Shuffle, const R: usize, const C: usize>(wide: &[[[S::Vector; 2]; C]; R], out: Out) {
    for (r, row) in wide.iter().enumerate() {
        for (c, wide) in row.iter().enumerate() {
            // SAFETY: `out` holds `C` columns of `R` panels.
            unsafe { S::finish(wide, out.shift, out.add, out.to.add(c * out.stride + r * S::BYTES)) };
        }
    }
}
