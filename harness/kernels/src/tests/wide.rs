//! Sums that need 64 bits.

use super::{bits, codes, grid, naive};
use crate::{Conv2d, Family, Grid, Isa, KernelError, Pool, Product, Quantize, Route, WideProduct};

fn check(route: Route, shape: Conv2d, kind: usize, all: Option<u8>, threads: usize) {
    let eight = bits(8);
    let count = shape.batch * shape.height * shape.width * shape.channels;
    let make = |count, seed| all.map_or_else(|| codes(count, eight, seed), |code| vec![code; count]);
    let (weights, activations) = (make(shape.outputs * shape.depth(), 1), make(count, 2));
    let grid = grid(kind, eight, shape.outputs);
    let product = WideProduct::new(shape, &weights, eight, eight, route, &grid).unwrap();
    let mut packed = product.activations();
    let expected = naive::conv2d(&shape, &activations, &weights, &grid);
    let pool = Pool::new(threads);
    let mut sums = vec![-1; expected.len()];
    packed.fill_codes(&activations).unwrap();
    product.run(&packed, &mut sums, &pool).unwrap();
    assert_eq!(sums, expected, "{route} {shape:?}");
    // The same codes from values; what was there before is overwritten.
    let values: Vec<f32> = activations.iter().map(|&code| f32::from(code)).collect();
    packed.fill(&values, &Quantize::Uniform { bits: eight, inverse: 1.0 }, &pool).unwrap();
    product.run(&packed, &mut sums, &pool).unwrap();
    assert_eq!(sums, expected, "{route} {shape:?}");
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn deep_products_are_exact() {
    for route in Route::available() {
        for depth in [40_000, 70_000] {
            for (kind, all) in [(0, Some(255)), (2, Some(0)), (2, None), (3, None)] {
                check(route, Conv2d::matrix(2, 3, depth), kind, all, 1);
            }
        }
        let groups = Conv2d { groups: 2, ..Conv2d::same(1, 2, 2 * 5_000, 4, 3) };
        check(route, groups, 3, None, 2);
    }
}

#[test]
fn shallow_products_are_one_slice() {
    let route = Route { family: Family::Int8, isa: Isa::Portable };
    check(route, Conv2d::same(1, 3, 7, 5, 3), 3, None, 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (eight, route) = (bits(8), Route { family: Family::Int8, isa: Isa::Portable });
    let make = |shape: Conv2d| {
        let weights = vec![0; shape.outputs * shape.depth()];
        WideProduct::new(shape, &weights, eight, eight, route, &Grid::codes())
    };
    let window = make(Conv2d { height: 200, width: 200, kernel: [200, 200], ..Conv2d::matrix(1, 1, 1) });
    assert_eq!(window.unwrap_err(), KernelError::Overflow { depth: 40_000, limit: 33_025 });
    let product = make(Conv2d::matrix(1, 2, 40_000)).unwrap();
    let other = make(Conv2d::matrix(1, 2, 40_001)).unwrap();
    let mut sums = [7; 2];
    let pool = Pool::new(1);
    assert!(product.run(&other.activations(), &mut sums, &pool).is_err());
    let shallow = make(Conv2d::matrix(1, 2, 20)).unwrap();
    let error = product.run(&shallow.activations(), &mut sums, &pool).unwrap_err();
    assert_eq!(error.to_string(), "slices of the activations has 1 elements, expected 2");
    assert!(product.run(&product.activations(), &mut sums[..1], &pool).is_err());
    assert_eq!(sums, [7; 2]);
    let mut packed = product.activations();
    assert!(matches!(packed.fill_codes(&[0; 3]), Err(KernelError::Length { expected: 40_000, found: 3, .. })));
    assert_eq!(packed.shape(), [1, 1, 1, 40_000]);
    let narrow = Product::new(Conv2d::matrix(1, 2, 40_000), &vec![0; 80_000], eight, eight, route, &Grid::codes());
    assert!(narrow.unwrap_err().to_string().ends_with("use WideProduct"));
}
