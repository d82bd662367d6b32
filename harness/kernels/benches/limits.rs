//! The limits of this processor: `cargo bench -p harness-kernels --bench limits`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use criterion::Throughput;
use harness_kernels::Route;
use harness_kernels::limits::Limit;

/// Multiply-accumulates, or bytes, per iteration.
const WORK: u64 = 1 << 22;

fn main() {
    let mut criterion = common::settings();
    let mut group = criterion.benchmark_group("multiply-accumulate");
    group.throughput(Throughput::Elements(WORK));
    for route in Route::available() {
        for (w, a) in common::PAIRS {
            if let Some(limit) = Limit::of(route, common::bits(w), common::bits(a), usize::MAX) {
                common::limit(&mut group, &format!("{route}/w{w}a{a}"), &limit, WORK as f64);
            }
        }
    }
    if let Some(limit) = Limit::float() {
        common::limit(&mut group, "f32", &limit, WORK as f64);
    }
    group.finish();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(WORK));
    for (name, bytes) in
        [("L1 16 KiB", 16 << 10), ("L2 256 KiB", 256 << 10), ("L3 4 MiB", 4 << 20), ("RAM 256 MiB", 256 << 20)]
    {
        common::limit(&mut group, name, &Limit::read(bytes), WORK as f64);
    }
    group.finish();
    criterion.final_summary();
}
