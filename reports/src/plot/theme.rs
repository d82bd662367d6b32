//! What figures are drawn for: widths on paper, sizes and letters, and what each series looks like.

use crate::error::ReportError;
use crate::plot::text::{Face, Lettering};

/// The publication or occasion that figures are drawn for. All lengths follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Style {
    /// A report on a screen or on a page of letter size.
    #[default]
    Report,
    /// Journals and conferences of the IEEE: columns of 3.5 inches, pages of 7.16, letters with serifs.
    Ieee,
    /// NeurIPS, ICML and ICLR: one text column of 5.5 inches, letters with serifs.
    Neurips,
    /// CVPR, ICCV and ECCV: columns of 3.25 inches, pages of 6.875, letters with serifs.
    Cvpr,
    /// A slide of 10 inches: large letters without serifs, thick lines.
    Slides,
}

impl Style {
    /// All styles, in the order that help shows them.
    pub const ALL: &'static [Style] = &[Style::Report, Style::Ieee, Style::Neurips, Style::Cvpr, Style::Slides];

    /// Name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Style::Report => "report",
            Style::Ieee => "ieee",
            Style::Neurips => "neurips",
            Style::Cvpr => "cvpr",
            Style::Slides => "slides",
        }
    }

    /// The style of a name.
    ///
    /// # Errors
    /// A name that is no style, with those that are.
    pub fn parse(name: &str) -> Result<Style, ReportError> {
        Style::ALL.iter().copied().find(|style| style.name() == name).ok_or_else(|| ReportError::UnknownStyle {
            name: name.to_owned(),
            expected: Style::ALL.iter().map(|style| style.name()).collect(),
        })
    }
}

/// Lengths of a style, in points (1/72 inch), and its letters.
#[derive(Debug)]
pub(crate) struct Theme {
    /// Width of a figure of one panel.
    pub(crate) column: f64,
    /// Width of a figure of panels side by side.
    pub(crate) page: f64,
    /// Panels side by side, at most.
    pub(crate) columns: usize,
    /// Rows of panels on a page, at most.
    pub(crate) rows: usize,
    /// Height of a panel.
    pub(crate) panel_height: f64,
    /// Size of titles and axis labels, an em.
    pub(crate) label: f64,
    /// Size of ticks and of the legend.
    pub(crate) small: f64,
    /// Everything that is drawn rather than written is this much larger than in a report.
    pub(crate) scale: f64,
    pub(crate) lettering: Lettering,
}

impl Theme {
    /// The theme of a style, with panels in at most `columns` columns.
    ///
    /// # Errors
    /// Only if an embedded font is damaged.
    pub(crate) fn new(style: Style, columns: usize) -> Result<Theme, ReportError> {
        let (column, page, face) = match style {
            Style::Report => (252.0, 504.0, Face::Sans),
            Style::Ieee => (252.0, 515.5, Face::Serif),
            Style::Neurips => (252.0, 396.0, Face::Serif),
            Style::Cvpr => (234.0, 495.0, Face::Serif),
            Style::Slides => (480.0, 720.0, Face::Sans),
        };
        let (label, small, scale, panel_height, rows) = match style {
            Style::Slides => (15.0, 13.0, 1.8, 300.0, 1),
            Style::Report => (8.0, 7.0, 1.0, 165.0, 4),
            _ => (8.5, 7.5, 1.0, 150.0, 4),
        };
        let lettering = Lettering::new(face)?;
        Ok(Theme { column, page, columns: columns.clamp(1, 2), rows, panel_height, label, small, scale, lettering })
    }

    /// Width of a line of text of a size.
    pub(crate) fn width(&self, text: &str, size: f64) -> f64 {
        self.lettering.width(text, size)
    }

    /// The theme of a report, for tests.
    #[cfg(test)]
    pub(crate) fn report() -> Theme {
        Theme::new(Style::Report, 2).unwrap()
    }
}
