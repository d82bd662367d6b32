//! JPEG files as photographs come: sequential, 8 bits, Huffman-coded, one scan of one or three components; and only
//! the part of them that is wanted.
//!
//! A random crop needs half of a photograph on average, and a network needs few pixels of that half. So entropy-coded
//! data are only read as far down as the crop reaches, blocks outside it are read over, and where the crop is much
//! larger than what it becomes, each block of 8x8 is decoded to 4x4, 2x2 or 1x1 pixels by a smaller transform of its
//! low frequencies. Chroma planes stay at their own resolution; who scales them scales them once.
//!
//! Everything else (progressive, lossless, CMYK, several scans, unusual sampling) is [`Read::Other`], and another
//! decoder's business. All arithmetic is the same on every processor: integers, and f32 without contraction.

mod bits;
mod huffman;
mod idct;
mod markers;
mod scan;

use crate::picture::{Damage, Plane, Planes, Rect};

pub(super) use markers::{Frame, Read, read};

/// Component of a frame that this decoder takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    id: u8,
    /// Blocks of a minimum coded unit across and down.
    h: usize,
    v: usize,
    /// Which quantization table.
    table: usize,
}

impl Frame<'_> {
    /// The planes of the part `wanted` of the image, each block of 8x8 decoded to `side` x `side` pixels (8, 4, 2 or 1).
    ///
    /// # Errors
    /// Entropy-coded data that end early or say what cannot be.
    pub(super) fn planes(&self, wanted: Rect, side: usize) -> Result<Planes, Damage> {
        let planes = scan::decode(self, wanted, side)?;
        Ok(match planes.len() {
            1 => Planes::Grey(planes.into_iter().next().unwrap_or_default()),
            _ => Planes::YCbCr(planes),
        })
    }
}

impl Default for Plane {
    fn default() -> Plane {
        Plane { pixels: Vec::new(), width: 0, height: 0, left: 0, top: 0, scale: (1.0, 1.0) }
    }
}
