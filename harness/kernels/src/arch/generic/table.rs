//! Products by table: the bits of the weights are indices of a byte shuffle.
//!
//! For a unit of g channels with activations `a_0 .. a_{g-1}`, the table of all subset sums,
//! `T[i] = sum_b bit_b(i) * a_b`, answers every output channel at once: lane n looks up the g weight bits of channel
//! n. One shuffle and one addition make g products in each byte lane, whatever the activations' width.
//! The tables of all possible activations are themselves kept in a table, whose index is what activations are packed
//! to: a sum of one entry a digit, a digit being two bits of each of four channels or one bit of each of six.
//! Bytes are widened before they can overflow.
//!
//! Sums of four one-bit products fit half a byte, so there a table answers for two columns at once: the second one's
//! sums stand in the upper halves. Three look-ups fill a half; then it is added to bytes of its own.

use std::sync::atomic::{Ordering, compiler_fence};

use crate::arch::{Pass, Tile};

/// The operations of the table loop.
pub(crate) trait Shuffle {
    /// A vector of bytes.
    type Vector: Copy;
    /// Bytes in it: output channels of a panel.
    const BYTES: usize;
    /// Whether an index has four bits, so that a byte of weights has room for those of two units; else six.
    const NIBBLES: bool;
    /// Zero.
    unsafe fn zero() -> Self::Vector;
    /// A vector of weights.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// The first unit's indices.
    unsafe fn low(weights: Self::Vector) -> Self::Vector;
    /// The second unit's.
    unsafe fn high(weights: Self::Vector) -> Self::Vector;
    /// The table at byte `offset` of those of digit `D` among `DIGITS`, in every part of the vector that a shuffle
    /// indexes.
    unsafe fn table<const DIGITS: usize>(digit: usize, offset: usize) -> Self::Vector;
    /// Bytes of `table` at `index`.
    unsafe fn lookup(table: Self::Vector, index: Self::Vector) -> Self::Vector;
    /// Sum of bytes.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Adds the even bytes to the 16-bit numbers at `wide[0]`, the odd bytes to those at `wide[1]`.
    unsafe fn widen(bytes: Self::Vector, wide: *mut [Self::Vector; 2]);
    /// Stores the 16-bit numbers, shifted, as 32-bit ones in the order of channels, or adds them to what is there.
    unsafe fn finish(wide: *const [Self::Vector; 2], shift: u32, add: bool, out: *mut i32);
}

/// What a set with indices of four bits needs besides, for two columns at once.
pub(crate) trait Pairs: Shuffle {
    /// Units whose offsets are joined at a time: a divisor of 16.
    const JOINED: usize;
    /// The 16-bit numbers at `a` plus twice those at `b`, of [`Pairs::JOINED`] units.
    unsafe fn join_offsets(a: *const u8, b: *const u8, out: *mut u16);
    /// The table of two columns at byte `offset`.
    unsafe fn pair_table(offset: usize) -> Self::Vector;
    /// Sum of bytes modulo 256.
    unsafe fn wrap(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The first column's sums from `both = first + 16 * second` modulo 256.
    unsafe fn first(both: Self::Vector, second: Self::Vector) -> Self::Vector;
}

/// # Safety
/// As for [`crate::arch::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<S: Shuffle, const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    let dense = S::NIBBLES && tile.shared == 2;
    for (index, pass) in tile.passes.iter().enumerate() {
        for plane in 0..tile.planes {
            // SAFETY: the plane lies in the panel; the rest is the caller's promise.
            unsafe {
                let weights = tile.weights.add(plane * tile.plane_bytes);
                let out = Out { to: out, stride, shift: plane as u32 + pass.shift, add: index + plane > 0 };
                match (pass.unit_bytes, dense) {
                    (2, false) => run::<S, R, C, 1, false>(tile, pass, weights, out),
                    (4, false) => run::<S, R, C, 2, false>(tile, pass, weights, out),
                    (_, false) => run::<S, R, C, 3, false>(tile, pass, weights, out),
                    (2, true) => run::<S, R, C, 1, true>(tile, pass, weights, out),
                    (_, true) => run::<S, R, C, 2, true>(tile, pass, weights, out),
                }
            }
        }
    }
}

