//! What the processor can do at most: each loop's innermost instructions alone, and reading memory. A product's share
//! of its limit, measured in the same run, is a number that survives a busy or throttled machine.

use std::hint::black_box;

use crate::arch;
use crate::arch::generic::{int8::LEAST_CHUNK, limits};
use crate::buffer::Buffer;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::route::{Family, Route};

/// A micro-loop to be timed by the caller.
#[derive(Debug)]
pub struct Limit {
    kind: Kind,
    buffer: Buffer,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Loop {
        run: arch::LimitFn,
        /// Passes over such instructions that one multiply-accumulate of the pair takes.
        passes: f64,
    },
    Float,
    Read,
}

impl Limit {
    /// The innermost instructions of a route at a pair of widths, counted in multiply-accumulates of codes: a
    /// population count takes one for each pair of planes, a table one for each plane of the weights. `None` where this processor cannot run the route.
    #[must_use]
    pub fn of(route: Route, weights: Bits, activations: Bits) -> Option<Limit> {
        if !route.is_available() {
            return None;
        }
        let layout = Layout::new(route, weights, activations, usize::MAX);
        let (limit, planes) = match route.family {
            Family::Popcount => (arch::Limit::Popcount, weights.get()),
            Family::Table if layout.spread && activations.get() == 1 => (arch::Limit::Pairs, weights.get()),
            Family::Table => (arch::Limit::Table, weights.get()),
            Family::Int8 if layout.regions.iter().any(|r| r.unit_bytes == 8) => (arch::Limit::Shorts, 1),
            Family::Int8 if layout.regions.iter().all(|r| r.chunk >= LEAST_CHUNK) => (arch::Limit::Int8Narrow, 1),
            Family::Int8 => (arch::Limit::Int8, 1),
        };
        let passes = f64::from(planes) * layout.regions.len() as f64;
        let mut buffer = Buffer::zeroed(limits::BYTES + limits::SLACK);
        for (index, byte) in buffer.bytes_mut().iter_mut().enumerate() {
            *byte = (index * 31 % 15) as u8;
        }
        Some(Limit { kind: Kind::Loop { run: arch::limit(route.isa, limit), passes }, buffer })
    }

    /// Fused multiply-adds of 32-bit floats on the widest vectors in general use (256 bits on x86, 128 on Arm): the
    /// limit of a float product. `None` where there is no such loop.
    #[must_use]
    pub fn float() -> Option<Limit> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(Limit { kind: Kind::Float, buffer: Buffer::zeroed(0) });
        }
        if crate::route::Isa::Neon.is_available() {
            return Some(Limit { kind: Kind::Float, buffer: Buffer::zeroed(0) });
        }
        None
    }

    /// Reading `bytes` bytes again and again.
    #[must_use]
    pub fn read(bytes: usize) -> Limit {
        let mut buffer = Buffer::zeroed(bytes.next_multiple_of(512));
        // Pages that were never written all map to the same zeros.
        buffer.bytes_mut().fill(1);
        Limit { kind: Kind::Read, buffer }
    }

    /// Runs about `steps` times 64 bytes of operands (or multiply-adds of one vector) and says how much was done: in
    /// multiply-accumulates, or in bytes read.
    #[must_use]
    pub fn run(&self, steps: usize) -> f64 {
        match self.kind {
            Kind::Loop { run, passes } => {
                // SAFETY: the route is available (checked in `of`), and the buffer has the bytes that the loops ask
                // for.
                let macs = unsafe { run(black_box(self.buffer.bytes().as_ptr()), steps) };
                macs as f64 / passes
            }
            Kind::Float => float(steps),
            Kind::Read => read(self.buffer.bytes(), steps),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn float(steps: usize) -> f64 {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2,fma")]
    fn body(steps: usize) -> f64 {
        let (a, b) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(1.0)));
        let mut sums = [_mm256_setzero_ps(); 12];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        black_box(sums);
        (8 * sums.len() * steps) as f64
    }
    // SAFETY: `Limit::float` checked the features.
    unsafe { body(steps) }
}

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
fn float(steps: usize) -> f64 {
    use std::arch::aarch64::*;

    #[target_feature(enable = "neon")]
    fn body(steps: usize) -> f64 {
        let (a, b) = (vdupq_n_f32(black_box(0.5)), vdupq_n_f32(black_box(1.0)));
        // Four pipes of four cycles each need sixteen.
        let mut sums = [vdupq_n_f32(0.0); 16];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = vfmaq_f32(b, *sum, a);
            }
        }
        black_box(sums);
        (4 * sums.len() * steps) as f64
    }
    // SAFETY: every 64-bit Arm processor has the feature.
    unsafe { body(steps) }
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
fn float(_steps: usize) -> f64 {
    // `Limit::float` makes none here.
    0.0
}

fn read(bytes: &[u8], steps: usize) -> f64 {
    #[inline(always)]
    fn pass(lines: &[[u64; 64]]) -> u64 {
        let mut sums = [0u64; 64];
        for line in lines {
            for (sum, word) in sums.iter_mut().zip(line) {
                *sum |= word;
            }
        }
        sums.iter().fold(0, |all, sum| all | sum)
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn pass_avx2(lines: &[[u64; 64]]) -> u64 {
        pass(lines)
    }
    // SAFETY: any bytes are valid words, and `align_to` keeps to the buffer, which is a whole number of lines.
    let (_, lines, _) = unsafe { bytes.align_to::<[u64; 64]>() };
    let passes = (64 * steps).div_ceil(bytes.len().max(1));
    for _ in 0..passes {
        let lines = black_box(lines);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            black_box(unsafe { pass_avx2(lines) });
            continue;
        }
        black_box(pass(lines));
    }
    (passes * bytes.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        for route in Route::available() {
            for k in [1, 2, 8] {
                let limit = Limit::of(route, Bits::new(k).unwrap(), Bits::new(k).unwrap()).unwrap();
                // Miri interprets each lane, so a few steps have to do there.
                let steps = if cfg!(miri) { 2 } else { 100 };
                let (one, two) = (limit.run(steps), limit.run(2 * steps));
                assert!(one > 0.0 && two == 2.0 * one, "{route}");
            }
        }
        assert_eq!(Limit::read(4096).run(64), 4096.0);
        assert_eq!(Limit::read(4096).run(640), 40_960.0);
    }
}
