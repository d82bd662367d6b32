//! The epilogue: from sums of products to what the next layer reads, while the sums are still in the first-level cache.

use crate::activations::{Activations, Writer};
use crate::error::KernelError;
use crate::layer_output::{LayerOutput, LayerSink, check_length, check_line};
use crate::levels::Bits;
use crate::vectors::Vectors;

/// What the codes of a product stand for, as integers: `value = step * code - zero`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Distance of two neighbouring activation values.
    pub activation_step: i32,
    /// Activation value of code 0, negated.
    pub activation_zero: i32,
    /// Distance of two neighbouring weight values.
    pub weight_step: i32,
    /// Weight value of code 0, negated: one number, or one for each output channel.
    pub weight_zero: Vec<i32>,
}

impl Grid {
    /// Values that are the codes themselves.
    #[must_use]
    pub fn codes() -> Grid {
        Grid { activation_step: 1, activation_zero: 0, weight_step: 1, weight_zero: vec![0] }
    }

    /// One-bit planes of -1 and +1 on both sides.
    #[must_use]
    pub fn signs() -> Grid {
        Grid { activation_step: 2, activation_zero: 1, weight_step: 2, weight_zero: vec![1] }
    }

    /// Activations from zero in steps of one, weights `2 code - (2^w - 1)`: DoReFa's.
    #[must_use]
    pub fn symmetric_weights(bits: Bits) -> Grid {
        Grid { weight_step: 2, weight_zero: vec![i32::from(bits.max_code())], ..Grid::codes() }
    }
}

/// Requantization: the rule by which integer sums become the codes of the next layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requantize {
    bits: Bits,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Affine32 {
        a: Vec<i32>,
        b: Vec<i32>,
        shift: u32,
    },
    Affine64 {
        a: Vec<i64>,
        b: Vec<i64>,
        shift: u32,
    },
    /// `boundaries` is `[2^k - 1, channels]`.
    Thresholds {
        sign: Vec<i32>,
        boundaries: Vec<i32>,
    },
}

impl Requantize {
    /// Integer batch normalization: `clip((a * x + b) >> shift, 0, 2^bits - 1)` with `(a, b)` for each channel and an
    /// arithmetic shift. `max` bounds the magnitude of the sums `x`; it runs in 32 bits where all results fit these.
    ///
    /// # Errors
    /// When the shift is 63 or more, or `a * x + b` may not fit 64 bits.
    pub fn batch_norm(bits: Bits, channels: &[(i64, i64)], shift: u32, max: i64) -> Result<Requantize, KernelError> {
        if shift > 62 {
            return Err(KernelError::Epilogue { what: "the shift is out of range, expected at most 62" });
        }
        let bound =
            |&(a, b): &(i64, i64)| a.checked_abs()?.checked_mul(max.checked_abs()?)?.checked_add(b.checked_abs()?);
        let Some(bounds) = channels.iter().map(bound).collect::<Option<Vec<i64>>>() else {
            return Err(KernelError::Epilogue { what: "a * x + b may not fit 64 bits for the given bound of x" });
        };
        let small = shift < 31 && bounds.iter().all(|&bound| i32::try_from(bound).is_ok());
        let rule = if small {
            let part = |pick: fn(&(i64, i64)) -> i64| channels.iter().map(|c| pick(c) as i32).collect();
            Rule::Affine32 { a: part(|c| c.0), b: part(|c| c.1), shift }
        } else {
            let part = |pick: fn(&(i64, i64)) -> i64| channels.iter().map(pick).collect();
            Rule::Affine64 { a: part(|c| c.0), b: part(|c| c.1), shift }
        };
        Ok(Requantize { bits, rule })
    }

