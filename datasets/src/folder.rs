//! The folder a data set lives in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Problem;

/// The folder, if one was named and is there. `files` says what it should hold.
///
/// # Errors
/// What is wrong with it, and its path where there is one.
pub(crate) fn check(root: Option<&Path>, files: impl Fn() -> String) -> Result<&Path, (Option<PathBuf>, Problem)> {
    let root = root.ok_or_else(|| (None, Problem::NoRoot { files: files() }))?;
    let problem = match fs::metadata(root) {
        Ok(meta) if meta.is_dir() => return Ok(root),
        Ok(_) => Problem::RootNotFolder { files: files() },
        Err(e) if e.kind() == ErrorKind::NotFound => Problem::RootAbsent { files: files() },
        Err(e) => Problem::Read(e),
    };
    Err((Some(root.to_owned()), problem))
}
