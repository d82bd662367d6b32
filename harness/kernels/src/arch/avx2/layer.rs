//! The arithmetic of a layer's epilogue on 256-bit x86 vectors.

use std::arch::x86_64::*;

use super::Avx2;
use crate::arch::generic::layer::Numbers;

// SAFETY of every operation below: the instructions exist, because the operations are only reached from functions with the
// features; pointers are valid for a vector, by the loop's promise.
impl Numbers for Avx2 {
    type Int = __m256i;
    type Float = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(x) }
    }

    #[inline(always)]
    unsafe fn load_int(from: *const i32) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn multiply_int(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn add_int(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn to_float(x: __m256i) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cvtepi32_ps(x) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(x: __m256, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn larger(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above. The instruction gives its second operand for NaN and for equal numbers.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn smaller(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above. The instruction gives its second operand for NaN and for equal numbers.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn round_even(x: __m256, max: __m256) -> __m256i {
        // SAFETY: see above. The minimum is `x` for NaN, of which the conversion makes the least integer.
        unsafe { _mm256_cvtps_epi32(_mm256_min_ps(max, x)) }
    }

    #[inline(always)]
    unsafe fn round_to_zero(x: __m256, max: __m256) -> __m256i {
        // SAFETY: see above; NaN as for `round_even`. Half is taken away and the rest rounded up.
        unsafe {
            let below = _mm256_sub_ps(_mm256_min_ps(max, x), _mm256_set1_ps(0.5));
            _mm256_cvtps_epi32(_mm256_ceil_ps(below))
        }
    }

    #[inline(always)]
    unsafe fn count_reached(count: __m256i, x: __m256, boundary: __m256) -> __m256i {
        // SAFETY: see above.
        unsafe {
            // Minus one where it is reached.
            let reached = _mm256_cmp_ps::<_CMP_GE_OQ>(x, boundary);
            _mm256_sub_epi32(count, _mm256_castps_si256(reached))
        }
    }

    #[inline(always)]
    unsafe fn shift_int(x: __m256i, by: u32) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sllv_epi32(x, _mm256_set1_epi32(by as i32)) }
    }

    #[inline(always)]
    unsafe fn store_bytes<const U: usize>(x: [__m256i; U], to: *mut u8) {
        // SAFETY: see above; there is room for eight bytes of each vector.
        unsafe {
            if let [a, b, c, d] = x[..] {
                let bytes = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
                // Packing works in each half by itself.
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                _mm256_storeu_si256(to.cast(), _mm256_permutevar8x32_epi32(bytes, order));
                return;
            }
            for (u, x) in x.into_iter().enumerate() {
                let words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
                _mm_storel_epi64(to.add(8 * u).cast(), _mm_packus_epi16(words, words));
            }
        }
    }
}
