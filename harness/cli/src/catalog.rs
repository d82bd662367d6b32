//! Everything a sweep file can name, reports included.

use harness_records::catalog::Catalog;

/// Methods, models and data sets from the engine, tables and figures from the reports.
pub(crate) fn catalog() -> Catalog {
    let names = harness_reports::names();
    let (tables, figures, papers) = (names.tables, names.figures, names.papers);
    Catalog { tables, figures, papers, ..harness_engine::catalog::catalog() }
}
