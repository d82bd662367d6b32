//! What can go wrong while results are tracked. All of it is bad input, except what the file system or git refuse.

use std::io;
use std::path::PathBuf;

/// Why a command of tracking stops.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// The folder is not in a git repository, or there is no git.
    #[error("{} is not in a git repository, which tracking needs: {reason}", .folder.display())]
    NoRepository {
        /// Where it was looked for.
        folder: PathBuf,
        /// What git says.
        reason: String,
    },
    /// Git does not know a revision.
    #[error("`{name}` names no commit of this repository{hint}")]
    Unknown {
        /// What was given.
        name: String,
        /// What may help.
        hint: &'static str,
    },
    /// Git failed at something else.
    #[error("`git {command}` failed: {reason}")]
    Git {
        /// Its arguments.
        command: String,
        /// What it said.
        reason: String,
    },
    /// Older commits are needed, and this clone does not have them.
    #[error(
        "{what}, and this is a shallow clone: fetch the whole history first, `git fetch --unshallow` \
             (`fetch-depth: 0` in GitHub's checkout)"
    )]
    Shallow {
        /// What could not be found.
        what: String,
    },
    /// A line of the history is no entry.
    #[error("{}:{line}: {reason}", .file.display())]
    Line {
        /// The file of the history.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is nothing to work with; why, and what would help.
    #[error("{0}")]
    Nothing(String),
    /// A file of kernel speeds is not in the form that `harness bench --json` prints.
    #[error("{}: {reason}", .file.display())]
    Bench {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl TrackError {
    /// True when the input was sound and the machine refused.
    #[must_use]
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, TrackError::Git { .. } | TrackError::File { .. })
    }
}
