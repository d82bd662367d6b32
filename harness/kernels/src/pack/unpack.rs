//! From the bytes that a loop reads back to codes, plainly: for traces and tests.

use crate::layout::{BitGroup, SHORT_ORDER, StoredAs};

/// Adds the bits of one bit group to `codes`, from the bytes of all channels of a pixel's group.
pub(crate) fn codes(group: BitGroup, k_step: usize, bytes: &[u8], codes: &mut [u8]) {
    let offset = |stored: &[u8], digit: usize| u16::from_le_bytes([stored[2 * digit], stored[2 * digit + 1]]);
    for (codes, stored) in codes.chunks_mut(k_step).zip(bytes.chunks_exact(group.k_step_bytes)) {
        for (channel, code) in codes.iter_mut().enumerate() {
            let value = match group.stored_as {
                StoredAs::Plane => stored[channel / 8] >> (channel % 8) & 1,
                StoredAs::Bytes => stored[channel],
                StoredAs::Shorts => stored[2 * SHORT_ORDER[channel]],
                StoredAs::NibbleOffsets { digits } => (0..digits)
                    .map(|digit| ((offset(stored, digit) >> (4 + 2 * channel) & 3) << (2 * digit)) as u8)
                    .sum(),
                StoredAs::SixBitOffsets { digits } => {
                    (0..digits).map(|digit| ((offset(stored, digit) >> (6 + channel) & 1) << digit) as u8).sum()
                }
            };
            *code |= value << group.low;
        }
    }
}
