//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::record::FORMAT;

/// What can go wrong with the files of a trial.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A newer version of harness wrote the file.
    #[error("`{}` has format {found}, this version reads up to {FORMAT}: use a newer harness", .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The content is not what it should be.
    #[error("`{}` is damaged: {reason}", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
    /// A finished trial already has its record, which is never changed.
    #[error("`{}` exists: the trial is finished", .path.display())]
    Finished {
        /// The record.
        path: PathBuf,
    },
}

impl StoreError {
    /// Why the file system refused; `None` when it did not.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            StoreError::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}
