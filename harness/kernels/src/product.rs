//! Products of codes: set up once, and run many times without allocating.

use std::ops::Range;
use std::sync::Arc;

use crate::activations::Activations;
use crate::arch;
use crate::arch::tile::{Pass, Tile};
use crate::column_block::{ColumnBlock, FinishedSums, MAX_BLOCK_COLUMNS, Scratch};
use crate::correction::Correction;
use crate::epilogue::{CHANNEL_BLOCK, Grid, Output, Sink};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::plan::{Plan, Tiles};
use crate::pool::Pool;
use crate::route::{Isa, Route};
use crate::stored_pixels::StoredPixels;
use crate::weights::Panels;

/// The largest number of bit groups that activations are stored in: eight planes.
const MAX_BIT_GROUPS: usize = 8;

/// What stands in the place of bit groups that do not exist.
const BLANK_PASS: Pass<'_> =
    Pass { base: std::ptr::null(), pixel_bytes: 0, segments: &[], k_steps: 0, digits: 0, max_k_steps: 0, shift: 0 };

/// A convolution or matrix product with packed weights, ready to run.
///
/// `y[m, n] = sum_k (activation_step * a[m, k] - activation_zero) * (weight_step * w[n, k] - weight_zero[n])` over the
/// codes of a window, exact; pixels of the padding count as zero, not as code zero.
///
/// ```
/// use harness_kernels::{Conv2d, Grid, Output, Pool, Product, Route, levels::Bits};
/// let one = Bits::new(1).ok_or("1 to 8 bits")?;
/// let shape = Conv2d::matrix(2, 1, 3);
/// // Codes 0 and 1 stand for -1 and +1.
/// let product = Product::new(shape, &[1, 0, 1], one, one, Route::choose(&shape, one, one), &Grid::signs())?;
/// let mut activations = product.activations();
/// activations.fill_codes(&[1, 1, 1, 0, 1, 0])?;
/// let mut sums = [0; 2];
/// product.run(&activations, Output::Sums(&mut sums), &Pool::new(1))?;
/// assert_eq!(sums, [1, -3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Product {
    shape: Conv2d,
    /// `[height, width]` of the output.
    output: [usize; 2],
    layout: Layout,
    /// Shared with the products of other batches.
    weights: Arc<Panels>,
    /// Stride of the window in stored pixels, `[down, right]`.
    stride: [usize; 2],
    /// The contiguous runs of a window: their distances from its first stored pixel, and their length in pixels.
    runs: (Vec<usize>, usize),
    /// The segments of a window: the same distances in bytes, `[bit groups][runs]`.
    segments: Vec<Vec<usize>>,
    /// Empty activations that [`Product::activations`] hands out copies of.
    blank: Activations,
    correction: Correction,
    /// Bound of the magnitude of the sums.
    max_sum: i64,
}

