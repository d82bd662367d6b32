//! Every figure, from records to paper.

mod golden;

use harness_records::bench_report::{KernelResult, Quartiles};
use harness_records::config::MethodChoice;
use harness_records::record::{EpochRecord, Metrics, Role, RunRecord, SiteRecord, ValuesRecord};

use crate::figures::{Drawn, FIGURES, Figure, Picture, find};
use crate::kernels::{Kernels, testing};
use crate::plot::theme::Theme;
use crate::plot::tidy::{assert_tidy, words};
use crate::samples::{method, record};
use crate::sheet::Value;
use crate::trials::Trials;

/// A trial with everything a record can hold.
fn full(name: &str, bits: u8, seed: u64, layers: usize, epochs: u32) -> RunRecord {
    let choice = || method(name, bits, &[]);
    let top1 = 0.7 + 0.02 * f64::from(bits) + 0.001 * seed as f64;
    let roles: Vec<(Role, f64)> = (0..2 * layers)
        .map(|i| (if i % 2 == 0 { Role::Weight } else { Role::Activation }, 0.9 * f64::from(bits)))
        .collect();
    let built = record().quant(choice(), choice(), MethodChoice::float()).seed(seed).top1(top1).effective_bits(&roles);
    built
        .edit(|r| {
            for (i, layer) in r.layers.iter_mut().enumerate() {
                layer.layer = format!("conv{}", i / 2 + 1);
                layer.bits = bits;
                layer.relative_mse = 0.5f64.powi(i32::from(bits)) * (1.0 + 0.1 * seed as f64);
                layer.values = Some(ValuesRecord {
                    cosine: 1.0 - 0.1 / f64::from(bits),
                    low: -0.5,
                    high: 0.5,
                    before: (0..64).map(|bin: i64| (1000 - (bin - 32) * (bin - 32) / 2).unsigned_abs()).collect(),
                    after: (0..64).map(|bin| if bin % 21 == 0 { 5000 } else { 0 }).collect(),
                    levels: if i == 0 { vec![-0.5, -0.17, 0.17, 0.5] } else { Vec::new() },
                });
            }
            let site = |layer: usize, epoch: u32| SiteRecord {
                layer: format!("conv{}", layer + 1),
                role: Role::Weight,
                relative_mse: 0.2 / f64::from(epoch),
                effective_bits: f64::from(bits) * (0.8 + 0.01 * f64::from(epoch)),
                fraction: if name == "stochastic" { 0.5 + 0.5 * f64::from(epoch) / f64::from(epochs) } else { 1.0 },
                code_counts: (0..1u64 << bits).map(|code| 100 + code * u64::from(epoch)).collect(),
            };
            let metrics = |epoch: u32| Metrics {
                loss: 1.0 / f64::from(epoch),
                top1: Some(0.5 + 0.4 * f64::from(epoch) / f64::from(epochs)),
                top5: None,
                perplexity: None,
            };
            r.epochs = (1..=epochs)
                .map(|epoch| EpochRecord {
                    epoch,
                    lr: 0.1,
                    train_loss: 2.0 / f64::from(epoch) + 0.01 * seed as f64,
                    train_top1: None,
                    validation: None,
                    test: metrics(epoch),
                    train_seconds: 1.0,
                    test_seconds: 0.1,
                    samples_per_second: 1e3,
                    sites: (0..layers).map(|layer| site(layer, epoch)).collect(),
                })
                .collect();
            r.model.bit_ops = 5_000_000 * u64::from(bits) * u64::from(bits);
        })
        .build()
}

fn records(layers: usize, epochs: u32) -> Vec<RunRecord> {
    let mut records = Vec::new();
    for seed in 0..3 {
        records.push(record().seed(seed).top1(0.98).edit(|r| r.model.bit_ops = 5_120_000_000).build());
        for name in ["balanced", "dorefa", "stochastic"] {
            records.extend([1, 2, 4].map(|bits| full(name, bits, seed, layers, epochs)));
            let mixed = record().weights(method(name, 1, &[])).activations(method(name, 2, &[]));
            records.push(mixed.seed(seed).top1(0.72).edit(|r| r.model.bit_ops = 9_000_000).build());
        }
    }
    records
}

