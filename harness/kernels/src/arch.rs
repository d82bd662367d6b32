//! The functions that run on the processor's vectors, by instruction set.
//!
//! What a loop computes is written once, in [`generic`], over a few private vector operations. A file for each instruction
//! set supplies these operations and instantiates the loops on them. The two functions here choose the instantiation of an
//! [`InnerLoop`]: the one that computes tiles, and the one that measures the loop's limit.

pub(crate) mod generic;
mod portable;
pub(crate) mod tile;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;

use crate::inner_loop::InnerLoop;
use crate::route::Isa;
use tile::{LimitFn, TileFn};

/// The function that computes tiles of `columns` columns by `panels` panels (1, 2 or 4) with this loop. Both numbers are
/// at most those that the loop names.
pub(crate) fn tile(inner: InnerLoop, columns: usize, panels: usize) -> TileFn {
    match inner.isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::tile(inner.form, columns, panels),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::tile(inner.form, columns, panels),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Isa::Neon => neon::tile(inner.form, columns, panels),
        // Sets that this processor cannot have never get here: a product of an unavailable route cannot be made.
        _ => portable::tile(inner.form, columns, panels),
    }
}

/// The function that runs the innermost instructions of this loop alone.
pub(crate) fn limit(inner: InnerLoop) -> LimitFn {
    match inner.isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::limit(inner.form),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::limit(inner.form),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Isa::Neon => neon::limit(inner.form),
        _ => portable::limit(inner.form),
    }
}

/// Asks for memory that will be written, so that the stores do not wait for it. Only a hint, and only on x86.
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
