//! LaTeX tables, ruled by booktabs: a `table` to be `\input` into a paper.

use std::fmt::Write;
use std::ops::Range;

use crate::encode::one_line;
use crate::sheet::{Align, Grid};

/// Cells of more characters than this are sentences, which take several lines of this length.
const SENTENCE: usize = 45;
const PARAGRAPH: &str = "20em";

/// Lines of a table that a page holds.
const MOST_LINES: usize = 44;

/// The table with its caption, label `tab:NAME`, and notes as small text below; one that is longer than a page in parts.
/// Needs the packages named at its head.
pub(crate) fn latex(name: &str, title: &str, grid: &Grid) -> String {
    let longest = |column: usize| grid.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let column = |(i, (_, align)): (usize, &(String, Align))| match align {
        _ if longest(i) > SENTENCE => format!("p{{{PARAGRAPH}}}"),
        Align::Left => "l".to_owned(),
        Align::Right => "r".to_owned(),
    };
    let alignment: String = grid.columns.iter().enumerate().map(column).collect();
    let header = line(grid.columns.iter().map(|(title, _)| escape(title)));
    let parts = parts(&grid.rows);
    let mut text = String::from("% \\usepackage{booktabs,graphicx,amssymb} \\usepackage[T1]{fontenc}\n");
    let label = name.replace('_', "-");
    for (number, rows) in (1..).zip(&parts) {
        let (part, label) = match (parts.len(), number) {
            (1, _) => (String::new(), label.clone()),
            (all, 1) => (format!(" (part 1 of {all})"), label.clone()),
            (all, number) => (format!(" (part {number} of {all})"), format!("{label}-{number}")),
        };
        // Writing to a string cannot fail. A table that is wider than the page is made to fit, never larger.
        let _ = write!(
            text,
            "\\begin{{table}}\n\\centering\n\\caption{{{}{part}}}\\label{{tab:{label}}}\n\
             \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\
             \\begin{{tabular}}{{{alignment}}}\n\\toprule\n{header}\\midrule\n",
            escape(title)
        );
        for number in rows.clone() {
            let cell = |(column, cell): (usize, &String)| match grid.bold.contains(&(number, column)) {
                true => format!("\\textbf{{{}}}", escape(cell)),
                false => escape(cell),
            };
            text.push_str(&line(grid.rows[number].iter().enumerate().map(cell)));
        }
        text.push_str("\\bottomrule\n\\end{tabular}}\n");
        if number == parts.len() && !grid.notes.is_empty() {
            text.push_str("\\begin{flushleft}\\footnotesize\n");
            for note in &grid.notes {
                let _ = writeln!(text, "{}\\par", escape(note));
            }
            text.push_str("\\end{flushleft}\n");
        }
        text.push_str("\\end{table}\n");
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" & ") + " \\\\\n"
}

/// Rows that stand on a page together; one part where there is no row.
fn parts(rows: &[Vec<String>]) -> Vec<Range<usize>> {
    let (mut parts, mut first, mut lines) = (Vec::new(), 0, 0);
    for (number, row) in rows.iter().enumerate() {
        let high = row.iter().map(|cell| cell.chars().count().div_ceil(SENTENCE)).max().unwrap_or(1).max(1);
        if lines + high > MOST_LINES && number > first {
            parts.push(first..number);
            (first, lines) = (number, 0);
        }
        lines += high;
    }
    parts.push(first..rows.len());
    parts
}

