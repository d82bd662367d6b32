//! Claims on synthetic records: every verdict, and everything that can be missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use harness_records::config::MethodChoice;
use harness_records::record::{EpochRecord, FailureClass, LayerRecord, Metrics, Role, RunRecord, Status};

use super::{CLAIMS, Finding, Outcome, Proof, Verdict, findings};
use crate::samples::{Builder, method, record};

fn balanced(bits: u8, threshold: &str) -> MethodChoice {
    method("balanced", bits, &[("threshold", threshold), ("scale", "max"), ("rounding", "leaf")])
}

fn uniform(bits: u8) -> MethodChoice {
    method("uniform", bits, &[("range", "symmetric"), ("per", "tensor")])
}

fn dorefa(bits: u8, activations: u8) -> Builder {
    record().quant(method("dorefa", bits, &[]), method("dorefa", activations, &[]), MethodChoice::float())
}

fn pact() -> Builder {
    record().quant(method("dorefa", 2, &[]), method("pact", 2, &[]), MethodChoice::float())
}

/// Trials of one arm, one a seed, with these accuracies in percent.
fn seeds(arm: &Builder, top1: &[f64]) -> Vec<RunRecord> {
    (0..).zip(top1).map(|(seed, top1)| arm.clone().seed(seed).top1(top1 / 100.0).build()).collect()
}

fn of<'a>(records: &'a [RunRecord], id: &str) -> Vec<Finding<'a>> {
    findings(records).into_iter().filter(|finding| finding.claim.id == id).collect()
}

/// The only finding of a claim.
fn one<'a>(records: &'a [RunRecord], id: &str) -> Finding<'a> {
    let mut found = of(records, id);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn verdicts(finding: &Finding<'_>) -> Vec<Verdict> {
    finding.comparisons.iter().map(|(_, outcome)| outcome.verdict()).collect()
}

fn measured<'a>(finding: &'a Finding<'_>, index: usize) -> &'a super::Measured {
    match &finding.comparisons[index].1 {
        Outcome::Measured(measured) => measured,
        Outcome::NotRun(missing) => panic!("{missing:?}"),
    }
}

fn missing(finding: &Finding<'_>, index: usize) -> String {
    match &finding.comparisons[index].1 {
        Outcome::NotRun(missing) => missing.join("; "),
        Outcome::Measured(measured) => panic!("{measured:?}"),
    }
}

#[test]
fn a_difference_is_taken_seed_by_seed() {
    let check = |pact_top1: &[f64], dorefa_top1: &[f64], expected: Verdict| {
        let records = [seeds(&pact(), pact_top1), seeds(&dorefa(2, 2), dorefa_top1)].concat();
        let finding = one(&records, "P1");
        assert_eq!(finding.verdict, expected, "{finding:?}");
    };
    check(&[81.0, 72.1, 90.9], &[80.0, 71.0, 90.0], Verdict::Supported);
    check(&[79.0, 70.1, 88.9], &[80.0, 71.0, 90.0], Verdict::Refuted);
    check(&[82.0, 70.0, 91.0], &[80.0, 71.0, 90.0], Verdict::Undecided);
    check(&[81.0, 72.0], &[80.0, 71.0], Verdict::Undecided);

    // Differences 1, 1.1, 0.9: mean 1, sd 0.1, interval 1 -+ 4.302653 * 0.1 / sqrt(3).
    let records = [seeds(&pact(), &[81.0, 72.1, 90.9]), seeds(&dorefa(2, 2), &[80.0, 71.0, 90.0])].concat();
    let finding = one(&records, "P1");
    let found = measured(&finding, 0);
    let (summary, interval) = (found.summary.unwrap(), found.interval.unwrap());
    assert_eq!(summary.n, 3);
    assert!((summary.mean - 1.0).abs() < 1e-9 && (summary.sd.unwrap() - 0.1).abs() < 1e-9);
    assert!((interval.low - (1.0 - 0.248_413_8)).abs() < 1e-6 && (interval.high - 1.248_413_8).abs() < 1e-6);
}

#[test]
fn an_order_needs_each_of_its_steps() {
    let rows: [([f64; 3], Verdict); 4] = [
        ([60.0, 70.0, 80.0], Verdict::Supported),
        ([60.0, 70.0, 70.0], Verdict::Undecided),
        ([60.0, 59.0, 80.0], Verdict::Refuted),
        ([60.0, 59.0, 59.0], Verdict::Refuted),
    ];
    for (means, expected) in rows {
        let of_arm = |(activations, mean): (u8, f64)| seeds(&dorefa(1, activations), &[mean, mean + 1.0, mean + 2.0]);
        let records: Vec<RunRecord> = [1, 2, 4].into_iter().zip(means).flat_map(of_arm).collect();
        let finding = one(&records, "D1");
        assert_eq!(finding.verdict, expected, "{means:?}: {finding:?}");
    }
}

