//! Weights, packed once into the order in which a loop reads them.

use crate::buffer::Buffer;
use crate::inner_loop::LoopForm;
use crate::layout::{Layout, SHORT_ORDER};

/// Bytes after the weights that a loop may read and does not use: two vectors.
const SLACK: usize = 128;

/// Weight codes in panels: a panel holds as many output channels as the loop's vectors have lanes, plane after plane, K-step
/// after K-step. Output channels and K-steps past the end are zero.
#[derive(Debug, Clone)]
pub(crate) struct Panels {
    pub(crate) data: Buffer,
    /// Output channels of a panel.
    pub(crate) lanes: usize,
    /// Panels of one group.
    pub(crate) panels: usize,
    pub(crate) panel_bytes: usize,
    pub(crate) plane_bytes: usize,
    /// Planes that are stored one after the other: 1 where codes are stored whole.
    pub(crate) planes: usize,
    /// Sum of the codes of every output channel at every tap (pixel of the window), `[taps, output channels]`.
    pub(crate) tap_sums: Vec<i32>,
}

impl Panels {
    /// Bytes of the weights.
    pub(crate) fn bytes(&self) -> usize {
        self.data.bytes().len() - SLACK
    }

    /// Packs `codes`, `[groups * outputs, channels, taps]` row-major.
    pub(crate) fn pack(
        layout: &Layout,
        codes: &[u8],
        groups: usize,
        outputs: usize,
        channels: usize,
        taps: usize,
    ) -> Panels {
        let form = layout.inner.form;
        let lanes = layout.inner.lanes();
        let panels = outputs.div_ceil(lanes);
        let pixel_k_steps = layout.k_steps(channels);
        let k_steps = taps * pixel_k_steps;
        let (planes, vector_bytes) = match form {
            LoopForm::Popcount => (usize::from(layout.weight_bits.get()), 8 * lanes),
            LoopForm::NibbleTable | LoopForm::NibbleTablePairs | LoopForm::SixBitTable => {
                (usize::from(layout.weight_bits.get()), lanes)
            }
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } => (1, 4 * lanes),
            LoopForm::Int8Shorts { short_weights } => (1, if short_weights { 8 * lanes } else { 4 * lanes }),
        };
        let per_byte = layout.inner.k_steps_per_byte();
        let plane_bytes = k_steps / per_byte * vector_bytes;
        let panel_bytes = planes * plane_bytes;
        let mut data = Buffer::zeroed(groups * panels * panel_bytes + SLACK);
        let bytes = data.bytes_mut();
        for (row, codes) in codes.chunks_exact(channels * taps).enumerate() {
            let (group, output) = (row / outputs, row % outputs);
            let (panel, lane) = (output / lanes, output % lanes);
            let start = (group * panels + panel) * panel_bytes;
            for (index, &code) in codes.iter().enumerate() {
                let (channel, tap) = (index / taps, index % taps);
                let k_step = tap * pixel_k_steps + channel / layout.k_step;
                let within = channel % layout.k_step;
                // Of K-steps that share bytes, the first one has the lowest bits.
                let shift = 8 / per_byte * (k_step % per_byte);
                let vector = start + k_step / per_byte * vector_bytes;
                match form {
                    LoopForm::Popcount => {
                        for plane in 0..planes {
                            let byte = vector + plane * plane_bytes + 8 * lane + within / 8;
                            bytes[byte] |= (code >> plane & 1) << (within % 8);
                        }
                    }
                    LoopForm::NibbleTable | LoopForm::NibbleTablePairs | LoopForm::SixBitTable => {
                        for plane in 0..planes {
                            let byte = vector + plane * plane_bytes + table_byte(lane, lanes);
                            bytes[byte] |= (code >> plane & 1) << (shift + within);
                        }
                    }
                    LoopForm::Int8Shorts { short_weights: true } => {
                        // Two of each output channel, then the other two, in the order of the activations.
                        let position = SHORT_ORDER[within];
                        let byte = vector + position / 2 * vector_bytes / 2 + 4 * lane + 2 * (position % 2);
                        let value = i32::from(code) - layout.center;
                        bytes[byte..byte + 2].copy_from_slice(&(value as i16).to_le_bytes());
                    }
                    LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => {
                        let value = (i32::from(code) - layout.center) as u8;
                        bytes[vector + 4 * lane + within] |= value << shift;
                    }
                }
            }
        }
        let rows = groups * outputs;
        let mut tap_sums = vec![0; taps * rows];
        for (row, codes) in codes.chunks_exact(channels * taps).enumerate() {
            for (index, &code) in codes.iter().enumerate() {
                tap_sums[index % taps * rows + row] += i32::from(code);
            }
        }
        Panels { data, lanes, panels, panel_bytes, plane_bytes, planes, tap_sums }
    }
}

/// The byte of a table loop's vector that belongs to an output channel of the panel. Byte sums are widened to 32 bits by
/// shifts, after which the output channels come out in order.
fn table_byte(channel: usize, lanes: usize) -> usize {
    channel % (lanes / 4) * 4 + channel / (lanes / 4)
}
