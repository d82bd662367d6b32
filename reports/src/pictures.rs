//! Figures that are written to a file of the user's choice, whose name says the format.

use std::path::{Path, PathBuf};

use crate::error::ReportError;
use crate::files;
use crate::plot::canvas::Canvas;
use crate::plot::pdf::pdf;
use crate::plot::png::png;
use crate::plot::svg::svg;
use crate::plot::theme::Theme;

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
        let bytes = match ending {
            "svg" => svg(canvas, theme.lettering.face, caption).into_bytes(),
            "pdf" => pdf(canvas, &theme.lettering, caption),
            "png" => png(canvas, &theme.lettering)?,
            _ => return Err(ReportError::Picture { path: path.to_owned(), expected: ENDINGS }),
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
