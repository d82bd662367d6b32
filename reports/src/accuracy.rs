//! Trials that differ in nothing but the seed, put together: the numbers behind accuracy tables and figures.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use harness_records::record::{RunRecord, Status};

use crate::bit_widths::FLOAT_WIDTH;
use crate::difference::Difference;
use crate::error::ReportError;
use crate::frames::Frame;
use crate::published::{self, Published};
use crate::sheet::Value;
use harness_stats::Summary;

/// Columns of data that say which configuration a row is about; see [`Row::identity`].
pub(crate) const IDENTITY: [&str; 7] =
    ["dataset", "model", "setting", "method", "weight_width", "activation_width", "gradient_width"];

/// All trials of one configuration over its seeds.
#[derive(Debug)]
pub(crate) struct Row {
    /// Label of the data set.
    pub(crate) dataset: String,
    /// Label of the model.
    pub(crate) model: String,
    /// What else differs among the trials of the report; empty when nothing does.
    pub(crate) setting: String,
    /// The same without which layers stay in full precision.
    float_setting: String,
    /// Label of all methods together.
    pub(crate) method: String,
    /// Label of the weights' method.
    pub(crate) weight_method: String,
    /// Label of the activations' method.
    pub(crate) activation_method: String,
    /// Label of the gradients' method.
    pub(crate) gradient_method: String,
    /// Bits of weights, activations and gradients, full precision as 32.
    pub(crate) widths: [u32; 3],
    /// True when nothing is quantized.
    pub(crate) is_float: bool,
    /// Trials in all.
    pub(crate) trials: usize,
    /// Of those, how many failed and how many diverged.
    pub(crate) failed: usize,
    pub(crate) diverged: usize,
    /// Fraction of test samples right, by seed.
    pub(crate) top1: Metric,
    /// Fraction with the right class among five, by seed.
    pub(crate) top5: Metric,
    /// Perplexity, by seed.
    pub(crate) perplexity: Metric,
    /// Mean entropy of the weights' codes, by seed.
    pub(crate) effective_weight_bits: Metric,
    /// Mean entropy of the activations' codes, by seed.
    pub(crate) effective_activation_bits: Metric,
    /// Wall-clock seconds of trials that ended well, by seed.
    pub(crate) seconds: Metric,
    /// One of the trials, as an index among all.
    pub(crate) example: usize,
    /// All of them.
    pub(crate) members: Vec<usize>,
    /// What a paper reports for this configuration, where one does.
    pub(crate) published: Option<Published>,
}

/// One metric of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Metric {
    pub(crate) by_seed: BTreeMap<u64, f64>,
    /// Mean and spread; `None` where no trial has a value.
    pub(crate) summary: Option<Summary>,
    /// Against full precision in the same place; `None` where there is none, and for full precision itself.
    pub(crate) difference: Option<Difference>,
}

impl Row {
    /// Data set, model and setting.
    pub(crate) fn place(&self) -> [&str; 3] {
        [&self.dataset, &self.model, &self.setting]
    }

    /// What stands in the columns [`IDENTITY`].
    pub(crate) fn identity(&self) -> [Value; IDENTITY.len()] {
        let [weights, activations, gradients] = self.widths.map(Value::from);
        let [dataset, model, setting, method] =
            [&self.dataset, &self.model, &self.setting, &self.method].map(|label| Value::from(label.as_str()));
        [dataset, model, setting, method, weights, activations, gradients]
    }
}

