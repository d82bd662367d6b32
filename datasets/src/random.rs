//! Counter-based random numbers: every draw is a pure function of what it is for, never of what was drawn before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The random stream number `stream` under the 256-bit ChaCha8 key `purpose | seed | part | 0`, numbers in
/// little-endian order.
///
/// ChaCha is a pseudo-random function of key and stream, so the plain concatenation is all the mixing there is:
/// neighbouring seeds give unrelated streams.
pub(crate) fn stream(purpose: &[u8; 8], seed: u64, part: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(purpose);
    key[8..16].copy_from_slice(&seed.to_le_bytes());
    key[16..24].copy_from_slice(&part.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(stream);
    rng
}

/// A uniform number of `0..bound` from uniform 32-bit draws, by Lemire's multiply-and-reject ("Fast Random Integer
/// Generation in an Interval", 2019). Written out here because a library may change how many draws it spends, and
/// with that every later number.
///
/// `bound` must not be 0.
pub(crate) fn below(mut draw: impl FnMut() -> u32, bound: u32) -> u32 {
    // 2^32 draws do not divide evenly by the bound: this many in all are drawn again.
    let surplus = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(draw()) * u64::from(bound);
        if product as u32 >= surplus {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

    use super::*;

    #[test]
    fn below_shares_the_range_of_draws_evenly() {
        // Equidistant draws stand for all 2^32: every result must come up equally often to within one.
        for bound in [1, 2, 3, 10, 255] {
            let mut counts = vec![0u32; bound as usize];
            for high in 0..1 << 16 {
                counts[below(|| high << 16 | 0x8000, bound) as usize] += 1;
            }
            let (min, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - min <= 1, "bound {bound}: between {min} and {most} times");
        }
    }

    #[test]
    fn below_draws_again_exactly_when_a_draw_is_surplus() {
        // (bound, draws, result, draws left): 2^32 mod 3 = 1, so 0 is surplus; powers of two waste nothing.
        let rows: [(u32, &[u32], u32, usize); 4] = [
            (3, &[0, u32::MAX, 7], 2, 1),
            (3, &[1, 7], 0, 1),
            (4, &[0, 7], 0, 1),
            (u32::MAX, &[0, 0, u32::MAX], u32::MAX - 1, 0),
        ];
        for (bound, draws, result, left) in rows {
            let mut rest = draws.iter();
            assert_eq!(below(|| *rest.next().unwrap(), bound), result, "bound {bound}, draws {draws:?}");
            assert_eq!(rest.len(), left, "bound {bound}, draws {draws:?}");
        }
    }

    #[test]
    fn streams_depend_on_every_part_of_their_name() {
        let first = |purpose, seed, part, number| stream(purpose, seed, part, number).next_u64();
        let base = first(b"purpose1", 1, 2, 3);
        assert_eq!(base, first(b"purpose1", 1, 2, 3));
        for other in [
            first(b"purpose2", 1, 2, 3),
            first(b"purpose1", 2, 2, 3),
            first(b"purpose1", 1, 1, 3),
            first(b"purpose1", 1, 2, 4),
            first(b"purpose1", 2, 1, 3),
        ] {
            assert_ne!(base, other);
        }
    }
}
