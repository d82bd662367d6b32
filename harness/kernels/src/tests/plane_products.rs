//! Planes with scales of their own: compared with f64 within the documented bound, and bit by bit with f32 in the
//! documented order of operations.

use proptest::prelude::*;

use super::{bits, codes, naive};
use crate::levels::LevelTable;
use crate::{Conv2d, Grid, KernelError, PlaneProduct, Pool, Quantize, Route};

/// Levels that no grid has: scales of both signs, offsets of any size.
fn levels(k: u8, rows: usize, seed: usize) -> LevelTable {
    let number = |i: usize| ((i * 37 + seed * 101) as f32 * 0.713).sin() * 1.7;
    let offset = (0..rows).map(|row| number(row + 1000)).collect();
    let scales = (0..rows * usize::from(k)).map(number).collect();
    LevelTable::planes(bits(k), offset, scales).unwrap()
}

fn parts(levels: &LevelTable, row: usize) -> (f32, Vec<f32>) {
    let LevelTable::Planes { bits, offset, scales } = levels else { panic!("not planes") };
    let (row, k) = (row % offset.len(), usize::from(bits.get()));
    (offset[row], scales[row * k..(row + 1) * k].to_vec())
}

fn plane(codes: &[u8], plane: usize) -> Vec<u8> {
    codes.iter().map(|code| code >> plane & 1).collect()
}

