//! Pooling of codes against the definition.

use proptest::prelude::*;

use super::{bits, codes};
use crate::{CodePooling, CodesOut, Conv2d, Grid, Isa, KernelError, Pool, Pooling, Product, Route};

/// The definition, pixel by pixel.
fn plain(shape: &Pooling, output: [usize; 2], falling: &[bool], codes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, y) in (0..shape.batch).flat_map(|n| (0..output[0]).map(move |y| (n, y))) {
        for (x, c) in (0..output[1]).flat_map(|x| (0..shape.channels).map(move |c| (x, c))) {
            let mut window = Vec::new();
            for (ky, kx) in (0..shape.kernel[0]).flat_map(|ky| (0..shape.kernel[1]).map(move |kx| (ky, kx))) {
                let row = (y * shape.stride[0] + ky).checked_sub(shape.padding[0]).filter(|&row| row < shape.height);
                let column = (x * shape.stride[1] + kx).checked_sub(shape.padding[1]).filter(|&x| x < shape.width);
                if let (Some(row), Some(column)) = (row, column) {
                    window.push(codes[((n * shape.height + row) * shape.width + column) * shape.channels + c]);
                }
            }
            let falls = falling.get(c).copied().unwrap_or(false);
            out.push(if falls { window.iter().min() } else { window.iter().max() }.copied().unwrap());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 200 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pooling_is_the_extremum_of_every_window(
        (batch, height, width) in (1usize..3, 1usize..8, 1usize..8),
        channels in prop_oneof![1usize..9, Just(64), Just(70), Just(if cfg!(miri) { 33 } else { 400 })],
        kernel in [1usize..4, 1usize..4], stride in [1usize..4, 1usize..4], padding in [0usize..2, 0usize..2],
        (ceil, with_falling) in (any::<bool>(), any::<bool>()), k in 1u8..=8, threads in 1usize..3, seed: u32,
    ) {
        let shape = Pooling { batch, height, width, channels, kernel, stride, padding, ceil };
        let falling: Vec<bool> = (0..if with_falling { channels } else { 0 }).map(|n| n % 3 != 1).collect();
        let Ok(output) = shape.output() else { return Ok(()) };
        let inputs = codes(batch * height * width * channels, bits(k), u64::from(seed));
        let expected = plain(&shape, output, &falling, &inputs);
        let pool = Pool::new(threads);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let pooling = CodePooling::new(shape, &falling, isa).unwrap();
            let mut out = vec![9; expected.len()];
            pooling.run(&inputs, CodesOut::Bytes(&mut out), &pool).unwrap();
            prop_assert_eq!(&out, &expected, "{}", isa);
        }
        for route in Route::available() {
            let conv = Conv2d { batch, height: output[0], width: output[1], ..Conv2d::same(1, 1, channels, 1, 3) };
            let next = Product::new(conv, &vec![1; conv.depth()], bits(1), bits(k), route, &Grid::codes()).unwrap();
            let mut packed = next.activations();
            let pooling = CodePooling::new(shape, &falling, route.isa).unwrap();
            pooling.run(&inputs, CodesOut::Packed(&mut packed), &pool).unwrap();
            let mut read = vec![9; expected.len()];
            packed.read_codes(&mut read).unwrap();
            prop_assert_eq!(&read, &expected, "{}", route);
        }
    }
}

#[test]
fn sizes_are_those_of_libtorch() {
    let pooling = |size, kernel, stride, padding, ceil| {
        let shape = Pooling {
            batch: 1,
            height: size,
            width: size,
            channels: 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            ceil,
        };
        shape.output().map(|[height, _]| height)
    };
    // torch.nn.MaxPool2d for the same arguments.
    assert_eq!(pooling(112, 3, 2, 1, false), Ok(56));
    assert_eq!(pooling(112, 3, 2, 0, true), Ok(56));
    assert_eq!(pooling(7, 2, 2, 0, true), Ok(4));
    assert_eq!(pooling(7, 2, 2, 1, true), Ok(4));
    // A last window that would start behind the image is left out.
    assert_eq!(pooling(3, 2, 4, 1, true), Ok(1));
    assert!(matches!(pooling(2, 3, 1, 0, false), Err(KernelError::Window { window: 3, input: 2, .. })));
    assert!(pooling(5, 3, 1, 2, false).unwrap_err().to_string().contains("at most half the window"));
    assert!(matches!(pooling(5, 3, 0, 1, false), Err(KernelError::Empty { .. })));
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Pooling {
        batch: 1,
        height: 2,
        width: 2,
        channels: 3,
        kernel: [2; 2],
        stride: [2; 2],
        padding: [0; 2],
        ceil: false,
    };
    assert!(CodePooling::new(shape, &[true], Isa::Portable).is_err());
    if let Some(isa) = Isa::ALL.into_iter().find(|isa| !isa.is_available()) {
        assert_eq!(CodePooling::new(shape, &[], isa).unwrap_err(), KernelError::UnavailableIsa { isa });
    }
    let pooling = CodePooling::new(shape, &[], Isa::Portable).unwrap();
    let (pool, mut out) = (Pool::new(1), [7; 3]);
    assert!(pooling.run(&[0; 11], CodesOut::Bytes(&mut out), &pool).is_err());
    assert!(pooling.run(&[0; 12], CodesOut::Bytes(&mut out[..2]), &pool).is_err());
    let route = Route::choose(&Conv2d::matrix(1, 1, 3), bits(1), bits(2));
    let next = Product::new(Conv2d::matrix(1, 1, 3), &[1; 3], bits(1), bits(2), route, &Grid::codes()).unwrap();
    let mut packed = next.activations();
    let error = pooling.run(&[4; 12], CodesOut::Packed(&mut packed), &pool).unwrap_err();
    assert_eq!(error.to_string(), "code 4 at index 0 of the codes does not fit 2 bits, expected at most 3");
    assert_eq!(out, [7; 3]);
}
