//! Files that are either whole or not there.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::error::ReportError;

/// Writes `bytes` under a temporary name in the folder of `path`, which is made when absent, and renames it: a reader
/// sees the old file or the new one, never half of one.
///
/// # Errors
/// [`ReportError::Write`] with the file or folder that the operating system refused.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| ReportError::Write { path, source }
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".report-");
    // Temporary files are private by default; a report is as readable as the user's umask lets any file be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(failed(folder))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed(path))?;
    file.persist(path).map_err(|error| failed(path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
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
