//! The lines that put a figure into a paper: a `figure` to be `\input`, one for each page of it.

use std::fmt::Write;

use crate::encode::latex::escape;

/// The figure with its caption and the label `fig:NAME`. `pages` are the PDF files, relative to the folder of the
/// report, from which `\graphicspath` or the working directory must find them, each with whether it is wider than one of
/// two columns; `figure*` goes across them, and is `figure` where there are none.
pub(crate) fn figure_latex(name: &str, caption: &str, pages: &[(String, bool)]) -> String {
    let mut text = String::from("% \\usepackage{graphicx,amssymb} \\usepackage[T1]{fontenc}\n");
    let label = name.replace('_', "-");
    for (number, (page, wide)) in (1..).zip(pages) {
        let environment = if *wide { "figure*" } else { "figure" };
        let (part, label) = match (pages.len(), number) {
            (1, _) | (_, 1) => (String::new(), label.clone()),
            (all, number) => (format!(" (part {number} of {all})"), format!("{label}-{number}")),
        };
        // Writing to a string cannot fail. The file has the width that it should have.
        let _ = write!(
            text,
            "\\begin{{{environment}}}\n\\centering\n\\includegraphics{{{page}}}\n\
             \\caption{{{}{part}}}\\label{{fig:{label}}}\n\\end{{{environment}}}\n",
            escape(caption)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_a_figure_with_a_label_of_its_own() {
        let pages = [("figures/a_b.pdf".to_owned(), true), ("figures/a_b-2.pdf".to_owned(), false)];
        let text = figure_latex("a_b", "50 % & more", &pages);
        assert_eq!(text.matches("\\begin{figure}").count(), 1);
        assert!(text.contains("\\begin{figure*}\n") && text.contains("\\end{figure*}\n"));
        assert!(text.contains("{figures/a_b.pdf}") && text.contains("\\label{fig:a-b}"));
        assert!(text.contains("{figures/a_b-2.pdf}") && text.contains("(part 2 of 2)}\\label{fig:a-b-2}"));
        assert!(text.contains("50 \\% \\& more"));
    }
}
