//! Products by table: the bits of the weights are indices of a byte shuffle.
//!
//! For a unit of g channels with activations `a_0 .. a_{g-1}`, the table of all subset sums,
//! `T[i] = sum_b bit_b(i) * a_b`, answers every output channel at once: lane n looks up the g weight bits of channel
//! n. One shuffle and one addition make g products in each byte lane, whatever the activations' width.
//! The tables of all possible activations are themselves kept in a table, whose index is what activations are packed
//! to: a sum of one entry a digit, a digit being two bits of each of four channels or one bit of each of six.
//! Bytes are widened before they can overflow.

use crate::arch::{Pass, Tile};

/// The operations of the table loop.
pub(crate) trait Shuffle {
    /// A vector of bytes.
    type Vector: Copy;
    /// Bytes in it: output channels of a panel.
    const BYTES: usize;
    /// Whether a byte of weights holds the indices of two units.
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

/// # Safety
/// As for [`crate::arch::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<S: Shuffle, const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    for (index, pass) in tile.passes.iter().enumerate() {
        for plane in 0..tile.planes {
            // SAFETY: the plane lies in the panel; the rest is the caller's promise.
            unsafe {
                let weights = tile.weights.add(plane * tile.plane_bytes);
                let out = Out { to: out, stride, shift: plane as u32 + pass.shift, add: index + plane > 0 };
                match pass.unit_bytes {
                    2 => run::<S, R, C, 1>(tile, pass, weights, out),
                    4 => run::<S, R, C, 2>(tile, pass, weights, out),
                    _ => run::<S, R, C, 3>(tile, pass, weights, out),
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

/// One plane of the weights over one pass of the activations, `D` digits a unit.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn run<S: Shuffle, const R: usize, const C: usize, const D: usize>(
    tile: &Tile<'_>,
    pass: &Pass<'_>,
    mut weights: *const u8,
    mut out: Out,
) {
    let step = if S::NIBBLES { 2 } else { 1 };
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
                        index[r] = if S::NIBBLES { S::low(loaded) } else { loaded };
                    }
                    look_up::<S, R, C, D>(&columns, at, &index, &mut sums);
                    if S::NIBBLES {
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
                        finish::<S, R, C>(&mut wide, out);
                        out.add = true;
                        widenings = WIDENINGS - 1;
                    }
                }
            }
        }
        widen::<S, R, C>(&mut sums, &mut wide);
        finish::<S, R, C>(&mut wide, out);
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
unsafe fn finish<S: Shuffle, const R: usize, const C: usize>(wide: &mut [[[S::Vector; 2]; C]; R], out: Out) {
    for (r, row) in wide.iter_mut().enumerate() {
        for (c, wide) in row.iter_mut().enumerate() {
            // SAFETY: `out` holds `C` columns of `R` panels.
            unsafe {
                S::finish(wide, out.shift, out.add, out.to.add(c * out.stride + r * S::BYTES));
                *wide = [S::zero(); 2];
            }
        }
    }
}

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
/// The same for both halves of a 32-byte vector, so that the sum of two digits is one addition from memory.
#[cfg(target_arch = "x86_64")]
pub(crate) static DOUBLE_TABLES: [Tables<8192>; 2] = [four_by_two_bits(1), four_by_two_bits(4)];
/// Tables of six-channel units: bit 0, 1, 2.
#[cfg(target_arch = "x86_64")]
pub(crate) static WIDE_TABLES: [Tables<4096>; 3] = [six_by_one_bit(1), six_by_one_bit(2), six_by_one_bit(4)];
