//! The order in which an epoch walks through the training images.

use rand_chacha::rand_core::Rng;

use crate::random;

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
