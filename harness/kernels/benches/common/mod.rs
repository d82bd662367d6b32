//! What the benches share: operands, and a limit counted in the same unit as a product.

// Each bench uses a part of this.
#![allow(dead_code)]

pub(crate) mod products;

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use harness_kernels::levels::Bits;
use harness_kernels::limits::Limit;

/// Bit widths of weights and activations: the smallest, the largest, and those of the papers.
pub(crate) const PAIRS: [(u8, u8); 5] = [(1, 1), (1, 2), (2, 2), (4, 4), (8, 8)];

pub(crate) fn bits(k: u8) -> Bits {
    Bits::new(k).expect("1 to 8 bits")
}

/// Pseudo-random codes.
pub(crate) fn codes(count: usize, bits: Bits) -> Vec<u8> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8 & bits.max_code()).collect()
}

/// Settings with which a whole bench ends in a minute or two. `harness bench` takes medians over more runs.
pub(crate) fn settings() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args()
}

/// Times the limit for as much work as one iteration of the other benchmarks of the group, so that the quotient of two times
/// is the fraction of the limit.
pub(crate) fn limit(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, limit: &Limit, work: f64) {
    group.bench_function(name, |bench| {
        bench.iter_custom(|iterations| {
            let wanted = work * iterations as f64;
            let steps = (wanted / limit.run(1)).ceil() as usize;
            let start = Instant::now();
            let done = limit.run(steps);
            start.elapsed().mul_f64(wanted / done)
        });
    });
}
