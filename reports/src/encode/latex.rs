//! LaTeX tables, ruled by booktabs: a `table` to be `\input` into a paper.

use std::fmt::Write;

use crate::encode::one_line;
use crate::sheet::{Align, Grid};

/// Cells of more characters than this are sentences, which take several lines of this length.
const SENTENCE: usize = 45;
const PARAGRAPH: &str = "20em";

/// The table with its caption, label `tab:NAME`, and notes as small text below. Needs the packages named at its head.
pub(crate) fn latex(name: &str, title: &str, grid: &Grid) -> String {
    let longest = |column: usize| grid.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let column = |(i, (_, align)): (usize, &(String, Align))| match align {
        _ if longest(i) > SENTENCE => format!("p{{{PARAGRAPH}}}"),
        Align::Left => "l".to_owned(),
        Align::Right => "r".to_owned(),
    };
    let alignment: String = grid.columns.iter().enumerate().map(column).collect();
    let line = |cells: &mut dyn Iterator<Item = &String>| {
        cells.map(|cell| escape(cell)).collect::<Vec<_>>().join(" & ") + " \\\\\n"
    };
    let mut text = String::from("% \\usepackage{booktabs,graphicx,amssymb} \\usepackage[T1]{fontenc}\n");
    // Writing to a string cannot fail. A table that is wider than the page is made to fit, never larger.
    let _ = write!(
        text,
        "\\begin{{table}}\n\\centering\n\\caption{{{}}}\\label{{tab:{}}}\n\
         \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\
         \\begin{{tabular}}{{{alignment}}}\n\\toprule\n",
        escape(title),
        name.replace('_', "-")
    );
    text.push_str(&line(&mut grid.columns.iter().map(|(title, _)| title)));
    text.push_str("\\midrule\n");
    for (number, row) in grid.rows.iter().enumerate() {
        let cell = |(column, cell): (usize, &String)| match grid.bold.contains(&(number, column)) {
            true => format!("\\textbf{{{}}}", escape(cell)),
            false => escape(cell),
        };
        text.push_str(&(row.iter().enumerate().map(cell).collect::<Vec<_>>().join(" & ") + " \\\\\n"));
    }
    text.push_str("\\bottomrule\n\\end{tabular}}\n");
    if !grid.notes.is_empty() {
        text.push_str("\\begin{flushleft}\\footnotesize\n");
        for note in &grid.notes {
            let _ = writeln!(text, "{}\\par", escape(note));
        }
        text.push_str("\\end{flushleft}\n");
    }
    text.push_str("\\end{table}\n");
    text
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
