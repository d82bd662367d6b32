//! What a check says, row by row.

use harness_records::record::{CorrectSamples, FailureClass, Status};
use harness_track::Margins;
use harness_track::check::{Check, Design, Measure, Row, Settings, Verdict, compare};
use harness_track::history::Entry;

use crate::support::{entry, history, id};

fn check(entries: Vec<Entry>) -> Check {
    compare(&history(entries), &id(1), &id(2), &Settings::default())
}

/// One configuration: accuracies before and after in percent, by seed.
fn row(before: &[f64], after: &[f64]) -> Row {
    let side = |commit: u32, values: &[f64]| {
        values.iter().zip(0..).map(move |(v, seed)| entry("a", seed, &id(commit), v / 100.0)).collect::<Vec<_>>()
    };
    let mut check = check([side(1, before), side(2, after)].concat());
    assert_eq!(check.rows.len(), 1);
    check.rows.remove(0)
}

#[test]
fn verdicts() {
    use Verdict::{Equivalent, Improved, Inconclusive, Regressed};
    let rows: &[(&[f64], &[f64], Verdict)] = &[
        (&[90.0, 91.0, 92.0], &[80.1, 81.0, 81.9], Regressed),
        (&[90.0, 91.0, 92.0], &[95.1, 96.0, 96.9], Improved),
        (&[90.0, 91.0, 92.0], &[90.0, 91.0, 92.0], Equivalent),
        (&[90.0, 91.0, 92.0], &[90.01, 91.0, 91.99], Equivalent),
        // Sure, and too small to matter.
        (&[90.0, 91.0, 92.0], &[89.80, 90.81, 91.79], Equivalent),
        // Large, and not sure.
        (&[90.0, 91.0, 92.0], &[89.0, 92.0, 80.0], Inconclusive),
        // One seed says nothing, however large the difference.
        (&[90.0], &[50.0], Inconclusive),
        (&[90.0, 91.0], &[50.0], Inconclusive),
    ];
    for (before, after, expected) in rows {
        assert_eq!(row(before, after).verdict, *expected, "{before:?} {after:?}");
    }
}

#[test]
fn the_numbers_of_a_paired_test() {
    let row = row(&[90.0, 91.0, 92.0], &[88.0, 88.0, 88.0]);
    // Differences -2, -3, -4: mean -3, standard error 1/sqrt(3), t = 5.196 with 2 degrees of freedom.
    assert_eq!((row.design, row.seeds), (Design::Paired, (3, 3)));
    assert!((row.difference.unwrap() + 3.0).abs() < 1e-9);
    assert!((row.p.unwrap() - 0.035_098_9).abs() < 1e-6, "{:?}", row.p);
    let (low, high) = row.interval.unwrap();
    assert!((low + 5.484_14).abs() < 1e-4 && (high + 0.515_86).abs() < 1e-4, "{low} {high}");
    assert_eq!(row.verdict, Verdict::Regressed);
}

#[test]
fn other_seeds_are_two_samples() {
    let mut entries: Vec<Entry> =
        [90.0, 91.0, 92.0].iter().zip(0..).map(|(v, s)| entry("a", s, &id(1), v / 100.0)).collect();
    entries.extend([86.0, 88.0].iter().zip(5..).map(|(v, s)| entry("a", s, &id(2), v / 100.0)));
    let row = check(entries).rows.remove(0);
    // Pooled variance (2 + 2) / 3, standard error sqrt(4/3 * 5/6) = 1.054, t = 3.795 with 3 degrees of freedom.
    assert_eq!((row.design, row.seeds), (Design::Unpaired, (3, 2)));
    assert!((row.p.unwrap() - 0.032_125).abs() < 1e-4, "{:?}", row.p);
}

#[test]
fn inconclusive_says_how_many_seeds_would_do() {
    let spread = row(&[90.0, 90.0, 90.0], &[89.0, 91.0, 90.1]);
    assert_eq!(spread.verdict, Verdict::Inconclusive);
    let needed = spread.seeds_needed.unwrap();
    // Differences of spread 1 and a margin of 0.5: 34 pairs in all, by the tables of power.
    assert!((28..36).contains(&needed), "{needed}");
    assert!(spread.detectable.unwrap() > 0.5);
    assert_eq!(row(&[90.0], &[89.0]).seeds_needed, Some(2));
    assert_eq!(row(&[90.0, 10.0, 50.0], &[10.0, 90.0, 50.0]).seeds_needed, None);
}

#[test]
fn a_few_samples_that_flip_alike_are_no_regression() {
    // Three seeds lose the same three of 360 samples each: the spread over seeds is 0, and of the samples only three
    // speak.
    let correct_samples = |lost: bool| CorrectSamples::new((0..360).map(|i| i >= 20 && !(lost && i < 23)));
    let side = |commit: u32, lost: bool| {
        (0..3).map(move |seed| {
            let correct_samples = correct_samples(lost);
            let top1 = correct_samples.correct() as f64 / 360.0;
            Entry { correct_samples: Some(correct_samples), ..entry("a", seed, &id(commit), top1) }
        })
    };
    let row = check(side(1, false).chain(side(2, true)).collect()).rows.remove(0);
    let samples = row.samples.unwrap();
    assert_eq!((samples.samples, samples.lost, samples.gained), (360, 9, 0));
    assert!((samples.p - 0.25).abs() < 1e-12);
    assert_eq!(row.verdict, Verdict::Inconclusive, "{row:?}");
    assert!(row.remarks.iter().any(|remark| remark.contains("which samples")), "{:?}", row.remarks);
}

