//! The method against its text: counts, laws of the draw, bases, resuming, edges.

use super::*;
use crate::select::errors;
use harness_method_core::base::{Twn, bwn};
use harness_method_core::conformance::{Variant, everything};
use harness_method_core::rows::Rows;
use harness_method_core::{Bits, Codes, OptionValue, Role, StepContext};
use harness_torch::random;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

const STEP: StepContext = StepContext { step: 0, total: 100, seed: 7, training: true };

type Given<'a> = Vec<(&'a str, OptionValue)>;

fn text(name: &'static str, value: &str) -> (&'static str, OptionValue) {
    (name, OptionValue::Text(value.to_owned()))
}

fn fraction(value: f64) -> (&'static str, OptionValue) {
    ("portion", OptionValue::Float(value))
}

fn options(given: &[(&str, OptionValue)]) -> Options {
    let given: BTreeMap<String, OptionValue> = given.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    Options::resolve(ABOUT.about.options, &given).unwrap()
}

fn site(bits: u8, shape: &[i64]) -> Site {
    let bits = Bits::new(bits).unwrap();
    Site { layer: "layer".to_owned(), index: 3, role: Role::Weight, shape: shape.to_vec(), bits, device: Device::Cpu }
}

/// A quantizer for `x` with its variables.
fn quantizer(x: &Tensor, given: &[(&str, OptionValue)]) -> (Box<dyn Quantizer>, nn::VarStore) {
    let options = options(given);
    let site = site(if options.text("base") == "twn" { 2 } else { 1 }, &x.size());
    let store = nn::VarStore::new(Device::Cpu);
    (Stochastic.quantizer(&site, &options, &store.root()).unwrap(), store)
}

fn normal(shape: &[i64], key: u64) -> Tensor {
    let uniform = |key| random::uniform(shape, key, Device::Cpu).unwrap();
    ((uniform(key) + 1e-7).log() * -2.0).sqrt() * (uniform(key + 1) * std::f64::consts::TAU).cos()
}

fn floats(x: &Tensor) -> Vec<f32> {
    Vec::try_from(&x.detach().reshape([-1])).unwrap()
}

fn doubles(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x).unwrap()
}

/// Whether each row (or element) stays real.
fn kept(codes: &Codes, rows: usize) -> Vec<bool> {
    codes.kept.as_ref().map_or_else(|| vec![false; rows], |kept| Vec::try_from(&kept.reshape([-1])).unwrap())
}

fn count(kept: &[bool]) -> usize {
    kept.iter().filter(|k| **k).count()
}

