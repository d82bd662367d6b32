//! Activations, packed: a batch of pixels with their channels, padding included.

use std::ops::Range;

use crate::arch::generic::table::SLACK;
use crate::buffer::Buffer;
use crate::error::KernelError;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::pack::{self, Quantize};
use crate::pool::Pool;
use crate::stored::{Run, Stored};

/// Codes that a thread packs at least before it asks for more: some microseconds of work.
const TASK: usize = 1 << 14;

/// Activation codes in the layout of one product, `[batch, height, width, channels]`. A matrix `[rows, depth]` is a
/// batch of `rows` single pixels.
///
/// Made by [`crate::Product::activations`], filled from codes, from f32 values or by the epilogue of the product
/// before. Pixels of the border stay zero. The type keeps packed data from being taken for codes.
#[derive(Debug, Clone)]
pub struct Activations {
    pub(crate) layout: Layout,
    pub(crate) stored: Stored,
    /// Channels of one group.
    pub(crate) channels: usize,
    pub(crate) groups: usize,
    pub(crate) data: Buffer,
    /// Where each region starts, and the bytes of its pixels.
    pub(crate) regions: Vec<Placed>,
    /// Sum of the codes of each group of each pixel, `[pixels, groups]`.
    pub(crate) sums: Vec<i32>,
}

/// A region in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) start: usize,
    pub(crate) pixel_bytes: usize,
}

impl Activations {
    pub(crate) fn zeroed(
        layout: Layout,
        stored: Stored,
        channels: usize,
        groups: usize,
    ) -> Result<Activations, KernelError> {
        let pixels = stored.count();
        let mut end: usize = 0;
        let mut regions = Vec::with_capacity(layout.regions.len());
        for region in &layout.regions {
            let pixel_bytes = groups * layout.units(channels) * region.unit_bytes;
            regions.push(Placed { start: end, pixel_bytes });
            let bytes = pixel_bytes.checked_mul(pixels).filter(|&b| b < isize::MAX as usize / 16);
            end = bytes.and_then(|b| end.checked_add(b.next_multiple_of(64))).ok_or(KernelError::TooLarge)?;
        }
        let sums = vec![0; pixels * groups];
        Ok(Activations { layout, stored, channels, groups, data: Buffer::zeroed(end + SLACK), regions, sums })
    }

    /// Bit width of the codes.
    #[must_use]
    pub fn bits(&self) -> Bits {
        self.layout.activation_bits
    }

