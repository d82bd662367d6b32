//! The shift is the smallest, then |A|, then |B|: against every A and B there is.

use crate::channels::{Case, Random, case, fold_one};
use harness_method_bn_optimal::alternatives::code;
use harness_method_bn_optimal::reference::Line;
use harness_method_bn_optimal::{BnOptimal, solve};
use harness_method_core::{BatchNormFolder, Bits, Options};

/// Codes of the reference, by x.
fn codes(case: &Case) -> Vec<(i64, i64)> {
    let line = Line::of(&case.channel, case.eps).unwrap();
    (case.range.0..=case.range.1).map(|x| (x, line.code(x, case.bits).into())).collect()
}

/// Every B that reproduces `codes` with this A and shift, as an interval: at each x the value lies between two
/// multiples of 2^shift, or beyond the first or last.
fn intercepts(codes: &[(i64, i64)], bits: Bits, a: i64, shift: u32) -> Option<(i64, i64)> {
    let (mut low, mut high) = (i64::MIN / 2, i64::MAX / 2);
    for &(x, y) in codes {
        if y > 0 {
            low = low.max((y << shift) - a * x);
        }
        if y < bits.max_code().into() {
            high = high.min(((y + 1) << shift) - 1 - a * x);
        }
    }
    (low <= high).then_some((low, high))
}

/// The least |A|, then |B|, among all pairs at `shift`.
///
/// A steeper A than `2^(k + shift)` passes all codes between any two neighbours of the range, as does that one,
/// which can be put where the steeper one stood; so nothing beyond needs to be tried.
fn search(codes: &[(i64, i64)], bits: Bits, shift: u32) -> Option<(i64, i64)> {
    let steepest = (bits.codes() as i64) << shift;
    let solve = |a: i64| intercepts(codes, bits, a, shift).map(|(low, high)| (a, 0.clamp(low, high)));
    (0..=steepest).find_map(|a| solve(a).or_else(|| solve(-a)))
}

#[test]
fn no_smaller_shift_slope_or_intercept_exists() {
    let mut random = Random(11);
    let mut max = [0; 6];
    for n in 1..=5u32 {
        for k in 1..=8u8 {
            for index in 0..if k <= 4 { 320 } else { 48 } {
                let case = case(&mut random, index, n, k);
                let codes = codes(&case);
                let folded = fold_one(&case.layer(), &Options::defaults(BnOptimal.about().about.options)).unwrap();
                assert_eq!(search(&codes, case.bits, folded.shift), Some(folded.channels[0]), "{:?}", case.channel);
                if folded.shift > 0 {
                    assert_eq!(search(&codes, case.bits, folded.shift - 1), None, "{:?}", case.channel);
                }
                max[n as usize] = max[n as usize].max(folded.shift);
            }
        }
    }
    // The bound s <= 2N holds and is no wild overestimate.
    for (n, &shift) in max.iter().enumerate().skip(2) {
        assert!(shift <= 2 * n as u32 && shift + 3 >= n as u32, "{n} bits: {max:?}");
    }
}

/// Literally every pair in a box, without intervals: that the interval argument above holds.
#[test]
fn the_search_over_intervals_is_the_search_over_pairs() {
    let mut random = Random(12);
    for index in 0..96 {
        let case = case(&mut random, index, 3, 1 + (index % 2) as u8);
        let codes = codes(&case);
        for shift in 0..4 {
            let steepest = (case.bits.codes() as i64) << shift;
            let far = steepest * 9 + (steepest << 1);
            let fits = |a: i64, b: i64| codes.iter().all(|&(x, y)| i64::from(code((a, b), shift, case.bits, x)) == y);
            let mut pairs: Vec<(i64, i64)> = Vec::new();
            for a in -steepest..=steepest {
                pairs.extend((-far..=far).filter(|&b| fits(a, b)).map(|b| (a, b)));
            }
            let best = pairs.into_iter().min_by_key(|&(a, b)| (a.abs(), a < 0, b.abs()));
            assert_eq!(search(&codes, case.bits, shift), best, "{:?} at {shift}", case.channel);
        }
    }
}

/// Every line with rational constants p/q and r/q of N = 4 bits: each fits at a shift of 2N.
#[test]
fn twice_the_width_always_suffices() {
    let n = 4;
    let bits = Bits::new(4).unwrap();
    let mut max = 0;
    for q in 1..(1 << n) {
        for p in 0..=q {
            for r in 0..q {
                for (a, b) in [(p, r), (-p, 16 * q - 1 - r)] {
                    let channel = harness_method_core::BatchNormChannel {
                        gamma: f64::from(a) / f64::from(q),
                        beta: f64::from(b) / f64::from(q) - 0.5,
                        mean: 0.0,
                        var: 1.0,
                        input_scale: 1.0,
                        output_scale: 1.0,
                    };
                    let case = Case { channel, eps: 0.0, range: (0, (1 << n) - 1), bits };
                    let steps = solve::steps(&case.layer()).unwrap();
                    max = max.max(solve::smallest_shifts(&steps).unwrap()[0]);
                }
            }
        }
    }
    assert!((6..=2 * n).contains(&max), "{max}");
}
