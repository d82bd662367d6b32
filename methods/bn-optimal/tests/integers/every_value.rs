//! The integers give the code of the reference at every x, for every kind of channel.

use crate::channels::{Case, Random, case, fold_one};
use harness_method_bn_optimal::alternatives::code;
use harness_method_bn_optimal::reference::Line;
use harness_method_bn_optimal::{BnOptimal, solve};
use harness_method_core::{BatchNormChannel, BatchNormFolder, Bits, MethodError, NormLayer, OptionValue, Options};
use std::collections::BTreeMap;

fn options(given: &[(&str, OptionValue)]) -> Options {
    let given: BTreeMap<String, OptionValue> = given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    Options::resolve(BnOptimal.about().about.options, &given).unwrap()
}

/// Asserts equality at every x, by a reference that is evaluated one x at a time and knows no thresholds.
fn check(case: &Case, shift: u32, pair: (i64, i64)) {
    let line = Line::of(&case.channel, case.eps).unwrap();
    for x in case.range.0..=case.range.1 {
        let (expected, found) = (line.code(x, case.bits), code(pair, shift, case.bits, x));
        assert!(expected == found, "{:?} {line:?} at {x}: {found}, expected {expected}", case.channel);
    }
}

#[test]
fn no_mismatch_anywhere() {
    let mut random = Random(1);
    let mut channels = 0;
    for n in 1..=16u32 {
        // Few channels where each has 65536 values, many where it has a handful: 12288 in all.
        let per_width = if n <= 10 { 144 } else { 16 };
        for k in 1..=8 {
            for index in 0..per_width {
                let case = case(&mut random, index, n, k);
                let folded = fold_one(&case.layer(), &options(&[])).unwrap();
                assert!(folded.shift <= 2 * n, "{:?}: a shift of {} for {n} bits", case.channel, folded.shift);
                assert!(k > 1 || folded.shift == 0, "one bit is one comparison");
                check(&case, folded.shift, folded.channels[0]);
                channels += 1;
            }
        }
    }
    assert!(channels >= 10_000, "{channels}");
}

#[test]
fn one_shift_serves_all_channels_of_a_layer_and_all_layers_of_a_network() {
    let mut random = Random(2);
    let layers: Vec<Vec<Case>> =
        [(8, 2), (6, 4), (11, 3)].map(|(n, k)| (0..16).map(|index| case(&mut random, index, n, k)).collect()).into();
    // Epsilon is the layer's, so it moves into the variance here.
    let channels: Vec<Vec<BatchNormChannel>> = layers
        .iter()
        .map(|cases| cases.iter().map(|c| BatchNormChannel { var: c.channel.var + c.eps, ..c.channel }).collect())
        .collect();
    let folds: Vec<NormLayer> = layers
        .iter()
        .zip(&channels)
        .map(|(cases, channels)| NormLayer {
            name: String::new(),
            channels: channels.clone(),
            eps: 0.0,
            range: cases[0].range,
            bits: cases[0].bits,
        })
        .collect();
    let alone = BnOptimal.fold(&folds, &options(&[])).unwrap();
    let shared = BnOptimal.fold(&folds, &options(&[("share", OptionValue::Text("network".to_owned()))])).unwrap();
    let max = alone.iter().map(|folded| folded.shift).max().unwrap();
    assert!(alone.iter().any(|folded| folded.shift < max), "the layers differ in their needs");
    for (fold, (alone, shared)) in folds.iter().zip(alone.iter().zip(&shared)) {
        assert_eq!(shared.shift, max);
        assert_eq!(alone.shift, *solve::smallest_shifts(&solve::steps(fold).unwrap()).unwrap().iter().max().unwrap());
        for (index, &channel) in fold.channels.iter().enumerate() {
            let case = Case { channel, eps: 0.0, range: fold.range, bits: fold.bits };
            check(&case, alone.shift, alone.channels[index]);
            check(&case, shared.shift, shared.channels[index]);
        }
    }
}

#[test]
fn every_greater_shift_is_possible_too() {
    let mut random = Random(3);
    for index in 0..64 {
        let case = case(&mut random, index, 7, 3);
        let steps = solve::steps(&case.layer()).unwrap();
        let min = solve::smallest_shifts(&steps).unwrap()[0];
        for shift in min..min + 12 {
            check(&case, shift, solve::at_shift(&steps, shift).unwrap().channels[0]);
        }
        if min > 0 {
            let error = solve::at_shift(&steps, min - 1).unwrap_err().to_string();
            assert!(error.contains(&format!("at least {min}")), "{error}");
        }
    }
}

