//! A table before it has a format: once for people, once for machines.

use std::collections::BTreeSet;

/// A table: what every table of a report produces, and what every format writes.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// For people: rounded, with units, mean and spread in one cell.
    pub(crate) grid: Grid,
    /// For machines: one fact a column, full precision.
    pub(crate) data: Data,
}

/// Cells as text. Escaping is the writer's business.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    /// Heading, where it is another than that of the table.
    pub(crate) title: Option<String>,
    pub(crate) columns: Vec<(String, Align)>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Sentences below the table.
    pub(crate) notes: Vec<String>,
    /// Cells in bold: row and column.
    pub(crate) bold: BTreeSet<(usize, usize)>,
}

/// Where text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Typed cells.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Data {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// There is none.
    Absent,
    Text(String),
    Whole(u64),
    Number(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Value {
        Value::Whole(count as u64)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Value {
        Value::Whole(u64::from(count))
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Value {
        number.map_or(Value::Absent, Value::Number)
    }
}
