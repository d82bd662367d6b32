//! The reproduction ledger: every published number that trials here repeat, and what may explain a difference.

use harness_records::config::TrialConfig;

use crate::accuracy::Row;
use crate::error::ReportError;
use crate::numbers::{difference, mean_and_spread, two_decimals};
use crate::published::{self, Metric, Published};
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::trials::Trials;
use harness_stats::Interval;

/// `published`.
pub(crate) struct Ledger;

impl Table for Ledger {
    fn name(&self) -> &'static str {
        "published"
    }

    fn title(&self) -> &'static str {
        "Published numbers and ours"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let (rows, numbers) = (trials.rows()?, published::all()?);
        let entries: Vec<Entry<'_>> = rows
            .iter()
            .flat_map(|row| {
                let config = &trials.records[row.example].config;
                numbers.iter().filter(|n| n.matches(config)).map(move |number| Entry { row, number, config })
            })
            .collect();
        Ok(Sheet { grid: grid(&entries), data: data(&entries) })
    }
}

/// A number beside the trials that repeat it.
struct Entry<'a> {
    row: &'a Row,
    number: &'a Published,
    config: &'a TrialConfig,
}

const PERCENT: f64 = 100.0;
/// Marks numbers that nobody looked up.
pub(crate) const FROM_MEMORY: char = '‡';

impl Entry<'_> {
    /// Ours, in the unit of theirs.
    fn ours(&self) -> Option<harness_stats::Summary> {
        match self.number.metric {
            Metric::Top1 => self.row.top1.summary.map(|summary| summary.times(PERCENT)),
            Metric::Top5 => self.row.top5.summary.map(|summary| summary.times(PERCENT)),
            Metric::Perplexity => self.row.perplexity.summary,
        }
    }

    fn interval(&self) -> Option<Interval> {
        self.ours().and_then(harness_stats::Summary::interval_95)
    }

    fn verdict(&self) -> &'static str {
        match (self.ours(), self.interval()) {
            (None, _) => "no result",
            (_, None) => "one seed",
            (_, Some(Interval { low, high })) if (low..=high).contains(&self.number.value) => "within",
            _ => "outside",
        }
    }

    fn metric(&self) -> &'static str {
        match self.number.metric {
            Metric::Top1 => "top-1 (%)",
            Metric::Top5 => "top-5 (%)",
            Metric::Perplexity => "perplexity",
        }
    }

    /// What is known to differ or to be unknown: the usual reasons why numbers do.
    fn causes(&self) -> Vec<String> {
        let train = &self.config.train;
        let mut causes = vec![match self.number.epochs {
            Some(theirs) if theirs == train.epochs => format!("epochs: {theirs}, the same"),
            Some(theirs) => format!("epochs: {} here, {theirs} there", train.epochs),
            None => format!("epochs: {} here, not known there", train.epochs),
        }];
        let part =
            |limit: Option<u64>, what: &str| limit.map(|limit| format!("data: only {limit} {what} samples here"));
        causes.extend(part(train.limit, "training"));
        causes.extend(part(train.limit_test, "test"));
        if train.limit.or(train.limit_test).is_none() {
            causes.push("data: all samples".to_owned());
        }
        let kept = match self.config.quant.keep_float.join(" ") {
            none if none.is_empty() => "none".to_owned(),
            kept => kept,
        };
        causes.push(match &self.number.keep_float {
            Some(theirs) if *theirs == kept => format!("layers in full precision: {kept}, the same"),
            Some(theirs) => format!("layers in full precision: {kept} here, {theirs} there"),
            None => format!("layers in full precision: {kept} here, not known there"),
        });
        // Two bits may mean three levels or four.
        let ternary = [&self.config.quant.weights, &self.config.quant.activations].iter().any(|choice| {
            choice.method == "twn"
                || choice.options.iter().any(|(_, value)| ["twn", "ternary"].contains(&&*value.to_string()))
        });
        if ternary {
            causes.push("levels: three (ternary), listed under 2 bits".to_owned());
        }
        causes
    }
}

