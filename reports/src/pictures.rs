//! The pages of figures as bytes of a format, and in files of the user's choice, whose names say the format.

use std::path::{Path, PathBuf};

use crate::error::ReportError;
use crate::files;
use crate::format::Format;
use crate::plot::canvas::Canvas;
use crate::plot::pdf::pdf;
use crate::plot::png::png;
use crate::plot::svg::svg;
use crate::plot::theme::Theme;

/// A page in a format; `None` for a format that holds no pictures. `title` names the document, `caption` describes what is
/// seen.
///
/// # Errors
/// Pixels that cannot be drawn.
pub(crate) fn encode(
    format: Format,
    page: &Canvas,
    theme: &Theme,
    title: &str,
    caption: &str,
) -> Result<Option<Vec<u8>>, ReportError> {
    Ok(match format {
        Format::Svg => Some(svg(page, theme.lettering.face, caption).into_bytes()),
        Format::Pdf => Some(pdf(page, &theme.lettering, title)),
        Format::Png => Some(png(page, &theme.lettering)?),
        Format::Markdown | Format::Csv | Format::Latex | Format::Html | Format::Parquet => None,
    })
}

/// Endings of names that say a format.
pub(crate) const ENDINGS: &str = ".svg, .pdf or .png";

/// Writes the pages of a figure to `path` and, from the second on, to `NAME-2.svg` and so on; returns their names.
///
/// # Errors
/// [`ReportError::Picture`] for an ending that says no format, before anything is written; a file that cannot be
/// written.
pub(crate) fn write_pages(
    path: &Path,
    pages: &[Canvas],
    caption: &str,
    theme: &Theme,
) -> Result<Vec<PathBuf>, ReportError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let mut files = Vec::new();
    for (number, canvas) in pages.iter().enumerate() {
        let bytes = match ending.parse() {
            Ok(format) => encode(format, canvas, theme, caption, caption)?,
            Err(_) => None,
        };
        let Some(bytes) = bytes else {
            return Err(ReportError::Picture { path: path.to_owned(), expected: ENDINGS });
        };
        files.push((numbered(path, number), bytes));
    }
    for (path, bytes) in &files {
        files::write_whole(path, bytes)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// The name of a page: the first has the name itself.
fn numbered(path: &Path, page: usize) -> PathBuf {
    let (Some(stem), true) = (path.file_stem(), page > 0) else { return path.to_owned() };
    let mut name = stem.to_owned();
    name.push(format!("-{}.", page + 1));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_file_and_a_wrong_name_writes_none() {
        let folder = tempfile::tempdir().unwrap();
        let pages = [Canvas::new(72.0, 72.0), Canvas::new(72.0, 72.0)];
        let written = write_pages(&folder.path().join("a.b.pdf"), &pages, "c", &Theme::report()).unwrap();
        assert_eq!(written, ["a.b.pdf", "a.b-2.pdf"].map(|name| folder.path().join(name)));
        assert!(written.iter().all(|path| std::fs::read(path).unwrap().starts_with(b"%PDF")));
        let wrong = write_pages(&folder.path().join("a.gif"), &pages, "c", &Theme::report()).unwrap_err();
        assert!(wrong.to_string().ends_with(".svg, .pdf or .png"), "{wrong}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
