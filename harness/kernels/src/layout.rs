//! How the operands of a product lie in memory: which bits of an activation are stored together, and how the channels of a
//! pixel are divided into K-steps.

use crate::inner_loop::{InnerLoop, LoopForm, int8_center, int8_k_steps_per_byte};
use crate::levels::Bits;
use crate::route::Route;
use crate::vectors::Vectors;

/// Position of each of four codes among the 16-bit numbers of their K-step: first codes 0 and 2, then 1 and 3, since these
/// are the pairs that come out when bytes of weights are widened.
pub(crate) const SHORT_ORDER: [usize; 4] = [0, 2, 1, 3];

/// Some bits of every activation code that are stored together and multiplied in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BitGroup {
    /// The lowest bit of the code that is in the group: its products count `2^low` times.
    pub(crate) low: u8,
    /// Number of bits.
    pub(crate) bits: u8,
    pub(crate) stored_as: StoredAs,
    /// Bytes of one K-step.
    pub(crate) k_step_bytes: usize,
    /// K-steps that can be summed before the loop's narrow accumulators could overflow. An even number where two K-steps
    /// share a byte of the weights.
    pub(crate) max_k_steps: usize,
}

/// The form in which a bit group of one K-step is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredAs {
    /// One bit of each of 64 channels, as a 64-bit word.
    Plane,
    /// Per digit a 16-bit byte offset into the tables of four channels. A digit is two bits of each channel.
    NibbleOffsets {
        /// Digits of a code, 1 or 2.
        digits: usize,
    },
    /// Per digit a 16-bit byte offset into the tables of six channels. A digit is one bit of each channel.
    SixBitOffsets {
        /// Digits of a code, 1 to 3.
        digits: usize,
    },
    /// Four bytes, one per channel.
    Bytes,
    /// Four 16-bit numbers in the order of [`SHORT_ORDER`].
    Shorts,
}

impl BitGroup {
    fn new(low: u8, bits: u8, stored_as: StoredAs, max_k_steps: usize) -> BitGroup {
        let k_step_bytes = match stored_as {
            StoredAs::Plane | StoredAs::Shorts => 8,
            StoredAs::NibbleOffsets { digits } | StoredAs::SixBitOffsets { digits } => 2 * digits,
            StoredAs::Bytes => 4,
        };
        BitGroup { low, bits, stored_as, k_step_bytes, max_k_steps }
    }

    /// Table offsets per K-step; 1 where codes are no offsets.
    pub(crate) fn digits(&self) -> usize {
        match self.stored_as {
            StoredAs::NibbleOffsets { digits } | StoredAs::SixBitOffsets { digits } => digits,
            StoredAs::Plane | StoredAs::Bytes | StoredAs::Shorts => 1,
        }
    }

    /// Whether a code in both groups is stored as the same bytes.
    fn same_bytes(&self, other: &BitGroup) -> bool {
        (self.low, self.bits, self.stored_as) == (other.low, other.bits, other.stored_as)
    }
}

/// The layout of both operands of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) route: Route,
    /// The loop that runs; see there for what depends on it.
    pub(crate) inner: InnerLoop,
    /// What packing and epilogue may use.
    pub(crate) vectors: Vectors,
    pub(crate) weight_bits: Bits,
    pub(crate) activation_bits: Bits,
    /// Channels of one K-step.
    pub(crate) k_step: usize,
    /// The number of K-steps in a pixel is a multiple of this: those for which a byte of the weights has room, whether or
    /// not they share it. So activations do not depend on how weights are stored.
    k_step_multiple: usize,
    /// Subtracted from every weight code before it is stored; added back from the sums of activations.
    pub(crate) center: i32,
    /// The groups of bits that activations are stored in, lowest first: one pass of the loop for each.
    pub(crate) bit_groups: Vec<BitGroup>,
}

impl Layout {
    /// The layout for a product of `pixels` output pixels.
    pub(crate) fn new(route: Route, weight_bits: Bits, activation_bits: Bits, pixels: usize) -> Layout {
        let inner = InnerLoop::choose(route, weight_bits, activation_bits, pixels);
        let k_step = inner.k_step();
        let k_step_multiple = match inner.form {
            LoopForm::Popcount | LoopForm::SixBitTable => 1,
            LoopForm::NibbleTable | LoopForm::NibbleTablePairs => 2,
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => {
                int8_k_steps_per_byte(weight_bits)
            }
        };
        let center = match inner.form {
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => {
                int8_center(weight_bits)
            }
            LoopForm::Popcount | LoopForm::NibbleTable | LoopForm::NibbleTablePairs | LoopForm::SixBitTable => 0,
        };
        Layout {
            route,
            inner,
            vectors: Vectors::of(route.isa),
            weight_bits,
            activation_bits,
            k_step,
            k_step_multiple,
            center,
            bit_groups: bit_groups(inner.form, activation_bits.get()),
        }
    }

