//! The table `paper` with the rows and columns that a sweep file gives it (`report.paper`).

use std::collections::{BTreeMap, BTreeSet};

use harness_records::config::TrialConfig;
use harness_records::spec::{PaperLayout, PaperLine, PaperValue};
use harness_stats::Summary;

use crate::accuracy::{IDENTITY, Row};
use crate::error::ReportError;
use crate::figures::measure::PERCENT;
use crate::numbers::{mean_and_spread, two_decimals};
use crate::published::{self, Metric, Published};
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::marks::{self, Mark};
use crate::tables::published::FROM_MEMORY;
use crate::trials::Trials;

/// A cell that no trial belongs to or that nothing was published for, and one whose trials all failed.
const NOTHING: &str = "";
const NO_RESULT: &str = "–";

/// What stands in a cell.
struct Cell<'a> {
    row: &'a PaperLine,
    column: &'a PaperLine,
    value: PaperValue,
    /// The trials it is about.
    results: &'a Row,
    /// Their result in the unit of the cell; `None` where no trial finished, and where published numbers stand alone.
    ours: Option<Summary>,
    mark: Mark,
    /// What was published, in the unit of the cell.
    theirs: Option<f64>,
    /// Where.
    source: Option<Published>,
}

/// The table of these trials, whose marks are those of `rows`.
///
/// # Errors
/// A cell that holds several configurations; the check of sweep files refuses such a layout.
pub(super) fn build(layout: &PaperLayout, rows: &[Row], marks: &[Mark], trials: &Trials) -> Result<Sheet, ReportError> {
    let numbers = published::all()?;
    let mut cells: BTreeMap<(usize, usize), Cell<'_>> = BTreeMap::new();
    let mut used: BTreeSet<usize> = BTreeSet::new();
    for (i, row) in layout.rows.iter().enumerate() {
        for (j, column) in layout.columns.iter().enumerate() {
            let config = |results: &Row| &trials.records[results.example].config;
            let mut held = (0..rows.len()).filter(|&k| PaperLayout::holds(row, column, config(&rows[k])));
            let Some(k) = held.next() else { continue };
            if held.next().is_some() {
                let reason = format!("the cell `{}` x `{}` has several", row.name.join(", "), column.name.join(", "));
                return Err(ReportError::Build { what: "a table of single configurations", reason });
            }
            used.insert(k);
            cells.insert((i, j), cell(layout, row, column, (&rows[k], marks[k]), config(&rows[k]), &numbers));
        }
    }
    let left_out = rows.len() - used.len();
    Ok(Sheet { grid: grid(layout, &cells, left_out), data: data(&cells) })
}

fn cell<'a>(
    layout: &PaperLayout,
    row: &'a PaperLine,
    column: &'a PaperLine,
    (results, mark): (&'a Row, Mark),
    config: &TrialConfig,
    numbers: &[Published],
) -> Cell<'a> {
    let value = layout.value_of(row, column);
    let elsewhere = row.published.as_ref().or(column.published.as_ref());
    let mut about = config.clone();
    if let Some(place) = elsewhere {
        about.dataset.name.clone_from(&place.dataset);
        about.model.name.clone_from(&place.model);
    }
    let source = published::beside(numbers, layout.source.as_deref(), metric(value), &about);
    let theirs = source.as_ref().map(|number| in_unit(value, number.value));
    let ours = if elsewhere.is_some() { None } else { ours(value, results) };
    // The best was looked for among top-1 accuracies, or perplexities.
    let compared = ours.is_some() && !matches!(value, PaperValue::Top5 | PaperValue::Top5Error);
    Cell { row, column, value, results, ours, mark: if compared { mark } else { Mark::Plain }, theirs, source }
}

fn metric(value: PaperValue) -> Metric {
    match value {
        PaperValue::Top1 | PaperValue::Top1Error => Metric::Top1,
        PaperValue::Top5 | PaperValue::Top5Error => Metric::Top5,
        PaperValue::Perplexity => Metric::Perplexity,
    }
}

/// Percent right, or perplexity, in the unit of a cell.
fn in_unit(value: PaperValue, number: f64) -> f64 {
    match value {
        PaperValue::Top1Error | PaperValue::Top5Error => PERCENT - number,
        PaperValue::Top1 | PaperValue::Top5 | PaperValue::Perplexity => number,
    }
}

fn ours(value: PaperValue, row: &Row) -> Option<Summary> {
    let summary = match metric(value) {
        Metric::Top1 => row.top1.summary?.times(PERCENT),
        Metric::Top5 => row.top5.summary?.times(PERCENT),
        Metric::Perplexity => row.perplexity.summary?,
    };
    Some(Summary { mean: in_unit(value, summary.mean), ..summary })
}

fn grid(layout: &PaperLayout, cells: &BTreeMap<(usize, usize), Cell<'_>>, left_out: usize) -> Grid {
    let heads = layout.heads.iter().map(|head| (head.clone(), Align::Left));
    let columns = layout.columns.iter().map(|column| (column.name.join(" "), Align::Right));
    let mut grid = Grid {
        title: layout.title.clone(),
        columns: heads.chain(columns).collect(),
        notes: notes(layout, cells, left_out),
        ..Grid::default()
    };
    for (i, row) in layout.rows.iter().enumerate() {
        let mut line = row.name.clone();
        for j in 0..layout.columns.len() {
            let cell = cells.get(&(i, j));
            if cell.is_some_and(|cell| cell.mark == Mark::Best) {
                grid.bold.insert((i, line.len()));
            }
            line.push(cell.map_or_else(|| NOTHING.to_owned(), shown));
        }
        grid.rows.push(line);
    }
    grid
}

