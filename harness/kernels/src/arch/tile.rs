//! What a tile function is given, and how one is found among the instantiations of a loop.

/// One pass of a loop: over one bit group of the activations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    /// The group's first byte, for the channels that the tile sees.
    pub(crate) base: *const u8,
    pub(crate) pixel_bytes: usize,
    /// The segments of a window: byte offsets of its contiguous runs from its first pixel.
    pub(crate) segments: &'a [usize],
    /// K-steps of one segment.
    pub(crate) k_steps: usize,
    /// Table offsets per K-step (table loops alone).
    pub(crate) digits: usize,
    /// K-steps that a narrow accumulator can take.
    pub(crate) max_k_steps: usize,
    /// The lowest bit of the group: products count `2^shift` times.
    pub(crate) shift: u32,
}

/// A tile: some columns by some panels of output channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
    pub(crate) passes: &'a [Pass<'a>],
    /// The first stored pixel of every column's window.
    pub(crate) pixels: &'a [usize],
    /// The first byte of the first panel.
    pub(crate) weights: *const u8,
    pub(crate) panel_bytes: usize,
    pub(crate) plane_bytes: usize,
    /// Bit-planes of the weights; 1 where codes are stored whole.
    pub(crate) planes: usize,
}

/// Stores the sums of the tile's products in `out`: column `c`, channel `n` of the tile at `c * stride + n`.
///
/// # Safety
/// The processor has the instruction set. The passes' segments, from the pixels of the columns that the function was
/// chosen for, lie in the packed activations; the panels that it was chosen for, in the packed weights. Both were packed
/// for the loop that the function was chosen for. `out` is valid for those columns and channels.
pub(crate) type TileFn = unsafe fn(tile: &Tile<'_>, out: *mut i32, stride: usize);

/// Runs the innermost instructions of a loop for `steps` steps and returns the number of multiply-accumulates: of pairs of
/// bits or codes, whichever the loop multiplies.
///
/// # Safety
/// The processor has the instruction set, and `from` has `limits::BYTES + limits::SLACK` readable bytes.
pub(crate) type LimitFn = unsafe fn(from: *const u8, steps: usize) -> u64;

/// The instantiation of `$function` for a number of columns and of panels: `shapes!(function, columns, panels, [1, 2, 4])`,
/// where the list holds the numbers of panels to instantiate, or `shapes!(function<2, true>, ...)` for a function with
/// constants before the tile's: `function<2, true, PANELS, COLUMNS>`.
macro_rules! shapes {
    ($function:ident $(<$($constant:literal),*>)?, $columns:expr, $panels:expr, $list:tt) => {
        shapes!(@columns $function [$($($constant,)*)?], $columns, $panels, $list, 1, 2, 3, 4, 5, 6)
    };
    (@columns $function:ident $constants:tt, $columns:expr, $panels:expr, $list:tt, $($c:literal),*) => {
        match $columns {
            $($c => shapes!(@panels $function $constants, $panels, $c, $list),)*
            _ => unreachable!("a tile has 1 to 6 columns"),
        }
    };
    (@panels $function:ident $constants:tt, $panels:expr, $c:literal, [$($r:literal),*]) => {
        match $panels {
            $($r => shapes!(@one $function $constants, $r, $c),)*
            _ => unreachable!("a tile has 1, 2 or 4 panels"),
        }
    };
    (@one $function:ident [$($constant:literal,)*], $r:literal, $c:literal) => {
        $function::<$($constant,)* $r, $c> as $crate::arch::tile::TileFn
    };
}
pub(crate) use shapes;
