//! The packing loops with AVX2: written out, or the plain ones compiled for it.

use std::arch::x86_64::*;

use super::portable;
use crate::layout::BitGroup;

#[target_feature(enable = "avx2")]
pub(super) fn words(codes: &[u8], bit: u8, bytes: &mut [u8]) {
    let whole = codes.len() / 64;
    // The wanted bit of every byte moves to the byte's top; what crosses into the next byte is not looked at.
    let shift = _mm_cvtsi32_si128(7 - i32::from(bit));
    for (chunk, word) in codes.chunks_exact(64).zip(bytes.chunks_exact_mut(8)) {
        // SAFETY: a chunk has 64 bytes.
        let (low, high) =
            unsafe { (_mm256_loadu_si256(chunk.as_ptr().cast()), _mm256_loadu_si256(chunk.as_ptr().add(32).cast())) };
        let low = _mm256_movemask_epi8(_mm256_sll_epi16(low, shift)) as u32;
        let high = _mm256_movemask_epi8(_mm256_sll_epi16(high, shift)) as u32;
        word.copy_from_slice(&(u64::from(high) << 32 | u64::from(low)).to_le_bytes());
    }
    let rest = &codes[64 * whole..];
    if !rest.is_empty() {
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        words(&last, bit, &mut bytes[8 * whole..8 * whole + 8]);
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn nibble_offsets(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    let whole = codes.len() / 32;
    let low = _mm_cvtsi32_si128(i32::from(group.low));
    let top = group.bits.min(2);
    let masks = [mask_of(top), mask_of(group.bits - top)];
    // Four two-bit numbers to one of eight bits: b0 + 4 b1 in pairs, then p0 + 16 p1; sixteen times that is the
    // offset, which the last multiplication includes.
    let (by_four, by_sixteen) = (_mm256_set1_epi16(0x0401), _mm256_set1_epi32(0x0100_0010));
    let offsets = |part: __m256i| _mm256_madd_epi16(_mm256_maddubs_epi16(part, by_four), by_sixteen);
    for (chunk, out) in codes.chunks_exact(32).zip(bytes.chunks_exact_mut(8 * group.k_step_bytes)) {
        // SAFETY: a chunk has 32 bytes.
        let codes = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
        let first = _mm256_srl_epi16(codes, low);
        let d0 = offsets(_mm256_and_si256(first, masks[0]));
        if group.k_step_bytes == 2 {
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(d0, d0));
            // SAFETY: there is room for eight K-steps of two bytes.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) };
        } else {
            let d1 = offsets(_mm256_and_si256(_mm256_srli_epi16::<2>(first), masks[1]));
            let both = _mm256_or_si256(d0, _mm256_slli_epi32::<16>(d1));
            // SAFETY: there is room for eight K-steps of four bytes.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), both) };
        }
    }
    let (rest, bytes) = (&codes[32 * whole..], &mut bytes[8 * whole * group.k_step_bytes..]);
    if !rest.is_empty() {
        // The last K-steps go through buffers of a whole chunk; codes past the end are zero.
        let (mut last, mut packed) = ([0; 32], [0; 32]);
        last[..rest.len()].copy_from_slice(rest);
        let packed = &mut packed[..8 * group.k_step_bytes];
        nibble_offsets(&last, group, packed);
        let length = rest.len().div_ceil(4) * group.k_step_bytes;
        bytes[..length].copy_from_slice(&packed[..length]);
    }
}

#[target_feature(enable = "avx2")]
fn mask_of(bits: u8) -> __m256i {
    _mm256_set1_epi8((1i8 << bits) - 1)
}

#[target_feature(enable = "avx2")]
pub(super) fn bytes(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    portable::bytes(codes, group, bytes);
}

#[target_feature(enable = "avx2")]
pub(super) fn shorts(codes: &[u8], bytes: &mut [u8]) {
    let whole = codes.len() / 16;
    for (chunk, out) in codes.chunks_exact(16).zip(bytes.chunks_exact_mut(32)) {
        // SAFETY: a chunk has 16 bytes, and there is room for four K-steps of eight bytes.
        unsafe {
            let k_steps = _mm256_cvtepu32_epi64(_mm_loadu_si128(chunk.as_ptr().cast()));
            // Bytes 0, 2 and 1, 3 of a K-step, two bytes apart.
            let even = _mm256_and_si256(k_steps, _mm256_set1_epi64x(0x00ff_00ff));
            let odd = _mm256_and_si256(_mm256_srli_epi64::<8>(k_steps), _mm256_set1_epi64x(0x00ff_00ff));
            let both = _mm256_or_si256(even, _mm256_slli_epi64::<32>(odd));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), both);
        }
    }
    portable::shorts(&codes[16 * whole..], &mut bytes[32 * whole..]);
}

#[target_feature(enable = "avx2")]
pub(super) fn sums(codes: &[u8], channels: usize, sums: &mut [i32]) {
    for (sum, codes) in sums.iter_mut().zip(codes.chunks_exact(channels)) {
        *sum = self::sum(codes);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(codes: &[u8]) -> i32 {
    let mut sums = _mm256_setzero_si256();
    let chunks = codes.chunks_exact(32);
    let rest = portable::sum(chunks.remainder());
    for chunk in chunks {
        // SAFETY: a chunk has 32 bytes.
        let codes = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(codes, _mm256_setzero_si256()));
    }
    let halves = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let both = _mm_add_epi64(halves, _mm_unpackhi_epi64(halves, halves));
    rest + _mm_cvtsi128_si32(both)
}

#[target_feature(enable = "avx2")]
pub(super) fn search(values: &[f32], boundaries: &[f32], codes: &mut [u8]) {
    // The boundaries and one more that nothing reaches, so that every index of the bisection exists.
    let mut table = [f32::INFINITY; 256];
    table[..boundaries.len()].copy_from_slice(boundaries);
    let whole = values.len() / 32 * 32;
    for (values, codes) in values.chunks_exact(32).zip(codes.chunks_exact_mut(32)) {
        let mut parts = [_mm256_setzero_si256(); 4];
        for (index, part) in parts.iter_mut().enumerate() {
            // SAFETY: a chunk has four vectors.
            let x = unsafe { _mm256_loadu_ps(values.as_ptr().add(8 * index)) };
            let mut step = boundaries.len().div_ceil(2) as i32;
            while step > 0 {
                let next = _mm256_add_epi32(*part, _mm256_set1_epi32(step - 1));
                // SAFETY: there are `2^k - 1` boundaries, at most 255, and the steps halve from `2^(k - 1)`, so the index is at
                // most their number less one.
                let boundary = unsafe { _mm256_i32gather_ps::<4>(table.as_ptr(), next) };
                let reached = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GE_OQ>(x, boundary));
                *part = _mm256_add_epi32(*part, _mm256_and_si256(reached, _mm256_set1_epi32(step)));
                step /= 2;
            }
        }
        store_bytes(parts, codes);
    }
    portable::search(&values[whole..], boundaries, &mut codes[whole..]);
}

/// Stores 32 numbers below 256 as bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store_bytes(parts: [__m256i; 4], codes: &mut [u8]) {
    let [a, b, c, d] = parts;
    let bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    // Packing works in each half by itself.
    let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    assert!(codes.len() == 32);
    // SAFETY: there are 32 codes.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), bytes) };
}
