//! From sums of products of stored codes to sums of products of the values that the codes stand for.

#[cfg(target_arch = "x86_64")]
use crate::arch;
use crate::arch::generic::layer::{CorrectedSums, Numbers, Plain};
use crate::border_classes::BorderClasses;
use crate::column_block::FinishedSums;
use crate::epilogue::{Grid, Sink};
use crate::geometry::Conv2d;
use crate::layer_output::LayerSink;
use crate::layout::Layout;
use crate::vectors::Vectors;
use crate::weights::Panels;

/// `y = scale * p + by_sum[n] * (sum of the window's codes) + constant[class][n]` for the sum `p` of products of stored
/// codes, output channel `n` and the window's border class. All in 32-bit arithmetic modulo 2^32: the result fits 32 bits, so
/// it is right even where an intermediate result wraps around.
#[derive(Debug, Clone)]
pub(crate) struct Correction {
    scale: i32,
    /// One number per output channel; a single one where all are equal, and empty where all are zero.
    pub(crate) by_sum: Vec<i32>,
    /// `[border classes, output channels]`; empty where all are zero.
    constant: Vec<i32>,
    /// Border class of the window at output row `y` and column `x`: `rows[y] + columns[x]`.
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
        let by_sum = match by_sum.first() {
            Some(&first) if by_sum.iter().all(|&b| b == first) => {
                if first == 0 {
                    vec![]
                } else {
                    vec![first]
                }
            }
            _ => by_sum,
        };
        if grid.activation_zero == 0 {
            return Correction {
                scale,
                by_sum,
                constant: Vec::new(),
                rows: vec![0; output[0]],
                columns: vec![0; output[1]],
            };
        }
        let classes = BorderClasses::new(shape, output);
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

    /// Adds `constant(n, taps)` to the sums of output channel `n` in windows of which exactly `taps`, ascending, lie inside the
    /// image.
    pub(crate) fn add_constants(
        &mut self,
        shape: &Conv2d,
        output: [usize; 2],
        mut constant: impl FnMut(usize, &[usize]) -> i32,
    ) {
        let classes = BorderClasses::new(shape, output);
        let outputs = shape.outputs;
        // Without constants so far, all windows are of one class here.
        self.constant.resize(classes.count() * outputs, 0);
        for (class, constants) in self.constant.chunks_exact_mut(outputs).enumerate() {
            let taps: Vec<usize> = classes.taps(class).collect();
            for (n, sum) in constants.iter_mut().enumerate() {
                *sum = sum.wrapping_add(constant(n, &taps));
            }
        }
        (self.rows, self.columns) = (classes.rows, classes.columns);
    }

    /// Corrects the sums, and stores what the sink makes of them, with the vector instructions that `vectors` allow. The
    /// group's first channel is channel `group` of all `outputs`.
    ///
    /// # Safety
    /// As for [`Sink::store`].
    pub(crate) unsafe fn finish(
        &self,
        vectors: Vectors,
        sink: &mut Sink<'_>,
        sums: FinishedSums<'_>,
        group: usize,
        outputs: usize,
    ) {
        #[cfg(target_arch = "x86_64")]
        if let Sink::Layer(layer) = sink
            && vectors.wide()
        {
            // SAFETY: the processor has AVX-512; the rest is the caller's promise.
            return unsafe { self.finish_avx512(layer, sums, group, outputs) };
        }
        #[cfg(target_arch = "x86_64")]
        if vectors.avx2() {
            // SAFETY: the processor has AVX2; the rest is the caller's promise.
            return unsafe { self.finish_avx2(sink, sums, group, outputs) };
        }
        let _ = vectors;
        // SAFETY: the caller's promise; plain Rust needs no instruction set.
        unsafe { self.finish_with::<Plain<8>>(sink, sums, group, outputs) }
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn finish_avx2(&self, sink: &mut Sink<'_>, sums: FinishedSums<'_>, group: usize, outputs: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.finish_with::<arch::avx2::Avx2>(sink, sums, group, outputs) }
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    unsafe fn finish_avx512(&self, layer: &mut LayerSink<'_>, sums: FinishedSums<'_>, group: usize, outputs: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.finish_layer::<arch::avx512::Avx512>(layer, sums, group, outputs) }
    }

