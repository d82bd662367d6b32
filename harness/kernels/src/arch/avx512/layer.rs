//! The arithmetic of a layer's epilogue on 512-bit x86 vectors.

use std::arch::x86_64::*;

use super::Avx512;
use crate::arch::generic::layer::Numbers;

// SAFETY of every operation below: the instructions exist, because the operations are only reached from functions with the
// features; pointers are valid for a vector, by the loop's promise.
impl Numbers for Avx512 {
    type Int = __m512i;
    type Float = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    unsafe fn load_int(from: *const i32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn multiply_int(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn add_int(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn to_float(x: __m512i) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(x) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(x: __m512, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn larger(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above. The instruction gives its second operand for NaN and for equal numbers.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn smaller(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above. The instruction gives its second operand for NaN and for equal numbers.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn round_even(x: __m512, max: __m512) -> __m512i {
        // SAFETY: see above. The minimum is `x` for NaN, of which the conversion makes the least integer.
        unsafe { _mm512_cvtps_epi32(_mm512_min_ps(max, x)) }
    }

    #[inline(always)]
    unsafe fn round_to_zero(x: __m512, max: __m512) -> __m512i {
        // SAFETY: see above; NaN as for `round_even`. Half is taken away and the rest rounded up.
        unsafe {
            let below = _mm512_sub_ps(_mm512_min_ps(max, x), _mm512_set1_ps(0.5));
            _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(below)
        }
    }

    #[inline(always)]
    unsafe fn count_reached(count: __m512i, x: __m512, boundary: __m512) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let reached = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, boundary);
            _mm512_mask_add_epi32(count, reached, count, _mm512_set1_epi32(1))
        }
    }

    #[inline(always)]
    unsafe fn shift_int(x: __m512i, by: u32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_sllv_epi32(x, _mm512_set1_epi32(by as i32)) }
    }

    #[inline(always)]
    unsafe fn store_bytes<const U: usize>(x: [__m512i; U], to: *mut u8) {
        // SAFETY: see above; there is room for 16 bytes of each vector.
        unsafe {
            if let [a, b, c, d] = x[..] {
                let bytes = _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, d));
                // Packing works in each quarter by itself.
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi32(order, bytes));
                return;
            }
            for (u, x) in x.into_iter().enumerate() {
                let x = _mm512_max_epi32(x, _mm512_setzero_si512());
                _mm_storeu_si128(to.add(16 * u).cast(), _mm512_cvtepi32_epi8(x));
            }
        }
    }
}
