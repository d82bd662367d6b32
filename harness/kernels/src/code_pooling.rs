//! Max and min pooling of codes.

use std::ops::Range;

use crate::epilogue::CHANNEL_BLOCK;
use crate::error::KernelError;
use crate::layer_output::{CodesOut, CodesTo, check_length};
use crate::pool::Pool;
use crate::route::Isa;
use crate::vectors::Vectors;

/// Shape of a pooling over `[batch, height, width, channels]`. Pixels outside the image do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pooling {
    /// Number of images.
    pub batch: usize,
    /// Input height in pixels.
    pub height: usize,
    /// Input width in pixels.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// `[height, width]` of the window.
    pub kernel: [usize; 2],
    /// Stride of the window, `[down, right]`.
    pub stride: [usize; 2],
    /// Pixels outside the image at which the first window starts, `[top, left]`: at most half the window.
    pub padding: [usize; 2],
    /// Whether the last window may end outside the padded image; it then still starts inside the image or the padding before it.
    pub ceil: bool,
}

impl Pooling {
    /// `[height, width]` of the output.
    ///
    /// # Errors
    /// When a dimension is zero, the padding is above half the window, or the window does not fit.
    pub fn output(&self) -> Result<[usize; 2], KernelError> {
        for (dimension, value) in [
            ("batch", self.batch),
            ("height", self.height),
            ("width", self.width),
            ("channels", self.channels),
            ("kernel height", self.kernel[0]),
            ("kernel width", self.kernel[1]),
            ("vertical stride", self.stride[0]),
            ("horizontal stride", self.stride[1]),
        ] {
            if value == 0 {
                return Err(KernelError::Empty { dimension });
            }
        }
        let side = |axis: usize, input: usize| {
            let (window, padding, stride) = (self.kernel[axis], self.padding[axis], self.stride[axis]);
            if padding > window / 2 {
                return Err(KernelError::Epilogue {
                    what: "the padding of a pooling is too wide, expected at most half the window",
                });
            }
            // At most half the window each, so neither overflows unless the window does.
            let padded = input.checked_add(2 * padding).ok_or(KernelError::TooLarge)?;
            let Some(room) = padded.checked_sub(window) else {
                return Err(KernelError::Window { axis: ["height", "width"][axis], window, input: padded });
            };
            let steps = if self.ceil { room.div_ceil(stride) } else { room / stride };
            // No window lies wholly behind the image.
            let last = (input + padding - 1) / stride;
            Ok(steps.min(last) + 1)
        };
        Ok([side(0, self.height)?, side(1, self.width)?])
    }
}

/// Max pooling of codes; of channels whose code falls as the value grows, min pooling. So pooling and quantizing may change
/// places.
#[derive(Debug, Clone)]
pub struct CodePooling {
    shape: Pooling,
    output: [usize; 2],
    vectors: Vectors,
    /// 255 for channels whose smallest code is taken: it is the complement of the largest complement.
    flip: Vec<u8>,
}

impl CodePooling {
    /// `falling` is empty, or says for each channel whether the smallest code is taken. The loops use the vectors of `isa`.
    ///
    /// # Errors
    /// When the shape does not fit together, `falling` has the wrong length, or the processor lacks the instruction set.
    pub fn new(shape: Pooling, falling: &[bool], isa: Isa) -> Result<CodePooling, KernelError> {
        if !isa.is_available() {
            return Err(KernelError::UnavailableIsa { isa });
        }
        let output = shape.output()?;
        if !falling.is_empty() {
            check_length("falling", falling.len(), shape.channels)?;
        }
        let mut flip: Vec<u8> = falling.iter().map(|&falls| if falls { 255 } else { 0 }).collect();
        flip.resize(shape.channels, 0);
        Ok(CodePooling { shape, output, vectors: Vectors::of(isa), flip })
    }

