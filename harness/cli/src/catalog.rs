//! Everything a sweep file can name, reports included.

use harness_records::catalog::Catalog;

/// Methods, models and data sets from the engine, tables and figures from the reports.
pub(crate) fn catalog() -> Catalog {
    let names = harness_reports::names();
    Catalog { tables: names.tables, figures: names.figures, ..harness_engine::catalog::catalog() }
}
