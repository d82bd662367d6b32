//! The epilogue of a layer against a plain loop that does the documented arithmetic, bit by bit.

use proptest::prelude::*;

use super::{bits, codes, naive};
use crate::thresholds::Thresholds;
use crate::{Activations, Clip, CodesOut, Conv2d, Grid, KernelError, LayerCodes, LayerOutput, Output, Pool, Product};
use crate::{Quantize, Residual, Route, Rows};

/// A quantizer of `k` bits; the first two meet ties, because what they quantize is a multiple of a quarter.
fn quantizer(kind: usize, k: u8) -> Quantize {
    let bits = bits(k);
    match kind {
        0 => Quantize::Uniform { bits, inverse: 0.25 },
        1 => Quantize::UniformTiesToZero { bits, inverse: 0.25 },
        2 => Quantize::Uniform { bits, inverse: 0.377 },
        _ => {
            let uniform = Quantize::UniformTiesToZero { bits, inverse: 0.71 };
            Quantize::Thresholds { bits, boundaries: Thresholds::of(bits, |x| uniform.code(x - 1.5)) }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    shape: Conv2d,
    w: u8,
    a: u8,
    next: u8,
    /// Which of the residuals: none, of another tensor, in place.
    residual: usize,
    clip: Clip,
    quantizer: usize,
    /// Whether scales are powers of two, so that sums meet ties and exact zeros.
    even: bool,
    single_scale: bool,
    with_bias: bool,
    /// Channels before and after those of the output in its tensor.
    around: [usize; 2],
    threads: usize,
    seed: u64,
}

impl Case {
    /// Numbers of both signs by channel: those of odd channels fall as the sum grows.
    fn by_channel(&self, kind: usize) -> Vec<f32> {
        let number = |n: usize| {
            let sign = if (n + kind) % 3 == 1 { -1.0 } else { 1.0 };
            let size = if self.even { [0.25, 0.5, 1.0, 0.0][n % 4] } else { ((n * 7 + kind) as f32).sin() * 1.3 };
            sign * size
        };
        (0..self.shape.outputs).map(number).collect()
    }
}

/// The results of one output: the values and both lists of codes.
type Expected = (Vec<f32>, [Vec<u8>; 2]);

/// The documented arithmetic, one operation after the other.
fn expected(case: &Case, sums: &[i64], residual: &[f32], lines: &[Vec<f32>; 4], rules: &[Quantize; 2]) -> Expected {
    let [scale, bias, code_scale, code_bias] = lines;
    let mut values = Vec::new();
    let mut codes = [Vec::new(), Vec::new()];
    for (at, &sum) in sums.iter().enumerate() {
        let n = at % case.shape.outputs;
        let mut v = sum as f32 * scale[n % scale.len()];
        if let Some(bias) = bias.get(n) {
            v += bias;
        }
        if case.residual > 0 {
            v += residual[at];
        }
        v = match case.clip {
            Clip::None => v,
            Clip::Relu => v.max(0.0) + 0.0,
            Clip::Between { low, high } => v.clamp(low, high),
        };
        values.push(v);
        codes[0].push(rules[0].code(v));
        let moved = v * code_scale[n];
        codes[1].push(rules[1].code(moved + code_bias[n]));
    }
    (values, codes)
}

fn check(case: Case) {
    let (shape, outputs) = (case.shape, case.shape.outputs);
    let (w, a, next) = (bits(case.w), bits(case.a), bits(case.next));
    let weights = codes(outputs * shape.depth(), w, case.seed);
    let inputs = codes(shape.batch * shape.height * shape.width * shape.channels, a, case.seed + 1);
    let grid = Grid { activation_zero: (case.seed % 3) as i32, ..Grid::symmetric_weights(w) };
    let sums = naive::conv2d(&shape, &inputs, &weights, &grid);
    let pixels = sums.len() / outputs;
    let residual: Vec<f32> =
        (0..sums.len()).map(|i| if case.even { (i % 9) as f32 - 4.5 } else { (i as f32).cos() * 20.0 }).collect();
    let mut lines = [0, 1, 2, 3].map(|kind| case.by_channel(kind));
    if case.single_scale {
        lines[0].truncate(1);
    }
    if !case.with_bias {
        lines[1].clear();
    }
    let rules = [quantizer(case.quantizer, case.next), quantizer((case.quantizer + 1) % 4, case.next)];
    let (values, expected_codes) = expected(&case, &sums, &residual, &lines, &rules);
    // The residual and the output lie between other channels, which nothing may change.
    let [before, after] = case.around;
    let stride = before + outputs + after;
    let spread = |row: &[f32]| {
        let rows = row.chunks_exact(outputs);
        rows.flat_map(|row| [vec![77.0; before], row.to_vec(), vec![-77.0; after]].concat()).collect::<Vec<f32>>()
    };
    let (wide_residual, wide_values) = (spread(&residual), spread(&values));
    let pool = Pool::new(case.threads);
    for route in Route::available() {
        let product = Product::new(shape, &weights, w, a, route, &grid).unwrap();
        let mut packed = product.activations();
        packed.fill_codes(&inputs).unwrap();
        // The first codes go to a layer with padding, the second to one that skips pixels.
        let [height, width] = product.output();
        let following = |kernel: usize, stride: usize| {
            let conv = Conv2d {
                batch: shape.batch,
                height,
                width,
                stride: [stride; 2],
                ..Conv2d::same(1, 1, outputs, 3, kernel)
            };
            Product::new(conv, &vec![1; 3 * conv.depth()], bits(1), next, route, &Grid::codes()).unwrap().activations()
        };
        let (mut first, mut second) = (following(3, 1), following(1, 2));
        let mut out = if case.residual == 2 { wide_residual.clone() } else { spread(&vec![f32::NAN; values.len()]) };
        let source = match case.residual {
            0 => Residual::None,
            1 => Residual::Rows { data: &wide_residual, stride, first: before },
            _ => Residual::InPlace,
        };
        let [scale, bias, code_scale, code_bias] = &lines;
        let layer = LayerOutput {
            scale,
            bias,
            residual: source,
            clip: case.clip,
            values: Some(Rows { data: &mut out, stride, first: before }),
            codes: [
                Some(LayerCodes { scale: &[], bias: &[], quantize: &rules[0], out: CodesOut::Packed(&mut first) }),
                Some(LayerCodes {
                    scale: code_scale,
                    bias: code_bias,
                    quantize: &rules[1],
                    out: CodesOut::Packed(&mut second),
                }),
            ],
        };
        product.run(&packed, Output::Layer(layer), &pool).unwrap();
        let same = out.iter().zip(&wide_values).all(|(out, expected)| out.to_bits() == expected.to_bits());
        assert!(same, "{route} {case:?}\n{out:?}\n{wide_values:?}");
        let mut read = vec![9; values.len()];
        first.read_codes(&mut read).unwrap();
        assert_eq!(read, expected_codes[0], "{route} {case:?}");
        read.fill(9);
        second.read_codes(&mut read).unwrap();
        for pixel in 0..pixels {
            let range = pixel * outputs..(pixel + 1) * outputs;
            let stored = second.stores(pixel);
            let expected = if stored { &expected_codes[1][range.clone()] } else { &vec![9; outputs][..] };
            assert_eq!(&read[range], expected, "{route} {case:?}, pixel {pixel}");
        }
        // Codes in bytes, and no values.
        let mut bytes = vec![9; values.len()];
        let residual = if case.residual == 0 {
            Residual::None
        } else {
            Residual::Rows { data: &residual, stride: outputs, first: 0 }
        };
        let codes = LayerCodes { scale: &[], bias: &[], quantize: &rules[0], out: CodesOut::Bytes(&mut bytes) };
        let layer = LayerOutput { scale, bias, residual, clip: case.clip, values: None, codes: [None, Some(codes)] };
        product.run(&packed, Output::Layer(layer), &pool).unwrap();
        assert_eq!(bytes, expected_codes[0], "{route} {case:?}");
    }
}

const MIRI: bool = cfg!(miri);

proptest! {
    #![proptest_config(ProptestConfig { cases: if MIRI { 2 } else { 60 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers_equal_the_documented_arithmetic(
        (size, channels, outputs) in (1usize..if MIRI { 2 } else { 6 }, 1usize..if MIRI { 5 } else { 70 }, 1usize..if MIRI { 5 } else { 140 }),
        kernel in prop_oneof![Just(1usize), Just(3)], stride in 1usize..3,
        (w, a, next) in (1u8..=if MIRI { 2 } else { 8 }, 1u8..=if MIRI { 2 } else { 8 }, 1u8..=if MIRI { 2 } else { 8 }),
        (residual, quantizer) in (0usize..3, 0usize..4),
        clip in prop_oneof![Just(Clip::None), Just(Clip::Relu), Just(Clip::Between { low: -1.5, high: 6.0 })],
        (even, single_scale, with_bias) in (any::<bool>(), any::<bool>(), any::<bool>()),
        around in [0usize..3, 0usize..3], threads in 1usize..3, seed in 0u64..1_000_000,
    ) {
        let shape = Conv2d { stride: [stride; 2], ..Conv2d::same(2, size, channels, outputs, kernel) };
        check(Case { shape, w, a, next, residual, clip, quantizer, even, single_scale, with_bias, around, threads, seed });
    }

    /// Codes come back from every layout as they went in, with groups and padding.
    #[test]
    fn codes_are_read_back(
        size in 1usize..4, channels in 1usize..if MIRI { 5 } else { 140 }, groups in 1usize..3, (w, a) in (1u8..=8, 1u8..=8),
        kernel in 1usize..4, seed: u32,
    ) {
        let shape = Conv2d { groups, ..Conv2d::same(2, size + 2, groups * channels, groups, kernel) };
        let inputs = codes(2 * (size + 2) * (size + 2) * shape.channels, bits(a), u64::from(seed));
        for route in Route::available() {
            let weights = vec![0; shape.outputs * shape.depth()];
            let product = Product::new(shape, &weights, bits(w), bits(a), route, &Grid::codes()).unwrap();
            let mut packed = product.activations();
            // What was there before is overwritten.
            packed.fill_codes(&vec![bits(a).max_code(); inputs.len()]).unwrap();
            packed.fill_codes(&inputs).unwrap();
            let mut read = vec![1; inputs.len()];
            packed.read_codes(&mut read).unwrap();
            prop_assert_eq!(&read, &inputs, "{} w{}a{}", route, w, a);
        }
    }

    #[test]
    fn another_batch_is_the_same_product(
        first in 1usize..12, second in 1usize..12, (w, a) in (1u8..=4, 1u8..=4), seed: u32,
    ) {
        let shape = |batch| Conv2d::same(batch, 2, 9, 5, 3);
        let weights = codes(5 * shape(1).depth(), bits(w), u64::from(seed));
        let inputs = codes(second * 4 * 9, bits(a), u64::from(seed) + 1);
        let grid = Grid { activation_zero: 1, ..Grid::symmetric_weights(bits(w)) };
        let expected = naive::conv2d(&shape(second), &inputs, &weights, &grid);
        for route in Route::available() {
            let product = Product::new(shape(first), &weights, bits(w), bits(a), route, &grid).unwrap();
            let other = product.with_batch(second).unwrap();
            let mut packed = other.activations();
            packed.fill_codes(&inputs).unwrap();
            let mut sums = vec![0; expected.len()];
            other.run(&packed, Output::Sums(&mut sums), &Pool::new(1)).unwrap();
            prop_assert!(sums.iter().map(|&x| i64::from(x)).eq(expected.iter().copied()), "{}", route);
            prop_assert!(other.with_batch(0).is_err());
            prop_assert_eq!(first == second, product.run(&packed, Output::Sums(&mut sums), &Pool::new(1)).is_ok());
        }
    }
}

/// More channels than are finished at a time.
#[test]
#[cfg_attr(miri, ignore = "large")]
fn wide_layers() {
    let case = Case {
        shape: Conv2d::same(1, 3, 20, 801, 1),
        w: 2,
        a: 2,
        next: 3,
        residual: 1,
        clip: Clip::Relu,
        quantizer: 0,
        even: true,
        single_scale: false,
        with_bias: true,
        around: [1, 2],
        threads: 3,
        seed: 4,
    };
    for (residual, quantizer) in (0..3).flat_map(|residual| (0..4).map(move |quantizer| (residual, quantizer))) {
        check(Case { residual, quantizer, ..case });
    }
}

/// Values that are no numbers, infinite or far beyond the largest code, in whole vectors and in tails, have the same codes as
/// one by one.
#[test]
fn values_beyond_all_codes() {
    let shape = Conv2d::matrix(3, 83, 5);
    let (w, a) = (bits(2), bits(3));
    let weights = codes(shape.outputs * shape.depth(), w, 1);
    let inputs = codes(15, a, 2);
    let grid = Grid::symmetric_weights(w);
    let sums = naive::conv2d(&shape, &inputs, &weights, &grid);
    let extremes = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38, 1e10, -1e10, 0.0, -0.0, 0.5, 1e-40];
    let scale: Vec<f32> = (0..shape.outputs).map(|n| extremes[n % extremes.len()]).collect();
    for route in Route::available() {
        let product = Product::new(shape, &weights, w, a, route, &grid).unwrap();
        let mut packed = product.activations();
        packed.fill_codes(&inputs).unwrap();
        for (kind, next, clip) in
            (0..4).flat_map(|kind| [(kind, 2, Clip::None), (kind, 8, Clip::None), (kind, 3, Clip::Relu)])
        {
            let quantize = quantizer(kind, next);
            let value = |at: usize| {
                let v = sums[at] as f32 * scale[at % shape.outputs];
                if clip == Clip::Relu && (v.is_nan() || v <= 0.0) { 0.0 } else { v }
            };
            let expected: Vec<u8> = (0..sums.len()).map(|at| quantize.code(value(at))).collect();
            let mut out = vec![9; sums.len()];
            let codes = [coded(&quantize, CodesOut::Bytes(&mut out)), None];
            let layer = LayerOutput { scale: &scale, clip, codes, ..blank() };
            product.run(&packed, Output::Layer(layer), &Pool::new(1)).unwrap();
            assert_eq!(out, expected, "{route} {quantize:?}");
        }
    }
}

