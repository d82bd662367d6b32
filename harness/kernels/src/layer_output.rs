//! The epilogue of a layer of a network: scale and bias, residual, ReLU or clip, and the next layers' codes, in one pass.

use crate::activations::{Activations, Writer};
use crate::epilogue::{CHANNEL_BLOCK, at_channels};
use crate::error::KernelError;
use crate::pack::Quantize;
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

impl LayerSink<'_> {
    /// Whether the channels of a pixel share stored bytes.
    pub(crate) fn packs(&self) -> bool {
        self.codes.iter().flatten().any(|codes| matches!(codes.out, CodesTo::Packed(_)))
    }

    /// Stores what is made of the sums of channels `first..`, at most [`CHANNEL_BLOCK`], of output pixel `pixel`, in an
    /// output of `outputs` channels.
    ///
    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    #[inline(always)]
    pub(crate) unsafe fn store(
        &mut self,
        pixel: usize,
        outputs: usize,
        first: usize,
        sums: &[i32],
        value: impl Fn(usize, i32) -> i32,
    ) {
        let count = sums.len();
        let mut buffer = [0.0f32; CHANNEL_BLOCK];
        let values = &mut buffer[..count];
        for n in 0..count {
            values[n] = value(n, sums[n]) as f32;
        }
        // SAFETY: the caller's promise.
        unsafe { self.store_values(pixel, outputs, first, values) };
    }

    /// [`LayerSink::store`] for results that are not scaled yet.
    ///
    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    #[inline(always)]
    pub(crate) unsafe fn store_values(&mut self, pixel: usize, outputs: usize, first: usize, values: &mut [f32]) {
        let count = values.len();
        line(values, at_channels(self.scale, first, count), at_channels(self.bias, first, count));
        if let Some(rows) = self.residual {
            // SAFETY: the row exists, by the caller's promise and `LayerOutput::check`. It is either borrowed shared, or the
            // one that this thread alone writes, and no reference to it lives past this block.
            let row = unsafe { std::slice::from_raw_parts(rows.start.add(pixel * rows.stride + first), count) };
            for (value, residual) in values.iter_mut().zip(row) {
                *value += residual;
            }
        }
        match self.clip {
            Clip::None => {}
            Clip::Relu => values.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 }),
            Clip::Between { low, high } => values.iter_mut().for_each(|v| *v = clip(*v, low, high)),
        }
        if let Some(rows) = self.values {
            // SAFETY: the row exists, by the caller's promise and `LayerOutput::check`, and this thread alone writes it.
            let row = unsafe { std::slice::from_raw_parts_mut(rows.start.add(pixel * rows.stride + first), count) };
            row.copy_from_slice(values);
        }
        for codes in self.codes.iter_mut().flatten() {
            // SAFETY: the caller's promise.
            unsafe { codes.store(self.vectors, pixel, outputs, first, values) };
        }
    }
}

impl CodesSink<'_> {
    /// Stores the codes of channels `first..` of output pixel `pixel`.
    ///
    /// # Safety
    /// As for [`crate::epilogue::Sink::store`].
    #[inline(always)]
    unsafe fn store(&mut self, vectors: Vectors, pixel: usize, outputs: usize, first: usize, values: &[f32]) {
        let count = values.len();
        let mut moved = [0.0f32; CHANNEL_BLOCK];
        let values = if self.scale.is_empty() && self.bias.is_empty() {
            values
        } else {
            let moved = &mut moved[..count];
            moved.copy_from_slice(values);
            line(moved, at_channels(self.scale, first, count), at_channels(self.bias, first, count));
            moved
        };
        // What is not stored need not be quantized.
        if self.out.position(pixel).is_none() {
            return;
        }
        let mut codes = [0; CHANNEL_BLOCK];
        let codes = &mut codes[..count];
        self.quantize.codes(vectors, values, codes);
        // SAFETY: the caller's promise.
        unsafe { self.out.write(pixel, outputs, first, codes) };
    }
}

impl CodesTo<'_> {
    /// Where the codes of output pixel `pixel` are stored; `None` if they are not.
    fn position(&self, pixel: usize) -> Option<usize> {
        match self {
            CodesTo::Bytes(_) => Some(pixel),
            CodesTo::Packed(writer) => writer.position(pixel),
        }
    }

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

/// The nearest number from `low` to `high`, and `low` for NaN.
#[inline(always)]
fn clip(v: f32, low: f32, high: f32) -> f32 {
    let v = if v > low { v } else { low };
    if v < high { v } else { high }
}

/// `v * scale[n] + bias[n]`, the product rounded before the addition; no bias where the list is empty.
#[inline(always)]
fn line(values: &mut [f32], scale: &[f32], bias: &[f32]) {
    // One loop for each form, so that each is a loop over vectors.
    match scale {
        [] => {}
        &[scale] => values.iter_mut().for_each(|v| *v *= scale),
        scale => values.iter_mut().zip(scale).for_each(|(v, scale)| *v *= scale),
    }
    match bias {
        [] => {}
        &[bias] => values.iter_mut().for_each(|v| *v += bias),
        bias => values.iter_mut().zip(bias).for_each(|(v, bias)| *v += bias),
    }
}
