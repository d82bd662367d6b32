//! Accuracy over seeds: one row a configuration, with its difference to full precision.

use crate::accuracy::{Metric, Row};
use crate::bit_widths::FLOAT_WIDTH;
use crate::difference::Difference;
use crate::error::ReportError;
use crate::numbers::{difference, mean_and_spread, two_decimals};
use crate::published::Published;
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::tables::published::FROM_MEMORY;
use crate::trials::Trials;

/// `accuracy`.
pub(crate) struct Accuracy;

impl Table for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn title(&self) -> &'static str {
        "Accuracy"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let rows = trials.rows()?;
        Ok(Sheet { grid: grid(rows), data: data(rows) })
    }
}

/// A cell where there is nothing to show.
const NONE: &str = "–";
/// Marks a difference of means whose seeds differ.
const UNPAIRED: char = '†';
/// Fractions are shown in percent.
const PERCENT: f64 = 100.0;

struct Column {
    title: &'static str,
    align: Align,
    cell: fn(&Row) -> String,
    /// Whether the column says anything about any row; it is left out otherwise.
    wanted: fn(&Row) -> bool,
}

const COLUMNS: &[Column] = &[
    Column { title: "Data set", align: Align::Left, cell: |r| r.dataset.clone(), wanted: |_| true },
    Column { title: "Model", align: Align::Left, cell: |r| r.model.clone(), wanted: |_| true },
    Column { title: "Setting", align: Align::Left, cell: |r| r.setting.clone(), wanted: |r| !r.setting.is_empty() },
    Column { title: "Method", align: Align::Left, cell: |r| r.method.clone(), wanted: |_| true },
    Column {
        title: "W/A",
        align: Align::Right,
        cell: |r| format!("{}/{}", r.widths[0], r.widths[1]),
        wanted: |_| true,
    },
    Column {
        title: "G",
        align: Align::Right,
        cell: |r| r.widths[2].to_string(),
        wanted: |r| r.widths[2] != FLOAT_WIDTH,
    },
    Column { title: "Seeds", align: Align::Right, cell: |r| seeds(r).to_string(), wanted: |_| true },
    Column {
        title: "Top-1 (%)",
        align: Align::Right,
        cell: |r| shown(&r.top1, PERCENT),
        wanted: |r| r.top1.summary.is_some(),
    },
    Column {
        title: "Δ float (points)",
        align: Align::Right,
        cell: |r| shown_difference(&r.top1, PERCENT),
        wanted: |r| r.top1.difference.is_some(),
    },
    Column {
        title: "Top-5 (%)",
        align: Align::Right,
        cell: |r| shown(&r.top5, PERCENT),
        wanted: |r| r.top5.summary.is_some(),
    },
    Column {
        title: "Perplexity",
        align: Align::Right,
        cell: |r| shown(&r.perplexity, 1.0),
        wanted: |r| r.perplexity.summary.is_some(),
    },
    Column {
        title: "Δ float (perplexity)",
        align: Align::Right,
        cell: |r| shown_difference(&r.perplexity, 1.0),
        wanted: |r| r.perplexity.difference.is_some(),
    },
    Column {
        title: "Published",
        align: Align::Right,
        cell: |r| r.published.as_ref().map_or_else(|| NONE.to_owned(), published),
        wanted: |r| r.published.is_some(),
    },
    Column {
        title: "Eff. bits W",
        align: Align::Right,
        cell: |r| shown_mean(&r.effective_weight_bits),
        wanted: |r| r.effective_weight_bits.summary.is_some(),
    },
    Column {
        title: "Eff. bits A",
        align: Align::Right,
        cell: |r| shown_mean(&r.effective_activation_bits),
        wanted: |r| r.effective_activation_bits.summary.is_some(),
    },
    Column { title: "Failed", align: Align::Right, cell: |r| (r.failed + r.diverged).to_string(), wanted: |_| true },
];

fn grid(rows: &[Row]) -> Grid {
    let wanted: Vec<&Column> = COLUMNS.iter().filter(|column| rows.iter().any(column.wanted)).collect();
    Grid {
        columns: wanted.iter().map(|column| (column.title.to_owned(), column.align)).collect(),
        rows: rows.iter().map(|row| wanted.iter().map(|column| (column.cell)(row)).collect()).collect(),
        notes: notes(rows),
        ..Grid::default()
    }
}

fn notes(rows: &[Row]) -> Vec<String> {
    let mut notes = vec![
        "Metrics on the test set after the last epoch: mean ± sample standard deviation over the seeds that finished; \
         a single seed has no spread. W/A: bits of weights and activations, full precision as 32."
            .to_owned(),
    ];
    let differences = || rows.iter().flat_map(|row| [row.top1.difference, row.perplexity.difference]).flatten();
    if differences().next().is_some() {
        notes.push(
            "Δ float: difference to full precision with the same data set, model and setting, taken seed by seed; which \
             layers stay in full precision is nothing to a network that is wholly so."
                .to_owned(),
        );
    }
    if differences().any(|difference| matches!(difference, Difference::Unpaired(_))) {
        notes.push(format!("{UNPAIRED} The seeds differ from those of full precision: difference of the means."));
    }
    let mut sources: Vec<String> = rows
        .iter()
        .filter_map(|row| row.published.as_ref())
        .map(|number| format!("{} ({})", number.paper, number.source))
        .collect();
    sources.sort();
    sources.dedup();
    if !sources.is_empty() {
        notes.push(format!(
            "Published: for the same data set, network, methods and bit widths, with the training of the source; the \
             table `published` says what differs. From {}.",
            sources.join("; ")
        ));
    }
    if rows.iter().any(|row| row.published.as_ref().is_some_and(|number| number.from_memory)) {
        notes.push(format!("{FROM_MEMORY} Quoted from memory, not verified against the paper."));
    }
    if rows.iter().any(|row| row.effective_weight_bits.summary.is_some()) {
        notes.push("Eff. bits: entropy of the codes, mean over quantized layers and seeds.".to_owned());
    }
    notes
}