#[test]
fn one_seed_with_answers_is_at_least_told_that_networks_differ() {
    let of = |commit: u32, wrong: usize| {
        let correct_samples = CorrectSamples::new((0..1000).map(|i| i >= wrong));
        Entry { correct_samples: Some(correct_samples), ..entry("a", 0, &id(commit), 1.0 - wrong as f64 / 1000.0) }
    };
    let row = check(vec![of(1, 10), of(2, 60)]).rows.remove(0);
    assert_eq!((row.verdict, row.seeds_needed), (Verdict::Inconclusive, Some(2)));
    assert!(row.remarks.iter().any(|remark| remark.contains("these networks differ")), "{:?}", row.remarks);
}

#[test]
fn trials_that_stop_working_are_a_regression() {
    let ended = |seed, commit: u32, status, class| Entry {
        status,
        error: Some(class),
        metrics: Default::default(),
        ..entry("a", seed, &id(commit), 0.0)
    };
    let good = |commit: u32| (0..3).map(move |seed| entry("a", seed, &id(commit), 0.9)).collect::<Vec<_>>();
    let diverged = || vec![ended(1, 2, Status::Diverged, FailureClass::Nan)];
    let all = |extra: Vec<Entry>| {
        let mut after = good(2);
        after.retain(|entry| extra.iter().all(|other| other.seed != entry.seed));
        check([good(1), after, extra].concat()).rows.remove(0)
    };
    let row = all(diverged());
    assert_eq!(row.verdict, Verdict::Regressed);
    assert!(row.remarks[0].contains("seed 1 diverged (nan)"), "{:?}", row.remarks);
    // All of them.
    let row = all((0..3).map(|seed| ended(seed, 2, Status::Failed, FailureClass::Error)).collect());
    assert_eq!((row.verdict, row.after), (Verdict::Regressed, None));
    // A machine that went away is no fault of the code.
    let row = all(vec![ended(1, 2, Status::Failed, FailureClass::Preempted)]);
    assert_eq!(row.verdict, Verdict::Equivalent, "{row:?}");
    // What did not work before either is none.
    let before = [good(1)[..2].to_vec(), vec![ended(2, 1, Status::Diverged, FailureClass::Nan)]].concat();
    let after = [good(2)[..2].to_vec(), vec![ended(2, 2, Status::Diverged, FailureClass::Nan)]].concat();
    assert_eq!(check([before, after].concat()).rows[0].verdict, Verdict::Equivalent);
}

#[test]
fn hardware_and_configurations_are_never_mixed() {
    let mut entries = Vec::new();
    for seed in 0..3 {
        entries.push(entry("a", seed, &id(1), 0.9));
        entries.push(Entry { hardware: "a GPU".to_owned(), ..entry("a", seed, &id(2), 0.1) });
        entries.push(entry("b", seed, &id(1), 0.9));
        entries.push(entry("c", seed, &id(2), 0.1));
    }
    let check = check(entries);
    assert!(check.rows.is_empty(), "{check:#?}");
    let missing = check.missing.join("\n");
    for part in ["a was not run on a GPU at", "lenet b (s) has no result", "lenet c has no result"] {
        assert!(missing.contains(part), "{part}: {missing}");
    }
}

#[test]
fn perplexity_and_speed_have_their_own_scales() {
    let of = |name: &str, commit: u32, values: [f64; 3]| {
        let name = name.to_owned();
        (0..3).map(move |i| {
            let metrics = [(name.clone(), values[i])].into();
            Entry { metrics, ..entry("a", i as u64, &id(commit), 0.0) }
        })
    };
    let settings = Settings { margins: Margins { speed: 5.0, perplexity: 1.0, points: 0.5 }, ..Settings::default() };
    let run = |name: &str, before, after| {
        let entries = of(name, 1, before).chain(of(name, 2, after)).collect();
        compare(&history(entries), &id(1), &id(2), &settings).rows.remove(0)
    };
    let slower = run("ratio", [10.0, 10.1, 9.9], [8.0, 8.1, 7.9]);
    assert_eq!((slower.measure, slower.verdict), (Measure::Ratio, Verdict::Regressed));
    assert!((slower.difference.unwrap() - 100.0 * 0.8f64.ln()).abs() < 0.2);
    assert!((slower.before.unwrap() - 10.0).abs() < 0.01);
    assert_eq!(run("ratio", [10.0, 10.1, 9.9], [10.1, 10.2, 10.0]).verdict, Verdict::Equivalent);
    // Less is better.
    assert_eq!(run("perplexity", [100.0, 101.0, 99.0], [120.0, 121.0, 119.0]).verdict, Verdict::Regressed);
    assert_eq!(run("perplexity", [100.0, 101.0, 99.0], [80.0, 81.0, 79.0]).verdict, Verdict::Improved);
}

#[test]
fn many_comparisons_are_corrected_for() {
    // A p of 0.035 is enough alone and not among three.
    let entries = |config: &str| {
        let (before, after) = ([90.0, 91.0, 92.0], [88.0, 88.0, 88.0]);
        let side = |commit: u32, values: [f64; 3]| {
            (0..3).map(|i| entry(config, i as u64, &id(commit), values[i] / 100.0)).collect::<Vec<_>>()
        };
        [side(1, before), side(2, after)].concat()
    };
    let alone = check(entries("a"));
    assert_eq!(alone.rows[0].verdict, Verdict::Regressed);
    let three = check([entries("a"), entries("b"), entries("c")].concat());
    for row in &three.rows {
        assert_eq!(row.verdict, Verdict::Inconclusive);
        assert!((row.p_corrected.unwrap() - 3.0 * row.p.unwrap()).abs() < 1e-12);
        assert!(row.detectable > alone.rows[0].detectable);
    }
}
