//! Products of bytes: four channels a step, a lane an output channel. Weights of four bits and fewer share bytes and
//! are taken apart in registers.

use std::sync::atomic::{Ordering, compiler_fence};

use crate::arch::{Pass, Tile};

/// The operations of the byte loop.
pub(crate) trait Dot {
    /// A vector of 32-bit lanes of four bytes.
    type Vector: Copy;
    /// Lanes in it: output channels of a panel.
    const LANES: usize;
    /// Whether `narrow` exists: sums in 16 bits, for a while.
    const NARROW: bool;
    /// Whether weights are read once for each of their fields: the instruction that takes them apart can read them, and
    /// no register is left to keep them in.
    const REREAD: bool;
    /// Zero.
    unsafe fn zero() -> Self::Vector;
    /// A vector of weights.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// Four activations in every lane.
    unsafe fn splat(from: *const u8) -> Self::Vector;
    /// Bits `shift .. shift + 8 / pack` of every byte.
    unsafe fn field<const PACK: usize>(weights: Self::Vector, index: usize) -> Self::Vector;
    /// `sums + dot of four unsigned by four signed bytes`, in 32 bits.
    unsafe fn wide(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector;
    /// The same with pairs of products summed in 16 bits.
    unsafe fn narrow(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector;
    /// Pairs of 16-bit sums to 32 bits.
    unsafe fn join(sums: Self::Vector) -> Self::Vector;
    /// Stores the lanes, or adds them to what is there.
    unsafe fn finish(sums: Self::Vector, add: bool, out: *mut i32);
}

/// What a set without a dot product that holds any two bytes needs besides: products of 16-bit numbers.
#[cfg(target_arch = "x86_64")]
pub(crate) trait Shorts: Dot {
    /// Bytes 0 and 2 of every lane, signed, in 16 bits.
    unsafe fn even(weights: Self::Vector) -> Self::Vector;
    /// Bytes 1 and 3.
    unsafe fn odd(weights: Self::Vector) -> Self::Vector;
    /// `sums + dot of two by two 16-bit numbers`.
    unsafe fn pairs(sums: Self::Vector, activations: Self::Vector, weights: Self::Vector) -> Self::Vector;
}

/// A drain costs about as much as this many units of sums in 32 bits save.
pub(crate) const LEAST_CHUNK: usize = 4;

/// # Safety
/// As for [`crate::arch::TileFn`], for `C` columns and `R` panels, and the operations' instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<D: Dot, const R: usize, const C: usize>(tile: &Tile<'_>, out: *mut i32, stride: usize) {
    for pass in tile.passes {
        let out = Out { to: out, stride, add: false };
        // SAFETY: the caller's promise. A chunk too small to be worth draining for is summed in 32 bits at once.
        unsafe {
            let narrow = D::NARROW && pass.chunk >= LEAST_CHUNK;
            match (tile.shared, narrow) {
                (4, true) => run::<D, R, C, 4, true>(tile, pass, out),
                (2, true) => run::<D, R, C, 2, true>(tile, pass, out),
                (_, true) => run::<D, R, C, 1, true>(tile, pass, out),
                (4, false) => run::<D, R, C, 4, false>(tile, pass, out),
                (2, false) => run::<D, R, C, 2, false>(tile, pass, out),
                (_, false) => run::<D, R, C, 1, false>(tile, pass, out),
            }
        }
    }
}

/// Where a pass's products go.
#[derive(Clone, Copy)]
struct Out {
    to: *mut i32,
    stride: usize,
    /// Whether something is there already.
    add: bool,
}

/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn run<D: Dot, const R: usize, const C: usize, const PACK: usize, const NARROW: bool>(
    tile: &Tile<'_>,
    pass: &Pass<'_>,
    mut out: Out,
) {
    // Nothing is instantiated for sets without a narrow form.
    let narrow = NARROW && D::NARROW;
    let mut weights = tile.weights;
    // SAFETY: offsets stay inside the segments and the panels, by the caller's promise.
    unsafe {
        let mut sums = [[D::zero(); C]; R];
        // Whole bytes of weights, so that a chunk never ends inside one.
        let chunk = if narrow { pass.chunk / PACK * PACK } else { usize::MAX };
        let mut room = chunk;
        for &segment in pass.segments {
            let columns: [*const u8; C] =
                std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
            // One offset for all columns: their pointers stay in registers.
            let mut at = 0;
            let mut left = pass.units;
            while left > 0 {
                let count = left.min(room);
                for _ in 0..count / PACK {
                    for field in 0..PACK {
                        if D::REREAD {
                            // No instruction; what was read before it counts as out of date.
                            compiler_fence(Ordering::SeqCst);
                        }
                        let mut loaded = [D::zero(); R];
                        for r in 0..R {
                            let whole = D::load(weights.add(r * tile.panel_bytes));
                            loaded[r] = if PACK == 1 { whole } else { D::field::<PACK>(whole, field) };
                        }
                        for c in 0..C {
                            let activations = D::splat(columns[c].add(at + 4 * field));
                            for r in 0..R {
                                sums[r][c] = if narrow {
                                    D::narrow(sums[r][c], activations, loaded[r])
                                } else {
                                    D::wide(sums[r][c], activations, loaded[r])
                                };
                            }
                        }
                    }
                    weights = weights.add(4 * D::LANES);
                    at += 4 * PACK;
                }
                left -= count;
                room -= count;
                if room == 0 {
                    drain::<D, R, C>(&mut sums, narrow, out);
                    out.add = true;
                    room = chunk;
                }
            }
        }
        drain::<D, R, C>(&mut sums, narrow, out);
    }
}

/// # Safety
/// As for [`run`].
#[inline(always)]
unsafe fn drain<D: Dot, const R: usize, const C: usize>(sums: &mut [[D::Vector; C]; R], narrow: bool, out: Out) {
    for r in 0..R {
        for c in 0..C {
            // SAFETY: `out` holds `C` columns of `R` panels.
            unsafe {
                let total = if narrow { D::join(sums[r][c]) } else { sums[r][c] };
                D::finish(total, out.add, out.to.add(c * out.stride + r * D::LANES));
                sums[r][c] = D::zero();
            }
        }
    }
}

/// The tile for activations stored in 16 bits, and weights too if `SHORT`.
///
/// # Safety
/// As for [`tile`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn tile_of_shorts<D: Shorts, const R: usize, const C: usize, const SHORT: bool>(
    tile: &Tile<'_>,
    out: *mut i32,
    stride: usize,
) {
    let vector = 4 * D::LANES;
    for pass in tile.passes {
        let mut weights = tile.weights;
        // SAFETY: offsets stay inside the segments and the panels, by the caller's promise.
        unsafe {
            let mut sums = [[D::zero(); C]; R];
            for &segment in pass.segments {
                let columns: [*const u8; C] =
                    std::array::from_fn(|c| pass.base.add(tile.pixels[c] * pass.pixel_bytes + segment));
                for unit in 0..pass.units {
                    for half in 0..2 {
                        let mut loaded = [D::zero(); R];
                        for r in 0..R {
                            let panel = weights.add(r * tile.panel_bytes);
                            loaded[r] = match (SHORT, half) {
                                (true, _) => D::load(panel.add(half * vector)),
                                (false, 0) => D::even(D::load(panel)),
                                (false, _) => D::odd(D::load(panel)),
                            };
                        }
                        for c in 0..C {
                            let activations = D::splat(columns[c].add(8 * unit + 4 * half));
                            for r in 0..R {
                                sums[r][c] = D::pairs(sums[r][c], activations, loaded[r]);
                            }
                        }
                    }
                    weights = weights.add(if SHORT { 2 * vector } else { vector });
                }
            }
            drain::<D, R, C>(&mut sums, false, Out { to: out, stride, add: false });
        }
    }
}
