//! The epilogue: rounding, clipping, packing for the next layer.

use proptest::prelude::*;

use super::{bits, codes, naive};
use crate::{Conv2d, Grid, Output, Pool, Product, Requantize, Route};

/// Runs a small convolution once for every kind of output, on every route of this processor, and compares with
/// arithmetic on the naive sums.
fn check(shape: Conv2d, w: u8, a: u8, next: u8, seed: u64, threads: usize) {
    let (w, a, next) = (bits(w), bits(a), bits(next));
    let weights = codes(shape.outputs * shape.depth(), w, seed);
    let activations = codes(shape.batch * shape.height * shape.width * shape.channels, a, seed + 1);
    let grid = Grid::symmetric_weights(w);
    let sums = naive::conv2d(&shape, &activations, &weights, &grid);
    let max = sums.iter().map(|s| s.abs()).max().unwrap_or(0);
    let channels = shape.outputs;
    let small: Vec<(i64, i64)> = (0..channels as i64).map(|n| (n % 5 - 2, 7 * n - 20)).collect();
    let large: Vec<(i64, i64)> = small.iter().map(|&(a, b)| (a << 33, (b << 33) + 1)).collect();
    let steps = usize::from(next.max_code());
    let falling: Vec<bool> = (0..channels).map(|n| n % 3 == 0).collect();
    let boundaries: Vec<i32> =
        (0..channels).flat_map(|n| (0..steps).map(move |j| (j * (n % 4 + 1)) as i32 - n as i32)).collect();
    let scale: Vec<f32> = (0..channels).map(|n| 0.37 + n as f32 * 0.011).collect();
    let bias: Vec<f32> = (0..channels).map(|n| 1.5 - n as f32 * 0.23).collect();
    let by_channel = |f: &dyn Fn(i64, usize) -> u8| -> Vec<u8> {
        sums.iter().enumerate().map(|(i, &x)| f(x, i % channels)).collect()
    };
    let clip = |x: i64| x.clamp(0, i64::from(next.max_code())) as u8;
    let rules = [
        (
            Requantize::batch_norm(next, &small, 2, max).unwrap(),
            by_channel(&|x, n| clip((small[n].0 * x + small[n].1) >> 2)),
        ),
        (
            Requantize::batch_norm(next, &large, 34, max).unwrap(),
            by_channel(&|x, n| clip((large[n].0 * x + large[n].1) >> 34)),
        ),
        (
            Requantize::thresholds(next, &boundaries, &falling).unwrap(),
            by_channel(&|x, n| {
                let x = if falling[n] { -x } else { x };
                boundaries[n * steps..(n + 1) * steps].iter().filter(|&&t| x >= i64::from(t)).count() as u8
            }),
        ),
    ];
    let pool = Pool::new(threads);
    for route in Route::available() {
        let product = Product::new(shape, &weights, w, a, route, &grid).unwrap();
        let mut packed = product.activations();
        packed.fill_codes(&activations).unwrap();
        for (scale, bias, relu) in [
            (&scale[..], &bias[..], true),
            (&scale[..1], &[][..], false),
            (&scale[..1], &bias[..], false),
            (&scale[..], &[][..], true),
        ] {
            let mut out = vec![f32::NAN; sums.len()];
            product.run(&packed, Output::Scaled { out: &mut out, scale, bias, relu }, &pool).unwrap();
            for (i, (&out, &sum)) in out.iter().zip(&sums).enumerate() {
                let n = i % channels;
                let value = sum as f32 * scale[n % scale.len()];
                let value = if bias.is_empty() { value } else { value + bias[n] };
                let value = if relu { value.max(0.0) } else { value };
                assert_eq!(out, value, "{route}, element {i}");
            }
        }
        for (requantize, expected) in &rules {
            let mut out = vec![255; sums.len()];
            product.run(&packed, Output::Codes { out: &mut out, requantize }, &pool).unwrap();
            assert_eq!(&out, expected, "{route} {shape:?}");
            // The packed results are read by a following layer of another padding, and by one that skips pixels, twice, so that
            // nothing of the first time is left.
            let [height, width] = product.output();
            let groups = if channels.is_multiple_of(3) { 3 } else { 1 };
            for (kernel, stride) in [(3, [1, 1]), (1, [2, 2])] {
                let following = Conv2d {
                    batch: shape.batch,
                    height,
                    width,
                    groups,
                    stride,
                    ..Conv2d::same(1, 1, channels, 6, kernel)
                };
                let grid = Grid { activation_zero: 1, ..Grid::symmetric_weights(w) };
                let weights = codes(6 * following.depth(), w, seed + 2);
                let next_product = Product::new(following, &weights, w, next, route, &grid).unwrap();
                let mut next_packed = next_product.activations();
                let answer = naive::conv2d(&following, expected, &weights, &grid);
                for _ in 0..2 {
                    product.run(&packed, Output::Packed { out: &mut next_packed, requantize }, &pool).unwrap();
                    let mut out = vec![0; answer.len()];
                    next_product.run(&next_packed, Output::Sums(&mut out), &pool).unwrap();
                    assert!(out.iter().map(|&x| i64::from(x)).eq(answer.iter().copied()), "{route} {following:?}");
                }
            }
        }
    }
}

/// The largest number of channels: that of several K-steps, except under Miri.
const MAX_CHANNELS: usize = if cfg!(miri) { 5 } else { 70 };

/// Bits of the widest codes.
const WIDEST: u8 = if cfg!(miri) { 2 } else { 8 };

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 40 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_output_equals_arithmetic_on_the_sums(
        size in 1usize..if cfg!(miri) { 2 } else { 5 }, channels in 1..MAX_CHANNELS, outputs in 1..MAX_CHANNELS, kernel in prop_oneof![Just(1usize), Just(3)],
        w in 1..=WIDEST, a in 1..=WIDEST, next in 1..=WIDEST, seed in 0u64..1_000_000, threads in 1usize..4,
    ) {
        check(Conv2d::same(2, size, channels, outputs, kernel), w, a, next, seed, threads);
    }
}

/// More channels than a block, so that pixels are finished in several steps.
#[test]
#[cfg_attr(miri, ignore = "large")]
fn wide_layers() {
    check(Conv2d::same(1, 2, 20, 801, 1), 2, 2, 3, 9, 3);
}

#[test]
fn values_are_quantized_as_they_are_packed() {
    use crate::Quantize;
    // Several tasks for the threads.
    let pool = Pool::new(3);
    let (rows, depth) = if cfg!(miri) { (3, 70) } else { (24, 1600) };
    let shape = Conv2d::matrix(rows, 5, depth);
    let values: Vec<f32> = (0..rows * depth).map(|i| (i as f32 * 0.37).sin() * 1.3).collect();
    for k in if cfg!(miri) { 1..=2 } else { 1..=8 } {
        let quantize = Quantize::Uniform { bits: bits(k), inverse: f32::from(bits(k).max_code()) };
        let expected: Vec<u8> = values.iter().map(|&x| quantize.code(x)).collect();
        let weights = codes(5 * shape.channels, bits(2), 1);
        for route in Route::available() {
            let product = Product::new(shape, &weights, bits(2), bits(k), route, &Grid::codes()).unwrap();
            let mut packed = product.activations();
            packed.fill(&values, &quantize, &pool).unwrap();
            let mut sums = vec![0; 5 * rows];
            product.run(&packed, Output::Sums(&mut sums), &pool).unwrap();
            let naive = naive::conv2d(&shape, &expected, &weights, &Grid::codes());
            assert!(sums.iter().map(|&x| i64::from(x)).eq(naive), "{route} a{k}");
        }
    }
}
