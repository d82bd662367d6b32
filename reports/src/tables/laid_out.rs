//! The table `paper` with the rows and columns that a sweep file gives it (`report.paper`).

use std::collections::{BTreeMap, BTreeSet};

use harness_records::config::TrialConfig;
use harness_records::spec::{PaperLayout, PaperLine, PaperValue, PublishedPlace, Shown};
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

/// The table of these trials.
///
/// # Errors
/// A cell that holds several configurations; the check of sweep files refuses such a layout.
pub(super) fn build(layout: &PaperLayout, rows: &[Row], trials: &Trials) -> Result<Sheet, ReportError> {
    let numbers = published::all()?;
    let config = |results: &Row| &trials.records[results.example].config;
    let mut held: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (i, row) in layout.rows.iter().enumerate() {
        for (j, column) in layout.columns.iter().enumerate() {
            let mut here = (0..rows.len()).filter(|&k| PaperLayout::holds(row, column, config(&rows[k])));
            let Some(k) = here.next() else { continue };
            if here.next().is_some() {
                let reason = format!("the cell `{}` x `{}` has several", row.name.join(", "), column.name.join(", "));
                return Err(ReportError::Build { what: "a table of single configurations", reason });
            }
            held.insert((i, j), k);
        }
    }
    let used: BTreeSet<usize> = held.values().copied().collect();
    // Whoever lays a table out wants its cells compared, whatever else differs in their training.
    let examples: BTreeSet<usize> = used.iter().map(|&k| rows[k].example).collect();
    let marks =
        marks::marks(rows, |row| examples.contains(&row.example).then_some((&row.dataset, &row.model, row.widths)));
    let cells: BTreeMap<(usize, usize), Cell<'_>> = held
        .into_iter()
        .map(|((i, j), k)| {
            let lines = (&layout.rows[i], &layout.columns[j]);
            ((i, j), cell(layout, lines, (&rows[k], marks[k]), config(&rows[k]), &numbers))
        })
        .collect();
    Ok(Sheet { grid: grid(layout, &cells, rows.len() - used.len()), data: data(&cells) })
}

fn cell<'a>(
    layout: &PaperLayout,
    (row, column): (&'a PaperLine, &'a PaperLine),
    (results, mark): (&'a Row, Mark),
    config: &TrialConfig,
    numbers: &[Published],
) -> Cell<'a> {
    let value = layout.value_of(row, column);
    let mut about = config.clone();
    let place = place_of(row, column);
    if let Some(place) = place {
        about.dataset.name.clone_from(&place.dataset);
        about.model.name.clone_from(&place.model);
    }
    let known = || published::beside(numbers, layout.source.as_deref(), metric(value), &about);
    let without = [row, column].iter().any(|line| line.published == Shown::Nothing);
    let source = if without { None } else { known() };
    let theirs = source.as_ref().map(|number| in_unit(value, number.value));
    let ours = if place.is_some() { None } else { ours(value, results) };
    // The best was looked for among top-1 accuracies, or perplexities.
    let compared = ours.is_some() && !matches!(value, PaperValue::Top5 | PaperValue::Top5Error);
    Cell { row, column, value, results, ours, mark: if compared { mark } else { Mark::Plain }, theirs, source }
}

