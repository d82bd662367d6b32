//! The packing loops, each in the form that the route's instruction set allows.

use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::layout::BitGroup;
use crate::vectors::Vectors;

/// A function that calls its AVX2 form where `vectors` allow that, and its plain form elsewhere.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident$(<const $n:ident: usize>)?($($argument:ident: $type:ty),*)) => {
        $(#[$doc])*
        #[inline]
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
        pub(super) fn $name$(<const $n: usize>)?(vectors: Vectors, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            if vectors.avx2() {
                // SAFETY: the processor has AVX2, which is all that the function asks for.
                return unsafe { avx2::$name($($argument),*) };
            }
            portable::$name($($argument),*)
        }
    };
}

dispatch!(
    /// See [`portable::words`].
    words(codes: &[u8], bit: u8, bytes: &mut [u8]));
dispatch!(
    /// See [`portable::nibble_offsets`].
    nibble_offsets(codes: &[u8], group: BitGroup, bytes: &mut [u8]));
dispatch!(
    /// See [`portable::bytes`].
    bytes(codes: &[u8], group: BitGroup, bytes: &mut [u8]));
dispatch!(
    /// See [`portable::shorts`].
    shorts(codes: &[u8], bytes: &mut [u8]));
dispatch!(
    /// See [`portable::sums`].
    sums(codes: &[u8], channels: usize, sums: &mut [i32]));
dispatch!(
    /// See [`portable::uniform`].
    uniform(values: &[f32], inverse: f32, max: f32, codes: &mut [u8]));
dispatch!(
    /// See [`portable::uniform_to_zero`].
    uniform_to_zero(values: &[f32], inverse: f32, max: f32, codes: &mut [u8]));
dispatch!(
    /// See [`portable::search`].
    search(values: &[f32], boundaries: &[f32], codes: &mut [u8]));
dispatch!(
    /// See [`portable::thresholds`].
    thresholds<const N: usize>(values: &[f32], boundaries: &[f32; N], codes: &mut [u8]));

/// See [`portable::six_bit_offsets`].
#[inline]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(super) fn six_bit_offsets(vectors: Vectors, codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    // Miri does not know all of these instructions.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if vectors.avx512() {
        // SAFETY: the processor has the features of the AVX-512 routes, which is all that the function asks for.
        return unsafe { avx512::six_bit_offsets(codes, group, bytes) };
    }
    portable::six_bit_offsets(codes, group, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Layout, StoredAs};
    use crate::levels::Bits;
    use crate::route::{Family, Isa, Route};
    use proptest::prelude::*;

    /// The widest vectors that this processor has.
    fn widest() -> Vectors {
        Vectors::of(Isa::Avx2)
    }

    proptest! {
        #[test]
        fn fast_quantizers_equal_plain_ones(
            values in prop::collection::vec(
                prop_oneof![any::<f32>(), -1.0f32..9.0, (-4i32..20).prop_map(|half| half as f32 / 2.0)], 0..100,
            ),
            a in 1u8..=8, inverse in prop_oneof![Just(1.0f32), 0.01f32..300.0],
        ) {
            let max = f32::from(Bits::new(a).unwrap().max_code());
            let (mut fast, mut slow) = (vec![9; values.len()], vec![7; values.len()]);
            uniform(widest(), &values, inverse, max, &mut fast);
            portable::uniform(&values, inverse, max, &mut slow);
            prop_assert_eq!(&fast, &slow);
            uniform_to_zero(widest(), &values, inverse, max, &mut fast);
            portable::uniform_to_zero(&values, inverse, max, &mut slow);
            prop_assert_eq!(&fast, &slow);
            let boundaries: Vec<f32> = (0..max as usize).map(|i| i as f32 / 2.0 - 1.0).collect();
            search(widest(), &values, &boundaries, &mut fast);
            portable::search(&values, &boundaries, &mut slow);
            prop_assert_eq!(&fast, &slow);
            thresholds(widest(), &values, &[0.5, 1.5, 3.0], &mut fast);
            portable::thresholds(&values, &[0.5, 1.5, 3.0], &mut slow);
            prop_assert_eq!(&fast, &slow);
        }

        #[test]
        fn fast_equals_plain(codes in prop::collection::vec(any::<u8>(), 0..800), a in 1u8..=8, w in 1u8..=8) {
            let bits = Bits::new(a).unwrap();
            let codes: Vec<u8> = codes.into_iter().map(|code| code & bits.max_code()).collect();
            let groups = |family| {
                Layout::new(Route { family, isa: Isa::Avx2 }, Bits::new(w).unwrap(), bits, 1).bit_groups
            };
            let room = || vec![0u8; codes.len() * 4 + 64];
            let (mut fast, mut slow) = (room(), room());
            for bit in 0..a {
                words(widest(), &codes, bit, &mut fast);
                portable::words(&codes, bit, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
            for group in groups(Family::Table) {
                nibble_offsets(widest(), &codes, group, &mut fast);
                portable::nibble_offsets(&codes, group, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
            let six_bit = Route { family: Family::Table, isa: Isa::Avx512 };
            for group in Layout::new(six_bit, Bits::new(w).unwrap(), bits, 1).bit_groups {
                six_bit_offsets(Vectors::of(Isa::Avx512), &codes, group, &mut fast);
                portable::six_bit_offsets(&codes, group, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
            let channels = codes.len().div_ceil(usize::from(a)).max(1);
            let (mut quick, mut plain) = ([-1; 8], [-1; 8]);
            sums(widest(), &codes, channels, &mut quick);
            portable::sums(&codes, channels, &mut plain);
            prop_assert_eq!(quick, plain);
            shorts(widest(), &codes, &mut fast);
            portable::shorts(&codes, &mut slow);
            prop_assert_eq!(&fast, &slow);
            for group in groups(Family::Int8).into_iter().filter(|group| group.stored_as == StoredAs::Bytes) {
                bytes(widest(), &codes, group, &mut fast);
                portable::bytes(&codes, group, &mut slow);
                prop_assert_eq!(&fast, &slow);
            }
        }
    }
}
