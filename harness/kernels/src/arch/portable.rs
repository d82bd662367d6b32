//! The loops in plain Rust, with arrays for vectors. They run on every processor, and under Miri.

use super::generic::{int8, limits, popcount, table, table_pairs, tables};
use super::tile::{LimitFn, Tile, TileFn, shapes};
use crate::inner_loop::LoopForm;

pub(crate) fn tile(form: LoopForm, columns: usize, panels: usize) -> TileFn {
    match form {
        LoopForm::Popcount => shapes!(popcount_tile, columns, panels, [1]),
        LoopForm::NibbleTable => shapes!(table_tile, columns, panels, [1]),
        LoopForm::NibbleTablePairs => shapes!(table_pairs_tile, columns, panels, [1]),
        LoopForm::Int8Wide { k_steps_per_byte: 4 } => shapes!(int8_tile<4>, columns, panels, [1]),
        LoopForm::Int8Wide { k_steps_per_byte: 2 } => shapes!(int8_tile<2>, columns, panels, [1]),
        LoopForm::Int8Wide { .. } => shapes!(int8_tile<1>, columns, panels, [1]),
        LoopForm::SixBitTable | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => {
            unreachable!("the portable set has no such loop")
        }
    }
}

/// # Safety
/// See [`TileFn`].
unsafe fn popcount_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { popcount::tile::<Portable, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
unsafe fn table_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { table::tile::<Portable, true, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
unsafe fn table_pairs_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { table_pairs::tile::<Portable, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
unsafe fn int8_tile<const PER_BYTE: usize, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { int8::tile::<Portable, PER_BYTE, false, R, C>(tile, out, stride) }
}

pub(crate) fn limit(form: LoopForm) -> LimitFn {
    match form {
        LoopForm::Popcount => popcount_limit,
        LoopForm::NibbleTable => table_limit,
        LoopForm::NibbleTablePairs => pairs_limit,
        LoopForm::Int8Wide { .. } => int8_limit,
        LoopForm::SixBitTable | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => {
            unreachable!("the portable set has no such loop")
        }
    }
}

/// # Safety
/// See [`LimitFn`].
unsafe fn popcount_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::popcount::<Portable>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
unsafe fn table_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::table::<Portable>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
unsafe fn pairs_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::pairs::<Portable>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
unsafe fn int8_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::int8::<Portable, true>(from, steps) }
}

struct Portable;

