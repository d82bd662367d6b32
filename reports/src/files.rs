//! Writing the files of a report.

use std::io;
use std::path::Path;

use harness_records::atomic;

use crate::error::ReportError;

/// Writes the file whole or not at all, and makes the folder of `path` when it is absent.
///
/// # Errors
/// [`ReportError::Write`] with the file or folder that the operating system refused.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| ReportError::Write { path, source }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        atomic::create_folder(folder).map_err(failed(folder))?;
    }
    atomic::write(path, bytes).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/report.md");
        write_whole(&path, b"one, and longer").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("out");
        fs::write(&blocked, "in the way").unwrap();
        let message = write_whole(&blocked.join("report.md"), b"").unwrap_err().to_string();
        assert!(message.contains(&blocked.display().to_string()), "{message}");
    }

    #[test]
    fn a_failed_rename_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("report.md")).unwrap();
        assert!(write_whole(&folder.path().join("report.md"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
