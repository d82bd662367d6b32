//! Run records made into reports: tables, figures and a page that shows them.
//!
//! The way through this crate: [`write()`] puts records into a frame (`frames`, the only module that names
//! polars), tables and figures read trials from it, encoders and drawing surfaces give them a format, and every file is
//! written whole or not at all. A new table or figure is one file and one line in `tables` or `figures`.
//!
//! The folder it writes:
//! ```text
//! report.md
//! report.html          the same with sections of trials, in one file that any browser opens
//! tables/NAME.md       the table for people
//! tables/NAME.tex      the same for a paper
//! tables/NAME.csv      full precision
//! tables/NAME.parquet  the same with types
//! figures/NAME.svg     at paper size
//! figures/NAME.pdf     the same for a paper, with its letters
//! figures/NAME.tex     the lines that put the PDF into a paper, with its caption
//! figures/NAME.png     300 pixels an inch
//! figures/NAME.csv     what is in the figure
//! ```
//! What does not fit on one page of a figure stands on further ones, `NAME-2.svg` and so on.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod accuracy;
mod batch_norm;
mod bit_widths;
mod claims;
mod commits;
mod difference;
mod encode;
mod error;
mod failures;
mod figures;
mod files;
mod format;
mod frames;
mod kernels;
mod labels;
mod names;
mod numbers;
mod pictures;
mod pivot;
mod plot;
mod published;
mod report_html;
mod report_md;
#[cfg(test)]
mod samples;
mod sheet;

mod tables;
#[cfg(test)]
mod tests;
mod trials;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use harness_records::catalog::Catalog;
use harness_records::record::RunRecord;
use harness_records::spec::PaperLayout;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::encode::csv::csv;
use crate::encode::latex::latex;
use crate::encode::latex_figure::figure_latex;
use crate::encode::parquet::parquet;
use crate::figures::{Drawn, Figure};
use crate::plot::canvas::Canvas;
use crate::plot::theme::Theme;
use crate::report_md::{FigureSection, TableSection};
use crate::sheet::Sheet;
use crate::tables::Table;
use crate::trials::Trials;

pub use crate::batch_norm::{BatchNormLayer, write_batch_norm};
pub use crate::commits::{CommitPoint, CommitSeries, Mark, write_commits};
pub use crate::error::ReportError;
pub use crate::format::Format;
pub use crate::kernels::Kernels;
pub use crate::plot::theme::Style;
pub use crate::tables::pivot::Pivot;

/// Name of the table that [`ReportInput::pivot`] asks for, also of its files.
pub const PIVOT: &str = "pivot";

/// What figures are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The publication, which decides widths and letters.
    pub style: Style,
    /// Panels side by side, 1 or 2.
    pub columns: usize,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { style: Style::default(), columns: 2 }
    }
}

/// What a report is made from.
#[derive(Debug, Clone)]
pub struct ReportInput {
    /// Heading, usually the name of the sweep.
    pub title: String,
    /// Finished trials, in any order; those that failed or diverged are part of the report.
    pub records: Vec<RunRecord>,
    /// What else the reader must know, one sentence each: records that could not be read, trials not finished yet.
    pub problems: Vec<String>,
    /// The tables wanted, see [`names`].
    pub tables: Choice,
    /// The figures wanted, see [`names`].
    pub figures: Choice,
    /// The command that runs these trials again, where it is known.
    pub command: Option<String>,
    /// How many of them were run again, and came out the same.
    pub verified: Verified,
    /// Kernel speeds, for the tables and figures that set them beside accuracy.
    pub kernels: Option<Kernels>,
    /// A table of the user's own making, shown before the others.
    pub pivot: Option<Pivot>,
    /// Rows and columns of the table `paper`; `None`: a row a method and a column a setting of bit widths.
    pub paper: Option<PaperLayout>,
    /// What figures are drawn for.
    pub layout: Layout,
    /// Everything that a sweep file can name: defaults of options are left out of names.
    pub catalog: Catalog,
    /// Names that the sweep file gives to what is quantized how, by id of the trial.
    pub labels: BTreeMap<String, String>,
}

/// Trials that were run again to see whether every number comes out the same (`harness verify`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Run again.
    pub again: usize,
    /// Of them, the same to the bit.
    pub identical: usize,
}

/// Which tables or figures a report has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All that have something to show.
    All,
    /// These; one that has nothing to show says why.
    Named(Vec<String>),
}

impl Choice {
    /// True where what has nothing to show is left out.
    fn leaves_out_empty(&self) -> bool {
        *self == Choice::All
    }

    /// The names, each once.
    fn among(&self, all: Vec<&'static str>) -> Vec<String> {
        let Choice::Named(names) = self else { return all.into_iter().map(str::to_owned).collect() };
        let mut unique = Vec::new();
        for name in names {
            if !unique.contains(name) {
                unique.push(name.clone());
            }
        }
        unique
    }
}