impl Cell<'_> {
    /// Whether it shows a published number alone.
    fn is_theirs(&self) -> bool {
        self.row.published.is_some() || self.column.published.is_some()
    }
}

fn shown(cell: &Cell<'_>) -> String {
    let memory = match &cell.source {
        Some(number) if number.from_memory => FROM_MEMORY.to_string(),
        _ => String::new(),
    };
    let theirs = cell.theirs.map(|value| format!("{}{memory}", two_decimals(value)));
    if cell.is_theirs() {
        return theirs.unwrap_or_else(|| NOTHING.to_owned());
    }
    let mut text = cell.ours.map_or_else(|| NO_RESULT.to_owned(), mean_and_spread);
    if cell.mark == Mark::Alike {
        text.push(marks::ALIKE);
    }
    if let Some(theirs) = theirs {
        text.push_str(&format!(" ({theirs})"));
    }
    text
}

fn notes(layout: &PaperLayout, cells: &BTreeMap<(usize, usize), Cell<'_>>, left_out: usize) -> Vec<String> {
    let own = || cells.values().filter(|cell| !cell.is_theirs());
    let values: BTreeSet<PaperValue> = own().map(|cell| cell.value).collect();
    let values: Vec<&str> = values.into_iter().map(in_words).collect();
    let over = marks::seeds_in_words(own().filter_map(|cell| Some(cell.ours?.n)));
    let mut notes = match values.is_empty() {
        true => vec!["No trial of this table has run.".to_owned()],
        false => vec![format!("On the test set after the last epoch: {}, {over}.", values.join(" or "))],
    };
    let among = "of the methods at the same bit widths of weights and activations";
    notes.extend(marks::sentence(own().map(|cell| cell.mark), among));
    if own().any(|cell| cell.ours.is_none()) {
        notes.push(format!("{NO_RESULT}: no trial finished."));
    }
    let sources = |alone: bool| -> BTreeSet<String> {
        let wanted = cells.values().filter(|cell| cell.is_theirs() == alone && cell.theirs.is_some());
        wanted.filter_map(|cell| Some(cell.source.as_ref()?.cited())).collect()
    };
    let beside = sources(false);
    if !beside.is_empty() {
        notes.push(format!(
            "In parentheses: published for the same data set, network, methods and bit widths, with the training of the \
             source: {}.",
            beside.into_iter().collect::<Vec<_>>().join("; ")
        ));
    }
    let places: BTreeSet<String> = (layout.rows.iter().chain(&layout.columns))
        .filter_map(|line| {
            let place = line.published.as_ref()?;
            Some(format!("`{}`: {}, {}", line.name.join(", "), place.dataset, place.model))
        })
        .collect();
    if !places.is_empty() {
        let alone = sources(true).into_iter().collect::<Vec<_>>().join("; ");
        let from = if alone.is_empty() { "none is known for these methods".to_owned() } else { alone };
        let places = places.into_iter().collect::<Vec<_>>().join("; ");
        notes.push(format!("Published numbers alone, of another data set or network ({places}): {from}."));
    }
    if cells.values().any(|cell| cell.theirs.is_some() && cell.source.as_ref().is_some_and(|n| n.from_memory)) {
        notes.push(marks::from_memory());
    }
    let ours: BTreeSet<[&str; 3]> = own().map(|cell| cell.results.place()).collect();
    if let (1, Some(place)) = (ours.len(), ours.first()) {
        notes.extend(marks::all_on(*place));
    }
    if left_out > 0 {
        let (have, stand) = if left_out == 1 { ("configuration has", "it") } else { ("configurations have", "they") };
        notes.push(format!(
            "{left_out} more {have} no place in this table; {stand} can be seen in the table `accuracy`."
        ));
    }
    notes
}

fn in_words(value: PaperValue) -> &'static str {
    match value {
        PaperValue::Top1 => "top-1 accuracy in percent",
        PaperValue::Top5 => "top-5 accuracy in percent",
        PaperValue::Top1Error => "top-1 error in percent",
        PaperValue::Top5Error => "top-5 error in percent",
        PaperValue::Perplexity => "perplexity",
    }
}

fn data(cells: &BTreeMap<(usize, usize), Cell<'_>>) -> Data {
    let places = ["row", "column"];
    let facts = ["value", "n", "mean", "sd", "mark", "published", "published_source", "failed", "diverged"];
    let row = |cell: &Cell<'_>| {
        let places = [Value::Text(cell.row.name.join(", ")), Value::Text(cell.column.name.join(" "))];
        let facts = [
            cell.value.name().into(),
            cell.ours.map_or(0, |summary| summary.n).into(),
            cell.ours.map(|summary| summary.mean).into(),
            cell.ours.and_then(|summary| summary.sd).into(),
            cell.mark.value(),
            cell.theirs.into(),
            cell.source.as_ref().map_or(Value::Absent, |number| Value::Text(number.cited())),
            cell.results.failed.into(),
            cell.results.diverged.into(),
        ];
        places.into_iter().chain(cell.results.identity()).chain(facts).collect()
    };
    let columns = places.into_iter().chain(IDENTITY).chain(facts).collect();
    Data { columns, rows: cells.values().map(row).collect() }
}