fn grid(entries: &[Entry<'_>]) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let columns = vec![
        left("Data set"),
        left("Model"),
        left("Method"),
        right("W/A"),
        left("Metric"),
        right("Published"),
        right("Ours"),
        right("Difference"),
        right("95% interval"),
        left("Published is"),
        left("Paper"),
        left("What to check"),
    ];
    let cells = |entry: &Entry<'_>| {
        let row = entry.row;
        let mark = if entry.number.from_memory { FROM_MEMORY.to_string() } else { String::new() };
        let ours = entry.ours();
        vec![
            row.dataset.clone(),
            row.model.clone(),
            row.method.clone(),
            format!("{}/{}", row.widths[0], row.widths[1]),
            entry.metric().to_owned(),
            format!("{}{mark}", two_decimals(entry.number.value)),
            ours.map_or_else(|| "–".to_owned(), mean_and_spread),
            ours.map_or_else(|| "–".to_owned(), |ours| difference(ours.mean - entry.number.value, None)),
            entry
                .interval()
                .map_or_else(|| "–".to_owned(), |i| format!("{} to {}", two_decimals(i.low), two_decimals(i.high))),
            entry.verdict().to_owned(),
            entry.number.paper.clone(),
            entry.causes().join("; "),
        ]
    };
    let mut notes = vec![
        "Published numbers whose data set, network, methods and bit widths are those of trials here. The interval is \
         that of our mean over seeds by Student's t; within: it covers the published number."
            .to_owned(),
    ];
    let mut sources: Vec<String> =
        entries.iter().map(|entry| format!("{}: {}", entry.number.paper, entry.number.source)).collect();
    sources.sort();
    sources.dedup();
    match entries.is_empty() {
        true => notes.push("No trial of this report repeats a published number.".to_owned()),
        false => notes.push(format!("Sources: {}.", sources.join("; "))),
    }
    if entries.iter().any(|entry| entry.number.from_memory) {
        notes.push(format!("{FROM_MEMORY} Quoted from memory, not verified against the paper."));
    }
    Grid { columns, rows: entries.iter().map(cells).collect(), notes, ..Grid::default() }
}

fn data(entries: &[Entry<'_>]) -> Data {
    let columns = vec![
        "dataset",
        "model",
        "method",
        "weight_width",
        "activation_width",
        "metric",
        "published",
        "published_float",
        "ours_n",
        "ours_mean",
        "ours_sd",
        "low",
        "high",
        "verdict",
        "paper",
        "source",
        "known",
        "causes",
    ];
    let row = |entry: &Entry<'_>| {
        let ours = entry.ours();
        vec![
            Value::from(&*entry.row.dataset),
            Value::from(&*entry.row.model),
            Value::from(&*entry.row.method),
            entry.row.widths[0].into(),
            entry.row.widths[1].into(),
            entry.metric().into(),
            Some(entry.number.value).into(),
            entry.number.float.into(),
            ours.map_or(0, |ours| ours.n).into(),
            ours.map(|ours| ours.mean).into(),
            ours.and_then(|ours| ours.sd).into(),
            entry.interval().map(|interval| interval.low).into(),
            entry.interval().map(|interval| interval.high).into(),
            entry.verdict().into(),
            Value::from(&*entry.number.paper),
            Value::from(&*entry.number.source),
            if entry.number.from_memory { "memory" } else { "seen" }.into(),
            Value::Text(entry.causes().join("; ")),
        ]
    };
    Data { columns, rows: entries.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use harness_records::record::RunRecord;

    fn built(records: &[RunRecord]) -> Sheet {
        Ledger.build(&Trials::new(records, &[]).unwrap()).unwrap()
    }

    #[test]
    fn ours_stands_beside_theirs_with_what_differs() {
        let of = |seed: u64, top1: f64| {
            let dorefa = method("dorefa", 2, &[]);
            let built = record().weights(dorefa.clone()).activations(method("pact", 2, &[])).dataset("cifar10");
            built.seed(seed).top1(top1).edit(|r| r.config.model.name = "resnet20".to_owned()).build()
        };
        let sheet = built(&[of(0, 0.895), of(1, 0.897), of(2, 0.899)]);
        assert_eq!(sheet.grid.rows.len(), 1);
        let row = &sheet.grid.rows[0];
        assert_eq!(row[5..10], ["89.70", "89.70 ± 0.20", "0.00", "89.20 to 90.20", "within"]);
        assert_eq!(
            row[11],
            "epochs: 10 here, 200 there; data: all samples; layers in full precision: first last, the same"
        );
        let sheet = built(&[of(0, 0.80), of(1, 0.81)]);
        assert_eq!(sheet.grid.rows[0][9], "outside");
        let sheet = built(&[of(0, 0.80)]);
        assert_eq!(sheet.grid.rows[0][9], "one seed");
    }

    #[test]
    fn numbers_from_memory_are_marked() {
        let choices = [("selection", "roulette"), ("probability", "linear"), ("schedule", "exponential")];
        let stochastic =
            method("stochastic", 2, &[&[("base", "twn"), ("granularity", "filter")], &choices[..]].concat());
        let twn = record().weights(stochastic).dataset("cifar10");
        let sheet = built(&[twn.edit(|r| r.config.model.name = "vgg9".to_owned()).build()]);
        assert_eq!(sheet.grid.rows[0][5], "91.63‡");
        assert!(sheet.grid.rows[0][11].ends_with("levels: three (ternary), listed under 2 bits"));
        assert!(sheet.grid.notes.iter().any(|note| note.contains("from memory")));
        assert!(built(&[record().build()]).grid.notes[1].starts_with("No trial"));
    }
}
