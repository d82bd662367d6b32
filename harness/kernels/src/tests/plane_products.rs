//! Planes with scales of their own: compared with f64 within the documented bound, and bit by bit with f32 in the
//! documented order of operations.

use proptest::prelude::*;

use super::{bits, codes, naive};
use crate::levels::LevelTable;
use crate::{Conv2d, KernelError, PlaneProduct, Pool, Quantize, Route, Terms};

/// Levels that no grid has: scales of both signs, offsets of any size.
fn levels(k: u8, rows: usize, seed: usize) -> LevelTable {
    let number = |i: usize| ((i * 37 + seed * 101) as f32 * 0.713).sin() * 1.7;
    let offset = (0..rows).map(|row| number(row + 1000)).collect();
    let scales = (0..rows * usize::from(k)).map(number).collect();
    LevelTable::planes(bits(k), offset, scales).unwrap()
}

/// Evenly spaced levels: the zero differs by row only if `zeros` does.
fn affine(k: u8, rows: usize, step: i32, zeros: [i32; 2], seed: usize) -> LevelTable {
    let scale = (0..rows).map(|row| ((row * 37 + seed * 101) as f32 * 0.713).cos() * 1.3).collect();
    LevelTable::affine(bits(k), step, (0..rows).map(|row| zeros[row % 2]).collect(), scale).unwrap()
}

/// Offset and scales of a row.
fn parts(levels: &LevelTable, row: usize) -> (f32, Vec<f32>) {
    match levels {
        LevelTable::Planes { bits, offset, scales } => {
            let (row, k) = (row % offset.len(), usize::from(bits.get()));
            (offset[row], scales[row * k..(row + 1) * k].to_vec())
        }
        LevelTable::Affine { scale, .. } => (0.0, vec![scale[row % scale.len()]]),
        LevelTable::Table { .. } => panic!("a codebook"),
    }
}

/// The integer that a scale is multiplied to.
fn integer(levels: &LevelTable, row: usize, term: usize, code: u8) -> i64 {
    match levels {
        LevelTable::Affine { step, zero, .. } => i64::from(step * i32::from(code) - zero[row % zero.len()]),
        _ => i64::from(code >> term & 1),
    }
}

fn check(shape: Conv2d, weight_levels: &LevelTable, activation_levels: &LevelTable, seed: usize, threads: usize) {
    let (w, a) = (weight_levels.bits(), activation_levels.bits());
    let weights = codes(shape.outputs * shape.depth(), w, seed as u64);
    let inputs = codes(shape.batch * shape.height * shape.width * shape.channels, a, seed as u64 + 1);
    // All integers by the definition: the sums over terms, and over ones in the place of a term.
    let (depth, image_codes) = (shape.depth(), inputs.len() / shape.batch);
    let weight = |term: Option<usize>| {
        let weights = &weights;
        move |at: usize| term.map_or(1, |term| integer(weight_levels, at / depth, term, weights[at]))
    };
    let activation = |term: Option<usize>| {
        let inputs = &inputs;
        move |at: usize| term.map_or(1, |term| integer(activation_levels, at / image_codes, term, inputs[at]))
    };
    let count = |j: Option<usize>, i: Option<usize>| naive::conv2d_of(&shape, activation(j), weight(i));
    let terms = |levels: &LevelTable| 0..parts(levels, 0).1.len();
    let pairs: Vec<Vec<Vec<i64>>> =
        terms(weight_levels).map(|i| terms(activation_levels).map(|j| count(Some(j), Some(i))).collect()).collect();
    let input_sums: Vec<Vec<i64>> = terms(activation_levels).map(|j| count(Some(j), None)).collect();
    let weight_sums: Vec<Vec<i64>> = terms(weight_levels).map(|i| count(None, Some(i))).collect();
    let places = count(None, None);
    let pixels = places.len() / shape.outputs / shape.batch;
    let mut expected = Vec::new();
    for at in 0..places.len() {
        let (image, n) = (at / shape.outputs / pixels, at % shape.outputs);
        let ((o_w, s), (o_a, t)) = (parts(weight_levels, n), parts(activation_levels, image));
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
        let bound = (s.len() * t.len() + s.len() + t.len() + 8) as f64 * magnitude / f64::from(1 << 24);
        assert!((f64::from(y) - exact).abs() <= bound, "{y} for {exact}, bound {bound}");
        expected.push(y.to_bits());
    }
    let terms = match *activation_levels {
        LevelTable::Affine { bits, step, ref zero, .. } => Terms::Whole { bits, step, zero: zero[0] },
        _ => Terms::Planes(a),
    };
    for route in Route::available() {
        let product = PlaneProduct::mixed(shape, &weights, weight_levels, terms, route).unwrap();
        let mut packed = product.activations();
        let pool = Pool::new(threads);
        let mut out = vec![f32::NAN; expected.len()];
        packed.fill_codes(&inputs).unwrap();
        product.run(&packed, activation_levels, &mut out, &pool).unwrap();
        assert!(out.iter().map(|y| y.to_bits()).eq(expected.iter().copied()), "{route} w{w}a{a} {shape:?}");
        let values: Vec<f32> = inputs.iter().map(|&code| f32::from(code)).collect();
        packed.fill(&values, &Quantize::Uniform { bits: a, inverse: 1.0 }, &pool).unwrap();
        out.fill(f32::NAN);
        product.run(&packed, activation_levels, &mut out, &pool).unwrap();
        assert!(out.iter().map(|y| y.to_bits()).eq(expected.iter().copied()), "{route} w{w}a{a} {shape:?}");
    }
}