/// What a report can hold, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// For `report.tables` of a sweep file.
    pub tables: Vec<&'static str>,
    /// For `report.figures` of a sweep file.
    pub figures: Vec<&'static str>,
    /// Papers whose published numbers are known, for `report.paper` of a sweep file.
    pub papers: Vec<String>,
}

/// The tables and figures that exist.
#[must_use]
pub fn names() -> Names {
    Names {
        tables: tables::TABLES.iter().map(|table| table.name()).collect(),
        figures: figures::FIGURES.iter().map(|figure| figure.name()).collect(),
        papers: published::papers(),
    }
}

/// A report that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its files, the pages last.
    pub files: Vec<PathBuf>,
    /// Its tables as Markdown, each with its heading, in the order asked for: name and text. They are here whatever
    /// formats were written.
    pub tables: Vec<(&'static str, String)>,
    /// The trials without a result as Markdown, with a heading; empty when there are none.
    pub failures: String,
}

/// Writes a report into `out`, which is made when absent. Other files there stay as they are. [`Format::Markdown`]
/// gives a page and the tables, [`Format::Csv`] the numbers of tables and figures; a figure drawn in any format has its
/// numbers beside it.
///
/// # Errors
/// An unknown table or figure and an empty list of records are found before anything is written; after that, a file
/// that cannot be written.
pub fn write(input: &ReportInput, out: &Path, formats: &[Format]) -> Result<Report, ReportError> {
    let all = names();
    let tables = input.tables.among(all.tables);
    let tables = tables.iter().map(|name| tables::find(name)).collect::<Result<Vec<_>, _>>()?;
    let figures = input.figures.among(all.figures);
    let figures = figures.iter().map(|name| figures::find(name)).collect::<Result<Vec<_>, _>>()?;
    let trials = Trials::named(&input.records, &input.problems, &input.catalog, &input.labels)?;
    let trials = trials.with_kernels(input.kernels.clone());
    let trials = trials.with_verified(input.verified).with_paper(input.paper.clone());
    let mut folder = Folder { out, formats, written: Vec::new() };
    let mut sections = Vec::new();
    if let Some(pivot) = &input.pivot {
        let sheet = pivot.build(&trials)?;
        sections.push(folder.sheet(PIVOT, pivot.title(), sheet, &trials)?);
    }
    for table in tables {
        let sheet = table.build(&trials)?;
        if !(input.tables.leaves_out_empty() && sheet.data.rows.is_empty()) {
            sections.push(folder.table(table, sheet, &trials)?);
        }
    }
    let tables = sections;
    let theme = Theme::new(input.layout.style, input.layout.columns)?;
    let mut drawn = Vec::new();
    for figure in figures {
        let drawing = figure.draw(&trials, &theme)?;
        if !(input.figures.leaves_out_empty() && matches!(drawing, Drawn::Nothing(_))) {
            drawn.push((figure, drawing));
        }
    }
    // Pixels take longer than everything else in a report: figures get their formats side by side.
    let encode = |(figure, drawing): &(&dyn Figure, Drawn)| encoded(figure.title(), drawing, formats, &theme);
    let encoded: Vec<Vec<EncodedPage>> = drawn.par_iter().map(encode).collect::<Result<_, _>>()?;
    let mut sections = Vec::new();
    for ((figure, drawing), pages) in drawn.into_iter().zip(encoded) {
        sections.push(folder.figure(figure, drawing, pages, &theme)?);
    }
    let figures = sections;
    if folder.wants(Format::Markdown) {
        let command = input.command.as_deref();
        let page = report_md::page(&input.title, command, &input.problems, &trials, &tables, &figures);
        folder.write("report.md", page.as_bytes())?;
    }
    if folder.wants(Format::Html) {
        let command = input.command.as_deref();
        let page = report_html::page(&input.title, command, &input.problems, &trials, &tables, &figures);
        folder.write("report.html", page.as_bytes())?;
    }
    let text = |table: &TableSection| (table.name, tables::section(&table.title, &table.sheet.grid));
    Ok(Report { files: folder.written, tables: tables.iter().map(text).collect(), failures: tables::failures(&trials) })
}

/// Writes the table and the figures of a run of the kernel bench into `out`, laid out as those of a report; figures
/// that the run has no numbers for are left out.
///
/// # Errors
/// A file that cannot be written.
pub fn write_kernels(kernels: &Kernels, out: &Path, formats: &[Format]) -> Result<Vec<PathBuf>, ReportError> {
    let trials = Trials::of_kernels(kernels.clone())?;
    let mut folder = Folder { out, formats, written: Vec::new() };
    let table: &dyn Table = &tables::kernels::KernelTable;
    folder.table(table, table.build(&trials)?, &trials)?;
    let theme = Theme::new(Style::default(), 2)?;
    for figure in figures::OF_KERNELS {
        let drawn = figure.draw(&trials, &theme)?;
        if matches!(drawn, Drawn::Picture(_)) {
            let pages = encoded(figure.title(), &drawn, formats, &theme)?;
            folder.figure(*figure, drawn, pages, &theme)?;
        }
    }
    Ok(folder.written)
}