/// Rows by data set, model and setting, in order.
pub(crate) fn by_place<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<[&'a str; 3], Vec<&'a Row>> {
    let mut places: BTreeMap<[&str; 3], Vec<&Row>> = BTreeMap::new();
    for row in rows {
        places.entry(row.place()).or_default().push(row);
    }
    places
}

impl Metric {
    fn new(by_seed: BTreeMap<u64, f64>) -> Metric {
        let summary = Summary::of(&by_seed.values().copied().collect::<Vec<_>>());
        Metric { by_seed, summary, difference: None }
    }
}

const KEY: &[&str] = &[
    "dataset",
    "model",
    "setting",
    "method",
    "weight_method",
    "weight_width",
    "activation_method",
    "activation_width",
    "gradient_method",
    "gradient_width",
];

/// One row a configuration: full precision first, then by method, activation bits and weight bits.
/// `frame` holds a row for each of the records, in their order.
pub(crate) fn rows(frame: &Frame, records: &[RunRecord]) -> Result<Vec<Row>, ReportError> {
    let mut rows = Vec::new();
    for members in frame.groups(KEY)? {
        let Some(&first) = members.first() else { continue };
        let text = |name: &str| Ok::<_, ReportError>(frame.text(name)?.get(first).unwrap_or_default().to_owned());
        let width = |name: &str| Ok::<_, ReportError>(frame.bits(name)?.get(first).unwrap_or(FLOAT_WIDTH));
        let metric = |name: &str| {
            let (seeds, values) = (frame.whole("seed")?, frame.number(name)?);
            let by_seed = members.iter().filter_map(|&row| Some((seeds.get(row)?, values.get(row)?)));
            Ok::<_, ReportError>(Metric::new(by_seed.collect()))
        };
        let ended = |status: Status| members.iter().filter(|&&row| records[row].status == status).count();
        rows.push(Row {
            dataset: text("dataset")?,
            model: text("model")?,
            setting: text("setting")?,
            float_setting: text("float_setting")?,
            method: text("method")?,
            weight_method: text("weight_method")?,
            activation_method: text("activation_method")?,
            gradient_method: text("gradient_method")?,
            widths: [width("weight_width")?, width("activation_width")?, width("gradient_width")?],
            is_float: width("is_float")? == 1,
            trials: members.len(),
            failed: ended(Status::Failed),
            diverged: ended(Status::Diverged),
            top1: metric("top1")?,
            top5: metric("top5")?,
            perplexity: metric("perplexity")?,
            effective_weight_bits: metric("effective_weight_bits")?,
            effective_activation_bits: metric("effective_activation_bits")?,
            seconds: Metric::new(
                members
                    .iter()
                    .map(|&row| &records[row])
                    .filter(|record| record.status == Status::Ok && record.time.seconds.is_finite())
                    .map(|record| (record.seed, record.time.seconds))
                    .collect(),
            ),
            example: first,
            members: members.clone(),
            published: None,
        });
    }
    let numbers = published::all()?;
    for row in &mut rows {
        let config = &records[row.example].config;
        let metric =
            if row.perplexity.summary.is_some() { published::Metric::Perplexity } else { published::Metric::Top1 };
        row.published = published::beside(&numbers, None, metric, config);
    }
    compare_with_float(&mut rows);
    rows.sort_by(order);
    Ok(rows)
}

/// The full-precision network that a row is compared with. Which layers stay in full precision is nothing to a network
/// that is wholly so: where none has exactly the same setting, one that differs in this alone is taken.
pub(crate) fn full_precision<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    let here = |other: &&Row| other.is_float && (&other.dataset, &other.model) == (&row.dataset, &row.model);
    let exact = rows.iter().filter(here).find(|other| other.setting == row.setting);
    exact.or_else(|| rows.iter().filter(here).find(|other| other.float_setting == row.float_setting))
}

/// Fills in the differences.
fn compare_with_float(rows: &mut [Row]) {
    let difference = |row: &Row| {
        let float = full_precision(rows, row).filter(|_| !row.is_float)?;
        Some((
            Difference::between(&row.top1.by_seed, &float.top1.by_seed),
            Difference::between(&row.perplexity.by_seed, &float.perplexity.by_seed),
        ))
    };
    let differences: Vec<_> = rows.iter().map(difference).collect();
    for (row, found) in rows.iter_mut().zip(differences) {
        if let Some((top1, perplexity)) = found {
            row.top1.difference = top1;
            row.perplexity.difference = perplexity;
        }
    }
}

