//! Weights, packed once into the order in which a loop reads them.

use crate::buffer::Buffer;
use crate::layout::{Layout, NIBBLE_GROUP};
use crate::pack::SHORT_ORDER;
use crate::route::{Family, Isa};

/// Bytes after the weights that a loop may read and does not use: two vectors.
const SLACK: usize = 128;

/// Weight codes in panels: a panel holds as many output channels as a vector has lanes, plane after plane, unit after
/// unit. Channels and units past the end are zero.
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
    /// Sum of the codes of every output channel at every tap, `[taps, channels]`.
    pub(crate) tap_sums: Vec<i32>,
}

/// Output channels that one vector of the route holds.
pub(crate) fn lanes(layout: &Layout) -> usize {
    match (layout.route.family, layout.route.isa) {
        (Family::Popcount, Isa::Avx512) => 8,
        (Family::Popcount, Isa::Avx2) => 4,
        (Family::Popcount, Isa::Neon) => 2,
        (Family::Popcount, Isa::Portable) => 1,
        (Family::Table, Isa::Avx512) => 64,
        (Family::Table, Isa::Avx2) => 32,
        (Family::Table, Isa::Neon | Isa::Portable) => 16,
        (Family::Int8, Isa::Avx512) => 16,
        (Family::Int8, Isa::Avx2) => 8,
        (Family::Int8, Isa::Neon | Isa::Portable) => 4,
    }
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
        let lanes = lanes(layout);
        let panels = outputs.div_ceil(lanes);
        let units = taps * layout.units(channels);
        let planes = match layout.route.family {
            Family::Popcount | Family::Table => usize::from(layout.weight_bits.get()),
            Family::Int8 => 1,
        };
        let vector_bytes = match layout.route.family {
            Family::Popcount => 8 * lanes,
            Family::Table => lanes,
            // Two vectors where weights take two bytes.
            Family::Int8 if layout.short_weights() => 8 * lanes,
            Family::Int8 => 4 * lanes,
        };
        let shared = layout.shared();
        let plane_bytes = units / shared * vector_bytes;
        let panel_bytes = planes * plane_bytes;
        let mut data = Buffer::zeroed(groups * panels * panel_bytes + SLACK);
        let pixel_units = layout.units(channels);
        let bytes = data.bytes_mut();
        for (row, codes) in codes.chunks_exact(channels * taps).enumerate() {
            let (group, output) = (row / outputs, row % outputs);
            let (panel, lane) = (output / lanes, output % lanes);
            let start = (group * panels + panel) * panel_bytes;
            for (index, &code) in codes.iter().enumerate() {
                let (channel, tap) = (index / taps, index % taps);
                let unit = tap * pixel_units + channel / layout.unit;
                let within = channel % layout.unit;
                let vector = start + unit / shared * vector_bytes;
                match layout.route.family {
                    Family::Popcount => {
                        for plane in 0..planes {
                            let byte = vector + plane * plane_bytes + 8 * lane + within / 8;
                            bytes[byte] |= (code >> plane & 1) << (within % 8);
                        }
                    }
                    Family::Table => {
                        let byte = table_byte(lane, lanes);
                        let shift = if layout.unit == NIBBLE_GROUP { 4 * (unit % shared) } else { 0 } + within;
                        for plane in 0..planes {
                            bytes[vector + plane * plane_bytes + byte] |= (code >> plane & 1) << shift;
                        }
                    }
                    Family::Int8 if layout.short_weights() => {
                        // In the order of the activations: two of each output channel, then the other two.
                        let place = SHORT_ORDER[within];
                        let byte = vector + place / 2 * vector_bytes / 2 + 4 * lane + 2 * (place % 2);
                        let value = i32::from(code) - layout.center;
                        bytes[byte..byte + 2].copy_from_slice(&(value as i16).to_le_bytes());
                    }
                    Family::Int8 => {
                        let value = (i32::from(code) - layout.center) as u8;
                        let shift = 8 / shared * (unit % shared);
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

/// The byte of a table route's vector at which a channel of the panel stands: bytes are widened to 32 bits by shifts,
/// after which the channels come out in order.
fn table_byte(channel: usize, lanes: usize) -> usize {
    channel % (lanes / 4) * 4 + channel / (lanes / 4)
}
