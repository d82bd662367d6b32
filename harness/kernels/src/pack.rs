//! From values to codes, and from codes to the bytes that a loop reads.
//!
//! The loops stand in [`portable`] and in `avx2`, `avx512` and `neon`; [`loops`] chooses among them by the route's instruction set.
//! Values become codes in the loop of a layer's epilogue ([`crate::arch::generic::layer`]).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod loops;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
pub(crate) mod portable;
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

/// Packs the codes of whole pixels of `channels` channels, in a single group, and stores the sum of each. `stored` gives the bytes
/// of a bit group, those of all pixels.
pub(crate) fn pixels<'a>(
    layout: &Layout,
    channels: usize,
    codes: &[u8],
    sums: &mut [i32],
    mut stored: impl FnMut(usize) -> &'a mut [u8],
) {
    // Where the channels of a pixel fill its K-steps, pixels lie end to end and are packed as one.
    let whole = channels.is_multiple_of(layout.granularity());
    #[cfg(target_arch = "x86_64")]
    if layout.vectors.wide() && matches!(layout.bit_groups[0].stored_as, StoredAs::SixBitOffsets { .. }) {
        let mut offsets: [&mut [u8]; 3] = Default::default();
        for (index, offsets) in offsets.iter_mut().enumerate().take(layout.bit_groups.len()) {
            *offsets = stored(index);
        }
        // SAFETY: the processor has AVX-512, which is all that the function asks for.
        return unsafe { avx512::six_bit_offsets_and_sums(codes, channels, &layout.bit_groups, &mut offsets, sums) };
    }
    #[cfg(target_arch = "x86_64")]
    if whole && layout.vectors.wide() && layout.bit_groups[0].stored_as == StoredAs::Plane {
        let mut planes: [&mut [u8]; 8] = Default::default();
        for (index, plane) in planes.iter_mut().enumerate().take(layout.bit_groups.len()) {
            *plane = stored(index);
        }
        // SAFETY: the processor has AVX-512, which is all that the function asks for.
        return unsafe { avx512::planes_and_sums(codes, channels, &mut planes[..layout.bit_groups.len()], sums) };
    }
    for (index, bit_group) in layout.bit_groups.iter().enumerate() {
        let bytes = stored(index);
        if whole {
            self::codes(layout, *bit_group, 0, codes, bytes);
            continue;
        }
        let pixel_bytes = layout.k_steps(channels) * bit_group.k_step_bytes;
        for (codes, bytes) in codes.chunks_exact(channels).zip(bytes.chunks_exact_mut(pixel_bytes)) {
            self::codes(layout, *bit_group, 0, codes, bytes);
        }
    }
    self::sums(layout.vectors, codes, channels, sums);
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
