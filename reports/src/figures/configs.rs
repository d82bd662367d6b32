//! What most figures share: configurations with the trials that ended well, by place.

use std::collections::BTreeMap;

use harness_records::record::{RunRecord, Status};

use crate::accuracy::{IDENTITY, Row};
use crate::encode::one_line;
use crate::figures::questions::widths;
use crate::sheet::Value;
use crate::trials::Trials;

/// A configuration with the trials that ended well.
pub(crate) struct Config<'a> {
    pub(crate) row: &'a Row,
    pub(crate) records: Vec<&'a RunRecord>,
    /// `dorefa 2/32`, or `float`.
    pub(crate) label: String,
}

/// All configurations of which a trial ended well.
pub(crate) fn configs<'a>(rows: &'a [Row], trials: &'a Trials) -> Vec<Config<'a>> {
    let of = |row: &'a Row| {
        let members = row.members.iter().map(|&member| &trials.records[member]);
        Config { row, records: members.filter(|record| record.status == Status::Ok).collect(), label: label(row) }
    };
    rows.iter().map(of).filter(|config| !config.records.is_empty()).collect()
}

fn label(row: &Row) -> String {
    if row.is_float {
        return one_line(&row.method);
    }
    format!("{} {}", one_line(&row.method), widths(row))
}

/// Columns of [`Config::head`].
pub(crate) fn head_columns() -> impl Iterator<Item = &'static str> {
    IDENTITY.into_iter().take(HEAD)
}

/// Columns of the identity that data over training has: those before the bits of gradients.
const HEAD: usize = 6;

impl Config<'_> {
    /// Which configuration a row of data over training is about.
    pub(crate) fn head(&self) -> impl Iterator<Item = Value> {
        self.row.identity().into_iter().take(HEAD)
    }

    /// Data set, model and setting.
    pub(crate) fn place(&self) -> [&str; 3] {
        self.row.place()
    }
}

/// Configurations by place, in order.
pub(crate) fn by_place<'a, 'b>(configs: &'b [Config<'a>]) -> BTreeMap<[&'b str; 3], Vec<&'b Config<'a>>> {
    let mut places: BTreeMap<[&str; 3], Vec<&Config<'a>>> = BTreeMap::new();
    for config in configs {
        places.entry(config.place()).or_default().push(config);
    }
    places
}