    /// `[height, width]` of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        self.output
    }

    /// Pools `codes`, `[batch, height, width, channels]` row-major. Does not allocate.
    ///
    /// # Errors
    /// When `codes` or `out` has the wrong length or shape; nothing is written then.
    pub fn run(&self, codes: &[u8], out: CodesOut<'_>, pool: &Pool) -> Result<(), KernelError> {
        let shape = &self.shape;
        let (channels, [height, width]) = (shape.channels, self.output);
        let inputs = [shape.height, shape.width, channels].iter().try_fold(shape.batch, |n, &side| n.checked_mul(side));
        check_length("codes", codes.len(), inputs.ok_or(KernelError::TooLarge)?)?;
        let rows = shape.batch * height;
        let to = match out {
            CodesOut::Bytes(out) => {
                check_length("output", out.len(), rows * width * channels)?;
                CodesTo::Bytes(out.as_mut_ptr())
            }
            CodesOut::Packed(out) => {
                out.check_results([shape.batch, height, width], channels, out.bits())?;
                if let Some(index) = codes.iter().position(|&code| code > out.bits().max_code()) {
                    return Err(KernelError::Code { operand: "codes", index, code: codes[index], bits: out.bits() });
                }
                CodesTo::Packed(out.writer())
            }
        };
        let to = SharedCodes(to);
        pool.run(rows, &|row| {
            let SharedCodes(mut to) = to.clone();
            let (image, y) = (row / height, row % height);
            let inside = self.inside(0, y, shape.height);
            for x in 0..width {
                let window = [inside.clone(), self.inside(1, x, shape.width)];
                for first in (0..channels).step_by(CHANNEL_BLOCK) {
                    let mut block = [0; CHANNEL_BLOCK];
                    let block = &mut block[..CHANNEL_BLOCK.min(channels - first)];
                    self.window(codes, image, &window, first, block);
                    // SAFETY: the output has a row for every pixel of `rows * width` (checked above), and a row of pixels is
                    // one task's alone, which writes the channels of each in ascending order.
                    unsafe { to.write(row * width + x, channels, first, block) };
                }
            }
        });
        Ok(())
    }

    /// The rows (`axis` 0) or columns (1) of the image in the window at output row or column `at`.
    fn inside(&self, axis: usize, at: usize, input: usize) -> Range<usize> {
        let (start, padding) = (at * self.shape.stride[axis], self.shape.padding[axis]);
        start.saturating_sub(padding)..(start + self.shape.kernel[axis] - padding).min(input)
    }

    /// The pooled codes of channels `first..` of one window.
    fn window(&self, codes: &[u8], image: usize, window: &[Range<usize>; 2], first: usize, out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.vectors.avx2() {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            return unsafe { self.window_avx2(codes, image, window, first, out) };
        }
        let _ = self.vectors;
        self.window_with(codes, image, window, first, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn window_avx2(&self, codes: &[u8], image: usize, window: &[Range<usize>; 2], first: usize, out: &mut [u8]) {
        self.window_with(codes, image, window, first, out);
    }

    /// The loop, for the instructions of the function that it is inlined into.
    #[inline(always)]
    fn window_with(&self, codes: &[u8], image: usize, window: &[Range<usize>; 2], first: usize, out: &mut [u8]) {
        let (shape, [rows, columns]) = (&self.shape, window);
        let flip = &self.flip[first..first + out.len()];
        for y in rows.clone() {
            for x in columns.clone() {
                let pixel = (image * shape.height + y) * shape.width + x;
                let codes = &codes[pixel * shape.channels + first..][..out.len()];
                for ((out, &code), &flip) in out.iter_mut().zip(codes).zip(flip) {
                    *out = (*out).max(code ^ flip);
                }
            }
        }
        for (out, &flip) in out.iter_mut().zip(flip) {
            *out ^= flip;
        }
    }
}

/// Where the tasks of a pooling write.
#[derive(Clone)]
struct SharedCodes<'a>(CodesTo<'a>);

// SAFETY: the pointers are to a slice borrowed exclusively, or those of a `Writer`; every task writes pixels of its own.
unsafe impl Sync for SharedCodes<'_> {}