impl popcount::Words for Portable {
    type Vector = u64;
    const LANES: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> u64 {
        0
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> u64 {
        // SAFETY: the caller gives eight readable bytes.
        u64::from_le(unsafe { from.cast::<u64>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> u64 {
        // SAFETY: as in `load`.
        u64::from_le(unsafe { from.cast::<u64>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn count(sums: u64, a: u64, b: u64) -> u64 {
        sums + u64::from((a & b).count_ones())
    }

    #[inline(always)]
    unsafe fn double(sums: u64) -> u64 {
        sums << 1
    }

    #[inline(always)]
    unsafe fn finish(sums: u64, out: *mut i32) {
        // SAFETY: the caller gives one number.
        unsafe { *out = sums as i32 }
    }
}

impl table::Shuffle for Portable {
    type Vector = [u8; 16];
    const BYTES: usize = 16;
    const K_STEP: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> [u8; 16] {
        [0; 16]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [u8; 16] {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { from.cast::<[u8; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn low(weights: [u8; 16]) -> [u8; 16] {
        weights.map(|byte| byte & 15)
    }

    #[inline(always)]
    unsafe fn high(weights: [u8; 16]) -> [u8; 16] {
        weights.map(|byte| byte >> 4)
    }

    #[inline(always)]
    unsafe fn table<const DIGITS: usize>(digit: usize, offset: usize) -> [u8; 16] {
        // SAFETY: the caller gives the offset of a table, which has 16 bytes.
        unsafe { tables::NIBBLE_TABLES[digit].as_ptr().add(offset).cast::<[u8; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn lookup(table: [u8; 16], index: [u8; 16]) -> [u8; 16] {
        index.map(|index| table[usize::from(index & 15)])
    }

    #[inline(always)]
    unsafe fn add(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        // A sum that does not fit would mean that the layout allows too many K-steps, which tests must see.
        std::array::from_fn(|i| if cfg!(test) { a[i].strict_add(b[i]) } else { a[i].wrapping_add(b[i]) })
    }

    #[inline(always)]
    unsafe fn widen(bytes: [u8; 16], wide: *mut [[u8; 16]; 2]) {
        // SAFETY: the caller gives an exclusive pointer.
        let wide = unsafe { &mut *wide };
        for (parity, wide) in wide.iter_mut().enumerate() {
            for (pair, slot) in wide.chunks_exact_mut(2).enumerate() {
                let sum = u16::from_le_bytes([slot[0], slot[1]]) + u16::from(bytes[2 * pair + parity]);
                slot.copy_from_slice(&sum.to_le_bytes());
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(wide: *const [[u8; 16]; 2], shift: u32, add: bool, out: *mut i32) {
        // SAFETY: the caller gives 16 numbers and two vectors.
        let (wide, out) = unsafe { (&*wide, std::slice::from_raw_parts_mut(out, 16)) };
        for byte in 0..16 {
            let slot = &wide[byte % 2][byte / 2 * 2..];
            let sum = i32::from(u16::from_le_bytes([slot[0], slot[1]])) << shift;
            let out = &mut out[byte % 4 * 4 + byte / 4];
            *out = if add { *out + sum } else { sum };
        }
    }
}

impl table_pairs::Pairs for Portable {
    const JOINED: usize = 1;

    #[inline(always)]
    unsafe fn join_offsets(a: *const u8, b: *const u8, out: *mut u16) {
        // SAFETY: the caller gives two readable numbers and room for one.
        unsafe { *out = a.cast::<u16>().read_unaligned() + 2 * b.cast::<u16>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn pair_table(offset: usize) -> [u8; 16] {
        // SAFETY: the caller gives the offset of a table, which has 16 bytes.
        unsafe { tables::PAIR_TABLES.as_ptr().add(offset).cast::<[u8; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn wrap(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    unsafe fn first(both: [u8; 16], second: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|i| both[i].wrapping_sub(second[i] << 4))
    }
}

impl int8::Dot for Portable {
    type Vector = [[u8; 4]; 4];
    const LANES: usize = 4;
    const REREAD: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self::Vector {
        [[0; 4]; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self::Vector {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { from.cast::<Self::Vector>().read() }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> Self::Vector {
        // SAFETY: the caller gives four readable bytes.
        [unsafe { from.cast::<[u8; 4]>().read() }; 4]
    }

    #[inline(always)]
    unsafe fn field<const PER_BYTE: usize>(weights: Self::Vector, index: usize) -> Self::Vector {
        let width = 8 / PER_BYTE;
        weights.map(|lane| lane.map(|byte| byte >> (width * index) & ((1 << width) - 1)))
    }

    #[inline(always)]
    unsafe fn wide(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector {
        let mut totals = sums;
        // Plain loops, which the compiler unrolls; chains of iterators it does not.
        for (lane, total) in totals.iter_mut().enumerate() {
            let mut sum = i32::from_le_bytes(*total);
            for i in 0..4 {
                sum += i32::from(activations[lane][i]) * i32::from(weights[lane][i] as i8);
            }
            *total = sum.to_le_bytes();
        }
        totals
    }

    #[inline(always)]
    unsafe fn narrow(sums: Self::Vector, _: Self::Vector, _: Self::Vector) -> Self::Vector {
        sums
    }

    #[inline(always)]
    unsafe fn join(sums: Self::Vector) -> Self::Vector {
        sums
    }

    #[inline(always)]
    unsafe fn finish(sums: Self::Vector, add: bool, out: *mut i32) {
        for (lane, sum) in sums.into_iter().enumerate() {
            let sum = i32::from_le_bytes(sum);
            // SAFETY: the caller gives as many numbers as there are lanes.
            unsafe { *out.add(lane) = if add { *out.add(lane) + sum } else { sum } }
        }
    }
}
