//! `harness schema`.

use crate::catalog::catalog;
use crate::exit::Outcome;
use crate::output::print_json;

pub(crate) fn run() -> Outcome {
    Ok(print_json(&harness_records::schema::schema(&catalog()))?)
}