/// Every combination of what can be combined, without the fraction.
fn combinations() -> Vec<Given<'static>> {
    let mut all = Vec::new();
    for base in ["bwn", "twn"] {
        for granularity in ["filter", "element"] {
            for draw in ["quantized", "real"] {
                for selection in ["roulette", "sorted", "fixed"] {
                    for probability in ["linear", "constant", "softmax", "sigmoid"] {
                        all.push(vec![
                            text("base", base),
                            text("granularity", granularity),
                            text("draw", draw),
                            text("selection", selection),
                            text("probability", probability),
                        ]);
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_combination_conforms() {
    for (i, mut given) in combinations().into_iter().enumerate() {
        let bits = if given[0].1 == OptionValue::Text("twn".to_owned()) { 2 } else { 1 };
        // Evaluation at a fraction below 1 too, in one half of them.
        if i % 2 == 0 {
            given.push(fraction(0.6));
        }
        everything(&Variant::new(&Stochastic, Some((bits, bits)), &given));
    }
}

fn base(x: &Tensor, given: &[(&str, OptionValue)]) -> Codes {
    if options(given).text("base") == "twn" {
        Twn::STOCHASTIC.quantize(x, Bits::new(2).unwrap()).unwrap()
    } else {
        bwn(x, Rows::Each, Bits::new(1).unwrap()).unwrap()
    }
}

/// Rows of zeros and rows that are quantized without error, between others.
fn awkward(filters: i64) -> Tensor {
    let x = normal(&[filters, 2, 3, 3], 11);
    for row in 0..filters {
        match row % 5 {
            1 => drop(x.get(row).fill_(0.0)),
            3 => drop(x.get(row).fill_(-0.25)),
            _ => {}
        }
    }
    x
}

#[test]
fn exactly_the_required_number_and_the_others_are_the_base() {
    for given in combinations() {
        let elements = options(&given).text("granularity") == "element";
        let real = options(&given).text("draw") == "real";
        for filters in [1, 2, 7, 16] {
            let x = awkward(filters);
            let rows = if elements { x.numel() } else { filters as usize };
            for (numerator, denominator) in [(0, 1), (1, 10), (3, 10), (1, 2), (7, 10), (7, 8), (9, 10), (1, 1)] {
                let mut given = given.clone();
                given.push(fraction(f64::from(numerator) / f64::from(denominator)));
                let (mut q, _store) = quantizer(&x, &given);
                let codes = q.quantize(&x, &STEP).unwrap();
                let kept = kept(&codes, rows);
                let (numerator, denominator) = (numerator as usize, denominator as usize);
                // Exact in whole numbers: floor(r m) are quantized, or floor((1 - r) m) stay real.
                let expected = if real {
                    (denominator - numerator) * rows / denominator
                } else {
                    rows - numerator * rows / denominator
                };
                assert_eq!(count(&kept), expected, "{given:?}, {rows} rows");
                let base = floats(&base(&x, &given).dequantize(&x).unwrap());
                let each = x.numel() / rows;
                for (i, (found, x)) in floats(&codes.dequantize(&x).unwrap()).iter().zip(floats(&x)).enumerate() {
                    assert_eq!(*found, if kept[i / each] { x } else { base[i] }, "{given:?}, element {i}");
                }
            }
        }
    }
}

#[test]
fn at_fraction_1_it_is_its_base() {
    let x = normal(&[8, 3, 3, 3], 5);
    for given in combinations() {
        let (mut q, _store) = quantizer(&x, &given);
        let expected = base(&x, &given);
        for step in [
            StepContext { step: 75, ..STEP },
            StepContext { step: 100, training: false, ..STEP },
            StepContext::evaluation(1),
        ] {
            let found = q.quantize(&x, &step).unwrap();
            assert!(found.kept.is_none(), "{given:?}");
            assert_eq!(found.codes, expected.codes, "{given:?}");
            assert_eq!(found.levels.to_table().unwrap(), expected.levels.to_table().unwrap(), "{given:?}");
        }
    }
}

/// The weights of the text, in f64, up to a common factor.
fn weights(errors: &[f64], probability: &str, draw: &str) -> Vec<f64> {
    let d: Vec<f64> = errors.iter().map(|e| if draw == "real" { *e } else { 1.0 / (e + 1e-7) }).collect();
    let max = d.iter().copied().fold(f64::MIN, f64::max);
    let weight = |d: &f64| match probability {
        "constant" => 1.0,
        "softmax" => (d - max).exp(),
        "sigmoid" => 1.0 / (1.0 + (-d).exp()),
        _ => *d,
    };
    d.iter().map(weight).collect()
}

fn chi_square(counts: &[u64], probabilities: &[f64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    counts.iter().zip(probabilities).map(|(&n, p)| (n as f64 - total * p).powi(2) / (total * p)).sum()
}

/// Upper 1% points of chi-square by degrees of freedom.
const CRITICAL: [(usize, f64); 3] = [(3, 11.345), (4, 13.277), (9, 21.666)];

fn assert_follows(counts: &[u64], probabilities: &[f64], what: &str) {
    let (_, critical) = CRITICAL.iter().find(|(freedom, _)| freedom + 1 == counts.len()).unwrap();
    let found = chi_square(counts, probabilities);
    assert!(found < *critical, "{what}: chi-square {found}, {counts:?} against {probabilities:?}");
}

const ERRORS: [f64; 5] = [0.2, 0.35, 0.5, 0.7, 1.0];

fn rule(probability: &str, draw: &str) -> Rule {
    Rule::new(&options(&[text("probability", probability), text("draw", draw)]))
}

#[test]
fn the_first_draw_follows_the_probabilities() {
    let errors = Tensor::from_slice(&ERRORS);
    for draw in ["quantized", "real"] {
        for probability in ["linear", "constant", "softmax", "sigmoid"] {
            let draws = if probability == "linear" { 100_000 } else { 10_000 };
            let mut counts = [0; 5];
            for key in 0..draws {
                let kept = rule(probability, draw).kept(&errors, 1, random::key(&[key, 1])).unwrap();
                // The one that differs from the rest is the one drawn.
                let kept = Vec::<bool>::try_from(&kept).unwrap();
                counts[kept.iter().position(|k| *k == (draw == "real")).unwrap()] += 1;
            }
            let weights = weights(&ERRORS, probability, draw);
            let sum: f64 = weights.iter().sum();
            let probabilities: Vec<f64> = weights.iter().map(|w| w / sum).collect();
            assert_follows(&counts, &probabilities, &format!("{draw}, {probability}"));
        }
    }
}

/// Roulette without replacement, by enumeration: the probability that {i, j} are the first two.
#[test]
fn two_draws_follow_roulette_without_replacement() {
    let weights = weights(&ERRORS, "linear", "quantized");
    let sum: f64 = weights.iter().sum();
    let pairs: Vec<(usize, usize)> = (0..5).flat_map(|i| (i + 1..5).map(move |j| (i, j))).collect();
    let ordered = |i: usize, j: usize| weights[i] / sum * weights[j] / (sum - weights[i]);
    let probabilities: Vec<f64> = pairs.iter().map(|&(i, j)| ordered(i, j) + ordered(j, i)).collect();
    let mut counts = vec![0; pairs.len()];
    for key in 0..50_000 {
        let kept = rule("linear", "quantized").kept(&Tensor::from_slice(&ERRORS), 2, random::key(&[key, 2])).unwrap();
        let kept = Vec::<bool>::try_from(&kept).unwrap();
        let drawn: Vec<usize> = (0..5).filter(|&i| !kept[i]).collect();
        counts[pairs.iter().position(|&pair| pair == (drawn[0], drawn[1])).unwrap()] += 1;
    }
    assert_follows(&counts, &probabilities, "pairs");
}

/// Through the quantizer, with errors as they come from weights.
#[test]
fn draws_of_real_rows_are_linear_in_the_error() {
    let x = normal(&[4, 9], 21) * Tensor::from_slice(&[1.0f32, 0.1, 3.0, 1.0]).view([4, 1]);
    let given = [text("draw", "real"), fraction(0.75)];
    let (mut q, _store) = quantizer(&x, &given);
    let errors = doubles(&errors(&x, &base(&x, &given).dequantize(&x).unwrap()).unwrap());
    let mut counts = [0; 4];
    for step in 0..10_000 {
        let codes = q.assign(&x, &StepContext { step, total: 10_000, ..STEP }).unwrap();
        counts[kept(&codes, 4).iter().position(|k| *k).unwrap()] += 1;
    }
    let sum: f64 = errors.iter().sum();
    let probabilities: Vec<f64> = errors.iter().map(|e| e / sum).collect();
    assert_follows(&counts, &probabilities, "through the quantizer");
}

#[test]
fn the_same_seed_draws_the_same_and_nothing_else_does() {
    let x = normal(&[64, 9], 31);
    let draw = |step: StepContext, index: u64, given: &[(&str, OptionValue)]| {
        let site = Site { index, ..site(1, &[64, 9]) };
        let store = nn::VarStore::new(Device::Cpu);
        let mut q = Stochastic.quantizer(&site, &options(given), &store.root()).unwrap();
        kept(&q.quantize(&x, &step).unwrap(), 64)
    };
    for granularity in ["filter", "element"] {
        let given = [text("granularity", granularity), fraction(0.5)];
        let first = draw(STEP, 3, &given);
        assert_eq!(first, draw(STEP, 3, &given));
        assert_eq!(
            first,
            draw(StepContext { training: false, ..STEP }, 3, &given),
            "evaluation draws as training does"
        );
        for other in [StepContext { step: 1, ..STEP }, StepContext { seed: 8, ..STEP }] {
            assert_ne!(first, draw(other, 3, &given));
        }
        assert_ne!(first, draw(STEP, 4, &given), "each layer has its own draws");
    }
}

/// Weights that move, so that errors do.
fn moving(step: u64) -> Tensor {
    normal(&[16, 9], 41) + normal(&[16, 9], 1000 + 2 * step) * 0.5
}

#[test]
fn a_resumed_training_draws_the_same() {
    for selection in ["roulette", "sorted", "fixed"] {
        let given = [text("selection", selection)];
        let draw = |q: &mut dyn Quantizer, step| {
            let step = StepContext { step, total: 40, ..STEP };
            kept(&q.quantize(&moving(step.step), &step).unwrap(), 16)
        };
        let (mut through, store) = quantizer(&moving(0), &given);
        let mut expected = Vec::new();
        let mut checkpoints = Vec::new();
        for step in 0..40 {
            let mut copy = quantizer(&moving(0), &given);
            copy.1.copy(&store).unwrap();
            checkpoints.push(copy);
            expected.push(draw(through.as_mut(), step));
        }
        for (start, (q, _store)) in (0..).zip(&mut checkpoints) {
            for step in start..40 {
                assert_eq!(draw(q.as_mut(), step), expected[step as usize], "{selection}: from {start}, step {step}");
            }
        }
    }
}

#[test]
fn a_fixed_selection_lasts_for_its_stage() {
    let given = [text("selection", "fixed")];
    let (mut q, _store) = quantizer(&moving(0), &given);
    let mut draws = Vec::new();
    for step in 0..40 {
        let step = StepContext { step, total: 40, ..STEP };
        let codes = kept(&q.quantize(&moving(step.step), &step).unwrap(), 16);
        let evaluated = q.quantize(&moving(99), &StepContext { training: false, ..step }).unwrap();
        assert_eq!(kept(&evaluated, 16), codes, "evaluation inside a stage has its selection");
        draws.push(codes);
    }
    for stage in draws.chunks(10) {
        assert!(stage.iter().all(|draw| *draw == stage[0]));
    }
    let real: Vec<usize> = draws.chunks(10).map(|stage| count(&stage[0])).collect();
    assert_eq!(real, [8, 4, 2, 0]);
    // A network that is evaluated before a stage begins draws for itself, and leaves no trace.
    let (mut fresh, _store) = quantizer(&moving(0), &given);
    let _ = fresh.quantize(&moving(5), &StepContext { training: false, total: 40, ..STEP }).unwrap();
    assert_eq!(kept(&fresh.quantize(&moving(0), &StepContext { total: 40, ..STEP }).unwrap(), 16), draws[0]);
}

proptest! {
    #[test]
    fn sorted_quantizes_the_least_errors(seed in 0u64..1000, r in 0.0f64..1.0, twn: bool, element: bool, real: bool) {
        let x = normal(&[12, 7], 50 + 2 * seed);
        let given = [
            text("base", if twn { "twn" } else { "bwn" }),
            text("granularity", if element { "element" } else { "filter" }),
            text("draw", if real { "real" } else { "quantized" }),
            text("selection", "sorted"),
            fraction(r),
        ];
        let codes = quantizer(&x, &given).0.quantize(&x, &STEP).unwrap();
        let q = base(&x, &given).dequantize(&x).unwrap();
        let (x, q) = if element { (x.view([-1, 1]), q.view([-1, 1])) } else { (x, q) };
        // The definition, one row at a time.
        let (x, q, n) = (floats(&x), floats(&q), x.size()[1] as usize);
        let sum = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v.abs())).sum::<f64>();
        let error = |(x, q): (&[f32], &[f32])| sum(&mut x.iter().zip(q).map(|(x, q)| x - q)) / sum(&mut x.iter().copied());
        let errors: Vec<f64> = x.chunks(n).zip(q.chunks(n)).map(error).collect();
        let kept = kept(&codes, errors.len());
        let worst = errors.iter().zip(&kept).filter(|(_, k)| !**k).map(|(e, _)| *e).fold(0.0, f64::max);
        let best = errors.iter().zip(&kept).filter(|(_, k)| **k).map(|(e, _)| *e).fold(f64::INFINITY, f64::min);
        prop_assert!(worst <= best + 1e-9, "quantized up to {}, kept from {}", worst, best);
    }
}

#[test]
fn rows_without_error_go_first_and_last() {
    // Row 1 is zero and row 3 constant: no error, so the largest weight of all by far.
    let x = awkward(4);
    for probability in ["linear", "softmax"] {
        for step in 0..200 {
            let step = StepContext { step, ..STEP };
            let given = [text("probability", probability), fraction(0.5)];
            let found = kept(&quantizer(&x, &given).0.quantize(&x, &step).unwrap(), 4);
            assert_eq!(found, [true, false, true, false], "{probability}");
        }
    }
    let given = [text("draw", "real"), fraction(0.5)];
    for step in 0..200 {
        let found = kept(&quantizer(&x, &given).0.quantize(&x, &StepContext { step, ..STEP }).unwrap(), 4);
        assert_eq!(found, [true, false, true, false], "rows without weight are drawn when nothing else is left");
    }
    // When nothing has weight, the count holds all the same.
    let zeros = Tensor::zeros([6, 4], (Kind::Float, Device::Cpu));
    let mut seen = [0; 6];
    for step in 0..300 {
        let found = kept(&quantizer(&zeros, &given).0.quantize(&zeros, &StepContext { step, ..STEP }).unwrap(), 6);
        assert_eq!(count(&found), 3);
        found.iter().zip(&mut seen).for_each(|(kept, seen)| *seen += u32::from(*kept));
    }
    assert!(seen.iter().all(|seen| (100..200).contains(seen)), "{seen:?}");
}

#[test]
fn elements_are_drawn_one_by_one_with_the_scale_of_their_filter() {
    let x = normal(&[4, 50], 61);
    let given = [text("granularity", "element"), fraction(0.5)];
    let codes = quantizer(&x, &given).0.quantize(&x, &STEP).unwrap();
    let kept = kept(&codes, 200);
    assert_eq!((count(&kept), codes.kept.as_ref().unwrap().size()), (100, x.size()));
    assert!(kept.chunks(50).all(|row| (1..50).contains(&count(row))), "whole filters were drawn");
    assert_eq!(codes.levels.to_table().unwrap().unwrap().groups(), 4);
}

#[test]
fn the_gradient_is_the_identity_for_all_rows() {
    for given in combinations() {
        let x = normal(&[6, 4], 71).set_requires_grad(true);
        let upstream = normal(&[6, 4], 73);
        let (mut q, _store) = quantizer(&x, &given);
        (q.forward(&x, &STEP).unwrap() * &upstream).sum(Kind::Float).backward();
        assert_eq!(x.grad(), upstream, "{given:?}");
    }
}

#[test]
fn widths_and_stages_that_do_not_fit_are_refused() {
    let twn = text("base", "twn");
    let rows = [
        (2, vec![], "2 bits with `base: bwn`; that one has 1"),
        (1, vec![twn.clone()], "1 bits with `base: twn`; that one has 2"),
        (2, vec![twn, text("portions", "a")], "portions: a"),
    ];
    for (bits, given, expected) in rows {
        let error = Stochastic.check(&site(bits, &[2, 2]), &options(&given)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
