//! The tables of a report, by name. Adding one: a file with a [`Table`] in it, and its line in [`TABLES`].

pub(crate) mod accuracy;
pub(crate) mod claims;
pub(crate) mod cost;
pub(crate) mod kernels;
mod laid_out;
mod marks;
pub(crate) mod paper;
pub(crate) mod pivot;
pub(crate) mod published;
pub(crate) mod settings;
pub(crate) mod trials;

use crate::encode::markdown::{escape, list, markdown};
use crate::error::ReportError;
use crate::failures;
use crate::sheet::{Grid, Sheet};
use crate::trials::Trials;

/// A table, found by name.
pub(crate) trait Table: Sync {
    /// Name in sweep files, also of its files.
    fn name(&self) -> &'static str;

    /// Heading.
    fn title(&self) -> &'static str;

    /// The table of these trials.
    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError>;
}

/// All tables.
pub(crate) static TABLES: &[&dyn Table] = &[
    &paper::Paper,
    &accuracy::Accuracy,
    &claims::Claims,
    &cost::Cost,
    &kernels::KernelTable,
    &published::Ledger,
    &settings::Settings,
    &trials::AllTrials,
];

/// The table of a name.
pub(crate) fn find(name: &str) -> Result<&'static dyn Table, ReportError> {
    TABLES.iter().copied().find(|table| table.name() == name).ok_or_else(|| ReportError::UnknownTable {
        name: name.to_owned(),
        expected: TABLES.iter().map(|table| table.name()).collect(),
    })
}

/// A Markdown file that stands alone: heading, table, and the trials that are missing from it.
pub(crate) fn markdown_file(title: &str, grid: &Grid, trials: &Trials) -> String {
    let failures = failures(trials);
    let between = if failures.is_empty() { "" } else { "\n" };
    format!("{}{between}{failures}", section(title, grid))
}

/// Heading and table.
pub(crate) fn section(title: &str, grid: &Grid) -> String {
    format!("# {}\n\n{}", escape(title), markdown(grid))
}

/// The trials without a result under a heading; empty when there are none.
pub(crate) fn failures(trials: &Trials) -> String {
    let failures = failures::lines(trials);
    if failures.is_empty() { String::new() } else { format!("## Trials without a result\n\n{}", list(&failures)) }
}