impl Product {
    /// Packs `weights`, codes `[outputs, channels / groups, kernel height, kernel width]` row-major (for a matrix,
    /// `[columns, depth]`).
    ///
    /// # Errors
    /// When the shape is empty or does not fit together, `weights` or `grid.weight_zero` has the wrong length, a code
    /// does not fit its bits, a sum may overflow 32 bits, or the processor cannot run the route.
    pub fn new(
        shape: Conv2d,
        weights: &[u8],
        weight_bits: Bits,
        activation_bits: Bits,
        route: Route,
        grid: &Grid,
    ) -> Result<Product, KernelError> {
        if !route.is_available() {
            return Err(KernelError::Unavailable { route });
        }
        let output = shape.output()?;
        let depth = shape.depth();
        let expected = shape.outputs.checked_mul(depth).ok_or(KernelError::TooLarge)?;
        if weights.len() != expected {
            return Err(KernelError::Length { operand: "weights", expected, found: weights.len() });
        }
        if let Some(index) = weights.iter().position(|&code| code > weight_bits.max_code()) {
            return Err(KernelError::Code { operand: "weights", index, code: weights[index], bits: weight_bits });
        }
        if grid.weight_zero.len() != 1 && grid.weight_zero.len() != shape.outputs {
            return Err(KernelError::Length {
                operand: "weight zero",
                expected: shape.outputs,
                found: grid.weight_zero.len(),
            });
        }
        let limit = max_depth(weight_bits, activation_bits, grid);
        if depth > limit {
            return Err(KernelError::Overflow { depth, limit });
        }
        let max_sum = max_product(weight_bits, activation_bits, grid) * depth as i64;
        let layout = Layout::new(route, weight_bits, activation_bits, shape.pixels());
        let (channels, outputs) = (shape.channels / shape.groups, shape.outputs / shape.groups);
        let packed = Panels::pack(&layout, weights, shape.groups, outputs, channels, shape.taps());
        let blank = Activations::zeroed(layout.clone(), StoredPixels::of(&shape)?, channels, shape.groups)?;
        let runs = shape.contiguous_runs();
        let in_bytes = |pixel_bytes: usize| runs.0.iter().map(|pixels| pixels * pixel_bytes).collect();
        let segments = blank.bit_groups.iter().map(|placed| in_bytes(placed.pixel_bytes)).collect();
        let correction = Correction::new(&shape, output, &layout, &packed, grid);
        let stride = blank.stored.stride(&shape);
        let weights = Arc::new(packed);
        Ok(Product { shape, output, layout, stride, weights, runs, segments, blank, correction, max_sum })
    }

    /// The same product for another number of images (rows of a matrix), with the weights shared. It keeps the loop that was
    /// chosen for the first number.
    ///
    /// # Errors
    /// When `batch` is zero or the sizes do not fit the address space.
    pub fn with_batch(&self, batch: usize) -> Result<Product, KernelError> {
        let shape = Conv2d { batch, ..self.shape };
        shape.output()?;
        let (channels, groups) = (self.blank.channels, self.blank.groups);
        let blank = Activations::zeroed(self.layout.clone(), StoredPixels::of(&shape)?, channels, groups)?;
        Ok(Product { shape, blank, ..self.clone() })
    }

    /// The same product with a constant added to its sums: `constant(n, taps)` for output channel `n` in windows of which
    /// exactly the pixels `taps` lie inside the image, ascending indices into `[kernel height, kernel width]` row-major.
    ///
    /// It serves inputs for which [`Grid`] has no zero point, such as the bytes of an image of which each channel has a mean of
    /// its own. Padding is the number zero, not such a mean, so that what is to be subtracted depends on the taps.
    ///
    /// ```
    /// use harness_kernels::{Conv2d, Grid, Output, Pool, Product, Route, levels::Bits};
    /// let (two, eight) = (Bits::new(2).ok_or("1 to 8 bits")?, Bits::new(8).ok_or("1 to 8 bits")?);
    /// // A row of three bytes in one channel of mean 100, and a window of three pixels.
    /// let shape = Conv2d { height: 1, kernel: [1, 3], padding: [0, 1], ..Conv2d::same(1, 3, 1, 1, 3) };
    /// let weights = [3, 1, 2];
    /// let product = Product::new(shape, &weights, two, eight, Route::choose(&shape, two, eight), &Grid::codes())?;
    /// let inside = |taps: &[usize]| taps.iter().map(|&tap| i64::from(weights[tap])).sum::<i64>();
    /// let product = product.with_constants(|_, taps| -100 * inside(taps))?;
    /// let mut pixels = product.activations();
    /// pixels.fill_codes(&[101, 100, 90])?;
    /// let mut sums = [0; 3];
    /// product.run(&pixels, Output::Sums(&mut sums), &Pool::new(1))?;
    /// // At both ends one of the three pixels is padding.
    /// assert_eq!(sums, [1 * 1 + 2 * 0, 3 * 1 + 1 * 0 - 2 * 10, 3 * 0 - 1 * 10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a sum may not fit 32 bits.
    pub fn with_constants(mut self, constant: impl Fn(usize, &[usize]) -> i64) -> Result<Product, KernelError> {
        let room = i64::from(i32::MAX) - self.max_sum;
        let mut largest = 0;
        self.correction.add_constants(&self.shape, self.output, |n, taps| {
            let constant = constant(n, taps);
            largest = largest.max(constant.saturating_abs());
            // What does not fit is refused below.
            constant as i32
        });
        if largest > room {
            return Err(KernelError::Epilogue {
                what: "a constant and the largest sum do not fit 32 bits together, expected smaller constants or fewer products",
            });
        }
        self.max_sum += largest;
        Ok(self)
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

    /// The route on which it runs.
    #[must_use]
    pub fn route(&self) -> Route {
        self.layout.route
    }

    /// The layout of its operands, which names the loop that runs.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Multiply-accumulates of one call of [`Product::run`].
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.pixels() as u64 * self.shape.outputs as u64 * self.shape.depth() as u64
    }

