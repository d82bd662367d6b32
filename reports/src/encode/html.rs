//! HTML pages that stand alone: no script, style, font or picture from anywhere else.

use std::fmt::Write;

use crate::encode::one_line;
use crate::sheet::{Align, Grid};

/// Text that shows as itself, in an element or in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page around `body`, which is HTML.
pub(crate) fn page(title: &str, body: &str) -> String {
    // The policy keeps the page from reaching out, whatever stands in it.
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Cells of more characters than this are sentences, which may take several lines.
const SENTENCE: usize = 45;

/// A table that the page's script lets readers sort and filter, and its notes.
pub(crate) fn table(grid: &Grid) -> String {
    let mut html = String::from("<div class=\"scroll\"><table class=\"data\">\n<thead><tr>");
    let class = |align: Align| if align == Align::Right { " class=\"number\"" } else { "" };
    for (title, align) in &grid.columns {
        // Writing to a string cannot fail.
        let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(*align), escape(title));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let longest = |column: usize| grid.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let wide: Vec<bool> = (0..grid.columns.len()).map(|column| longest(column) > SENTENCE).collect();
    for (number, row) in grid.rows.iter().enumerate() {
        html.push_str("<tr>");
        for (column, ((cell, (_, align)), wide)) in row.iter().zip(&grid.columns).zip(&wide).enumerate() {
            let class = if *wide { " class=\"wide\"" } else { class(*align) };
            let text = match grid.bold.contains(&(number, column)) {
                true => format!("<strong>{}</strong>", escape(cell)),
                false => escape(cell),
            };
            let _ = write!(html, "<td{class}>{text}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html.push_str(&list(&grid.notes, "notes"));
    html
}

/// Items as a list; nothing for none.
pub(crate) fn list(items: &[String], class: &str) -> String {
    if items.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
    format!("<ul class=\"{class}\">{}</ul>\n", lines.join(""))
}

/// A figure of one or more drawings with its caption. Each `svg` comes from our own writer. The page's script lets
/// readers hide a series by its entry in the legend.
pub(crate) fn figure(svg: &[String], caption: &str) -> String {
    format!("<figure>\n{}\n<figcaption>{}</figcaption>\n</figure>\n", svg.join("\n"), escape(caption))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_shown_is_text(text in ".*|[<>&\"'/a-z ]{0,20}") {
            let grid = Grid {
                columns: vec![(text.clone(), Align::Left)],
                rows: vec![vec![text.clone()]],
                notes: vec![text.clone()], ..Grid::default() };
            let html = format!("<body>{}</body>", table(&grid));
            let parsed = roxmltree::Document::parse(&html).unwrap();
            let shown: Vec<&str> =
                parsed.descendants().filter(|n| n.has_tag_name("td")).map(|n| n.text().unwrap_or("")).collect();
            let expected = one_line(&text);
            prop_assert_eq!(shown, vec![expected.as_str()]);
            prop_assert_eq!(parsed.descendants().filter(|n| n.has_tag_name("script")).count(), 0);
        }
    }

    #[test]
    fn a_page_refers_to_nothing_outside() {
        let html = page("a <title>", "<p>x</p>");
        assert!(html.contains("<title>a &lt;title&gt;</title>"));
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
