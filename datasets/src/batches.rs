//! The order in which an epoch walks through the training images, and how it changes them.

use rand_chacha::rand_core::Rng;

use crate::{Augment, random};

/// A random permutation of `0..n`, a pure function of `(n, seed, epoch)`: a run that resumes at any epoch walks as
/// if it had never stopped.
///
/// The algorithm is fixed for good: Fisher-Yates from the last place to the second, each swap partner drawn by
/// Lemire's method from the 32-bit words of ChaCha8, stream 0, under the key `"epochord" | seed | epoch | 0`
/// (little-endian).
#[must_use]
pub fn epoch_order(n: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rng = random::stream(b"epochord", seed, epoch, 0);
    let mut order: Vec<u32> = (0..n).collect();
    for place in (1..n).rev() {
        let partner = random::below(|| rng.next_u32(), place + 1);
        order.swap(place as usize, partner as usize);
    }
    order
}

/// A random change of one image, see [`Augment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Rows between the top of the framed image and the top of the crop, `0..=2 * pad`.
    pub top: u32,
    /// Columns likewise.
    pub left: u32,
    /// Mirror the crop.
    pub flip: bool,
}

/// How sample `index` is changed in an epoch, a pure function of its arguments.
///
/// The algorithm is fixed for good: top and left by Lemire's method and the flip from the lowest bit, in this order,
/// from the 32-bit words of ChaCha8, stream `index`, under the key `"cropflip" | seed | epoch | 0` (little-endian).
#[must_use]
pub fn crop_flip(augment: Augment, seed: u64, epoch: u64, index: u32) -> Shift {
    let mut rng = random::stream(b"cropflip", seed, epoch, u64::from(index));
    let places = 2 * u32::from(augment.pad) + 1;
    let top = random::below(|| rng.next_u32(), places);
    let left = random::below(|| rng.next_u32(), places);
    Shift { top, left, flip: augment.flip && rng.next_u32() & 1 == 1 }
}
