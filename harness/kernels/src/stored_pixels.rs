//! Which pixels of a batch of images are stored in packed activations, and where.

use std::fmt;

use crate::error::KernelError;
use crate::geometry::Conv2d;

/// The pixels that a product reads, stored row by row with the padding around each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredPixels {
    /// `[batch, height, width]` without padding.
    pub(crate) extent: [usize; 3],
    /// Zero pixels on each side, `[top and bottom, left and right]`.
    padding: [usize; 2],
    /// Subsampling stride, `[rows, columns]`: of a strided 1x1 convolution only the pixels that it reads are stored. It is
    /// `[1, 1]` for every other one, and where it is not, there is no padding.
    subsample: [usize; 2],
    /// `[height, width]` of an image as it is stored, padding included.
    pub(crate) size: [usize; 2],
}

/// Pixels that are stored one after the other, and come one after the other in the input too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContiguousRun {
    /// Index of the first one in the input, `[batch, height, width]`.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Index of the first one among the stored pixels.
    pub(crate) at: usize,
}

/// A pixel of the input whose place is known, so that the place of the next one is found without divisions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    /// Index in the input, `[batch, height, width]`.
    index: usize,
    column: usize,
    /// Rows and columns since the last ones that are stored.
    skipped: [usize; 2],
    /// Index among the stored pixels of the last pixel at or before this one, in rows and columns, that is stored.
    place: usize,
}

impl StoredPixels {
    /// The pixels that a product of this shape reads.
    ///
    /// # Errors
    /// When the number of pixels does not fit a machine word.
    pub(crate) fn of(shape: &Conv2d) -> Result<StoredPixels, KernelError> {
        let single = shape.kernel == [1, 1] && shape.padding == [0, 0];
        let subsample = if single { shape.stride } else { [1, 1] };
        let side = |axis: usize, length: usize| {
            let padding = shape.padding[axis].checked_mul(2)?;
            length.div_ceil(subsample[axis]).checked_add(padding)
        };
        let size = || Some([side(0, shape.height)?, side(1, shape.width)?]);
        let size = size().ok_or(KernelError::TooLarge)?;
        let pixels = size[0].checked_mul(size[1]).and_then(|pixels| pixels.checked_mul(shape.batch));
        pixels.ok_or(KernelError::TooLarge)?;
        let extent = [shape.batch, shape.height, shape.width];
        Ok(StoredPixels { extent, padding: shape.padding, subsample, size })
    }

    /// Stride of the window in stored pixels, `[down, right]`.
    pub(crate) fn stride(&self, shape: &Conv2d) -> [usize; 2] {
        [shape.stride[0] / self.subsample[0], shape.stride[1] / self.subsample[1]]
    }

    /// Number of stored pixels, padding included.
    pub(crate) fn count(&self) -> usize {
        self.extent[0] * self.size[0] * self.size[1]
    }

    /// Index among the stored pixels of pixel `index` of the input; `None` if no window reads it.
    pub(crate) fn position(&self, index: usize) -> Option<usize> {
        let [_, height, width] = self.extent;
        let (row, x) = (index / width, index % width);
        let (n, y) = (row / height, row % height);
        let [down, right] = self.subsample;
        let read = y.is_multiple_of(down) && x.is_multiple_of(right);
        read.then(|| (n * self.size[0] + y / down + self.padding[0]) * self.size[1] + x / right + self.padding[1])
    }

