//! Bytes with a zero point for each channel, of which padding has none, by constants for the classes of missing taps.

use proptest::prelude::*;

use super::{bits, codes, grid, naive, shapes};
use crate::{Conv2d, Grid, KernelError, Output, Pool, Product, Route};

fn check(shape: Conv2d, w: u8, a: u8, kind: usize, zeros: &[i64], threads: usize, seed: u64) {
    let weights = codes(shape.outputs * shape.depth(), bits(w), seed);
    let inputs = codes(shape.batch * shape.height * shape.width * shape.channels, bits(a), seed + 1);
    let grid = grid(kind, bits(w), shape.outputs);
    let (depth, channels) = (shape.depth(), shape.channels / shape.groups);
    let weight = |at: usize| {
        let zero = grid.weight_zero[at / depth % grid.weight_zero.len()];
        i64::from(grid.weight_step * i32::from(weights[at]) - zero)
    };
    let activation = |at: usize| {
        let code = i64::from(inputs[at]);
        let channel = at % shape.channels;
        i64::from(grid.activation_step) * code - i64::from(grid.activation_zero) - zeros[channel % zeros.len()]
    };
    let expected = naive::conv2d_of(&shape, activation, weight);
    let constant = |n: usize, taps: &[usize]| {
        let first = n / (shape.outputs / shape.groups) * channels;
        let sum = |channel: usize| {
            let weights = taps.iter().map(|tap| weight((n * channels + channel) * shape.taps() + tap));
            -zeros[(first + channel) % zeros.len()] * weights.sum::<i64>()
        };
        (0..channels).map(sum).sum()
    };
    for route in Route::available() {
        let product = Product::new(shape, &weights, bits(w), bits(a), route, &grid).unwrap();
        let product = product.with_constants(constant).unwrap();
        let mut packed = product.activations();
        packed.fill_codes(&inputs).unwrap();
        let mut sums = vec![0; expected.len()];
        product.run(&packed, Output::Sums(&mut sums), &Pool::new(threads)).unwrap();
        let sums: Vec<i64> = sums.into_iter().map(i64::from).collect();
        assert_eq!(sums, expected, "{route} w{w}a{a} {shape:?} {grid:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 80 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_channel_has_its_zero_point(
        shape in shapes(), w in 1u8..=8, a in prop_oneof![Just(8u8), 1u8..=8], kind in 0usize..4,
        zeros in prop::collection::vec(-300i64..300, 1..5), threads in 1usize..3, seed in 0u64..1_000_000,
    ) {
        check(shape, w, a, kind, &zeros, if cfg!(miri) { 1 } else { threads }, seed);
    }
}

/// The first layers of networks for images: three channels, large windows, strides.
#[test]
#[cfg_attr(miri, ignore = "large")]
fn first_layers() {
    for (size, outputs, kernel, stride, padding) in [(19, 64, 7, 2, 3), (23, 33, 11, 4, 2), (8, 16, 3, 1, 1)] {
        let shape = Conv2d { stride: [stride; 2], padding: [padding; 2], ..Conv2d::same(2, size, 3, outputs, kernel) };
        for w in [1, 2, 4, 8] {
            check(shape, w, 8, 2, &[124, 116, 104], 2, 9);
        }
    }
}

#[test]
fn constants_that_do_not_fit_are_refused() {
    let make = || {
        let shape = Conv2d::matrix(1, 1, 1);
        let route = Route::choose(&shape, bits(1), bits(1));
        Product::new(shape, &[1], bits(1), bits(1), route, &Grid::codes()).unwrap()
    };
    let most = i64::from(i32::MAX) - 1;
    assert!(make().with_constants(|_, _| most).is_ok());
    assert!(make().with_constants(|_, _| -most).is_ok());
    for constant in [most + 1, -most - 1, i64::MIN] {
        assert!(matches!(make().with_constants(|_, _| constant), Err(KernelError::Epilogue { .. })), "{constant}");
    }
    // Constants add up.
    let twice = make().with_constants(|_, _| most).unwrap().with_constants(|_, _| 1);
    assert!(twice.is_err());
}
