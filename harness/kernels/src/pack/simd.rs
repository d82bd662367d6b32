//! The packing loops. Each has a plain form; on x86 with AVX2 it is compiled for that or written out for it, and a
//! test compares the two.

use crate::layout::Region;

macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident$(<const $n:ident: usize>)?($($argument:ident: $type:ty),*), $plain:path, $fast:path) => {
        $(#[$doc])*
        #[inline]
        pub(super) fn $name$(<const $n: usize>)?($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, which is all that the function asks for.
                return unsafe { $fast($($argument),*) };
            }
            $plain($($argument),*)
        }
    };
}

dispatch!(
    /// One bit of every code, 64 to a word, the first code lowest; bits past the end are zero.
    words(codes: &[u8], bit: u8, bytes: &mut [u8]), plain::words, avx2::words);
dispatch!(
    /// Offsets into the four-bit tables: two bits of each of four codes, times the 16 bytes of a table.
    pairs(codes: &[u8], region: Region, bytes: &mut [u8]), plain::pairs, avx2::pairs);
dispatch!(
    /// The region's bits of every code, one to a byte.
    bytes(codes: &[u8], region: Region, bytes: &mut [u8]), plain::bytes, avx2::bytes);
dispatch!(
    /// Every code in 16 bits, units of four in the order of [`SHORT_ORDER`].
    shorts(codes: &[u8], bytes: &mut [u8]), plain::shorts, avx2::shorts);
dispatch!(
    /// The sums of every `channels` codes.
    sums(codes: &[u8], channels: usize, sums: &mut [i32]), plain::sums, avx2::sums);
dispatch!(
    /// Uniform codes; see [`super::Quantize::Uniform`].
    uniform(values: &[f32], inverse: f32, most: f32, codes: &mut [u8]), plain::uniform, avx2::uniform);
dispatch!(
    /// How many of a few boundaries each value reaches.
    thresholds<const N: usize>(values: &[f32], boundaries: &[f32; N], codes: &mut [u8]), plain::thresholds, avx2::thresholds);

mod plain {
    use super::Region;
    use crate::pack::{SHORT_ORDER, quantize};

    #[inline(always)]
    pub(super) fn words(codes: &[u8], bit: u8, bytes: &mut [u8]) {
        for (chunk, word) in codes.chunks(64).zip(bytes.chunks_exact_mut(8)) {
            let bits = chunk.iter().rev().fold(0, |bits, &code| bits << 1 | u64::from(code >> bit & 1));
            word.copy_from_slice(&bits.to_le_bytes());
        }
    }

    #[inline(always)]
    pub(super) fn pairs(codes: &[u8], region: Region, bytes: &mut [u8]) {
        let mask = ((1u16 << region.bits) - 1) as u8;
        for (chunk, unit) in codes.chunks(4).zip(bytes.chunks_exact_mut(region.unit_bytes)) {
            for (digit, slot) in unit.chunks_exact_mut(2).enumerate() {
                let part = |code: u8| u16::from((code >> region.low & mask) >> (2 * digit) & 3);
                let index = chunk.iter().rev().fold(0, |index, &code| index << 2 | part(code));
                slot.copy_from_slice(&(index << 4).to_le_bytes());
            }
        }
    }

    #[inline(always)]
    pub(super) fn bytes(codes: &[u8], region: Region, bytes: &mut [u8]) {
        let mask = ((1u16 << region.bits) - 1) as u8;
        for (byte, &code) in bytes.iter_mut().zip(codes) {
            *byte = code >> region.low & mask;
        }
    }

    #[inline(always)]
    pub(super) fn shorts(codes: &[u8], bytes: &mut [u8]) {
        for (chunk, unit) in codes.chunks(4).zip(bytes.chunks_exact_mut(8)) {
            for (&code, place) in chunk.iter().zip(SHORT_ORDER) {
                unit[2 * place..2 * place + 2].copy_from_slice(&[code, 0]);
            }
        }
    }

    #[inline(always)]
    pub(super) fn sums(codes: &[u8], channels: usize, sums: &mut [i32]) {
        for (sum, codes) in sums.iter_mut().zip(codes.chunks_exact(channels)) {
            *sum = self::sum(codes);
        }
    }

    #[inline(always)]
    pub(super) fn sum(codes: &[u8]) -> i32 {
        codes.iter().map(|&code| i32::from(code)).sum()
    }