    /// A cursor at the first pixel.
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor_at(0)
    }

    fn cursor_at(&self, index: usize) -> Cursor {
        let [_, height, width] = self.extent;
        let (row, x) = (index / width, index % width);
        let (n, y) = (row / height, row % height);
        let [down, right] = self.subsample;
        let place = (n * self.size[0] + y / down + self.padding[0]) * self.size[1] + x / right + self.padding[1];
        Cursor { index, column: x, skipped: [y % down, x % right], place }
    }

    /// [`StoredPixels::position`], quickly where `index` is in the same row as the cursor and not far behind it; moves the cursor
    /// there.
    #[inline(always)]
    pub(crate) fn position_after(&self, cursor: &mut Cursor, index: usize) -> Option<usize> {
        let steps = index.wrapping_sub(cursor.index);
        let same_row = steps < self.extent[2] - cursor.column;
        if same_row && (steps <= 1 || self.subsample[1] == 1) {
            cursor.index = index;
            cursor.column += steps;
            cursor.skipped[1] += steps;
            if cursor.skipped[1] >= self.subsample[1] {
                cursor.skipped[1] = 0;
                cursor.place += steps;
            }
        } else {
            *cursor = self.cursor_at(index);
        }
        (cursor.skipped == [0, 0]).then_some(cursor.place)
    }

    /// The same, and the number of pixels from `index` on, at most `max`, that are stored one after the other if this one is.
    #[inline(always)]
    pub(crate) fn run_after(&self, cursor: &mut Cursor, index: usize, max: usize) -> (Option<usize>, usize) {
        let at = self.position_after(cursor, index);
        (at, if self.subsample == [1, 1] { max.min(self.extent[2] - cursor.column) } else { 1 })
    }

    /// Number of stored pixels without padding.
    pub(crate) fn inner(&self) -> usize {
        let [rows, columns] = self.inside();
        self.extent[0] * rows * columns
    }

    /// `[height, width]` of an image as it is stored, without padding.
    fn inside(&self) -> [usize; 2] {
        [self.size[0] - 2 * self.padding[0], self.size[1] - 2 * self.padding[1]]
    }

    /// The contiguous run of at most `max` pixels that starts at stored pixel `index`, padding not counted.
    pub(crate) fn contiguous_run(&self, index: usize, max: usize) -> ContiguousRun {
        let [_, height, width] = self.extent;
        let [down, right] = self.subsample;
        let [rows, columns] = self.inside();
        let (row, x) = (index / columns, index % columns);
        let (n, y) = (row / rows, row % rows);
        let longest = if self.subsample != [1, 1] {
            1
        } else if self.padding == [0, 0] {
            max
        } else {
            columns - x
        };
        ContiguousRun {
            first: (n * height + y * down) * width + x * right,
            count: longest.min(max),
            at: (n * self.size[0] + y + self.padding[0]) * self.size[1] + x + self.padding[1],
        }
    }
}

impl fmt::Display for StoredPixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, padding {:?}", self.extent, self.padding)?;
        if self.subsample == [1, 1] { Ok(()) } else { write!(f, ", every {:?}", self.subsample) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Contiguous runs cover the stored pixels, each once, in the order of their indices.
        #[test]
        fn contiguous_runs_agree_with_positions(
            extent in (1usize..3, 1usize..7, 1usize..7), padding in (0usize..3, 0usize..3), stride in (1usize..4, 1usize..4),
            kernel in 1usize..3, max in 1usize..9,
        ) {
            let shape = Conv2d {
                height: extent.1,
                width: extent.2,
                kernel: [kernel, kernel],
                stride: stride.into(),
                padding: padding.into(),
                ..Conv2d::matrix(extent.0, 1, 1)
            };
            let stored = StoredPixels::of(&shape).unwrap();
            let all = extent.0 * extent.1 * extent.2;
            let expected: Vec<(usize, usize)> = (0..all).filter_map(|i| Some((i, stored.position(i)?))).collect();
            let mut found = Vec::new();
            while found.len() < stored.inner() {
                let run = stored.contiguous_run(found.len(), max.min(stored.inner() - found.len()));
                prop_assert!(run.count > 0);
                found.extend((0..run.count).map(|i| (run.first + i, run.at + i)));
            }
            prop_assert_eq!(&found, &expected);
            prop_assert!(found.iter().all(|&(_, at)| at < stored.count()));
            // A cursor gives the same, whether it moves on, jumps or stays.
            let mut cursor = stored.cursor();
            for (i, j) in (0..all).flat_map(|i| [(i, i), (i, i * 7 % all), (i, i * 7 % all), (i, i)]) {
                prop_assert_eq!(stored.position_after(&mut cursor, i), stored.position(i));
                prop_assert_eq!(stored.position_after(&mut cursor, j), stored.position(j));
            }
            for i in 0..all {
                prop_assert_eq!(stored.position_after(&mut cursor, i), stored.position(i));
            }
            let mut next = 0;
            while next < all {
                let (at, run) = stored.run_after(&mut cursor, next, max.min(all - next));
                prop_assert!((1..=max).contains(&run));
                for i in 0..run {
                    prop_assert_eq!(at.map(|at| at + i), stored.position(next + i));
                }
                next += run;
            }
            if kernel > 1 || padding != (0, 0) {
                prop_assert_eq!(found.len(), all);
            }
        }
    }
}