fn order(a: &Row, b: &Row) -> Ordering {
    let place = |row: &Row| (row.dataset.clone(), row.model.clone(), row.setting.clone(), !row.is_float);
    let methods = |row: &Row| [row.method.clone(), row.activation_method.clone(), row.gradient_method.clone()];
    let widths = |row: &Row| [row.widths[2], row.widths[1], row.widths[0]];
    (place(a), methods(a), widths(a)).cmp(&(place(b), methods(b), widths(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::samples::{method, record};
    use harness_records::catalog::Catalog;
    use harness_records::config::MethodChoice;
    use harness_records::record::{FailureClass, RunRecord};

    fn rows_of(records: &[RunRecord]) -> Vec<Row> {
        let labels = Labels::new(records, &Catalog::default(), &BTreeMap::new());
        rows(&Frame::new(records, &labels).unwrap(), records).unwrap()
    }

    #[test]
    fn seeds_come_together_and_configurations_stay_apart() {
        let mut records = Vec::new();
        for seed in 0..3 {
            records.push(record().seed(seed).build());
            for bits in [1, 2] {
                records.push(record().weights(method("dorefa", bits, &[])).seed(seed).build());
                records.push(record().weights(method("dorefa", bits, &[])).dataset("other").seed(seed).build());
            }
        }
        records.push(record().weights(method("dorefa", 1, &[])).seed(0).edit(|r| r.config.train.epochs = 3).build());
        let rows = rows_of(&records);
        let seen: Vec<_> =
            rows.iter().map(|r| (r.dataset.as_str(), r.setting.as_str(), r.widths[0], r.trials)).collect();
        assert_eq!(
            seen,
            [
                ("digits", "train.epochs=10", 32, 3),
                ("digits", "train.epochs=10", 1, 3),
                ("digits", "train.epochs=10", 2, 3),
                ("digits", "train.epochs=3", 1, 1),
                ("other", "train.epochs=10", 1, 3),
                ("other", "train.epochs=10", 2, 3),
            ]
        );
        let compared: Vec<bool> = rows.iter().map(|row| row.top1.difference.is_some()).collect();
        assert_eq!(compared, [false, true, true, false, false, false]);
    }

    #[test]
    fn the_order_of_the_records_does_not_matter() {
        let mut records: Vec<RunRecord> =
            (0..7).map(|seed| record().seed(seed).top1(0.1 + 0.1 * seed as f64).build()).collect();
        let forwards = rows_of(&records);
        records.reverse();
        assert_eq!(forwards[0].top1.summary, rows_of(&records)[0].top1.summary);
    }

    #[test]
    fn layers_kept_in_full_precision_do_not_matter_to_float() {
        let float = record().build();
        let everything = record().weights(method("dorefa", 2, &[])).top1(0.875).edit(|r| {
            r.config.quant.keep_float.clear();
        });
        let rows = rows_of(&[float, everything.build()]);
        let row = rows.iter().find(|row| !row.is_float).unwrap();
        assert_eq!(row.setting, "", "a setting that all quantized networks share parts nothing");
        assert!((row.top1.difference.unwrap().mean() + 0.1).abs() < 1e-12);
    }

    #[test]
    fn settings_of_single_layers_stay_apart() {
        let rules = |text: &str| serde_json::from_str(text).unwrap();
        let of = |text: &'static str, seed: u64, top1: f64| {
            let choice = || method("dorefa", 2, &[]);
            let built = record().quant(choice(), choice(), MethodChoice::float()).seed(seed).top1(top1);
            built.edit(move |r| r.config.quant.layers = rules(text)).build()
        };
        let eight = r#"[{"layer": "first", "weights": {"bits": 8}}]"#;
        let single = r#"[{"layer": "conv2", "weights": {"method": "float"}}]"#;
        let records = [
            of("[]", 0, 0.5),
            of("[]", 1, 0.6),
            of(eight, 0, 0.7),
            of(eight, 1, 0.8),
            of(single, 0, 0.9),
            record()
                .edit(move |r| {
                    r.config.quant.layers = rules(r#"[{"layer": "fc", "weights": {"method": "uniform", "bits": 3}}]"#)
                })
                .build(),
        ];
        let rows = rows_of(&records);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.method.as_str(), row.trials, row.is_float, row.top1.summary.as_ref().unwrap().mean))
            .collect();
        let expected = [
            ("dorefa", 2, false, 0.55),
            ("dorefa, conv2 w32", 1, false, 0.9),
            ("dorefa, first w8", 2, false, 0.75),
            ("float, fc uniform w3", 1, false, 0.975),
        ];
        assert_eq!(seen, expected);
        assert!(rows.iter().all(|row| row.published.is_none()));
    }

    #[test]
    fn unfinished_trials_are_counted_and_not_averaged() {
        let choice = || method("dorefa", 1, &[]);
        let records = [
            record().weights(choice()).seed(0).top1(0.5).build(),
            record().weights(choice()).seed(1).ended(Status::Failed, FailureClass::Oom, "").build(),
            record().weights(choice()).seed(2).ended(Status::Diverged, FailureClass::Nan, "").build(),
            record().weights(choice()).seed(3).top1(f64::INFINITY).build(),
        ];
        let row = &rows_of(&records)[0];
        assert_eq!((row.trials, row.failed, row.diverged), (4, 1, 1));
        assert_eq!(row.top1.summary, Some(Summary { n: 1, mean: 0.5, sd: None }));
    }
}