    #[inline(always)]
    pub(super) fn uniform(values: &[f32], inverse: f32, most: f32, codes: &mut [u8]) {
        for (code, &x) in codes.iter_mut().zip(values) {
            *code = quantize::uniform(x, inverse, most);
        }
    }

    #[inline(always)]
    pub(super) fn thresholds<const N: usize>(values: &[f32], boundaries: &[f32; N], codes: &mut [u8]) {
        for (code, &x) in codes.iter_mut().zip(values) {
            *code = boundaries.iter().map(|&t| u8::from(x >= t)).sum();
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Region, plain};

    #[target_feature(enable = "avx2")]
    pub(super) fn words(codes: &[u8], bit: u8, bytes: &mut [u8]) {
        let whole = codes.len() / 64;
        // The wanted bit of every byte moves to the byte's top; what crosses into the next byte is not looked at.
        let shift = _mm_cvtsi32_si128(7 - i32::from(bit));
        for (chunk, word) in codes.chunks_exact(64).zip(bytes.chunks_exact_mut(8)) {
            // SAFETY: a chunk has 64 bytes.
            let (low, high) = unsafe {
                (_mm256_loadu_si256(chunk.as_ptr().cast()), _mm256_loadu_si256(chunk.as_ptr().add(32).cast()))
            };
            let low = _mm256_movemask_epi8(_mm256_sll_epi16(low, shift)) as u32;
            let high = _mm256_movemask_epi8(_mm256_sll_epi16(high, shift)) as u32;
            word.copy_from_slice(&(u64::from(high) << 32 | u64::from(low)).to_le_bytes());
        }
        plain::words(&codes[64 * whole..], bit, &mut bytes[8 * whole..]);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn pairs(codes: &[u8], region: Region, bytes: &mut [u8]) {
        let whole = codes.len() / 32;
        let low = _mm_cvtsi32_si128(i32::from(region.low));
        let top = region.bits.min(2);
        let masks = [mask_of(top), mask_of(region.bits - top)];
        // Four two-bit numbers to one of eight bits: b0 + 4 b1 in pairs, then p0 + 16 p1; sixteen times that is the
        // offset, which the last multiplication includes.
        let (by_four, by_sixteen) = (_mm256_set1_epi16(0x0401), _mm256_set1_epi32(0x0100_0010));
        let offsets = |part: __m256i| _mm256_madd_epi16(_mm256_maddubs_epi16(part, by_four), by_sixteen);
        for (chunk, out) in codes.chunks_exact(32).zip(bytes.chunks_exact_mut(8 * region.unit_bytes)) {
            // SAFETY: a chunk has 32 bytes.
            let codes = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
            let first = _mm256_srl_epi16(codes, low);
            let d0 = offsets(_mm256_and_si256(first, masks[0]));
            if region.unit_bytes == 2 {
                let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(d0, d0));
                // SAFETY: eight units of two bytes.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) };
            } else {
                let d1 = offsets(_mm256_and_si256(_mm256_srli_epi16::<2>(first), masks[1]));
                let both = _mm256_or_si256(d0, _mm256_slli_epi32::<16>(d1));
                // SAFETY: eight units of four bytes.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), both) };
            }
        }
        plain::pairs(&codes[32 * whole..], region, &mut bytes[8 * whole * region.unit_bytes..]);
    }

    #[target_feature(enable = "avx2")]
    fn mask_of(bits: u8) -> __m256i {
        _mm256_set1_epi8((1i8 << bits) - 1)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn bytes(codes: &[u8], region: Region, bytes: &mut [u8]) {
        plain::bytes(codes, region, bytes);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn shorts(codes: &[u8], bytes: &mut [u8]) {
        let whole = codes.len() / 16;
        for (chunk, out) in codes.chunks_exact(16).zip(bytes.chunks_exact_mut(32)) {
            // SAFETY: a chunk has 16 bytes, four units of eight bytes go out.
            unsafe {
                let units = _mm256_cvtepu32_epi64(_mm_loadu_si128(chunk.as_ptr().cast()));
                // Bytes 0, 2 and 1, 3 of a unit, two bytes apart.
                let even = _mm256_and_si256(units, _mm256_set1_epi64x(0x00ff_00ff));
                let odd = _mm256_and_si256(_mm256_srli_epi64::<8>(units), _mm256_set1_epi64x(0x00ff_00ff));
                let both = _mm256_or_si256(even, _mm256_slli_epi64::<32>(odd));
                _mm256_storeu_si256(out.as_mut_ptr().cast(), both);
            }
        }
        plain::shorts(&codes[16 * whole..], &mut bytes[32 * whole..]);
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
        let rest = plain::sum(chunks.remainder());
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
    pub(super) fn uniform(values: &[f32], inverse: f32, most: f32, codes: &mut [u8]) {
        let (scale, zero, top) = (_mm256_set1_ps(inverse), _mm256_setzero_ps(), _mm256_set1_ps(most));
        let whole = values.len() / 32 * 32;
        for (values, codes) in values.chunks_exact(32).zip(codes.chunks_exact_mut(32)) {
            let mut parts = [_mm256_setzero_si256(); 4];
            for (index, part) in parts.iter_mut().enumerate() {
                // SAFETY: a chunk has four vectors.
                let x = unsafe { _mm256_loadu_ps(values.as_ptr().add(8 * index)) };
                // A maximum with NaN is its second operand; the conversion rounds half to even.
                let x = _mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(x, scale), zero), top);
                *part = _mm256_cvtps_epi32(x);
            }
            store_bytes(parts, codes);
        }
        plain::uniform(&values[whole..], inverse, most, &mut codes[whole..]);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn thresholds<const N: usize>(values: &[f32], boundaries: &[f32; N], codes: &mut [u8]) {
        let whole = values.len() / 32 * 32;
        for (values, codes) in values.chunks_exact(32).zip(codes.chunks_exact_mut(32)) {
            let mut parts = [_mm256_setzero_si256(); 4];
            for (index, part) in parts.iter_mut().enumerate() {
                // SAFETY: a chunk has four vectors.
                let x = unsafe { _mm256_loadu_ps(values.as_ptr().add(8 * index)) };
                for &boundary in boundaries {
                    // Minus one where it is reached.
                    let reached = _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_set1_ps(boundary));
                    *part = _mm256_sub_epi32(*part, _mm256_castps_si256(reached));
                }
            }
            store_bytes(parts, codes);
        }
        plain::thresholds(&values[whole..], boundaries, &mut codes[whole..]);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::levels::Bits;
    use crate::route::{Family, Isa, Route};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fast_quantizers_equal_plain_ones(
            values in prop::collection::vec(
                prop_oneof![any::<f32>(), -1.0f32..9.0, (-4i32..20).prop_map(|half| half as f32 / 2.0)], 0..100,
            ),
            a in 1u8..=8, inverse in prop_oneof![Just(1.0f32), 0.01f32..300.0],
        ) {
            let most = f32::from(Bits::new(a).unwrap().max_code());
            let (mut fast, mut slow) = (vec![9; values.len()], vec![7; values.len()]);
            uniform(&values, inverse, most, &mut fast);
            plain::uniform(&values, inverse, most, &mut slow);
            prop_assert_eq!(&fast, &slow);
            thresholds(&values, &[0.5, 1.5, 3.0], &mut fast);
            plain::thresholds(&values, &[0.5, 1.5, 3.0], &mut slow);
            prop_assert_eq!(&fast, &slow);
        }

        #[test]
        fn fast_equals_plain(codes in prop::collection::vec(any::<u8>(), 0..300), a in 1u8..=8, w in 1u8..=8) {
            let bits = Bits::new(a).unwrap();
            let codes: Vec<u8> = codes.into_iter().map(|code| code & bits.max_code()).collect();
            let regions = |family| Layout::new(Route { family, isa: Isa::Avx2 }, Bits::new(w).unwrap(), bits, 1).regions;
            let room = || vec![0u8; codes.len() * 4 + 64];
            let (mut fast, mut slow) = (room(), room());
            for bit in 0..a {
                words(&codes, bit, &mut fast);
                plain::words(&codes, bit, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
            for region in regions(Family::Table) {
                pairs(&codes, region, &mut fast);
                plain::pairs(&codes, region, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
            let channels = codes.len().div_ceil(usize::from(a)).max(1);
            let (mut quick, mut plain) = ([-1; 8], [-1; 8]);
            sums(&codes, channels, &mut quick);
            plain::sums(&codes, channels, &mut plain);
            prop_assert_eq!(quick, plain);
            shorts(&codes, &mut fast);
            plain::shorts(&codes, &mut slow);
            prop_assert_eq!(&fast, &slow);
            for region in regions(Family::Int8) {
                bytes(&codes, region, &mut fast);
                plain::bytes(&codes, region, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
        }
    }
}