fn check(shape: Conv2d, w: u8, a: u8, by_output: bool, by_image: bool, seed: usize, threads: usize) {
    let weights = codes(shape.outputs * shape.depth(), bits(w), seed as u64);
    let inputs = codes(shape.batch * shape.height * shape.width * shape.channels, bits(a), seed as u64 + 1);
    let weight_levels = levels(w, if by_output { shape.outputs } else { 1 }, seed);
    let activation_levels = levels(a, if by_image { shape.batch } else { 1 }, seed + 7);
    // All integers by the definition: the sums over planes, and over ones in the place of a plane.
    let count = |a: &[u8], w: &[u8]| naive::conv2d(&shape, a, w, &Grid::codes());
    let (all_weights, all_inputs) = (vec![1; weights.len()], vec![1; inputs.len()]);
    let pairs: Vec<Vec<Vec<i64>>> = (0..usize::from(w))
        .map(|i| (0..usize::from(a)).map(|j| count(&plane(&inputs, j), &plane(&weights, i))).collect())
        .collect();
    let input_sums: Vec<Vec<i64>> = (0..usize::from(a)).map(|j| count(&plane(&inputs, j), &all_weights)).collect();
    let weight_sums: Vec<Vec<i64>> = (0..usize::from(w)).map(|i| count(&all_inputs, &plane(&weights, i))).collect();
    let places = count(&all_inputs, &all_weights);
    let pixels = places.len() / shape.outputs / shape.batch;
    let mut expected = Vec::new();
    for at in 0..places.len() {
        let (image, n) = (at / shape.outputs / pixels, at % shape.outputs);
        let ((o_w, s), (o_a, t)) = (parts(&weight_levels, n), parts(&activation_levels, image));
        let mut y = None;
        let (mut exact, mut magnitude) = (0.0f64, 0.0f64);
        let mut add = |factors: [f32; 2], count: i64| {
            let term = f64::from(factors[0]) * f64::from(factors[1]) * count as f64;
            exact += term;
            magnitude += term.abs();
        };
        for i in 0..s.len() {
            for j in 0..t.len() {
                let term = (s[i] * t[j]) * pairs[i][j][at] as f32;
                y = Some(y.map_or(term, |y: f32| y + term));
                add([s[i], t[j]], pairs[i][j][at]);
            }
        }
        let mut window = 0.0;
        for j in 0..t.len() {
            window += t[j] * input_sums[j][at] as f32;
            add([o_w, t[j]], input_sums[j][at]);
        }
        let mut inside = 0.0;
        for i in 0..s.len() {
            inside += s[i] * weight_sums[i][at] as f32;
            add([o_a, s[i]], weight_sums[i][at]);
        }
        inside += o_w * places[at] as f32;
        add([o_a, o_w], places[at]);
        let y = y.unwrap() + o_w * window + o_a * inside;
        let bound = f64::from(w * a + w + a + 8) * magnitude / f64::from(1 << 24);
        assert!((f64::from(y) - exact).abs() <= bound, "{y} for {exact}, bound {bound}");
        expected.push(y.to_bits());
    }
    for route in Route::available() {
        let product = PlaneProduct::new(shape, &weights, &weight_levels, bits(a), route).unwrap();
        let mut packed = product.activations();
        let pool = Pool::new(threads);
        let mut out = vec![f32::NAN; expected.len()];
        packed.fill_codes(&inputs).unwrap();
        product.run(&packed, &activation_levels, &mut out, &pool).unwrap();
        assert!(out.iter().map(|y| y.to_bits()).eq(expected.iter().copied()), "{route} w{w}a{a} {shape:?}");
        let values: Vec<f32> = inputs.iter().map(|&code| f32::from(code)).collect();
        packed.fill(&values, &Quantize::Uniform { bits: bits(a), inverse: 1.0 }, &pool).unwrap();
        out.fill(f32::NAN);
        product.run(&packed, &activation_levels, &mut out, &pool).unwrap();
        assert!(out.iter().map(|y| y.to_bits()).eq(expected.iter().copied()), "{route} w{w}a{a} {shape:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 40 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_scale_is_used_in_its_place(
        batch in 1usize..4, size in 1usize..5, channels in 1usize..(if cfg!(miri) { 5 } else { 80 }), outputs in 1usize..9,
        groups in 1usize..3, kernel in prop_oneof![Just(1usize), Just(3)],
        w in 1u8..=4, a in 1u8..=3, by_output: bool, by_image: bool, seed in 0usize..1000, threads in 1usize..3,
    ) {
        let shape = Conv2d { groups, ..Conv2d::same(batch, size, groups * channels, groups * outputs, kernel) };
        check(shape, w, a, by_output, by_image, seed, threads);
    }
}

#[test]
fn eight_planes_by_eight() {
    check(Conv2d::matrix(2, 3, 70), 8, 8, true, true, 3, 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Conv2d::matrix(2, 3, 4);
    let route = Route::choose(&shape, bits(1), bits(1));
    let make = |levels: &LevelTable| PlaneProduct::new(shape, &[1; 12], levels, bits(2), route);
    let error = |levels| make(&levels).unwrap_err().to_string();
    let even = LevelTable::affine(bits(1), 1, vec![0], vec![1.0]).unwrap();
    assert_eq!(
        error(even.clone()),
        "the levels of the weights are evenly spaced, expected sums of planes; use Product"
    );
    assert_eq!(error(levels(1, 2, 0)), "the levels of the weights have 2 rows, expected 1 or 3");
    let torn = LevelTable::Planes { bits: bits(1), offset: vec![0.0], scales: vec![] };
    assert_eq!(error(torn), "the levels of the weights have 0 scales, expected 1");
    let code = PlaneProduct::new(shape, &[2; 12], &levels(1, 1, 0), bits(2), route).unwrap_err();
    assert!(matches!(code, KernelError::Code { operand: "weights", code: 2, .. }));
    let product = make(&levels(1, 3, 0)).unwrap();
    let (mut packed, mut out, pool) = (product.activations(), [0.5; 6], Pool::new(1));
    assert!(matches!(packed.fill_codes(&[4; 8]), Err(KernelError::Code { index: 0, code: 4, .. })));
    assert!(matches!(packed.fill_codes(&[0; 7]), Err(KernelError::Length { expected: 8, found: 7, .. })));
    let mut run = |levels: &LevelTable, length: usize| product.run(&packed, levels, &mut out[..length], &pool);
    assert!(run(&even, 6).is_err());
    assert!(run(&levels(1, 1, 0), 6).unwrap_err().to_string().ends_with("are those of 1 bits, expected 2"));
    assert!(run(&levels(2, 3, 0), 6).is_err());
    assert!(run(&levels(2, 2, 0), 5).is_err());
    assert!(run(&levels(2, 2, 0), 6).is_ok());
    let other = PlaneProduct::new(shape, &[1; 12], &levels(1, 1, 0), bits(3), route).unwrap();
    assert!(product.run(&other.activations(), &levels(2, 1, 0), &mut out, &pool).is_err());
}
