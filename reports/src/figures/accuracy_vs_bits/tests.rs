//! The figure from records to paper.

use super::*;
use crate::plot::tidy::{assert_tidy, words};
use crate::samples::{method, record};
use harness_records::record::{FailureClass, RunRecord, Status};
use proptest::prelude::*;

fn picture(records: &[RunRecord]) -> Picture {
    let lettering = Lettering::new().unwrap();
    match AccuracyVsBits.draw(&Trials::new(records, &[]).unwrap(), &lettering).unwrap() {
        Drawn::Picture(picture) => picture,
        Drawn::Nothing(why) => panic!("{why}"),
    }
}

fn column<'a>(picture: &'a Picture, name: &str) -> Vec<&'a Value> {
    let index = picture.data.columns.iter().position(|column| *column == name).unwrap();
    picture.data.rows.iter().map(|row| &row[index]).collect()
}

#[test]
fn every_method_is_named_and_every_width_has_its_place() {
    let mut records = vec![record().build(), record().seed(1).build()];
    for (i, name) in ["uniform", "dorefa"].into_iter().enumerate() {
        for bits in [1, 2, 8] {
            let top1 = 0.5 + 0.05 * f64::from(bits) + 0.01 * i as f64;
            records.push(record().weights(method(name, bits, &[])).top1(top1).build());
        }
    }
    let picture = picture(&records);
    assert_tidy(&picture.canvas);
    let all: Vec<&str> = words(&picture.canvas).iter().map(|words| words.text.as_str()).collect();
    for text in
        ["uniform", "dorefa", "float", "Weight bit width (bits)", "Top-1 accuracy (%)", "digits, lenet", "1", "2", "8"]
    {
        assert!(all.contains(&text), "{text}: {all:?}");
    }
    assert_eq!(picture.data.rows.len(), 7);
    assert_eq!(column(&picture, "top1_n")[0], &Value::Whole(2));
    assert!(picture.caption.ends_with("over 1 to 2 seeds. Dashed: full precision."), "{}", picture.caption);
}

#[test]
fn activation_bits_tell_lines_apart_or_stand_in_the_title() {
    let at = |activations| {
        let choice = |bits| method("dorefa", bits, &[]);
        record().weights(choice(2)).activations(choice(activations)).build()
    };
    let texts = |records: &[RunRecord]| {
        let picture = picture(records);
        assert_tidy(&picture.canvas);
        words(&picture.canvas).iter().map(|words| words.text.clone()).collect::<Vec<_>>()
    };
    let same = texts(&[at(2)]);
    assert!(same.contains(&"digits, lenet, activations 2 bits".to_owned()), "{same:?}");
    assert!(same.contains(&"dorefa".to_owned()), "{same:?}");
    let differing = texts(&[at(2), at(4)]);
    assert!(differing.contains(&"dorefa, A2".to_owned()), "{differing:?}");
    assert!(differing.contains(&"dorefa, A4".to_owned()), "{differing:?}");
}

#[test]
fn widths_without_a_finished_trial_are_marked() {
    let failed = record().weights(method("dorefa", 1, &[])).ended(Status::Failed, FailureClass::Oom, "no memory");
    let picture = picture(&[failed.build(), record().weights(method("dorefa", 2, &[])).build()]);
    assert_tidy(&picture.canvas);
    assert!(words(&picture.canvas).iter().any(|words| words.text == "no finished trial"));
    assert_eq!(column(&picture, "top1_mean"), [&Value::Absent, &Value::Number(0.975)]);
}

#[test]
fn a_single_point_and_float_alone_are_figures() {
    assert_tidy(&picture(&[record().weights(method("dorefa", 3, &[])).build()]).canvas);
    assert_tidy(&picture(&[record().build()]).canvas);
}

