//! The figure from records to paper.

use super::*;
use crate::plot::canvas::Mark;
use crate::plot::style::look;
use crate::plot::theme::Style;
use crate::plot::tidy::{assert_tidy, assert_tidy_page, words};
use crate::samples::{method, record};
use harness_records::record::{FailureClass, RunRecord, Status};
use proptest::prelude::*;

fn picture(records: &[RunRecord]) -> Picture {
    let theme = Theme::report();
    match AccuracyVsBits.draw(&Trials::new(records, &[]).unwrap(), &theme).unwrap() {
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
    assert_tidy(&picture.pages);
    let all: Vec<&str> = words(&picture.pages).iter().map(|words| words.text.as_str()).collect();
    for text in ["uniform", "dorefa", "float", "Bits of weights", "Top-1 accuracy (%)", "1", "2", "8"] {
        assert!(all.contains(&text), "{text}: {all:?}");
    }
    assert!(all.contains(&"digits, lenet: weights only"), "{all:?}");
    assert_eq!(picture.data.rows.len(), 7);
    assert_eq!(column(&picture, "top1_n")[0], &Value::Whole(2));
    let expected = "Means over 1 to 2 seeds; bars: sample standard deviation. Dashed: full precision.";
    assert!(picture.caption.contains(expected), "{}", picture.caption);
}

#[test]
fn widths_of_one_method_are_one_line_and_every_question_has_a_panel() {
    let choice = |bits: u8| method("dorefa", bits, &[]);
    let both = [1, 2, 4].map(|bits| record().weights(choice(bits)).activations(choice(bits)).build());
    let alone = picture(&both);
    assert_tidy(&alone.pages);
    let texts: Vec<&str> = words(&alone.pages).iter().map(|words| words.text.as_str()).collect();
    assert!(texts.contains(&"digits, lenet: weights and activations"), "{texts:?}");
    assert_eq!(texts.iter().filter(|text| text.contains("dorefa")).count(), 1, "{texts:?}");
    let lines = |picture: &Picture| {
        let blue = |mark: &&Mark| matches!(mark, Mark::Stroke { colour, .. } if *colour == look(0, 0, 0).colour);
        picture.pages[0].marks.iter().filter(blue).count()
    };
    // From 1 to 2 and from 2 to 4 bits, and in the legend.
    assert_eq!(lines(&alone), 3);

    let weights = [1, 2].map(|bits| record().weights(choice(bits)).build());
    let activations = record().activations(choice(2)).build();
    let all = picture(&[&both[..], &weights, &[activations, record().build()]].concat());
    assert_tidy(&all.pages);
    let texts: Vec<&str> = words(&all.pages).iter().map(|words| words.text.as_str()).collect();
    for title in ["Weights only", "Weights and activations", "Activations only"] {
        assert!(texts.contains(&title), "{title}: {texts:?}");
    }
    assert!(all.caption.ends_with(" In all panels: digits, lenet."), "{}", all.caption);
}

#[test]
fn an_outlier_stands_at_the_edge_with_its_value() {
    let of = |name: &str, bits: u8, top1: f64| record().weights(method(name, bits, &[])).top1(top1).build();
    let records = [
        record().build(),
        of("a", 1, 0.10),
        of("a", 2, 0.97),
        of("a", 4, 0.975),
        of("b", 1, 0.96),
        of("b", 2, 0.965),
        of("b", 4, 0.97),
    ];
    let picture = picture(&records);
    assert_tidy(&picture.pages);
    let texts: Vec<&str> = words(&picture.pages).iter().map(|words| words.text.as_str()).collect();
    assert!(texts.contains(&"10.0"), "{texts:?}");
    assert!(!texts.contains(&"20"), "the axis reaches down to the outlier: {texts:?}");
    assert!(picture.caption.contains("Arrows: values beyond the axis"), "{}", picture.caption);
}

#[test]
fn perplexity_is_drawn_where_there_is_no_accuracy() {
    let of = |bits: Option<u8>, value: f64| {
        let built = bits.map_or_else(record, |bits| record().weights(method("balanced", bits, &[])));
        let perplexity = |r: &mut RunRecord| {
            let metrics = r.metrics.as_mut().unwrap();
            (metrics.top1, metrics.perplexity) = (None, Some(value));
        };
        built.edit(perplexity).build()
    };
    let picture = picture(&[of(None, 100.0), of(Some(2), 126.0), of(Some(3), 123.0)]);
    assert_tidy(&picture.pages);
    assert!(words(&picture.pages).iter().any(|words| words.text == "Perplexity"));
    assert_eq!(column(&picture, "perplexity_mean")[1], &Value::Number(126.0));
}

#[test]
fn widths_without_a_finished_trial_are_marked() {
    let failed = record().weights(method("dorefa", 1, &[])).ended(Status::Failed, FailureClass::Oom, "no memory");
    let picture = picture(&[failed.build(), record().weights(method("dorefa", 2, &[])).build()]);
    assert_tidy(&picture.pages);
    assert!(words(&picture.pages).iter().any(|words| words.text == "no finished trial"));
    assert_eq!(column(&picture, "top1_mean"), [&Value::Absent, &Value::Number(0.975)]);
}

#[test]
fn a_single_point_and_float_alone_are_figures() {
    assert_tidy(&picture(&[record().weights(method("dorefa", 3, &[])).build()]).pages);
    assert_tidy(&picture(&[record().build()]).pages);
}

#[test]
fn five_seeds_have_an_interval_fewer_a_deviation() {
    let sweep = |seeds: u64| {
        let at =
            |bits: u8, seed: u64| record().weights(method("m", bits, &[])).seed(seed).top1(0.9 + 0.01 * seed as f64);
        let all = [1, 2].into_iter().flat_map(|bits| (0..seeds).map(move |seed| at(bits, seed).build()));
        picture(&all.collect::<Vec<_>>())
    };
    let three = sweep(3);
    assert_tidy(&three.pages);
    assert!(three.caption.contains("bars: sample standard deviation"), "{}", three.caption);
    // Values 0.90, 0.91, 0.92: 0.91 -+ 4.302653 * 0.01 / sqrt(3).
    let Value::Number(low) = column(&three, "top1_low")[0] else { panic!("no interval") };
    assert!((low - (0.91 - 0.024_841_4)).abs() < 1e-6, "{low}");
    let five = sweep(5);
    assert!(five.caption.contains("bars: 95 % confidence interval"), "{}", five.caption);
}

#[test]
fn nothing_to_draw_says_why() {
    let records = [record().ended(Status::Failed, FailureClass::Error, "no data").build()];
    let drawn = AccuracyVsBits.draw(&Trials::new(&records, &[]).unwrap(), &Theme::report()).unwrap();
    assert!(matches!(drawn, Drawn::Nothing(why) if why == "no trial finished with an accuracy or a perplexity"));
}

#[test]
fn what_does_not_fit_goes_to_a_further_page() {
    let mut records = Vec::new();
    for dataset in 0..14 {
        for name in 0..30 {
            let choice = method(&format!("method{name:02}"), 2, &[]);
            records.push(record().dataset(&format!("data{dataset:02}")).weights(choice).build());
        }
    }
    let picture = picture(&records);
    assert_tidy(&picture.pages);
    assert_eq!(picture.pages.len(), 2);
    for page in &picture.pages {
        let texts = words(std::slice::from_ref(page));
        assert!((0..30).all(|i| texts.iter().any(|words| words.text == format!("method{i:02}"))));
    }
    let titled = |text: &str| (0..14).filter(|i| text.starts_with(&format!("data{i:02}"))).count();
    assert_eq!(words(&picture.pages).iter().map(|words| titled(&words.text)).sum::<usize>(), 14);
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
        let trials = Trials::new(&records, &[]).unwrap();
        for (style, columns) in [(Style::Report, 2), (Style::Cvpr, 1), (Style::Neurips, 2), (Style::Slides, 2)] {
            let theme = Theme::new(style, columns).unwrap();
            let Drawn::Picture(picture) = AccuracyVsBits.draw(&trials, &theme).unwrap() else { panic!("nothing drawn") };
            picture.pages.iter().for_each(|page| assert_tidy_page(page, &theme.lettering));
        }
    }
}