/// Planes by planes, with levels that no grid has.
fn check_planes(shape: Conv2d, w: u8, a: u8, by_output: bool, by_image: bool, seed: usize, threads: usize) {
    let weight_levels = levels(w, if by_output { shape.outputs } else { 1 }, seed);
    let activation_levels = levels(a, if by_image { shape.batch } else { 1 }, seed + 7);
    check(shape, &weight_levels, &activation_levels, seed, threads);
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
        check_planes(shape, w, a, by_output, by_image, seed, threads);
    }

    /// One of the operands is evenly spaced.
    #[test]
    fn planes_by_whole_codes(
        (batch, size, channels) in (1usize..4, 1usize..6, 1usize..(if cfg!(miri) { 5 } else { 80 })), outputs in 1usize..9,
        groups in 1usize..3, kernel in prop_oneof![Just(1usize), Just(3)], stride in 1usize..3,
        (w, a) in (1u8..=8, 1u8..=4), whole_weights: bool, by_output: bool, by_image: bool,
        (step, zeros) in (1i32..3, [-3i32..20, -3i32..20]), seed in 0usize..1000, threads in 1usize..3,
    ) {
        let shape = Conv2d {
            groups,
            stride: [stride; 2],
            ..Conv2d::same(batch, size, groups * channels, groups * outputs, kernel)
        };
        let (outputs, images) = (if by_output { shape.outputs } else { 1 }, if by_image { batch } else { 1 });
        if whole_weights {
            check(shape, &affine(w, outputs, step, zeros, seed), &levels(a, images, seed), seed, threads);
        } else {
            // A zero for all images, and the widest codes for activations.
            check(shape, &levels(a, outputs, seed), &affine(w, images, step, [zeros[0]; 2], seed), seed, threads);
        }
    }
}

#[test]
fn eight_planes_by_eight() {
    check_planes(Conv2d::matrix(2, 3, 70), 8, 8, true, true, 3, 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Conv2d::matrix(2, 3, 4);
    let route = Route::choose(&shape, bits(1), bits(1));
    let make = |levels: &LevelTable| PlaneProduct::new(shape, &[1; 12], levels, bits(2), route);
    let error = |levels| make(&levels).unwrap_err().to_string();
    let even = LevelTable::affine(bits(1), 1, vec![0], vec![1.0]).unwrap();
    let whole = Terms::Whole { bits: bits(2), step: 1, zero: 2 };
    let both = PlaneProduct::mixed(shape, &[1; 12], &even, whole, route).unwrap_err();
    assert_eq!(
        both.to_string(),
        "the levels of the weights are evenly spaced like those of the activations; use Product"
    );
    let codebook = LevelTable::table(bits(1), vec![0.0, 1.0]).unwrap();
    assert_eq!(
        error(codebook),
        "the levels of the weights are a codebook, expected sums of planes or evenly spaced levels"
    );
    let torn = LevelTable::Affine { bits: bits(1), step: 1, zero: vec![], scale: vec![1.0] };
    assert_eq!(error(torn), "the levels of the weights have 0 zeros, expected 1");
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
    let mixed = PlaneProduct::mixed(shape, &[1; 12], &levels(1, 1, 0), whole, route).unwrap();
    let even = |step, zero| LevelTable::affine(bits(2), step, vec![zero], vec![1.0]).unwrap();
    let mut run = |levels: &LevelTable| mixed.run(&mixed.activations(), levels, &mut out, &pool);
    assert!(run(&even(1, 2)).is_ok());
    assert_eq!(
        run(&even(1, 3)).unwrap_err().to_string(),
        "the levels of the activations have step 1 and zero 3, expected step 1 and zero 2"
    );
    assert!(run(&levels(2, 1, 0)).unwrap_err().to_string().contains("expected evenly spaced ones"));
    assert!(product.run(&mixed.activations(), &levels(2, 1, 0), &mut out, &pool).is_err());
    let other = PlaneProduct::new(shape, &[1; 12], &levels(1, 1, 0), bits(3), route).unwrap();
    assert!(product.run(&other.activations(), &levels(2, 1, 0), &mut out, &pool).is_err());
}
