//! Products of codes whose bit-planes have scales of their own, as in Least-Squares Binary Quantization.

use crate::activations::Activations;
use crate::border_classes::BorderClasses;
use crate::epilogue::{ByImage, Grid, Sink};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::levels::{Bits, LevelTable};
use crate::pack::Quantize;
use crate::plane_levels::{PlaneLevels, Terms};
use crate::pool::Pool;
use crate::product::Product;
use crate::route::Route;

/// Output pixels to which one task adds the terms with an offset.
const TASK_PIXELS: usize = 64;

/// A convolution or matrix product of levels that are sums of planes, `offset + sum_i scale_i * bit_i`
/// ([`LevelTable::Planes`]): weights with levels for each output channel or for all, activations with levels for each
/// image or for all. One of the two operands may be evenly spaced instead, `(step * code - zero) * scale`
/// ([`LevelTable::Affine`]): a sum with the single integer `step * code - zero` in the place of the bits, and no offset
/// (0 in the formula). Its codes are then multiplied whole, in one product for each plane of the other operand.
///
/// With `P_ij` the sum over a window of the products of integer `i` of the weight and integer `j` of the activation, `A_j`
/// that of integer `j` of the activations alone and `W_i` that of integer `i` of the weights over the places inside the
/// image, of which there are `K`, all exact:
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
    activation_terms: Terms,
    /// Each weight term's scale of every output channel, and its product with a term of the activations.
    terms: Vec<(Vec<f32>, Product)>,
    /// Offset of the weights of every output channel.
    offset: Vec<f32>,
    classes: BorderClasses,
    /// Sum of the weights inside the image, `[border classes, output channels]`.
    inside: Vec<f32>,
}

/// The activations of a [`PlaneProduct`]: one packed tensor for each plane, or one of whole codes.
#[derive(Debug, Clone)]
pub struct PlaneActivations {
    terms: Terms,
    tensors: Vec<Activations>,
}

impl PlaneProduct {
    /// Packs `weights`, codes `[outputs, channels / groups, kernel height, kernel width]` row-major (for a matrix,
    /// `[columns, depth]`), which stand for `levels`: one row for all, or one for each output channel. The activations are
    /// planes of `activation_bits` bits. `route` is that of products of the bits that are multiplied at a time: one of the
    /// activations by one of the weights, or by whole codes where these are evenly spaced.
    ///
    /// # Errors
    /// As for [`Product::new`]; also when the levels are a codebook or have another number of rows.
    pub fn new(
        shape: Conv2d,
        weights: &[u8],
        levels: &LevelTable,
        activation_bits: Bits,
        route: Route,
    ) -> Result<PlaneProduct, KernelError> {
        PlaneProduct::mixed(shape, weights, levels, Terms::Planes(activation_bits), route)
    }

    /// [`PlaneProduct::new`] for activations that may be evenly spaced.
    ///
    /// # Errors
    /// As for [`PlaneProduct::new`]; also when both operands are evenly spaced, which [`Product`] computes with one product.
    pub fn mixed(
        shape: Conv2d,
        weights: &[u8],
        levels: &LevelTable,
        activations: Terms,
        route: Route,
    ) -> Result<PlaneProduct, KernelError> {
        let output = shape.output()?;
        let bits = levels.bits();
        let scales = PlaneLevels::of(levels, "weights", bits, shape.outputs)?;
        if let Some(index) = weights.iter().position(|&code| code > bits.max_code()) {
            return Err(KernelError::Code { operand: "weights", index, code: weights[index], bits });
        }
        let (weight_step, weight_zero, count, term_bits) = match (levels, activations) {
            (LevelTable::Affine { .. }, Terms::Whole { .. }) => {
                let what = "are evenly spaced like those of the activations; use Product".to_owned();
                return Err(KernelError::Levels { operand: "weights", what });
            }
            (LevelTable::Affine { step, zero, .. }, Terms::Planes(_)) => (*step, zero.clone(), 1, bits),
            _ => (1, vec![0], bits.get(), Bits::ONE),
        };
        let [activation_step, activation_zero] = activations.grid();
        let grid = Grid { activation_step, activation_zero, weight_step, weight_zero };
        let term = |term: u8| {
            let scales = (0..shape.outputs).map(|n| scales.scale(n, usize::from(term))).collect();
            let codes: Vec<u8> = weights.iter().map(|code| code >> term & term_bits.max_code()).collect();
            let product = Product::new(shape, &codes, term_bits, activations.term_bits(), route, &grid)?;
            Ok((scales, product))
        };
        let terms: Vec<(Vec<f32>, Product)> = (0..count).map(term).collect::<Result<_, KernelError>>()?;
        let offset: Vec<f32> = (0..shape.outputs).map(|n| scales.offset(n)).collect();
        let classes = BorderClasses::new(&shape, output);
        let channels = shape.channels / shape.groups;
        let inside = |class: usize, n: usize| {
            let places = classes.taps(class).count() * channels;
            let zero = i64::from(grid.weight_zero[n % grid.weight_zero.len()]);
            let mut sum = 0.0;
            for (scales, product) in &terms {
                let codes: i64 = classes.taps(class).map(|tap| i64::from(product.tap_sum(n, tap))).sum();
                let integers = i64::from(weight_step) * codes - zero * places as i64;
                sum += scales[n] * integers as f32;
            }
            sum + offset[n] * places as f32
        };
        let inside = (0..classes.count())
            .flat_map(|class| (0..shape.outputs).map(move |n| (class, n)))
            .map(|(class, n)| inside(class, n))
            .collect();
        Ok(PlaneProduct { shape, activation_terms: activations, terms, offset, classes, inside })
    }

