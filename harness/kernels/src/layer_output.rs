//! The epilogue of a layer of a network: scale and bias, residual, ReLU or clip, and the next layers' codes, in one pass.

use std::ops::Range;

use crate::activations::{Activations, Writer};
#[cfg(target_arch = "x86_64")]
use crate::arch;
use crate::arch::generic::layer::{self, CodeRule, CodesRule, Numbers, Places, Rule, Source};
use crate::epilogue::{CHANNEL_BLOCK, at_channels};
use crate::error::KernelError;
use crate::pack::{self, Quantize};
use crate::vectors::Vectors;

/// What a layer makes of the sums of its product. For the sum `x` of output channel `n` at an output pixel, in f32, every
/// operation rounded to nearest, half to even, and never fused with the next:
///
/// ```text
/// v = f32(x) * scale[n]
/// v = v + bias[n]          where there is a bias
/// v = v + residual         where there is a residual
/// v = clip(v)
/// values <- v
/// codes  <- quantize(v * codes.scale[n] + codes.bias[n])
/// ```
///
/// So the results are the same on every route and for every number of threads.
#[derive(Debug)]
pub struct LayerOutput<'a> {
    /// One number, or one for each output channel.
    pub scale: &'a [f32],
    /// Empty, or a number for each output channel.
    pub bias: &'a [f32],
    /// What is added.
    pub residual: Residual<'a>,
    /// What is done to small and large values.
    pub clip: Clip,
    /// Where the values go, if they are wanted.
    pub values: Option<Rows<'a>>,
    /// Where the codes go, if they are wanted: for one layer, or for two that pack the same values in different ways.
    pub codes: [Option<LayerCodes<'a>>; 2],
}

/// What is added to the scaled sums.
#[derive(Debug, Clone, Copy)]
pub enum Residual<'a> {
    /// Nothing.
    None,
    /// Another tensor, `[batch, height, width, stride]` row-major, of which channels `first..first + outputs` are read.
    Rows {
        /// The tensor.
        data: &'a [f32],
        /// Channels of the tensor.
        stride: usize,
        /// The first channel that is read.
        first: usize,
    },
    /// What stands where the values are written.
    InPlace,
}

/// Limits of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// No limits.
    None,
    /// `v` where it is above 0, else +0; so NaN becomes 0.
    Relu,
    /// The nearest number from `low` to `high`; NaN becomes `low`.
    Between {
        /// The smallest value.
        low: f32,
        /// The largest value.
        high: f32,
    },
}

/// Where f32 results go: channels `first..first + outputs` of a tensor `[batch, height, width, stride]` row-major, whose other
/// channels are left as they are. So several products write one tensor that concatenates their channels.
#[derive(Debug)]
pub struct Rows<'a> {
    /// The tensor.
    pub data: &'a mut [f32],
    /// Channels of the tensor.
    pub stride: usize,
    /// The first channel that is written.
    pub first: usize,
}

/// Codes of the values.
#[derive(Debug)]
pub struct LayerCodes<'a> {
    /// Empty, one number, or one for each output channel: multiplied to the values before they are quantized.
    pub scale: &'a [f32],
    /// Empty, or a number for each output channel: added after that.
    pub bias: &'a [f32],
    /// The quantizer.
    pub quantize: &'a Quantize,
    /// Where the codes go.
    pub out: CodesOut<'a>,
}

