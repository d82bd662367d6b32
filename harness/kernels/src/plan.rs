//! How a product is divided: tasks for threads, tiles for registers.

use std::ops::Range;

use crate::arch::MAX_COLUMNS;

/// How a product is divided among threads: tasks are ranges of pixels by ranges of channel blocks.
pub(crate) struct Plan {
    pixels: usize,
    pixel_step: usize,
    blocks: usize,
    block_step: usize,
}

impl Plan {
    /// `divisible` is the most parts that the blocks may be split into.
    pub(crate) fn new(pixels: usize, blocks: usize, divisible: usize, threads: usize) -> Plan {
        if threads == 1 {
            return Plan { pixels, pixel_step: pixels, blocks, block_step: blocks };
        }
        // Pixels are split first: threads then share the weights and no line of the output. Four tasks a thread even
        // out what the system takes away.
        let tiles = pixels.div_ceil(MAX_COLUMNS);
        let pixel_step = tiles.div_ceil(4 * threads) * MAX_COLUMNS;
        let wanted = (2 * threads).div_ceil(pixels.div_ceil(pixel_step)).min(divisible);
        Plan { pixels, pixel_step, blocks, block_step: blocks.div_ceil(wanted) }
    }

    pub(crate) fn tasks(&self) -> usize {
        self.pixels.div_ceil(self.pixel_step) * self.blocks.div_ceil(self.block_step)
    }

    /// Pixels and blocks of a task.
    pub(crate) fn part(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let block_tasks = self.blocks.div_ceil(self.block_step);
        let range = |index: usize, step: usize, end: usize| index * step..((index + 1) * step).min(end);
        (
            range(task / block_tasks, self.pixel_step, self.pixels),
            range(task % block_tasks, self.block_step, self.blocks),
        )
    }
}

/// Columns in tiles of nearly the same width: seven columns are four and three, not six and one.
pub(crate) struct Tiles {
    next: usize,
    end: usize,
    left: usize,
}

impl Tiles {
    pub(crate) fn of(columns: usize, most: usize) -> Tiles {
        Tiles { next: 0, end: columns, left: columns.div_ceil(most) }
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
