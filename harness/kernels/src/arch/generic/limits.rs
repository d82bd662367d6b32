//! The innermost instructions of each loop alone, on operands in registers and the first-level cache: no packing, no
//! widening and no epilogue. A product cannot be faster than this.

use super::int8::Dot;
#[cfg(target_arch = "x86_64")]
use super::int8_shorts::Shorts;
use super::popcount::Words;
use super::table::Shuffle;
use super::table_pairs::Pairs;

/// Bytes that the loops read again and again: a quarter of a small first-level cache.
pub(crate) const BYTES: usize = 8192;
/// Bytes that may be read after an offset below [`BYTES`].
pub(crate) const SLACK: usize = 4 * 64;

/// Multiply-accumulates of pairs of planes in `steps` steps.
///
/// # Safety
/// `from` has [`BYTES`] and [`SLACK`] readable bytes; the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn popcount<W: Words>(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[W::zero(); 4]; 2];
        for step in 0..steps {
            let at = from.add(step * 64 % BYTES);
            let weights = [W::load(at), W::load(at.add(64))];
            for c in 0..4 {
                let activations = W::splat(at.add(8 * c));
                for r in 0..2 {
                    sums[r][c] = W::count(sums[r][c], activations, weights[r]);
                }
            }
        }
        std::hint::black_box(sums);
    }
    8 * 64 * W::LANES as u64 * steps as u64
}

/// Multiply-accumulates of one-bit weights by activations of one bit group in `steps` steps.
///
/// # Safety
/// As for [`popcount`].
#[inline(always)]
pub(crate) unsafe fn table<S: Shuffle>(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise; the first table is that of zero activations, whose sums never overflow.
    unsafe {
        let mut sums = [[S::zero(); 4]; 2];
        let mut tables = [S::zero(); 4];
        for table in &mut tables {
            *table = S::table::<1>(0, std::hint::black_box(0));
        }
        for step in 0..steps {
            let at = from.add(step * 64 % BYTES);
            let weights = [S::load(at), S::load(at.add(64))];
            for (c, &table) in tables.iter().enumerate() {
                for r in 0..2 {
                    sums[r][c] = S::add(sums[r][c], S::lookup(table, weights[r]));
                }
            }
        }
        std::hint::black_box(sums);
    }
    8 * (S::K_STEP * S::BYTES) as u64 * steps as u64
}

/// Multiply-accumulates of one-bit weights by one-bit activations in `steps` steps, two columns at a time.
///
/// # Safety
/// As for [`popcount`].
#[inline(always)]
pub(crate) unsafe fn pairs<S: Pairs>(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise; the table is that of zero activations, as above.
    unsafe {
        let mut both = [S::zero(); 3];
        let mut second = [S::zero(); 3];
        let table = S::pair_table(std::hint::black_box(0));
        for step in 0..steps {
            let at = from.add(step * 64 % BYTES);
            for r in 0..3 {
                let mut sum = S::lookup(table, S::load(at.add(64 * r)));
                sum = S::add(sum, S::lookup(table, S::load(at.add(64 * r + 16))));
                sum = S::add(sum, S::lookup(table, S::load(at.add(64 * r + 32))));
                both[r] = S::wrap(both[r], sum);
                second[r] = S::add(second[r], S::high(sum));
            }
        }
        std::hint::black_box((both, second));
    }
    3 * 3 * 2 * 4 * S::BYTES as u64 * steps as u64
}

/// Multiply-accumulates of bytes in `steps` steps, summed in 32 bits if `WIDE`, else in 16.
///
/// # Safety
/// As for [`popcount`].
#[inline(always)]
pub(crate) unsafe fn int8<D: Dot, const WIDE: bool>(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[D::zero(); 6]; 2];
        for step in 0..steps {
            let at = from.add(step * 64 % BYTES);
            let weights = [D::load(at), D::load(at.add(64))];
            for c in 0..6 {
                let activations = D::splat(at.add(4 * c));
                for r in 0..2 {
                    sums[r][c] = if WIDE {
                        D::wide(sums[r][c], activations, weights[r])
                    } else {
                        D::narrow(sums[r][c], activations, weights[r])
                    };
                }
            }
        }
        std::hint::black_box(sums);
    }
    12 * 4 * D::LANES as u64 * steps as u64
}

/// Multiply-accumulates of bytes by 16-bit numbers in `steps` steps.
///
/// # Safety
/// As for [`popcount`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn shorts<D: Shorts>(from: *const u8, steps: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[D::zero(); 6]; 2];
        for step in 0..steps {
            let at = from.add(step * 64 % BYTES);
            let weights = [D::load(at), D::load(at.add(64))];
            for c in 0..6 {
                let activations = D::splat(at.add(4 * c));
                for r in 0..2 {
                    sums[r][c] = D::pairs(sums[r][c], activations, weights[r]);
                }
            }
        }
        std::hint::black_box(sums);
    }
    12 * 2 * D::LANES as u64 * steps as u64
}
