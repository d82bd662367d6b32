//! A finished trial, named by its folder.

use std::path::Path;

use harness_records::record::RunRecord;
use harness_records::store::Store;

use crate::exit::{Stop, refuse};

/// The record of the trial whose folder was given.
pub(crate) fn record(run: &Path) -> Result<RunRecord, Stop> {
    let shown = run.display();
    let expected =
        || refuse(format_args!("{shown} is no trial, expected a folder such as runs/quickstart/0123456789abcdef"));
    let path = run.canonicalize().map_err(|_| expected())?;
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let sweep = path.parent().ok_or_else(expected)?;
    let (Some(id), Some(sweep_name), Some(runs)) = (name(&path), name(sweep), sweep.parent()) else {
        return Err(expected());
    };
    let record = Store::open(runs).trial(&sweep_name, &id).record().map_err(refuse)?;
    let record = record.ok_or_else(|| refuse(format_args!("{shown} has no record.json: the trial has not ended")))?;
    if let Some(error) = &record.error {
        return Err(refuse(format_args!("{shown} did not end well: {}", error.message)));
    }
    Ok(record)
}
