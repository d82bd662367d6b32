//! Products with 64-bit sums, for depths at which 32 bits could overflow.

use std::ops::Range;

use crate::activations::Activations;
use crate::epilogue::{Grid, Sink};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::levels::Bits;
use crate::pack::{CODES, Quantize};
use crate::pool::Pool;
use crate::product::{Product, max_depth};
use crate::route::Route;

/// A [`Product`] whose sums are 64 bits wide: exact at every depth.
///
/// The channels are cut into as few slices as 32-bit sums allow, each a product of its own; their sums are added in
/// 64 bits. A product that is not too deep is one slice.
///
/// ```
/// use harness_kernels::{Conv2d, Grid, Pool, Route, WideProduct, levels::Bits};
/// let eight = Bits::new(8).ok_or("1 to 8 bits")?;
/// let shape = Conv2d::matrix(1, 1, 40_000);
/// let route = Route::choose(&shape, eight, eight);
/// let product = WideProduct::new(shape, &vec![255; 40_000], eight, eight, route, &Grid::codes())?;
/// let mut activations = product.activations();
/// activations.fill_codes(&vec![255; 40_000])?;
/// let mut sums = [0];
/// product.run(&activations, &mut sums, &Pool::new(1))?;
/// assert_eq!(sums, [40_000 * 255 * 255]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct WideProduct {
    shape: Conv2d,
    slices: Vec<(Range<usize>, Product)>,
}

/// The activations of a [`WideProduct`].
#[derive(Debug, Clone)]
pub struct WideActivations {
    /// Channels of a group in the whole tensor.
    channels: usize,
    /// Each slice of the channels of a group: the first channel, and the packed codes.
    slices: Vec<(usize, Activations)>,
}

impl WideProduct {
    /// Packs `weights`, codes `[outputs, channels / groups, kernel height, kernel width]` row-major.
    ///
    /// # Errors
    /// As for [`Product::new`], but [`KernelError::Overflow`] only where the window of a single channel is too deep.
    pub fn new(
        shape: Conv2d,
        weights: &[u8],
        weight_bits: Bits,
        activation_bits: Bits,
        route: Route,
        grid: &Grid,
    ) -> Result<WideProduct, KernelError> {
        shape.output()?;
        let (channels, taps, depth) = (shape.channels / shape.groups, shape.taps(), shape.depth());
        let expected = shape.outputs.checked_mul(depth).ok_or(KernelError::TooLarge)?;
        if weights.len() != expected {
            return Err(KernelError::Length { operand: "weights", expected, found: weights.len() });
        }
        let limit = max_depth(weight_bits, activation_bits, grid);
        let max = limit / taps;
        if max == 0 {
            return Err(KernelError::Overflow { depth: taps, limit });
        }
        // Slices of nearly the same size, of whole blocks of codes where there is room for that.
        let even = channels.div_ceil(channels.div_ceil(max));
        let step = if even.next_multiple_of(CODES) <= max { even.next_multiple_of(CODES) } else { even };
        let slice = |first: usize| {
            let range = first..(first + step).min(channels);
            let rows = weights.chunks_exact(depth);
            let part: Vec<u8> = rows.flat_map(|row| &row[range.start * taps..range.end * taps]).copied().collect();
            let shape = Conv2d { channels: range.len() * shape.groups, ..shape };
            let product = Product::new(shape, &part, weight_bits, activation_bits, route, grid)?;
            Ok((range, product))
        };
        let slices = (0..channels).step_by(step).map(slice).collect::<Result<_, _>>()?;
        Ok(WideProduct { shape, slices })
    }

    /// The shape that it was made for.
    #[must_use]
    pub fn shape(&self) -> Conv2d {
        self.shape
    }

    /// Activations to fill: code 0 everywhere.
    #[must_use]
    pub fn activations(&self) -> WideActivations {
        let slices = self.slices.iter().map(|(range, product)| (range.start, product.activations())).collect();
        WideActivations { channels: self.shape.channels / self.shape.groups, slices }
    }

    /// Computes the sums, `[batch, height, width, outputs]` row-major. Does not allocate.
    ///
    /// # Errors
    /// When `activations` were made for another product or `sums` has the wrong length; nothing is written then.
    pub fn run(&self, activations: &WideActivations, sums: &mut [i64], pool: &Pool) -> Result<(), KernelError> {
        let number = |operand, expected, found| {
            if expected == found { Ok(()) } else { Err(KernelError::Length { operand, expected, found }) }
        };
        number("slices of the activations", self.slices.len(), activations.slices.len())?;
        for ((range, product), (first, slice)) in self.slices.iter().zip(&activations.slices) {
            number("channels before a slice of the activations", range.start, *first)?;
            product.check(slice)?;
            number("output", product.pixels() * self.shape.outputs, sums.len())?;
        }
        for ((range, product), (_, slice)) in self.slices.iter().zip(&activations.slices) {
            let sink = Sink::Sums64 { out: sums.as_mut_ptr(), add: range.start > 0 };
            // SAFETY: the slice and the length of the sums were checked.
            unsafe { product.run_into(slice, sink, pool) };
        }
        Ok(())
    }
}

impl WideActivations {
    /// `[batch, height, width, channels]` without padding.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        let Some((_, first)) = self.slices.first() else { return [0; 4] };
        let [batch, height, width, _] = first.shape();
        [batch, height, width, self.channels * first.groups]
    }

    /// Packs codes, `[batch, height, width, channels]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or a code does not fit the bits; nothing is written then.
    pub fn fill_codes(&mut self, codes: &[u8]) -> Result<(), KernelError> {
        self.check_length(codes.len())?;
        for (first, slice) in &mut self.slices {
            slice.check_codes(codes)?;
            slice.fill_by(self.channels, *first, |at, out| out.copy_from_slice(&codes[at..at + out.len()]), None);
        }
        Ok(())
    }

    /// Quantizes and packs values, `[batch, height, width, channels]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or the quantizer has other bits; nothing is written then.
    pub fn fill(&mut self, values: &[f32], quantize: &Quantize, pool: &Pool) -> Result<(), KernelError> {
        self.check_length(values.len())?;
        for (first, slice) in &mut self.slices {
            slice.check_quantizer(quantize)?;
            let vectors = slice.layout.vectors;
            let codes = |at: usize, out: &mut [u8]| quantize.codes(vectors, &values[at..at + out.len()], out);
            slice.fill_by(self.channels, *first, codes, Some(pool));
        }
        Ok(())
    }

    fn check_length(&self, found: usize) -> Result<(), KernelError> {
        let expected = self.shape().iter().product();
        if found == expected { Ok(()) } else { Err(KernelError::Length { operand: "input", expected, found }) }
    }
}