/// Text that shows as itself. Letters beyond what plain LaTeX knows stand for themselves: pdflatex reads UTF-8.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in one_line(text).trim().chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '<' | '>' => escaped.extend(['$', c, '$']),
            '"' => escaped.push_str("\\textquotedbl{}"),
            // A bracket after a line's end would be taken for its option.
            '[' => escaped.push_str("{[}"),
            ']' => escaped.push_str("{]}"),
            '−' => escaped.push_str("$-$"),
            '≈' => escaped.push_str("$\\approx$"),
            '±' => escaped.push_str("$\\pm$"),
            '×' => escaped.push_str("$\\times$"),
            'Δ' => escaped.push_str("$\\Delta$"),
            '†' => escaped.push_str("\\dag{}"),
            '‡' => escaped.push_str("\\ddag{}"),
            '–' => escaped.push_str("--"),
            '—' => escaped.push_str("---"),
            '…' => escaped.push_str("\\dots{}"),
            '≤' => escaped.push_str("$\\leq$"),
            '≥' => escaped.push_str("$\\geq$"),
            // Others have no glyph in the fonts that every installation has.
            c if c.is_ascii() || ('\u{a1}'..='\u{17f}').contains(&c) => escaped.push(c),
            _ => escaped.push('?'),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text), expected);
        check("a_b & 50 % #1 {x} $y$", r"a\_b \& 50 \% \#1 \{x\} \$y\$");
        check(r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}");
        check("97.5 ± 0.3, Δ −1.2†", r"97.5 $\pm$ 0.3, $\Delta$ $-$1.2\dag{}");
        check("[8pt] a<b 量", r"{[}8pt{]} a$<$b ?");
    }

    #[test]
    fn a_table() {
        let grid = Grid {
            columns: vec![("Method".to_owned(), Align::Left), ("W/A".to_owned(), Align::Right)],
            rows: vec![vec!["sq_bwn".to_owned(), "1/32".to_owned()]],
            notes: vec!["A & B".to_owned()],
            ..Grid::default()
        };
        let text = latex("accuracy", "Accuracy", &grid);
        assert!(text.contains(
            "\\begin{tabular}{lr}\n\\toprule\nMethod & W/A \\\\\n\\midrule\nsq\\_bwn & 1/32 \\\\\n\\bottomrule"
        ));
        assert!(
            text.contains("\\caption{Accuracy}\\label{tab:accuracy}")
                && text.contains("\\footnotesize\nA \\& B\\par\n")
        );
    }

    #[test]
    fn a_table_longer_than_a_page_has_parts() {
        let row = |text: &str| vec![text.to_owned()];
        let grid = |rows: Vec<Vec<String>>| Grid {
            columns: vec![("Claim".to_owned(), Align::Left)],
            rows,
            notes: vec!["A note".to_owned()],
            bold: [(60, 0)].into(),
            ..Grid::default()
        };
        let text = latex("claims", "Claims", &grid((0..100).map(|i| row(&format!("r{i}."))).collect()));
        assert_eq!(text.matches("\\begin{table}").count(), 3);
        assert_eq!((text.matches("A note").count(), text.matches("Claim \\\\").count()), (1, 3));
        assert!(text.contains("(part 2 of 3)}\\label{tab:claims-2}") && text.contains("\\textbf{r60.}"));
        assert!((0..100).all(|i| text.contains(&format!("r{i}."))));
        // A cell of several lines takes their room.
        assert_eq!(parts(&vec![row(&"x".repeat(10 * SENTENCE)); 9]), [0..4, 4..8, 8..9]);
        assert_eq!(parts(&[]).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_is_a_command(text in ".*|[\\\\{}$%&#_^~\\[\\]a-z]{0,20}") {
            // Without our own commands, no special character is left bare.
            let mut rest = escape(&text);
            for ours in ["\\textbackslash{}", "\\textasciitilde{}", "\\textasciicircum{}", "\\textquotedbl{}", "\\dag{}",
                "\\ddag{}", "\\dots{}", "{[}", "{]}", "$\\pm$", "$\\times$", "$\\Delta$", "$\\leq$", "$\\geq$", "$-$", "$<$", "$>$",
                "\\&", "\\%", "\\$", "\\#", "\\_", "\\{", "\\}"] {
                rest = rest.replace(ours, "");
            }
            prop_assert!(!rest.contains(['\\', '{', '}', '$', '%', '&', '#', '_', '^', '~']), "{}", rest);
        }
    }
}
