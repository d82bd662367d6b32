//! Every route against the definition, with one line per route in `conformance!`.

mod border_constants;
mod code_pooling;
mod end_to_end;
mod epilogues;
mod float_products;
mod layers;
mod naive;
#[cfg(target_arch = "x86_64")]
mod packed_operands;
mod plane_products;
mod refused;
mod wide;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::inner_loop::{InnerLoop, MAX_COLUMNS};
use crate::{Conv2d, Family, Grid, Isa, KernelError, Output, Pool, Product, Route, levels::Bits};

/// Pseudo-random codes of `bits` bits; seeds differ by case.
fn codes(count: usize, bits: Bits, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Extremes are frequent: sums must survive all codes at their largest.
        match state >> 60 {
            0..=3 => bits.max_code(),
            4 => 0,
            _ => (state >> 32) as u8 & bits.max_code(),
        }
    };
    (0..count).map(|_| next()).collect()
}

fn bits(k: u8) -> Bits {
    Bits::new(k).unwrap()
}

fn grid(kind: usize, weights: Bits, outputs: usize) -> Grid {
    match kind {
        0 => Grid::codes(),
        1 => Grid::signs(),
        2 => Grid::symmetric_weights(weights),
        // Zero points of both operands, one for each output channel.
        _ => Grid {
            activation_step: 1,
            activation_zero: 3,
            weight_step: 1,
            weight_zero: (0..outputs).map(|n| n as i32 % 7 - 3).collect(),
        },
    }
}

fn check(route: Route, shape: Conv2d, w: Bits, a: Bits, kind: usize, threads: usize, seed: u64) {
    let weights = codes(shape.outputs * shape.depth(), w, seed);
    let activations = codes(shape.batch * shape.height * shape.width * shape.channels, a, seed + 1);
    let grid = grid(kind, w, shape.outputs);
    let product = Product::new(shape, &weights, w, a, route, &grid).unwrap();
    assert_eq!(product.route(), route);
    let mut packed = product.activations();
    packed.fill_codes(&activations).unwrap();
    let expected = naive::conv2d(&shape, &activations, &weights, &grid);
    let mut sums = vec![-1; expected.len()];
    product.run(&packed, Output::Sums(&mut sums), &Pool::new(threads)).unwrap();
    let sums: Vec<i64> = sums.into_iter().map(i64::from).collect();
    assert_eq!(sums, expected, "{route} w{w}a{a} {shape:?} {grid:?}, {threads} threads");
}

/// Convolutions of every kind, small enough to compute slowly.
fn shapes() -> impl Strategy<Value = Conv2d> {
    let plane = (1usize..3, 1usize..8, 1usize..8, prop_oneof![Just(1usize), Just(2), Just(3)]);
    let channels = (
        prop_oneof![1usize..20, Just(63), Just(64), Just(65), 60usize..140],
        prop_oneof![1usize..20, Just(32), Just(33), Just(64), 60usize..140],
    );
    let window = ((1usize..5, 1usize..5), (1usize..4, 1usize..4), (0usize..4, 0usize..4), (1usize..3, 1usize..3));
    (plane, channels, window).prop_filter_map(
        "windows that fit",
        |((batch, height, width, groups), (channels, outputs), (kernel, stride, padding, dilation))| {
            // Grouped convolutions multiply the channels, so keep those small.
            let part = |channels: usize| if groups == 1 { channels } else { groups * (channels % 23 + 1) };
            let shape = Conv2d {
                batch,
                height,
                width,
                channels: part(channels),
                outputs: part(outputs),
                kernel: kernel.into(),
                stride: stride.into(),
                padding: padding.into(),
                dilation: dilation.into(),
                groups,
            };
            let [height, width] = shape.output().ok()?;
            let macs = batch * height * width * shape.outputs * shape.depth();
            // Miri is slow.
            (!cfg!(miri) || macs < 4_000).then_some(shape)
        },
    )
}