fn kernels(shapes: usize) -> Kernels {
    let kernel = |example: &KernelResult, shape: usize, bits: u8| KernelResult {
        shape: format!("resnet18.layer{shape}"),
        bits: format!("w{bits}a{bits}"),
        weight_bits: bits,
        activation_bits: bits,
        chosen: true,
        gops: 900.0 - shape as f64,
        limit_gops: 1500.0,
        intensity: 20.0 * (shape + 1) as f64,
        ratio_f32: Some(Quartiles { median: 12.5, low: 12.0, high: 13.0 }),
        ..example.clone()
    };
    Kernels::of(testing::report(|example| {
        (0..shapes).flat_map(|shape| [1, 2, 4].map(|bits| kernel(example, shape, bits))).collect()
    }))
}

/// A network without settings of single layers, and one for each of so many layers and for three widths.
fn single_layers(layers: usize) -> Vec<RunRecord> {
    let trial = |rules: String, seed: u64, top1: f64| {
        let layers = serde_json::from_str(&rules).unwrap();
        record().seed(seed).top1(top1).edit(move |r| r.config.quant.layers = layers).build()
    };
    let mut records = Vec::new();
    for seed in 0..3 {
        records.push(trial("[]".to_owned(), seed, 0.97 + 0.001 * seed as f64));
        for (layer, bits) in (0..layers).flat_map(|layer| [1, 2, 4].map(|bits| (layer, bits))) {
            let rule =
                format!(r#"[{{"layer": "layer{layer}.0.conv1", "weights": {{"method": "uniform", "bits": {bits}}}}}]"#);
            records.push(trial(rule, seed, 0.9 + 0.01 * f64::from(bits) + 0.002 * ((layer as u64 + seed) % 5) as f64));
        }
    }
    records
}

fn draw(figure: &dyn Figure, trials: &Trials) -> Result<Picture, String> {
    match figure.draw(trials, &Theme::report()).unwrap() {
        Drawn::Picture(picture) => Ok(picture),
        Drawn::Nothing(why) => Err(why),
    }
}

#[test]
fn every_figure_is_tidy_and_leaves_its_data() {
    for (layers, epochs, shapes) in [(1, 2, 1), (3, 10, 5), (20, 200, 40)] {
        let trials = Trials::new(&records(layers, epochs), &[]).unwrap().with_kernels(Some(kernels(shapes)));
        let single = Trials::new(&single_layers(layers), &[]).unwrap();
        for figure in FIGURES {
            let trials = if figure.name() == "sensitivity" { &single } else { &trials };
            let picture = draw(*figure, trials).unwrap_or_else(|why| panic!("{}: {why}", figure.name()));
            assert_tidy(&picture.pages);
            assert!(!picture.data.rows.is_empty() && picture.caption.ends_with('.'), "{}", figure.name());
            assert!(picture.data.rows.iter().all(|row| row.len() == picture.data.columns.len()), "{}", figure.name());
            // Axes say what they show; the names of methods speak for themselves.
            let upright = words(&picture.pages).iter().any(|words| words.upwards);
            assert!(upright || ["ranking", "sensitivity"].contains(&figure.name()), "{}", figure.name());
        }
    }
}

#[test]
fn figures_without_data_say_what_is_missing() {
    let trials = Trials::new(&[record().build()], &[]).unwrap();
    for figure in FIGURES.iter().filter(|figure| figure.name() != "accuracy_vs_bits") {
        let why = draw(*figure, &trials).unwrap_err();
        assert!(!why.is_empty() && !why.ends_with('.'), "{}: {why}", figure.name());
    }
}

#[test]
fn the_front_is_what_nothing_beats() {
    let of = |bits: u8, top1: f64, ops: u64| {
        let built = record().weights(method("dorefa", bits, &[])).top1(top1);
        built.edit(|r| r.model.bit_ops = ops).build()
    };
    let trials = Trials::new(&[of(1, 0.8, 10), of(2, 0.9, 20), of(3, 0.85, 30), of(4, 0.9, 40), of(8, 0.95, 50)], &[]);
    let picture = draw(find("accuracy_vs_bit_ops").unwrap(), &trials.unwrap()).unwrap();
    let column = |name: &str| picture.data.columns.iter().position(|column| *column == name).unwrap();
    let mut front: Vec<(&Value, &Value)> =
        picture.data.rows.iter().map(|row| (&row[column("weight_width")], &row[column("pareto")])).collect();
    front.sort_by_key(|(width, _)| format!("{width:?}"));
    let on: Vec<bool> = front.iter().map(|(_, on)| **on == Value::from("true")).collect();
    assert_eq!(on, [true, true, false, false, true]);
    let caption = &picture.caption;
    assert!(caption.contains("bits of weights and activations: dorefa 1/32, dorefa 2/32, dorefa 8/32."), "{caption}");
    let labels: Vec<&str> = words(&picture.pages).iter().map(|words| words.text.as_str()).collect();
    for (label, expected) in [("1/32", true), ("2/32", true), ("3/32", false), ("4/32", false), ("8/32", true)] {
        assert_eq!(labels.contains(&label), expected, "{label}: {labels:?}");
    }
}

#[test]
fn the_key_names_what_is_drawn() {
    // Weights of two bits and activations in full precision were never timed.
    let untimed = record().weights(method("stochastic", 2, &[])).build();
    let trials = Trials::new(&[full("dorefa", 2, 0, 1, 1), untimed], &[]).unwrap().with_kernels(Some(kernels(1)));
    let picture = draw(find("accuracy_vs_kernel_time").unwrap(), &trials).unwrap();
    let said: Vec<&str> = words(&picture.pages).iter().map(|words| words.text.as_str()).collect();
    assert!(said.contains(&"dorefa") && !said.contains(&"stochastic"), "{said:?}");
}

#[test]
fn networks_with_other_layers_share_a_figure() {
    let renamed = |record: RunRecord, model: &str| {
        let mut record = record;
        record.id.push_str(model);
        record.config.model.name = model.to_owned();
        let sites = record.epochs.iter_mut().flat_map(|epoch| &mut epoch.sites).map(|site| &mut site.layer);
        for layer in record.layers.iter_mut().map(|layer| &mut layer.layer).chain(sites) {
            *layer = format!("{model}.{layer}");
        }
        record
    };
    let records = [("short", 9), ("deep", 12)].map(|(model, layers)| renamed(full("balanced", 2, 0, layers, 3), model));
    let trials = Trials::new(&records, &[]).unwrap();
    let said = |figure: &str| {
        let picture = draw(find(figure).unwrap(), &trials).unwrap();
        assert_tidy(&picture.pages);
        words(&picture.pages).iter().map(|words| words.text.clone()).collect::<Vec<_>>()
    };
    let populations = said("code_populations");
    for expected in
        ["short: balanced 2/2", "deep: balanced 2/2", "deep.conv1 / short.conv1", "deep.conv8 / short.conv8"]
    {
        assert!(populations.iter().any(|text| text == expected), "{expected}: {populations:?}");
    }
    // Three epochs on every axis of epochs: none is without its lines.
    assert_eq!(populations.iter().filter(|text| *text == "3").count(), 4, "{populations:?}");
    let histograms = said("weight_histograms");
    for expected in ["short.conv1, short: balanced 2/2", "deep.conv1, deep: balanced 2/2"] {
        assert!(histograms.iter().any(|text| text == expected), "{expected}: {histograms:?}");
    }
}
