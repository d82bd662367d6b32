//! The vector instructions that loops outside the tiles (packing and epilogue) may use.

use crate::route::Isa;

/// Whether packing and epilogue may use AVX2, AVX-512 and NEON. There is no other way to make one than to ask for those of an instruction
/// set, so a positive answer is proof that the processor has the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vectors {
    avx2: bool,
    avx512: bool,
    neon: bool,
}

impl Vectors {
    /// Those of routes on `isa`, as far as this processor has them: AVX2 on both x86 sets, AVX-512 on the second, NEON on Arm,
    /// none on the portable one.
    pub(crate) fn of(isa: Isa) -> Vectors {
        Vectors {
            avx2: matches!(isa, Isa::Avx2 | Isa::Avx512) && Isa::Avx2.is_available(),
            avx512: isa == Isa::Avx512 && Isa::Avx512.is_available(),
            neon: isa == Isa::Neon && Isa::Neon.is_available(),
        }
    }

    /// Whether NEON may be used; if so, the processor has it. Loops ask once per call.
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    #[inline(always)]
    pub(crate) fn neon(self) -> bool {
        self.neon
    }

    /// Whether AVX2 may be used; if so, the processor has it. Loops ask once per call.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn avx2(self) -> bool {
        #[cfg(test)]
        probe::count(self.avx2);
        self.avx2
    }

    /// [`Vectors::avx512`] for loops of which Miri does not know all instructions: there it says no, and they run with AVX2.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn wide(self) -> bool {
        !cfg!(miri) && self.avx512()
    }

    /// Whether the features of [`Isa::Avx512`] may be used; if so, the processor has them. Loops ask once per call.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn avx512(self) -> bool {
        #[cfg(test)]
        if self.avx512 {
            probe::count(true);
        }
        self.avx512
    }
}

/// Counts how often this thread took a vector path outside the tiles, for tests.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) mod probe {
    use std::cell::Cell;

    thread_local! {
        /// Answers that were yes, and answers that were no.
        static ANSWERS: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
    }

    pub(super) fn count(yes: bool) {
        let [vector, plain] = ANSWERS.get();
        ANSWERS.set(if yes { [vector + 1, plain] } else { [vector, plain + 1] });
    }

    /// Vector paths and plain paths that this thread takes during `work`.
    pub(crate) fn during(work: impl FnOnce()) -> [usize; 2] {
        ANSWERS.set([0; 2]);
        work();
        ANSWERS.get()
    }
}