/// Checks everything that a route must do.
fn conformance(route: Route) {
    if !route.is_available() {
        let made = Product::new(Conv2d::matrix(1, 1, 1), &[1], bits(1), bits(1), route, &Grid::codes());
        assert_eq!(made.unwrap_err(), KernelError::Unavailable { route });
        return;
    }
    let miri = cfg!(miri);
    // Every pair of widths, at depths around the ends of K-steps.
    for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (w, a))) {
        for depth in if miri { &[65][..] } else { &[1, 63, 64, 65, 576, 2304] } {
            // With few rows, several K-steps of weights share a byte.
            let rows: &[usize] = match (miri, w == a && w % 7 == 1) {
                (false, _) => &[7, 11],
                (true, true) => &[2, 9],
                (true, false) => &[2],
            };
            for rows in rows {
                let shape = Conv2d::matrix(*rows, if miri { 5 } else { 37 }, *depth);
                check(route, shape, bits(w), bits(a), usize::from(w + a) % 4, 1, u64::from(w * 8 + a));
            }
        }
    }
    // Every shape of tile: seven panels are four, two and one, or three times two and one.
    let lanes = InnerLoop::choose(route, bits(3), bits(5), 1).lanes();
    let panels = if miri { 2 } else { 7 };
    for columns in if miri { 3..=3 } else { 1..=MAX_COLUMNS } {
        for (w, a) in if miri { &[(1, 1)][..] } else { &[(3, 5), (1, 1), (8, 8)] } {
            // Tiles of all widths twice: with few rows, several K-steps of weights share a byte.
            for rows in [columns, 8 + columns] {
                let shape = Conv2d::matrix(rows, panels * lanes - 1, 13);
                check(route, shape, bits(*w), bits(*a), 3, 1, columns as u64);
            }
        }
    }
    // Pixels between the steps of a window of one pixel are not stored.
    for (stride, groups) in [([2, 2], 1), ([1, 3], 2), ([5, 1], 1)] {
        let shape = Conv2d { stride, groups, height: 5, width: 4, ..Conv2d::same(2, 1, 6, 4, 1) };
        check(route, shape, bits(2), bits(3), 3, 2, 7);
    }
    // Sums of 16 bits would overflow here.
    if !miri {
        for (w, a, depth) in
            [(1, 1, 70_000), (1, 2, 30_000), (1, 4, 30_000), (2, 8, 30_000), (8, 8, 30_000), (4, 4, 30_000)]
        {
            check(route, Conv2d::matrix(3, 33, depth), bits(w), bits(a), 0, 1, 5);
            check(route, Conv2d::matrix(9, 33, depth), bits(w), bits(a), 0, 1, 5);
        }
    }
    let config = Config { cases: if miri { 12 } else { 150 }, failure_persistence: None, ..Config::default() };
    let strategy = (shapes(), 1u8..=8, 1u8..=8, 0usize..4, 1usize..4, any::<u32>());
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&strategy, |(shape, w, a, kind, threads, seed)| {
        check(route, shape, bits(w), bits(a), kind, if miri { 1 } else { threads }, u64::from(seed));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

macro_rules! conformance {
    ($($name:ident: $family:ident, $isa:ident;)*) => {
        $(#[test] fn $name() { conformance(Route { family: Family::$family, isa: Isa::$isa }); })*
    };
}

conformance! {
    popcount_portable: Popcount, Portable;
    popcount_avx2: Popcount, Avx2;
    popcount_avx512: Popcount, Avx512;
    popcount_neon: Popcount, Neon;
    table_portable: Table, Portable;
    table_avx2: Table, Avx2;
    table_avx512: Table, Avx512;
    table_neon: Table, Neon;
    int8_portable: Int8, Portable;
    int8_avx2: Int8, Avx2;
    int8_avx512: Int8, Avx512;
    int8_neon: Int8, Neon;
}

/// For a route that the processor lacks, `conformance` checks that it is refused. Where this variable names routes, separated
/// by commas, they must be available.
#[test]
fn expected_routes_are_available() {
    let Ok(names) = std::env::var("HARNESS_EXPECT_ROUTES") else { return };
    for name in names.split(',') {
        let route: Route = name.parse().unwrap();
        let found: Vec<String> = Route::available().map(|route| route.to_string()).collect();
        assert!(route.is_available(), "expected {route}, this processor has {}", found.join(", "));
    }
}

#[test]
fn grids_mean_what_they_say() {
    // -1 * 1 + 1 * 1, 1 * 1 + 1 * 1 by hand.
    let shape = Conv2d::matrix(2, 1, 2);
    let route = Route { family: Family::Popcount, isa: Isa::Portable };
    let product = Product::new(shape, &[1, 1], bits(1), bits(1), route, &Grid::signs()).unwrap();
    let mut packed = product.activations();
    packed.fill_codes(&[0, 1, 1, 1]).unwrap();
    let mut sums = [0; 2];
    product.run(&packed, Output::Sums(&mut sums), &Pool::new(1)).unwrap();
    assert_eq!(sums, [0, 2]);
}
