//! The loops on 512-bit x86 vectors, with population count (VPOPCNTDQ), a 64-entry byte permutation (VBMI) and dot products
//! of bytes (VNNI) as single instructions.

mod layer;

use std::arch::x86_64::*;

use super::generic::{int8, limits, popcount, table, tables};
use super::tile::{LimitFn, Tile, TileFn, shapes};
use crate::inner_loop::LoopForm;

pub(crate) fn tile(form: LoopForm, columns: usize, panels: usize) -> TileFn {
    match form {
        LoopForm::Popcount => shapes!(popcount_tile, columns, panels, [1, 2, 4]),
        LoopForm::SixBitTable => shapes!(table_tile, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { k_steps_per_byte: 4 } => shapes!(int8_tile<4>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { k_steps_per_byte: 2 } => shapes!(int8_tile<2>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { .. } => shapes!(int8_tile<1>, columns, panels, [1, 2, 4]),
        LoopForm::NibbleTable
        | LoopForm::NibbleTablePairs
        | LoopForm::Int8Narrow { .. }
        | LoopForm::Int8Shorts { .. } => unreachable!("AVX-512 has no such loop"),
    }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
unsafe fn popcount_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { popcount::tile::<Avx512, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn table_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { table::tile::<Avx512, false, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn int8_tile<const PER_BYTE: usize, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { int8::tile::<Avx512, PER_BYTE, false, R, C>(tile, out, stride) }
}

pub(crate) fn limit(form: LoopForm) -> LimitFn {
    match form {
        LoopForm::Popcount => popcount_limit,
        LoopForm::SixBitTable => table_limit,
        LoopForm::Int8Wide { .. } => int8_limit,
        LoopForm::NibbleTable
        | LoopForm::NibbleTablePairs
        | LoopForm::Int8Narrow { .. }
        | LoopForm::Int8Shorts { .. } => unreachable!("AVX-512 has no such loop"),
    }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
unsafe fn popcount_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::popcount::<Avx512>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn table_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::table::<Avx512>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn int8_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::int8::<Avx512, true>(from, steps) }
}

pub(crate) struct Avx512;

// SAFETY of every operation below: the instructions exist, because the operations are only reached from functions
// with the features; pointers are valid for a vector, by the loops' promise.

impl popcount::Words for Avx512 {
    type Vector = __m512i;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi64(from.cast::<i64>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn count(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi64(sums, _mm512_popcnt_epi64(_mm512_and_si512(a, b))) }
    }

    #[inline(always)]
    unsafe fn double(sums: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi64(sums, sums) }
    }

    #[inline(always)]
    unsafe fn finish(sums: __m512i, out: *mut i32) {
        // SAFETY: see above; `out` holds eight numbers.
        unsafe {
            let low = _mm512_cvtepi64_epi32(sums);
            _mm256_storeu_si256(out.cast(), low);
        }
    }
}

impl table::Shuffle for Avx512 {
    type Vector = __m512i;
    const BYTES: usize = 64;
    const K_STEP: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn low(weights: __m512i) -> __m512i {
        weights
    }

    #[inline(always)]
    unsafe fn high(weights: __m512i) -> __m512i {
        weights
    }

    #[inline(always)]
    unsafe fn table<const DIGITS: usize>(digit: usize, offset: usize) -> __m512i {
        // SAFETY: see above; a table has 64 bytes.
        unsafe { _mm512_loadu_si512(tables::SIX_BIT_TABLES[digit].as_ptr().add(offset).cast()) }
    }

    #[inline(always)]
    unsafe fn lookup(table: __m512i, index: __m512i) -> __m512i {
        // SAFETY: see above. Miri knows only the form that takes a second table for indices of 64 and above; there are
        // none, so it gives the same.
        unsafe {
            if cfg!(miri) {
                _mm512_permutex2var_epi8(table, index, table)
            } else {
                _mm512_permutexvar_epi8(index, table)
            }
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi8(a, b) }
    }

    #[inline(always)]
    unsafe fn widen(bytes: __m512i, wide: *mut [__m512i; 2]) {
        // SAFETY: see above; `wide` is exclusive.
        unsafe {
            let [even, odd] = &mut *wide;
            *even = _mm512_add_epi16(*even, _mm512_and_si512(bytes, _mm512_set1_epi16(255)));
            *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16::<8>(bytes));
        }
    }

    #[inline(always)]
    unsafe fn finish(wide: *const [__m512i; 2], shift: u32, add: bool, out: *mut i32) {
        // SAFETY: see above; `out` holds 64 numbers.
        unsafe {
            let [even, odd] = *wide;
            let low = _mm512_set1_epi32(0xffff);
            let shift = _mm512_set1_epi32(shift as i32);
            let parts = [
                _mm512_and_si512(even, low),
                _mm512_and_si512(odd, low),
                _mm512_srli_epi32::<16>(even),
                _mm512_srli_epi32::<16>(odd),
            ];
            for (index, part) in parts.into_iter().enumerate() {
                store(_mm512_sllv_epi32(part, shift), add, out.add(16 * index));
            }
        }
    }
}

impl int8::Dot for Avx512 {
    type Vector = __m512i;
    const LANES: usize = 16;
    const REREAD: bool = true;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn field<const PER_BYTE: usize>(weights: __m512i, index: usize) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let width = 8 / PER_BYTE;
            let shift = _mm512_set1_epi16((width * index) as i16);
            _mm512_and_si512(_mm512_srlv_epi16(weights, shift), _mm512_set1_epi8(((1u16 << width) - 1) as i8))
        }
    }

    #[inline(always)]
    unsafe fn wide(sums: __m512i, activations: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, activations, weights) }
    }

    #[inline(always)]
    unsafe fn narrow(sums: __m512i, _: __m512i, _: __m512i) -> __m512i {
        sums
    }

    #[inline(always)]
    unsafe fn join(sums: __m512i) -> __m512i {
        sums
    }

    #[inline(always)]
    unsafe fn finish(sums: __m512i, add: bool, out: *mut i32) {
        // SAFETY: see above; `out` holds sixteen numbers.
        unsafe {
            store(sums, add, out);
        }
    }
}

/// Stores sixteen numbers, or adds them to those that are there.
///
/// # Safety
/// The processor has AVX-512F, and `out` holds sixteen numbers.
#[inline(always)]
unsafe fn store(numbers: __m512i, add: bool, out: *mut i32) {
    // SAFETY: the caller's promise.
    unsafe {
        let numbers = if add { _mm512_add_epi32(_mm512_loadu_si512(out.cast()), numbers) } else { numbers };
        _mm512_storeu_si512(out.cast(), numbers);
    }
}
