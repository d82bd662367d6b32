//! The loops. What they compute is written once, in [`generic`], over a few private vector operations; each
//! instruction set supplies those operations and one instantiation.

pub(crate) mod generic;
mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;

use crate::route::{Family, Isa, Route};

/// Output columns (pixels or rows of activations) that one tile has at most on any route.
pub(crate) const MAX_COLUMNS: usize = 6;

/// The most columns that a tile has on this route: its accumulators and operands stay in registers.
pub(crate) fn most_columns(route: Route) -> usize {
    match (route.isa, route.family) {
        // Sixteen registers hold two panels by six columns of accumulators, two vectors of weights, one of activations
        // and a product.
        (Isa::Avx2, Family::Int8) => 6,
        // A table has an intermediate result more.
        (Isa::Avx2, _) => 4,
        // Thirty-two hold four panels by five columns: the compiler fetches the tables of all columns first.
        (Isa::Avx512, Family::Table) => 5,
        _ => MAX_COLUMNS,
    }
}

/// One pass over one region of the activations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    /// The region's first byte for the tile's group of channels.
    pub(crate) base: *const u8,
    pub(crate) pixel_bytes: usize,
    /// Byte offsets of the runs of units that make one window, from its first pixel.
    pub(crate) segments: &'a [usize],
    /// Units of one run.
    pub(crate) units: usize,
    pub(crate) unit_bytes: usize,
    /// Units that a narrow accumulator can take.
    pub(crate) chunk: usize,
    /// Weight of the region in the code: its lowest bit.
    pub(crate) shift: u32,
    /// Bits of the code that are in the region.
    pub(crate) bits: u8,
}

/// A tile: some columns by some panels of output channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
    pub(crate) passes: &'a [Pass<'a>],
    /// First pixel of every column's window.
    pub(crate) pixels: &'a [usize],
    /// The first panel.
    pub(crate) weights: *const u8,
    pub(crate) panel_bytes: usize,
    pub(crate) plane_bytes: usize,
    pub(crate) planes: usize,
    /// Units that share a byte of the weights.
    pub(crate) shared: usize,
    /// Whether weights take 16 bits, which they do on AVX2 alone.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) short: bool,
}

/// Stores the sums of the tile's products in `out`: column `c`, channel `n` of the tile at `c * stride + n`.
///
/// # Safety
/// The processor has the instruction set. The passes' segments, from the pixels of the columns that the function was
/// chosen for, lie in the packed activations; the panels that it was chosen for, in the packed weights; `out` is valid
/// for those columns and channels.
pub(crate) type TileFn = unsafe fn(tile: &Tile<'_>, out: *mut i32, stride: usize);

/// The most panels that a tile of `columns` columns takes on this route.
pub(crate) fn most_panels(route: Route, columns: usize) -> usize {
    use Family::{Int8, Popcount, Table};
    match (route.isa, route.family) {
        (Isa::Portable, _) => 1,
        // Thirty-two registers: four panels by six columns leave eight.
        (Isa::Avx512 | Isa::Neon, _) => 4,
        // Sixteen registers.
        (Isa::Avx2, Table | Int8) => {
            if columns <= 2 {
                4
            } else {
                2
            }
        }
        (Isa::Avx2, Popcount) => 2,
    }
}

/// The loop for `columns` columns (at most [`MAX_COLUMNS`]) by `panels` panels (1, 2 or 4, see [`most_panels`]).
pub(crate) fn tile(route: Route, columns: usize, panels: usize) -> TileFn {
    match route.isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::tile(route.family, columns, panels),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::tile(route.family, columns, panels),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Isa::Neon => neon::tile(route.family, columns, panels),
        // Other sets never get here: a product of an unavailable route cannot be made.
        _ => portable::tile(route.family, columns, panels),
    }
}

/// Asks for memory that will be written, so that the stores do not wait for it.
#[inline(always)]
pub(crate) fn prefetch(start: *const u8, bytes: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in (0..bytes).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a prefetch may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(start.wrapping_add(line).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (start, bytes);
}

/// What a limit loop measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Popcount,
    Table,
    /// Two columns at a time where the instruction set has a use for that, else the same as `Table`.
    Pairs,
    Int8,
    /// Sums in 16 bits where the instruction set has a use for them, else the same as `Int8`.
    Int8Narrow,
    /// 16-bit activations where the instruction set has a use for them, else the same as `Int8`.
    Shorts,
}

/// Multiply-accumulates made in `steps` steps.
///
/// # Safety
/// The processor has the instruction set, and `from` has `limits::BYTES + limits::SLACK` readable bytes.
pub(crate) type LimitFn = unsafe fn(from: *const u8, steps: usize) -> u64;

/// The limit loop of an instruction set.
pub(crate) fn limit(isa: Isa, limit: Limit) -> LimitFn {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::limit(limit),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::limit(limit),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Isa::Neon => neon::limit(limit),
        _ => portable::limit(limit),
    }
}

/// The tile function of every shape, for one instruction set's three loops.
macro_rules! shapes {
    ($function:ident, $columns:expr, $panels:expr, [$($rows:literal),*]) => {
        shapes!(@columns $function, $columns, $panels, [$($rows),*], 1, 2, 3, 4, 5, 6)
    };
    (@columns $function:ident, $columns:expr, $panels:expr, $rows:tt, $($c:literal),*) => {
        match $columns {
            $($c => shapes!(@rows $function, $panels, $c, $rows),)*
            _ => unreachable!("a tile has 1 to 6 columns"),
        }
    };
    (@rows $function:ident, $panels:expr, $c:literal, [$($r:literal),*]) => {
        match $panels {
            $($r => $function::<$r, $c> as $crate::arch::TileFn,)*
            _ => unreachable!("a tile has 1, 2 or 4 panels"),
        }
    };
}
pub(crate) use shapes;
