//! Where the workspace lies.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of the root `Cargo.toml`.
///
/// Cargo names this package's folder when it runs the task; the path known at compile time is only for a binary that
/// somebody starts by hand.
///
/// # Errors
/// When that folder has no parent.
pub(crate) fn root() -> Result<PathBuf> {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.parent().with_context(|| format!("{} lies in no workspace", package.display()))?;
    Ok(root.to_path_buf())
}

/// `path` as a reader in the workspace would write it.
pub(crate) fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
