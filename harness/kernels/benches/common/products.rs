//! A product, its packing, and the limit of its loop.

use criterion::{BenchmarkId, Criterion, Throughput};
use harness_kernels::limits::Limit;
use harness_kernels::{Conv2d, Grid, Output, Pool, Product, Quantize, Route};

use crate::common::{PAIRS, bits, codes, limit, settings};

/// Runs one group for each shape and pair of widths, on one thread: the product of packed operands, the same with its
/// activations quantized and packed, and the limit of its loop for as many multiply-accumulates.
pub(crate) fn run(shapes: &[(&str, Conv2d)]) {
    let mut criterion = settings();
    for &(name, shape) in shapes {
        for (w, a) in PAIRS {
            group(&mut criterion, name, shape, w, a);
        }
    }
    criterion.final_summary();
}

fn group(criterion: &mut Criterion, name: &str, shape: Conv2d, w: u8, a: u8) {
    let (w, a) = (bits(w), bits(a));
    let route = Route::choose(&shape, w, a);
    let weights = codes(shape.outputs * shape.depth(), w);
    let product = Product::new(shape, &weights, w, a, route, &Grid::codes()).expect("a shape that fits");
    let mut packed = product.activations();
    let inputs = codes(packed.shape().iter().product(), a);
    let values: Vec<f32> = inputs.iter().map(|&code| f32::from(code)).collect();
    let quantize = Quantize::Uniform { bits: a, inverse: 1.0 };
    packed.fill_codes(&inputs).expect("codes that fit");
    let mut sums = vec![0; product.macs() as usize / shape.depth()];
    let pool = Pool::new(1);
    let mut group = criterion.benchmark_group(format!("{name}/w{w}a{a}"));
    group.throughput(Throughput::Elements(product.macs()));
    group.bench_function(BenchmarkId::new("product", route), |bench| {
        bench.iter(|| product.run(&packed, Output::Sums(&mut sums), &pool));
    });
    group.bench_function(BenchmarkId::new("pack-and-product", route), |bench| {
        bench.iter(|| {
            packed.fill(&values, &quantize, &pool)?;
            product.run(&packed, Output::Sums(&mut sums), &pool)
        });
    });
    limit(&mut group, &format!("limit/{route}"), &Limit::of_product(&product), product.macs() as f64);
    group.finish();
    check(&shape, &inputs, &weights, sums[0]);
}

/// Compares the first output with a plain loop, so that what was timed is the product.
fn check(shape: &Conv2d, inputs: &[u8], weights: &[u8], found: i32) {
    let mut sum = 0;
    for channel in 0..shape.channels {
        for (y, x) in (0..shape.kernel[0]).flat_map(|y| (0..shape.kernel[1]).map(move |x| (y, x))) {
            let (Some(row), Some(column)) = (y.checked_sub(shape.padding[0]), x.checked_sub(shape.padding[1])) else {
                continue;
            };
            let input = inputs[(row * shape.width + column) * shape.channels + channel];
            let weight = weights[(channel * shape.kernel[0] + y) * shape.kernel[1] + x];
            sum += i32::from(input) * i32::from(weight);
        }
    }
    assert_eq!(found, sum, "{shape:?}");
}