/// Where codes go.
#[derive(Debug)]
pub enum CodesOut<'a> {
    /// `[batch, height, width, outputs]` row-major, one code per byte.
    Bytes(&'a mut [u8]),
    /// Packed as the next product reads them.
    Packed(&'a mut Activations),
}

impl LayerOutput<'_> {
    /// Checks lengths against `[batch, height, width]` and `outputs`.
    pub(crate) fn check(&self, extent: [usize; 3], outputs: usize) -> Result<(), KernelError> {
        let pixels: usize = extent.iter().product();
        check_line(self.scale, self.bias, outputs)?;
        let rows = |operand, length: usize, stride: usize, first: usize| {
            if first.checked_add(outputs).is_none_or(|end| end > stride) {
                return Err(KernelError::Rows { operand, stride, first, outputs });
            }
            check_length(operand, length, pixels * stride)
        };
        match (self.residual, &self.values) {
            (Residual::InPlace, None) => {
                return Err(KernelError::Epilogue {
                    what: "a residual in place needs values to be written, expected the tensor of both",
                });
            }
            (Residual::Rows { data, stride, first }, _) => rows("residual", data.len(), stride, first)?,
            _ => {}
        }
        if let Clip::Between { low, high } = self.clip
            && low.partial_cmp(&high).is_none_or(|order| order.is_gt())
        {
            return Err(KernelError::Epilogue { what: "the limits of a clip are not in order, expected low <= high" });
        }
        if let Some(values) = &self.values {
            rows("output", values.data.len(), values.stride, values.first)?;
        }
        for codes in self.codes.iter().flatten() {
            if !codes.scale.is_empty() || !codes.bias.is_empty() {
                check_line(codes.scale, codes.bias, outputs)?;
            }
            match &codes.out {
                CodesOut::Bytes(out) => check_length("codes", out.len(), pixels * outputs)?,
                CodesOut::Packed(out) => out.check_results(extent, outputs, codes.quantize.bits())?,
            }
        }
        Ok(())
    }

    /// The same in the form that threads share.
    pub(crate) fn sink(&mut self, vectors: Vectors) -> LayerSink<'_> {
        let LayerOutput { scale, bias, residual, clip, values, codes } = self;
        let values = values
            .as_mut()
            .map(|rows| RowSink { start: rows.data.as_mut_ptr().wrapping_add(rows.first), stride: rows.stride });
        let residual = match *residual {
            Residual::None => None,
            Residual::Rows { data, stride, first } => {
                Some(RowSource { start: data.as_ptr().wrapping_add(first), stride })
            }
            Residual::InPlace => values.map(|rows| RowSource { start: rows.start.cast_const(), stride: rows.stride }),
        };
        let codes = codes.each_mut().map(|codes| {
            codes.as_mut().map(|codes| CodesSink {
                scale: codes.scale,
                bias: codes.bias,
                quantize: codes.quantize,
                out: match &mut codes.out {
                    CodesOut::Bytes(out) => CodesTo::Bytes(out.as_mut_ptr()),
                    CodesOut::Packed(out) => CodesTo::Packed(out.writer()),
                },
            })
        });
        LayerSink { vectors, scale, bias, residual, clip: *clip, values, codes }
    }
}

/// `scale` has one number or one for each of `outputs` channels; `bias` as many, or none.
pub(crate) fn check_line(scale: &[f32], bias: &[f32], outputs: usize) -> Result<(), KernelError> {
    if scale.len() != 1 {
        check_length("scale", scale.len(), outputs)?;
    }
    if bias.is_empty() { Ok(()) } else { check_length("bias", bias.len(), outputs) }
}

pub(crate) fn check_length(operand: &'static str, found: usize, expected: usize) -> Result<(), KernelError> {
    if found == expected { Ok(()) } else { Err(KernelError::Length { operand, expected, found }) }
}

/// A [`LayerOutput`] in a form that threads can share.
#[derive(Clone, Copy)]
pub(crate) struct LayerSink<'a> {
    vectors: Vectors,
    scale: &'a [f32],
    bias: &'a [f32],
    residual: Option<RowSource>,
    clip: Clip,
    values: Option<RowSink>,
    codes: [Option<CodesSink<'a>>; 2],
}

#[derive(Clone, Copy)]
struct RowSource {
    start: *const f32,
    stride: usize,
}

#[derive(Clone, Copy)]
struct RowSink {
    start: *mut f32,
    stride: usize,
}

#[derive(Clone, Copy)]
struct CodesSink<'a> {
    scale: &'a [f32],
    bias: &'a [f32],
    quantize: &'a Quantize,
    out: CodesTo<'a>,
}

/// [`CodesOut`] in a form that threads can share.
#[derive(Clone, Copy)]
pub(crate) enum CodesTo<'a> {
    Bytes(*mut u8),
    Packed(Writer<'a>),
}

