//! The loops on 256-bit x86 vectors (AVX2).

mod layer;

use std::arch::x86_64::*;

use super::generic::{int8, int8_shorts, limits, popcount, table, table_pairs, tables};
use super::tile::{LimitFn, Tile, TileFn, shapes};
use crate::inner_loop::LoopForm;

pub(crate) fn tile(form: LoopForm, columns: usize, panels: usize) -> TileFn {
    match form {
        LoopForm::Popcount => shapes!(popcount_tile, columns, panels, [1, 2]),
        LoopForm::NibbleTable => shapes!(table_tile, columns, panels, [1, 2, 4]),
        LoopForm::NibbleTablePairs => shapes!(table_pairs_tile, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { k_steps_per_byte: 4 } => shapes!(int8_tile<4, false>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { k_steps_per_byte: 2 } => shapes!(int8_tile<2, false>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Wide { .. } => shapes!(int8_tile<1, false>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Narrow { k_steps_per_byte: 4, .. } => shapes!(int8_tile<4, true>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Narrow { k_steps_per_byte: 2, .. } => shapes!(int8_tile<2, true>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Narrow { .. } => shapes!(int8_tile<1, true>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Shorts { short_weights: true } => shapes!(int8_shorts_tile<true>, columns, panels, [1, 2, 4]),
        LoopForm::Int8Shorts { short_weights: false } => shapes!(int8_shorts_tile<false>, columns, panels, [1, 2, 4]),
        LoopForm::SixBitTable => unreachable!("AVX2 has no such loop"),
    }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2")]
unsafe fn popcount_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { popcount::tile::<Avx2, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2")]
unsafe fn table_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { table::tile::<Avx2, true, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2")]
unsafe fn table_pairs_tile<const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { table_pairs::tile::<Avx2, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2")]
unsafe fn int8_tile<const PER_BYTE: usize, const NARROW: bool, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { int8::tile::<Avx2, PER_BYTE, NARROW, R, C>(tile, out, stride) }
}

/// # Safety
/// See [`TileFn`].
#[target_feature(enable = "avx2")]
unsafe fn int8_shorts_tile<const SHORT_WEIGHTS: bool, const R: usize, const C: usize>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { int8_shorts::tile::<Avx2, SHORT_WEIGHTS, R, C>(tile, out, stride) }
}

pub(crate) fn limit(form: LoopForm) -> LimitFn {
    match form {
        LoopForm::Popcount => popcount_limit,
        LoopForm::NibbleTable => table_limit,
        LoopForm::NibbleTablePairs => pairs_limit,
        LoopForm::Int8Wide { .. } => int8_limit,
        LoopForm::Int8Narrow { .. } => int8_narrow_limit,
        LoopForm::Int8Shorts { .. } => shorts_limit,
        LoopForm::SixBitTable => unreachable!("AVX2 has no such loop"),
    }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2")]
unsafe fn popcount_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::popcount::<Avx2>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2")]
unsafe fn table_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::table::<Avx2>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2")]
unsafe fn pairs_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::pairs::<Avx2>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2")]
unsafe fn int8_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::int8::<Avx2, true>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2")]
unsafe fn int8_narrow_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::int8::<Avx2, false>(from, steps) }
}

/// # Safety
/// See [`LimitFn`].
#[target_feature(enable = "avx2")]
unsafe fn shorts_limit(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { limits::shorts::<Avx2>(from, steps) }
}

pub(crate) struct Avx2;

// SAFETY of every operation below: the instructions exist, because the operations are only reached from functions
// with the feature; pointers are valid for a vector, by the loops' promise.

impl popcount::Words for Avx2 {
    type Vector = __m256i;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi64x(from.cast::<i64>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn count(sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above. The counts of all nibbles are a table for the byte shuffle.
        unsafe {
            let counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
            let nibble = _mm256_set1_epi8(15);
            let both = _mm256_and_si256(a, b);
            let low = _mm256_shuffle_epi8(counts, _mm256_and_si256(both, nibble));
            let high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16::<4>(both), nibble));
            let bytes = _mm256_add_epi8(low, high);
            _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()))
        }
    }

    #[inline(always)]
    unsafe fn double(sums: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi64(sums, sums) }
    }

    #[inline(always)]
    unsafe fn finish(sums: __m256i, out: *mut i32) {
        // SAFETY: see above; `out` holds four numbers.
        unsafe {
            let order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
            let low = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(sums, order));
            _mm_storeu_si128(out.cast(), low);
        }
    }
}

impl table::Shuffle for Avx2 {
    type Vector = __m256i;
    const BYTES: usize = 32;
    const K_STEP: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn low(weights: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(weights, _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(weights: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(weights), _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn table<const DIGITS: usize>(digit: usize, offset: usize) -> __m256i {
        // SAFETY: see above; a table has 16 bytes, a doubled one 32.
        unsafe {
            if DIGITS == 1 {
                let from = tables::NIBBLE_TABLES[digit].as_ptr().add(offset);
                _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast()))
            } else {
                _mm256_loadu_si256(tables::DOUBLE_TABLES[digit].as_ptr().add(2 * offset).cast())
            }
        }
    }

    #[inline(always)]
    unsafe fn lookup(table: __m256i, index: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_shuffle_epi8(table, index) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi8(a, b) }
    }

    #[inline(always)]
    unsafe fn widen(bytes: __m256i, wide: *mut [__m256i; 2]) {
        // SAFETY: see above; `wide` is exclusive.
        unsafe {
            let [even, odd] = &mut *wide;
            // With 256 times the odd bytes in it, which `finish` takes out.
            *even = _mm256_add_epi16(*even, bytes);
            *odd = _mm256_add_epi16(*odd, _mm256_srli_epi16::<8>(bytes));
        }
    }

    #[inline(always)]
    unsafe fn finish(wide: *const [__m256i; 2], shift: u32, add: bool, out: *mut i32) {
        // SAFETY: see above; `out` holds 32 numbers.
        unsafe {
            let [even, odd] = *wide;
            let even = _mm256_sub_epi16(even, _mm256_slli_epi16::<8>(odd));
            let low = _mm256_set1_epi32(0xffff);
            let shift = _mm_cvtsi32_si128(shift as i32);
            let parts = [
                _mm256_and_si256(even, low),
                _mm256_and_si256(odd, low),
                _mm256_srli_epi32::<16>(even),
                _mm256_srli_epi32::<16>(odd),
            ];
            for (index, part) in parts.into_iter().enumerate() {
                store(_mm256_sll_epi32(part, shift), add, out.add(8 * index));
            }
        }
    }
}

impl table_pairs::Pairs for Avx2 {
    const JOINED: usize = 16;

    #[inline(always)]
    unsafe fn join_offsets(a: *const u8, b: *const u8, out: *mut u16) {
        // SAFETY: see above; `out` holds sixteen numbers.
        unsafe {
            let (a, b) = (_mm256_loadu_si256(a.cast()), _mm256_loadu_si256(b.cast()));
            _mm256_storeu_si256(out.cast(), _mm256_add_epi16(a, _mm256_add_epi16(b, b)));
        }
    }

    #[inline(always)]
    unsafe fn pair_table(offset: usize) -> __m256i {
        // SAFETY: see above; a table has 16 bytes.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(tables::PAIR_TABLES.as_ptr().add(offset).cast())) }
    }

    #[inline(always)]
    unsafe fn wrap(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi8(a, b) }
    }

    #[inline(always)]
    unsafe fn first(both: __m256i, second: __m256i) -> __m256i {
        // SAFETY: see above. A shift by four bits moves the upper half of a byte into the next one.
        unsafe {
            let sixteen = _mm256_and_si256(_mm256_slli_epi16::<4>(second), _mm256_set1_epi8(-16));
            _mm256_sub_epi8(both, sixteen)
        }
    }
}

impl int8::Dot for Avx2 {
    type Vector = __m256i;
    const LANES: usize = 8;
    const REREAD: bool = false;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn field<const PER_BYTE: usize>(weights: __m256i, index: usize) -> __m256i {
        // SAFETY: see above.
        unsafe {
            let width = 8 / PER_BYTE as i32;
            let shifted = _mm256_srl_epi16(weights, _mm_cvtsi32_si128(width * index as i32));
            _mm256_and_si256(shifted, _mm256_set1_epi8((1 << width) - 1))
        }
    }

    #[inline(always)]
    unsafe fn wide(sums: __m256i, activations: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: see above. The layout keeps a pair of products within 16 bits.
        unsafe {
            let pairs = _mm256_maddubs_epi16(activations, weights);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn narrow(sums: __m256i, activations: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi16(sums, _mm256_maddubs_epi16(activations, weights)) }
    }

    #[inline(always)]
    unsafe fn join(sums: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_madd_epi16(sums, _mm256_set1_epi16(1)) }
    }

    #[inline(always)]
    unsafe fn finish(sums: __m256i, add: bool, out: *mut i32) {
        // SAFETY: see above; `out` holds eight numbers.
        unsafe {
            store(sums, add, out);
        }
    }
}

impl int8_shorts::Shorts for Avx2 {
    #[inline(always)]
    unsafe fn even(weights: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weights)) }
    }

    #[inline(always)]
    unsafe fn odd(weights: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_srai_epi16::<8>(weights) }
    }

    #[inline(always)]
    unsafe fn pairs(sums: __m256i, activations: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(activations, weights)) }
    }
}

/// Stores eight numbers, or adds them to those that are there.
///
/// # Safety
/// The processor has AVX2, and `out` holds eight numbers.
#[inline(always)]
unsafe fn store(numbers: __m256i, add: bool, out: *mut i32) {
    // SAFETY: the caller's promise.
    unsafe {
        let numbers = if add { _mm256_add_epi32(_mm256_loadu_si256(out.cast()), numbers) } else { numbers };
        _mm256_storeu_si256(out.cast(), numbers);
    }
}
