//! Long tables made wide: means and spreads of groups, and one column for each value of a key, by polars.
//!
//! Columns of the frames are numbered, so that no name that a user chose can be taken for another.

use std::sync::Arc;

use harness_stats::Summary;
use polars::frame::PivotColumnNaming;
use polars::prelude::{Column, DataFrame, Expr, IntoLazy, NamedFrom, Series, by_name, col, element};

use crate::error::ReportError;

/// Name of the `i`-th key.
fn key(i: usize) -> String {
    format!("k{i}")
}

const VALUE: &str = "value";
const ON: &str = "on";

fn text_columns(rows: &[Vec<String>]) -> Vec<Column> {
    let width = rows.first().map_or(0, Vec::len);
    let column = |i: usize| {
        let values: Vec<&str> = rows.iter().map(|row| row[i].as_str()).collect();
        Column::from(Series::new(key(i).as_str().into(), values))
    };
    (0..width).map(column).collect()
}

/// Number, mean and sample standard deviation of the values that agree in all keys, in the order in which the keys
/// occur first. `keys` holds a row for each value, all of one length, at least 1.
///
/// # Errors
/// Only if this module contradicts itself: columns of different lengths.
pub(crate) fn summaries(keys: &[Vec<String>], values: &[f64]) -> Result<Vec<(Vec<String>, Summary)>, ReportError> {
    let Some(width) = keys.first().map(Vec::len) else { return Ok(Vec::new()) };
    let mut columns = text_columns(keys);
    columns.push(Column::from(Series::new(VALUE.into(), values)));
    let by: Vec<Expr> = (0..width).map(|i| col(key(i))).collect();
    let facts = [col(VALUE).mean().alias("mean"), col(VALUE).std(1).alias("sd"), col(VALUE).count().alias("n")];
    let frame = DataFrame::new(values.len(), columns)?.lazy().group_by_stable(by).agg(facts).collect()?;
    let texts =
        (0..width).map(|i| Ok(frame.column(&key(i))?.str()?.clone())).collect::<Result<Vec<_>, ReportError>>()?;
    let (means, deviations) = (frame.column("mean")?.f64()?, frame.column("sd")?.f64()?);
    let counts = frame.column("n")?.u32()?;
    let group = |i: usize| {
        let keys = texts.iter().map(|text| text.get(i).unwrap_or_default().to_owned()).collect();
        let n = counts.get(i)? as usize;
        Some((keys, Summary { n, mean: means.get(i)?, sd: deviations.get(i).filter(|_| n > 1) }))
    };
    Ok((0..frame.height()).filter_map(group).collect())
}

/// A cell of a long table: the keys of its row, the place of its column, and its text.
pub(crate) struct Cell {
    pub(crate) row: Vec<String>,
    pub(crate) column: usize,
    pub(crate) text: String,
}

/// A row of a wide table: its keys, and a cell for each column.
pub(crate) type WideRow = (Vec<String>, Vec<Option<String>>);

/// The wide table of some cells with `columns` columns, rows in the order in which their keys occur first. Of two cells
/// in one place the first counts.
///
/// # Errors
/// Only if this module contradicts itself.
pub(crate) fn wide(cells: &[Cell], columns: usize) -> Result<Vec<WideRow>, ReportError> {
    let Some(width) = cells.first().map(|cell| cell.row.len()) else { return Ok(Vec::new()) };
    let rows: Vec<Vec<String>> = cells.iter().map(|cell| cell.row.clone()).collect();
    let mut long = text_columns(&rows);
    let places: Vec<u32> = cells.iter().map(|cell| cell.column as u32).collect();
    let texts: Vec<&str> = cells.iter().map(|cell| cell.text.as_str()).collect();
    long.push(Column::from(Series::new(ON.into(), places)));
    long.push(Column::from(Series::new(VALUE.into(), texts)));
    let all: Vec<u32> = (0..columns as u32).collect();
    let on = DataFrame::new(columns, vec![Column::from(Series::new(ON.into(), all))])?;
    let frame = DataFrame::new(cells.len(), long)?
        .lazy()
        .pivot(
            by_name([ON], true, false),
            Arc::new(on),
            by_name((0..width).map(key), true, false),
            by_name([VALUE], true, false),
            element().first(),
            true,
            "".into(),
            PivotColumnNaming::Auto,
        )
        .collect()?;
    let text = |name: &str| Ok::<_, ReportError>(frame.column(name)?.str()?.clone());
    let keys = (0..width).map(|i| text(&key(i))).collect::<Result<Vec<_>, _>>()?;
    let wide = (0..columns).map(|i| text(&i.to_string())).collect::<Result<Vec<_>, _>>()?;
    let row = |i: usize| {
        let keys = keys.iter().map(|column| column.get(i).unwrap_or_default().to_owned()).collect();
        (keys, wide.iter().map(|column| column.get(i).map(str::to_owned)).collect())
    };
    Ok((0..frame.height()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn groups_are_summed_up_as_one_by_one(
            trials in prop::collection::vec(("[ab]{1}", "[xy|,]{0,1}", -4i32..4), 1..30),
        ) {
            let keys: Vec<Vec<String>> = trials.iter().map(|(a, b, _)| vec![a.clone(), b.clone()]).collect();
            let values: Vec<f64> = trials.iter().map(|(_, _, v)| f64::from(*v)).collect();
            let mut expected: BTreeMap<Vec<String>, Vec<f64>> = BTreeMap::new();
            for (key, value) in keys.iter().zip(&values) {
                expected.entry(key.clone()).or_default().push(*value);
            }
            let found = summaries(&keys, &values).unwrap();
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(&found[0].0, &keys[0], "the first key comes first");
            for (key, summary) in found {
                let slow = Summary::of(&expected[&key]).unwrap();
                prop_assert_eq!(summary.n, slow.n);
                prop_assert!((summary.mean - slow.mean).abs() < 1e-12);
                match (summary.sd, slow.sd) {
                    (None, None) => {}
                    (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-9),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        #[test]
        fn every_cell_is_in_its_place(cells in prop::collection::vec(("[a-c]{1}", 0usize..4, "[a-z|]{0,3}"), 1..20)) {
            let long: Vec<Cell> = cells
                .iter()
                .map(|(row, column, text)| Cell { row: vec![row.clone()], column: *column, text: text.clone() })
                .collect();
            let wide = wide(&long, 4).unwrap();
            let mut rows: Vec<&str> = Vec::new();
            cells.iter().for_each(|(row, ..)| if !rows.contains(&row.as_str()) { rows.push(row) });
            prop_assert_eq!(wide.iter().map(|(keys, _)| keys[0].as_str()).collect::<Vec<_>>(), rows);
            for (keys, texts) in &wide {
                for (column, text) in texts.iter().enumerate() {
                    let first = cells.iter().find(|(row, place, _)| *row == keys[0] && *place == column);
                    prop_assert_eq!(text.as_ref(), first.map(|(_, _, text)| text));
                }
            }
        }
    }

    #[test]
    fn nothing_is_an_empty_table() {
        assert!(summaries(&[], &[]).unwrap().is_empty());
        assert!(wide(&[], 3).unwrap().is_empty());
    }
}
