//! An instruction set is kept from end to end: quantizing, packing, tiles, epilogue.

use super::{bits, codes};
use crate::thresholds::Thresholds;
use crate::{Conv2d, Family, Grid, Isa, Output, PlaneProduct, Pool, Product, Quantize, Requantize, Route, WideProduct};
use crate::{levels::LevelTable, limits::Limit};

/// What comes out of all outputs of a product of two-bit weights and `a`-bit activations.
#[derive(Debug, PartialEq)]
struct Results {
    sums: Vec<i32>,
    scaled: Vec<f32>,
    codes: Vec<u8>,
    next_sums: Vec<i32>,
    wide: Vec<i64>,
    planes: Vec<f32>,
}

/// Runs everything on this thread.
fn results(route: Route, a: u8) -> Results {
    let (two, a, pool) = (bits(2), bits(a), Pool::new(1));
    // Tails in channels, padding, and several columns per row.
    let shape = Conv2d::same(1, 5, 70, 37, 3);
    let weights = codes(shape.outputs * shape.depth(), two, 3);
    // Corrections by the sums of codes and by border class.
    let grid = Grid { activation_zero: 1, ..Grid::symmetric_weights(two) };
    let product = Product::new(shape, &weights, two, a, route, &grid).unwrap();
    let mut packed = product.activations();
    let count: usize = packed.shape().iter().product();
    let inputs = codes(count, a, 4);
    let values: Vec<f32> = inputs.iter().map(|&code| f32::from(code) + 0.25).collect();
    let uniform = Quantize::Uniform { bits: a, inverse: 1.0 };
    let measured = Quantize::Thresholds { bits: a, boundaries: Thresholds::of(a, |x| uniform.code(x)) };
    packed.fill_codes(&inputs).unwrap();
    packed.fill(&values, &uniform, &pool).unwrap();
    packed.fill(&values, &measured, &pool).unwrap();
    let outputs = product.pixels() * shape.outputs;
    let (mut sums, mut scaled, mut next_codes) = (vec![0; outputs], vec![0.0; outputs], vec![0; outputs]);
    product.run(&packed, Output::Sums(&mut sums), &pool).unwrap();
    let output = Output::Scaled { out: &mut scaled, scale: &[0.5], bias: &[], relu: true };
    product.run(&packed, output, &pool).unwrap();
    let requantize = &Requantize::batch_norm(two, &vec![(3, 1); shape.outputs], 4, 1 << 20).unwrap();
    product.run(&packed, Output::Codes { out: &mut next_codes, requantize }, &pool).unwrap();
    let following = Conv2d::same(1, shape.height, shape.outputs, 5, 3);
    let next_weights = codes(following.outputs * following.depth(), two, 5);
    let next = Product::new(following, &next_weights, two, two, route, &grid).unwrap();
    let mut next_packed = next.activations();
    product.run(&packed, Output::Packed { out: &mut next_packed, requantize }, &pool).unwrap();
    let mut next_sums = vec![0; next.pixels() * 5];
    next.run(&next_packed, Output::Sums(&mut next_sums), &pool).unwrap();
    let wide_product = WideProduct::new(shape, &weights, two, a, route, &grid).unwrap();
    let (mut wide_packed, mut wide) = (wide_product.activations(), vec![0; outputs]);
    wide_packed.fill(&values, &uniform, &pool).unwrap();
    wide_product.run(&wide_packed, &mut wide, &pool).unwrap();
    let levels = |k: u8| LevelTable::planes(bits(k), vec![-0.5], vec![0.3; usize::from(k)]).unwrap();
    let plane_product = PlaneProduct::new(shape, &weights, &levels(2), a, route).unwrap();
    let (mut plane_packed, mut planes) = (plane_product.activations(), vec![0.0; outputs]);
    plane_packed.fill(&values, &uniform, &pool).unwrap();
    plane_product.run(&plane_packed, &levels(a.get()), &mut planes, &pool).unwrap();
    Results { sums, scaled, codes: next_codes, next_sums, wide, planes }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn all_instruction_sets_give_the_same_results() {
    for a in [1, 2, 4, 8] {
        let expected = results(Route { family: Family::Popcount, isa: Isa::Portable }, a);
        for route in Route::available() {
            assert_eq!(results(route, a), expected, "{route} a{a}");
        }
    }
}

/// The control of this test is that a vector route takes vector paths.
#[cfg(target_arch = "x86_64")]
#[test]
#[cfg_attr(miri, ignore = "large")]
fn portable_routes_take_no_vector_path() {
    use crate::vectors::probe;
    for route in Route::available() {
        for a in [2, 4] {
            let [vector, plain] = probe::during(|| drop(results(route, a)));
            match route.isa {
                Isa::Portable => assert!(vector == 0 && plain > 0, "{route}: {vector} vector paths"),
                _ => assert!(vector > 0 && plain == 0, "{route}: {plain} plain paths"),
            }
        }
    }
}

/// Every tile and limit that `InnerLoop::choose` can ask for has a function.
#[test]
#[cfg_attr(miri, ignore = "fills the buffers of hundreds of limits")]
fn every_loop_that_is_chosen_exists() {
    use crate::{arch, layout::Layout};
    for route in Route::available() {
        for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (bits(w), bits(a)))) {
            for pixels in [1, 100] {
                let inner = Layout::new(route, w, a, pixels).inner;
                for columns in 1..=inner.max_columns() {
                    for panels in [1, 2, 4].into_iter().filter(|&panels| panels <= inner.max_panels(columns)) {
                        // A loop that is missing would panic.
                        arch::tile(inner, columns, panels);
                    }
                }
                assert!(Limit::of(route, w, a, pixels).is_some());
            }
        }
    }
}
