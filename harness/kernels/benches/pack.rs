//! Quantizing and packing activations: `cargo bench -p harness-kernels --bench pack`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use criterion::{BenchmarkId, Throughput};
use harness_kernels::{Conv2d, Family, Grid, Isa, Pool, Product, Quantize, Route};

fn main() {
    let mut criterion = common::settings();
    for (name, shape) in [("56x56x64", Conv2d::same(1, 56, 64, 1, 3)), ("7x7x512", Conv2d::same(1, 7, 512, 1, 3))] {
        for a in [1, 2, 4, 8].map(common::bits) {
            let mut group = criterion.benchmark_group(format!("{name}/a{a}"));
            for family in Family::ALL {
                let route = Route { family, isa: Isa::best() };
                let weights = vec![0; shape.outputs * shape.depth()];
                let one = common::bits(1);
                let product = Product::new(shape, &weights, one, a, route, &Grid::codes()).expect("a shape that fits");
                let mut packed = product.activations();
                let codes = common::codes(packed.shape().iter().product(), a);
                let values: Vec<f32> = codes.iter().map(|&code| f32::from(code)).collect();
                let pool = Pool::new(1);
                let quantize = Quantize::Uniform { bits: a, inverse: 1.0 };
                group.throughput(Throughput::Elements(codes.len() as u64));
                group.bench_function(BenchmarkId::new("codes", route), |bench| {
                    bench.iter(|| packed.fill_codes(&codes));
                });
                group.bench_function(BenchmarkId::new("values", route), |bench| {
                    bench.iter(|| packed.fill(&values, &quantize, &pool));
                });
            }
            group.finish();
        }
    }
    criterion.final_summary();
}
