//! How codes lie in memory for a route: which bits of an activation are stored together, and how many channels make
//! one step of the loop.

use crate::levels::Bits;
use crate::route::{Family, Isa, Route};

/// Some bits of every activation code, stored together and multiplied in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    /// Lowest bit of the code that is in it.
    pub(crate) low: u8,
    /// Number of bits.
    pub(crate) bits: u8,
    /// Bytes that one unit of channels takes.
    pub(crate) unit_bytes: usize,
    /// Units summed before a narrow accumulator could overflow; even where units share bytes of weights.
    pub(crate) chunk: usize,
}

impl Region {
    /// What makes two regions the same bytes.
    fn stored(&self) -> (u8, u8, usize) {
        (self.low, self.bits, self.unit_bytes)
    }
}

/// The layout of both operands of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) route: Route,
    pub(crate) weight_bits: Bits,
    pub(crate) activation_bits: Bits,
    /// Channels of one unit, the step of the loop: 64, 6 or 4.
    pub(crate) unit: usize,
    /// Units that a byte of the weights has room for: their number in a pixel is a multiple of it.
    pub(crate) pack: usize,
    /// Whether weights are stored as the loop multiplies them, instead of as densely as they can be.
    pub(crate) spread: bool,
    /// Subtracted from every weight code before it is stored; added back from the sums of activations.
    pub(crate) center: i32,
    /// Passes over the activations.
    pub(crate) regions: Vec<Region>,
}

/// Output pixels up to which a product waits for its weights rather than for their unpacking.
pub(crate) const FEW_PIXELS: usize = 8;

/// Channels that one six-bit table step takes.
pub(crate) const WIDE_GROUP: usize = 6;
/// Channels that one four-bit table step takes.
pub(crate) const NIBBLE_GROUP: usize = 4;

impl Layout {
    /// The layout for a product of `pixels` output pixels.
    pub(crate) fn new(route: Route, weight_bits: Bits, activation_bits: Bits, pixels: usize) -> Layout {
        let (w, a) = (weight_bits.get(), activation_bits.get());
        let spread = pixels > FEW_PIXELS
            && match (route.isa, route.family) {
                // With 32 registers, unpacking hides behind the products.
                (Isa::Avx512 | Isa::Neon, _) => false,
                // Two columns at a time leave no register to unpack in; one at a time, it costs no more than the reading.
                (_, Family::Table) => a == 1,
                (_, Family::Popcount | Family::Int8) => true,
            };
        let layout = |unit, pack, center, regions| Layout {
            route,
            weight_bits,
            activation_bits,
            unit,
            pack,
            spread,
            center,
            regions,
        };
        match (route.family, route.isa) {
            (Family::Popcount, _) => {
                let plane = |low| Region { low, bits: 1, unit_bytes: 8, chunk: usize::MAX };
                layout(64, 1, 0, (0..a).map(plane).collect())
            }
            (Family::Table, Isa::Avx512) => {
                // A digit is one bit here; three digits a pass keep the sums in bytes for six steps.
                let region = |(low, bits)| Region {
                    low,
                    bits,
                    unit_bytes: 2 * usize::from(bits),
                    chunk: steps(255, WIDE_GROUP, bits),
                };
                layout(WIDE_GROUP, 1, 0, split(a, 3).map(region).collect())
            }
            (Family::Table, _) => {
                // A digit is two bits. Where two units share a byte of weights, chunks are even.
                let region = |(low, bits)| {
                    let chunk = steps(255, NIBBLE_GROUP, bits);
                    Region {
                        low,
                        bits,
                        unit_bytes: 2 * usize::from(bits.div_ceil(2)),
                        chunk: if spread { chunk } else { chunk & !1 },
                    }
                };
                layout(NIBBLE_GROUP, 2, 0, split(a, 4).map(region).collect())
            }
            (Family::Int8, isa) => {
                let pack = if w <= 2 {
                    4
                } else if w <= 4 {
                    2
                } else {
                    1
                };
                let center = if w == 8 { 128 } else { 0 };
                let max = if w == 8 { 128 } else { usize::from(weight_bits.max_code()) };
                // Without a dot-product instruction, pairs of products of bytes are summed in 16 bits; where these cannot
                // hold even one pair, activations are stored in 16 bits and multiplied as such.
                let chunk = if matches!(isa, Isa::Avx2) {
                    32_767 / (2 * max * usize::from(activation_bits.max_code()))
                } else {
                    usize::MAX
                };
                let region =
                    Region { low: 0, bits: a, unit_bytes: if chunk == 0 { 8 } else { 4 }, chunk: chunk.max(1) };
                layout(4, pack, center, vec![region])
            }
        }
    }

    /// Channels that a pixel is padded to a multiple of.
    pub(crate) fn granularity(&self) -> usize {
        self.unit * self.pack
    }

    /// Units that share a byte of the weights as they are stored.
    pub(crate) fn shared(&self) -> usize {
        if self.spread { 1 } else { self.pack }
    }

    /// Whether weights are stored in 16 bits.
    pub(crate) fn short_weights(&self) -> bool {
        self.spread && self.route.family == Family::Int8 && self.regions.iter().any(|region| region.unit_bytes == 8)
    }

    /// Units of a pixel with `channels` channels.
    pub(crate) fn units(&self, channels: usize) -> usize {
        channels.div_ceil(self.granularity()) * self.pack
    }

    /// Whether activations packed for `other` are what this layout reads: they do not depend on the weights except
    /// through the regions.
    pub(crate) fn reads(&self, other: &Layout) -> bool {
        self.route.family == other.route.family
            && self.unit == other.unit
            && self.pack == other.pack
            && self.activation_bits == other.activation_bits
            && self.regions.iter().map(Region::stored).eq(other.regions.iter().map(Region::stored))
    }

    pub(crate) fn describe(&self, channels: usize, groups: usize) -> String {
        format!("{}-bit codes for {}, {groups} x {channels} channels", self.activation_bits, self.route)
    }
}

/// Units of `group` products, each at most `2^bits - 1`, whose sum stays at or below `most`.
fn steps(most: usize, group: usize, bits: u8) -> usize {
    most / (group * ((1 << bits) - 1))
}

/// `(lowest bit, bits)` of the fewest even parts of `bits` bits, none wider than `widest`.
fn split(bits: u8, widest: u8) -> impl Iterator<Item = (u8, u8)> {
    let parts = bits.div_ceil(widest);
    let width = bits.div_ceil(parts);
    (0..parts).map(move |part| (part * width, width.min(bits - part * width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_every_bit_once() {
        for isa in Isa::ALL {
            for family in Family::ALL {
                for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (w, a))) {
                    let route = Route { family, isa };
                    let layout = |pixels| Layout::new(route, Bits::new(w).unwrap(), Bits::new(a).unwrap(), pixels);
                    for layout in [layout(FEW_PIXELS), layout(FEW_PIXELS + 1)] {
                        let mut next = 0;
                        for region in &layout.regions {
                            assert_eq!(region.low, next, "{route} w{w}a{a}");
                            assert!(region.bits > 0 && region.chunk > 0, "{route} w{w}a{a}: {region:?}");
                            next += region.bits;
                        }
                        assert_eq!(next, a, "{route} w{w}a{a}");
                    }
                    // How weights are stored is nothing to activations.
                    assert!(layout(FEW_PIXELS).reads(&layout(FEW_PIXELS + 1)), "{route} w{w}a{a}");
                }
            }
        }
    }
}
