//! The packing loops in plain Rust.

use crate::layout::{BitGroup, SHORT_ORDER, StoredAs};

/// One bit of every code, 64 to a word, the first code in the lowest bit. Bits past the end are zero.
#[inline(always)]
pub(super) fn words(codes: &[u8], bit: u8, bytes: &mut [u8]) {
    for (chunk, word) in codes.chunks(64).zip(bytes.chunks_exact_mut(8)) {
        let bits = chunk.iter().rev().fold(0, |bits, &code| bits << 1 | u64::from(code >> bit & 1));
        word.copy_from_slice(&bits.to_le_bytes());
    }
}

/// Offsets into the four-channel tables: per digit, two bits of each of four codes, times the 16 bytes of a table.
#[inline(always)]
pub(super) fn nibble_offsets(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    let mask = ((1u16 << group.bits) - 1) as u8;
    for (chunk, k_step) in codes.chunks(4).zip(bytes.chunks_exact_mut(group.k_step_bytes)) {
        for (digit, slot) in k_step.chunks_exact_mut(2).enumerate() {
            let part = |code: u8| u16::from((code >> group.low & mask) >> (2 * digit) & 3);
            let index = chunk.iter().rev().fold(0, |index, &code| index << 2 | part(code));
            slot.copy_from_slice(&(index << 4).to_le_bytes());
        }
    }
}

/// The group's bits of every code, one code per byte.
#[inline(always)]
pub(super) fn bytes(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    let mask = ((1u16 << group.bits) - 1) as u8;
    for (byte, &code) in bytes.iter_mut().zip(codes) {
        *byte = code >> group.low & mask;
    }
}

/// Every code in 16 bits, K-steps of four in the order of [`SHORT_ORDER`].
#[inline(always)]
pub(super) fn shorts(codes: &[u8], bytes: &mut [u8]) {
    for (chunk, k_step) in codes.chunks(4).zip(bytes.chunks_exact_mut(8)) {
        for (&code, position) in chunk.iter().zip(SHORT_ORDER) {
            k_step[2 * position..2 * position + 2].copy_from_slice(&[code, 0]);
        }
    }
}

/// The sums of every `channels` codes.
#[inline(always)]
pub(super) fn sums(codes: &[u8], channels: usize, sums: &mut [i32]) {
    for (sum, codes) in sums.iter_mut().zip(codes.chunks_exact(channels)) {
        *sum = self::sum(codes);
    }
}

/// The sum of all codes.
#[inline(always)]
pub(super) fn sum(codes: &[u8]) -> i32 {
    codes.iter().map(|&code| i32::from(code)).sum()
}

/// For every value, the number of `2^k - 1` boundaries that it reaches, by bisection: eight comparisons for 255 boundaries. NaN
/// reaches none.
pub(super) fn search(values: &[f32], boundaries: &[f32], codes: &mut [u8]) {
    for (code, &x) in codes.iter_mut().zip(values) {
        let mut reached = 0;
        let mut step = boundaries.len().div_ceil(2);
        while step > 0 {
            // A comparison without a branch, which could not be predicted.
            reached += if x >= boundaries[reached + step - 1] { step } else { 0 };
            step /= 2;
        }
        *code = reached as u8;
    }
}

/// `1.5 * 2^23`: adding it to a number below 2^22 rounds half to even and leaves the integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The code of one value: `round_half_even(clamp(x * inverse, 0, max))`, and 0 for NaN.
#[inline(always)]
pub(super) fn uniform_code(x: f32, inverse: f32, max: f32) -> u8 {
    round_even(x * inverse, max)
}

/// The code of one value: `round_half_to_zero(clamp(x * inverse, 0, max))`, and 0 for NaN.
#[inline(always)]
pub(super) fn uniform_code_to_zero(x: f32, inverse: f32, max: f32) -> u8 {
    round_to_zero(x * inverse, max)
}

/// `round_half_even(clamp(x, 0, max))`, and 0 for NaN, for a `max` of at most 255.
#[inline(always)]
pub(crate) fn round_even(x: f32, max: f32) -> u8 {
    // The maximum with 0 comes first: it turns NaN into 0.
    (x.max(0.0).min(max) + ROUND).to_bits() as u8
}

/// `round_half_to_zero(clamp(x, 0, max))`, and 0 for NaN, for a `max` of at most 255.
#[inline(always)]
pub(crate) fn round_to_zero(x: f32, max: f32) -> u8 {
    // Rounding up after half is taken away, which is exact wherever a tie is possible.
    let below = x.max(0.0).min(max) - 0.5;
    let nearest = below + ROUND;
    let up = u32::from(below > nearest - ROUND);
    (nearest.to_bits() + up) as u8
}

/// Offsets into the six-channel tables: per digit, one bit of each of six codes, times the 64 bytes of a table.
pub(super) fn six_bit_offsets(codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    for (chunk, k_step) in codes.chunks(6).zip(bytes.chunks_exact_mut(group.k_step_bytes)) {
        for (digit, slot) in k_step.chunks_exact_mut(2).enumerate() {
            let bit = group.low as usize + digit;
            let index = chunk.iter().rev().fold(0u16, |index, &code| index << 1 | u16::from(code >> bit & 1));
            slot.copy_from_slice(&(index << 6).to_le_bytes());
        }
    }
}

/// Writes the group's bits of codes that start inside a K-step, code by code: this happens only where a group of channels ends
/// within a block.
pub(super) fn unaligned(group: BitGroup, k_step: usize, first: usize, codes: &[u8], bytes: &mut [u8]) {
    for (channel, &code) in (first..).zip(codes) {
        let value = code >> group.low & ((1u16 << group.bits) - 1) as u8;
        let within = channel % k_step;
        let stored = &mut bytes[channel / k_step * group.k_step_bytes..][..group.k_step_bytes];
        match group.stored_as {
            StoredAs::Plane => {
                let (byte, bit) = (within / 8, within % 8);
                stored[byte] = stored[byte] & !(1 << bit) | value << bit;
            }
            StoredAs::Shorts => stored[2 * SHORT_ORDER[within]] = value,
            StoredAs::Bytes => stored[within] = value,
            StoredAs::NibbleOffsets { .. } => offset(stored, value, within, 2, 4),
            StoredAs::SixBitOffsets { .. } => offset(stored, value, within, 1, 6),
        }
    }
}

/// Writes the digits of one channel into the offsets of its K-step, which are multiples of `2^table_bits` bytes.
fn offset(stored: &mut [u8], value: u8, channel: usize, digit_bits: usize, table_bits: usize) {
    let mask = (1u16 << digit_bits) - 1;
    let shift = table_bits + digit_bits * channel;
    for (digit, slot) in stored.chunks_exact_mut(2).enumerate() {
        let part = u16::from(value) >> (digit_bits * digit) & mask;
        let old = u16::from_le_bytes([slot[0], slot[1]]);
        slot.copy_from_slice(&(old & !(mask << shift) | part << shift).to_le_bytes());
    }
}