    /// Size of the packed weights in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Activations to fill: code 0 everywhere.
    #[must_use]
    pub fn activations(&self) -> Activations {
        self.blank.clone()
    }

    /// Computes the product. Does not allocate.
    ///
    /// # Errors
    /// When `activations` were made for a product that reads another layout or shape, or the output has the wrong
    /// length, bits or number of channels; nothing is written then.
    pub fn run(&self, activations: &Activations, mut output: Output<'_>, pool: &Pool) -> Result<(), KernelError> {
        self.check(activations)?;
        output.check([self.shape.batch, self.output[0], self.output[1]], self.shape.outputs)?;
        // SAFETY: activations and output are the ones that were checked.
        unsafe { self.run_into(activations, output.sink(self.layout.vectors, self.shape.outputs), pool) };
        Ok(())
    }

    /// Refuses activations that this product does not read.
    pub(crate) fn check(&self, activations: &Activations) -> Result<(), KernelError> {
        let blank = &self.blank;
        let same = activations.layout.reads(&self.layout)
            && activations.stored == blank.stored
            && activations.channels == blank.channels
            && activations.groups == blank.groups;
        if same {
            return Ok(());
        }
        let describe = |a: &Activations| format!("{} of {}", a.layout.describe(a.channels, a.groups), a.stored);
        Err(KernelError::Layout { expected: describe(blank), found: describe(activations) })
    }

    /// Number of output pixels of the whole batch.
    pub(crate) fn pixels(&self) -> usize {
        self.shape.pixels()
    }

    /// Computes the product into `sink`.
    ///
    /// # Safety
    /// `activations` passed [`Product::check`]; the sink takes every pixel and channel of the output.
    pub(crate) unsafe fn run_into(&self, activations: &Activations, sink: Sink<'_>, pool: &Pool) {
        let blocks = (self.shape.outputs / self.shape.groups).div_ceil(CHANNEL_BLOCK);
        // Channels of packed results share words and sums, so one thread computes all channels of a pixel.
        let plan = Plan::new(self.pixels(), blocks, if sink.packs() { 1 } else { blocks }, pool.threads());
        pool.run(plan.tasks(), &|task| {
            let (pixels, blocks) = plan.task(task);
            for group in 0..self.shape.groups {
                self.run_task(activations, sink, group, pixels.clone(), blocks.clone());
            }
        });
    }

