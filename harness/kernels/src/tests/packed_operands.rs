//! The packed operands of AVX-512 routes, multiplied by plain code. So their layout is tested on every processor, whether or
//! not it can run the loops.

use super::{bits, codes, naive};
use crate::activations::Activations;
use crate::arch::generic::tables::SIX_BIT_TABLES;
use crate::inner_loop::LoopForm;
use crate::layout::{BitGroup, Layout};
use crate::stored_pixels::StoredPixels;
use crate::weights::Panels;
use crate::{Conv2d, Family, Grid, Isa, Route};

/// The sum of products of one K-step of activations, as packed in `group`, and output channel `lane` of a panel's weights.
/// `plane` is that of the weights, and `k_step` counts from the panel's first.
fn product(layout: &Layout, group: BitGroup, a: &[u8], panel: &[u8], plane: &[u8], k_step: usize, lane: usize) -> i64 {
    let lanes = layout.inner.lanes();
    match layout.inner.form {
        LoopForm::Popcount => {
            let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
            let weights = &plane[8 * (k_step * lanes + lane)..][..8];
            i64::from((word(a) & word(weights)).count_ones())
        }
        LoopForm::SixBitTable => {
            let quarter = lanes / 4;
            let index = usize::from(plane[k_step * lanes + lane % quarter * 4 + lane / quarter]);
            let digit = |(digit, offset): (usize, &[u8])| {
                let offset = usize::from(u16::from_le_bytes(offset.try_into().unwrap()));
                // SAFETY: an offset is that of a table of 64 bytes, and an index has six bits.
                i64::from(unsafe { *SIX_BIT_TABLES[digit].as_ptr().add(offset + index) })
            };
            assert_eq!(a.len(), 2 * group.digits());
            a.chunks_exact(2).enumerate().map(digit).sum()
        }
        LoopForm::Int8Wide { k_steps_per_byte } => {
            let weights = &panel[4 * (k_step / k_steps_per_byte * lanes + lane)..][..4];
            let width = 8 / k_steps_per_byte;
            let field = |byte: u8| match k_steps_per_byte {
                1 => i64::from(byte as i8),
                _ => i64::from(byte >> (width * (k_step % k_steps_per_byte)) & ((1 << width) - 1)),
            };
            a.iter().zip(weights).map(|(&a, &w)| i64::from(a) * field(w)).sum()
        }
        other => panic!("AVX-512 has no loop {other:?}"),
    }
}

fn check(family: Family, w: u8, a: u8, pixels: usize, channels: usize) {
    let (w, a) = (bits(w), bits(a));
    let shape = Conv2d::matrix(pixels, 70, channels);
    let layout = Layout::new(Route { family, isa: Isa::Avx512 }, w, a, pixels);
    let (weights, inputs) = (codes(70 * channels, w, 1), codes(pixels * channels, a, 2));
    let panels = Panels::pack(&layout, &weights, 1, 70, channels, 1);
    let mut packed = Activations::zeroed(layout.clone(), StoredPixels::of(&shape).unwrap(), channels, 1).unwrap();
    packed.fill_codes(&inputs).unwrap();
    let expected = naive::conv2d(&shape, &inputs, &weights, &Grid::codes());
    for (at, expected) in expected.into_iter().enumerate() {
        let (pixel, output) = (at / 70, at % 70);
        // What the centre of the weights takes away, the correction adds.
        let mut sum = i64::from(layout.center) * i64::from(packed.sums[pixel]);
        let panel = &panels.data.bytes()[output / panels.lanes * panels.panel_bytes..][..panels.panel_bytes];
        for (group, placed) in layout.bit_groups.iter().zip(&packed.bit_groups) {
            let pixel = &packed.data.bytes()[placed.start + pixel * placed.pixel_bytes..][..placed.pixel_bytes];
            for (plane, plane_bytes) in panel.chunks_exact(panels.plane_bytes).enumerate() {
                for (k_step, a) in pixel.chunks_exact(group.k_step_bytes).enumerate() {
                    let lane = output % panels.lanes;
                    sum += product(&layout, *group, a, panel, plane_bytes, k_step, lane)
                        << (plane + usize::from(group.low));
                }
            }
            // The largest sum of bytes that is not widened.
            let table = layout.inner.form == LoopForm::SixBitTable;
            assert!(!table || group.max_k_steps * 6 * ((1 << group.bits) - 1) <= 255, "{group:?}");
        }
        assert_eq!(sum, expected, "{family} w{w}a{a}, {channels} channels, output {at}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn avx512_operands_are_what_the_loops_read() {
    for family in Family::ALL {
        for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (w, a))) {
            // Tails in K-steps, and more codes than are packed at a time.
            for (pixels, channels) in [(1, 5), (2, 67), (9, 100), (1, 800)] {
                check(family, w, a, pixels, channels);
            }
        }
    }
}