    /// `[batch, height, width, channels]` without padding.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        let [batch, height, width] = self.stored.extent;
        [batch, height, width, self.channels * self.groups]
    }

    /// Bytes that the packed codes take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.bytes().len() - SLACK
    }

    /// Packs codes, `[batch, height, width, channels]` row-major.
    ///
    /// # Errors
    /// When the length disagrees with the shape or a code does not fit the bits; the contents are then unspecified.
    pub fn fill_codes(&mut self, codes: &[u8]) -> Result<(), KernelError> {
        self.check_length(codes.len())?;
        self.check_codes(codes)?;
        let channels = self.channels * self.groups;
        self.by_runs(None, |writer, run, _| {
            let codes = &codes[run.first * channels..][..run.count * channels];
            for (pixel, codes) in codes.chunks_exact(channels).enumerate() {
                writer.write(run.at + pixel, 0, codes);
            }
        });
        Ok(())
    }

    /// Quantizes and packs values, `[batch, height, width, channels]` row-major, in one pass over them by all threads.
    ///
    /// # Errors
    /// When the length disagrees with the shape or the quantizer has other bits.
    pub fn fill(&mut self, values: &[f32], quantize: &Quantize, pool: &Pool) -> Result<(), KernelError> {
        self.check_length(values.len())?;
        self.check_quantizer(quantize)?;
        let channels = self.channels * self.groups;
        // Pixels of whole units lie end to end, so several are packed as one.
        let whole = self.groups == 1 && channels.is_multiple_of(self.layout.granularity());
        let together = if whole { pack::CODES / channels } else { 0 };
        self.by_runs(Some(pool), |writer, run, codes| {
            let values = &values[run.first * channels..][..run.count * channels];
            if together > 0 {
                for (block, values) in values.chunks(together * channels).enumerate() {
                    let codes = &mut codes[..values.len()];
                    quantize.codes(values, codes);
                    writer.write_pixels(run.at + block * together, codes);
                }
                return;
            }
            for (pixel, values) in values.chunks_exact(channels).enumerate() {
                for (part, values) in values.chunks(pack::CODES).enumerate() {
                    let codes = &mut codes[..values.len()];
                    quantize.codes(values, codes);
                    writer.write(run.at + pixel, part * pack::CODES, codes);
                }
            }
        });
        Ok(())
    }

    /// Packs codes that `codes` writes, given the index of the first among `[batch, height, width, groups, channels]`:
    /// those of channels `first..` of each group, which has `channels` in the tensor that they come from.
    pub(crate) fn fill_by(
        &mut self,
        channels: usize,
        first: usize,
        codes: impl Fn(usize, &mut [u8]) + Sync,
        pool: Option<&Pool>,
    ) {
        let (here, groups) = (self.channels, self.groups);
        self.by_runs(pool, |writer, run, block| {
            for pixel in 0..run.count {
                for group in 0..groups {
                    for part in (0..here).step_by(pack::CODES) {
                        let block = &mut block[..pack::CODES.min(here - part)];
                        codes(((run.first + pixel) * groups + group) * channels + first + part, block);
                        writer.write_group(run.at + pixel, group, part, block);
                    }
                }
            }
        });
    }

    /// Calls `write` for runs of pixels that have every stored pixel without padding in them once, on the calling thread
    /// or on all of a pool. The bytes that it is given are for codes on their way.
    fn by_runs(&mut self, pool: Option<&Pool>, write: impl Fn(&mut Writer<'_>, Run, &mut [u8; pack::CODES]) + Sync) {
        let stored = self.stored;
        let pixels = stored.inner();
        let runs = |writer: &mut Writer<'_>, range: Range<usize>| {
            let mut codes = [0; pack::CODES];
            let mut next = range.start;
            while next < range.end {
                let run = stored.run(next, range.end - next);
                next += run.count;
                write(writer, run, &mut codes);
            }
        };
        let Some(pool) = pool else {
            return runs(&mut self.writer(), 0..pixels);
        };
        let min = TASK.div_ceil(self.channels * self.groups);
        // A few tasks a thread even out what else the processors do.
        let step = pixels.div_ceil(4 * pool.threads()).max(min);
        let writer = self.writer();
        pool.run(pixels.div_ceil(step), &|task| {
            let mut writer = writer;
            runs(&mut writer, task * step..((task + 1) * step).min(pixels));
        });
    }

    pub(crate) fn check_codes(&self, codes: &[u8]) -> Result<(), KernelError> {
        let bits = self.bits();
        match codes.iter().position(|&code| code > bits.max_code()) {
            Some(index) => Err(KernelError::Code { operand: "activations", index, code: codes[index], bits }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_quantizer(&self, quantize: &Quantize) -> Result<(), KernelError> {
        if quantize.bits() == self.bits() {
            return Ok(());
        }
        Err(KernelError::Layout {
            expected: format!("{}-bit codes", self.bits()),
            found: format!("a quantizer of {} bits", quantize.bits()),
        })
    }

    fn check_length(&self, found: usize) -> Result<(), KernelError> {
        let expected = self.shape().iter().product();
        if found == expected { Ok(()) } else { Err(KernelError::Length { operand: "input", expected, found }) }
    }

    pub(crate) fn writer(&mut self) -> Writer<'_> {
        Writer {
            layout: &self.layout,
            stored: self.stored,
            channels: self.channels,
            groups: self.groups,
            regions: &self.regions,
            data: self.data.bytes_mut().as_mut_ptr(),
            sums: self.sums.as_mut_ptr(),
            single_group: self.groups == 1,
        }
    }
}

/// Writes codes into packed pixels. Threads may share copies of one writer as long as no two write the same channels
/// of a pixel.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    layout: &'a Layout,
    stored: Stored,
    channels: usize,
    groups: usize,
    regions: &'a [Placed],
    data: *mut u8,
    sums: *mut i32,
    single_group: bool,
}

