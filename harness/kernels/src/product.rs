//! Products of codes: set up once, run many times without allocating.

use std::ops::Range;

use crate::activations::Activations;
use crate::arch::{self, MAX_COLUMNS, Pass, Tile};
use crate::classes::Classes;
use crate::epilogue::{BLOCK, Grid, Output, Sink};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::pool::Pool;
use crate::route::Route;
use crate::weights::Panels;

/// Most regions that activations are split into: eight planes.
const MAX_REGIONS: usize = 8;

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
/// let product = Product::new(shape, &[1, 0, 1], one, one, Route::choose(one, one), &Grid::signs())?;
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
    weights: Panels,
    /// Windows as runs of pixels: offsets from the first pixel, and their length.
    runs: (Vec<usize>, usize),
    /// The same in bytes, a row for each region.
    segments: Vec<Vec<usize>>,
    /// Empty activations that [`Product::activations`] hands out copies of.
    blank: Activations,
    correction: Correction,
}

/// `y = scale * p + by_sum[n] * (sum of the window's codes) + constant[class][n]` from the sum `p` of products of
/// stored codes. All in wrapping 32-bit arithmetic: the result fits, so what wraps on the way unwraps.
#[derive(Debug, Clone)]
struct Correction {
    scale: i32,
    /// Empty where no output needs the sums of codes.
    by_sum: Vec<i32>,
    /// `[classes, outputs]`; empty where all are zero.
    constant: Vec<i32>,
    /// Class of every output row and column: which rows or columns of the window lie inside the image.
    rows: Vec<usize>,
    columns: Vec<usize>,
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
        let limit = greatest_depth(weight_bits, activation_bits, grid);
        if depth > limit {
            return Err(KernelError::Overflow { depth, limit });
        }
        let layout = Layout::new(route, weight_bits, activation_bits);
        let (channels, outputs) = (shape.channels / shape.groups, shape.outputs / shape.groups);
        let packed = Panels::pack(&layout, weights, shape.groups, outputs, channels, shape.taps());
        let extent = [shape.batch, shape.height, shape.width];
        let blank = Activations::zeroed(layout.clone(), extent, shape.padding, channels, shape.groups)?;
        let runs = shape.runs();
        let in_bytes = |pixel_bytes: usize| runs.0.iter().map(|pixels| pixels * pixel_bytes).collect();
        let segments = blank.regions.iter().map(|placed| in_bytes(placed.pixel_bytes)).collect();
        let correction = Correction::new(&shape, output, &layout, &packed, grid);
        Ok(Product { shape, output, layout, weights: packed, runs, segments, blank, correction })
    }

    /// The shape it was made for.
    #[must_use]
    pub fn shape(&self) -> Conv2d {
        self.shape
    }

    /// `[height, width]` of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        self.output
    }

    /// The loop that runs.
    #[must_use]
    pub fn route(&self) -> Route {
        self.layout.route
    }

    /// Multiply-accumulates of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let pixels = self.shape.batch * self.output[0] * self.output[1];
        pixels as u64 * self.shape.outputs as u64 * self.shape.depth() as u64
    }

    /// Bytes of the packed weights.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.weights.data.bytes().len()
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
        // Packed results share words and sums between channels: a pixel is one thread's alone.
        let whole_pixels = matches!(output, Output::Packed { .. });
        // SAFETY: activations and output are the ones that were checked.
        unsafe { self.run_into(activations, output.sink(), whole_pixels, pool) };
        Ok(())
    }

    /// Whether `activations` are what this product reads.
    pub(crate) fn check(&self, activations: &Activations) -> Result<(), KernelError> {
        let blank = &self.blank;
        let same = activations.layout.reads(&self.layout)
            && activations.extent == blank.extent
            && activations.padding == blank.padding
            && activations.channels == blank.channels
            && activations.groups == blank.groups;
        if same {
            return Ok(());
        }
        let describe = |a: &Activations| {
            format!("{} of {:?}, padding {:?}", a.layout.describe(a.channels, a.groups), a.extent, a.padding)
        };
        Err(KernelError::Layout { expected: describe(blank), found: describe(activations) })
    }

    /// Output pixels: images, rows and columns.
    pub(crate) fn pixels(&self) -> usize {
        self.shape.batch * self.output[0] * self.output[1]
    }

    /// Computes the product into `sink`; no two threads get the same pixel if `whole_pixels`.
    ///
    /// # Safety
    /// `activations` passed [`Product::check`]; the sink takes every pixel and channel of the output.
    pub(crate) unsafe fn run_into(&self, activations: &Activations, sink: Sink<'_>, whole_pixels: bool, pool: &Pool) {
        let blocks = (self.shape.outputs / self.shape.groups).div_ceil(BLOCK);
        let plan = Plan::new(self.pixels(), blocks, if whole_pixels { 1 } else { blocks }, pool.threads());
        pool.run(plan.tasks(), &|task| {
            let (pixels, blocks) = plan.part(task);
            for group in 0..self.shape.groups {
                self.part(activations, sink, group, pixels.clone(), blocks.clone());
            }
        });
    }

    /// Output pixels `pixels` by blocks of channels `blocks` of one group.
    fn part(
        &self,
        activations: &Activations,
        mut sink: Sink<'_>,
        group: usize,
        pixels: Range<usize>,
        blocks: Range<usize>,
    ) {
        let (data, panels) = (activations.data.bytes().as_ptr(), &self.weights);
        let mut passes =
            [Pass { base: data, pixel_bytes: 0, segments: &[], units: 0, unit_bytes: 0, chunk: 0, shift: 0 };
                MAX_REGIONS];
        let pixel_units = self.layout.units(activations.channels);
        let regions = self.layout.regions.iter().zip(&activations.regions).zip(&self.segments);
        for (pass, ((region, placed), segments)) in passes.iter_mut().zip(regions) {
            *pass = Pass {
                // The group's bytes lie inside the pixel, which lies inside the buffer.
                base: data.wrapping_add(placed.start + group * pixel_units * region.unit_bytes),
                pixel_bytes: placed.pixel_bytes,
                segments,
                units: self.runs.1 * pixel_units,
                unit_bytes: region.unit_bytes,
                chunk: region.chunk,
                shift: u32::from(region.low),
            };
        }
        let passes = &passes[..self.layout.regions.len()];
        let outputs = self.shape.outputs / self.shape.groups;
        let weights = panels.data.bytes().as_ptr().wrapping_add(group * panels.panels * panels.panel_bytes);

        let mut scratch = Scratch([[0; BLOCK]; MAX_COLUMNS]);
        let most = arch::most_columns(self.layout.route);
        let mut place = self.place(pixels.start);
        let mut at = pixels.start;
        // Tiles of nearly the same width: seven columns are four and three, not six and one.
        let tiles = pixels.len().div_ceil(most);
        let (narrow, wider) = (pixels.len() / tiles, pixels.len() % tiles);
        for tile in 0..tiles {
            let columns = narrow + usize::from(tile < wider);
            let mut windows = [0; MAX_COLUMNS];
            let mut sums = [0; MAX_COLUMNS];
            let mut classes = [0; MAX_COLUMNS];
            for c in 0..columns {
                windows[c] = self.window(activations, place);
                classes[c] = self.correction.rows[place[1]] + self.correction.columns[place[2]];
                place = self.after(place);
                if !self.correction.by_sum.is_empty() {
                    sums[c] = self.sum(activations, group, windows[c]);
                }
            }
            for block in blocks.clone() {
                let first = block * BLOCK;
                let count = BLOCK.min(outputs - first);
                let mut panel = first / panels.lanes;
                let end = (first + count).div_ceil(panels.lanes);
                while panel < end {
                    let rows = match arch::most_panels(self.layout.route, columns).min(end - panel) {
                        0 | 1 => 1,
                        2 | 3 => 2,
                        _ => 4,
                    };
                    let tile = Tile {
                        passes,
                        pixels: &windows,
                        weights: weights.wrapping_add(panel * panels.panel_bytes),
                        panel_bytes: panels.panel_bytes,
                        plane_bytes: panels.plane_bytes,
                        planes: panels.planes,
                        pack: self.layout.pack,
                    };
                    let run = arch::tile(self.layout.route, columns, rows);
                    // From the whole scratch, not from its first row: the other columns' rows are written through it.
                    let out = scratch.0.as_mut_ptr().cast::<i32>().wrapping_add(panel * panels.lanes - first);
                    // SAFETY: the route is available (checked in `new`). A window starts at a stored pixel and, the
                    // output's size being computed from the padded input's, ends inside the image; its runs were made
                    // for that image's width and `activations` has the same shape (checked in `run`). The panels lie
                    // in the buffer of this group. A block is a whole number of panels, so the columns' rows, `BLOCK`
                    // apart, take them.
                    unsafe { run(&tile, out, BLOCK) };
                    panel += rows;
                }
                for c in 0..columns {
                    let row = &scratch.0[c][..count];
                    let place = Place {
                        pixel: at + c,
                        first: group * outputs + first,
                        outputs: self.shape.outputs,
                        sum: sums[c],
                        class: classes[c],
                    };
                    // SAFETY: the pixel and the channels exist; parts do not overlap, so this thread alone has them.
                    unsafe { self.correction.finish(&mut sink, row, place) };
                }
            }
            at += columns;
        }
    }

    /// `[image, row, column]` of output pixel `index`.
    fn place(&self, index: usize) -> [usize; 3] {
        let [height, width] = self.output;
        let row = index / width;
        [row / height, row % height, index % width]
    }

    /// The place of the next output pixel, without the divisions of [`Product::place`].
    fn after(&self, [image, row, column]: [usize; 3]) -> [usize; 3] {
        let [height, width] = self.output;
        if column + 1 < width {
            [image, row, column + 1]
        } else if row + 1 < height {
            [image, row + 1, 0]
        } else {
            [image + 1, 0, 0]
        }
    }

    /// The stored pixel at which the window of the output pixel at `place` starts.
    fn window(&self, activations: &Activations, [image, row, column]: [usize; 3]) -> usize {
        let [down, right] = self.shape.stride;
        (image * activations.stored_height() + row * down) * activations.stored_width() + column * right
    }

    /// Sum of the codes that one group sees in the window of output pixel `pixel`.
    pub(crate) fn window_sum(&self, activations: &Activations, group: usize, pixel: usize) -> i32 {
        self.sum(activations, group, self.window(activations, self.place(pixel)))
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
            // A single group's are next to each other.
            if groups == 1 { sums.iter().sum::<i32>() } else { sums.iter().skip(group).step_by(groups).sum() }
        };
        self.runs.0.iter().map(run).sum()
    }
}

