//! Products of codes: set up once, run many times without allocating.

use std::ops::Range;

use crate::activations::Activations;
use crate::arch::{self, Pass, Tile};
use crate::correction::Correction;
use crate::epilogue::{BLOCK, Grid, Output, Sink};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::plan::{Plan, Tiles};
use crate::pool::Pool;
use crate::route::Route;
use crate::stored::Stored;
use crate::strip::{Rows, STRIP, Scratch, Strip};
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
/// let product = Product::new(shape, &[1, 0, 1], one, one, Route::choose(one, one, shape.pixels()), &Grid::signs())?;
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
    /// Steps of a window from one stored pixel to another.
    stride: [usize; 2],
    /// Windows as runs of pixels: offsets from the first pixel, and their length.
    runs: (Vec<usize>, usize),
    /// The same in bytes, a row for each region.
    segments: Vec<Vec<usize>>,
    /// Empty activations that [`Product::activations`] hands out copies of.
    blank: Activations,
    correction: Correction,
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
        let layout = Layout::new(route, weight_bits, activation_bits, shape.pixels());
        let (channels, outputs) = (shape.channels / shape.groups, shape.outputs / shape.groups);
        let packed = Panels::pack(&layout, weights, shape.groups, outputs, channels, shape.taps());
        let blank = Activations::zeroed(layout.clone(), Stored::of(&shape)?, channels, shape.groups)?;
        let runs = shape.runs();
        let in_bytes = |pixel_bytes: usize| runs.0.iter().map(|pixels| pixels * pixel_bytes).collect();
        let segments = blank.regions.iter().map(|placed| in_bytes(placed.pixel_bytes)).collect();
        let correction = Correction::new(&shape, output, &layout, &packed, grid);
        let stride = blank.stored.stride(&shape);
        Ok(Product { shape, output, layout, stride, weights: packed, runs, segments, blank, correction })
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
        self.pixels() as u64 * self.shape.outputs as u64 * self.shape.depth() as u64
    }

    /// Bytes of the packed weights.
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
        unsafe { self.run_into(activations, output.sink(), pool) };
        Ok(())
    }

    /// Whether `activations` are what this product reads.
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

    /// Output pixels: images, rows and columns.
    pub(crate) fn pixels(&self) -> usize {
        self.shape.pixels()
    }

    /// Computes the product into `sink`.
    ///
    /// # Safety
    /// `activations` passed [`Product::check`]; the sink takes every pixel and channel of the output.
    pub(crate) unsafe fn run_into(&self, activations: &Activations, sink: Sink<'_>, pool: &Pool) {
        let blocks = (self.shape.outputs / self.shape.groups).div_ceil(BLOCK);
        // Packed results share words and sums between channels: a pixel is one thread's alone.
        let plan = Plan::new(self.pixels(), blocks, if sink.packs() { 1 } else { blocks }, pool.threads());
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
            [Pass { base: data, pixel_bytes: 0, segments: &[], units: 0, unit_bytes: 0, chunk: 0, shift: 0, bits: 0 };
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
                bits: region.bits,
            };
        }
        let passes = &passes[..self.layout.regions.len()];
        let outputs = self.shape.outputs / self.shape.groups;
        let weights = panels.data.bytes().as_ptr().wrapping_add(group * panels.panels * panels.panel_bytes);

        let most = arch::most_columns(self.layout.route);
        let width = BLOCK.min(outputs.next_multiple_of(panels.lanes));
        let mut scratch = Scratch::new(width);
        // As many columns as there is room for, in whole tiles.
        let strip = scratch.columns().min(STRIP) / most * most;
        let mut place = self.place(pixels.start);
        for first in pixels.clone().step_by(strip) {
            let strip = self.strip(activations, group, first..pixels.end.min(first + strip), &mut place);
            for block in blocks.clone() {
                let channels = block * BLOCK..outputs.min((block + 1) * BLOCK);
                let mut panel = channels.start / panels.lanes;
                let end = channels.end.div_ceil(panels.lanes);
                while panel < end {
                    let rows = match arch::most_panels(self.layout.route, strip.columns.min(most)).min(end - panel) {
                        0 | 1 => 1,
                        2 | 3 => 2,
                        _ => 4,
                    };
                    let (channel, done) = (panel * panels.lanes, outputs.min((panel + rows) * panels.lanes));
                    let results = sink.words().map(|start| start.wrapping_add(4 * (group * outputs + channel)));
                    for columns in Tiles::of(strip.columns, most) {
                        let run = arch::tile(self.layout.route, columns.len(), rows);
                        let tile = Tile {
                            passes,
                            pixels: &strip.windows[columns.clone()],
                            weights: weights.wrapping_add(panel * panels.panel_bytes),
                            panel_bytes: panels.panel_bytes,
                            plane_bytes: panels.plane_bytes,
                            planes: panels.planes,
                            shared: self.layout.shared(),
                            short: self.layout.short_weights(),
                        };
                        if let Some(results) = results {
                            for c in columns.clone() {
                                let row = 4 * (strip.first + c) * self.shape.outputs;
                                arch::prefetch(results.wrapping_add(row), 4 * (done - channel));
                            }
                        }
                        let out = scratch.at(columns.start, channel - channels.start);
                        // SAFETY: the route is available (checked in `new`). A window starts at a stored pixel and,
                        // the output's size being computed from the padded input's, ends inside the image; its runs
                        // were made for that image's width and `activations` has the same shape (checked in `run`).
                        // The panels lie in the buffer of this group. A block is a whole number of panels, so the
                        // columns' rows, `width` apart, take them.
                        unsafe { run(&tile, out, width) };
                    }
                    panel += rows;
                }
                let rows = Rows { scratch: &scratch, strip: &strip, channels };
                // SAFETY: pixels and channels exist; parts do not overlap, so this thread alone has them.
                unsafe { self.correction.finish(&mut sink, rows, group * outputs, self.shape.outputs) };
            }
        }
    }

    /// The windows of `pixels`, of which the first is at `place`; moves `place` past the last.
    fn strip(&self, activations: &Activations, group: usize, pixels: Range<usize>, place: &mut [usize; 3]) -> Strip {
        let (first, columns) = (pixels.start, pixels.len());
        let mut strip = Strip { first, columns, windows: [0; STRIP], sums: [0; STRIP], classes: [0; STRIP] };
        for c in 0..columns {
            strip.windows[c] = self.window(activations, *place);
            strip.classes[c] = self.correction.rows[place[1]] + self.correction.columns[place[2]];
            *place = self.after(*place);
            if !self.correction.by_sum.is_empty() {
                strip.sums[c] = self.sum(activations, group, strip.windows[c]);
            }
        }
        strip
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
        let [height, width] = activations.stored.size;
        let [down, right] = self.stride;
        (image * height + row * down) * width + column * right
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

/// The largest depth at which no sum, nor the sum of products of stored codes, leaves 32 bits.
pub(crate) fn max_depth(weights: Bits, activations: Bits, grid: &Grid) -> usize {
    let reach = |step: i32, zero: i32, bits: Bits| {
        let end = i64::from(step) * i64::from(bits.max_code()) - i64::from(zero);
        i64::from(zero).abs().max(end.abs())
    };
    let zero = grid.weight_zero.iter().map(|&zero| reach(grid.weight_step, zero, weights)).max().unwrap_or(0);
    let values = zero.saturating_mul(reach(grid.activation_step, grid.activation_zero, activations));
    let codes = i64::from(weights.max_code()) * i64::from(activations.max_code());
    (i64::from(i32::MAX) / values.max(codes)) as usize
}
