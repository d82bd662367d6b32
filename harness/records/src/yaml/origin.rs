//! Where in a text a key or a value stood.

use std::fmt;
use std::sync::Arc;

/// A text that values come from: a file, or one `--set` argument.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// What stands before the position in a message: a path, or `--set`.
    pub name: String,
    /// The whole text, kept to show the line a mistake stands in.
    pub text: String,
    /// True for a file: positions are then written `name:line:column`.
    pub is_file: bool,
}

/// Where a key or a value stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The text it stood in.
    pub source: Arc<Source>,
    /// From 1; 0 when the text as a whole is meant.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Length of the word in characters, at least 1.
    pub length: usize,
}

impl Origin {
    /// The text as a whole.
    #[must_use]
    pub fn whole(source: &Arc<Source>) -> Origin {
        Origin { source: Arc::clone(source), line: 0, column: 0, length: 1 }
    }

    /// One character of the text, both counted from 1.
    #[must_use]
    pub fn at(source: &Arc<Source>, line: usize, column: usize) -> Origin {
        Origin { source: Arc::clone(source), line, column, length: 1 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.is_file && self.line > 0 {
            write!(f, "{}:{}:{}", self.source.name, self.line, self.column)
        } else if self.source.is_file {
            f.write_str(&self.source.name)
        } else {
            write!(f, "{} {}", self.source.name, self.source.text)
        }
    }
}
