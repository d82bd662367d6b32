//! Products of f32 numbers, the same to the bit on every processor.

use std::ops::Range;

use crate::epilogue::CHANNEL_BLOCK;
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::layer_output::{LayerOutput, LayerSink, check_length};
use crate::pool::Pool;
use crate::route::Isa;
use crate::vectors::Vectors;

/// Output channels of a panel.
const LANES: usize = 16;

/// Output pixels that are computed together.
const COLUMNS: usize = 4;

/// A convolution or matrix product of f32 numbers: the layers of a network that keep full precision.
///
/// A result is the sum of the products of a window in f64, added one after the other to zero in ascending order of `(tap,
/// channel)`, and rounded once to f32. A product of two f32 numbers is exact in f64, so whether a processor fuses the
/// multiplication with the addition makes no difference. Pixels of the padding add nothing.
#[derive(Debug, Clone)]
pub struct FloatProduct {
    shape: Conv2d,
    output: [usize; 2],
    vectors: Vectors,
    fused: Fused,
    /// `[groups][panels][taps][channels][LANES]`; channels past the end are zero.
    weights: Vec<f32>,
    /// A pixel of the padding.
    zeros: Vec<f32>,
}

/// Whether the loop is compiled for fused multiply-adds, and on which vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fused {
    No,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Fused {
    fn on(isa: Isa) -> Fused {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("fma") {
            return match isa {
                Isa::Avx512 => Fused::Avx512,
                Isa::Avx2 => Fused::Avx2,
                Isa::Portable | Isa::Neon => Fused::No,
            };
        }
        let _ = isa;
        Fused::No
    }
}

