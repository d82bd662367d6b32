//! Packed activations: a batch of images with their channels, padding included.

use std::ops::Range;

use crate::arch::generic::table_pairs::SLACK;
use crate::buffer::Buffer;
use crate::error::KernelError;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::pack::{self, Quantize};
use crate::pool::Pool;
use crate::stored_pixels::{ContiguousRun, Cursor, StoredPixels};

/// The smallest number of codes of a packing task: some microseconds of work.
const MIN_TASK_CODES: usize = 1 << 14;

/// Activation codes in the layout of one product, `[batch, height, width, channels]`. A matrix `[rows, depth]` is a
/// batch of `rows` single pixels.
///
/// They are made by [`crate::Product::activations`] and filled from codes, from f32 values, or by the epilogue of the product
/// before. Pixels of the padding stay zero.
#[derive(Debug, Clone)]
pub struct Activations {
    pub(crate) layout: Layout,
    pub(crate) stored: StoredPixels,
    /// Channels of one group.
    pub(crate) channels: usize,
    pub(crate) groups: usize,
    pub(crate) data: Buffer,
    /// Where each bit group of the layout lies in `data`.
    pub(crate) bit_groups: Vec<PlacedGroup>,
    /// Sum of the codes of each group of each pixel, `[pixels, groups]`.
    pub(crate) sums: Vec<i32>,
}

/// The place of a bit group in the buffer: `[stored pixels][groups][K-steps]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlacedGroup {
    /// Its first byte.
    pub(crate) start: usize,
    pub(crate) pixel_bytes: usize,
}