    /// `code = #{ t : x >= t }`, or `#{ t : -x >= t }` for a channel whose code falls as the sum grows. A row of
    /// `2^bits - 1` ascending boundaries for each channel.
    ///
    /// # Errors
    /// When the lengths disagree.
    pub fn thresholds(bits: Bits, boundaries: &[i32], falling: &[bool]) -> Result<Requantize, KernelError> {
        let (steps, channels) = (usize::from(bits.max_code()), falling.len());
        if boundaries.len() != steps * channels {
            return Err(KernelError::Length {
                operand: "boundaries",
                expected: steps * channels,
                found: boundaries.len(),
            });
        }
        let by_step = (0..steps).flat_map(|step| (0..channels).map(move |n| boundaries[n * steps + step])).collect();
        let sign = falling.iter().map(|&falls| if falls { -1 } else { 1 }).collect();
        Ok(Requantize { bits, rule: Rule::Thresholds { sign, boundaries: by_step } })
    }

    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        match &self.rule {
            Rule::Affine32 { a, .. } => a.len(),
            Rule::Affine64 { a, .. } => a.len(),
            Rule::Thresholds { sign, .. } => sign.len(),
        }
    }

    /// The codes of channels `first..`, from the sums that `value` makes of a channel (counted from `first`) and its stored
    /// sum.
    #[inline(always)]
    fn codes(&self, first: usize, sums: &[i32], value: impl Fn(usize, i32) -> i32, codes: &mut [u8]) {
        let max = i32::from(self.bits.max_code());
        let (here, count) = (first..first + sums.len(), sums.len());
        match &self.rule {
            Rule::Affine32 { a, b, shift } => {
                let (a, b) = (&a[here.clone()], &b[here]);
                for n in 0..count {
                    let y = a[n].wrapping_mul(value(n, sums[n])).wrapping_add(b[n]);
                    codes[n] = (y >> shift).clamp(0, max) as u8;
                }
            }
            Rule::Affine64 { a, b, shift } => {
                let (a, b) = (&a[here.clone()], &b[here]);
                for n in 0..count {
                    let y = a[n].wrapping_mul(i64::from(value(n, sums[n]))).wrapping_add(b[n]);
                    codes[n] = (y >> shift).clamp(0, i64::from(max)) as u8;
                }
            }
            Rule::Thresholds { sign, boundaries } => {
                let sign = &sign[here.clone()];
                let mut values = [0; CHANNEL_BLOCK];
                for n in 0..count {
                    values[n] = sign[n].wrapping_mul(value(n, sums[n]));
                }
                codes.fill(0);
                for row in boundaries.chunks_exact(self.channels()) {
                    let row = &row[here.clone()];
                    for n in 0..count {
                        codes[n] += u8::from(values[n] >= row[n]);
                    }
                }
            }
        }
    }
}

/// What is made of the sums, and where the results go: `[batch, height, width, outputs]` row-major.
#[derive(Debug)]
pub enum Output<'a> {
    /// The 32-bit integer sums.
    Sums(&'a mut [i32]),
    /// `sum * scale[n] + bias[n]` in f32, the product rounded before the addition; then `max(0, .)` if `relu`.
    Scaled {
        /// The results.
        out: &'a mut [f32],
        /// One number, or one for each output channel.
        scale: &'a [f32],
        /// Empty, or a number for each output channel.
        bias: &'a [f32],
        /// Whether negative results become zero.
        relu: bool,
    },
    /// The next layer's codes.
    Codes {
        /// The codes, one per byte.
        out: &'a mut [u8],
        /// The rule that makes them.
        requantize: &'a Requantize,
    },
    /// The next layer's codes, packed as it reads them.
    Packed {
        /// Activations of the next product.
        out: &'a mut Activations,
        /// The rule that makes the codes.
        requantize: &'a Requantize,
    },
    /// What a layer of a network makes of the sums.
    Layer(LayerOutput<'a>),
}

impl Output<'_> {
    /// Checks lengths against `[batch, height, width]` and `outputs`.
    pub(crate) fn check(&self, extent: [usize; 3], outputs: usize) -> Result<(), KernelError> {
        let expected = extent.iter().product::<usize>() * outputs;
        match self {
            Output::Sums(out) => check_length("output", out.len(), expected),
            Output::Scaled { out, scale, bias, .. } => {
                check_length("output", out.len(), expected)?;
                check_line(scale, bias, outputs)
            }
            Output::Codes { out, requantize } => {
                check_length("output", out.len(), expected)?;
                check_length("requantization", requantize.channels(), outputs)
            }
            Output::Packed { out, requantize } => {
                check_length("requantization", requantize.channels(), outputs)?;
                out.check_results(extent, outputs, requantize.bits())
            }
            Output::Layer(layer) => layer.check(extent, outputs),
        }
    }

    /// The same in the form that threads share, for an output of `outputs` channels; the epilogue uses `vectors`.
    pub(crate) fn sink(&mut self, vectors: Vectors, outputs: usize) -> Sink<'_> {
        match self {
            Output::Sums(out) => Sink::Sums(out.as_mut_ptr()),
            Output::Scaled { out, scale, bias, relu } => {
                Sink::Layer(LayerSink::scaled(vectors, out, outputs, scale, bias, *relu))
            }
            Output::Codes { out, requantize } => Sink::Codes { out: out.as_mut_ptr(), requantize },
            Output::Packed { out, requantize } => Sink::Packed { out: out.writer(), requantize },
            Output::Layer(layer) => Sink::Layer(layer.sink(vectors)),
        }
    }
}

