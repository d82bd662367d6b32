//! The packing loops, each in the form that the route's instruction set allows.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use super::neon;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::layout::BitGroup;
use crate::vectors::Vectors;

/// A function that calls its AVX2 or NEON form where `vectors` allow that, and its plain form elsewhere.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*)) => {
        $(#[$doc])*
        #[inline]
        pub(super) fn $name(vectors: Vectors, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            if vectors.avx2() {
                // SAFETY: the processor has AVX2, which is all that the function asks for.
                return unsafe { avx2::$name($($argument),*) };
            }
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            if vectors.neon() {
                // SAFETY: the processor has NEON, which is all that the function asks for.
                return unsafe { neon::$name($($argument),*) };
            }
            let _ = vectors;
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
    /// See [`portable::sums`].
    sums(codes: &[u8], channels: usize, sums: &mut [i32]));

/// The same for loops that NEON has no form of: no route of NEON stores codes in 16 bits, and it has no instruction that looks up
/// boundaries.
macro_rules! dispatch_x86 {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*)) => {
        $(#[$doc])*
        #[inline]
        pub(super) fn $name(vectors: Vectors, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            if vectors.avx2() {
                // SAFETY: the processor has AVX2, which is all that the function asks for.
                return unsafe { avx2::$name($($argument),*) };
            }
            let _ = vectors;
            portable::$name($($argument),*)
        }
    };
}

dispatch_x86!(
    /// See [`portable::shorts`].
    shorts(codes: &[u8], bytes: &mut [u8]));
dispatch_x86!(
    /// See [`portable::search`].
    search(values: &[f32], boundaries: &[f32], codes: &mut [u8]));

/// See [`portable::six_bit_offsets`].
#[inline]
pub(super) fn six_bit_offsets(vectors: Vectors, codes: &[u8], group: BitGroup, bytes: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if vectors.wide() {
        // SAFETY: the processor has the features of the AVX-512 routes, which is all that the function asks for.
        return unsafe { avx512::six_bit_offsets(codes, group, bytes) };
    }
    let _ = vectors;
    portable::six_bit_offsets(codes, group, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Layout, StoredAs};
    use crate::levels::Bits;
    use crate::route::{Family, Isa, Route};
    use proptest::prelude::*;

    /// Vectors that this processor has.
    fn widest() -> Vectors {
        Vectors::of(if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Avx2 })
    }

    proptest! {
        #[test]
        fn the_fast_search_equals_the_plain_one(
            values in prop::collection::vec(
                prop_oneof![any::<f32>(), -1.0f32..9.0, (-4i32..20).prop_map(|half| half as f32 / 2.0)], 0..100,
            ),
            a in 1u8..=8,
        ) {
            let max = Bits::new(a).unwrap().max_code();
            let (mut fast, mut slow) = (vec![9; values.len()], vec![7; values.len()]);
            let boundaries: Vec<f32> = (0..usize::from(max)).map(|i| i as f32 / 2.0 - 1.0).collect();
            search(widest(), &values, &boundaries, &mut fast);
            portable::search(&values, &boundaries, &mut slow);
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
