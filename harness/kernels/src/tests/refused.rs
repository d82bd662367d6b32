//! What cannot be computed is refused, with the reason.

use crate::{Conv2d, Family, Grid, Isa, KernelError, Output, Pool, Product, Quantize, Requantize, Route, levels::Bits};

fn route() -> Route {
    Route { family: Family::Popcount, isa: Isa::Portable }
}

fn make(shape: Conv2d, weights: &[u8], k: u8) -> Result<Product, KernelError> {
    let bits = Bits::new(k).unwrap();
    Product::new(shape, weights, bits, bits, route(), &Grid::codes())
}

#[test]
fn shapes() {
    let empty = |shape| make(shape, &[], 1).unwrap_err().to_string();
    assert_eq!(empty(Conv2d::matrix(0, 1, 1)), "batch is 0, expected at least 1");
    assert_eq!(empty(Conv2d::matrix(1, 0, 1)), "output channels is 0, expected at least 1");
    assert_eq!(empty(Conv2d::matrix(1, 1, 0)), "input channels is 0, expected at least 1");
    let window = Conv2d { padding: [0, 0], ..Conv2d::same(1, 2, 1, 1, 3) };
    assert_eq!(empty(window), "a window of height 3 does not fit a padded input of 2");
    let groups = Conv2d { groups: 2, ..Conv2d::same(1, 4, 4, 3, 3) };
    assert_eq!(empty(groups), "3 output channels do not divide into 2 groups");
    assert_eq!(empty(Conv2d::matrix(1, usize::MAX, 2)), "the sizes do not fit the address space");
}

#[test]
fn weights() {
    let error = make(Conv2d::matrix(1, 2, 3), &[0; 5], 1).unwrap_err();
    assert_eq!(error, KernelError::Length { operand: "weights", expected: 6, found: 5 });
    let error = make(Conv2d::matrix(1, 2, 3), &[0, 1, 0, 2, 0, 0], 1).unwrap_err();
    assert_eq!(error.to_string(), "code 2 at index 3 of the weights does not fit 1 bits, expected at most 1");
    let shape = Conv2d::matrix(1, 1, 40_000);
    let error = make(shape, &vec![255; 40_000], 8).unwrap_err();
    assert_eq!(error, KernelError::Overflow { depth: 40_000, limit: 33_025 });
}

#[test]
fn activations_and_outputs() {
    let product = make(Conv2d::matrix(2, 3, 4), &[1; 12], 1).unwrap();
    let mut packed = product.activations();
    assert!(matches!(packed.fill_codes(&[0; 7]), Err(KernelError::Length { expected: 8, found: 7, .. })));
    assert!(matches!(packed.fill_codes(&[2; 8]), Err(KernelError::Code { index: 0, code: 2, .. })));
    let two = Quantize::Uniform { bits: Bits::new(2).unwrap(), inverse: 1.0 };
    assert!(matches!(packed.fill(&[0.0; 8], &two, &Pool::new(1)), Err(KernelError::Layout { .. })));
    let mut short = [0; 5];
    let pool = Pool::new(1);
    let error = product.run(&packed, Output::Sums(&mut short), &pool).unwrap_err();
    assert_eq!(error, KernelError::Length { operand: "output", expected: 6, found: 5 });
    let mut out = [0.0; 6];
    let scale = [1.0; 2];
    let scaled = Output::Scaled { out: &mut out, scale: &scale, bias: &[], relu: false };
    let error = product.run(&packed, scaled, &pool).unwrap_err();
    assert_eq!(error, KernelError::Length { operand: "scale", expected: 3, found: 2 });
    let other = make(Conv2d::matrix(2, 3, 5), &[1; 15], 1).unwrap();
    let mut sums = [0; 6];
    let error = product.run(&other.activations(), Output::Sums(&mut sums), &pool).unwrap_err();
    assert!(matches!(error, KernelError::Layout { .. }), "{error}");
}

#[test]
fn epilogues() {
    let one = Bits::new(1).unwrap();
    assert!(Requantize::batch_norm(one, &[(1, 0)], 63, 1).is_err());
    assert!(Requantize::batch_norm(one, &[(i64::MAX, 1)], 3, 2).is_err());
    assert!(Requantize::batch_norm(one, &[(i64::MIN, 1)], 3, 2).is_err());
    assert!(Requantize::thresholds(one, &[0, 1], &[false]).is_err());
}
