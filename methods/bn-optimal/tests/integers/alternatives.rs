//! What naive rounding, powers of two and f32 cost.

use crate::channels::fold_one;
use crate::channels::{Random, case};
use harness_method_bn_optimal::alternatives::{code, compare, mismatch, mismatch_by_shift, power_of_two, rounded};
use harness_method_bn_optimal::reference::Line;
use harness_method_bn_optimal::{BnOptimal, solve};
use harness_method_core::{BatchNormChannel, BatchNormFolder, Bits, IntegerBatchNorm, NormLayer, OptionValue, Options};
use std::collections::BTreeMap;

/// Channels as trained networks have them, sharing range and epsilon.
fn layer(seed: u64, count: usize, n: u32, k: u8) -> (Vec<BatchNormChannel>, (i64, i64), Bits) {
    let mut random = Random(seed);
    let channels = (0..count).map(|_| case(&mut random, 0, n, k).channel).collect();
    (channels, (-(1 << (n - 1)), (1 << (n - 1)) - 1), Bits::new(k).unwrap())
}

#[test]
fn mismatches_are_counted_at_every_value() {
    let (channels, range, bits) = layer(21, 12, 8, 4);
    let fold = NormLayer { name: String::new(), channels: channels.to_vec(), eps: 1e-5, range, bits };
    for shift in [0, 3, 6, 9, 12] {
        for integers in [rounded(&fold, shift).unwrap(), power_of_two(&fold, shift).unwrap()] {
            let wrong = |(channel, &pair): (&BatchNormChannel, &(i64, i64))| {
                let line = Line::of(channel, fold.eps).unwrap();
                (range.0..=range.1).filter(|&x| code(pair, shift, bits, x) != line.code(x, bits)).count()
            };
            let expected = channels.iter().zip(&integers.channels).map(wrong).sum::<usize>() as f64 / (12.0 * 256.0);
            assert_eq!(mismatch(&fold, &integers).unwrap(), expected, "shift {shift}");
        }
    }
}

/// The figure: the mismatch of naive rounding falls with the shift, and below the smallest exact shift is never 0.
#[test]
fn naive_rounding_fails_at_small_shifts() {
    let (channels, range, bits) = layer(22, 300, 10, 4);
    let fold = NormLayer { name: String::new(), channels: channels.to_vec(), eps: 1e-5, range, bits };
    let rates = mismatch_by_shift(&fold, &[4, 6, 8, 10, 12, 14, 16, 18, 20, 30]).unwrap();
    assert!(rates.windows(2).all(|pair| pair[1].1 < pair[0].1 || pair[1].1 == 0.0), "{rates:?}");
    assert!(rates[0].1 > 0.1 && rates[9].1 == 0.0, "{rates:?}");
    for channel in &channels {
        let fold = NormLayer { name: String::new(), channels: vec![*channel], ..fold.clone() };
        let min = solve::smallest_shifts(&solve::steps(&fold).unwrap()).unwrap()[0];
        for shift in 0..min {
            assert!(mismatch(&fold, &rounded(&fold, shift).unwrap()).unwrap() > 0.0, "{channel:?} at {shift}");
        }
    }
}

#[test]
fn a_layer_compared() {
    let (channels, range, bits) = layer(23, 64, 12, 4);
    let fold = NormLayer { name: String::new(), channels: channels.to_vec(), eps: 1e-5, range, bits };
    let found = compare(&fold, &[8, 12, 16]).unwrap();
    assert_eq!(found.exact_mismatch, 0.0);
    assert_eq!(found.exact.shift, *found.smallest_shifts.iter().max().unwrap());
    assert!(found.exact.shift <= 24 && found.slope_bits <= 4 + 14 && found.intercept_bits <= 35, "{found:?}");
    assert!(found.power_of_two_mismatch > 0.05, "{found:?}");
    assert!(found.single_precision_mismatch < 1e-3, "{found:?}");
    assert_eq!(found.rounded_mismatch.iter().map(|r| r.0).collect::<Vec<_>>(), [8, 12, 16]);
}

#[test]
fn single_precision_errs_where_a_line_stands_beside_integers() {
    // 1 - 2^-30 is 1 in f32, which moves every step.
    let gamma = 1.0 - 2f64.powi(-30);
    let channels = [BatchNormChannel { gamma, beta: -0.5, mean: 0.0, var: 1.0, input_scale: 1.0, output_scale: 1.0 }];
    let fold = NormLayer {
        name: String::new(),
        channels: channels.to_vec(),
        eps: 0.0,
        range: (0, 15),
        bits: Bits::new(4).unwrap(),
    };
    let found = compare(&fold, &[]).unwrap();
    assert_eq!((found.exact_mismatch, found.single_precision_mismatch), (0.0, 15.0 / 16.0));
}

#[test]
fn slopes_that_are_powers_of_two() {
    let channels = [0.3, -0.7, 3.0, 0.0, 1e-9].map(|gamma| BatchNormChannel {
        gamma,
        beta: 0.25,
        mean: 0.0,
        var: 1.0,
        input_scale: 1.0,
        output_scale: 1.0,
    });
    let fold = NormLayer {
        name: String::new(),
        channels: channels.to_vec(),
        eps: 0.0,
        range: (-8, 7),
        bits: Bits::new(4).unwrap(),
    };
    let expected = IntegerBatchNorm { shift: 4, channels: vec![(4, 12), (-8, 12), (64, 12), (0, 12), (0, 12)] };
    assert_eq!(power_of_two(&fold, 4).unwrap(), expected);
    let given = BTreeMap::from([
        ("mode".to_owned(), OptionValue::Text("power-of-two".to_owned())),
        ("shift".to_owned(), OptionValue::Int(4)),
    ]);
    let options = Options::resolve(BnOptimal.about().about.options, &given).unwrap();
    assert_eq!(fold_one(&fold, &options).unwrap(), expected);
}

#[test]
fn what_an_i64_cannot_hold_is_refused() {
    let channels =
        [BatchNormChannel { gamma: 1e12, beta: 0.0, mean: 0.0, var: 1.0, input_scale: 1.0, output_scale: 1.0 }];
    let fold = NormLayer {
        name: String::new(),
        channels: channels.to_vec(),
        eps: 0.0,
        range: (0, 1 << 20),
        bits: Bits::new(4).unwrap(),
    };
    for result in [rounded(&fold, 40), power_of_two(&fold, 40)] {
        assert!(result.unwrap_err().to_string().contains("does not fit an i64"));
    }
}