#[test]
fn constants_and_a_single_value() {
    let unit = BatchNormChannel { gamma: 1.0, beta: 0.0, mean: 0.0, var: 1.0, input_scale: 1.0, output_scale: 1.0 };
    let rows = [
        // (gamma, beta, range, shift, pair)
        (0.0, 2.0, (-8, 7), 0, (0, 2)),
        (0.0, 1e9, (-8, 7), 0, (0, 3)),
        (0.0, -1e9, (-8, 7), 0, (0, 0)),
        (5.0, 0.0, (1, 1), 0, (0, 3)),
        (-5.0, 1.0, (0, 0), 0, (0, 1)),
        (1.0, 0.0, (-8, 7), 0, (1, 0)),
        (-1.0, 0.0, (-8, 7), 0, (-1, 0)),
        // floor(x/2 + 1/2) = (x + 1) >> 1.
        (0.5, 0.0, (-8, 7), 1, (1, 1)),
    ];
    for (gamma, beta, range, shift, pair) in rows {
        let channel = BatchNormChannel { gamma, beta, ..unit };
        let case = Case { channel, eps: 0.0, range, bits: Bits::new(2).unwrap() };
        let folded = fold_one(&case.layer(), &options(&[])).unwrap();
        assert_eq!((folded.shift, folded.channels[0]), (shift, pair), "gamma {gamma}, beta {beta}");
        check(&case, folded.shift, folded.channels[0]);
    }
}

#[test]
fn wide_accumulators_are_exact_or_refused() {
    let mut random = Random(4);
    let (mut folded, mut refused) = (0, 0);
    for index in 0..200 {
        let n = [20, 24, 28, 32, 40, 62][index % 6];
        let case = case(&mut random, index, n, 8);
        let line = Line::of(&case.channel, case.eps).unwrap();
        match fold_one(&case.layer(), &options(&[])) {
            Ok(integers) => {
                folded += 1;
                let steps = &solve::steps(&case.layer()).unwrap()[0];
                // Around every threshold, at both ends, and anywhere.
                let sign = if steps.mirrored() { -1 } else { 1 };
                let around = steps.thresholds().iter().flat_map(|t| [t - 1, *t, t + 1]).map(|t| t * sign);
                let xs: Vec<i64> =
                    around.filter_map(|x| i64::try_from(x).ok()).chain([case.range.0, case.range.1]).collect();
                let anywhere: Vec<i64> = (0..200).map(|_| random.integer(case.range.0, case.range.1)).collect();
                for x in xs.into_iter().chain(anywhere).filter(|x| (case.range.0..=case.range.1).contains(x)) {
                    let found = code(integers.channels[0], integers.shift, case.bits, x);
                    assert_eq!(found, line.code(x, case.bits), "{:?} at {x}", case.channel);
                }
            }
            Err(MethodError::Fold { channel: 0, reason }) => {
                refused += 1;
                assert!(n >= 28 && (reason.contains("i64") || reason.contains("beyond 62")), "{n} bits: {reason}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(folded > 50 && refused > 10, "{folded} folded, {refused} refused");
}

#[test]
fn what_cannot_be_folded_is_refused_with_its_channel() {
    let good = BatchNormChannel { gamma: 1.0, beta: 0.0, mean: 0.0, var: 1.0, input_scale: 1.0, output_scale: 1.0 };
    let channels = [good, BatchNormChannel { mean: f64::NAN, ..good }];
    let bits = Bits::new(2).unwrap();
    let error = |layer: NormLayer| fold_one(&layer, &options(&[])).unwrap_err().to_string();
    let bad = error(NormLayer { name: String::new(), channels: channels.to_vec(), eps: 1e-5, range: (0, 3), bits });
    assert_eq!(bad, "channel 1: mean is NaN, expected a finite number");
    let empty =
        error(NormLayer { name: String::new(), channels: channels[..1].to_vec(), eps: 1e-5, range: (3, 0), bits });
    assert!(empty.contains("3 to 0, is empty"), "{empty}");
    let bad =
        error(NormLayer { name: "conv3".to_owned(), channels: channels.to_vec(), eps: 1e-5, range: (0, 3), bits });
    assert_eq!(bad, "layer `conv3`: channel 1: mean is NaN, expected a finite number");
}