#[test]
fn a_gap_that_shrinks_is_a_difference_of_differences() {
    let arms = |bits: u8, ours: f64, theirs: f64| {
        let spread = |mean: f64| [mean, mean + 1.0, mean + 2.0];
        let ours = seeds(&record().weights(balanced(bits, "median")), &spread(ours));
        [ours, seeds(&record().weights(uniform(bits)), &spread(theirs))].concat()
    };
    let check = |records: &[RunRecord], expected: [Verdict; 3]| assert_eq!(verdicts(&one(records, "B2")), expected);
    use Verdict::{NotRun, Refuted, Supported};
    check(&[arms(2, 75.0, 70.0), arms(4, 81.0, 80.0)].concat(), [Supported, NotRun, Supported]);
    check(&[arms(2, 75.0, 70.0), arms(4, 89.0, 80.0)].concat(), [Supported, NotRun, Refuted]);
    check(&arms(2, 75.0, 70.0), [Supported, NotRun, NotRun]);
}

#[test]
fn equal_accuracy_is_a_matter_of_the_spread_over_seeds() {
    let check = |by_mean: &[f64], by_median: &[f64], expected: Verdict| {
        let arm = |threshold: &str| record().weights(balanced(2, threshold));
        let records = [seeds(&arm("mean"), by_mean), seeds(&arm("median"), by_median)].concat();
        assert_eq!(one(&records, "B3").verdict, expected);
    };
    // Standard deviation 10 in each arm.
    check(&[70.1, 80.0, 89.9], &[70.0, 80.0, 90.0], Verdict::Supported);
    check(&[90.1, 100.0, 109.9], &[70.0, 80.0, 90.0], Verdict::Refuted);
    check(&[80.0, 70.0, 90.0], &[70.0, 80.0, 90.0], Verdict::Undecided);
}

fn layer(name: &str, role: Role, weights: i64, bits: u8, effective_bits: f64, relative_mse: f64) -> LayerRecord {
    LayerRecord {
        layer: name.to_owned(),
        role,
        method: "m".to_owned(),
        bits,
        shape: vec![weights],
        relative_mse,
        effective_bits,
        code_counts: Vec::new(),
        fraction: 1.0,
        values: None,
    }
}

fn with_layers(arm: Builder, layers: &[LayerRecord]) -> Vec<RunRecord> {
    let of_seed = |seed: u64| arm.clone().seed(seed).edit(|r| r.layers = layers.to_vec()).build();
    (0..3).map(of_seed).collect()
}

#[test]
fn the_layer_that_speaks_against_the_claim_decides() {
    let codes = |worst: f64| {
        let layers = [layer("a", Role::Weight, 900, 2, 2.0, 0.1), layer("b", Role::Weight, 900, 2, worst, 0.1)];
        with_layers(record().weights(balanced(2, "median")), &layers)
    };
    assert_eq!(verdicts(&one(&codes(1.995), "B1"))[0], Verdict::Supported);
    assert_eq!(verdicts(&one(&codes(1.9), "B1"))[0], Verdict::Refuted);
    // For the uniform grid the layer with the most entropy does, and small layers do not count.
    let uniform = |large: f64| {
        let layers = [layer("a", Role::Weight, 900, 2, large, 0.1), layer("b", Role::Weight, 400, 2, 2.0, 0.1)];
        with_layers(record().weights(uniform(2)), &layers)
    };
    assert_eq!(verdicts(&one(&uniform(1.5), "B1"))[6], Verdict::Supported);
    assert_eq!(verdicts(&one(&uniform(1.8), "B1"))[6], Verdict::Refuted);

    let errors = |min: f64| {
        let balanced = [layer("a", Role::Weight, 900, 2, 2.0, 0.5), layer("b", Role::Weight, 900, 2, 2.0, min)];
        let squares = [layer("a", Role::Weight, 900, 2, 2.0, 0.1), layer("b", Role::Weight, 900, 2, 2.0, 0.2)];
        let fit = method("least-squares", 2, &[("variant", "optimal"), ("solver", "exact")]);
        [with_layers(record().weights(balanced_w2()), &balanced), with_layers(record().weights(fit), &squares)].concat()
    };
    assert_eq!(one(&errors(0.3), "B7").verdict, Verdict::Supported);
    assert_eq!(one(&errors(0.15), "B7").verdict, Verdict::Refuted);
}

