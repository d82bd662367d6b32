//! From values to codes, and from codes to the bytes that a loop reads.
//!
//! The loops stand in [`portable`] and, on x86, in `avx2` and `avx512`; [`loops`] chooses among them by the route's instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod loops;
mod portable;
mod quantize;
pub(crate) mod unpack;

pub use quantize::Quantize;

use crate::layout::{BitGroup, Layout, StoredAs};
use crate::vectors::Vectors;

/// Codes that are quantized and packed at a time: few enough for the first-level cache, and a multiple of the channels of
/// every K-step (64, 6, 4) and of those for which a byte of the weights has room.
pub(crate) const CODES: usize = 768;

/// The sums of every `channels` codes.
pub(crate) fn sums(vectors: Vectors, codes: &[u8], channels: usize, sums: &mut [i32]) {
    loops::sums(vectors, codes, channels, sums);
}

/// Packs one bit group of the codes of channels `first..first + codes.len()` into `bytes`, those of all channels of the
/// pixel's group. `first` is a multiple of the K-step, or of the number of codes written to this pixel before.
pub(crate) fn codes(layout: &Layout, group: BitGroup, first: usize, codes: &[u8], bytes: &mut [u8]) {
    if !first.is_multiple_of(layout.k_step) {
        return portable::unaligned(group, layout.k_step, first, codes, bytes);
    }
    let bytes = &mut bytes[first / layout.k_step * group.k_step_bytes..];
    match group.stored_as {
        StoredAs::Plane => loops::words(layout.vectors, codes, group.low, bytes),
        StoredAs::NibbleOffsets { .. } => loops::nibble_offsets(layout.vectors, codes, group, bytes),
        StoredAs::SixBitOffsets { .. } => loops::six_bit_offsets(layout.vectors, codes, group, bytes),
        StoredAs::Shorts => loops::shorts(layout.vectors, codes, bytes),
        StoredAs::Bytes => loops::bytes(layout.vectors, codes, group, bytes),
    }
}
