//! From sums of products of stored codes to sums of products of the values that they stand for.

use crate::classes::Classes;
use crate::epilogue::{Grid, Sink};
use crate::geometry::Conv2d;
use crate::layout::Layout;
use crate::strip::Rows;
use crate::weights::Panels;

/// `y = scale * p + by_sum[n] * (sum of the window's codes) + constant[class][n]` from the sum `p` of products of
/// stored codes. All in wrapping 32-bit arithmetic: the result fits, so what wraps on the way unwraps.
#[derive(Debug, Clone)]
pub(crate) struct Correction {
    scale: i32,
    /// Empty where no output needs the sums of codes.
    pub(crate) by_sum: Vec<i32>,
    /// `[classes, outputs]`; empty where all are zero.
    constant: Vec<i32>,
    /// Class of every output row and column: which rows or columns of the window lie inside the image.
    pub(crate) rows: Vec<usize>,
    pub(crate) columns: Vec<usize>,
}

impl Correction {
    pub(crate) fn new(
        shape: &Conv2d,
        output: [usize; 2],
        layout: &Layout,
        weights: &Panels,
        grid: &Grid,
    ) -> Correction {
        let outputs = shape.outputs;
        let zero = |n: usize| grid.weight_zero[n % grid.weight_zero.len()];
        let scale = grid.activation_step.wrapping_mul(grid.weight_step);
        let by_sum: Vec<i32> = (0..outputs)
            .map(|n| scale.wrapping_mul(layout.center).wrapping_sub(grid.activation_step.wrapping_mul(zero(n))))
            .collect();
        let by_sum = if by_sum.iter().all(|&b| b == 0) { Vec::new() } else { by_sum };
        if grid.activation_zero == 0 {
            return Correction {
                scale,
                by_sum,
                constant: Vec::new(),
                rows: vec![0; output[0]],
                columns: vec![0; output[1]],
            };
        }
        let classes = Classes::new(shape, output);
        let mut constant = vec![0i32; classes.count() * outputs];
        let channels = (shape.channels / shape.groups) as i32;
        for (class, constants) in constant.chunks_exact_mut(outputs).enumerate() {
            let depth = channels.wrapping_mul(classes.taps(class).count() as i32);
            for (n, constant) in constants.iter_mut().enumerate() {
                let codes: i32 = classes.taps(class).map(|tap| weights.tap_sums[tap * outputs + n]).sum();
                *constant = grid
                    .activation_zero
                    .wrapping_mul(zero(n).wrapping_mul(depth).wrapping_sub(grid.weight_step.wrapping_mul(codes)));
            }
        }
        Correction { scale, by_sum, constant, rows: classes.rows, columns: classes.columns }
    }

    /// Turns sums of products of stored codes into sums of products of values and stores what becomes of them. The
    /// group's first channel is `group` of `outputs`.
    ///
    /// # Safety
    /// As for [`Sink::store`].
    pub(crate) unsafe fn finish(&self, sink: &mut Sink<'_>, rows: Rows<'_>, group: usize, outputs: usize) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2; the rest is the caller's promise.
            return unsafe { self.finish_avx2(sink, rows, group, outputs) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.finish_here(sink, rows, group, outputs) }
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn finish_avx2(&self, sink: &mut Sink<'_>, rows: Rows<'_>, group: usize, outputs: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.finish_here(sink, rows, group, outputs) }
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[inline(always)]
    unsafe fn finish_here(&self, sink: &mut Sink<'_>, rows: Rows<'_>, group: usize, outputs: usize) {
        let Rows { scratch, strip, channels } = rows;
        let (first, count) = (group + channels.start, channels.len());
        let by_sum = self.by_sum.get(first..first + count);
        let scale = self.scale;
        for c in 0..strip.columns {
            let pixel = strip.first + c;
            let row = scratch.row(c, count);
            let constants = strip.classes[c] * outputs + first;
            let constant = self.constant.get(constants..constants + count);
            let sum = strip.sums[c];
            // SAFETY: the caller's promise.
            unsafe {
                match (by_sum, constant) {
                    (None, None) if scale == 1 => sink.store(pixel, outputs, first, row, |_, x| x),
                    (None, None) => sink.store(pixel, outputs, first, row, |_, x| x.wrapping_mul(scale)),
                    (Some(by_sum), None) => sink.store(pixel, outputs, first, row, |n, x| {
                        x.wrapping_mul(scale).wrapping_add(by_sum[n].wrapping_mul(sum))
                    }),
                    (None, Some(constant)) => {
                        sink.store(pixel, outputs, first, row, |n, x| x.wrapping_mul(scale).wrapping_add(constant[n]))
                    }
                    (Some(by_sum), Some(constant)) => sink.store(pixel, outputs, first, row, |n, x| {
                        x.wrapping_mul(scale).wrapping_add(by_sum[n].wrapping_mul(sum)).wrapping_add(constant[n])
                    }),
                }
            }
        }
    }
}