fn balanced_w2() -> MethodChoice {
    balanced(2, "median")
}

#[test]
fn equal_costs_are_equal_to_the_last_operation() {
    let check = |operations: u64, expected: Verdict| {
        let arm = |weights: MethodChoice| record().quant(weights, method("balanced", 2, &[]), MethodChoice::float());
        let ours = seeds(&arm(balanced_w2()).edit(|r| r.model.bit_ops = operations), &[80.0, 80.0, 80.0]);
        let theirs = seeds(&arm(uniform(2)).edit(|r| r.model.bit_ops = 1000), &[80.0, 80.0, 80.0]);
        assert_eq!(one(&[ours, theirs].concat(), "B4").verdict, expected);
    };
    check(1000, Verdict::Supported);
    check(1001, Verdict::Refuted);
}

#[test]
fn times_are_of_large_layers_on_one_device() {
    let arm = |threshold: &str, weights: i64, seconds: f64, device: &'static str| {
        let epoch = move |seconds: f64| EpochRecord {
            epoch: 1,
            lr: 0.1,
            train_loss: 1.0,
            train_top1: None,
            validation: None,
            test: Metrics { loss: 1.0, top1: None, top5: None, perplexity: None },
            train_seconds: seconds,
            test_seconds: 1.0,
            samples_per_second: 1.0,
            sites: Vec::new(),
        };
        let arm = record().weights(balanced(2, threshold)).edit(|r| {
            r.epochs = vec![epoch(seconds - 0.5), epoch(seconds + 0.5)];
            r.environment.device_name = device.to_owned();
        });
        with_layers(arm, &[layer("a", Role::Weight, weights, 2, 2.0, 0.1)])
    };
    let check = |mean: Vec<RunRecord>, median: Vec<RunRecord>, expected: Verdict| {
        let records = [mean, median].concat();
        let finding = one(&records, "B3-time");
        assert_eq!((finding.verdict, finding.is_of_time()), (expected, expected != Verdict::NotRun));
    };
    check(arm("mean", 100_000, 2.0, "cpu"), arm("median", 100_000, 3.0, "cpu"), Verdict::Supported);
    check(arm("mean", 100_000, 3.0, "cpu"), arm("median", 100_000, 2.0, "cpu"), Verdict::Refuted);
    check(arm("mean", 99_999, 2.0, "cpu"), arm("median", 99_999, 3.0, "cpu"), Verdict::NotRun);
    check(arm("mean", 100_000, 2.0, "cpu"), arm("median", 100_000, 3.0, "gpu"), Verdict::NotRun);
}

#[test]
fn missing_arms_are_named() {
    let ours = seeds(&pact(), &[81.0, 72.0, 91.0]);
    assert_eq!(missing(&one(&ours, "P1"), 0), "dorefa w2 a2");
    assert_eq!(missing(&one(&ours, "D1"), 0), "dorefa w1 a2; dorefa w1 a1");
    assert_eq!(one(&ours, "D1").verdict, Verdict::NotRun);

    // Another number of epochs: nothing is compared.
    let longer = seeds(&dorefa(2, 2).edit(|r| r.config.train.epochs = 11), &[80.0, 71.0, 90.0]);
    let finding = [ours.clone(), longer].concat();
    assert_eq!(missing(&one(&finding, "P1"), 0), "arms under equal settings, each with a top-1 accuracy");

    let other_seeds: Vec<RunRecord> = (7..10).map(|seed| dorefa(2, 2).seed(seed).top1(0.5).build()).collect();
    let finding = [ours, other_seeds].concat();
    assert_eq!(one(&finding, "P1").verdict, Verdict::NotRun);
}

#[test]
fn each_place_is_judged_by_itself() {
    let at = |epochs: u32, ours: &[f64], theirs: &[f64]| {
        let change = move |r: &mut RunRecord| r.config.train.epochs = epochs;
        [seeds(&pact().edit(change), ours), seeds(&dorefa(2, 2).edit(change), theirs)].concat()
    };
    let records = [at(1, &[81.0, 72.0, 91.0], &[80.0, 71.0, 90.0]), at(2, &[79.0, 70.0, 89.0], &[80.0, 71.0, 90.0])];
    let records = records.concat();
    let found: Vec<(u32, Verdict)> =
        of(&records, "P1").iter().map(|f| (f.example.unwrap().config.train.epochs, f.verdict)).collect();
    assert_eq!(found, [(1, Verdict::Supported), (2, Verdict::Refuted)]);
}

