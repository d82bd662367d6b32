//! The forms a report can take on disk.

use std::str::FromStr;

use crate::error::ReportError;

/// One form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `report.md` and every table as Markdown.
    Markdown,
    /// Every table, and the data of every figure, as comma-separated values with full precision.
    Csv,
    /// Every table for LaTeX, ruled by booktabs.
    Latex,
    /// `report.html`: everything in one file that any browser opens.
    Html,
    /// Every table, and every trial, for data frames.
    Parquet,
    /// Every figure as vectors, at paper size.
    Svg,
    /// Every figure as vectors with its letters, for papers; with `tex` also the lines that include it.
    Pdf,
    /// Every figure as pixels, 300 an inch.
    Png,
}

impl Format {
    /// All of them, in the order help shows them.
    pub const ALL: &'static [Format] = &[
        Format::Markdown,
        Format::Csv,
        Format::Latex,
        Format::Html,
        Format::Parquet,
        Format::Svg,
        Format::Pdf,
        Format::Png,
    ];

    /// Name on the command line, also the file extension.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Format::Markdown => "md",
            Format::Csv => "csv",
            Format::Latex => "tex",
            Format::Html => "html",
            Format::Parquet => "parquet",
            Format::Svg => "svg",
            Format::Pdf => "pdf",
            Format::Png => "png",
        }
    }

    /// Reads `md,csv,svg`: names between commas, each kept once, in the order given.
    ///
    /// # Errors
    /// The first name that is no format (an empty one included), with those that are.
    pub fn parse_list(text: &str) -> Result<Vec<Format>, ReportError> {
        let mut formats = Vec::new();
        for name in text.split(',') {
            let format = name.trim().parse()?;
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        Ok(formats)
    }
}

impl FromStr for Format {
    type Err = ReportError;

    fn from_str(name: &str) -> Result<Format, ReportError> {
        Format::ALL.iter().copied().find(|format| format.name() == name).ok_or_else(|| ReportError::UnknownFormat {
            name: name.to_owned(),
            expected: Format::ALL.iter().map(|format| format.name()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |text: &str, expected: &[Format]| assert_eq!(Format::parse_list(text).unwrap(), expected);
        check("md", &[Format::Markdown]);
        check("svg, md,svg", &[Format::Svg, Format::Markdown]);
        check("md,csv,tex,html,parquet,svg,pdf,png", Format::ALL);
    }

    #[test]
    fn unknown_names_list_the_valid_ones() {
        for text in ["jpeg", "", "md,", "MD", "md;csv"] {
            let message = Format::parse_list(text).unwrap_err().to_string();
            assert!(message.starts_with("unknown format `"), "{message}");
            assert!(
                message.ends_with("expected `md`, `csv`, `tex`, `html`, `parquet`, `svg`, `pdf` or `png`"),
                "{message}"
            );
        }
    }
}