impl<'a> LayerSink<'a> {
    /// The sink of scaled results alone, `[batch, height, width, outputs]` row-major.
    pub(crate) fn scaled(
        vectors: Vectors,
        out: &'a mut [f32],
        outputs: usize,
        scale: &'a [f32],
        bias: &'a [f32],
        relu: bool,
    ) -> LayerSink<'a> {
        let clip = if relu { Clip::Relu } else { Clip::None };
        let values = Some(RowSink { start: out.as_mut_ptr(), stride: outputs });
        LayerSink { vectors, scale, bias, residual: None, clip, values, codes: [None, None] }
    }

    /// The first value, if values are written as `[batch, height, width, outputs]` and none is read before.
    pub(crate) fn words(&self, outputs: usize) -> Option<*const u8> {
        let rows = self.values.filter(|rows| rows.stride == outputs && self.residual.is_none())?;
        Some(rows.start.cast_const().cast())
    }

    /// Whether the channels of a pixel share stored bytes.
    pub(crate) fn packs(&self) -> bool {
        self.codes.iter().flatten().any(|codes| matches!(codes.out, CodesTo::Packed(_)))
    }

    /// Stores what is made of the numbers of channels `first..first + count`, at most [`CHANNEL_BLOCK`], of output pixels
    /// `pixels`, in an output of `outputs` channels, with the vectors `V`. `source` gives the numbers of a pixel, counted from the
    /// first.
    ///
    /// # Safety
    /// As for [`crate::epilogue::Sink::store`]; and the processor has the instruction set of `V`.
    #[inline(always)]
    pub(crate) unsafe fn store<V: Numbers, S: Source>(
        &mut self,
        pixels: Range<usize>,
        outputs: usize,
        first: usize,
        count: usize,
        source: impl Fn(usize) -> S,
    ) {
        let mut room = Room { codes: [[0; pack::CODES]; 2], values: [[0.0; CHANNEL_BLOCK]; 2] };
        let none = CodesRule { scale: &[], bias: &[], rule: CodeRule::Boundaries(&[]) };
        let mut codes = [none; 2];
        for (index, sink) in self.codes.iter().enumerate() {
            if let Some(sink) = sink {
                codes[index] = CodesRule {
                    scale: at_channels(sink.scale, first, count),
                    bias: at_channels(sink.bias, first, count),
                    rule: sink.quantize.rule(room.values[index].as_mut_ptr()),
                };
            }
        }
        let rule = Rule {
            scale: at_channels(self.scale, first, count),
            bias: at_channels(self.bias, first, count),
            clip: self.clip,
            codes,
        };
        // Whole pixels that are stored one after the other are packed together, as many as there is room for.
        let whole = |sink: &CodesSink<'_>| match &sink.out {
            CodesTo::Packed(writer) => writer.takes_pixels(count),
            CodesTo::Bytes(_) => true,
        };
        let together = if self.codes.iter().flatten().all(whole) { pack::CODES / count } else { 1 };
        let mut pixel = pixels.start;
        while pixel < pixels.end {
            let mut run = together.min(pixels.end - pixel);
            let mut at = [None; 2];
            for (sink, at) in self.codes.iter_mut().zip(&mut at) {
                if let Some(CodesSink { out: CodesTo::Packed(writer), .. }) = sink {
                    (*at, run) = writer.run(pixel, run);
                }
            }
            let mut places = Places {
                // SAFETY: the rows exist, by the caller's promise and `LayerOutput::check`.
                residual: self.residual.map(|rows| unsafe { rows.start.add(pixel * rows.stride + first) }),
                // SAFETY: as above.
                values: self.values.map(|rows| unsafe { rows.start.add(pixel * rows.stride + first) }),
                codes: [std::ptr::null_mut(); 2],
            };
            for (index, sink) in self.codes.iter().enumerate() {
                places.codes[index] = match sink.as_ref().map(|sink| &sink.out) {
                    // SAFETY: the pixel and the channels exist, by the caller's promise and the check of the slice's length.
                    Some(CodesTo::Bytes(out)) => unsafe { out.add(pixel * outputs + first) },
                    Some(CodesTo::Packed(_)) if at[index].is_some() => room.codes[index].as_mut_ptr(),
                    // What is not stored need not be quantized.
                    _ => continue,
                };
            }
            for step in pixel - pixels.start..pixel - pixels.start + run {
                // SAFETY: the lists were cut to the channels or hold one number; the rows have as many, this thread alone
                // writes them and the codes, and the room is longer than a channel block. The residual is another tensor or
                // the row of the values.
                unsafe { layer::pixel::<V>(&source(step), &rule, &places) };
                for (index, sink) in self.codes.iter().enumerate() {
                    let Some(sink) = sink.as_ref().filter(|_| !places.codes[index].is_null()) else { continue };
                    let distance = if matches!(sink.out, CodesTo::Bytes(_)) { outputs } else { count };
                    if sink.quantize.is_searched() {
                        // SAFETY: as above; the pointer is to `count` codes.
                        let codes = unsafe { std::slice::from_raw_parts_mut(places.codes[index], count) };
                        sink.quantize.codes(self.vectors, &room.values[index][..count], codes);
                    }
                    places.codes[index] = places.codes[index].wrapping_add(distance);
                }
                if let (Some(residual), Some(rows)) = (&mut places.residual, self.residual) {
                    *residual = residual.wrapping_add(rows.stride);
                }
                if let (Some(values), Some(rows)) = (&mut places.values, self.values) {
                    *values = values.wrapping_add(rows.stride);
                }
            }
            for (index, sink) in self.codes.iter_mut().enumerate() {
                if let (Some(CodesSink { out: CodesTo::Packed(writer), .. }), Some(at)) = (sink, at[index]) {
                    let codes = &room.codes[index][..run * count];
                    if run > 1 { writer.write_pixels(at, codes) } else { writer.write(at, first, codes) }
                }
            }
            pixel += run;
        }
    }

    /// [`LayerSink::store`] for the results of a row of pixels that are not scaled yet, `count` channels from each of `results`,
    /// with the vectors that the sink may use.
    ///
    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    pub(crate) unsafe fn store_results<const N: usize>(
        &mut self,
        pixels: Range<usize>,
        outputs: usize,
        first: usize,
        results: &[[f32; N]],
        count: usize,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.vectors.wide() {
            // SAFETY: the processor has AVX-512; the rest is the caller's promise.
            return unsafe { self.store_results_avx512(pixels, outputs, first, results, count) };
        }
        #[cfg(target_arch = "x86_64")]
        if self.vectors.avx2() {
            // SAFETY: the processor has AVX2; the rest is the caller's promise.
            return unsafe { self.store_results_avx2(pixels, outputs, first, results, count) };
        }
        // SAFETY: the caller's promise; plain Rust needs no instruction set.
        unsafe { self.store_results_with::<layer::Plain<8>, N>(pixels, outputs, first, results, count) }
    }

    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    unsafe fn store_results_avx512<const N: usize>(
        &mut self,
        pixels: Range<usize>,
        outputs: usize,
        first: usize,
        results: &[[f32; N]],
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.store_results_with::<arch::avx512::Avx512, N>(pixels, outputs, first, results, count) }
    }

    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn store_results_avx2<const N: usize>(
        &mut self,
        pixels: Range<usize>,
        outputs: usize,
        first: usize,
        results: &[[f32; N]],
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.store_results_with::<arch::avx2::Avx2, N>(pixels, outputs, first, results, count) }
    }

    /// # Safety
    /// As for [`LayerSink::store`].
    #[inline(always)]
    unsafe fn store_results_with<V: Numbers, const N: usize>(
        &mut self,
        pixels: Range<usize>,
        outputs: usize,
        first: usize,
        results: &[[f32; N]],
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.store::<V, _>(pixels, outputs, first, count, |index| layer::Results(&results[index][..count])) };
    }
}

/// Buffers for the codes of pixels that are packed together, and for the values of one pixel that a loop of its own makes codes
/// of.
struct Room {
    codes: [[u8; pack::CODES]; 2],
    values: [[f32; CHANNEL_BLOCK]; 2],
}

impl CodesTo<'_> {
    /// Stores the codes of channels `first..` of output pixel `pixel`, in an output of `outputs` channels.
    ///
    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    #[inline(always)]
    pub(crate) unsafe fn write(&mut self, pixel: usize, outputs: usize, first: usize, codes: &[u8]) {
        match self {
            CodesTo::Bytes(out) => {
                // SAFETY: the pixel and the channels exist and are this thread's, by the caller's promise and the check of the
                // slice's length.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(pixel * outputs + first), codes.len()) };
                out.copy_from_slice(codes);
            }
            CodesTo::Packed(writer) => {
                if let Some(at) = writer.position(pixel) {
                    writer.write(at, first, codes);
                }
            }
        }
    }
}