    /// Channels that a pixel is padded to a multiple of.
    pub(crate) fn granularity(&self) -> usize {
        self.k_step * self.k_step_multiple
    }

    /// K-steps of a pixel with `channels` channels.
    pub(crate) fn k_steps(&self, channels: usize) -> usize {
        channels.div_ceil(self.granularity()) * self.k_step_multiple
    }

    /// Whether activations packed for `other` are what this layout reads.
    pub(crate) fn reads(&self, other: &Layout) -> bool {
        self.k_step == other.k_step
            && self.k_step_multiple == other.k_step_multiple
            && self.activation_bits == other.activation_bits
            && self.bit_groups.len() == other.bit_groups.len()
            && self.bit_groups.iter().zip(&other.bit_groups).all(|(own, other)| own.same_bytes(other))
    }

    pub(crate) fn describe(&self, channels: usize, groups: usize) -> String {
        format!("{}-bit codes for {}, {groups} x {channels} channels", self.activation_bits, self.route)
    }
}

/// The groups in which a loop reads activations of `bits` bits.
fn bit_groups(form: LoopForm, bits: u8) -> Vec<BitGroup> {
    match form {
        LoopForm::Popcount => (0..bits).map(|low| BitGroup::new(low, 1, StoredAs::Plane, usize::MAX)).collect(),
        // Three one-bit digits per pass keep the byte sums of six K-steps and more from overflowing.
        LoopForm::SixBitTable => {
            let group = |(low, bits)| {
                let stored_as = StoredAs::SixBitOffsets { digits: usize::from(bits) };
                BitGroup::new(low, bits, stored_as, max_byte_k_steps(6, bits))
            };
            split(bits, 3).map(group).collect()
        }
        LoopForm::NibbleTable | LoopForm::NibbleTablePairs => {
            let group = |(low, bits): (u8, u8)| {
                let stored_as = StoredAs::NibbleOffsets { digits: usize::from(bits.div_ceil(2)) };
                let max_k_steps = max_byte_k_steps(4, bits);
                let even = form == LoopForm::NibbleTable;
                BitGroup::new(low, bits, stored_as, if even { max_k_steps & !1 } else { max_k_steps })
            };
            split(bits, 4).map(group).collect()
        }
        LoopForm::Int8Wide { .. } => vec![BitGroup::new(0, bits, StoredAs::Bytes, usize::MAX)],
        LoopForm::Int8Narrow { max_k_steps, .. } => vec![BitGroup::new(0, bits, StoredAs::Bytes, max_k_steps)],
        LoopForm::Int8Shorts { .. } => vec![BitGroup::new(0, bits, StoredAs::Shorts, usize::MAX)],
    }
}

/// K-steps of `channels` products, each at most `2^bits - 1`, whose sum fits a byte.
fn max_byte_k_steps(channels: usize, bits: u8) -> usize {
    255 / (channels * ((1 << bits) - 1))
}

/// `(lowest bit, bits)` of the smallest number of nearly equal parts of `bits` bits, none wider than `widest`.
fn split(bits: u8, widest: u8) -> impl Iterator<Item = (u8, u8)> {
    let parts = bits.div_ceil(widest);
    let width = bits.div_ceil(parts);
    (0..parts).map(move |part| (part * width, width.min(bits - part * width)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{FEW_PIXELS, Family, Isa};

    #[test]
    fn bit_groups_cover_every_bit_once() {
        for isa in Isa::ALL {
            for family in Family::ALL {
                for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (w, a))) {
                    let route = Route { family, isa };
                    let layout = |pixels| Layout::new(route, Bits::new(w).unwrap(), Bits::new(a).unwrap(), pixels);
                    for layout in [layout(FEW_PIXELS), layout(FEW_PIXELS + 1)] {
                        let mut next = 0;
                        for group in &layout.bit_groups {
                            assert_eq!(group.low, next, "{route} w{w}a{a}");
                            assert!(group.bits > 0 && group.max_k_steps > 0, "{route} w{w}a{a}: {group:?}");
                            next += group.bits;
                        }
                        assert_eq!(next, a, "{route} w{w}a{a}");
                        let shared = layout.inner.k_steps_per_byte();
                        assert!(layout.k_step_multiple.is_multiple_of(shared), "{route} w{w}a{a}: {layout:?}");
                    }
                    // Activations do not depend on how weights are stored.
                    assert!(layout(FEW_PIXELS).reads(&layout(FEW_PIXELS + 1)), "{route} w{w}a{a}");
                }
            }
        }
    }

    #[test]
    fn families_do_not_read_each_others_activations() {
        let bits = |k| Bits::new(k).unwrap();
        let layout = |family| Layout::new(Route { family, isa: Isa::Avx2 }, bits(2), bits(2), 1);
        for (own, other) in Family::ALL.into_iter().flat_map(|own| Family::ALL.map(|other| (own, other))) {
            assert_eq!(layout(own).reads(&layout(other)), own == other, "{own} {other}");
        }
    }
}