/// One tile's sums, on cache lines.
#[repr(align(64))]
struct Scratch([[i32; BLOCK]; MAX_COLUMNS]);

/// The greatest depth at which no sum, nor the sum of products of stored codes, leaves 32 bits.
pub(crate) fn greatest_depth(weights: Bits, activations: Bits, grid: &Grid) -> usize {
    let reach = |step: i32, zero: i32, bits: Bits| {
        let end = i64::from(step) * i64::from(bits.max_code()) - i64::from(zero);
        i64::from(zero).abs().max(end.abs())
    };
    let zero = grid.weight_zero.iter().map(|&zero| reach(grid.weight_step, zero, weights)).max().unwrap_or(0);
    let values = zero.saturating_mul(reach(grid.activation_step, grid.activation_zero, activations));
    let codes = i64::from(weights.max_code()) * i64::from(activations.max_code());
    (i64::from(i32::MAX) / values.max(codes)) as usize
}

impl Correction {
    fn new(shape: &Conv2d, output: [usize; 2], layout: &Layout, weights: &Panels, grid: &Grid) -> Correction {
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

    /// Turns sums of products of stored codes into sums of products of values and stores what becomes of them.
    ///
    /// # Safety
    /// As for [`Sink::store`].
    unsafe fn finish(&self, sink: &mut Sink<'_>, row: &[i32], place: Place) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2; the rest is the caller's promise.
            return unsafe { self.finish_avx2(sink, row, place) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.finish_here(sink, row, place) }
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn finish_avx2(&self, sink: &mut Sink<'_>, row: &[i32], place: Place) {
        // SAFETY: the caller's promise.
        unsafe { self.finish_here(sink, row, place) }
    }

    /// # Safety
    /// As for [`Sink::store`].
    #[inline(always)]
    unsafe fn finish_here(&self, sink: &mut Sink<'_>, row: &[i32], place: Place) {
        let channels = place.first..place.first + row.len();
        let constants = place.class * place.outputs;
        let by_sum = self.by_sum.get(channels.clone());
        let constant = self.constant.get(constants + channels.start..constants + channels.end);
        let (scale, sum) = (self.scale, place.sum);
        // SAFETY: the caller's promise.
        unsafe {
            match (by_sum, constant) {
                (None, None) if scale == 1 => sink.store(place.pixel, place.outputs, place.first, row, |_, x| x),
                (None, None) => {
                    sink.store(place.pixel, place.outputs, place.first, row, |_, x| x.wrapping_mul(scale));
                }
                (Some(by_sum), None) => sink.store(place.pixel, place.outputs, place.first, row, |n, x| {
                    x.wrapping_mul(scale).wrapping_add(by_sum[n].wrapping_mul(sum))
                }),
                (None, Some(constant)) => sink.store(place.pixel, place.outputs, place.first, row, |n, x| {
                    x.wrapping_mul(scale).wrapping_add(constant[n])
                }),
                (Some(by_sum), Some(constant)) => sink.store(place.pixel, place.outputs, place.first, row, |n, x| {
                    x.wrapping_mul(scale).wrapping_add(by_sum[n].wrapping_mul(sum)).wrapping_add(constant[n])
                }),
            }
        }
    }
}

/// Where a row of sums belongs, and what corrects it.
#[derive(Clone, Copy)]
struct Place {
    /// Output pixel.
    pixel: usize,
    /// First channel.
    first: usize,
    /// Channels of the output.
    outputs: usize,
    /// Sum of the codes of the window.
    sum: i32,
    /// Which part of the window lies inside the image.
    class: usize,
}

/// How a product is divided among threads: tasks are ranges of pixels by ranges of channel blocks.
struct Plan {
    pixels: usize,
    pixel_step: usize,
    blocks: usize,
    block_step: usize,
}

impl Plan {
    /// `divisible` is the most parts that the blocks may be split into.
    fn new(pixels: usize, blocks: usize, divisible: usize, threads: usize) -> Plan {
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

    fn tasks(&self) -> usize {
        self.pixels.div_ceil(self.pixel_step) * self.blocks.div_ceil(self.block_step)
    }

    /// Pixels and blocks of a task.
    fn part(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let block_tasks = self.blocks.div_ceil(self.block_step);
        let range = |index: usize, step: usize, end: usize| index * step..((index + 1) * step).min(end);
        (
            range(task / block_tasks, self.pixel_step, self.pixels),
            range(task % block_tasks, self.block_step, self.blocks),
        )
    }
}
