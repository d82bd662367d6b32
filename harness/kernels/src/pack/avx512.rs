//! The packing loops with AVX-512.

use std::arch::x86_64::*;

use crate::layout::BitGroup;

/// Codes that fill whole K-steps of six and whole words of 64: 32 K-steps.
const CHUNK: usize = 192;

/// See `portable::six_bit_offsets`. A digit's bits are gathered into words as for bit-planes, and the fields of six bits are
/// taken out of them eight at a time.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
pub(super) fn six_bit_offsets(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    for (chunk, out) in codes.chunks(CHUNK).zip(bytes.chunks_mut(CHUNK / 6 * group.k_step_bytes)) {
        chunk_offsets::<3>(chunk, &[group], 0, &mut [out]);
    }
}

/// The same for all bit groups of whole pixels, and the sum of every `channels` codes.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
pub(super) fn six_bit_offsets_and_sums(
    codes: &[u8],
    channels: usize,
    groups: &[BitGroup],
    stored: &mut [&mut [u8]; 3],
    sums: &mut [i32],
) {
    let k_steps = channels.div_ceil(6);
    for (pixel, (codes, sum)) in codes.chunks_exact(channels).zip(sums).enumerate() {
        let mut total = 0;
        for (part, chunk) in codes.chunks(CHUNK).enumerate() {
            let first = pixel * k_steps + part * (CHUNK / 6);
            total += match chunk.len() {
                0..=64 => chunk_offsets::<1>(chunk, groups, first, stored),
                65..=128 => chunk_offsets::<2>(chunk, groups, first, stored),
                _ => chunk_offsets::<3>(chunk, groups, first, stored),
            };
        }
        *sum = total as i32;
    }
}

/// Stores the offsets of at most `64 * N` codes in all bit groups, from K-step `first` on, and returns the sum of the codes.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn chunk_offsets<const N: usize>(chunk: &[u8], groups: &[BitGroup], first: usize, stored: &mut [&mut [u8]]) -> u32 {
    // Codes past the end are zero.
    let mut codes = [_mm512_setzero_si512(); N];
    for (vector, codes) in codes.iter_mut().zip(chunk.chunks(64)) {
        *vector = load(codes);
    }
    let count = chunk.len().div_ceil(6);
    let mut sum = 0;
    for (group, stored) in groups.iter().zip(stored) {
        let digits = group.digits();
        let mut offsets = [_mm512_setzero_si512(); 3];
        for (digit, offsets) in offsets.iter_mut().enumerate().take(digits) {
            let place = u32::from(group.low) + digit as u32;
            let bit = _mm512_set1_epi8((1u8 << place) as i8);
            let mut words = [0; 3];
            for (word, codes) in words.iter_mut().zip(codes) {
                *word = _mm512_test_epi8_mask(codes, bit);
                sum += word.count_ones() << place;
            }
            *offsets = if N == 1 { offsets_of_word(words[0]) } else { offsets_of(words) };
        }
        store(offsets, digits, &mut stored[first * group.k_step_bytes..][..count * group.k_step_bytes]);
    }
    sum
}

/// See `portable::words`: the planes of the codes, the lowest first, and the sum of every `channels` codes, a multiple of 64.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
pub(super) fn planes_and_sums(codes: &[u8], channels: usize, planes: &mut [&mut [u8]], sums: &mut [i32]) {
    let mut word = 0;
    for (pixel, total) in codes.chunks_exact(channels).zip(sums) {
        let mut sum = 0;
        for chunk in pixel.chunks_exact(64) {
            let codes = load(chunk);
            for (bit, plane) in planes.iter_mut().enumerate() {
                let bits = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(1 << bit));
                sum += bits.count_ones() << bit;
                plane[8 * word..8 * word + 8].copy_from_slice(&bits.to_le_bytes());
            }
            word += 1;
        }
        *total = sum as i32;
    }
}

/// At most 64 codes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(codes: &[u8]) -> __m512i {
    // SAFETY: bytes past the end are not read.
    unsafe { _mm512_maskz_loadu_epi8(first(codes.len()), codes.as_ptr().cast()) }
}

/// A mask of the first `count` of 64.
#[inline]
fn first(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

/// The 32 fields of six bits of 192 bits, each times 64, in 16 bits.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi")]
fn offsets_of([a, b, c]: [u64; 3]) -> __m512i {
    // Eight fields are 48 bits. Each word starts with the first of its fields.
    let words = _mm256_setr_epi64x(a as i64, (a >> 48 | b << 16) as i64, (b >> 32 | c << 32) as i64, (c >> 16) as i64);
    let at = _mm256_set1_epi64x(FIELDS);
    let fields = _mm256_and_si256(_mm256_multishift_epi64_epi8(at, words), _mm256_set1_epi8(63));
    _mm512_slli_epi16::<6>(_mm512_cvtepu8_epi16(fields))
}

/// The 11 fields of six bits of 64 bits, each times 64, in 16 bits; the last has four bits. Zeros follow.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi")]
fn offsets_of_word(a: u64) -> __m512i {
    let words = _mm_set_epi64x((a >> 48) as i64, a as i64);
    let at = _mm_set1_epi64x(FIELDS);
    let fields = _mm_and_si128(_mm_multishift_epi64_epi8(at, words), _mm_set1_epi8(63));
    _mm512_zextsi256_si512(_mm256_slli_epi16::<6>(_mm256_cvtepu8_epi16(fields)))
}

/// Where the eight fields of 48 bits begin, one per byte.
const FIELDS: i64 = 0x2a24_1e18_120c_0600;

/// Stores the offsets of at most 32 K-steps, digit by digit within each; as many as `out` has room for.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi")]
fn store([a, b, c]: [__m512i; 3], digits: usize, out: &mut [u8]) {
    if digits == 1 {
        // SAFETY: bytes past the end of `out` are not written; 32 K-steps have 64.
        return unsafe { _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), first(out.len()), a) };
    }
    // SAFETY: an index vector has 64 bytes.
    let index = |numbers: &[u16; 32]| unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) };
    for (part, out) in out.chunks_mut(64).enumerate() {
        let numbers = match digits {
            2 => _mm512_permutex2var_epi16(a, index(&PAIRS[part]), b),
            _ => {
                let [two, three] = &TRIPLES[part];
                _mm512_permutex2var_epi16(_mm512_permutex2var_epi16(a, index(two), b), index(three), c)
            }
        };
        // SAFETY: bytes past the end of `out` are not written.
        unsafe { _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), first(out.len()), numbers) };
    }
}

/// For each of two vectors, where its numbers come from: 0 to 31 in the first digit, 32 to 63 in the second.
static PAIRS: [[u16; 32]; 2] = {
    let mut tables = [[0; 32]; 2];
    let mut at = 0;
    while at < 64 {
        tables[at / 32][at % 32] = (at / 2 + at % 2 * 32) as u16;
        at += 1;
    }
    tables
};

/// For each of three vectors, where its numbers come from: first among the first two digits, as in [`PAIRS`], then in the
/// result (0 to 31) or in the third digit (32 to 63).
static TRIPLES: [[[u16; 32]; 2]; 3] = {
    let mut tables = [[[0; 32]; 2]; 3];
    let mut at = 0;
    while at < 96 {
        let (k_step, digit, place) = (at / 3, at % 3, at % 32);
        if digit < 2 {
            tables[at / 32][0][place] = (k_step + digit * 32) as u16;
            tables[at / 32][1][place] = place as u16;
        } else {
            tables[at / 32][1][place] = (k_step + 32) as u16;
        }
        at += 1;
    }
    tables
};
