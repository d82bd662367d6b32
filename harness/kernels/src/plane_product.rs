//! Products of codes whose bit-planes have scales of their own, as in Least-Squares Binary Quantization.

use crate::activations::Activations;
use crate::border_classes::BorderClasses;
use crate::epilogue::{ByImage, Grid, Sink};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::levels::{Bits, LevelTable};
use crate::pack::Quantize;
use crate::pool::Pool;
use crate::product::Product;
use crate::route::Route;

/// Output pixels to which one task adds the terms with an offset.
const TASK_PIXELS: usize = 64;

/// A convolution or matrix product of levels that are sums of planes, `offset + sum_i scale_i * bit_i`
/// ([`LevelTable::Planes`]): weights with levels for each output channel or for all, activations with levels for each
/// image or for all.
///
/// With `P_ij` the number of places of a window at which bit `i` of the weight and bit `j` of the activation are set,
/// `A_j` that of bit `j` of the activations and `W_i` that of bit `i` of the weights over the places inside the image,
/// of which there are `K`, all exact integers:
///
/// ```text
/// y = sum_ij (s_i * t_j) * P_ij  +  o_w * (sum_j t_j * A_j)  +  o_a * (sum_i s_i * W_i + o_w * K)
/// ```
///
/// for weight scales `s` and offset `o_w`, activation scales `t` and offset `o_a`. Pixels of the padding are the number
/// zero. It is computed in f32: every operation above is rounded once, as bracketed, integers are rounded to f32 first
/// (those below 2^24 are exact), and sums are added from left to right in ascending order of `(i, j)`, `j` or `i`. So
/// the result is the same on every route and for every number of threads, and differs from the exact one by at most
/// `(w * a + w + a + 8) * 2^-24` times the sum of the magnitudes of its products, in first order.
///
/// ```
/// use harness_kernels::{Conv2d, PlaneProduct, Pool, Route, levels::{Bits, LevelTable}};
/// let (one, two) = (Bits::new(1).ok_or("1 to 8 bits")?, Bits::new(2).ok_or("1 to 8 bits")?);
/// // Weights -0.5 and +0.5; activations 0, 0.25, 1 and 1.25.
/// let weights = LevelTable::planes(one, vec![-0.5], vec![1.0]).ok_or("levels")?;
/// let activations = LevelTable::planes(two, vec![0.0], vec![0.25, 1.0]).ok_or("levels")?;
/// let shape = Conv2d::matrix(1, 1, 3);
/// let product = PlaneProduct::new(shape, &[1, 0, 1], &weights, two, Route::choose(&shape, one, one))?;
/// let mut packed = product.activations();
/// packed.fill_codes(&[3, 1, 2])?;
/// let mut out = [0.0];
/// product.run(&packed, &activations, &mut out, &Pool::new(1))?;
/// assert_eq!(out, [1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PlaneProduct {
    shape: Conv2d,
    activation_bits: Bits,
    /// Each weight plane's scale of every output channel, and its product with a plane of activations.
    planes: Vec<(Vec<f32>, Product)>,
    /// Offset of the weights of every output channel.
    offset: Vec<f32>,
    classes: BorderClasses,
    /// Sum of the weights inside the image, `[border classes, output channels]`.
    inside: Vec<f32>,
}

/// The activations of a [`PlaneProduct`]: one packed tensor for each plane.
#[derive(Debug, Clone)]
pub struct PlaneActivations {
    bits: Bits,
    planes: Vec<Activations>,
}

/// The levels of one operand, whose form has been checked: one row, or a row per output channel or image.
#[derive(Clone, Copy)]
struct PlaneLevels<'a> {
    offset: &'a [f32],
    scales: &'a [f32],
    bits: usize,
}

impl<'a> PlaneLevels<'a> {
    /// The levels of `operand`, with one row or `rows` rows.
    fn of(
        levels: &'a LevelTable,
        operand: &'static str,
        bits: Bits,
        rows: usize,
    ) -> Result<PlaneLevels<'a>, KernelError> {
        let wrong = |what| Err(KernelError::Levels { operand, what });
        let LevelTable::Planes { bits: found, offset, scales } = levels else {
            return wrong("are evenly spaced, expected sums of planes; use Product".to_owned());
        };
        if *found != bits {
            return wrong(format!("are those of {found} bits, expected {bits}"));
        }
        if offset.len() != 1 && offset.len() != rows {
            return wrong(format!("have {} rows, expected 1 or {rows}", offset.len()));
        }
        let bits = usize::from(bits.get());
        if scales.len() != offset.len() * bits {
            return wrong(format!("have {} scales, expected {}", scales.len(), offset.len() * bits));
        }
        Ok(PlaneLevels { offset, scales, bits })
    }

    /// Distance of two rows in `offset`, 0 where one row serves all; in `scales` it is `bits` times as large.
    fn step(self) -> usize {
        usize::from(self.offset.len() > 1)
    }

    fn offset(self, row: usize) -> f32 {
        self.offset[row * self.step()]
    }

    fn scale(self, row: usize, plane: usize) -> f32 {
        self.scales[row * self.step() * self.bits + plane]
    }
}

