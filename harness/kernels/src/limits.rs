//! Upper limits of the processor: each loop's innermost instructions alone, float multiply-adds, and reading memory. A
//! product's fraction of its limit, measured in the same run, hardly changes on a busy or throttled machine.

use std::hint::black_box;

use crate::arch;
use crate::arch::generic::limits;
use crate::arch::tile::LimitFn;
use crate::buffer::Buffer;
use crate::inner_loop::LoopForm;
use crate::layout::Layout;
use crate::levels::Bits;
use crate::product::Product;
use crate::route::{Isa, Route};

/// A small loop that runs at a limit of the processor, to be timed by the caller.
#[derive(Debug)]
pub struct Limit {
    kind: Kind,
    buffer: Buffer,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Loop {
        run: LimitFn,
        /// Times that the loop multiplies for one multiply-accumulate of codes: once for each pair of stored planes.
        passes: f64,
    },
    Float,
    Read,
}

impl Limit {
    /// The innermost instructions of the loop that `product` runs, counted in multiply-accumulates of codes.
    #[must_use]
    pub fn of_product(product: &Product) -> Limit {
        Limit::of_layout(product.layout())
    }

    /// The same for a product on a route, at a pair of bit widths, with `pixels` output pixels. `None` where this processor
    /// cannot run the route.
    #[must_use]
    pub fn of(route: Route, weights: Bits, activations: Bits, pixels: usize) -> Option<Limit> {
        route.is_available().then(|| Limit::of_layout(&Layout::new(route, weights, activations, pixels)))
    }

    /// The processor can run the layout's route.
    fn of_layout(layout: &Layout) -> Limit {
        let planes = match layout.inner.form {
            LoopForm::Popcount | LoopForm::NibbleTable | LoopForm::NibbleTablePairs | LoopForm::SixBitTable => {
                layout.weight_bits.get()
            }
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => 1,
        };
        let passes = f64::from(planes) * layout.bit_groups.len() as f64;
        let mut buffer = Buffer::zeroed(limits::BYTES + limits::SLACK);
        for (index, byte) in buffer.bytes_mut().iter_mut().enumerate() {
            *byte = (index * 31 % 15) as u8;
        }
        Limit { kind: Kind::Loop { run: arch::limit(layout.inner), passes }, buffer }
    }

    /// Fused multiply-adds of 32-bit floats on the widest vectors in general use (256 bits on x86, 128 on Arm): the
    /// limit of a float product. `None` where there is no such loop.
    #[must_use]
    pub fn float() -> Option<Limit> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(Limit { kind: Kind::Float, buffer: Buffer::zeroed(0) });
        }
        if Isa::Neon.is_available() {
            return Some(Limit { kind: Kind::Float, buffer: Buffer::zeroed(0) });
        }
        None
    }

    /// Reading a buffer of `bytes` bytes again and again.
    #[must_use]
    pub fn read(bytes: usize) -> Limit {
        let mut buffer = Buffer::zeroed(bytes.next_multiple_of(512));
        // Pages that were never written all map to the same zeros.
        buffer.bytes_mut().fill(1);
        Limit { kind: Kind::Read, buffer }
    }

    /// Runs the loop for `steps` steps, each of 64 bytes of operands or of a dozen float vectors, and returns the work that was
    /// done: a number of multiply-accumulates, or of bytes read.
    #[must_use]
    pub fn run(&self, steps: usize) -> f64 {
        match self.kind {
            Kind::Loop { run, passes } => {
                // SAFETY: the route is available (checked in `of`, or when the product was made), and the buffer has
                // the bytes that the loops ask for.
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
    use crate::epilogue::Grid;
    use crate::geometry::Conv2d;
    use crate::route::Family;

    #[test]
    fn work_is_counted() {
        for route in Route::available() {
            for k in [1, 2, 8] {
                let limit = Limit::of(route, Bits::new(k).unwrap(), Bits::new(k).unwrap(), 100).unwrap();
                // Miri interprets each lane, so a few steps have to do there.
                let steps = if cfg!(miri) { 2 } else { 100 };
                let (one, two) = (limit.run(steps), limit.run(2 * steps));
                assert!(one > 0.0 && two == 2.0 * one, "{route}");
            }
        }
        assert_eq!(Limit::read(4096).run(64), 4096.0);
        assert_eq!(Limit::read(4096).run(640), 40_960.0);
    }

    /// Few pixels and many take different loops on the same route, and the limit is that of the product's own.
    #[test]
    fn the_limit_is_that_of_the_loop_that_runs() {
        let one = Bits::new(1).unwrap();
        let passes = |limit: &Limit| match limit.kind {
            Kind::Loop { run, passes } => (run as usize, passes),
            Kind::Float | Kind::Read => panic!("{limit:?}"),
        };
        for route in Route::available() {
            let [few, many] = [1, 100].map(|rows| {
                let product = Product::new(Conv2d::matrix(rows, 1, 1), &[1], one, one, route, &Grid::codes()).unwrap();
                let layout = product.layout();
                assert_eq!(passes(&Limit::of_product(&product)), (arch::limit(layout.inner) as usize, 1.0));
                layout.inner.form
            });
            let differ = matches!((route.family, route.isa), (Family::Table, Isa::Avx2 | Isa::Portable));
            assert!(!differ || (few, many) == (LoopForm::NibbleTable, LoopForm::NibbleTablePairs), "{route}: {few:?}");
        }
    }
}