impl FloatProduct {
    /// Packs `weights`, `[outputs, channels / groups, kernel height, kernel width]` row-major. The loops use the vectors of
    /// `isa`.
    ///
    /// # Errors
    /// When the shape is empty or does not fit together, `weights` has the wrong length or holds a number that is not finite,
    /// or the processor lacks the instruction set.
    pub fn new(shape: Conv2d, weights: &[f32], isa: Isa) -> Result<FloatProduct, KernelError> {
        if !isa.is_available() {
            return Err(KernelError::UnavailableIsa { isa });
        }
        let output = shape.output()?;
        let (channels, outputs, taps) = (shape.channels / shape.groups, shape.outputs / shape.groups, shape.taps());
        let expected = shape.outputs.checked_mul(shape.depth()).ok_or(KernelError::TooLarge)?;
        check_length("weights", weights.len(), expected)?;
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Err(KernelError::Levels {
                operand: "weights",
                what: "hold a number that is not finite, expected finite numbers".to_owned(),
            });
        }
        let panels = outputs.div_ceil(LANES);
        let mut packed = vec![0.0; shape.groups * panels * taps * channels * LANES];
        for (row, weights) in weights.chunks_exact(channels * taps).enumerate() {
            let (group, output) = (row / outputs, row % outputs);
            let panel = group * panels + output / LANES;
            for (index, &weight) in weights.iter().enumerate() {
                let (channel, tap) = (index / taps, index % taps);
                packed[((panel * taps + tap) * channels + channel) * LANES + output % LANES] = weight;
            }
        }
        let (vectors, fused) = (Vectors::of(isa), Fused::on(isa));
        Ok(FloatProduct { shape, output, vectors, fused, weights: packed, zeros: vec![0.0; channels] })
    }

    /// The shape that it was made for.
    #[must_use]
    pub fn shape(&self) -> Conv2d {
        self.shape
    }

    /// `[height, width]` of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        self.output
    }

    /// Computes the product of `input`, `[batch, height, width, channels]` row-major. Where [`LayerOutput`] says `f32(x)` for a
    /// sum `x`, the result of this product stands. Does not allocate.
    ///
    /// # Errors
    /// When `input` or the output has the wrong length or shape; nothing is written then.
    pub fn run(&self, input: &[f32], mut output: LayerOutput<'_>, pool: &Pool) -> Result<(), KernelError> {
        let Conv2d { batch, height, width, channels, outputs, .. } = self.shape;
        let expected = [height, width, channels].iter().try_fold(batch, |n, &side| n.checked_mul(side));
        check_length("input", input.len(), expected.ok_or(KernelError::TooLarge)?)?;
        output.check([batch, self.output[0], self.output[1]], outputs)?;
        let sink = SharedSink(output.sink(self.vectors));
        let rows = batch * self.output[0];
        pool.run(rows, &|row| {
            let SharedSink(mut sink) = sink.clone();
            for group in 0..self.shape.groups {
                for first in (0..self.output[1]).step_by(COLUMNS) {
                    let columns = first..self.output[1].min(first + COLUMNS);
                    self.tile(input, row, columns, group, &mut sink);
                }
            }
        });
        Ok(())
    }

    /// Computes all channels of a group for a few output pixels of one row.
    #[cfg_attr(not(target_arch = "x86_64"), allow(clippy::match_single_binding))]
    fn tile(&self, input: &[f32], row: usize, columns: Range<usize>, group: usize, sink: &mut LayerSink<'_>) {
        match self.fused {
            Fused::No => self.tile_with::<false>(input, row, columns, group, sink),
            // SAFETY: the processor has AVX2 and FMA, see `Fused::on`.
            #[cfg(target_arch = "x86_64")]
            Fused::Avx2 => unsafe { self.tile_avx2(input, row, columns, group, sink) },
            // SAFETY: the processor has AVX-512 and FMA, see `Fused::on`.
            #[cfg(target_arch = "x86_64")]
            Fused::Avx512 => unsafe { self.tile_avx512(input, row, columns, group, sink) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn tile_avx2(&self, input: &[f32], row: usize, columns: Range<usize>, group: usize, sink: &mut LayerSink<'_>) {
        self.tile_with::<true>(input, row, columns, group, sink);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
    fn tile_avx512(&self, input: &[f32], row: usize, columns: Range<usize>, group: usize, sink: &mut LayerSink<'_>) {
        self.tile_with::<true>(input, row, columns, group, sink);
    }

    /// The loop, for the instructions of the function that it is inlined into.
    #[inline(always)]
    fn tile_with<const FUSED: bool>(
        &self,
        input: &[f32],
        row: usize,
        columns: Range<usize>,
        group: usize,
        sink: &mut LayerSink<'_>,
    ) {
        let shape = &self.shape;
        let (channels, outputs, taps) = (shape.channels / shape.groups, shape.outputs / shape.groups, shape.taps());
        let panels = outputs.div_ceil(LANES);
        let (image, y) = (row / self.output[0], row % self.output[0]);
        for block in (0..outputs).step_by(CHANNEL_BLOCK) {
            let end = outputs.min(block + CHANNEL_BLOCK);
            let mut results = [[0.0f32; CHANNEL_BLOCK]; COLUMNS];
            for panel in block / LANES..end.div_ceil(LANES) {
                let weights =
                    &self.weights[(group * panels + panel) * taps * channels * LANES..][..taps * channels * LANES];
                let mut sums = [[0.0f64; LANES]; COLUMNS];
                for (tap, weights) in weights.chunks_exact(channels * LANES).enumerate() {
                    let at = |column: usize| {
                        let x = if columns.contains(&column) { column } else { columns.start };
                        self.pixel(input, image, y, x, tap, group)
                    };
                    let pixels: [&[f32]; COLUMNS] = std::array::from_fn(|c| &at(columns.start + c)[..channels]);
                    for (channel, weights) in weights.chunks_exact(LANES).enumerate() {
                        for c in 0..COLUMNS {
                            let a = f64::from(pixels[c][channel]);
                            for lane in 0..LANES {
                                let weight = f64::from(weights[lane]);
                                sums[c][lane] =
                                    if FUSED { a.mul_add(weight, sums[c][lane]) } else { sums[c][lane] + a * weight };
                            }
                        }
                    }
                }
                let start = panel * LANES - block;
                for (results, sums) in results.iter_mut().zip(&sums) {
                    for (result, &sum) in results[start..].iter_mut().zip(sums) {
                        *result = sum as f32;
                    }
                }
            }
            let pixels = row * self.output[1] + columns.start..row * self.output[1] + columns.end;
            // SAFETY: the pixels and the channels exist (checked in `run`). A row of pixels is one task's alone, which takes
            // the channels of each in ascending order.
            unsafe { sink.store_results(pixels, shape.outputs, group * outputs + block, &results, end - block) };
        }
    }

    /// The channels of one group of the pixel that lies at a tap of the window of an output pixel; zeros in the padding.
    #[inline(always)]
    fn pixel<'a>(&'a self, input: &'a [f32], image: usize, y: usize, x: usize, tap: usize, group: usize) -> &'a [f32] {
        let shape = &self.shape;
        let (ky, kx) = (tap / shape.kernel[1], tap % shape.kernel[1]);
        let row = (y * shape.stride[0] + ky * shape.dilation[0]).wrapping_sub(shape.padding[0]);
        let column = (x * shape.stride[1] + kx * shape.dilation[1]).wrapping_sub(shape.padding[1]);
        if row >= shape.height || column >= shape.width {
            return &self.zeros;
        }
        let pixel = (image * shape.height + row) * shape.width + column;
        let channels = shape.channels / shape.groups;
        &input[pixel * shape.channels + group * channels..][..channels]
    }
}

/// Where the tasks of a product write.
#[derive(Clone)]
struct SharedSink<'a>(LayerSink<'a>);

// SAFETY: the pointers are to slices borrowed exclusively or shared for 'a, or those of a `Writer`, and every task writes
// pixels of its own.
unsafe impl Sync for SharedSink<'_> {}
