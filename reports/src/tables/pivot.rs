//! A table of the user's own making: keys along both sides, a metric in the cells.

use std::collections::BTreeSet;

use harness_records::record::RunRecord;
use harness_records::trial;

use crate::bit_widths;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::numbers::mean_and_spread;
use crate::pivot::{Cell, summaries, wide};
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::trials::{FACTS, fact};
use crate::trials::Trials;

/// Which table is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// Keys of the rows, at least one.
    pub rows: Vec<String>,
    /// Key of the columns.
    pub columns: String,
    /// The metric.
    pub value: String,
    /// Keys and the values that they must have.
    pub filters: Vec<(String, String)>,
}

/// Keys beside those of the table of trials and of the configuration.
const BITS: &str = "bits";

/// Metrics in the order in which help names them.
const METRICS: [&str; 10] =
    ["top1", "top5", "perplexity", "loss", "seconds", "epochs", "parameters", "macs", "weight_bits", "bit_ops"];

impl Pivot {
    /// Reads `rows=KEY,KEY`, `cols=KEY` and `value=METRIC` (top-1 accuracy where it is not given), and filters
    /// `KEY=VALUE`.
    ///
    /// # Errors
    /// A word that is none of these, or a part that is missing.
    pub fn parse(words: &[String], filters: &[String]) -> Result<Pivot, ReportError> {
        let wrong = |reason: String| ReportError::Pivot { reason };
        let (mut rows, mut columns, mut value) = (Vec::new(), None, "top1".to_owned());
        for word in words {
            match word.split_once('=') {
                Some(("rows", keys)) => rows = keys.split(',').map(|key| key.trim().to_owned()).collect(),
                Some(("cols", key)) => columns = Some(key.to_owned()),
                Some(("value", metric)) => metric.clone_into(&mut value),
                _ => {
                    let expected = "expected `rows=KEY,KEY`, `cols=KEY` or `value=METRIC`";
                    return Err(wrong(format!("`{word}` is no part of a pivot table, {expected}")));
                }
            }
        }
        if rows.is_empty() || rows.iter().any(String::is_empty) {
            return Err(wrong("a pivot table needs `rows=KEY`, for example `rows=method`".to_owned()));
        }
        let Some(columns) = columns.filter(|key| !key.is_empty()) else {
            return Err(wrong("a pivot table needs `cols=KEY`, for example `cols=bits`".to_owned()));
        };
        let filters = filters
            .iter()
            .map(|filter| match filter.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
                _ => Err(wrong(format!("`{filter}` is no filter, expected KEY=VALUE"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Pivot { rows, columns, value, filters })
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        let filters = self.filters.iter().map(|(key, _)| key.as_str());
        self.rows.iter().map(String::as_str).chain([self.columns.as_str()]).chain(filters)
    }

    /// Heading.
    pub(crate) fn title(&self) -> String {
        let filters: Vec<String> = self.filters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let filters = if filters.is_empty() { String::new() } else { format!(", where {}", filters.join(", ")) };
        format!("{} by {} and {}{filters}", self.value, self.rows.join(", "), self.columns)
    }

    /// The table of these trials.
    ///
    /// # Errors
    /// A key or a metric that no trial has, with those that exist; filters that leave nothing.
    pub(crate) fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let wrong = |reason: String| ReportError::Pivot { reason };
        if !METRICS.contains(&self.value.as_str()) {
            let known = METRICS.map(|metric| format!("`{metric}`")).join(", ");
            return Err(wrong(format!("unknown metric `{}`, expected one of {known}", one_line(&self.value))));
        }
        if let Some(key) = self.keys().find(|key| trials.records.iter().all(|r| text(trials, r, key).is_none())) {
            let mut known: Vec<&str> = FACTS.iter().map(|(name, _)| *name).filter(|name| *name != "config").collect();
            known.push(BITS);
            return Err(wrong(format!(
                "no trial has the key `{}`, expected one of {}, or a key of the configuration such as `train.epochs`",
                one_line(key),
                known.join(", ")
            )));
        }
        let kept = trials
            .records
            .iter()
            .filter(|record| self.filters.iter().all(|(key, value)| text(trials, record, key).as_ref() == Some(value)));
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for record in kept {
            let Some(number) = number(trials, record, &self.value) else { continue };
            let all = self.rows.iter().chain([&self.columns]);
            keys.push(all.map(|key| text(trials, record, key).unwrap_or_default()).collect::<Vec<String>>());
            values.push(number);
        }
        if values.is_empty() {
            return Err(wrong(format!("no trial that the filters leave has a value of `{}`", self.value)));
        }
        let mut groups = summaries(&keys, &values)?;
        groups.sort_by_key(|(keys, _)| natural(keys));
        let columns: BTreeSet<(Vec<Natural>, String)> = groups
            .iter()
            .filter_map(|(keys, _)| keys.last())
            .map(|key| (natural(std::slice::from_ref(key)), key.clone()))
            .collect();
        let columns: Vec<String> = columns.into_iter().map(|(_, key)| key).collect();
        let percent = ["top1", "top5"].contains(&self.value.as_str());
        let cells: Vec<Cell> = groups
            .iter()
            .map(|(keys, summary)| {
                let (column, row) = keys.split_last().map_or(("", &keys[..]), |(last, rest)| (last.as_str(), rest));
                let column = columns.iter().position(|known| known == column).unwrap_or(0);
                let shown = if percent { summary.times(100.0) } else { *summary };
                let whole = shown.sd.is_none_or(|sd| sd <= 0.0) && shown.mean.fract() == 0.0 && !percent;
                let text = if whole { format!("{:.0}", shown.mean) } else { mean_and_spread(shown) };
                Cell { row: row.to_vec(), column, text }
            })
            .collect();
        let lines = wide(&cells, columns.len())?;
        let left = self.rows.iter().map(|key| (key.clone(), Align::Left));
        let right = columns.iter().map(|key| (key.clone(), Align::Right));
        let line = |(keys, cells): (Vec<String>, Vec<Option<String>>)| {
            keys.into_iter().chain(cells.into_iter().map(Option::unwrap_or_default)).collect()
        };
        let mut seeds: Vec<usize> = groups.iter().map(|(_, summary)| summary.n).collect();
        seeds.sort_unstable();
        let unit = if percent { " in percent" } else { "" };
        let notes = vec![format!(
            "{}{unit}: mean ± sample standard deviation over the trials that ended well, {} to {} in a cell. Columns: {}.",
            self.value,
            seeds.first().copied().unwrap_or(0),
            seeds.last().copied().unwrap_or(0),
            self.columns
        )];
        let grid = Grid {
            title: None,
            columns: left.chain(right).collect(),
            rows: lines.into_iter().map(line).collect(),
            notes,
            bold: BTreeSet::new(),
        };
        Ok(Sheet { grid, data: self.data(&groups) })
    }

    /// A row for each cell.
    fn data(&self, groups: &[(Vec<String>, harness_stats::Summary)]) -> Data {
        let row = |(keys, summary): &(Vec<String>, harness_stats::Summary)| {
            let (column, rows) = keys.split_last().map_or(("", &keys[..]), |(last, rest)| (last.as_str(), rest));
            vec![
                Value::Text(rows.join(", ")),
                Value::from(column),
                Value::from(&*self.value),
                summary.n.into(),
                Some(summary.mean).into(),
                summary.sd.into(),
            ]
        };
        Data { columns: vec!["row", "column", "value", "n", "mean", "sd"], rows: groups.iter().map(row).collect() }
    }
}

/// A text between other texts: numbers by their size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Natural {
    Number(i64),
    Text(String),
}

/// Parts of keys that are numbers and parts that are not, so that `2/2` comes before `10/2`.
fn natural(keys: &[String]) -> Vec<Natural> {
    let mut parts = Vec::new();
    for key in keys {
        let mut rest = key.as_str();
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            parts.push(match part.parse() {
                Ok(number) if digits => Natural::Number(number),
                _ => Natural::Text(part.to_owned()),
            });
            rest = after;
        }
        parts.push(Natural::Text(String::new()));
    }
    parts
}