    /// Computes output pixels `pixels` by channel blocks `blocks` of one group.
    fn run_task(
        &self,
        activations: &Activations,
        mut sink: Sink<'_>,
        group: usize,
        pixels: Range<usize>,
        blocks: Range<usize>,
    ) {
        let mut passes = [BLANK_PASS; MAX_BIT_GROUPS];
        let passes = self.passes(activations, group, &mut passes);
        let (inner, panels) = (self.layout.inner, &self.weights);
        let outputs = self.shape.outputs / self.shape.groups;
        let weights = panels.data.bytes().as_ptr().wrapping_add(group * panels.panels * panels.panel_bytes);
        // Plain code asks for nothing in advance.
        let results = if inner.isa == Isa::Portable { None } else { sink.words(self.shape.outputs) };

        let max_columns = inner.max_columns();
        let width = CHANNEL_BLOCK.min(outputs.next_multiple_of(panels.lanes));
        let mut scratch = Scratch::new(width);
        // As many columns as there is room for, in whole tiles.
        let block_columns = scratch.columns().min(MAX_BLOCK_COLUMNS) / max_columns * max_columns;
        let mut position = self.position(pixels.start);
        for first in pixels.clone().step_by(block_columns) {
            let range = first..pixels.end.min(first + block_columns);
            let block = self.column_block(activations, group, range, &mut position);
            for channel_block in blocks.clone() {
                let channels = channel_block * CHANNEL_BLOCK..outputs.min((channel_block + 1) * CHANNEL_BLOCK);
                let mut panel = channels.start / panels.lanes;
                let end = channels.end.div_ceil(panels.lanes);
                while panel < end {
                    let rows = match inner.max_panels(block.columns.min(max_columns)).min(end - panel) {
                        0 | 1 => 1,
                        2 | 3 => 2,
                        _ => 4,
                    };
                    let (channel, done) = (panel * panels.lanes, outputs.min((panel + rows) * panels.lanes));
                    let results = results.map(|start| start.wrapping_add(4 * (group * outputs + channel)));
                    for columns in Tiles::of(block.columns, max_columns) {
                        let run = arch::tile(inner, columns.len(), rows);
                        let tile = Tile {
                            passes,
                            pixels: &block.windows[columns.clone()],
                            weights: weights.wrapping_add(panel * panels.panel_bytes),
                            panel_bytes: panels.panel_bytes,
                            plane_bytes: panels.plane_bytes,
                            planes: panels.planes,
                        };
                        if let Some(results) = results {
                            for c in columns.clone() {
                                let row = 4 * (block.first + c) * self.shape.outputs;
                                arch::prefetch(results.wrapping_add(row), 4 * (done - channel));
                            }
                        }
                        let out = scratch.at(columns.start, channel - channels.start);
                        // SAFETY: the route is available (checked in `new`), and both operands were packed for this loop.
                        // A window starts at a stored pixel and, the output's size being computed from the padded
                        // input's, ends inside the image; its runs were made for that image's width and `activations`
                        // has the same shape (checked in `run`). The panels lie in the buffer of this group. A channel
                        // block is a whole number of panels, so the columns' rows, `width` apart, take them.
                        unsafe { run(&tile, out, width) };
                    }
                    panel += rows;
                }
                let sums = FinishedSums { scratch: &scratch, block: &block, channels };
                let (vectors, first) = (self.layout.vectors, group * outputs);
                // SAFETY: pixels and channels exist; tasks do not overlap, so this thread alone has them.
                unsafe { self.correction.finish(vectors, &mut sink, sums, first, self.shape.outputs) };
            }
        }
    }