// SAFETY: the pointers are into buffers borrowed exclusively for 'a, and users of shared copies write disjoint pixels
// or disjoint channel blocks of a pixel; see `Writer::write`.
unsafe impl Send for Writer<'_> {}
// SAFETY: as above.
unsafe impl Sync for Writer<'_> {}

impl Writer<'_> {
    /// Where the `index`-th pixel, padding not counted, is stored, if it is.
    pub(crate) fn place(&self, index: usize) -> Option<usize> {
        self.stored.place(index)
    }

    /// Writes `codes` to channels `first..` of the pixel stored at `at`, and adds to or sets its sums. `first` is a
    /// multiple of [`pack::CODES`]; blocks of one pixel are written in ascending order by one thread.
    pub(crate) fn write(&mut self, at: usize, first: usize, codes: &[u8]) {
        if self.single_group {
            self.write_group(at, 0, first, codes);
            return;
        }
        let mut channel = first;
        let mut rest = codes;
        while !rest.is_empty() {
            let (group, within) = (channel / self.channels, channel % self.channels);
            let count = rest.len().min(self.channels - within);
            let (now, later) = rest.split_at(count);
            self.write_group(at, group, within, now);
            (channel, rest) = (channel + count, later);
        }
    }

    /// Writes the codes of whole pixels of a single group of whole units, of which the first is stored at `at`.
    fn write_pixels(&mut self, at: usize, codes: &[u8]) {
        let count = codes.len() / self.channels;
        assert!(self.single_group && count * self.channels == codes.len() && at + count <= self.stored.count());
        for (region, placed) in self.layout.regions.iter().zip(self.regions) {
            let offset = placed.start + at * placed.pixel_bytes;
            // SAFETY: the pixels exist (asserted), so their bytes lie in the buffer, and the caller keeps other threads
            // away from them.
            let bytes = unsafe { std::slice::from_raw_parts_mut(self.data.add(offset), count * placed.pixel_bytes) };
            pack::codes(self.layout, *region, 0, codes, bytes);
        }
        // SAFETY: there is one sum for each pixel; the pixels were asserted to exist.
        let sums = unsafe { std::slice::from_raw_parts_mut(self.sums.add(at), count) };
        pack::sums(codes, self.channels, sums);
    }

    fn write_group(&mut self, at: usize, group: usize, first: usize, codes: &[u8]) {
        let units = self.layout.units(self.channels);
        assert!(at < self.stored.count() && group < self.groups && first + codes.len() <= self.channels);
        for (region, placed) in self.layout.regions.iter().zip(self.regions) {
            let group_bytes = units * region.unit_bytes;
            let offset = placed.start + at * placed.pixel_bytes + group * group_bytes;
            // SAFETY: the pixel and the group exist (asserted), so its bytes lie in the buffer, and the contract of
            // `write` keeps other threads away from them.
            let bytes = unsafe { std::slice::from_raw_parts_mut(self.data.add(offset), group_bytes) };
            pack::codes(self.layout, *region, first, codes, bytes);
        }
        let mut sum = 0;
        pack::sums(codes, codes.len(), std::slice::from_mut(&mut sum));
        // SAFETY: there is one sum for each group of each pixel; the index was asserted.
        let total = unsafe { &mut *self.sums.add(at * self.groups + group) };
        *total = if first == 0 { sum } else { *total + sum };
    }
}