/// The number of a paper.
fn published(number: &Published) -> String {
    let mark = if number.from_memory { FROM_MEMORY.to_string() } else { String::new() };
    format!("{}{mark}", two_decimals(number.value))
}

/// Seeds behind the row's numbers.
fn seeds(row: &Row) -> usize {
    let counts = [&row.top1, &row.perplexity].map(|metric| metric.summary.map_or(0, |summary| summary.n));
    counts[0].max(counts[1])
}

fn shown(metric: &Metric, factor: f64) -> String {
    metric.summary.map_or_else(|| NONE.to_owned(), |summary| mean_and_spread(summary.times(factor)))
}

fn shown_mean(metric: &Metric) -> String {
    metric.summary.map_or_else(|| NONE.to_owned(), |summary| two_decimals(summary.mean))
}

fn shown_difference(metric: &Metric, factor: f64) -> String {
    match metric.difference {
        None => NONE.to_owned(),
        Some(Difference::Paired(summary)) => difference(summary.mean * factor, summary.sd.map(|sd| sd * factor)),
        Some(Difference::Unpaired(mean)) => format!("{}{UNPAIRED}", difference(mean * factor, None)),
    }
}

type Fact = (&'static str, fn(&Row) -> Value);

const FACTS: &[Fact] = &[
    ("dataset", |r| Value::from(&*r.dataset)),
    ("model", |r| Value::from(&*r.model)),
    ("setting", |r| Value::from(&*r.setting)),
    ("method", |r| Value::from(&*r.method)),
    ("weight_method", |r| Value::from(&*r.weight_method)),
    ("weight_width", |r| Value::from(r.widths[0])),
    ("activation_method", |r| Value::from(&*r.activation_method)),
    ("activation_width", |r| Value::from(r.widths[1])),
    ("gradient_method", |r| Value::from(&*r.gradient_method)),
    ("gradient_width", |r| Value::from(r.widths[2])),
    ("trials", |r| Value::from(r.trials)),
    ("failed", |r| Value::from(r.failed)),
    ("diverged", |r| Value::from(r.diverged)),
    ("top1_n", |r| n(&r.top1)),
    ("top1_mean", |r| mean(&r.top1)),
    ("top1_sd", |r| sd(&r.top1)),
    ("top1_difference_to_float", |r| off(&r.top1)),
    ("top1_difference_sd", |r| off_sd(&r.top1)),
    ("top1_difference_paired", |r| paired(&r.top1)),
    ("top5_n", |r| n(&r.top5)),
    ("top5_mean", |r| mean(&r.top5)),
    ("top5_sd", |r| sd(&r.top5)),
    ("perplexity_n", |r| n(&r.perplexity)),
    ("perplexity_mean", |r| mean(&r.perplexity)),
    ("perplexity_sd", |r| sd(&r.perplexity)),
    ("perplexity_difference_to_float", |r| off(&r.perplexity)),
    ("perplexity_difference_sd", |r| off_sd(&r.perplexity)),
    ("perplexity_difference_paired", |r| paired(&r.perplexity)),
    ("published", |r| Value::from(r.published.as_ref().map(|number| number.value))),
    ("published_source", |r| r.published.as_ref().map_or(Value::Absent, |number| Value::Text(source(number)))),
    ("effective_weight_bits", |r| mean(&r.effective_weight_bits)),
    ("effective_activation_bits", |r| mean(&r.effective_activation_bits)),
];

fn source(number: &Published) -> String {
    let memory = if number.from_memory { ", from memory" } else { "" };
    format!("{}, {}{memory}", number.paper, number.source)
}

fn data(rows: &[Row]) -> Data {
    Data {
        columns: FACTS.iter().map(|(name, _)| *name).collect(),
        rows: rows.iter().map(|row| FACTS.iter().map(|(_, value)| value(row)).collect()).collect(),
    }
}

fn n(metric: &Metric) -> Value {
    Value::from(metric.summary.map_or(0, |summary| summary.n))
}

fn mean(metric: &Metric) -> Value {
    Value::from(metric.summary.map(|summary| summary.mean))
}

fn sd(metric: &Metric) -> Value {
    Value::from(metric.summary.and_then(|summary| summary.sd))
}

fn off(metric: &Metric) -> Value {
    Value::from(metric.difference.map(Difference::mean))
}

fn off_sd(metric: &Metric) -> Value {
    Value::from(metric.difference.and_then(Difference::sd))
}

fn paired(metric: &Metric) -> Value {
    match metric.difference {
        None => Value::Absent,
        Some(Difference::Paired(_)) => Value::from("true"),
        Some(Difference::Unpaired(_)) => Value::from("false"),
    }
}