/// The tile for activations of one bit, two columns at a time; a unit of weights has bytes of its own.
///
/// # Safety
/// As for [`tile`]; after the panels there are as many readable bytes as two units of weights have, after the
/// activations [`SLACK`].
#[inline(always)]
pub(crate) unsafe fn tile_of_pairs<S: Pairs, const R: usize, const C: usize>(
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
                match C.div_ceil(2) {
                    1 => pairs::<S, R, C, 1>(tile, pass, weights, out),
                    2 => pairs::<S, R, C, 2>(tile, pass, weights, out),
                    _ => pairs::<S, R, C, 3>(tile, pass, weights, out),
                }
            }
        }
    }
}

/// Where a plane's products go, and by how much they are shifted.
#[derive(Clone, Copy)]
struct Out {
    to: *mut i32,
    stride: usize,
    shift: u32,
    /// Whether something is there already.
    add: bool,
}

/// Byte sums that a 16-bit number can take: `257 * 255 = 65535`.
const WIDENINGS: usize = 257;

/// One plane of the weights over one pass of the activations, `D` digits a unit; two units share a byte of the weights
/// if `DENSE`.
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
        let mut room = pass.chunk;
        for &segment in pass.segments {
            let columns: [*const u8; C] =
                std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
            // One offset for all columns: their pointers stay in registers.
            let mut at = 0;
            let mut left = pass.units;
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
                    room = pass.chunk;
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

/// Units of one-bit products that a byte can take: `63 * 4 = 252`.
const PAIR_CHUNK: usize = 63;
/// Units whose sums fit half a byte: `3 * 4 = 12`.
const TRIPLE: usize = 3;
/// Room for the offsets of a chunk, for what is joined with its last ones, and for two zeros.
const OFFSETS: usize = 66;

/// One plane of the weights over one bit of the activations, `P` pairs of `C` columns.
///
/// # Safety
/// As for [`tile_of_pairs`].
#[inline(always)]
unsafe fn pairs<S: Pairs, const R: usize, const C: usize, const P: usize>(
    tile: &Tile<'_>,
    pass: &Pass<'_>,
    mut weights: *const u8,
    mut out: Out,
) {
    // SAFETY: offsets stay inside the segments and the plane, by the caller's promise, but for what is joined with a
    // segment's last units and the weights that fill up a triple, neither of which counts: the triple's end has the
    // table of zeros. One offset and twice another add up to a place in the tables.
    unsafe {
        let mut both = [[S::zero(); P]; R];
        let mut second = [[S::zero(); P]; R];
        let mut wide = [[[[S::zero(); 2]; 2]; P]; R];
        let mut offsets = [[0; OFFSETS]; P];
        let mut widenings = WIDENINGS - 1;
        let mut room = PAIR_CHUNK;
        for &segment in pass.segments {
            let columns: [*const u8; C] =
                std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
            let mut at = 0;
            let mut left = pass.units;
            while left > 0 {
                let count = left.min(room);
                for (p, offsets) in offsets.iter_mut().enumerate() {
                    // The last column of an odd number is its own partner.
                    let (a, b) = (columns[2 * p].add(at), columns[(2 * p + 1).min(C - 1)].add(at));
                    let to = offsets.as_mut_ptr();
                    for unit in (0..count).step_by(S::JOINED) {
                        S::join_offsets(a.add(2 * unit), b.add(2 * unit), to.add(unit));
                    }
                    to.add(count).write(0);
                    to.add(count + 1).write(0);
                }
                for triple in 0..count.div_ceil(TRIPLE) {
                    let weights = weights.add(triple * TRIPLE * S::BYTES);
                    // One pair after the other, for which indices are read again: a shuffle can do that itself, and
                    // registers are few.
                    for p in 0..P {
                        // No instruction; what was read before it counts as out of date.
                        compiler_fence(Ordering::SeqCst);
                        let offsets = offsets[p].as_ptr().add(triple * TRIPLE);
                        let mut sums = [S::zero(); R];
                        for unit in 0..TRIPLE {
                            let table = S::pair_table(usize::from(offsets.add(unit).read()));
                            for r in 0..R {
                                let index = S::load(weights.add(r * tile.panel_bytes + unit * S::BYTES));
                                let found = S::lookup(table, index);
                                sums[r] = if unit == 0 { found } else { S::add(sums[r], found) };
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
                    room = PAIR_CHUNK;
                    widenings -= 1;
                    if widenings == 0 {
                        finish_pairs::<S, R, C, P>(&wide, out);
                        wide = [[[[S::zero(); 2]; 2]; P]; R];
                        out.add = true;
                        widenings = WIDENINGS - 1;
                    }
                }
            }
        }
        split::<S, R, P>(&mut both, &mut second, &mut wide);
        finish_pairs::<S, R, C, P>(&wide, out);
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

/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn finish_pairs<S: Pairs, const R: usize, const C: usize, const P: usize>(
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

/// Bytes of activations that may be read after the last one, without being used: those of 15 units.
pub(crate) const SLACK: usize = 30;

/// Tables that start on a cache line.
#[repr(C, align(64))]
pub(crate) struct Tables<const N: usize>([u8; N]);

impl<const N: usize> Tables<N> {
    pub(crate) const fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// For every value of four two-bit numbers, the 16 subset sums, times `scale`, `N / 4096` times each.
const fn four_by_two_bits<const N: usize>(scale: u8) -> Tables<N> {
    let mut tables = [0; N];
    let mut at = 0;
    while at < N {
        let (values, subset) = (at / (N / 256), at % 16);
        let mut channel = 0;
        while channel < 4 {
            if subset >> channel & 1 == 1 {
                tables[at] += (values >> (2 * channel) & 3) as u8 * scale;
            }
            channel += 1;
        }
        at += 1;
    }
    Tables(tables)
}

/// For every value of four two-bit numbers, the 16 subset sums of their lower bits, and 16 times those of their upper
/// bits: the offsets of one column's bits, and twice those of another, add up to the place of the pair.
const fn four_pairs() -> Tables<4096> {
    let mut tables = [0; 4096];
    let mut at = 0;
    while at < 4096 {
        let (values, subset) = (at / 16, at % 16);
        let mut channel = 0;
        while channel < 4 {
            if subset >> channel & 1 == 1 {
                let pair = values >> (2 * channel) & 3;
                tables[at] += (pair & 1) as u8 + 16 * (pair >> 1) as u8;
            }
            channel += 1;
        }
        at += 1;
    }
    Tables(tables)
}

#[cfg(target_arch = "x86_64")]
/// For every value of six bits, the 64 subset sums, times `scale`.
const fn six_by_one_bit(scale: u8) -> Tables<4096> {
    let mut tables = [0; 4096];
    let mut at = 0;
    while at < 4096 {
        let (values, subset) = (at / 64, at % 64);
        tables[at] = (values & subset).count_ones() as u8 * scale;
        at += 1;
    }
    Tables(tables)
}

/// Tables of four-channel units: digit 0 and digit 1.
pub(crate) static NIBBLE_TABLES: [Tables<4096>; 2] = [four_by_two_bits(1), four_by_two_bits(4)];
/// Tables of two columns of one-bit activations.
pub(crate) static PAIR_TABLES: Tables<4096> = four_pairs();
/// The same for both halves of a 32-byte vector, so that the sum of two digits is one addition from memory.
#[cfg(target_arch = "x86_64")]
pub(crate) static DOUBLE_TABLES: [Tables<8192>; 2] = [four_by_two_bits(1), four_by_two_bits(4)];
/// Tables of six-channel units: bit 0, 1, 2.
#[cfg(target_arch = "x86_64")]
pub(crate) static WIDE_TABLES: [Tables<4096>; 3] = [six_by_one_bit(1), six_by_one_bit(2), six_by_one_bit(4)];
