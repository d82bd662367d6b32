//! What can go wrong while a report is made.

use std::io;
use std::path::PathBuf;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing to report on.
    #[error("there are no records to report on{}", first_problem(.problems))]
    NoRecords {
        /// What kept records from being read, if anything did.
        problems: Vec<String>,
    },
    /// No output format has this name.
    #[error("unknown format `{name}`, expected {}", list(.expected))]
    UnknownFormat {
        /// What was given.
        name: String,
        /// Formats that exist.
        expected: Vec<&'static str>,
    },
    /// No table has this name.
    #[error("unknown table `{name}`, expected {}", list(.expected))]
    UnknownTable {
        /// What was given.
        name: String,
        /// Tables that exist.
        expected: Vec<&'static str>,
    },
    /// No figure has this name.
    #[error("unknown figure `{name}`, expected {}", list(.expected))]
    UnknownFigure {
        /// What was given.
        name: String,
        /// Figures that exist.
        expected: Vec<&'static str>,
    },
    /// The name of a picture says in which format it is wanted, and this one does not.
    #[error("cannot draw {}: expected a name that ends in {expected}", .path.display())]
    Picture {
        /// What was given.
        path: PathBuf,
        /// The endings that say a format.
        expected: &'static str,
    },
    /// A file of kernel speeds cannot be used.
    #[error("{}: {reason}", .path.display())]
    Kernels {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A pivot table that cannot be made.
    #[error("{reason}")]
    Pivot {
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// No style has this name.
    #[error("unknown style `{name}`, expected {}", list(.expected))]
    UnknownStyle {
        /// What was given.
        name: String,
        /// Names that exist.
        expected: Vec<&'static str>,
    },
    /// A file or folder of the report could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The records do not fit a data frame, or a picture does not fit its format: an error of this crate.
    #[error("cannot build {what}: {reason}")]
    Build {
        /// The table, figure or frame.
        what: &'static str,
        /// What the library below says.
        reason: String,
    },
}

fn first_problem(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [one] => format!(": {one}"),
        [first, rest @ ..] => format!(": {first} (and {} more problems)", rest.len()),
    }
}

fn list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