/// An output that asks for nothing.
fn blank() -> LayerOutput<'static> {
    LayerOutput {
        scale: &[1.0],
        bias: &[],
        residual: Residual::None,
        clip: Clip::None,
        values: None,
        codes: [None, None],
    }
}

fn coded<'a>(quantize: &'a Quantize, out: CodesOut<'a>) -> Option<LayerCodes<'a>> {
    Some(LayerCodes { scale: &[], bias: &[], quantize, out })
}

fn refused(product: &Product, packed: &Activations, layer: LayerOutput<'_>) -> KernelError {
    product.run(packed, Output::Layer(layer), &Pool::new(1)).unwrap_err()
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Conv2d::matrix(2, 3, 4);
    let route = Route::choose(&shape, bits(1), bits(1));
    let product = Product::new(shape, &[1; 12], bits(1), bits(1), route, &Grid::codes()).unwrap();
    let packed = product.activations();
    let quantize = Quantize::Uniform { bits: bits(2), inverse: 1.0 };
    assert!(matches!(
        refused(&product, &packed, LayerOutput { scale: &[], ..blank() }),
        KernelError::Length { operand: "scale", .. }
    ));
    assert!(matches!(
        refused(&product, &packed, LayerOutput { bias: &[1.0; 2], ..blank() }),
        KernelError::Length { operand: "bias", .. }
    ));
    let (mut data, mut bytes) = ([0.0; 8], [0; 5]);
    let values = Some(Rows { data: &mut data, stride: 4, first: 2 });
    assert_eq!(
        refused(&product, &packed, LayerOutput { values, ..blank() }).to_string(),
        "3 channels from channel 2 do not fit the 4 channels of the output"
    );
    let values = Some(Rows { data: &mut data, stride: 5, first: 2 });
    assert_eq!(
        refused(&product, &packed, LayerOutput { values, ..blank() }).to_string(),
        "output has 8 elements, expected 10"
    );
    let residual = Residual::Rows { data: &[0.0; 5], stride: 3, first: 0 };
    assert_eq!(
        refused(&product, &packed, LayerOutput { residual, ..blank() }).to_string(),
        "residual has 5 elements, expected 6"
    );
    let in_place = LayerOutput { residual: Residual::InPlace, ..blank() };
    assert!(refused(&product, &packed, in_place).to_string().starts_with("a residual in place needs values"));
    let clip = Clip::Between { low: 1.0, high: f32::NAN };
    assert!(refused(&product, &packed, LayerOutput { clip, ..blank() }).to_string().contains("expected low <= high"));
    assert_eq!(
        refused(
            &product,
            &packed,
            LayerOutput { codes: [None, coded(&quantize, CodesOut::Bytes(&mut bytes))], ..blank() }
        )
        .to_string(),
        "codes has 5 elements, expected 6"
    );
    let mut other = product.activations();
    let wrong = LayerOutput { codes: [None, coded(&quantize, CodesOut::Packed(&mut other))], ..blank() };
    assert!(refused(&product, &packed, wrong).to_string().starts_with("activations are packed as 1-bit codes"));
    let mut short = [0; 7];
    assert!(packed.read_codes(&mut short).is_err());
    assert!(packed.stores(1) && !packed.stores(2));
}
