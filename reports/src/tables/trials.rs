//! Every trial by itself: what data frames start from.

use harness_records::record::RunRecord;

use crate::bit_widths::width;
use crate::error::ReportError;
use crate::frames::status_name;
use crate::numbers::two_decimals;
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::trials::Trials;

/// `trials`.
pub(crate) struct AllTrials;

/// Rows that people are shown; machines get all of them.
const MOST_ROWS: usize = 500;

impl Table for AllTrials {
    fn name(&self) -> &'static str {
        "trials"
    }

    fn title(&self) -> &'static str {
        "All trials"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        Ok(Sheet { grid: grid(trials), data: data(trials) })
    }
}

fn grid(trials: &Trials) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let columns = vec![
        left("Trial"),
        left("Data set"),
        left("Model"),
        left("Setting"),
        left("Method"),
        right("W/A/G"),
        right("Seed"),
        left("Status"),
        right("Top-1 (%)"),
        right("Perplexity"),
        right("Loss"),
        right("Time (s)"),
    ];
    let row = |record: &RunRecord| {
        let metric = |value: Option<f64>| value.filter(|v| v.is_finite()).map_or_else(String::new, two_decimals);
        let metrics = record.metrics.as_ref();
        let quant = &record.config.quant;
        vec![
            record.id.clone(),
            trials.labels.dataset(&record.config),
            trials.labels.model(&record.config),
            trials.labels.setting(&record.config),
            trials.labels.quant(quant),
            format!("{}/{}/{}", width(&quant.weights), width(&quant.activations), width(&quant.gradients)),
            record.seed.to_string(),
            status_name(record.status).to_owned(),
            metric(metrics.and_then(|m| m.top1).map(|top1| 100.0 * top1)),
            metric(metrics.and_then(|m| m.perplexity)),
            metrics.filter(|m| m.loss.is_finite()).map_or_else(String::new, |m| format!("{:.4}", m.loss)),
            two_decimals(record.time.seconds),
        ]
    };
    let hidden = trials.records.len().saturating_sub(MOST_ROWS);
    let notes = match hidden {
        0 => Vec::new(),
        hidden => vec![format!("{hidden} more trials are in the data files only.")],
    };
    let mut grid =
        Grid { columns, rows: trials.records.iter().take(MOST_ROWS).map(row).collect(), notes, ..Grid::default() };
    let empty: Vec<bool> = (0..grid.columns.len()).map(|i| grid.rows.iter().all(|row| row[i].is_empty())).collect();
    let mut drop = empty.iter();
    grid.columns.retain(|_| !drop.next().is_some_and(|empty| *empty));
    for row in &mut grid.rows {
        let mut drop = empty.iter();
        row.retain(|_| !drop.next().is_some_and(|empty| *empty));
    }
    grid
}

/// A column: its name, and its value for a trial.
type Fact = (&'static str, FactValue);

/// The value of a column for a trial.
pub(crate) type FactValue = fn(&Trials, &RunRecord) -> Value;

/// The column of a name.
pub(crate) fn fact(name: &str) -> Option<FactValue> {
    FACTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Everything that a record says in one value, as columns.
pub(crate) const FACTS: &[Fact] = &[
    ("id", |_, r| Value::from(&*r.id)),
    ("sweep", |_, r| Value::from(&*r.sweep)),
    ("dataset", |t, r| Value::Text(t.labels.dataset(&r.config))),
    ("model", |t, r| Value::Text(t.labels.model(&r.config))),
    ("setting", |t, r| Value::Text(t.labels.setting(&r.config))),
    ("method", |t, r| Value::Text(t.labels.quant(&r.config.quant))),
    ("weight_method", |_, r| Value::from(&*r.config.quant.weights.method)),
    ("weight_width", |_, r| Value::from(width(&r.config.quant.weights))),
    ("activation_method", |_, r| Value::from(&*r.config.quant.activations.method)),
    ("activation_width", |_, r| Value::from(width(&r.config.quant.activations))),
    ("gradient_method", |_, r| Value::from(&*r.config.quant.gradients.method)),
    ("gradient_width", |_, r| Value::from(width(&r.config.quant.gradients))),
    ("seed", |_, r| Value::Whole(r.seed)),
    ("status", |_, r| Value::from(status_name(r.status))),
    ("error_class", |_, r| r.error.as_ref().map_or(Value::Absent, |e| Value::from(e.class.name()))),
    ("error", |_, r| r.error.as_ref().map_or(Value::Absent, |e| Value::from(&*e.message))),
    ("top1", |_, r| metric(r, |m| m.top1)),
    ("top5", |_, r| metric(r, |m| m.top5)),
    ("perplexity", |_, r| metric(r, |m| m.perplexity)),
    ("loss", |_, r| metric(r, |m| Some(m.loss))),
    ("epochs", |_, r| Value::from(r.epochs.len())),
    ("parameters", |_, r| Value::Whole(r.model.parameters)),
    ("macs", |_, r| Value::Whole(r.model.macs)),
    ("weight_bits", |_, r| Value::Whole(r.model.weight_bits)),
    ("bit_ops", |_, r| Value::Whole(r.model.bit_ops)),
    ("seconds", |_, r| Value::from(Some(r.time.seconds))),
    ("started", |_, r| Value::Whole(r.time.started)),
    ("commit", |_, r| r.environment.commit.as_deref().map_or(Value::Absent, Value::from)),
    ("device", |_, r| Value::from(&*r.environment.device.to_string())),
    ("device_name", |_, r| Value::from(&*r.environment.device_name)),
    ("config", |_, r| serde_json::to_string(&r.config).map_or(Value::Absent, Value::Text)),
];

fn metric(record: &RunRecord, of: fn(&harness_records::record::Metrics) -> Option<f64>) -> Value {
    Value::from(record.metrics.as_ref().and_then(of).filter(|value| value.is_finite()))
}

fn data(trials: &Trials) -> Data {
    let row = |record: &RunRecord| FACTS.iter().map(|(_, of)| of(trials, record)).collect();
    Data { columns: FACTS.iter().map(|(name, _)| *name).collect(), rows: trials.records.iter().map(row).collect() }
}
