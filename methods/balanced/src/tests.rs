//! The method against its text, its oracles and its edges.

use super::*;
use crate::partition::{is_min, is_min_on_device};
use crate::reference::{equalize, rtz};
use harness_method_core::conformance::{Variant, everything};
use harness_method_core::statistics::Statistics;
use harness_method_core::{Bits, LevelTable, OptionValue, StepContext};
use harness_torch::random;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

const STEP: StepContext = StepContext { step: 0, total: 10, seed: 7, training: true };

/// Every combination of options that weights have.
const VARIANTS: [&[(&str, &str)]; 9] = [
    &[("threshold", "median"), ("scale", "max"), ("rounding", "leaf")],
    &[("threshold", "median"), ("scale", "max"), ("rounding", "literal")],
    &[("threshold", "median"), ("scale", "mean"), ("rounding", "leaf")],
    &[("threshold", "median"), ("scale", "mean"), ("rounding", "literal")],
    &[("threshold", "mean"), ("scale", "max"), ("rounding", "leaf")],
    &[("threshold", "mean"), ("scale", "max"), ("rounding", "literal")],
    &[("threshold", "mean"), ("scale", "mean"), ("rounding", "leaf")],
    &[("threshold", "mean"), ("scale", "mean"), ("rounding", "literal")],
    &[("scale", "mean"), ("mean_form", "tanh")],
];

fn values(given: &[(&str, &str)]) -> Vec<(&'static str, OptionValue)> {
    let name = |name: &str| ABOUT.about.options.iter().find(|doc| doc.name == name).unwrap().name;
    given.iter().map(|(key, value)| (name(key), OptionValue::Text((*value).to_owned()))).collect()
}

fn quantizer(role: Role, k: u8, shape: &[i64], given: &[(&str, &str)]) -> Box<dyn Quantizer> {
    let given: BTreeMap<String, OptionValue> =
        values(given).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let options = Options::resolve(ABOUT.about.options, &given).unwrap();
    let bits = Bits::new(k).unwrap();
    let site = Site { layer: "layer".to_owned(), index: 0, role, shape: shape.to_vec(), bits, device: Device::Cpu };
    Balanced.quantizer(&site, &options, &nn::VarStore::new(Device::Cpu).root()).unwrap()
}

struct Found {
    codes: Vec<u8>,
    values: Vec<f32>,
    table: LevelTable,
    statistics: Statistics,
}

fn weights(x: &Tensor, k: u8, given: &[(&str, &str)]) -> Found {
    let codes = quantizer(Role::Weight, k, &x.size(), given).quantize(x, &STEP).unwrap();
    Found {
        codes: Vec::try_from(&codes.codes.reshape([-1])).unwrap(),
        values: floats(&codes.dequantize(x).unwrap()),
        table: codes.levels.to_table().unwrap().unwrap(),
        statistics: Statistics::of(x, &codes).unwrap(),
    }
}

fn row(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).view([1, -1])
}

fn floats(x: &Tensor) -> Vec<f32> {
    Vec::try_from(&x.detach().reshape([-1])).unwrap()
}

fn uniform(n: i64, key: u64) -> Tensor {
    random::uniform(&[1, n], key, Device::Cpu).unwrap().to_kind(Kind::Double)
}

fn normal(n: i64) -> Tensor {
    let radius = ((uniform(n, 1) + 1e-9).log() * -2.0).sqrt();
    (radius * (uniform(n, 2) * std::f64::consts::TAU).cos()).to_kind(Kind::Float)
}

fn laplace(n: i64) -> Tensor {
    let sign = (uniform(n, 3) - 0.5).sign();
    ((uniform(n, 4) + 1e-9).log() * sign).to_kind(Kind::Float)
}

#[test]
fn every_variant_conforms() {
    for given in VARIANTS {
        for bits in [(1, 2), (8, 8)] {
            everything(&Variant::new(&Balanced, Some(bits), &values(given)));
        }
    }
}

/// Distinct numbers in random order.
fn distinct(most: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::hash_set(-30_000i32..30_000, 2..most)
        .prop_map(|set| set.into_iter().map(|v| v as f32 * 1e-4).collect())
}

/// Few different numbers, so that many are equal.
fn tied(most: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-6i32..6).prop_map(|v| v as f32 * 0.25), 2..most)
}

fn is_constant(values: &[f32]) -> bool {
    values.iter().all(|v| *v == values[0])
}

