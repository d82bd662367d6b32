//! Results as papers print them: a row for each method, a column for each setting of bit widths.

use std::collections::{BTreeMap, BTreeSet};

use crate::accuracy::{IDENTITY, Row};
use crate::error::ReportError;
use crate::figures::measure::Measure;
use crate::figures::questions::{SettingOrder, setting_order, widths};
use crate::numbers::{mean_and_spread, two_decimals};
use crate::pivot::{Cell, wide};
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::tables::laid_out;
use crate::tables::marks::{self, Mark};
use crate::tables::published::FROM_MEMORY;
use crate::trials::Trials;

/// `paper`.
pub(crate) struct Paper;

/// A setting that a method was not run at, and one at which no trial finished.
const NOT_RUN: &str = "";
const NO_RESULT: &str = "–";

impl Table for Paper {
    fn name(&self) -> &'static str {
        "paper"
    }

    fn title(&self) -> &'static str {
        "Results"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let rows = trials.rows()?;
        if let Some(layout) = &trials.paper {
            return laid_out::build(layout, rows, trials);
        }
        let marks = marks::marks(rows, |row| Some((row.place(), row.widths)));
        Ok(Sheet { grid: grid(rows, &marks, trials)?, data: data(rows, &marks) })
    }
}

fn grid(rows: &[Row], marks: &[Mark], trials: &Trials) -> Result<Grid, ReportError> {
    let columns: BTreeMap<(bool, SettingOrder), String> =
        rows.iter().map(|row| ((!row.is_float, setting_order(row)), widths(row))).collect();
    let place = |row: &Row| columns.keys().position(|key| *key == (!row.is_float, setting_order(row))).unwrap_or(0);
    let several = |of: fn(&Row) -> &String| rows.iter().map(of).collect::<BTreeSet<_>>().len() > 1;
    type PlaceKey = (&'static str, fn(&Row) -> &String);
    let keys: [PlaceKey; 3] =
        [("Data set", |row| &row.dataset), ("Model", |row| &row.model), ("Setting", |row| &row.setting)];
    let keys: Vec<_> = keys.into_iter().filter(|(_, of)| several(*of)).collect();
    let cell = |(row, mark): (&Row, &Mark)| {
        let mut key: Vec<String> = keys.iter().map(|(_, of)| of(row).clone()).collect();
        key.push(row.method.clone());
        // Bold survives the pivot as a first letter that no cell has.
        let text = format!("{}{}", if *mark == Mark::Best { BOLD } else { "" }, shown(row, *mark));
        Cell { row: key, column: place(row), text }
    };
    let cells: Vec<Cell> = rows.iter().zip(marks).map(cell).collect();
    let mut grid = Grid {
        title: None,
        columns: keys.iter().map(|(title, _)| ((*title).to_owned(), Align::Left)).collect(),
        rows: Vec::new(),
        notes: notes(rows, marks, trials),
        bold: BTreeSet::new(),
    };
    grid.columns.push(("Method".to_owned(), Align::Left));
    grid.columns.extend(columns.values().map(|widths| (widths.clone(), Align::Right)));
    for (number, (keys, cells)) in wide(&cells, columns.len())?.into_iter().enumerate() {
        let mut line = keys;
        for cell in cells {
            let text = cell.unwrap_or_else(|| NOT_RUN.to_owned());
            let plain = text.strip_prefix(BOLD);
            if plain.is_some() {
                grid.bold.insert((number, line.len()));
            }
            line.push(plain.unwrap_or(&text).to_owned());
        }
        grid.rows.push(line);
    }
    Ok(grid)
}

const BOLD: &str = "\u{2}";

fn shown(row: &Row, mark: Mark) -> String {
    let Some(measure) = Measure::of_row(row) else { return NO_RESULT.to_owned() };
    let Some(summary) = measure.summary(row) else { return NO_RESULT.to_owned() };
    let mut text = mean_and_spread(summary);
    if mark == Mark::Alike {
        text.push(marks::ALIKE);
    }
    if let Some((value, number)) = measure.published(row).zip(row.published.as_ref()) {
        let memory = if number.from_memory { FROM_MEMORY.to_string() } else { String::new() };
        text.push_str(&format!(" ({}{memory})", two_decimals(value)));
    }
    text
}

fn notes(rows: &[Row], marks: &[Mark], trials: &Trials) -> Vec<String> {
    let measures: BTreeSet<Measure> = rows.iter().filter_map(Measure::of_row).collect();
    let what: Vec<&str> = measures
        .iter()
        .map(|measure| match measure {
            Measure::Top1 => "top-1 accuracy in percent",
            Measure::Perplexity => "perplexity",
        })
        .collect();
    let what = if what.is_empty() { "no result".to_owned() } else { what.join(" or ") };
    let seeds = rows.iter().filter_map(|row| Some(Measure::of_row(row)?.summary(row)?.n));
    let over = marks::seeds_in_words(seeds);
    let mut notes = vec![format!(
        "On the test set after the last epoch: {what}, {over}. Columns: bits of weights/activations{}, 32 for full \
         precision.",
        if rows.iter().any(|row| row.widths[2] != 32) { "/gradients" } else { "" }
    )];
    notes.extend(marks::sentence(marks.iter().copied(), "method of a column"));
    if rows.iter().any(|row| Measure::of_row(row).is_none()) {
        notes.push(format!("{NO_RESULT}: no trial finished."));
    }
    let published: Vec<_> = rows
        .iter()
        .filter(|row| Measure::of_row(row).is_some_and(|measure| measure.published(row).is_some()))
        .filter_map(|row| row.published.as_ref())
        .collect();
    let sources: BTreeSet<String> = published.iter().map(|number| number.cited()).collect();
    if !sources.is_empty() {
        notes.push(format!(
            "In parentheses: published for the same data set, network, methods and bit widths, with the training of the \
             source: {}.",
            sources.into_iter().collect::<Vec<_>>().join("; ")
        ));
    }
    if published.iter().any(|number| number.from_memory) {
        notes.push(marks::from_memory());
    }
    let places: BTreeSet<[&str; 3]> = rows.iter().map(Row::place).collect();
    if let (1, Some(place)) = (places.len(), places.first()) {
        notes.extend(marks::all_on(*place));
    }
    notes.extend(trials.labels.remarks());
    notes
}

fn data(rows: &[Row], marks: &[Mark]) -> Data {
    let facts = ["metric", "n", "mean", "sd", "mark", "published", "failed", "diverged"];
    let row = |(row, mark): (&Row, &Mark)| {
        let measure = Measure::of_row(row);
        let summary = measure.and_then(|measure| measure.summary(row));
        let facts = [
            measure.map_or(Value::Absent, |measure| match measure {
                Measure::Top1 => "top1_percent".into(),
                Measure::Perplexity => "perplexity".into(),
            }),
            summary.map_or(0, |summary| summary.n).into(),
            summary.map(|summary| summary.mean).into(),
            summary.and_then(|summary| summary.sd).into(),
            mark.value(),
            measure.and_then(|measure| measure.published(row)).into(),
            row.failed.into(),
            row.diverged.into(),
        ];
        row.identity().into_iter().chain(facts).collect()
    };
    Data { columns: IDENTITY.into_iter().chain(facts).collect(), rows: rows.iter().zip(marks).map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::html::table;
    use crate::encode::latex::latex;
    use crate::encode::markdown::markdown;
    use crate::samples::{method, record};
    use harness_records::record::{FailureClass, RunRecord, Status};

    fn trial(name: &str, bits: u8, seed: u64, top1: f64) -> RunRecord {
        record().weights(method(name, bits, &[])).seed(seed).top1(top1).build()
    }

    fn records() -> Vec<RunRecord> {
        let mut records = Vec::new();
        for (seed, noise) in (0..3u64).zip([0.0, 0.001, 0.002]) {
            records.push(record().seed(seed).top1(0.98 + noise).build());
            records.push(trial("a", 1, seed, 0.90 + noise));
            records.push(trial("b", 1, seed, [0.902, 0.9, 0.903][seed as usize]));
            records.push(trial("c", 1, seed, 0.70 + noise * 1.01));
            records.push(trial("a", 2, seed, 0.96 + noise));
            let failed = record().weights(method("b", 2, &[])).seed(seed);
            records.push(failed.ended(Status::Failed, FailureClass::Oom, "").build());
        }
        records
    }

    #[test]
    fn a_row_a_method_and_a_column_a_setting() {
        let sheet = Paper.build(&Trials::new(&records(), &[]).unwrap()).unwrap();
        let text = markdown(&sheet.grid);
        let expected = "\
| Method |        32/32 |             1/32 |         2/32 |
| :----- | -----------: | ---------------: | -----------: |
| float  | 98.10 ± 0.10 |                  |              |
| a      |              |    90.10 ± 0.10≈ | 96.10 ± 0.10 |
| b      |              | **90.17 ± 0.15** |            – |
| c      |              |     70.10 ± 0.10 |              |
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("- Bold: the best method of a column. ≈: cannot be told from the best"), "{text}");
        assert!(text.contains("- –: no trial finished.") && text.contains("- All on digits, lenet."), "{text}");
        assert!(table(&sheet.grid).contains("<td class=\"number\"><strong>90.17 ± 0.15</strong></td>"));
        assert!(latex("paper", "Results", &sheet.grid).contains("\\textbf{90.17 $\\pm$ 0.15}"));
        let mark = sheet.data.columns.iter().position(|column| *column == "mark").unwrap();
        let marks = |wanted: &str| sheet.data.rows.iter().filter(|row| row[mark] == Value::from(wanted)).count();
        assert_eq!((marks("best"), marks("alike")), (1, 1));
    }

    #[test]
    fn one_seed_has_a_best_and_nothing_alike() {
        let records = [trial("a", 1, 0, 0.9), trial("b", 1, 0, 0.9), trial("c", 1, 0, 0.8)];
        let sheet = Paper.build(&Trials::new(&records, &[]).unwrap()).unwrap();
        // Two are equally good.
        assert_eq!(sheet.grid.bold, BTreeSet::from([(0, 1), (1, 1)]));
        assert!(!markdown(&sheet.grid).contains(marks::ALIKE));
    }

    #[test]
    fn data_sets_and_models_are_blocks_of_rows() {
        let of = |dataset: &str, model: &str| {
            let built = record().weights(method("a", 2, &[])).dataset(dataset).top1(0.9);
            built.edit(|r| r.config.model.name = model.to_owned()).build()
        };
        let records = [of("x", "lenet"), of("x", "mlp"), of("y", "lenet")];
        let sheet = Paper.build(&Trials::new(&records, &[]).unwrap()).unwrap();
        let titles: Vec<&str> = sheet.grid.columns.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles, ["Data set", "Model", "Method", "2/32"]);
        assert_eq!(sheet.grid.rows.len(), 3);
    }
}