impl PlaneProduct {
    /// Packs `weights`, codes `[outputs, channels / groups, kernel height, kernel width]` row-major (for a matrix,
    /// `[columns, depth]`), which stand for `levels`: one row for all, or one for each output channel. `route` is that
    /// of products of one bit by one bit.
    ///
    /// # Errors
    /// As for [`Product::new`]; also when the levels are not sums of planes or have another number of rows.
    pub fn new(
        shape: Conv2d,
        weights: &[u8],
        levels: &LevelTable,
        activation_bits: Bits,
        route: Route,
    ) -> Result<PlaneProduct, KernelError> {
        let output = shape.output()?;
        let bits = levels.bits();
        let levels = PlaneLevels::of(levels, "weights", bits, shape.outputs)?;
        if let Some(index) = weights.iter().position(|&code| code > bits.max_code()) {
            return Err(KernelError::Code { operand: "weights", index, code: weights[index], bits });
        }
        let one = Bits::new(1).ok_or(KernelError::TooLarge)?;
        let plane = |plane: u8| {
            let codes: Vec<u8> = weights.iter().map(|code| code >> plane & 1).collect();
            let scales = (0..shape.outputs).map(|n| levels.scale(n, usize::from(plane))).collect();
            Ok((scales, Product::new(shape, &codes, one, one, route, &Grid::codes())?))
        };
        let planes: Vec<(Vec<f32>, Product)> = (0..bits.get()).map(plane).collect::<Result<_, KernelError>>()?;
        let offset: Vec<f32> = (0..shape.outputs).map(|n| levels.offset(n)).collect();
        let classes = BorderClasses::new(&shape, output);
        let channels = shape.channels / shape.groups;
        let inside = |class: usize, n: usize| {
            let mut sum = 0.0;
            for (scales, product) in &planes {
                let ones: i32 = classes.taps(class).map(|tap| product.tap_sum(n, tap)).sum();
                sum += scales[n] * ones as f32;
            }
            sum + offset[n] * (classes.taps(class).count() * channels) as f32
        };
        let inside = (0..classes.count())
            .flat_map(|class| (0..shape.outputs).map(move |n| (class, n)))
            .map(|(class, n)| inside(class, n))
            .collect();
        Ok(PlaneProduct { shape, activation_bits, planes, offset, classes, inside })
    }

    /// The shape that it was made for.
    #[must_use]
    pub fn shape(&self) -> Conv2d {
        self.shape
    }

    /// Activations to fill: code 0 everywhere.
    #[must_use]
    pub fn activations(&self) -> PlaneActivations {
        let planes = (0..self.activation_bits.get()).filter_map(|_| self.planes.first());
        PlaneActivations {
            bits: self.activation_bits,
            planes: planes.map(|(_, product)| product.activations()).collect(),
        }
    }

    /// Computes the product, `[batch, height, width, outputs]` row-major, for activations whose codes stand for
    /// `levels`: one row for all, or one for each image. Does not allocate.
    ///
    /// # Errors
    /// When `activations` were made for another product, the levels are not sums of planes or have another number of
    /// rows, or `out` has the wrong length; nothing is written then.
    pub fn run(
        &self,
        activations: &PlaneActivations,
        levels: &LevelTable,
        out: &mut [f32],
        pool: &Pool,
    ) -> Result<(), KernelError> {
        let levels = PlaneLevels::of(levels, "activations", self.activation_bits, self.shape.batch)?;
        if activations.bits != self.activation_bits {
            return Err(KernelError::Layout {
                expected: format!("{} planes", self.activation_bits),
                found: format!("{} planes", activations.bits),
            });
        }
        let pixels = self.planes.first().map_or(0, |(_, product)| product.pixels());
        let expected = pixels * self.shape.outputs;
        if out.len() != expected {
            return Err(KernelError::Length { operand: "output", expected, found: out.len() });
        }
        for (_, product) in &self.planes {
            for plane in &activations.planes {
                product.check(plane)?;
            }
        }
        for (i, (weight, product)) in self.planes.iter().enumerate() {
            for (j, plane) in activations.planes.iter().enumerate() {
                let activation = ByImage {
                    numbers: &levels.scales[j..],
                    step: levels.step() * levels.bits,
                    pixels: pixels / self.shape.batch,
                };
                let sink = Sink::Weighted { out: out.as_mut_ptr(), weight, activation, add: i + j > 0 };
                // SAFETY: the activations and the length of the output were checked; there is a scale for every
                // channel and every image.
                unsafe { product.run_into(plane, sink, pool) };
            }
        }
        self.add_offsets(activations, levels, out, pool);
        Ok(())
    }

