//! Figures of typical reports, compared with drawings that somebody has looked at.
//!
//! `HARNESS_BLESS=1 cargo test -p harness-reports golden` writes the drawings anew; look at each of them then (the test
//! says where, at the width of a page and of a column), in colour and in grey, before they are committed.

use std::fs;
use std::path::Path;

use harness_records::config::MethodChoice;
use harness_records::record::{FailureClass, RunRecord, Status};

use crate::figures::{Drawn, find};
use crate::plot::canvas::Canvas;
use crate::plot::png::png;
use crate::plot::svg::svg;
use crate::plot::theme::{Style, Theme};
use crate::plot::tidy::assert_tidy;
use crate::samples::{method, record};
use crate::trials::Trials;

/// Weights and activations of some width by one method; 32 is full precision.
fn trial(name: &str, (w, a): (u8, u8), seed: u64, percent: f64) -> RunRecord {
    let choice = |bits: u8| if bits == 32 { MethodChoice::float() } else { method(name, bits, &[]) };
    // Every seed has its own luck, the same on every machine.
    let luck = 0.3 * (f64::from(u32::try_from(seed * 7 % 11).unwrap()) - 5.0) / 5.0;
    let built = record().quant(choice(w), choice(a), MethodChoice::float()).seed(seed);
    built.top1((percent + luck) / 100.0).build()
}

/// Results that fall with fewer bits, by a different amount for each method.
fn percent(number: usize, (w, a): (u8, u8)) -> f64 {
    let loss = |bits: u8, most: f64| if bits == 32 { 0.0 } else { most * 0.5f64.powi(i32::from(bits) - 1) };
    98.0 - loss(w, 3.0 + number as f64) - loss(a, 5.0 + 0.5 * number as f64)
}

const NAMES: [&str; 10] =
    ["balanced", "bwn", "dorefa", "least-squares", "lsq", "pact", "stochastic", "twn", "uniform", "xnor"];

fn sweep(names: &[&str], settings: &[(u8, u8)], seeds: u64) -> Vec<RunRecord> {
    let mut records: Vec<RunRecord> = (0..seeds).map(|seed| trial("float", (32, 32), seed, 98.0)).collect();
    for (number, name) in names.iter().enumerate() {
        for setting in settings {
            records.extend((0..seeds).map(|seed| trial(name, *setting, seed, percent(number, *setting))));
        }
    }
    records
}

/// Weights alone, activations alone, both, and mixed widths, as in a comparison on ImageNet.
const MANY: [(u8, u8); 12] =
    [(1, 32), (2, 32), (3, 32), (4, 32), (32, 2), (1, 1), (2, 2), (3, 3), (4, 4), (1, 2), (1, 4), (2, 4)];