/// The value of a key in words: of the table of trials, bit widths together, or of the configuration.
fn text(trials: &Trials, record: &RunRecord, key: &str) -> Option<String> {
    if key == BITS {
        return Some(bit_widths::in_words(bit_widths::widths(&record.config.quant)));
    }
    if let Some(of) = fact(key) {
        return match of(trials, record) {
            Value::Absent => None,
            Value::Text(text) => Some(text),
            Value::Whole(count) => Some(count.to_string()),
            Value::Number(number) => Some(number.to_string()),
        };
    }
    match trial::value(&record.config, key)? {
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The value of a metric; `None` where a trial has none or did not end well.
fn number(trials: &Trials, record: &RunRecord, metric: &str) -> Option<f64> {
    if record.status != harness_records::record::Status::Ok {
        return None;
    }
    match fact(metric)?(trials, record) {
        Value::Number(number) => Some(number).filter(|number| number.is_finite()),
        Value::Whole(count) => Some(count as f64),
        Value::Absent | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::markdown::markdown;
    use crate::numbers::two_decimals;
    use crate::samples::{method, record};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn trials() -> Trials {
        let mut records = Vec::new();
        for seed in 0..3u64 {
            for (name, bits) in [("a", 2), ("a", 10), ("b", 2)] {
                let top1 = 0.5 + 0.01 * f64::from(bits) + 0.01 * seed as f64;
                let built = record().weights(method(name, bits, &[])).seed(seed).top1(top1);
                records.push(built.edit(|r| r.config.train.epochs = 5 + u32::from(bits)).build());
            }
        }
        Trials::new(&records, &[]).unwrap()
    }

    #[test]
    fn keys_along_both_sides_and_means_between() {
        let pivot = Pivot::parse(&words("rows=method cols=quant.weights.bits value=top1"), &[]).unwrap();
        let text = markdown(&pivot.build(&trials()).unwrap().grid);
        let expected = "\
| method |            2 |           10 |
| :----- | -----------: | -----------: |
| a      | 53.00 ± 1.00 | 61.00 ± 1.00 |
| b      | 53.00 ± 1.00 |              |
";
        assert!(text.starts_with(expected), "{text}");
        let pivot = Pivot::parse(&words("rows=method,train.epochs cols=bits value=macs"), &[]).unwrap();
        let text = markdown(&pivot.build(&trials()).unwrap().grid);
        assert!(text.contains("| a      | 7            | 5000 |       |"), "{text}");
        let only = Pivot::parse(&words("rows=method cols=seed"), &words("method=a quant.weights.bits=2")).unwrap();
        let sheet = only.build(&trials()).unwrap();
        assert_eq!(sheet.grid.rows, [["a".to_owned(), two_decimals(52.0), two_decimals(53.0), two_decimals(54.0)]]);
        assert_eq!(sheet.data.rows.len(), 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |pivot: &str, filters: &str, expected: &str| {
            let built = Pivot::parse(&words(pivot), &words(filters)).and_then(|pivot| pivot.build(&trials()));
            let message = built.map(|_| ()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("cols=bits", "", "needs `rows=KEY`");
        check("rows=method", "", "needs `cols=KEY`");
        check("rows=method cols=bits top1", "", "`top1` is no part of a pivot table");
        check("rows=method cols=bits value=accuracy", "", "unknown metric `accuracy`, expected one of `top1`");
        check("rows=metod cols=bits", "", "no trial has the key `metod`, expected one of id, sweep");
        check("rows=method cols=train.epoch", "", "no trial has the key `train.epoch`");
        check("rows=method cols=bits", "seed=9", "no trial that the filters leave");
        check("rows=method cols=bits", "seed", "`seed` is no filter, expected KEY=VALUE");
    }
}
