//! Mistakes in a sweep file, shown where they stand.

use std::fmt;

use crate::yaml::origin::Origin;

/// Longest part of a source line that is shown, in characters.
const WIDTH: usize = 110;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong and what was expected, a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake without a hint.
    pub fn new(origin: Origin, message: impl Into<String>) -> Problem {
        Problem { origin, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.origin.to_string()), printable(&self.message))?;
        if let Some(line) = self.origin.line.checked_sub(1).and_then(|n| self.origin.source.text.lines().nth(n)) {
            let column = self.origin.column.max(1) - 1;
            let first = column.saturating_sub(WIDTH / 2);
            let shown = printable(&line.chars().skip(first).take(WIDTH).collect::<String>());
            let room = shown.chars().count().saturating_sub(column - first).max(1);
            let number = if self.origin.source.is_file { self.origin.line.to_string() } else { String::new() };
            let indent = " ".repeat(number.len());
            write!(f, "\n  {number} | {}\n  {indent} | ", shown.trim_end())?;
            write!(f, "{}{}", " ".repeat(column - first), "^".repeat(self.origin.length.clamp(1, room)))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", printable(hint))?;
        }
        Ok(())
    }
}

/// The text with blanks for control characters, which must not reach a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Why a sweep file was refused: every mistake that could be found at once, at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SpecError {
    /// In the order they were found.
    pub problems: Vec<Problem>,
}

impl From<Problem> for SpecError {
    fn from(problem: Problem) -> SpecError {
        SpecError { problems: vec![problem] }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for (i, problem) in self.problems.iter().take(SHOWN).enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n\n" })?;
        }
        match self.problems.len().checked_sub(SHOWN) {
            Some(rest) if rest > 0 => write!(f, "\n\nand {rest} more"),
            _ => Ok(()),
        }
    }
}

/// A hint for a name that does not exist: the nearest one that does, or all of them.
#[must_use]
pub fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().map(|name| (distance(wrong, name), *name)).min_by_key(|&(d, _)| d);
    match nearest {
        Some((d, name)) if d <= 1 + name.chars().count() / 3 => format!("did you mean `{name}`?"),
        Some(_) => {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("there are {}", names.join(", "))
        }
        None => "there is nothing to choose from here".to_owned(),
    }
}

/// Edits (insert, delete, replace, swap neighbours) between two names, upper case being no difference.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().take(100).collect();
    let b: Vec<char> = b.to_lowercase().chars().take(100).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, want) in [
            ("", "", 0),
            ("bits", "bits", 0),
            ("bist", "bits", 1),
            ("Bits", "bits", 0),
            ("bit", "bits", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn suggestion_is_the_nearest_or_all() {
        assert_eq!(suggest("unifrom", ["float", "uniform"]), "did you mean `uniform`?");
        assert_eq!(suggest("zzzzzz", ["float", "uniform"]), "there are `float`, `uniform`");
        assert_eq!(suggest("x", []), "there is nothing to choose from here");
    }
}
