//! The loops on 128-bit Arm vectors, with no instruction beyond the baseline of 64-bit Arm.

use std::arch::aarch64::*;

use super::generic::{int8, limits, popcount, table, tables};
use super::tile::{LimitFn, Tile, TileFn, shapes};
use crate::inner_loop::LoopForm;

pub(crate) fn tile(form: LoopForm, columns: usize, panels: usize) -> TileFn {
    match form {
        LoopForm::Popcount => shapes!(popcount_tile, columns, panels, [1, 2, 4]),
        LoopForm::NibbleTable => shapes!(table_tile, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { k_steps_per_byte: 4 } => shapes!(int8_tile<4>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { k_steps_per_byte: 2 } => shapes!(int8_tile<2>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { .. } => shapes!(int8_tile<1>, columns, panels, [1, 2, 4]),
        LoopForm::NibbleTablePairs
        | LoopForm::SixBitTable
        | LoopForm::Int8Narrow { .. }
        | LoopForm::Int8Shorts { .. } => unreachable!("NEON has no such loop"),
    }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "neon")]
unsafe fn popcount_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { popcount::tile::<Neon, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "neon")]
unsafe fn table_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { table::tile::<Neon, true, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "neon")]
unsafe fn int8_tile<const PER_BYTE: usize, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { int8::tile::<Neon, PER_BYTE, false, R, C>(tile, out, stride) }
}

pub(crate) fn limit(form: LoopForm) -> LimitFn {
    match form {
        LoopForm::Popcount => popcount_limit,
        LoopForm::NibbleTable => table_limit,
        LoopForm::Int8Wide { .. } => int8_limit,
        LoopForm::NibbleTablePairs
        | LoopForm::SixBitTable
        | LoopForm::Int8Narrow { .. }
        | LoopForm::Int8Shorts { .. } => unreachable!("NEON has no such loop"),
    }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "neon")]
unsafe fn popcount_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::popcount::<Neon>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "neon")]
unsafe fn table_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::table::<Neon>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "neon")]
unsafe fn int8_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::int8::<Neon, true>(from, steps) }
}

struct Neon;

// SAFETY of every operation below: the instructions exist, because the operations are only reached from functions
// with the feature; pointers are valid for a vector, by the loops' promise.

impl popcount::Words for Neon {
    type Vector = uint64x2_t;
    const LANES: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> uint64x2_t {
        // SAFETY: see above.
        unsafe { vdupq_n_u64(0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> uint64x2_t {
        // SAFETY: see above; bytes need no alignment.
        unsafe { vreinterpretq_u64_u8(vld1q_u8(from)) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> uint64x2_t {
        // SAFETY: see above.
        unsafe { vdupq_n_u64(from.cast::<u64>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn count(sums: uint64x2_t, a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        // SAFETY: see above. Counts of bytes are joined by pairs until they are counts of words.
        unsafe {
            let bytes = vcntq_u8(vreinterpretq_u8_u64(vandq_u64(a, b)));
            vpadalq_u32(sums, vpaddlq_u16(vpaddlq_u8(bytes)))
        }
    }

    #[inline(always)]
    unsafe fn double(sums: uint64x2_t) -> uint64x2_t {
        // SAFETY: see above.
        unsafe { vaddq_u64(sums, sums) }
    }

    #[inline(always)]
    unsafe fn finish(sums: uint64x2_t, out: *mut i32) {
        // SAFETY: see above; `out` holds two numbers.
        unsafe { vst1_s32(out, vreinterpret_s32_u32(vmovn_u64(sums))) }
    }
}

impl table::Shuffle for Neon {
    type Vector = uint8x16_t;
    const BYTES: usize = 16;
    const K_STEP: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vdupq_n_u8(0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn low(weights: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vandq_u8(weights, vdupq_n_u8(15)) }
    }

    #[inline(always)]
    unsafe fn high(weights: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vshrq_n_u8::<4>(weights) }
    }

    #[inline(always)]
    unsafe fn table<const DIGITS: usize>(digit: usize, offset: usize) -> uint8x16_t {
        // SAFETY: see above; a table has 16 bytes.
        unsafe { vld1q_u8(tables::NIBBLE_TABLES[digit].as_ptr().add(offset)) }
    }

    #[inline(always)]
    unsafe fn lookup(table: uint8x16_t, index: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vqtbl1q_u8(table, index) }
    }

    #[inline(always)]
    unsafe fn add(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vaddq_u8(a, b) }
    }

    #[inline(always)]
    unsafe fn widen(bytes: uint8x16_t, wide: *mut [uint8x16_t; 2]) {
        // SAFETY: see above; `wide` is exclusive.
        unsafe {
            let [even, odd] = &mut *wide;
            let pairs = vreinterpretq_u16_u8(bytes);
            let (low, high) = (vandq_u16(pairs, vdupq_n_u16(255)), vshrq_n_u16::<8>(pairs));
            *even = vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(*even), low));
            *odd = vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(*odd), high));
        }
    }

    #[inline(always)]
    unsafe fn finish(wide: *const [uint8x16_t; 2], shift: u32, add: bool, out: *mut i32) {
        // SAFETY: see above; `out` holds 16 numbers.
        unsafe {
            let (even, odd) = (vreinterpretq_u32_u8((*wide)[0]), vreinterpretq_u32_u8((*wide)[1]));
            let low = vdupq_n_u32(0xffff);
            let parts = [vandq_u32(even, low), vandq_u32(odd, low), vshrq_n_u32::<16>(even), vshrq_n_u32::<16>(odd)];
            for (index, part) in parts.into_iter().enumerate() {
                store(vreinterpretq_s32_u32(part), shift, add, out.add(4 * index));
            }
        }
    }
}

impl int8::Dot for Neon {
    type Vector = int32x4_t;
    const LANES: usize = 4;
    const REREAD: bool = false;