/// Where a cell shows published numbers alone: what they are of.
fn place_of<'a>(row: &'a PaperLine, column: &'a PaperLine) -> Option<&'a PublishedPlace> {
    [row, column].into_iter().find_map(|line| match &line.published {
        Shown::Alone(place) => Some(place),
        Shown::Beside | Shown::Nothing => None,
    })
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
        notes: notes(cells, left_out),
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
        place_of(self.row, self.column).is_some()
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

fn notes(cells: &BTreeMap<(usize, usize), Cell<'_>>, left_out: usize) -> Vec<String> {
    let own = || cells.values().filter(|cell| !cell.is_theirs());
    let values: BTreeSet<PaperValue> = own().map(|cell| cell.value).collect();
    let values: Vec<&str> = values.into_iter().map(in_words).collect();
    let over = marks::seeds_in_words(own().filter_map(|cell| Some(cell.ours?.n)));
    let mut notes = match values.is_empty() {
        true => vec!["No trial of this table has run.".to_owned()],
        false => vec![format!("On the test set after the last epoch: {}, {over}.", values.join(" or "))],
    };
    let among = "of those of the same data set, network and bit widths";
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
    let alone = sources(true);
    if !alone.is_empty() {
        let places: BTreeSet<String> = cells
            .values()
            .filter(|cell| cell.theirs.is_some())
            .filter_map(|cell| place_of(cell.row, cell.column))
            .map(|place| format!("{} on {}", place.model, place.dataset))
            .collect();
        let places = places.into_iter().collect::<Vec<_>>().join(", ");
        let alone = alone.into_iter().collect::<Vec<_>>().join("; ");
        notes.push(format!("Published numbers that stand alone are of other data or networks ({places}): {alone}."));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::markdown::markdown;
    use crate::samples::{method, record};
    use harness_records::catalog::Catalog;
    use harness_records::record::{RunRecord, Status};
    use harness_records::spec::SweepSpec;

    /// The layout of a sweep file with this section.
    fn layout(section: &str) -> PaperLayout {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.yaml");
        let about = |name| harness_records::options::About { name, summary: "", source: "", options: &[] };
        let leak = |name| &*Box::leak(Box::new(about(name)));
        let entry = harness_records::catalog::Entry::new;
        let catalog = Catalog {
            methods: vec![harness_records::catalog::Entry::method(
                leak("float"),
                None,
                harness_records::catalog::Roles::ALL,
            )],
            models: vec![entry(leak("lenet"))],
            datasets: vec![entry(leak("digits"))],
            ..Catalog::default()
        };
        std::fs::write(&path, format!("report: {{paper: {section}}}")).unwrap();
        SweepSpec::read(&path, &[], &catalog).unwrap_or_else(|error| panic!("{error}")).report.paper.unwrap()
    }

    fn trial(weights: u8, seed: u64, top1: f64) -> RunRecord {
        let bits = |bits| method("dorefa", bits, &[]);
        let built = record().weights(bits(weights)).activations(method("pact", weights, &[])).dataset("cifar10");
        built.seed(seed).top1(top1).edit(|r| r.config.model.name = "resnet20".to_owned()).build()
    }

    const TABLE: &str = "{title: A table, heads: [W, Method], value: top1_error, rows: [\
        {name: [2, PACT], where: {quant.weights.bits: 2}}, {name: [3, PACT], where: {quant.weights.bits: 3}}, \
        {name: [4, PACT], where: {quant.weights.bits: 4}}], columns: [{name: Error}, {name: Accuracy of it}, \
        {name: ResNet-50, published: {dataset: imagenet, model: resnet50}}, {name: alone, published: none}]}";

    fn built(section: &str, records: &[RunRecord]) -> Result<Sheet, ReportError> {
        let trials = Trials::new(records, &[]).unwrap();
        build(&layout(section), trials.rows().unwrap(), &trials)
    }

    #[test]
    fn cells_hold_ours_beside_what_was_published() {
        let failed = trial(3, 0, 0.0);
        let failed = RunRecord { status: Status::Failed, metrics: None, ..failed };
        let sheet = built(TABLE, &[trial(2, 0, 0.80), trial(2, 1, 0.82), failed, trial(8, 0, 0.9)]).unwrap();
        let text = markdown(&sheet.grid);
        let expected = "\
| W   | Method |                Error |       Accuracy of it | ResNet-50 |        alone |
| :-- | :----- | -------------------: | -------------------: | --------: | -----------: |
| 2   | PACT   | 19.00 ± 1.41 (10.30) | 19.00 ± 1.41 (10.30) |     27.80 | 19.00 ± 1.41 |
| 3   | PACT   |             – (8.90) |             – (8.90) |     24.70 |            – |
| 4   | PACT   |                      |                      |           |              |
";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(sheet.grid.title.as_deref(), Some("A table"));
        for note in [
            "top-1 error in percent, mean ± sample standard deviation over 2 seeds.",
            "–: no trial finished.",
            "of other data or networks (resnet50 on imagenet): Choi et al. 2018 (arXiv:1805.06085) (the paper).",
            "1 more configuration has no place in this table",
        ] {
            assert!(text.contains(note), "{note}: {text}");
        }
        assert_eq!(sheet.data.rows.len(), 8);
    }

    #[test]
    fn a_cell_of_two_configurations_is_refused() {
        let error = built("{rows: [{name: all}], columns: [{name: ours}]}", &[trial(2, 0, 0.8), trial(3, 0, 0.8)]);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("the cell `all` x `ours` has several"), "{message}");
    }
}
