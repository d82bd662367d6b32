//! Which pixels of a batch of images are stored, and where.

use std::fmt;

use crate::error::KernelError;
use crate::geometry::Conv2d;

/// The pixels that a product reads, row by row, with the padding around each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// `[batch, height, width]` without padding.
    pub(crate) extent: [usize; 3],
    /// Rows and columns of zero pixels on each side.
    padding: [usize; 2],
    /// Every how many rows and columns a pixel is read; without padding where that is not all of them.
    every: [usize; 2],
    /// `[height, width]` of an image as it is stored, padding included.
    pub(crate) size: [usize; 2],
}

/// Pixels that are stored end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first one's index, padding not counted.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Where the first one is stored.
    pub(crate) at: usize,
}

impl Stored {
    /// What a product of this shape reads: of a window of one pixel, only those that its steps lead to.
    ///
    /// # Errors
    /// When the number of pixels does not fit a word.
    pub(crate) fn of(shape: &Conv2d) -> Result<Stored, KernelError> {
        let single = shape.kernel == [1, 1] && shape.padding == [0, 0];
        let every = if single { shape.stride } else { [1, 1] };
        let side = |axis: usize, length: usize| {
            let padding = shape.padding[axis].checked_mul(2)?;
            length.div_ceil(every[axis]).checked_add(padding)
        };
        let size = || Some([side(0, shape.height)?, side(1, shape.width)?]);
        let size = size().ok_or(KernelError::TooLarge)?;
        let pixels = size[0].checked_mul(size[1]).and_then(|pixels| pixels.checked_mul(shape.batch));
        pixels.ok_or(KernelError::TooLarge)?;
        let extent = [shape.batch, shape.height, shape.width];
        Ok(Stored { extent, padding: shape.padding, every, size })
    }

    /// Steps of a window from one stored pixel to another.
    pub(crate) fn stride(&self, shape: &Conv2d) -> [usize; 2] {
        [shape.stride[0] / self.every[0], shape.stride[1] / self.every[1]]
    }

    /// Pixels that are stored, padding included.
    pub(crate) fn count(&self) -> usize {
        self.extent[0] * self.size[0] * self.size[1]
    }

    /// Where the `index`-th pixel, padding not counted, is stored; `None` if no window reads it.
    pub(crate) fn place(&self, index: usize) -> Option<usize> {
        let [_, height, width] = self.extent;
        let (row, x) = (index / width, index % width);
        let (n, y) = (row / height, row % height);
        let [down, right] = self.every;
        let read = y.is_multiple_of(down) && x.is_multiple_of(right);
        read.then(|| (n * self.size[0] + y / down + self.padding[0]) * self.size[1] + x / right + self.padding[1])
    }

    /// Pixels that are stored, padding excluded.
    pub(crate) fn inner(&self) -> usize {
        let [rows, columns] = self.inside();
        self.extent[0] * rows * columns
    }

    /// `[height, width]` of an image as it is stored, padding excluded.
    fn inside(&self) -> [usize; 2] {
        [self.size[0] - 2 * self.padding[0], self.size[1] - 2 * self.padding[1]]
    }

    /// The run that starts at the `index`-th of the pixels stored without padding, of at most `most` pixels.
    pub(crate) fn run(&self, index: usize, most: usize) -> Run {
        let [_, height, width] = self.extent;
        let [down, right] = self.every;
        let [rows, columns] = self.inside();
        let (row, x) = (index / columns, index % columns);
        let (n, y) = (row / rows, row % rows);
        let longest = if self.every != [1, 1] {
            1
        } else if self.padding == [0, 0] {
            most
        } else {
            columns - x
        };
        Run {
            first: (n * height + y * down) * width + x * right,
            count: longest.min(most),
            at: (n * self.size[0] + y + self.padding[0]) * self.size[1] + x + self.padding[1],
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, padding {:?}", self.extent, self.padding)?;
        if self.every == [1, 1] { Ok(()) } else { write!(f, ", one of {:?}", self.every) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Runs are the stored pixels, each once, in the order of their indices.
        #[test]
        fn runs_agree_with_places(
            extent in (1usize..3, 1usize..7, 1usize..7), padding in (0usize..3, 0usize..3), stride in (1usize..4, 1usize..4),
            kernel in 1usize..3, most in 1usize..9,
        ) {
            let shape = Conv2d {
                height: extent.1,
                width: extent.2,
                kernel: [kernel, kernel],
                stride: stride.into(),
                padding: padding.into(),
                ..Conv2d::matrix(extent.0, 1, 1)
            };
            let stored = Stored::of(&shape).unwrap();
            let all = extent.0 * extent.1 * extent.2;
            let expected: Vec<(usize, usize)> = (0..all).filter_map(|i| Some((i, stored.place(i)?))).collect();
            let mut found = Vec::new();
            while found.len() < stored.inner() {
                let run = stored.run(found.len(), most.min(stored.inner() - found.len()));
                prop_assert!(run.count > 0);
                found.extend((0..run.count).map(|i| (run.first + i, run.at + i)));
            }
            prop_assert_eq!(&found, &expected);
            prop_assert!(found.iter().all(|&(_, at)| at < stored.count()));
            if kernel > 1 || padding != (0, 0) {
                prop_assert_eq!(found.len(), all);
            }
        }
    }
}
