//! From values to codes to the bytes that a product reads.

mod quantize;
mod simd;

pub use quantize::Quantize;

use crate::layout::{Layout, NIBBLE_GROUP, Region};
use crate::route::Family;

/// Codes that are quantized and packed at a time: few enough for the first-level cache, a multiple of every unit
/// (64, 6, 4) and of what a byte of weights holds.
pub(crate) const CODES: usize = 768;

/// Place of each of four codes among the 16-bit numbers of their unit: even ones first, as bytes of weights come apart.
pub(crate) const SHORT_ORDER: [usize; 4] = [0, 2, 1, 3];

/// The sums of every `channels` codes.
pub(crate) fn sums(codes: &[u8], channels: usize, sums: &mut [i32]) {
    simd::sums(codes, channels, sums);
}

/// Packs one region of the codes of channels `first..first + codes.len()`; `bytes` are those of the whole group.
/// `first` is a multiple of the unit, or of whatever was written before it in this pixel.
pub(crate) fn codes(layout: &Layout, region: Region, first: usize, codes: &[u8], bytes: &mut [u8]) {
    let unit = layout.unit;
    if first.is_multiple_of(unit) {
        let bytes = &mut bytes[first / unit * region.unit_bytes..];
        match layout.route.family {
            Family::Popcount => simd::words(codes, region.low, bytes),
            Family::Table if unit == NIBBLE_GROUP => simd::pairs(codes, region, bytes),
            Family::Table => wide_digits(codes, region, bytes),
            Family::Int8 if region.unit_bytes == 8 => simd::shorts(codes, bytes),
            Family::Int8 => simd::bytes(codes, region, bytes),
        }
    } else {
        unaligned(layout, region, first, codes, bytes);
    }
}

/// A block that starts inside a unit: bit by bit, since it only happens where a group of channels ends within a block.
fn unaligned(layout: &Layout, region: Region, first: usize, codes: &[u8], bytes: &mut [u8]) {
    for (channel, &code) in (first..).zip(codes) {
        let value = code >> region.low & ((1u16 << region.bits) - 1) as u8;
        let (unit, within) = (channel / layout.unit, channel % layout.unit);
        let unit = &mut bytes[unit * region.unit_bytes..][..region.unit_bytes];
        match layout.route.family {
            Family::Popcount => {
                let (byte, bit) = (within / 8, within % 8);
                unit[byte] = unit[byte] & !(1 << bit) | value << bit;
            }
            Family::Int8 if region.unit_bytes == 8 => unit[2 * SHORT_ORDER[within]] = value,
            Family::Int8 => unit[within] = value,
            Family::Table => {
                let digit_bits = if layout.unit == NIBBLE_GROUP { 2 } else { 1 };
                let entry_shift = if layout.unit == NIBBLE_GROUP { 4 } else { 6 };
                for (digit, slot) in unit.chunks_exact_mut(2).enumerate() {
                    let mask = (1u16 << digit_bits) - 1;
                    let part = u16::from(value) >> (digit_bits * digit) & mask;
                    let shift = entry_shift + digit_bits * within;
                    let old = u16::from_le_bytes([slot[0], slot[1]]);
                    slot.copy_from_slice(&(old & !(mask << shift) | part << shift).to_le_bytes());
                }
            }
        }
    }
}

/// Offsets into the six-bit tables: a bit of each of six codes, times the 64 bytes of a table.
fn wide_digits(codes: &[u8], region: Region, bytes: &mut [u8]) {
    for (chunk, unit) in codes.chunks(6).zip(bytes.chunks_exact_mut(region.unit_bytes)) {
        for (digit, slot) in unit.chunks_exact_mut(2).enumerate() {
            let bit = region.low as usize + digit;
            let index = chunk.iter().rev().fold(0u16, |index, &code| index << 1 | u16::from(code >> bit & 1));
            slot.copy_from_slice(&(index << 6).to_le_bytes());
        }
    }
}
