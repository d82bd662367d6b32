//! Output pixels that share a panel of weights while it is in a cache, and their sums.

use std::ops::Range;

use crate::epilogue::BLOCK;

/// Columns of which the sums of a whole block are kept: at least two tiles of any route.
const COLUMNS: usize = 12;

/// Columns to which one panel of weights is applied before the next one, at most.
pub(crate) const STRIP: usize = 48;

/// Output pixels that come one after the other.
pub(crate) struct Strip {
    /// The first pixel.
    pub(crate) first: usize,
    pub(crate) columns: usize,
    /// The stored pixel at which each one's window starts.
    pub(crate) windows: [usize; STRIP],
    /// Sum of the codes of each window.
    pub(crate) sums: [i32; STRIP],
    /// Which part of each window lies inside the image.
    pub(crate) classes: [usize; STRIP],
}

/// The sums of a strip's columns and a block's channels, on cache lines.
#[repr(align(64))]
pub(crate) struct Scratch {
    sums: [i32; BLOCK * COLUMNS],
    /// Distance of two columns.
    width: usize,
}

impl Scratch {
    /// Room for as many columns of `width` channels, at most a block, as there can be.
    pub(crate) fn new(width: usize) -> Scratch {
        Scratch { sums: [0; BLOCK * COLUMNS], width }
    }

    /// Columns that there is room for.
    pub(crate) fn columns(&self) -> usize {
        self.sums.len() / self.width
    }

    /// The sums of a column's first `count` channels.
    pub(crate) fn row(&self, column: usize, count: usize) -> &[i32] {
        &self.sums[column * self.width..][..count]
    }

    /// Where a column's sums are written. From the whole of it: other columns are written through the same pointer.
    pub(crate) fn at(&mut self, column: usize, channel: usize) -> *mut i32 {
        self.sums.as_mut_ptr().wrapping_add(column * self.width + channel)
    }
}

/// Finished sums: the columns of a strip by some channels of a group.
pub(crate) struct Rows<'a> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) strip: &'a Strip,
    pub(crate) channels: Range<usize>,
}
