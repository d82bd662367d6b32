//! The packing loops on 128-bit Arm vectors.

use std::arch::aarch64::*;

use super::portable;
use crate::layout::BitGroup;

/// See `portable::words`.
#[target_feature(enable = "neon")]
pub(super) fn words(codes: &[u8], bit: u8, bytes: &mut [u8]) {
    let whole = codes.len() / 64;
    let wanted = vdupq_n_u8(1 << bit);
    let places = vcombine_u8(vcreate_u8(PLACES), vcreate_u8(PLACES));
    for (chunk, word) in codes.chunks_exact(64).zip(bytes.chunks_exact_mut(8)) {
        let mut bits = [vdupq_n_u8(0); 4];
        for (index, bits) in bits.iter_mut().enumerate() {
            // SAFETY: a chunk has four vectors.
            let codes = unsafe { vld1q_u8(chunk.as_ptr().add(16 * index)) };
            *bits = vandq_u8(vtstq_u8(codes, wanted), places);
        }
        // Neighbours are added three times, so that eight places become a byte.
        let [a, b, c, d] = bits;
        let pairs = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
        let packed = vget_low_u8(vpaddq_u8(pairs, pairs));
        // SAFETY: a word has eight bytes.
        unsafe { vst1_u8(word.as_mut_ptr(), packed) };
    }
    let rest = &codes[64 * whole..];
    if !rest.is_empty() {
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        words(&last, bit, &mut bytes[8 * whole..8 * whole + 8]);
    }
}

/// The places of eight bits, one per byte.
const PLACES: u64 = 0x8040_2010_0804_0201;

/// See `portable::nibble_offsets`.
#[target_feature(enable = "neon")]
pub(super) fn nibble_offsets(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    let whole = codes.len() / 16;
    let low = vdupq_n_s8(-(group.low as i8));
    let top = group.bits.min(2);
    let mask = |bits: u8| vdupq_n_u8((1 << bits) - 1);
    let masks = [mask(top), mask(group.bits - top)];
    for (chunk, out) in codes.chunks_exact(16).zip(bytes.chunks_exact_mut(4 * group.k_step_bytes)) {
        // SAFETY: a chunk has 16 bytes.
        let codes = vshlq_u8(unsafe { vld1q_u8(chunk.as_ptr()) }, low);
        let first = vshlq_n_u32::<4>(quads(vandq_u8(codes, masks[0])));
        if group.k_step_bytes == 2 {
            // SAFETY: there is room for four K-steps of two bytes.
            unsafe { vst1_u8(out.as_mut_ptr(), vreinterpret_u8_u16(vmovn_u32(first))) };
        } else {
            let second = quads(vandq_u8(vshrq_n_u8::<2>(codes), masks[1]));
            let both = vorrq_u32(first, vshlq_n_u32::<20>(second));
            // SAFETY: there is room for four K-steps of four bytes.
            unsafe { vst1q_u8(out.as_mut_ptr(), vreinterpretq_u8_u32(both)) };
        }
    }
    let (rest, bytes) = (&codes[16 * whole..], &mut bytes[4 * whole * group.k_step_bytes..]);
    if !rest.is_empty() {
        // The last K-steps go through buffers of a whole chunk; codes past the end are zero.
        let (mut last, mut packed) = ([0; 16], [0; 16]);
        last[..rest.len()].copy_from_slice(rest);
        let packed = &mut packed[..4 * group.k_step_bytes];
        nibble_offsets(&last, group, packed);
        let length = rest.len().div_ceil(4) * group.k_step_bytes;
        bytes[..length].copy_from_slice(&packed[..length]);
    }
}

/// Four numbers of two bits to one of eight bits, the first one lowest.
#[inline]
#[target_feature(enable = "neon")]
fn quads(numbers: uint8x16_t) -> uint32x4_t {
    let places = vreinterpretq_u8_u32(vdupq_n_u32(0x4010_0401));
    vpaddlq_u16(vpaddlq_u8(vmulq_u8(numbers, places)))
}

/// See `portable::bytes`.
#[target_feature(enable = "neon")]
pub(super) fn bytes(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    portable::bytes(codes, group, bytes);
}

/// See `portable::sums`.
#[target_feature(enable = "neon")]
pub(super) fn sums(codes: &[u8], channels: usize, sums: &mut [i32]) {
    for (sum, codes) in sums.iter_mut().zip(codes.chunks_exact(channels)) {
        let mut sums = vdupq_n_u32(0);
        let chunks = codes.chunks_exact(16);
        let rest = portable::sum(chunks.remainder());
        for chunk in chunks {
            // SAFETY: a chunk has 16 bytes.
            let codes = unsafe { vld1q_u8(chunk.as_ptr()) };
            sums = vpadalq_u16(sums, vpaddlq_u8(codes));
        }
        *sum = rest + vaddvq_u32(sums) as i32;
    }
}