    /// The loop, for the instructions of the function that it is inlined into.
    ///
    /// # Safety
    /// As for [`Sink::store`]; and the processor has the instruction set of `V`.
    #[inline(always)]
    unsafe fn finish_with<V: Numbers>(
        &self,
        sink: &mut Sink<'_>,
        sums: FinishedSums<'_>,
        group: usize,
        outputs: usize,
    ) {
        match sink {
            // SAFETY: the caller's promise.
            Sink::Layer(layer) => unsafe { self.finish_layer::<V>(layer, sums, group, outputs) },
            // SAFETY: the caller's promise.
            _ => unsafe { self.finish_other(sink, sums, group, outputs) },
        }
    }

    /// What a window with this sum of codes adds to channels `first..first + count`: the same to all, or `sum` times a number
    /// for each.
    #[inline(always)]
    fn by_sum(&self, sum: i32, first: usize, count: usize) -> (i32, Option<&[i32]>) {
        match self.by_sum[..] {
            [] => (0, None),
            [by_sum] => (by_sum.wrapping_mul(sum), None),
            _ => (0, self.by_sum.get(first..first + count)),
        }
    }

    /// # Safety
    /// As for [`Sink::store`]; and the processor has the instruction set of `V`.
    #[inline(always)]
    unsafe fn finish_layer<V: Numbers>(
        &self,
        layer: &mut LayerSink<'_>,
        sums: FinishedSums<'_>,
        group: usize,
        outputs: usize,
    ) {
        let FinishedSums { scratch, block, channels } = sums;
        let (first, count) = (group + channels.start, channels.len());
        // Shifts are faster than products; the sign of the scale stays in what is left.
        let shift = self.scale.trailing_zeros() % 32;
        let source = |c: usize| {
            let (offset, by_sum) = self.by_sum(block.sums[c], first, count);
            let constants = block.classes[c] * outputs + first;
            CorrectedSums {
                sums: scratch.row(c, count),
                scale: self.scale >> shift,
                shift,
                offset,
                by_sum,
                sum: block.sums[c],
                constant: self.constant.get(constants..constants + count),
            }
        };
        let pixels = block.first..block.first + block.columns;
        // SAFETY: the caller's promise.
        unsafe { layer.store::<V, _>(pixels, outputs, first, count, source) };
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[inline(always)]
    unsafe fn finish_other(&self, sink: &mut Sink<'_>, sums: FinishedSums<'_>, group: usize, outputs: usize) {
        let FinishedSums { scratch, block, channels } = sums;
        let (first, count) = (group + channels.start, channels.len());
        let scale = self.scale;
        for c in 0..block.columns {
            let pixel = block.first + c;
            let row = scratch.row(c, count);
            let constants = block.classes[c] * outputs + first;
            let constant = self.constant.get(constants..constants + count);
            let sum = block.sums[c];
            let (offset, by_sum) = self.by_sum(sum, first, count);
            // SAFETY: the caller's promise.
            unsafe {
                match (by_sum, constant) {
                    (None, None) if scale == 1 && offset == 0 => sink.store(pixel, outputs, first, row, |_, x| x),
                    (None, None) => {
                        sink.store(pixel, outputs, first, row, |_, x| x.wrapping_mul(scale).wrapping_add(offset))
                    }
                    (Some(by_sum), None) => sink.store(pixel, outputs, first, row, |n, x| {
                        x.wrapping_mul(scale).wrapping_add(by_sum[n].wrapping_mul(sum))
                    }),
                    (None, Some(constant)) => sink.store(pixel, outputs, first, row, |n, x| {
                        x.wrapping_mul(scale).wrapping_add(offset).wrapping_add(constant[n])
                    }),
                    (Some(by_sum), Some(constant)) => sink.store(pixel, outputs, first, row, |n, x| {
                        x.wrapping_mul(scale).wrapping_add(by_sum[n].wrapping_mul(sum)).wrapping_add(constant[n])
                    }),
                }
            }
        }
    }
}
