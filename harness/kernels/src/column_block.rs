//! Column blocks: output pixels to which a panel of weights is applied while it is in a cache; and the sums of their tiles.

use std::ops::Range;

use crate::epilogue::CHANNEL_BLOCK;

/// Columns for which the sums of a whole channel block are kept: at least two tiles of any route.
const SCRATCH_COLUMNS: usize = 12;

/// The largest number of columns of a column block.
pub(crate) const MAX_BLOCK_COLUMNS: usize = 48;

/// Output pixels that come one after the other, as the columns of tiles.
pub(crate) struct ColumnBlock {
    /// The first output pixel.
    pub(crate) first: usize,
    /// Number of output pixels.
    pub(crate) columns: usize,
    /// The stored pixel at which each one's window starts.
    pub(crate) windows: [usize; MAX_BLOCK_COLUMNS],
    /// Sum of the codes of each window.
    pub(crate) sums: [i32; MAX_BLOCK_COLUMNS],
    /// Border class of each window.
    pub(crate) classes: [usize; MAX_BLOCK_COLUMNS],
}

/// The sums of a column block's tiles for one channel block, on cache lines: `[columns][width]`.
#[repr(align(64))]
pub(crate) struct Scratch {
    sums: [i32; CHANNEL_BLOCK * SCRATCH_COLUMNS],
    /// Distance of two columns.
    width: usize,
}

impl Scratch {
    /// Room for as many columns of `width` channels, at most a channel block, as fit.
    pub(crate) fn new(width: usize) -> Scratch {
        Scratch { sums: [0; CHANNEL_BLOCK * SCRATCH_COLUMNS], width }
    }

    /// Number of columns that there is room for.
    pub(crate) fn columns(&self) -> usize {
        self.sums.len() / self.width
    }

    /// The sums of a column's first `count` channels.
    pub(crate) fn row(&self, column: usize, count: usize) -> &[i32] {
        &self.sums[column * self.width..][..count]
    }

    /// Where the sum of a column's channel is written. The pointer may be used for all later columns too.
    pub(crate) fn at(&mut self, column: usize, channel: usize) -> *mut i32 {
        self.sums.as_mut_ptr().wrapping_add(column * self.width + channel)
    }
}

/// Finished sums: all columns of a block by some channels of a group.
pub(crate) struct FinishedSums<'a> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) block: &'a ColumnBlock,
    /// Channels of the group.
    pub(crate) channels: Range<usize>,
}
