//! Optimality against brute force, the paper's order relations, the constants of the normal distribution, gradients
//! against the closed form, and the shared suite for every combination of options.

use std::collections::BTreeMap;

use harness_method_core::{
    Bits, Dependence, Method, OptionValue, Options, Quantizer, Role, Site, StepContext, conformance,
};
use harness_torch::random;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, nn};

use super::*;
use crate::exact::{LevelCount, best_of_sorted, best_split};

const STEP: StepContext = StepContext { step: 0, total: 10, seed: 7, training: true };

fn options(given: &[(&str, OptionValue)]) -> Options {
    let given: BTreeMap<String, OptionValue> = given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    Options::resolve(ABOUT.about.options, &given).unwrap()
}

fn word(text: &str) -> OptionValue {
    OptionValue::Text(text.to_owned())
}

/// LS-1, LS-2, LS-T, GF-k and the official forms by name.
fn form(name: &str) -> (u8, Options) {
    let variant = |v: &str| options(&[("variant", word(v))]);
    let official =
        |v: &str| options(&[("variant", word(v)), ("solver", word("official")), ("skip", OptionValue::Int(1))]);
    match name {
        "LS-1" => (1, variant("optimal")),
        "LS-2" => (2, variant("optimal")),
        "LS-T" => (2, variant("ternary")),
        "official LS-2" => (2, official("optimal")),
        "official LS-2, skip 3" => (2, options(&[("solver", word("official"))])),
        "official LS-T" => (2, official("ternary")),
        greedy => (greedy.strip_prefix("GF-").unwrap().parse().unwrap(), variant("greedy")),
    }
}

/// A record older than an option does not have it: it means the default of the table, wherever it is read.
#[test]
fn an_option_that_is_absent_has_the_default_of_the_table() {
    let solver = |options: &Options| Solver::new(options, Bits::new(2).unwrap());
    let official = options(&[("solver", word("official"))]);
    let without = official.iter().filter(|(name, _)| *name != "skip").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    assert_eq!(solver(&without), solver(&official));
}

fn quantizer(role: Role, bits: u8, shape: &[i64], options: &Options) -> (Box<dyn Quantizer>, nn::VarStore) {
    let bits = Bits::new(bits).unwrap();
    let site = Site { layer: "l".to_owned(), index: 0, role, shape: shape.to_vec(), bits, device: Device::Cpu };
    let store = nn::VarStore::new(Device::Cpu);
    (LeastSquares.quantizer(&site, options, &store.root()).unwrap(), store)
}

fn floats(x: &Tensor) -> Vec<f32> {
    Vec::try_from(&x.detach().reshape([-1])).unwrap()
}

/// Values and squared error of a matrix of rows, quantized as weights; the error of each row.
fn errors(rows: &Tensor, name: &str) -> Vec<f64> {
    let (bits, options) = form(name);
    let (mut q, _store) = quantizer(Role::Weight, bits, &rows.size(), &options);
    let values = q.forward(rows, &STEP).unwrap();
    let error = (values - rows).to_kind(Kind::Double).square().sum_dim_intlist(1i64, false, Kind::Double);
    Vec::try_from(&error).unwrap()
}

fn error(row: &[f32], name: &str) -> f64 {
    errors(&Tensor::from_slice(row).view([1, -1]), name)[0]
}

/// The least squared error over every assignment of the elements to levels of the given shape, tried one by one.
fn brute_force(row: &[f32], levels: LevelCount) -> f64 {
    let magnitudes: Vec<f64> = row.iter().map(|v| f64::from(v.abs())).collect();
    let part = |mask: u32, wanted: bool| {
        let members = magnitudes.iter().enumerate().filter(move |(i, _)| (mask >> i & 1 == 1) == wanted);
        members.map(|(_, &a)| a).collect::<Vec<f64>>()
    };
    let around_mean = |part: &[f64]| {
        let mean = part.iter().sum::<f64>() / part.len().max(1) as f64;
        part.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>()
    };
    let around_zero = |part: &[f64]| part.iter().map(|a| a * a).sum::<f64>();
    let cost = |mask| match levels {
        LevelCount::Four => around_mean(&part(mask, false)) + around_mean(&part(mask, true)),
        LevelCount::Three => around_zero(&part(mask, false)) + around_mean(&part(mask, true)),
    };
    (0..1u32 << row.len()).map(cost).fold(f64::INFINITY, f64::min)
}