    /// The passes over the bit groups of one group's activations.
    fn passes<'a>(
        &'a self,
        activations: &Activations,
        group: usize,
        passes: &'a mut [Pass<'a>; MAX_BIT_GROUPS],
    ) -> &'a [Pass<'a>] {
        let data = activations.data.bytes().as_ptr();
        let pixel_k_steps = self.layout.k_steps(activations.channels);
        let bit_groups = self.layout.bit_groups.iter().zip(&activations.bit_groups).zip(&self.segments);
        for (pass, ((bit_group, placed), segments)) in passes.iter_mut().zip(bit_groups) {
            *pass = Pass {
                // The group's bytes lie inside the pixel, which lies inside the buffer.
                base: data.wrapping_add(placed.start + group * pixel_k_steps * bit_group.k_step_bytes),
                pixel_bytes: placed.pixel_bytes,
                segments,
                k_steps: self.runs.1 * pixel_k_steps,
                digits: bit_group.digits(),
                max_k_steps: bit_group.max_k_steps,
                shift: u32::from(bit_group.low),
            };
        }
        &passes[..self.layout.bit_groups.len()]
    }

    /// The column block of output pixels `pixels`, of which the first is at `position`; moves `position` past the last.
    fn column_block(
        &self,
        activations: &Activations,
        group: usize,
        pixels: Range<usize>,
        position: &mut [usize; 3],
    ) -> ColumnBlock {
        let (first, columns) = (pixels.start, pixels.len());
        let mut block = ColumnBlock {
            first,
            columns,
            windows: [0; MAX_BLOCK_COLUMNS],
            sums: [0; MAX_BLOCK_COLUMNS],
            classes: [0; MAX_BLOCK_COLUMNS],
        };
        for c in 0..columns {
            block.windows[c] = self.window(activations, *position);
            block.classes[c] = self.correction.rows[position[1]] + self.correction.columns[position[2]];
            *position = self.next_position(*position);
            if !self.correction.by_sum.is_empty() {
                block.sums[c] = self.sum(activations, group, block.windows[c]);
            }
        }
        block
    }

    /// `[image, row, column]` of output pixel `index`.
    fn position(&self, index: usize) -> [usize; 3] {
        let [height, width] = self.output;
        let row = index / width;
        [row / height, row % height, index % width]
    }

    /// The position of the next output pixel, without the divisions of [`Product::position`].
    fn next_position(&self, [image, row, column]: [usize; 3]) -> [usize; 3] {
        let [height, width] = self.output;
        if column + 1 < width {
            [image, row, column + 1]
        } else if row + 1 < height {
            [image, row + 1, 0]
        } else {
            [image + 1, 0, 0]
        }
    }

    /// The stored pixel at which the window of the output pixel at a position starts.
    fn window(&self, activations: &Activations, [image, row, column]: [usize; 3]) -> usize {
        let [height, width] = activations.stored.size;
        let [down, right] = self.stride;
        (image * height + row * down) * width + column * right
    }

    /// Sum of the codes of one group in the window of output pixel `pixel`.
    pub(crate) fn window_sum(&self, activations: &Activations, group: usize, pixel: usize) -> i32 {
        self.sum(activations, group, self.window(activations, self.position(pixel)))
    }

    /// Sum of the weight codes of output channel `output` at tap `tap`.
    pub(crate) fn tap_sum(&self, output: usize, tap: usize) -> i32 {
        self.weights.tap_sums[tap * self.shape.outputs + output]
    }

    /// Sum of the codes of the window that starts at stored pixel `window`.
    fn sum(&self, activations: &Activations, group: usize, window: usize) -> i32 {
        let groups = activations.groups;
        let run = |&start: &usize| {
            let sums = &activations.sums[(window + start) * groups..(window + start + self.runs.1) * groups];
            // The sums of a single group are next to each other.
            if groups == 1 { sums.iter().sum::<i32>() } else { sums.iter().skip(group).step_by(groups).sum() }
        };
        self.runs.0.iter().map(run).sum()
    }
}

/// The largest depth at which neither a sum of products of values nor one of products of codes can overflow 32 bits.
pub(crate) fn max_depth(weights: Bits, activations: Bits, grid: &Grid) -> usize {
    (i64::from(i32::MAX) / max_product(weights, activations, grid)) as usize
}

/// The largest magnitude of a product of values, or of codes.
fn max_product(weights: Bits, activations: Bits, grid: &Grid) -> i64 {
    let max_magnitude = |step: i32, zero: i32, bits: Bits| {
        let end = i64::from(step) * i64::from(bits.max_code()) - i64::from(zero);
        i64::from(zero).abs().max(end.abs())
    };
    let weight = grid.weight_zero.iter().map(|&zero| max_magnitude(grid.weight_step, zero, weights)).max().unwrap_or(0);
    let values = weight.saturating_mul(max_magnitude(grid.activation_step, grid.activation_zero, activations));
    let codes = i64::from(weights.max_code()) * i64::from(activations.max_code());
    values.max(codes)
}