/// An [`Output`] in a form that threads can share.
#[derive(Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "a task makes one copy, and nothing may be allocated")]
pub(crate) enum Sink<'a> {
    Sums(*mut i32),
    Codes {
        out: *mut u8,
        requantize: &'a Requantize,
    },
    Packed {
        out: Writer<'a>,
        requantize: &'a Requantize,
    },
    Layer(LayerSink<'a>),
    /// Sums in 64 bits, stored or added to what is there.
    Sums64 {
        out: *mut i64,
        add: bool,
    },
    /// `(weight[n] * activation) * sum` in f32, stored or added to what is there.
    Weighted {
        out: *mut f32,
        weight: &'a [f32],
        activation: ByImage<'a>,
        add: bool,
    },
}

/// One number per image, or one for all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByImage<'a> {
    pub(crate) numbers: &'a [f32],
    /// Distance of two images' numbers; 0 where all have the same.
    pub(crate) step: usize,
    /// Output pixels of an image.
    pub(crate) pixels: usize,
}

impl ByImage<'_> {
    /// The number of the image in which output pixel `pixel` lies.
    pub(crate) fn at(&self, pixel: usize) -> f32 {
        self.numbers[pixel / self.pixels * self.step]
    }
}

// SAFETY: the pointers are to slices borrowed exclusively for 'a, and no two threads write the same place: see
// `Sink::store`.
unsafe impl Send for Sink<'_> {}
// SAFETY: as above.
unsafe impl Sync for Sink<'_> {}

/// A channel block: output channels that are finished at a time. A multiple of the channels of every K-step (64, 6, 4), in
/// which the next product's activations are packed, and of the channels of every panel.
pub(crate) const CHANNEL_BLOCK: usize = 384;

impl Sink<'_> {
    /// The first byte of the results, if each of the `outputs` channels of a pixel has four bytes and none is read before it
    /// is written.
    pub(crate) fn words(&self, outputs: usize) -> Option<*const u8> {
        match self {
            Sink::Sums(out) => Some(out.cast_const().cast()),
            Sink::Layer(layer) => layer.words(outputs),
            _ => None,
        }
    }

    /// Whether the channels of a pixel share stored bytes.
    pub(crate) fn packs(&self) -> bool {
        match self {
            Sink::Packed { .. } => true,
            Sink::Layer(layer) => layer.packs(),
            _ => false,
        }
    }

    /// Stores the results of channels `first..` of output pixel `pixel`, from the sums that `value` makes of a channel
    /// (counted from `first`) and its stored sum.
    ///
    /// # Safety
    /// The pixel and the channels exist in the output, of `outputs` channels, and no other thread writes them; if
    /// results are packed, no other thread writes the pixel at all, and its channels come in ascending order.
    #[inline(always)]
    pub(crate) unsafe fn store(
        &mut self,
        pixel: usize,
        outputs: usize,
        first: usize,
        sums: &[i32],
        value: impl Fn(usize, i32) -> i32,
    ) {
        let at = pixel * outputs + first;
        match self {
            Sink::Sums(out) => {
                // SAFETY: the caller's promise, checked against the length of the slice in `Output::check`.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(at), sums.len()) };
                for (n, (out, &sum)) in out.iter_mut().zip(sums).enumerate() {
                    *out = value(n, sum);
                }
            }
            Sink::Codes { out, requantize } => {
                // SAFETY: as above.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(at), sums.len()) };
                requantize.codes(first, sums, value, out);
            }
            Sink::Packed { out, requantize } => {
                let mut codes = [0; CHANNEL_BLOCK];
                let codes = &mut codes[..sums.len()];
                requantize.codes(first, sums, value, codes);
                if let Some(at) = out.position(pixel) {
                    out.write(at, first, codes);
                }
            }
            Sink::Layer(_) => unreachable!("a layer has a loop of its own, see `Correction::finish`"),
            Sink::Sums64 { out, add } => {
                // SAFETY: as above, by the promise that `Product::run_into` was given.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(at), sums.len()) };
                for (n, (out, &sum)) in out.iter_mut().zip(sums).enumerate() {
                    let sum = i64::from(value(n, sum));
                    *out = if *add { *out + sum } else { sum };
                }
            }
            Sink::Weighted { out, weight, activation, add } => {
                // SAFETY: as above.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(at), sums.len()) };
                let (weight, activation) = (&weight[first..first + sums.len()], activation.at(pixel));
                for n in 0..sums.len() {
                    let term = (weight[n] * activation) * value(n, sums[n]) as f32;
                    out[n] = if *add { out[n] + term } else { term };
                }
            }
        }
    }
}

/// The numbers of channels `first..first + count`; the whole list if it holds one number for all channels, or none.
pub(crate) fn at_channels(list: &[f32], first: usize, count: usize) -> &[f32] {
    if list.len() <= 1 { list } else { &list[first..first + count] }
}