    #[inline(always)]
    unsafe fn zero() -> int32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_s32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn field<const PER_BYTE: usize>(weights: int32x4_t, index: usize) -> int32x4_t {
        // SAFETY: see above. A shift to the left by a negative number is one to the right.
        unsafe {
            let width = 8 / PER_BYTE;
            let shift = vdupq_n_s8(-((width * index) as i8));
            let shifted = vshlq_u8(vreinterpretq_u8_s32(weights), shift);
            vreinterpretq_s32_u8(vandq_u8(shifted, vdupq_n_u8(((1u16 << width) - 1) as u8)))
        }
    }

    #[inline(always)]
    unsafe fn wide(sums: int32x4_t, activations: int32x4_t, weights: int32x4_t) -> int32x4_t {
        // SAFETY: see above. Both operands are widened, which the loop does once for a column and once for a panel; a
        // product, at most 255 * 128, fits 16 bits, a sum of two of them does not.
        unsafe {
            let (a, w) = (vreinterpretq_u8_s32(activations), vreinterpretq_s8_s32(weights));
            let first = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a))), vmovl_s8(vget_low_s8(w)));
            let second = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(a)), vmovl_high_s8(w));
            vaddq_s32(sums, vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(second)))
        }
    }

    #[inline(always)]
    unsafe fn narrow(sums: int32x4_t, _: int32x4_t, _: int32x4_t) -> int32x4_t {
        sums
    }

    #[inline(always)]
    unsafe fn join(sums: int32x4_t) -> int32x4_t {
        sums
    }

    #[inline(always)]
    unsafe fn finish(sums: int32x4_t, add: bool, out: *mut i32) {
        // SAFETY: see above; `out` holds four numbers.
        unsafe { store(sums, 0, add, out) }
    }
}

/// Stores four numbers, shifted, or adds them to those that are there.
///
/// # Safety
/// The processor has NEON, and `out` holds four numbers.
#[inline(always)]
unsafe fn store(numbers: int32x4_t, shift: u32, add: bool, out: *mut i32) {
    // SAFETY: the caller's promise.
    unsafe {
        let shifted = vshlq_s32(numbers, vdupq_n_s32(shift as i32));
        vst1q_s32(out, if add { vaddq_s32(vld1q_s32(out), shifted) } else { shifted });
    }
}