proptest! {
    /// By mean for any numbers, by median for distinct ones; equal ones the text's recursion would pile up.
    #[test]
    fn codes_are_algorithm_2(
        any in prop_oneof![prop::collection::vec(-3.0f32..3.0, 2..80), tied(80)], other in distinct(80), k in 1u8..=8,
    ) {
        prop_assume!(!is_constant(&any));
        for (values, split, name) in [(&any, Split::Mean, "mean"), (&other, Split::Median, "median")] {
            let expected = equalize(values, split, k);
            let leaf = weights(&row(values), k, &[("threshold", name)]);
            let literal = weights(&row(values), k, &[("threshold", name), ("rounding", "literal")]);
            for (i, e) in expected.iter().enumerate() {
                prop_assert_eq!(usize::from(leaf.codes[i]), e.leaf, "{} of {:?}", values[i], values);
                // The text: W_f + 1/2 = rtz(2^k W_e - 1/2)/(2^k - 1).
                let rounded = rtz(f64::from(1 << k) * e.value - 0.5);
                prop_assert_eq!(f64::from(literal.codes[i]), rounded, "{} of {:?}", values[i], values);
            }
        }
    }

    #[test]
    fn literal_rounding_moves_the_least_of_each_leaf_and_nothing_else(values in tied(60), k in 1u8..=8, mean: bool) {
        prop_assume!(!is_constant(&values));
        let threshold = ("threshold", if mean { "mean" } else { "median" });
        let leaf = weights(&row(&values), k, &[threshold]);
        let literal = weights(&row(&values), k, &[threshold, ("rounding", "literal")]);
        for i in 0..values.len() {
            let same = |j: &usize| leaf.codes[*j] == leaf.codes[i];
            let min = (0..values.len()).filter(same).map(|j| values[j]).fold(f32::INFINITY, f32::min);
            let expected = leaf.codes[i].saturating_sub(u8::from(values[i] == min));
            prop_assert_eq!(literal.codes[i], expected);
        }
    }

    #[test]
    fn medians_fill_all_codes_equally_but_for_ties(
        values in prop_oneof![tied(200), distinct(200), prop::collection::vec(-3.0f32..3.0, 2..200)], k in 1u8..=8,
    ) {
        prop_assume!(!is_constant(&values));
        let found = weights(&row(&values), k, &[]);
        let most_equal = values.iter().map(|a| values.iter().filter(|b| *b == a).count()).max().unwrap();
        for count in &found.statistics.code_counts {
            let off = (*count as f64 - values.len() as f64 / f64::from(1 << k)).abs();
            // Distinct values: rounded up or down. Each threshold may hold back what is equal to it.
            prop_assert!(off < most_equal as f64, "{:?}", found.statistics.code_counts);
        }
    }

    #[test]
    fn order_is_kept_and_levels_are_even(
        values in prop_oneof![tied(100), prop::collection::vec(-3.0f32..3.0, 1..100)],
        k in 1u8..=8, variant in 0..VARIANTS.len(),
    ) {
        let found = weights(&row(&values), k, VARIANTS[variant]);
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let literal = VARIANTS[variant].contains(&("rounding", "literal"));
        for pair in order.windows(2) {
            prop_assert!(values[pair[0]] != values[pair[1]] || found.codes[pair[0]] == found.codes[pair[1]], "a tie is split");
            prop_assert!(literal || found.codes[pair[0]] <= found.codes[pair[1]], "order is not kept");
            prop_assert!(found.values[pair[0]] <= found.values[pair[1]], "order is not kept");
        }
        let levels = found.table.row(0);
        let (first, last) = (f64::from(levels[0]), f64::from(levels[levels.len() - 1]));
        for (c, level) in levels.iter().enumerate() {
            let expected = first + (last - first) * c as f64 / f64::from((1 << k) - 1);
            prop_assert!((f64::from(*level) - expected).abs() < 1e-6 * last.abs());
        }
        prop_assert!((first + last).abs() <= 1e-6 * last.abs(), "the grid is not symmetric");
    }

    #[test]
    fn the_loops_for_the_cpu_are_the_path_of_the_device(
        values in prop_oneof![tied(300), distinct(300), prop::collection::vec(-1e-3f32..1e3, 1..300)], k in 1u8..=8,
    ) {
        for split in [Split::Median, Split::Mean] {
            let (x, bits) = (Tensor::from_slice(&values), Bits::new(k).unwrap());
            let parts = split.parts(&x, bits).unwrap();
            prop_assert_eq!(&parts, &split.parts_on_device(&x, bits).unwrap(), "{:?}", split);
            let min = is_min(&x, &parts, bits).unwrap();
            prop_assert_eq!(min, is_min_on_device(&x, &parts, bits).unwrap(), "{:?}", split);
        }
    }

    /// 1.4: clip to 2.5 mean|W|, then algorithm 1 with that scale.
    #[test]
    fn scale_mean_is_algorithm_1_on_clipped_weights(values in distinct(80), k in 1u8..=8) {
        let s = 2.5 * values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / values.len() as f64;
        let clipped: Vec<f32> = values.iter().map(|v| v.clamp(-s as f32, s as f32)).collect();
        prop_assume!(values.iter().all(|v| (f64::from(v.abs()) - s).abs() > 1e-5));
        let found = weights(&row(&values), k, &[("scale", "mean"), ("threshold", "mean")]);
        let n = f64::from((1u32 << k) - 1);
        for (i, e) in equalize(&clipped, Split::Mean, k).iter().enumerate() {
            prop_assert_eq!(usize::from(found.codes[i]), e.leaf);
            let level = 2.0 * s * (e.leaf as f64 / n - 0.5);
            prop_assert!((f64::from(found.values[i]) - level).abs() < 1e-5 * s);
        }
    }

    /// 1.4, the form without a partition, in f64.
    #[test]
    fn the_tanh_form_is_its_equation(values in prop::collection::vec(-2.0f32..2.0, 2..80), k in 1u8..=8) {
        let t: Vec<f64> = values.iter().map(|v| f64::from(*v).tanh()).collect();
        let m = 2.5 * t.iter().map(|v| v.abs()).sum::<f64>() / t.len() as f64;
        let n = f64::from((1u32 << k) - 1);
        let found = weights(&row(&values), k, &[("scale", "mean"), ("mean_form", "tanh")]);
        for (t, found) in t.iter().zip(&found.values) {
            let unit = n * ((t / m).clamp(-0.5, 0.5) + 0.5);
            let level = |u: f64| m * (u.round_ties_even().clamp(0.0, n) / n - 0.5);
            // A tie in f32 may fall either way.
            let close = [unit, unit - 1e-4, unit + 1e-4].map(|u| (level(u) - f64::from(*found)).abs() < 1e-5 * (1.0 + m));
            prop_assert!(close.contains(&true), "{t} -> {found}");
        }
    }

    #[test]
    fn activations_are_rounded_with_ties_toward_zero(values in prop::collection::vec(-0.5f32..1.5, 2..80), k in 1u8..=8) {
        let mut q = quantizer(Role::Activation, k, &[1], &[]);
        let n = ((1u32 << k) - 1) as f32;
        for (v, found) in values.iter().zip(floats(&q.forward(&row(&values), &STEP).unwrap())) {
            let expected = rtz(f64::from(n * v.clamp(0.0, 1.0))) as f32 * (1.0 / n);
            prop_assert_eq!(found, expected, "{}", v);
        }
    }
}

