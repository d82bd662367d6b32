//! Run records made into reports: tables, figures and a page that shows them.
//!
//! The way through this crate: [`write()`] puts records into a frame (`frames`, the only module that names
//! polars), tables and figures read trials from it, encoders and drawing surfaces give them a format, and every file is
//! written whole or not at all. A new table or figure is one file and one line in `tables` or `figures`.
//!
//! The folder it writes:
//! ```text
//! report.md
//! tables/NAME.md       the table for people
//! tables/NAME.csv      full precision
//! figures/NAME.svg     at paper size
//! figures/NAME.png     300 pixels an inch
//! figures/NAME.csv     what is in the figure
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod accuracy;
mod batch_norm;
mod claims;
mod commits;
mod encode;
mod error;
mod failures;
mod figures;
mod files;
mod format;
mod frames;
mod labels;
mod numbers;
mod plot;
mod report_md;
#[cfg(test)]
mod samples;
mod sheet;
mod stats;
mod tables;
#[cfg(test)]
mod tests;
mod trials;

use std::path::{Path, PathBuf};

use harness_records::record::RunRecord;

use crate::encode::csv::csv;
use crate::figures::{Drawn, Figure};
use crate::plot::png::png;
use crate::plot::svg::svg;
use crate::plot::text::Lettering;
use crate::report_md::{FigureSection, TableSection};
use crate::tables::Table;
use crate::trials::Trials;

pub use crate::batch_norm::{BatchNormLayer, write_batch_norm};
pub use crate::commits::{CommitPoint, CommitSeries, Mark, write_commits};
pub use crate::error::ReportError;
pub use crate::format::Format;

/// What a report is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportInput {
    /// Heading, usually the name of the sweep.
    pub title: String,
    /// Finished trials, in any order; those that failed or diverged are part of the report.
    pub records: Vec<RunRecord>,
    /// What else the reader must know, one sentence each: records that could not be read, trials not finished yet.
    pub problems: Vec<String>,
    /// Names of the tables wanted, see [`names`].
    pub tables: Vec<String>,
    /// Names of the figures wanted, see [`names`].
    pub figures: Vec<String>,
}

/// What a report can hold, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// For `report.tables` of a sweep file.
    pub tables: Vec<&'static str>,
    /// For `report.figures` of a sweep file.
    pub figures: Vec<&'static str>,
}

/// The tables and figures that exist.
#[must_use]
pub fn names() -> Names {
    Names {
        tables: tables::TABLES.iter().map(|table| table.name()).collect(),
        figures: figures::FIGURES.iter().map(|figure| figure.name()).collect(),
    }
}

/// A report that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its files, `report.md` last.
    pub files: Vec<PathBuf>,
    /// Its tables as Markdown, each with its heading, in the order asked for: name and text. They are here whatever
    /// formats were written.
    pub tables: Vec<(&'static str, String)>,
    /// The trials without a result as Markdown, with a heading; empty when there are none.
    pub failures: String,
}

/// Writes a report into `out`, which is made when absent. Other files there stay as they are. [`Format::Markdown`] gives the page and the tables, [`Format::Csv`] the numbers of tables
/// and figures; a figure drawn in any format has its numbers beside it.
///
/// # Errors
/// An unknown table or figure and an empty list of records are found before anything is written; after that, a file
/// that cannot be written.
pub fn write(input: &ReportInput, out: &Path, formats: &[Format]) -> Result<Report, ReportError> {
    let tables = unique(&input.tables).into_iter().map(tables::find).collect::<Result<Vec<_>, _>>()?;
    let figures = unique(&input.figures).into_iter().map(figures::find).collect::<Result<Vec<_>, _>>()?;
    let trials = Trials::new(&input.records, &input.problems)?;
    let mut folder = Folder { out, formats, written: Vec::new() };
    let tables = tables.into_iter().map(|t| folder.table(t, &trials)).collect::<Result<Vec<_>, _>>()?;
    let lettering = Lettering::new()?;
    let figures = figures.into_iter().map(|f| folder.figure(f, &trials, &lettering)).collect::<Result<Vec<_>, _>>()?;
    if folder.wants(Format::Markdown) {
        let page = report_md::page(&input.title, &input.problems, &trials, &tables, &figures);
        folder.write("report.md", page.as_bytes())?;
    }
    let text = |table: &TableSection| (table.name, tables::section(table.title, &table.sheet.grid));
    Ok(Report { files: folder.written, tables: tables.iter().map(text).collect(), failures: tables::failures(&trials) })
}

fn unique(names: &[String]) -> Vec<&str> {
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name.as_str()) {
            unique.push(name.as_str());
        }
    }
    unique
}

/// The folder of a report while it is written.
struct Folder<'a> {
    out: &'a Path,
    formats: &'a [Format],
    written: Vec<PathBuf>,
}

impl Folder<'_> {
    fn wants(&self, format: Format) -> bool {
        self.formats.contains(&format)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), ReportError> {
        let path = self.out.join(name);
        files::write_whole(&path, bytes)?;
        self.written.push(path);
        Ok(())
    }

    fn table(&mut self, table: &dyn Table, trials: &Trials) -> Result<TableSection, ReportError> {
        let sheet = table.build(trials)?;
        let mut files = Vec::new();
        for &format in self.formats {
            let bytes = match format {
                Format::Markdown => tables::markdown_file(table.title(), &sheet.grid, trials).into_bytes(),
                Format::Csv => csv(&sheet.data)?,
                Format::Svg | Format::Png => continue,
            };
            files.push(format!("tables/{}.{}", table.name(), format.name()));
            self.write(&files[files.len() - 1], &bytes)?;
        }
        Ok(TableSection { name: table.name(), title: table.title(), sheet, files })
    }

    fn figure(
        &mut self,
        figure: &dyn Figure,
        trials: &Trials,
        lettering: &Lettering,
    ) -> Result<FigureSection, ReportError> {
        let title = figure.title();
        let picture = match figure.draw(trials, lettering)? {
            Drawn::Picture(picture) => picture,
            Drawn::Nothing(why) => {
                let text = format!("Nothing to draw: {why}.");
                return Ok(FigureSection { title, text, picture: None, files: Vec::new() });
            }
        };
        let (mut files, mut shown) = (Vec::new(), None);
        for &format in self.formats {
            let bytes = match format {
                Format::Svg => svg(&picture.canvas, &picture.caption)?.into_bytes(),
                Format::Png => png(&picture.canvas, lettering)?,
                Format::Markdown | Format::Csv => continue,
            };
            let name = format!("figures/{}.{}", figure.name(), format.name());
            self.write(&name, &bytes)?;
            // Vectors are sharp at any size: the page shows them where it can choose.
            if shown.is_none() || format == Format::Svg {
                shown = Some(name.clone());
            }
            files.push(name);
        }
        if shown.is_some() || self.wants(Format::Csv) {
            let name = format!("figures/{}.csv", figure.name());
            self.write(&name, &csv(&picture.data)?)?;
            files.push(name);
        }
        Ok(FigureSection { title, text: picture.caption, picture: shown, files })
    }
}
