//! Where the windows of a convolution lie. A matrix product is the convolution of single pixels.

use crate::error::KernelError;

/// Shape of a two-dimensional convolution over `[batch, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Number of images, or of rows of a matrix.
    pub batch: usize,
    /// Input height in pixels, without padding.
    pub height: usize,
    /// Input width in pixels, without padding.
    pub width: usize,
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub outputs: usize,
    /// `[height, width]` of the window.
    pub kernel: [usize; 2],
    /// Stride of the window, `[down, right]`.
    pub stride: [usize; 2],
    /// Zero pixels added on each side, `[top and bottom, left and right]`.
    pub padding: [usize; 2],
    /// Dilation: distance of neighbouring pixels of the window, `[down, right]`.
    pub dilation: [usize; 2],
    /// Groups of a grouped convolution.
    pub groups: usize,
}

impl Conv2d {
    /// A convolution of square images with stride 1 and a padding of half the square window, which keeps the image's size if
    /// the window's side is odd.
    #[must_use]
    pub fn same(batch: usize, size: usize, channels: usize, outputs: usize, kernel: usize) -> Conv2d {
        Conv2d {
            batch,
            height: size,
            width: size,
            channels,
            outputs,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [kernel / 2; 2],
            dilation: [1; 2],
            groups: 1,
        }
    }

    /// A product of `[rows, depth]` activations with `[columns, depth]` weights.
    #[must_use]
    pub fn matrix(rows: usize, columns: usize, depth: usize) -> Conv2d {
        Conv2d { batch: rows, ..Conv2d::same(rows, 1, depth, columns, 1) }
    }

    /// `[height, width]` of the output.
    ///
    /// # Errors
    /// When a dimension is zero, channels do not divide into groups, or the window does not fit.
    pub fn output(&self) -> Result<[usize; 2], KernelError> {
        for (dimension, value) in [
            ("batch", self.batch),
            ("height", self.height),
            ("width", self.width),
            ("input channels", self.channels),
            ("output channels", self.outputs),
            ("kernel height", self.kernel[0]),
            ("kernel width", self.kernel[1]),
            ("vertical stride", self.stride[0]),
            ("horizontal stride", self.stride[1]),
            ("vertical dilation", self.dilation[0]),
            ("horizontal dilation", self.dilation[1]),
            ("groups", self.groups),
        ] {
            if value == 0 {
                return Err(KernelError::Empty { dimension });
            }
        }
        for (operand, channels) in [("input channels", self.channels), ("output channels", self.outputs)] {
            if !channels.is_multiple_of(self.groups) {
                return Err(KernelError::Groups { operand, channels, groups: self.groups });
            }
        }
        let extent = |axis: usize, input: usize| {
            let padded = self.padding[axis].checked_mul(2).and_then(|p| p.checked_add(input));
            let window = self.dilation[axis].checked_mul(self.kernel[axis] - 1).and_then(|w| w.checked_add(1));
            let (Some(padded), Some(window)) = (padded, window) else { return Err(KernelError::TooLarge) };
            if window > padded {
                return Err(KernelError::Window { axis: ["height", "width"][axis], window, input: padded });
            }
            Ok((padded - window) / self.stride[axis] + 1)
        };
        Ok([extent(0, self.height)?, extent(1, self.width)?])
    }

    /// Number of output pixels, or of rows of a matrix; 0 where the shape does not fit together.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.output().map_or(0, |[height, width]| self.batch * height * width)
    }

    /// Number of products that are summed for one output.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.channels / self.groups.max(1) * self.taps()
    }

    /// Number of taps: pixels of the window.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The contiguous runs of stored pixels that make a window, all of the same length:
    /// `(distance of each from the window's first pixel, length)`. A run is a row of the window, or a single pixel where
    /// other pixels or other groups' channels lie between those of a row.
    pub(crate) fn contiguous_runs(&self) -> (Vec<usize>, usize) {
        let stored_width = self.width + 2 * self.padding[1];
        let row = |y: usize| y * self.dilation[0] * stored_width;
        if self.groups == 1 && self.dilation[1] == 1 {
            return ((0..self.kernel[0]).map(row).collect(), self.kernel[1]);
        }
        let taps = (0..self.kernel[0]).flat_map(|y| (0..self.kernel[1]).map(move |x| (y, x)));
        (taps.map(|(y, x)| row(y) + x * self.dilation[1]).collect(), 1)
    }
}