#[test]
fn entropies_of_methods_1_11() {
    let n = 1_000_000;
    let oracles = [
        (normal(n), "mean", [1.985, 2.974, 3.968]),
        (normal(n), "median", [2.0, 3.0, 4.0]),
        (laplace(n), "mean", [1.949, 2.928, 3.919]),
    ];
    for (x, threshold, expected) in oracles {
        for (k, expected) in (2u8..).zip(expected) {
            let found = weights(&x, k, &[("threshold", threshold)]).statistics.effective_bits;
            assert!((found - expected).abs() < 0.01 * expected, "{threshold}, {k} bits: {found} against {expected}");
        }
    }
}

#[test]
fn errors_of_methods_1_11() {
    // Tensor maximum as the scale: balanced codes are far from the least error, and more so with fewer bits.
    let x = normal(20_000);
    let error = |k, given: &[(&str, &str)]| weights(&x, k, given).statistics.relative_mse;
    let [two, three, four] = [2, 3, 4].map(|k| error(k, &[("threshold", "mean")]));
    assert!(two > three && three > four && four > 1.0, "{two} {three} {four}");
    for k in 2..=4 {
        let found = error(k, &[("scale", "mean"), ("mean_form", "tanh")]);
        assert!(found < 0.4, "{k} bits: {found}");
    }
}

/// 1.4: two bits, thresholds 0 and a third of 2.5 means, against the quartiles 0 and 0.6745 sigma.
#[test]
fn with_two_bits_two_and_a_half_means_are_the_quartiles_of_a_gaussian() {
    // Small, so that the tanh is the identity.
    let x = normal(1_000_000) * 0.01;
    let found = weights(&x, 2, &[("scale", "mean"), ("mean_form", "tanh")]);
    let values = floats(&x);
    let max = |code: u8| {
        values.iter().zip(&found.codes).filter(|(_, c)| **c == code).map(|(v, _)| *v).fold(f32::NEG_INFINITY, f32::max)
    };
    let thresholds = [0, 1, 2].map(|code| f64::from(max(code)) / 0.01);
    for (found, (means, quartile)) in thresholds.iter().zip([(-0.665, -0.6745), (0.0, 0.0), (0.665, 0.6745)]) {
        assert!((found - means).abs() < 0.004, "{thresholds:?}");
        assert!((found - quartile).abs() < 0.015, "{thresholds:?}");
    }
    for count in found.statistics.code_counts {
        assert!((count as f64 / 250_000.0 - 1.0).abs() < 0.02, "{count}");
    }
    // With three bits the ends hold a fifth instead of an eighth.
    let counts = weights(&x, 3, &[("scale", "mean"), ("mean_form", "tanh")]).statistics.code_counts;
    assert!((counts[0] as f64 / 1e6 - 0.2).abs() < 0.01, "{counts:?}");
}