#[test]
fn parts_of_the_training_differ_only_where_the_claim_is_about_them() {
    let stochastic = |options: &[(&str, &str)], restarts: u32| {
        let choice = method("stochastic", 1, &[&[("base", "bwn"), ("draw", "quantized")], options].concat());
        record().weights(choice).edit(|r| r.config.train.restarts = restarts)
    };
    let staged =
        [("granularity", "filter"), ("selection", "roulette"), ("probability", "linear"), ("schedule", "exponential")];
    let top1 = |mean: f64| [mean, mean + 1.0, mean + 2.0];
    let records = [
        seeds(&stochastic(&staged, 4), &top1(80.0)),
        seeds(&stochastic(&[("portion", "1")], 1), &top1(79.0)),
        seeds(&stochastic(&[("portion", "1")], 4), &top1(81.0)),
    ];
    use Verdict::{NotRun, Refuted, Supported};
    assert_eq!(verdicts(&one(&records.concat(), "S1")), [Supported, Refuted, NotRun, NotRun]);

    let ours = seeds(&pact().edit(|r| r.config.train.restarts = 2), &[81.0, 72.0, 91.0]);
    let records = [ours, seeds(&dorefa(2, 2), &[80.0, 71.0, 90.0])].concat();
    assert_eq!(one(&records, "P1").verdict, NotRun);
}

#[test]
fn lost_trials_are_told_and_divergence_forbids_a_verdict() {
    let failed = |status: Status, class: FailureClass| {
        let mut ours = seeds(&pact(), &[81.0, 72.0, 91.0]);
        ours.push(pact().seed(3).ended(status, class, "why").build());
        [ours, seeds(&dorefa(2, 2), &[80.0, 71.0, 90.0, 80.0])].concat()
    };
    let records = failed(Status::Failed, FailureClass::Crash);
    let finding = one(&records, "P1");
    assert_eq!(finding.verdict, Verdict::Supported);
    assert_eq!(measured(&finding, 0).summary.unwrap().n, 3);
    assert_eq!(measured(&finding, 0).remarks, ["1 of 4 trials of dorefa w2, pact a2 failed"]);

    let records = failed(Status::Diverged, FailureClass::Nan);
    let finding = one(&records, "P1");
    assert_eq!(finding.verdict, Verdict::Undecided);
    assert_eq!(measured(&finding, 0).remarks, ["1 of 4 trials of dorefa w2, pact a2 diverged"]);

    // All of them lost: still not the same as never run.
    let none = pact().ended(Status::Diverged, FailureClass::Nan, "why").build();
    let records = [vec![none], seeds(&dorefa(2, 2), &[80.0])].concat();
    assert_eq!(one(&records, "P1").verdict, Verdict::Undecided);
    // A seed that only one arm has.
    let records = [seeds(&pact(), &[81.0, 72.0, 91.0, 99.0]), seeds(&dorefa(2, 2), &[80.0, 71.0, 90.0])].concat();
    assert_eq!(measured(&one(&records, "P1"), 0).remarks, ["1 seeds without a value in every arm"]);
}

#[test]
fn arms_that_the_claim_cannot_tell_apart_forbid_a_verdict() {
    let again = record().quant(method("dorefa", 2, &[]), method("pact", 2, &[("more", "x")]), MethodChoice::float());
    let records =
        [seeds(&pact(), &[81.0, 72.0, 91.0]), seeds(&again, &[60.0]), seeds(&dorefa(2, 2), &[80.0, 71.0, 90.0])];
    let records = records.concat();
    let finding = one(&records, "P1");
    assert_eq!(finding.verdict, Verdict::Undecided);
    assert_eq!(measured(&finding, 0).remarks, ["more than one trial of dorefa w2, pact a2 with seed 0"]);
}

#[test]
fn ids_are_unique_and_arms_have_one_name_each() {
    let ids: BTreeSet<&str> = CLAIMS.iter().map(|claim| claim.id).collect();
    assert_eq!(ids.len(), CLAIMS.len());
    let mut arms = BTreeSet::new();
    for claim in CLAIMS {
        if let Proof::Trials(comparisons) = claim.proof {
            for (_, arm) in comparisons.iter().flat_map(|comparison| comparison.terms) {
                arms.insert((arm.name, format!("{arm:?}")));
            }
        }
    }
    let names: BTreeSet<&str> = arms.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), arms.len(), "{arms:#?}");
}

#[test]
fn tests_that_prove_claims_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for claim in CLAIMS {
        if let Proof::Test { file, function } = claim.proof {
            let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("fn {function}(")), "{}: {file} has no {function}", claim.id);
        }
    }
}