fn normal(rows: i64, columns: i64, seed: u64) -> Tensor {
    let u = random::uniform(&[rows, columns], seed, Device::Cpu).unwrap();
    let v = random::uniform(&[rows, columns], seed + 1, Device::Cpu).unwrap();
    ((u + 1e-7).log() * -2.0).sqrt() * (v * std::f64::consts::TAU).cos()
}

/// Magnitudes that are hard on buckets of equal width.
fn awkward(seed: u64, n: usize, shape: usize) -> Vec<f32> {
    let uniform = floats(&random::uniform(&[n as i64], seed, Device::Cpu).unwrap());
    let magnitude = |(i, &u): (usize, &f32)| match shape {
        0 => u,
        1 => -(1.0 - u).ln(),
        // Heavy tail: almost everything in the first bucket.
        2 => (1.0 / (1.0 - u)).powi(3).min(1e30),
        // Few distinct values.
        3 => (u * 5.0).floor(),
        // Denormals, and one giant.
        4 if i == 0 => 1.0,
        4 => u * 1e-40,
        // Denormals alone.
        5 => u * 1e-41,
        // A third at a clamp.
        6 => (3.0 * u).min(2.0),
        // Two clusters, so narrow that most neighbours are equal.
        7 => {
            if i % 3 == 0 {
                1.0 + u * 1e-6
            } else {
                0.5 + u * 1e-6
            }
        }
        // Values on the borders of buckets.
        8 => (u * 2048.0).floor() / 2048.0,
        // Near the end of the range.
        9 => u * 3e38,
        _ => 0.25,
    };
    uniform.iter().enumerate().map(magnitude).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Narrowing by buckets finds the split of the sorted row, or one as good.
    #[test]
    fn narrowing_is_exact(seed: u64, n in 1usize..3000, shape in 0usize..11) {
        let row = awkward(seed, n, shape);
        for levels in [LevelCount::Four, LevelCount::Three] {
            let (narrowed, sum) = best_split(&row, levels);
            let (sorted, exact_sum) = best_of_sorted(&row, levels);
            prop_assert!((sum - exact_sum).abs() <= 1e-12 * exact_sum);
            let gain = |lower: usize, lower_sum: f64| {
                let above = (exact_sum - lower_sum).powi(2) / (n - lower) as f64;
                above + if levels == LevelCount::Four && lower > 0 { lower_sum.powi(2) / lower as f64 } else { 0.0 }
            };
            let mut ascending = row.clone();
            ascending.sort_unstable_by(f32::total_cmp);
            // The split is one of the sorted row, not just two numbers that would be good.
            let lower_sum: f64 = ascending[..narrowed.lower].iter().map(|&a| f64::from(a)).sum();
            prop_assert!((narrowed.lower_sum - lower_sum).abs() <= 1e-12 * exact_sum, "shape {shape}");
            let (found, best) = (gain(narrowed.lower, lower_sum), gain(sorted.lower, sorted.lower_sum));
            prop_assert!((found - best).abs() <= 1e-12 * best, "shape {shape}: {found} against {best}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_optimum_is_the_optimum(row in prop::collection::vec(-3.0f32..3.0, 1..=12)) {
        let norm: f64 = row.iter().map(|v| f64::from(v * v)).sum();
        for (name, levels) in [("LS-2", LevelCount::Four), ("LS-T", LevelCount::Three)] {
            let (found, min) = (error(&row, name), brute_force(&row, levels));
            prop_assert!(found <= min + 1e-6 * norm, "{name}: {found} against {min}");
        }
    }

    #[test]
    fn nothing_beats_the_optimum(row in prop::collection::vec(-3.0f32..3.0, 1..200)) {
        let norm: f64 = row.iter().map(|v| f64::from(v * v)).sum();
        let tolerance = 1e-6 * norm;
        let best = error(&row, "LS-2");
        for other in ["GF-2", "official LS-2", "official LS-2, skip 3", "LS-1", "LS-T"] {
            prop_assert!(best <= error(&row, other) + tolerance, "LS-2 against {other}");
        }
        let best = error(&row, "LS-T");
        for other in ["official LS-T", "LS-1"] {
            prop_assert!(best <= error(&row, other) + tolerance, "LS-T against {other}");
        }
    }

    /// The tensor path for GPUs gives the scales of the native one.
    #[test]
    fn both_paths_agree(seed: u64, rows in 1i64..5, n in 1i64..700, zeros: bool) {
        let x = normal(rows, n, seed);
        let x = if zeros { x.round() * 0.5 } else { x };
        for (variant, bits) in [("optimal", 1), ("optimal", 2), ("ternary", 2), ("greedy", 4)] {
            let solver = Solver::new(&options(&[("variant", word(variant))]), Bits::new(bits).unwrap());
            let (a, b) = (solver.on_host(&x, f32::INFINITY).unwrap(), solver.on_device(&x, f32::INFINITY).unwrap());
            let norm = x.square().sum(Kind::Double).double_value(&[]);
            let error = |scales: &Tensor| {
                let codes = signs::codes(&x, scales, f32::INFINITY, Bits::new(bits).unwrap()).unwrap();
                (codes.dequantize(&x).unwrap() - &x).square().sum(Kind::Double).double_value(&[])
            };
            prop_assert!((error(&a) - error(&b)).abs() <= 1e-5 * norm, "{variant} {bits}");
            prop_assert_eq!(a.size(), b.size());
        }
    }

    /// The closed form of the backward rule at k = 2, and the clamp.
    #[test]
    fn the_gradient_goes_through_the_signs(values in prop::collection::vec(-3.0f32..3.0, 2..40)) {
        let x = Tensor::from_slice(&values).view([1, -1]).set_requires_grad(true);
        let (mut q, _store) = quantizer(Role::Activation, 2, &[values.len() as i64], &form("LS-2").1);
        let y = q.forward(&x, &STEP).unwrap();
        let upstream = Tensor::arange(values.len() as i64, (Kind::Float, Device::Cpu)).view_as(&y) + 1.0;
        (y * upstream).sum(Kind::Float).backward();
        let clamped: Vec<f32> = values.iter().map(|v| v.clamp(-2.0, 2.0)).collect();
        let solver = Solver::new(&form("LS-2").1, Bits::new(2).unwrap());
        let scales = floats(&solver.on_host(&Tensor::from_slice(&clamped).view([1, -1]), f32::INFINITY).unwrap());
        let g = |t: f32| f32::from(u8::from(t.abs() <= 1.0));
        for (i, (&x0, found)) in values.iter().zip(floats(&x.grad())).enumerate() {
            let s1 = if x0 >= 0.0 { 1.0 } else { -1.0 };
            let (v1, v2) = (scales[0], scales[1]);
            let slope = v1 * g(x0) + v2 * g(x0 - v1 * s1) * (1.0 - v1 * g(x0));
            let expected = if x0.abs() <= 2.0 { (i as f32 + 1.0) * slope } else { 0.0 };
            prop_assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{x0}: {found}, {expected}");
        }
    }
}

#[test]
fn the_order_of_errors_holds_on_ten_thousand_rows() {
    for (n, seed) in [(3, 1), (9, 2), (27, 3), (144, 4)] {
        let rows = normal(2500, n, seed);
        let all: BTreeMap<&str, Vec<f64>> =
            ["LS-1", "GF-2", "LS-T", "LS-2"].into_iter().map(|name| (name, errors(&rows, name))).collect();
        let norms =
            Vec::<f64>::try_from(&rows.to_kind(Kind::Double).square().sum_dim_intlist(1i64, false, Kind::Double));
        for (row, norm) in norms.unwrap().into_iter().enumerate() {
            for (less, more) in [("LS-2", "GF-2"), ("GF-2", "LS-1"), ("LS-T", "LS-1"), ("LS-2", "LS-T")] {
                assert!(all[less][row] <= all[more][row] + 1e-6 * norm, "row {row} of {n}: {less} above {more}");
            }
        }
    }
}

#[test]
fn the_constants_of_the_normal_distribution() {
    let x = normal(1, 1_000_000, 11);
    let rows: [(&str, &[f64], f64, f64); 4] = [
        ("LS-1", &[0.79788], 0.36338, 37.07),
        ("LS-T", &[0.61200, 0.61200], 0.19017, 25.85),
        ("GF-2", &[0.79788, 0.48262], 0.13045, 20.79),
        ("LS-2", &[0.98160, 0.52882], 0.11748, 20.04),
    ];
    for (name, scales, mse, angle) in rows {
        let (bits, options) = form(name);
        let found = floats(&Solver::new(&options, Bits::new(bits).unwrap()).scales(&x, f32::INFINITY).unwrap());
        for (found, expected) in found.iter().zip(scales) {
            assert!((f64::from(*found) / expected - 1.0).abs() < 0.01, "{name}: {found} against {expected}");
        }
        let error = error(&floats(&x), name) / 1e6;
        assert!((error / mse - 1.0).abs() < 0.01, "{name}: error {error} against {mse}");
        let (mut q, _store) = quantizer(Role::Weight, bits, &[1, 1_000_000], &options);
        let y = q.forward(&x, &STEP).unwrap();
        let dot = |a: &Tensor, b: &Tensor| (a * b).sum(Kind::Double).double_value(&[]);
        let cosine = dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt();
        let found = cosine.acos().to_degrees();
        assert!((found / angle - 1.0).abs() < 0.01, "{name}: angle {found} against {angle}");
    }
}

#[test]
fn edge_cases_are_those_of_the_equations() {
    let values = |row: &[f32], name: &str| {
        let (bits, options) = form(name);
        let (mut q, _store) = quantizer(Role::Weight, bits, &[1, row.len() as i64], &options);
        floats(&q.forward(&Tensor::from_slice(row).view([1, -1]), &STEP).unwrap())
    };
    for name in ["LS-1", "LS-2", "LS-T", "GF-2", "GF-8", "official LS-2", "official LS-T"] {
        assert_eq!(values(&[0.0, 0.0, 0.0], name), [0.0, 0.0, 0.0], "{name}: zeros");
        assert_eq!(values(&[0.5, 0.5], name), [0.5, 0.5], "{name}: a constant");
        assert_eq!(values(&[-0.5, -0.5, 0.5], name), [-0.5, -0.5, 0.5], "{name}: a constant magnitude");
        assert_eq!(values(&[-3.0], name), [-3.0], "{name}: one element");
    }
    assert_eq!(values(&[1.0, -3.0], "LS-2"), [1.0, -3.0], "two elements are exact");
}

#[test]
fn widths_and_variants_that_do_not_go_together_are_refused() {
    for (variant, bits, fits) in [
        ("optimal", 1, true),
        ("optimal", 2, true),
        ("optimal", 3, false),
        ("ternary", 2, true),
        ("ternary", 1, false),
        ("greedy", 8, true),
    ] {
        let bits = Bits::new(bits).unwrap();
        let site =
            Site { layer: "l".to_owned(), index: 0, role: Role::Weight, shape: vec![2, 2], bits, device: Device::Cpu };
        assert_eq!(
            LeastSquares.check(&site, &options(&[("variant", word(variant))])).is_ok(),
            fits,
            "{variant} {bits}"
        );
    }
}

#[test]
fn every_combination_of_options_conforms() {
    for (variant, bits) in [("optimal", 1), ("optimal", 2), ("ternary", 2), ("greedy", 3)] {
        for solver in ["exact", "official"] {
            for average in ["off", "eval", "always"] {
                let given = [("variant", variant), ("solver", solver), ("average", average)].map(|(k, v)| (k, word(v)));
                conformance::everything(&conformance::Variant::new(&LeastSquares, Some((bits, bits)), &given));
            }
        }
        let given = [("variant", word(variant)), ("clamp", OptionValue::Float(0.0))];
        conformance::everything(&conformance::Variant::new(&LeastSquares, Some((bits, bits)), &given));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let x = normal(9, 20_000, 5);
    let before = tch::get_num_threads();
    for name in ["LS-1", "LS-2", "LS-T", "GF-4", "official LS-2, skip 3"] {
        let (bits, options) = form(name);
        let run = |threads| {
            tch::set_num_threads(threads);
            let x = x.copy().set_requires_grad(true);
            let (mut q, _store) = quantizer(Role::Activation, bits, &[20_000], &options);
            let y = q.forward(&x, &STEP).unwrap();
            (&y * &y).sum(Kind::Float).backward();
            let bits = |x: &Tensor| floats(x).into_iter().map(f32::to_bits).collect::<Vec<_>>();
            (bits(&y), bits(&x.grad()))
        };
        let alone = run(1);
        assert!((2..=5).all(|threads| run(threads) == alone), "{name}");
    }
    tch::set_num_threads(before);
}

#[test]
fn activations_are_clamped_before_they_are_measured() {
    let x = Tensor::from_slice(&[0.5f32, -0.5, 40.0, -40.0]).view([1, 4]);
    for (clamp, expected) in
        [(2.0, [0.5, -0.5, 2.0, -2.0]), (3.0, [0.5, -0.5, 3.0, -3.0]), (0.0, [0.5, -0.5, 40.0, -40.0])]
    {
        let options = options(&[("clamp", OptionValue::Float(clamp))]);
        let (mut q, _store) = quantizer(Role::Activation, 2, &[4], &options);
        assert_eq!(floats(&q.forward(&x, &STEP).unwrap()), expected, "activations, clamp {clamp}");
        let (mut q, _store) = quantizer(Role::Weight, 2, &[1, 4], &options);
        assert_eq!(floats(&q.forward(&x, &STEP).unwrap()), floats(&x), "weights are not clamped");
    }
}

#[test]
fn an_element_stands_alone_only_where_its_level_never_falls() {
    for (variant, bits, alone) in
        [("optimal", 1, true), ("optimal", 2, true), ("ternary", 2, true), ("greedy", 1, true), ("greedy", 2, false)]
    {
        for (average, expected) in [("off", false), ("eval", alone), ("always", alone)] {
            let given = options(&[("variant", word(variant)), ("average", word(average))]);
            let (q, _store) = quantizer(Role::Activation, bits, &[4], &given);
            assert_eq!(q.dependence() == Dependence::Element, expected, "{variant} at {bits} bits, average {average}");
        }
    }
    // Why: the greedy scales of a normal row put a value just above zero below one just under it.
    let mut row = floats(&normal(1, 4096, 3));
    (row[0], row[1]) = (-1e-6, 1e-6);
    let (bits, options) = form("GF-4");
    let (mut q, _store) = quantizer(Role::Weight, bits, &[1, 4096], &options);
    let levels = floats(&q.forward(&Tensor::from_slice(&row).view([1, -1]), &STEP).unwrap());
    assert!(levels[0] > levels[1], "{} and {}", levels[0], levels[1]);
}

#[test]
fn a_running_average_follows_the_batches() {
    let given = options(&[("average", word("eval"))]);
    let (mut q, store) = quantizer(Role::Activation, 1, &[2], &given);
    let scales = || floats(&store.variables()["scales"])[0];
    let batch = |v: f32| Tensor::from_slice(&[v, -v, 2.0 * v, 2.0 * v]).view([2, 2]);
    let _ = q.forward(&batch(0.5), &STEP).unwrap();
    assert_eq!(scales(), 0.75, "the first batch is copied: the mean of 0.5 and 1.0");
    let _ = q.forward(&batch(0.1), &STEP).unwrap();
    assert!((scales() - (0.99 * 0.75 + 0.01 * 0.15)).abs() < 1e-6, "{}", scales());
    let evaluation = StepContext { training: false, ..STEP };
    let y = floats(&q.forward(&batch(0.1), &evaluation).unwrap());
    assert!(y.iter().all(|v| (v.abs() - scales()).abs() < 1e-6), "{y:?}");
}