/// A page of a figure in the formats that are wanted.
struct EncodedPage {
    /// The drawing as SVG, where the page shows it.
    svg: Option<String>,
    files: Vec<(Format, Vec<u8>)>,
}

/// The pages of a figure in the formats that are wanted; none where there is nothing to draw.
fn encoded(title: &str, drawn: &Drawn, formats: &[Format], theme: &Theme) -> Result<Vec<EncodedPage>, ReportError> {
    let Drawn::Picture(picture) = drawn else { return Ok(Vec::new()) };
    let encode = |canvas: &Canvas| {
        let bytes = |format: Format| pictures::encode(format, canvas, theme, title, &picture.caption);
        let mut files = Vec::new();
        for &format in formats {
            files.extend(bytes(format)?.map(|bytes| (format, bytes)));
        }
        // The page shows vectors, whether they have a file of their own or not.
        let drawn = || files.iter().find(|(format, _)| *format == Format::Svg).map(|(_, bytes)| bytes.clone());
        let svg = match formats.contains(&Format::Html) {
            true => drawn().map_or_else(|| bytes(Format::Svg), |bytes| Ok(Some(bytes)))?,
            false => None,
        };
        let text = |bytes: Vec<u8>| {
            let wrong = |error: FromUtf8Error| ReportError::Build { what: "a drawing", reason: error.to_string() };
            String::from_utf8(bytes).map_err(wrong)
        };
        Ok(EncodedPage { svg: svg.map(text).transpose()?, files })
    };
    picture.pages.par_iter().map(encode).collect()
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

    fn table(&mut self, table: &dyn Table, sheet: Sheet, trials: &Trials) -> Result<TableSection, ReportError> {
        let title = sheet.grid.title.clone().unwrap_or_else(|| table.title().to_owned());
        self.sheet(table.name(), title, sheet, trials)
    }

    fn sheet(
        &mut self,
        name: &'static str,
        title: String,
        sheet: Sheet,
        trials: &Trials,
    ) -> Result<TableSection, ReportError> {
        let mut files = Vec::new();
        for &format in self.formats {
            let bytes = match format {
                Format::Markdown => tables::markdown_file(&title, &sheet.grid, trials).into_bytes(),
                Format::Latex => latex(name, &title, &sheet.grid).into_bytes(),
                Format::Csv => csv(&sheet.data)?,
                Format::Parquet => parquet(&sheet.data),
                Format::Html | Format::Svg | Format::Pdf | Format::Png => continue,
            };
            files.push(format!("tables/{name}.{}", format.name()));
            self.write(&files[files.len() - 1], &bytes)?;
        }
        Ok(TableSection { name, title, sheet, files })
    }

    fn figure(
        &mut self,
        figure: &dyn Figure,
        drawn: Drawn,
        pages: Vec<EncodedPage>,
        theme: &Theme,
    ) -> Result<FigureSection, ReportError> {
        let title = figure.title();
        let picture = match drawn {
            Drawn::Picture(picture) => picture,
            Drawn::Nothing(why) => {
                let text = format!("Nothing to draw: {why}.");
                return Ok(FigureSection { title, text, pictures: Vec::new(), svg: Vec::new(), files: Vec::new() });
            }
        };
        let name = |page: usize, ending: &str| match page {
            0 => format!("figures/{}.{ending}", figure.name()),
            page => format!("figures/{}-{}.{ending}", figure.name(), page + 1),
        };
        let (mut files, mut pictures, mut drawings) = (Vec::new(), Vec::new(), Vec::new());
        for (page, EncodedPage { svg, files: encoded }) in pages.into_iter().enumerate() {
            let mut shown = None;
            for (format, bytes) in encoded {
                let name = name(page, format.name());
                self.write(&name, &bytes)?;
                // Vectors are sharp at any size: the page shows them where it can choose. No browser shows a PDF there.
                if format == Format::Svg || (format == Format::Png && shown.is_none()) {
                    shown = Some(name.clone());
                }
                files.push(name);
            }
            pictures.extend(shown);
            drawings.extend(svg);
        }
        if self.wants(Format::Pdf) && self.wants(Format::Latex) {
            let pages = picture.pages.iter().enumerate();
            let pages: Vec<(String, bool)> =
                pages.map(|(page, canvas)| (name(page, "pdf"), canvas.width > theme.column)).collect();
            let file = name(0, "tex");
            self.write(&file, figure_latex(figure.name(), &picture.caption, &pages).as_bytes())?;
            files.push(file);
        }
        if !files.is_empty() || self.wants(Format::Csv) {
            let name = name(0, "csv");
            self.write(&name, &csv(&picture.data)?)?;
            files.push(name);
        }
        Ok(FigureSection { title, text: picture.caption, pictures, svg: drawings, files })
    }
}
