//! Files that are there completely or not at all.
//!
//! Everything is written under a temporary name in the same folder, flushed to the disk, and then renamed (or, where
//! an existing file must not be replaced, hard-linked: the one operation that is exclusive on NFS too).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::store::host::host;

/// Start of the names of unfinished files.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// Replaces the file with `bytes`.
///
/// # Errors
/// Any failure of the file system; the old file is then still there, whole.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |temporary| open_new(temporary)?.write_all(bytes))
}

/// Replaces the file with what `fill` writes under the path it is given. That path has the same extension and does
/// not exist yet.
///
/// # Errors
/// The error of `fill`, or any failure of the file system; the old file is then still there, whole.
pub fn write_with<E: From<io::Error>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let temporary = Temporary::beside(path);
    fill(&temporary.0)?;
    // Whoever wrote the file may have closed it without flushing.
    File::open(&temporary.0)?.sync_all()?;
    fs::rename(&temporary.0, path)?;
    sync_folder(path)?;
    Ok(())
}

/// Creates the file with `bytes`; false when there is one already, which then stays as it is.
///
/// # Errors
/// Any failure of the file system.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let temporary = Temporary::beside(path);
    write_new(&temporary.0, bytes)?;
    let linked = fs::hard_link(&temporary.0, path);
    create_linked(linked, &temporary.0, path, bytes)
}

/// Judges the result of linking `temporary` to `path`.
fn create_linked(linked: io::Result<()>, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    use io::ErrorKind::{AlreadyExists, PermissionDenied, Unsupported};
    match linked {
        Ok(()) => {}
        // A lost reply makes NFS repeat the request, which then fails although the first one succeeded.
        Err(_) if same_file(temporary, path) => {}
        Err(error) if error.kind() == AlreadyExists => return Ok(false),
        // Some mounted cloud folders have no hard links. Exclusive creation is next best: a reader may then see the
        // file half-written, which all readers here take for damaged or still owned.
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => match write_new(path, bytes) {
            Err(error) if error.kind() == AlreadyExists => return Ok(false),
            written => written?,
        },
        Err(error) => return Err(error),
    }
    sync_folder(path)?;
    Ok(true)
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_file(_: &Path, _: &Path) -> bool {
    false
}

/// Makes a rename last: the name is part of the folder, not of the file.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Other systems cannot open a folder to flush it.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a folder and those above it that are missing, each of which lasts once this returns.
///
/// # Errors
/// Any failure of the file system.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_folder(above)?;
    }
    match fs::create_dir(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(path),
    }
}

/// A name that nobody else uses, on no machine: host, process, time and a counter, hashed.
pub(crate) fn token() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let seed = format!("{} {} {nanoseconds} {}", host(), std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    blake3::hash(seed.as_bytes()).to_hex()[..16].to_owned()
}

/// A path that is cleared again, unless the file was renamed away.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Temporary {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Temporary(path.with_file_name(format!("{TEMPORARY}{}-{name}", token())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing to do about a failure: the file is only litter, and the next owner of the trial clears it.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn write_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_failed_writer_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |temporary| {
            assert_eq!(temporary.extension().unwrap(), "safetensors");
            fs::write(temporary, b"half")?;
            Err(io::Error::other("stopped"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "stopped");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.safetensors"]);
    }

    #[test]
    fn create_works_without_hard_links_and_after_a_lost_reply() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, path) = (folder.path().join(".tmp"), folder.path().join("a"));
        fs::write(&temporary, b"one").unwrap();
        let refused = || Err(io::ErrorKind::Unsupported.into());
        assert!(create_linked(refused(), &temporary, &path, b"one").unwrap());
        assert!(!create_linked(refused(), &temporary, &path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let other = folder.path().join("b");
        fs::hard_link(&temporary, &other).unwrap();
        let exists = || Err(io::ErrorKind::AlreadyExists.into());
        assert!(!create_linked(exists(), &temporary, &path, b"two").unwrap());
        assert_eq!(create_linked(exists(), &temporary, &other, b"two").unwrap(), cfg!(unix));
    }

    #[test]
    fn create_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["a"]);
    }
}