impl Activations {
    /// Code 0 everywhere.
    pub(crate) fn zeroed(
        layout: Layout,
        stored: StoredPixels,
        channels: usize,
        groups: usize,
    ) -> Result<Activations, KernelError> {
        let pixels = stored.count();
        let mut end: usize = 0;
        let mut bit_groups = Vec::with_capacity(layout.bit_groups.len());
        for bit_group in &layout.bit_groups {
            let pixel_bytes = groups * layout.k_steps(channels) * bit_group.k_step_bytes;
            bit_groups.push(PlacedGroup { start: end, pixel_bytes });
            let bytes = pixel_bytes.checked_mul(pixels).filter(|&b| b < isize::MAX as usize / 16);
            end = bytes.and_then(|b| end.checked_add(b.next_multiple_of(64))).ok_or(KernelError::TooLarge)?;
        }
        let sums = vec![0; pixels * groups];
        Ok(Activations { layout, stored, channels, groups, data: Buffer::zeroed(end + SLACK), bit_groups, sums })
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

    /// Size of the packed codes in bytes.
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
        let (channels, together) = (self.channels * self.groups, self.pixels_together());
        self.by_contiguous_runs(None, |writer, run, _| {
            let codes = &codes[run.first * channels..][..run.count * channels];
            if together > 0 {
                for (block, codes) in codes.chunks(together * channels).enumerate() {
                    writer.write_pixels(run.at + block * together, codes);
                }
                return;
            }
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
        let (together, vectors) = (self.pixels_together(), self.layout.vectors);
        self.by_contiguous_runs(Some(pool), |writer, run, codes| {
            let values = &values[run.first * channels..][..run.count * channels];
            if together > 0 {
                for (block, values) in values.chunks(together * channels).enumerate() {
                    let codes = &mut codes[..values.len()];
                    quantize.codes(vectors, values, codes);
                    writer.write_pixels(run.at + block * together, codes);
                }
                return;
            }
            for (pixel, values) in values.chunks_exact(channels).enumerate() {
                for (part, values) in values.chunks(pack::CODES).enumerate() {
                    let codes = &mut codes[..values.len()];
                    quantize.codes(vectors, values, codes);
                    writer.write(run.at + pixel, part * pack::CODES, codes);
                }
            }
        });
        Ok(())
    }

    /// Pixels that are quantized and packed at a time: as many as have [`pack::CODES`] codes; 0 where one pixel has more, or
    /// several groups.
    fn pixels_together(&self) -> usize {
        if self.groups == 1 { pack::CODES / self.channels } else { 0 }
    }

    /// Reads the codes back, `[batch, height, width, channels]` row-major. Pixels that no window reads (those between the steps
    /// of a strided 1x1 convolution) are not stored; their places in `codes` are left as they are, see
    /// [`Activations::stores`].
    ///
    /// # Errors
    /// When the length disagrees with the shape.
    pub fn read_codes(&self, codes: &mut [u8]) -> Result<(), KernelError> {
        self.check_length(codes.len())?;
        let k_steps = self.layout.k_steps(self.channels);
        for (index, codes) in codes.chunks_exact_mut(self.channels * self.groups).enumerate() {
            let Some(at) = self.stored.position(index) else { continue };
            codes.fill(0);
            for (bit_group, placed) in self.layout.bit_groups.iter().zip(&self.bit_groups) {
                let pixel = &self.data.bytes()[placed.start + at * placed.pixel_bytes..][..placed.pixel_bytes];
                let groups = pixel.chunks_exact(k_steps * bit_group.k_step_bytes);
                for (codes, bytes) in codes.chunks_exact_mut(self.channels).zip(groups) {
                    pack::unpack::codes(*bit_group, self.layout.k_step, bytes, codes);
                }
            }
        }
        Ok(())
    }

    /// Whether the pixel with this index in `[batch, height, width]` is stored, that is, read by a window.
    #[must_use]
    pub fn stores(&self, pixel: usize) -> bool {
        pixel < self.stored.extent.iter().product() && self.stored.position(pixel).is_some()
    }

    /// Packs the codes of channels `first..` of each group of a tensor `[batch, height, width, groups, channels]`. `codes` is
    /// given the index of a code in that tensor, and writes that one and as many as follow.
    pub(crate) fn fill_by(
        &mut self,
        channels: usize,
        first: usize,
        codes: impl Fn(usize, &mut [u8]) + Sync,
        pool: Option<&Pool>,
    ) {
        let (here, groups) = (self.channels, self.groups);
        self.by_contiguous_runs(pool, |writer, run, block| {
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

    /// Calls `write` for contiguous runs that cover every stored pixel except padding once, on the calling thread or on all
    /// threads of a pool. The array is scratch memory for codes.
    fn by_contiguous_runs(
        &mut self,
        pool: Option<&Pool>,
        write: impl Fn(&mut Writer<'_>, ContiguousRun, &mut [u8; pack::CODES]) + Sync,
    ) {
        let stored = self.stored;
        let pixels = stored.inner();
        let runs = |writer: &mut Writer<'_>, range: Range<usize>| {
            let mut codes = [0; pack::CODES];
            let mut next = range.start;
            while next < range.end {
                let run = stored.contiguous_run(next, range.end - next);
                next += run.count;
                write(writer, run, &mut codes);
            }
        };
        let Some(pool) = pool else {
            return runs(&mut self.writer(), 0..pixels);
        };
        let min = MIN_TASK_CODES.div_ceil(self.channels * self.groups);
        // Four tasks per thread even out what other processes take from a thread.
        let step = pixels.div_ceil(4 * pool.threads()).max(min);
        let writer = self.writer();
        pool.run(pixels.div_ceil(step), &|task| {
            let mut writer = writer;
            runs(&mut writer, task * step..((task + 1) * step).min(pixels));
        });
    }

    /// Refuses codes that do not fit the bits.
    pub(crate) fn check_codes(&self, codes: &[u8]) -> Result<(), KernelError> {
        let bits = self.bits();
        // The largest code first, which is a loop over vectors.
        if codes.iter().fold(0, |largest, &code| code.max(largest)) <= bits.max_code() {
            return Ok(());
        }
        match codes.iter().position(|&code| code > bits.max_code()) {
            Some(index) => Err(KernelError::Code { operand: "activations", index, code: codes[index], bits }),
            None => Ok(()),
        }
    }

    /// Refuses a quantizer of other bits.
    pub(crate) fn check_quantizer(&self, quantize: &Quantize) -> Result<(), KernelError> {
        if quantize.bits() == self.bits() {
            return Ok(());
        }
        Err(KernelError::Layout {
            expected: format!("{}-bit codes", self.bits()),
            found: format!("a quantizer of {} bits", quantize.bits()),
        })
    }

    /// Refuses to take the results of a product, `bits`-bit codes of `[batch, height, width]` pixels and `outputs` channels,
    /// if these are other activations.
    pub(crate) fn check_results(&self, extent: [usize; 3], outputs: usize, bits: Bits) -> Result<(), KernelError> {
        let [batch, height, width] = extent;
        let shape = [batch, height, width, outputs];
        if self.shape() == shape && self.bits() == bits {
            return Ok(());
        }
        Err(KernelError::Layout {
            expected: format!("{bits}-bit codes of {shape:?}"),
            found: format!("{}-bit codes of {:?}", self.bits(), self.shape()),
        })
    }

    fn check_length(&self, found: usize) -> Result<(), KernelError> {
        let expected = self.shape().iter().product();
        if found == expected { Ok(()) } else { Err(KernelError::Length { operand: "input", expected, found }) }
    }

    /// What writes into the packed pixels; threads may share copies of it.
    pub(crate) fn writer(&mut self) -> Writer<'_> {
        Writer {
            layout: &self.layout,
            stored: self.stored,
            channels: self.channels,
            groups: self.groups,
            bit_groups: &self.bit_groups,
            data: self.data.bytes_mut().as_mut_ptr(),
            sums: self.sums.as_mut_ptr(),
            single_group: self.groups == 1,
            cursor: self.stored.cursor(),
        }
    }
}

/// Writes codes into packed pixels. Threads may share copies of one writer as long as no two write the same channels
/// of a pixel.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    layout: &'a Layout,
    stored: StoredPixels,
    channels: usize,
    groups: usize,
    bit_groups: &'a [PlacedGroup],
    data: *mut u8,
    sums: *mut i32,
    single_group: bool,
    cursor: Cursor,
}

// SAFETY: the pointers are into buffers borrowed exclusively for 'a, and users of shared copies write disjoint pixels
// or disjoint channel blocks of a pixel; see `Writer::write`.
unsafe impl Send for Writer<'_> {}
// SAFETY: as above.
unsafe impl Sync for Writer<'_> {}

impl Writer<'_> {
    /// Index among the stored pixels of pixel `index` of the tensor; `None` if it is not stored.
    #[inline(always)]
    pub(crate) fn position(&mut self, index: usize) -> Option<usize> {
        self.stored.position_after(&mut self.cursor, index)
    }

    /// The same, and the number of pixels from `index` on, at most `max`, that are stored one after the other if this one is.
    #[inline(always)]
    pub(crate) fn run(&mut self, index: usize, max: usize) -> (Option<usize>, usize) {
        self.stored.run_after(&mut self.cursor, index, max)
    }

    /// Writes `codes` to channels `first..` of stored pixel `at`, and updates its sums. A pixel's channels are written in
    /// ascending order by one thread, in blocks that start at a multiple of every K-step.
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

    /// Whether several pixels of `count` channels may be written together.
    pub(crate) fn takes_pixels(&self, count: usize) -> bool {
        self.single_group && count == self.channels
    }

    /// Writes the codes of several whole pixels, of which the first is stored pixel `at`. There is a single group.
    pub(crate) fn write_pixels(&mut self, at: usize, codes: &[u8]) {
        let count = codes.len() / self.channels;
        assert!(self.single_group && count * self.channels == codes.len() && at + count <= self.stored.count());
        // SAFETY: there is one sum for each pixel; the pixels were asserted to exist.
        let sums = unsafe { std::slice::from_raw_parts_mut(self.sums.add(at), count) };
        pack::pixels(self.layout, self.channels, codes, sums, |index| {
            let placed = &self.bit_groups[index];
            let offset = placed.start + at * placed.pixel_bytes;
            // SAFETY: the pixels exist (asserted), so their bytes lie in the buffer, and the caller keeps other threads
            // away from them. Different bit groups have different bytes.
            unsafe { std::slice::from_raw_parts_mut(self.data.add(offset), count * placed.pixel_bytes) }
        });
    }

    /// Writes `codes` to channels `first..` of one group of stored pixel `at`, and updates its sum.
    fn write_group(&mut self, at: usize, group: usize, first: usize, codes: &[u8]) {
        let k_steps = self.layout.k_steps(self.channels);
        assert!(at < self.stored.count() && group < self.groups && first + codes.len() <= self.channels);
        for (bit_group, placed) in self.layout.bit_groups.iter().zip(self.bit_groups) {
            let group_bytes = k_steps * bit_group.k_step_bytes;
            let offset = placed.start + at * placed.pixel_bytes + group * group_bytes;
            // SAFETY: the pixel and the group exist (asserted), so its bytes lie in the buffer, and the contract of
            // `write` keeps other threads away from them.
            let bytes = unsafe { std::slice::from_raw_parts_mut(self.data.add(offset), group_bytes) };
            pack::codes(self.layout, *bit_group, first, codes, bytes);
        }
        let mut sum = 0;
        pack::sums(self.layout.vectors, codes, codes.len(), std::slice::from_mut(&mut sum));
        // SAFETY: there is one sum for each group of each pixel; the index was asserted.
        let total = unsafe { &mut *self.sums.add(at * self.groups + group) };
        *total = if first == 0 { sum } else { *total + sum };
    }
}
