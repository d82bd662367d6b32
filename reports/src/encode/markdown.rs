//! Markdown tables (GitHub's dialect), aligned so that the source reads well too.

use std::fmt::Write;

use crate::encode::one_line;
use crate::sheet::{Align, Grid};

/// The table, and its notes as a list below it.
pub(crate) fn markdown(grid: &Grid) -> String {
    let header: Vec<String> = grid.columns.iter().map(|(title, _)| escape(title)).collect();
    let shown = |(row, column): (usize, usize), cell: &str| match grid.bold.contains(&(row, column)) {
        true => format!("**{}**", escape(cell)),
        false => escape(cell),
    };
    let line = |(number, row): (usize, &Vec<String>)| {
        row.iter().enumerate().map(|(column, cell)| shown((number, column), cell)).collect()
    };
    let rows: Vec<Vec<String>> = grid.rows.iter().enumerate().map(line).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).chain([&header[column]]);
            // Three is the least that makes a rule: `--:`.
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        text.push('|');
        for ((cell, width), (_, align)) in cells.iter().zip(&widths).zip(&grid.columns) {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = if *align == Align::Left { ("", &*padding) } else { (&*padding, "") };
            // Writing to a string cannot fail.
            let _ = write!(text, " {before}{cell}{after} |");
        }
        text.push('\n');
    };
    line(&header);
    let rule = |(&width, (_, align)): (&usize, &(String, Align))| match align {
        Align::Left => format!(":{}", "-".repeat(width - 1)),
        Align::Right => format!("{}:", "-".repeat(width - 1)),
    };
    line(&widths.iter().zip(&grid.columns).map(rule).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
    if !grid.notes.is_empty() {
        text.push('\n');
        text.push_str(&list(&grid.notes));
    }
    text
}

/// One item a line.
pub(crate) fn list(items: &[String]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "- {}", escape(item));
        text
    })
}

/// Text that shows as itself: one line, nothing in it is taken as Markdown or HTML.
pub(crate) fn escape(text: &str) -> String {
    let text = one_line(text);
    let chars: Vec<char> = text.trim().chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (i, &c) in chars.iter().enumerate() {
        let inside_word = |j: Option<usize>| j.and_then(|j| chars.get(j)).is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // An underscore within a word is plain text, and names are full of them.
            '_' if inside_word(i.checked_sub(1)) && inside_word(Some(i + 1)) => escaped.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => escaped.extend(['\\', c]),
            // At the start of a line these would begin a heading or a list.
            '#' | '+' | '-' if i == 0 && chars.get(1).is_none_or(|next| next.is_whitespace() || *next == c) => {
                escaped.extend(['\\', c]);
            }
            _ => escaped.push(c),
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
        check("accuracy_vs_bits", "accuracy_vs_bits");
        check("_loud_ *words*", r"\_loud\_ \*words\*");
        check("a|b\nc\td", r"a\|b c d");
        check("<script>&[x](y)`", r"&lt;script&gt;&amp;\[x\](y)\`");
        check("weiß 量子 −1 ± 2", "weiß 量子 −1 ± 2");
        check("# no heading", r"\# no heading");
        check("-1.5", "-1.5");
        check("a\u{202e}b\u{7}c\\", r"ab c\\");
    }

    #[test]
    fn aligned() {
        let grid = Grid {
            columns: vec![("Method".to_owned(), Align::Left), ("n".to_owned(), Align::Right)],
            rows: vec![vec!["a|b".to_owned(), "3".to_owned()], vec!["ü".to_owned(), "1000".to_owned()]],
            notes: vec!["one".to_owned()],
            ..Grid::default()
        };
        assert_eq!(
            markdown(&grid),
            "| Method |    n |\n| :----- | ---: |\n| a\\|b   |    3 |\n| ü      | 1000 |\n\n- one\n"
        );
    }

    proptest! {
        #[test]
        fn a_row_stays_a_row(cells in prop::collection::vec(".*|[|\\\\\r\n`<*_]{0,8}", 2..4)) {
            let columns = cells.iter().map(|_| ("c".to_owned(), Align::Left)).collect();
            let text = markdown(&Grid { columns, rows: vec![cells.clone()], notes: Vec::new(), ..Grid::default() });
            let lines: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines.len(), 3);
            // Bars that an even number of backslashes precedes separate cells.
            let mut bars = 0;
            let mut backslashes = 0;
            for c in lines[2].chars() {
                bars += usize::from(c == '|' && backslashes % 2 == 0);
                backslashes = if c == '\\' { backslashes + 1 } else { 0 };
            }
            prop_assert_eq!(bars, cells.len() + 1);
        }
    }
}