    /// Adds the terms that have an offset.
    fn add_offsets(&self, activations: &PlaneActivations, levels: PlaneLevels<'_>, out: &mut [f32], pool: &Pool) {
        let Some((_, product)) = self.planes.first() else { return };
        let [height, width] = product.output();
        let (outputs, pixels) = (self.shape.outputs, product.pixels());
        let to = OutputRows { start: out.as_mut_ptr(), length: outputs };
        pool.run(pixels.div_ceil(TASK_PIXELS), &|task| {
            for pixel in task * TASK_PIXELS..((task + 1) * TASK_PIXELS).min(pixels) {
                let image = pixel / (height * width);
                let class = self.classes.rows[pixel / width % height] + self.classes.columns[pixel % width];
                let inside = &self.inside[class * outputs..(class + 1) * outputs];
                // SAFETY: the output has a row for every pixel, and every pixel is one task's alone.
                let row = unsafe { to.row(pixel) };
                let group_outputs = outputs / self.shape.groups;
                for group in 0..self.shape.groups {
                    let mut window = 0.0;
                    for (j, plane) in activations.planes.iter().enumerate() {
                        window += levels.scale(image, j) * product.window_sum(plane, group, pixel) as f32;
                    }
                    let channels = group * group_outputs..(group + 1) * group_outputs;
                    let (weights, inside) = (&self.offset[channels.clone()], &inside[channels.clone()]);
                    let activation = levels.offset(image);
                    for ((y, weight), inside) in row[channels].iter_mut().zip(weights).zip(inside) {
                        *y = *y + weight * window + activation * inside;
                    }
                }
            }
        });
    }
}

/// The rows of the output, one per pixel, which threads divide among them.
struct OutputRows {
    start: *mut f32,
    length: usize,
}

// SAFETY: no two threads take the same row; see `OutputRows::row`.
unsafe impl Sync for OutputRows {}

impl OutputRows {
    /// # Safety
    /// The row exists, and nothing else refers to it while the result lives.
    #[allow(clippy::mut_from_ref)]
    unsafe fn row(&self, index: usize) -> &mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(index * self.length), self.length) }
    }
}

impl PlaneActivations {
    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// `[batch, height, width, channels]` without padding.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        self.planes.first().map_or([0; 4], Activations::shape)
    }

    /// Packs codes, `[batch, height, width, channels]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or a code does not fit the bits; nothing is written then.
    pub fn fill_codes(&mut self, codes: &[u8]) -> Result<(), KernelError> {
        self.check_length(codes.len())?;
        let bits = self.bits;
        if let Some(index) = codes.iter().position(|&code| code > bits.max_code()) {
            return Err(KernelError::Code { operand: "activations", index, code: codes[index], bits });
        }
        self.fill_by(|at, out| out.copy_from_slice(&codes[at..at + out.len()]), None);
        Ok(())
    }

    /// Quantizes and packs values, `[batch, height, width, channels]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or the quantizer has other bits; nothing is written then.
    pub fn fill(&mut self, values: &[f32], quantize: &Quantize, pool: &Pool) -> Result<(), KernelError> {
        self.check_length(values.len())?;
        if quantize.bits() != self.bits {
            return Err(KernelError::Layout {
                expected: format!("{}-bit codes", self.bits),
                found: format!("a quantizer of {} bits", quantize.bits()),
            });
        }
        let Some(vectors) = self.planes.first().map(|plane| plane.layout.vectors) else { return Ok(()) };
        self.fill_by(|at, out| quantize.codes(vectors, &values[at..at + out.len()], out), Some(pool));
        Ok(())
    }

    /// Packs every plane of the codes that `codes` writes, see [`Activations::fill_by`].
    fn fill_by(&mut self, codes: impl Fn(usize, &mut [u8]) + Sync, pool: Option<&Pool>) {
        for (j, plane) in self.planes.iter_mut().enumerate() {
            let channels = plane.channels;
            let bit = |at: usize, out: &mut [u8]| {
                codes(at, out);
                for code in out {
                    *code = *code >> j & 1;
                }
            };
            plane.fill_by(channels, 0, bit, pool);
        }
    }

    fn check_length(&self, found: usize) -> Result<(), KernelError> {
        let expected = self.shape().iter().product();
        if found == expected { Ok(()) } else { Err(KernelError::Length { operand: "input", expected, found }) }
    }
}
