//! What the short names of a report stand for: every configuration with all its options.

use std::collections::BTreeMap;

use harness_records::config::MethodChoice;
use harness_records::options::Options;

use crate::accuracy::{IDENTITY, Row};
use crate::error::ReportError;
use crate::figures::questions::widths;
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::trials::Trials;

/// `settings`.
pub(crate) struct Settings;

impl Table for Settings {
    fn name(&self) -> &'static str {
        "settings"
    }

    fn title(&self) -> &'static str {
        "Settings"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let rows = trials.rows()?;
        Ok(Sheet { grid: grid(rows, trials), data: data(rows, trials) })
    }
}

/// A method with all its options, `dorefa (a=1, b=x)`. Options that a record lacks, because it is older, have their
/// defaults.
fn choice(choice: &MethodChoice, trials: &Trials) -> String {
    let about = trials.catalog.methods.iter().map(|entry| entry.about).find(|about| about.name == choice.method);
    let options: Options =
        about.map_or_else(|| choice.options.clone(), |about| choice.options.with_defaults(about.options));
    let pairs: Vec<String> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { choice.method.clone() } else { format!("{} ({})", choice.method, pairs.join(", ")) }
}

fn grid(rows: &[Row], trials: &Trials) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let mut columns = vec![
        left("Name"),
        ("W/A".to_owned(), Align::Right),
        left("Weights"),
        left("Activations"),
        left("Gradients"),
        left("In full precision"),
    ];
    // Most networks have one setting for all layers; then there is nothing to say in a column.
    let of_layers = |row: &Row| trials.records[row.example].config.quant.layers_label();
    let has_layers = rows.iter().any(|row| !of_layers(row).is_empty());
    columns.extend(has_layers.then(|| left("In some layers")));
    // A configuration stands here once, whatever data sets and models it was run on.
    // By place in the table: full precision first, then names and bit widths.
    type Place = (bool, String, [u32; 3], Vec<String>);
    let mut lines: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for row in rows {
        let quant = &trials.records[row.example].config.quant;
        let kept = if row.is_float { "all".to_owned() } else { quant.keep_float.join(", ") };
        let kept = if kept.is_empty() { "none".to_owned() } else { kept };
        let roles = [&quant.weights, &quant.activations, &quant.gradients].map(|role| choice(role, trials));
        let mut line: Vec<String> = [row.method.clone(), widths(row)].into_iter().chain(roles).chain([kept]).collect();
        line.extend(has_layers.then(|| of_layers(row)));
        lines.insert((!row.is_float, row.method.clone(), row.widths, line.clone()), line);
    }
    let mut notes = vec!["All options of the methods, those at their defaults too.".to_owned()];
    notes.extend(trials.labels.remarks());
    Grid { columns, rows: lines.into_values().collect(), notes, ..Grid::default() }
}

fn data(rows: &[Row], trials: &Trials) -> Data {
    let facts = ["weights", "activations", "gradients", "keep_float", "layers", "train"];
    let row = |row: &Row| {
        let config = &trials.records[row.example].config;
        let quant = &config.quant;
        let facts = [
            Value::Text(choice(&quant.weights, trials)),
            Value::Text(choice(&quant.activations, trials)),
            Value::Text(choice(&quant.gradients, trials)),
            Value::Text(quant.keep_float.join(", ")),
            Value::Text(quant.layers_label()),
            // Plain numbers and words always have a JSON form.
            serde_json::to_string(&config.train).map_or(Value::Absent, Value::Text),
        ];
        row.identity().into_iter().chain(facts).collect()
    };
    Data { columns: IDENTITY.into_iter().chain(facts).collect(), rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};

    #[test]
    fn a_short_name_is_spelled_out() {
        let weights = method("balanced", 2, &[("threshold", "mean"), ("scale", "max")]);
        let records = [record().build(), record().weights(weights).build()];
        let trials = Trials::new(&records, &[]).unwrap();
        let sheet = Settings.build(&trials).unwrap();
        assert_eq!(sheet.grid.rows[0], ["float", "32/32", "float", "float", "float", "all"]);
        let expected = ["balanced", "2/32", "balanced (scale=max, threshold=mean)", "float", "float", "first, last"];
        assert_eq!(sheet.grid.rows[1], expected);
    }

    #[test]
    fn settings_of_layers_are_spelled_out_where_there_are_any() {
        let layers = serde_json::from_str(r#"[{"layer": "first", "weights": {"bits": 8}}]"#).unwrap();
        let mixed = record().weights(method("dorefa", 2, &[])).edit(move |r| r.config.quant.layers = layers).build();
        let trials = Trials::new(&[record().build(), mixed], &[]).unwrap();
        let grid = Settings.build(&trials).unwrap().grid;
        assert_eq!(grid.columns.last().unwrap().0, "In some layers");
        assert_eq!([0, 1].map(|row| grid.rows[row][6].as_str()), ["", "first w8"]);
    }
}