#[test]
fn zeros_and_constants_stay_what_they_are() {
    for given in &VARIANTS[..8] {
        for k in 1..=8 {
            for value in [0.0f32, -0.0, 0.3, -0.3, 1e-30, -7.5e8] {
                for n in [1, 2, 3, 100] {
                    for found in weights(&row(&vec![value; n]), k, given).values {
                        let worst = 2e-7 * value.abs();
                        assert!((found - value).abs() <= worst, "{given:?}, {k} bits: {n} x {value} -> {found}");
                    }
                }
            }
        }
    }
    let given = VARIANTS[8];
    for k in 1..=8 {
        assert!(weights(&row(&[0.0, -0.0]), k, given).values.iter().all(|v| *v == 0.0));
        for value in [0.3f32, -0.3] {
            // No partition and so no special case: the level nearest to tanh(0.3) in a grid of 1.25 tanh(0.3).
            let found = weights(&row(&[value; 5]), k, given).values[0];
            assert!(found * value > 0.0 && (found / value.tanh() - 1.0).abs() <= 0.26, "{k} bits: {value} -> {found}");
        }
    }
}

#[test]
fn fewer_values_than_codes() {
    // Halves of {-1, 2}: T = 2; of {-1}: T = -1, of {2}: T = 2; so -1 goes left, right and 2 right, right.
    let found = weights(&row(&[-1.0, 2.0]), 2, &[]);
    assert_eq!(found.codes, [1, 3]);
    assert_eq!(found.values, [2.0 * (-1.0 / 3.0), 2.0]);
    for given in VARIANTS {
        for k in 1..=8 {
            let found = weights(&row(&[0.5, -0.25, 0.125]), k, given);
            let mut codes = found.codes.clone();
            codes.sort_unstable();
            codes.dedup();
            assert!(codes.len() <= 3 && found.values.iter().all(|v| v.is_finite()), "{given:?}, {k} bits");
        }
    }
}

#[test]
fn the_layer_is_one_group_whatever_its_shape() {
    let x = normal(2 * 4 * 9 * 6);
    let flat = weights(&x, 3, &[]).values;
    // Convolution, linear, one gate of a recurrent layer after the other, 1x1 filters, one output channel.
    for shape in [vec![6, 8, 3, 3], vec![48, 9], vec![3 * 16, 9], vec![432, 1, 1, 1], vec![1, 432]] {
        assert_eq!(weights(&x.view(shape.as_slice()), 3, &[]).values, flat, "{shape:?}");
    }
    // Not contiguous: the same values in another order of memory.
    let transposed = x.view([48, 9]).transpose(0, 1);
    let expected = x.view([48, 9]).transpose(0, 1).contiguous();
    assert_eq!(weights(&transposed, 3, &[]).codes, weights(&expected, 3, &[]).codes);
}

#[test]
fn gradients_are_the_closed_forms() {
    let values = [0.3f32, -1.2, 0.8, 0.05, -4.0];
    let upstream = [0.5f32, -1.0, 2.0, 0.25, 3.0];
    let gradient = |role, given: &[(&str, &str)]| {
        let x = row(&values).set_requires_grad(true);
        let y = quantizer(role, 2, &[1, 5], given).forward(&x, &STEP).unwrap();
        (y * row(&upstream)).sum(Kind::Float).backward();
        floats(&x.grad())
    };
    // The full identity, also outside the clip; no factor of the scale or of a leaf's range.
    for given in &VARIANTS[..8] {
        assert_eq!(gradient(Role::Weight, given), upstream, "{given:?}");
    }
    for ((found, g), w) in gradient(Role::Weight, VARIANTS[8]).iter().zip(upstream).zip(values) {
        let expected = f64::from(g) * (1.0 - f64::from(w).tanh().powi(2));
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} against {expected}");
    }
    assert_eq!(gradient(Role::Activation, &[]), [0.5, 0.0, 2.0, 0.25, 0.0]);
}

#[test]
fn the_tanh_form_goes_with_scale_mean_only() {
    let options = Options::resolve(
        ABOUT.about.options,
        &BTreeMap::from([("mean_form".to_owned(), OptionValue::Text("tanh".to_owned()))]),
    )
    .unwrap();
    let site = quantizer(Role::Weight, 2, &[2, 2], &[]).site().clone();
    let error = Balanced.check(&site, &options).unwrap_err();
    assert!(error.to_string().contains("scale: mean"), "{error}");
}
