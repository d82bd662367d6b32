//! How a product is divided into tasks for threads and tiles for registers.

use std::ops::Range;

use crate::inner_loop::MAX_COLUMNS;

/// The division among threads: a task is a range of output pixels by a range of channel blocks.
pub(crate) struct Plan {
    pixels: usize,
    pixel_step: usize,
    blocks: usize,
    block_step: usize,
}

impl Plan {
    /// A plan for `pixels` output pixels and `blocks` channel blocks. `max_splits` is the largest number of ranges that the
    /// channel blocks may be split into.
    pub(crate) fn new(pixels: usize, blocks: usize, max_splits: usize, threads: usize) -> Plan {
        if threads == 1 {
            return Plan { pixels, pixel_step: pixels, blocks, block_step: blocks };
        }
        // Pixels are split first, because threads then share the weights, and no cache line of the output. Four tasks per
        // thread even out what other processes take from a thread.
        let tiles = pixels.div_ceil(MAX_COLUMNS);
        let pixel_step = tiles.div_ceil(4 * threads) * MAX_COLUMNS;
        let wanted = (2 * threads).div_ceil(pixels.div_ceil(pixel_step)).min(max_splits);
        Plan { pixels, pixel_step, blocks, block_step: blocks.div_ceil(wanted) }
    }

    /// Number of tasks.
    pub(crate) fn tasks(&self) -> usize {
        self.pixels.div_ceil(self.pixel_step) * self.blocks.div_ceil(self.block_step)
    }

    /// The output pixels and channel blocks of a task.
    pub(crate) fn task(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let block_tasks = self.blocks.div_ceil(self.block_step);
        let range = |index: usize, step: usize, end: usize| index * step..((index + 1) * step).min(end);
        (
            range(task / block_tasks, self.pixel_step, self.pixels),
            range(task % block_tasks, self.block_step, self.blocks),
        )
    }
}

/// Ranges of columns, one per tile, of nearly the same width: seven columns become four and three, not six and one.
pub(crate) struct Tiles {
    next: usize,
    end: usize,
    left: usize,
}

impl Tiles {
    pub(crate) fn of(columns: usize, max: usize) -> Tiles {
        Tiles { next: 0, end: columns, left: columns.div_ceil(max) }
    }
}

impl Iterator for Tiles {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.left == 0 {
            return None;
        }
        let start = self.next;
        self.next += (self.end - start).div_ceil(self.left);
        self.left -= 1;
        Some(start..self.next)
    }
}