#[test]
fn three_seeds_have_a_band_where_it_can_be_told_from_others() {
    let at = |name: &str, bits: u8, seed: u64| {
        record().weights(method(name, bits, &[])).seed(seed).top1(0.9 + 0.01 * seed as f64)
    };
    let sweep = |methods: usize, seeds: u64| {
        let names = (0..methods).map(|i| format!("m{i:02}"));
        let all =
            names.flat_map(|name| [1, 2].map(|bits| (0..seeds).map(|seed| at(&name, bits, seed).build()).collect()));
        picture(&all.collect::<Vec<Vec<RunRecord>>>().concat())
    };
    let shown = |picture: &Picture| picture.caption.contains("Bands: 95% confidence interval");
    let three = sweep(2, 3);
    assert_tidy(&three.canvas);
    assert!(shown(&three), "{}", three.caption);
    // Values 0.90, 0.91, 0.92: 0.91 -+ 4.302653 * 0.01 / sqrt(3).
    let Value::Number(low) = column(&three, "top1_low")[0] else { panic!("no interval") };
    assert!((low - (0.91 - 0.024_841_4)).abs() < 1e-6, "{low}");
    assert!(!shown(&sweep(2, 2)), "two seeds bound nothing");
    assert!(!shown(&sweep(MOST_BANDS + 1, 3)));
}

#[test]
fn nothing_to_draw_says_why() {
    let records = [record().ended(Status::Failed, FailureClass::Error, "no data").build()];
    let drawn = AccuracyVsBits.draw(&Trials::new(&records, &[]).unwrap(), &Lettering::new().unwrap()).unwrap();
    assert!(matches!(drawn, Drawn::Nothing(why) if why == "no trial finished with a top-1 accuracy"));
}

#[test]
fn what_does_not_fit_is_in_the_data_and_the_caption_says_so() {
    let mut records = Vec::new();
    for dataset in 0..14 {
        for name in 0..30 {
            let choice = method(&format!("method{name:02}"), 2, &[]);
            records.push(record().dataset(&format!("data{dataset:02}")).weights(choice).build());
        }
    }
    let picture = picture(&records);
    assert_tidy(&picture.canvas);
    assert!(picture.caption.contains("6 more panels are in the data only."), "{}", picture.caption);
    assert!(picture.caption.contains("6 more lines are in the data only."), "{}", picture.caption);
    assert_eq!(picture.data.rows.len(), 14 * 30);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_sweep_is_tidy(
        trials in prop::collection::vec(
            ("[a-z ]{1,50}|.{0,9}", 1u8..=8, prop::option::of(1u8..=8), 0u64..3, 0.0f64..=1.0, "[a-b]{1,40}"), 1..30,
        ),
    ) {
        let records: Vec<RunRecord> = trials.into_iter().map(|(name, bits, activations, seed, top1, dataset)| {
            let built = record().weights(method(&name, bits, &[])).seed(seed).top1(top1).dataset(&dataset);
            match activations {
                Some(bits) => built.activations(method(&name, bits, &[])).build(),
                None => built.build(),
            }
        }).collect();
        assert_tidy(&picture(&records).canvas);
    }
}

#[test]
fn a_panel_whose_lines_find_no_room_is_not_drawn_empty() {
    let named = |i: usize| record().weights(method(&format!("m{i:02}"), 2, &[]));
    let mut records: Vec<RunRecord> = (0..MOST_LINES).map(|i| named(i).dataset("shown").build()).collect();
    records.push(named(MOST_LINES).dataset("beyond").build());
    let picture = picture(&records);
    assert_tidy(&picture.canvas);
    let drawn = words(&picture.canvas);
    assert!(drawn.iter().any(|words| words.text.contains("shown")), "{drawn:?}");
    assert!(drawn.iter().all(|words| !words.text.contains("beyond")), "{drawn:?}");
    assert!(picture.caption.contains(" 1 more lines are in the data only."), "{}", picture.caption);
    assert_eq!(picture.data.rows.len(), MOST_LINES + 1);
}