    /// The shape that it was made for.
    #[must_use]
    pub fn shape(&self) -> Conv2d {
        self.shape
    }

    /// Activations to fill: code 0 everywhere.
    #[must_use]
    pub fn activations(&self) -> PlaneActivations {
        let tensors = (0..self.activation_terms.count()).filter_map(|_| self.terms.first());
        PlaneActivations {
            terms: self.activation_terms,
            tensors: tensors.map(|(_, product)| product.activations()).collect(),
        }
    }

    /// Computes the product, `[batch, height, width, outputs]` row-major, for activations whose codes stand for
    /// `levels`: one row for all, or one for each image. Does not allocate.
    ///
    /// # Errors
    /// When `activations` were made for another product, the levels are not those of its terms or have another number of
    /// rows, or `out` has the wrong length; nothing is written then.
    pub fn run(
        &self,
        activations: &PlaneActivations,
        levels: &LevelTable,
        out: &mut [f32],
        pool: &Pool,
    ) -> Result<(), KernelError> {
        let levels = PlaneLevels::of_activations(levels, self.activation_terms, self.shape.batch)?;
        if activations.terms != self.activation_terms {
            return Err(KernelError::Layout {
                expected: format!("{:?}", self.activation_terms),
                found: format!("{:?}", activations.terms),
            });
        }
        let pixels = self.terms.first().map_or(0, |(_, product)| product.pixels());
        let expected = pixels * self.shape.outputs;
        if out.len() != expected {
            return Err(KernelError::Length { operand: "output", expected, found: out.len() });
        }
        for (_, product) in &self.terms {
            for tensor in &activations.tensors {
                product.check(tensor)?;
            }
        }
        for (i, (weight, product)) in self.terms.iter().enumerate() {
            for (j, tensor) in activations.tensors.iter().enumerate() {
                let activation =
                    ByImage { numbers: &levels.scales[j..], step: levels.step(), pixels: pixels / self.shape.batch };
                let sink = Sink::Weighted { out: out.as_mut_ptr(), weight, activation, add: i + j > 0 };
                // SAFETY: the activations and the length of the output were checked; there is a scale for every
                // channel and every image.
                unsafe { product.run_into(tensor, sink, pool) };
            }
        }
        self.add_offsets(activations, levels, out, pool);
        Ok(())
    }

    /// Adds the terms that have an offset.
    fn add_offsets(&self, activations: &PlaneActivations, levels: PlaneLevels<'_>, out: &mut [f32], pool: &Pool) {
        let Some((_, product)) = self.terms.first() else { return };
        let [height, width] = product.output();
        let (outputs, pixels) = (self.shape.outputs, product.pixels());
        let to = OutputRows { start: out.as_mut_ptr(), length: outputs };
        let [step, zero] = self.activation_terms.grid().map(i64::from);
        let channels = (self.shape.channels / self.shape.groups) as i64;
        pool.run(pixels.div_ceil(TASK_PIXELS), &|task| {
            for pixel in task * TASK_PIXELS..((task + 1) * TASK_PIXELS).min(pixels) {
                let image = pixel / (height * width);
                let class = self.classes.rows[pixel / width % height] + self.classes.columns[pixel % width];
                let inside = &self.inside[class * outputs..(class + 1) * outputs];
                // What is subtracted from the codes of the window, of which padding has none.
                let zeros = if zero == 0 { 0 } else { zero * channels * self.classes.taps(class).count() as i64 };
                // SAFETY: the output has a row for every pixel, and every pixel is one task's alone.
                let row = unsafe { to.row(pixel) };
                let group_outputs = outputs / self.shape.groups;
                for group in 0..self.shape.groups {
                    let mut window = 0.0;
                    for (j, tensor) in activations.tensors.iter().enumerate() {
                        let codes = i64::from(product.window_sum(tensor, group, pixel));
                        window += levels.scale(image, j) * (step * codes - zeros) as f32;
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
        self.terms.bits()
    }

    /// `[batch, height, width, channels]` without padding.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        self.tensors.first().map_or([0; 4], Activations::shape)
    }

    /// Packs codes, `[batch, height, width, channels]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or a code does not fit the bits; nothing is written then.
    pub fn fill_codes(&mut self, codes: &[u8]) -> Result<(), KernelError> {
        self.check_length(codes.len())?;
        let bits = self.bits();
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
        let bits = self.bits();
        if quantize.bits() != bits {
            return Err(KernelError::Layout {
                expected: format!("{bits}-bit codes"),
                found: format!("a quantizer of {} bits", quantize.bits()),
            });
        }
        let Some(vectors) = self.tensors.first().map(|tensor| tensor.layout.vectors) else { return Ok(()) };
        self.fill_by(|at, out| quantize.codes(vectors, &values[at..at + out.len()], out), Some(pool));
        Ok(())
    }

    /// Packs every term of the codes that `codes` writes, see [`Activations::fill_by`].
    fn fill_by(&mut self, codes: impl Fn(usize, &mut [u8]) + Sync, pool: Option<&Pool>) {
        let mask = self.terms.term_bits().max_code();
        for (j, tensor) in self.tensors.iter_mut().enumerate() {
            let channels = tensor.channels;
            let term = |at: usize, out: &mut [u8]| {
                codes(at, out);
                for code in out {
                    *code = *code >> j & mask;
                }
            };
            tensor.fill_by(channels, 0, term, pool);
        }
    }

    fn check_length(&self, found: usize) -> Result<(), KernelError> {
        let expected = self.shape().iter().product();
        if found == expected { Ok(()) } else { Err(KernelError::Length { operand: "input", expected, found }) }
    }
}
