//! Products of f32 numbers against a plain loop in the documented order, bit by bit.

use proptest::prelude::*;

use super::bits;
use crate::{
    Clip, CodesOut, Conv2d, FloatProduct, Isa, KernelError, LayerCodes, LayerOutput, Pool, Quantize, Residual, Rows,
};

/// Numbers of all sizes, so that every addition rounds.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let number = |i: u32| {
        let mixed = i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d);
        (mixed as i32 as f32) * [1e-9, 3e-7, 2e-5, 0.0][(mixed >> 3) as usize % 4]
    };
    (0..count as u32).map(number).collect()
}

/// Sums in f64 by `(tap, channel)`, rounded once.
fn plain(shape: &Conv2d, input: &[f32], weights: &[f32]) -> Vec<f32> {
    let [height, width] = shape.output().unwrap();
    let (channels, outputs) = (shape.channels / shape.groups, shape.outputs / shape.groups);
    let mut results = Vec::new();
    for (n, y) in (0..shape.batch).flat_map(|n| (0..height).map(move |y| (n, y))) {
        for (x, o) in (0..width).flat_map(|x| (0..shape.outputs).map(move |o| (x, o))) {
            let mut sum = 0.0f64;
            for (ky, kx) in (0..shape.kernel[0]).flat_map(|ky| (0..shape.kernel[1]).map(move |kx| (ky, kx))) {
                let row = (y * shape.stride[0] + ky * shape.dilation[0]).checked_sub(shape.padding[0]);
                let column = (x * shape.stride[1] + kx * shape.dilation[1]).checked_sub(shape.padding[1]);
                let (Some(row), Some(column)) = (row, column) else { continue };
                if row >= shape.height || column >= shape.width {
                    continue;
                }
                for c in 0..channels {
                    let a = input[((n * shape.height + row) * shape.width + column) * shape.channels
                        + o / outputs * channels
                        + c];
                    let w = weights[((o * channels + c) * shape.kernel[0] + ky) * shape.kernel[1] + kx];
                    sum += f64::from(a) * f64::from(w);
                }
            }
            results.push(sum as f32);
        }
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 80 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn float_products_are_summed_in_f64_and_rounded_once(
        (batch, height, width) in (1usize..3, 3usize..8, 3usize..8), (channels, outputs) in (1usize..9, 1usize..40),
        groups in 1usize..3, kernel in [1usize..4, 1usize..4], stride in [1usize..3, 1usize..3],
        padding in [0usize..3, 0usize..3], dilation in [1usize..2, 1usize..3], threads in 1usize..3, seed: u32,
    ) {
        let shape = Conv2d {
            batch, height, width, channels: groups * channels, outputs: groups * outputs, kernel, stride, padding, dilation, groups,
        };
        let Ok([out_height, out_width]) = shape.output() else { return Ok(()) };
        let input = numbers(batch * height * width * shape.channels, seed);
        let weights = numbers(shape.outputs * shape.depth(), seed ^ 1);
        let sums = plain(&shape, &input, &weights);
        let bias = numbers(shape.outputs, 5);
        let values: Vec<f32> = sums.iter().enumerate().map(|(at, sum)| (sum * 0.7 + bias[at % shape.outputs]).max(-3.0)).collect();
        let quantize = Quantize::Uniform { bits: bits(3), inverse: 0.9 };
        let expected: Vec<u8> = values.iter().map(|&v| quantize.code(v)).collect();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let product = FloatProduct::new(shape, &weights, isa).unwrap();
            prop_assert_eq!(product.output(), [out_height, out_width]);
            let (mut out, mut codes) = (vec![f32::NAN; sums.len()], vec![9; sums.len()]);
            let layer = LayerOutput {
                scale: &[0.7],
                bias: &bias,
                residual: Residual::None,
                clip: Clip::Between { low: -3.0, high: f32::INFINITY },
                values: Some(Rows { data: &mut out, stride: shape.outputs, first: 0 }),
                codes: [Some(LayerCodes { scale: &[], bias: &[], quantize: &quantize, out: CodesOut::Bytes(&mut codes) }), None],
            };
            product.run(&input, layer, &Pool::new(threads)).unwrap();
            prop_assert!(out.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())), "{} {:?}", isa, shape);
            prop_assert_eq!(&codes, &expected, "{}", isa);
        }
    }
}

/// More channels than are finished at a time.
#[test]
#[cfg_attr(miri, ignore = "large")]
fn wide_layers() {
    let shape = Conv2d::matrix(5, 801, 70);
    let (input, weights) = (numbers(5 * 70, 3), numbers(801 * 70, 4));
    let expected = plain(&shape, &input, &weights);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut out = vec![f32::NAN; expected.len()];
        let layer = LayerOutput {
            scale: &[1.0],
            bias: &[],
            residual: Residual::None,
            clip: Clip::None,
            values: Some(Rows { data: &mut out, stride: 801, first: 0 }),
            codes: [None, None],
        };
        FloatProduct::new(shape, &weights, isa).unwrap().run(&input, layer, &Pool::new(2)).unwrap();
        assert_eq!(out, expected, "{isa}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Conv2d::matrix(2, 3, 4);
    assert!(matches!(
        FloatProduct::new(shape, &[0.0; 11], Isa::Portable),
        Err(KernelError::Length { operand: "weights", expected: 12, found: 11 })
    ));
    let error = FloatProduct::new(shape, &[f32::NAN; 12], Isa::Portable).unwrap_err();
    assert!(error.to_string().contains("not finite"));
    let product = FloatProduct::new(shape, &[0.0; 12], Isa::Portable).unwrap();
    let mut out = [7.0; 6];
    let mut run = |input: &[f32], stride| {
        let values = Some(Rows { data: &mut out, stride, first: 0 });
        let layer = LayerOutput {
            scale: &[1.0],
            bias: &[],
            residual: Residual::None,
            clip: Clip::None,
            values,
            codes: [None, None],
        };
        product.run(input, layer, &Pool::new(1))
    };
    assert!(run(&[0.0; 7], 3).is_err());
    assert!(run(&[0.0; 8], 4).is_err());
    assert!(run(&[0.0; 8], 3).is_ok());
}