fn cases() -> Vec<(&'static str, Vec<RunRecord>)> {
    let both = [(1, 1), (2, 2), (3, 3)];
    let places = |records: Vec<RunRecord>| {
        let mut all = Vec::new();
        for dataset in ["digits", "mnist"] {
            for model in ["lenet", "mlp", "resnet20"] {
                all.extend(records.iter().cloned().map(|mut record| {
                    record.config.dataset.name = dataset.to_owned();
                    record.config.model.name = model.to_owned();
                    record.id = format!("{}{dataset}{model}", record.id);
                    record
                }));
            }
        }
        all
    };
    let perplexity = |mut record: RunRecord| {
        if let Some(metrics) = &mut record.metrics {
            metrics.perplexity = metrics.top1.take().map(|top1| 100.0 + 5.0 * (98.0 - 100.0 * top1));
        }
        record
    };
    let published = |seed: u64| {
        let built = record().quant(method("lsq", 2, &[]), method("lsq", 2, &[]), MethodChoice::float()).seed(seed);
        let built = built.dataset("imagenet").edit(|r| r.config.model.name = "resnet18".to_owned());
        built.ended(Status::Failed, FailureClass::Oom, "out of memory").build()
    };
    let mut one_published = vec![published(0)];
    one_published.push(trial("float", (32, 32), 0, 69.7));
    for record in &mut one_published {
        record.config.dataset.name = "imagenet".to_owned();
        record.config.model.name = "resnet18".to_owned();
    }
    let eight: Vec<(u8, u8)> = (1..=8).map(|bits| (bits, 32)).collect();
    vec![
        ("many_questions", sweep(&NAMES[..6], &MANY, 1)),
        ("weights_and_activations", sweep(&["balanced", "dorefa", "lsq"], &both, 3)),
        ("forty_configurations", sweep(&NAMES, &[(1, 32), (2, 32), (1, 1), (2, 2)], 2)),
        ("one_configuration", vec![trial("dorefa", (2, 2), 0, 95.0)]),
        ("one_method_at_eight_widths", sweep(&["dorefa"], &eight, 3)),
        ("two_data_sets_and_three_models", places(sweep(&["balanced", "dorefa"], &both[..2], 3))),
        ("published_values_only", one_published),
        ("perplexity", sweep(&["balanced", "uniform"], &both, 3).into_iter().map(perplexity).collect()),
        ("twenty_seeds", sweep(&["balanced", "dorefa", "xnor"], &both[..2], 20)),
    ]
}

/// All pages of a figure in one text.
fn document(pages: &[Canvas], theme: &Theme) -> String {
    pages.iter().map(|canvas| svg(canvas, theme.lettering.face, "")).collect::<Vec<_>>().join("<!-- next page -->\n")
}

#[test]
fn golden_figures_have_not_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let bless = std::env::var_os("HARNESS_BLESS").is_some();
    let theme = Theme::report();
    let mut changed = Vec::new();
    for (name, records) in cases() {
        let trials = Trials::new(&records, &[]).unwrap();
        for figure in ["accuracy_vs_bits", "accuracy_grid", "ranking"] {
            let Drawn::Picture(picture) = find(figure).unwrap().draw(&trials, &theme).unwrap() else { continue };
            assert_tidy(&picture.pages);
            let drawn = document(&picture.pages, &theme);
            let file = folder.join(format!("{name}.{figure}.svg"));
            if bless {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&file, &drawn).unwrap();
                let seen = std::env::temp_dir().join("harness-golden");
                fs::create_dir_all(&seen).unwrap();
                let narrow = Theme::new(Style::Cvpr, 1).unwrap();
                let Drawn::Picture(column) = find(figure).unwrap().draw(&trials, &narrow).unwrap() else { continue };
                for (width, theme, pages) in [("page", &theme, &picture.pages), ("column", &narrow, &column.pages)] {
                    for (page, canvas) in pages.iter().enumerate() {
                        let pixels = png(canvas, &theme.lettering).unwrap();
                        fs::write(seen.join(format!("{name}.{figure}.{width}-{}.png", page + 1)), pixels).unwrap();
                    }
                }
            } else if fs::read_to_string(&file).ok().as_ref() != Some(&drawn) {
                changed.push(file.display().to_string());
            }
        }
    }
    assert!(changed.is_empty(), "not what was looked at (see the head of this file): {changed:#?}");
}

#[test]
fn when_every_trial_failed_no_figure_is_drawn_and_each_says_why() {
    let failed = |seed: u64| {
        let built = record().weights(method("dorefa", 2, &[])).seed(seed);
        built.ended(Status::Failed, FailureClass::Oom, "out of memory").build()
    };
    let trials = Trials::new(&[failed(0), failed(1)], &[]).unwrap();
    for figure in ["accuracy_vs_bits", "accuracy_grid", "ranking"] {
        let drawn = find(figure).unwrap().draw(&trials, &Theme::report()).unwrap();
        assert!(matches!(&drawn, Drawn::Nothing(why) if !why.is_empty()), "{figure}: {drawn:?}");
    }
}
