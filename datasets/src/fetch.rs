//! Where data sets come from, and bringing them here: resumed where it broke off, checked, unpacked.
//!
//! A file is written to `NAME.part` and renamed when its checksum is right, so a file under its own name is whole. A
//! download that breaks off goes on where it stopped, now or the next time. An archive is unpacked beside itself into
//! a folder that appears when it is complete.

mod checksum;
mod download;
mod sources;
mod unpack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use checksum::Checksum;
pub use sources::origin;

/// Where the files of a data set come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// It needs no files.
    BuiltIn,
    /// They can be fetched.
    Files(&'static Source),
    /// Somebody has to get them; how.
    ByHand(&'static str),
}

/// Files that can be fetched.
#[derive(Debug)]
pub struct Source {
    /// Address that names of files are put behind, ends in a slash.
    pub base: &'static str,
    /// The files.
    pub files: &'static [RemoteFile],
    /// Under which terms the data may be used.
    pub terms: &'static str,
}

/// One file.
#[derive(Debug)]
pub struct RemoteFile {
    /// Name behind the address and in the folder.
    pub name: &'static str,
    /// Checksum of the official file.
    pub checksum: Checksum,
    /// For an archive (`.tar.gz`): the one folder that everything in it lies in.
    pub folder: Option<&'static str>,
}

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// So many bytes of a file are here, of so many where that is known.
    Bytes {
        /// File.
        name: &'a str,
        /// Bytes here, with those of earlier tries.
        done: u64,
        /// Bytes of the whole file.
        total: Option<u64>,
    },
    /// The file was here already, and its checksum is right.
    Present {
        /// File.
        name: &'a str,
    },
    /// The connection broke, and is tried again from there.
    Resumed {
        /// File.
        name: &'a str,
        /// Bytes that are here.
        done: u64,
    },
    /// The checksum is right.
    Verified {
        /// File.
        name: &'a str,
    },
    /// An archive is unpacked.
    Unpacked {
        /// Folder.
        name: &'a str,
    },
}

/// Why files could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody there, or no network.
    #[error(
        "cannot reach {address} ({reason}); without a network, put {files} into {} yourself, and run \
         `harness data verify`", .folder.display()
    )]
    Unreachable {
        /// Full address of the file.
        address: String,
        /// What the system says.
        reason: String,
        /// Files that are wanted.
        files: String,
        /// Folder they belong into.
        folder: PathBuf,
    },
    /// The server answers, but not with the file.
    #[error("{address} answers with status {status}, expected the file")]
    Status {
        /// Full address of the file.
        address: String,
        /// HTTP status.
        status: u16,
    },
    /// The download broke off again and again.
    #[error("{address} broke off after {done} bytes ({reason}); what is here is kept, fetch again to go on")]
    BrokeOff {
        /// Full address of the file.
        address: String,
        /// Bytes that are here.
        done: u64,
        /// What happened.
        reason: String,
    },
    /// The file is not the official one.
    #[error("{address} is damaged or was changed: its {kind} is {found}, expected {expected}; it was not kept")]
    Corrupted {
        /// Full address of the file.
        address: String,
        /// Kind of checksum.
        kind: &'static str,
        /// Checksum of what came.
        found: String,
        /// Checksum of the official file.
        expected: String,
    },
    /// An archive holds what it must not.
    #[error("{}: entry `{entry}` {problem}, nothing was unpacked", .archive.display())]
    Entry {
        /// The archive.
        archive: PathBuf,
        /// Name of the entry.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another process is at it.
    #[error("{}: another process is fetching this file", .0.display())]
    Busy(PathBuf),
    /// The system refused.
    #[error("{}: {error}", .path.display())]
    File {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Says for an error of the system where it happened.
fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError + '_ {
    move |error| FetchError::File { path: path.to_owned(), error }
}

/// Brings every file of `source` into `folder`, from `base` instead of its own address if one is given.
///
/// Files that are there are checked and kept; wrong ones are fetched again.
///
/// # Errors
/// The first file that cannot be brought here; those before it stay.
pub fn fetch(
    source: &Source,
    folder: &Path,
    base: Option<&str>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), FetchError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let base = base.unwrap_or(source.base).trim_end_matches('/');
    let files: Vec<String> = source.files.iter().map(|file| format!("`{}`", file.name)).collect();
    let wanted = download::Wanted { base, folder, files: files.join(", ") };
    for file in source.files {
        let path = folder.join(file.name);
        if path.is_file() && file.checksum.matches(&path).map_err(at(&path))?.is_ok() {
            progress(Progress::Present { name: file.name });
        } else {
            wanted.download(file, progress)?;
            progress(Progress::Verified { name: file.name });
        }
        if let Some(inside) = file.folder
            && !folder.join(inside).is_dir()
        {
            unpack::unpack(&path, folder, inside)?;
            progress(Progress::Unpacked { name: inside });
        }
    }
    Ok(())
}

/// How a file in a folder compares with the official one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// It is the official file.
    Right,
    /// It has another checksum.
    Wrong {
        /// Checksum it has.
        found: String,
        /// Checksum it should have.
        expected: String,
    },
    /// It is not there.
    Absent,
}

/// Compares the files of `source` in `folder` with the official ones.
///
/// # Errors
/// A file that cannot be read.
pub fn compare(source: &Source, folder: &Path) -> Result<Vec<(&'static str, FileState)>, FetchError> {
    let state = |file: &RemoteFile| {
        let path = folder.join(file.name);
        if !path.is_file() {
            return Ok((file.name, FileState::Absent));
        }
        Ok(match file.checksum.matches(&path).map_err(at(&path))? {
            Ok(()) => (file.name, FileState::Right),
            Err(found) => (file.name, FileState::Wrong { found, expected: file.checksum.text().to_owned() }),
        })
    };
    source.files.iter().map(state).collect()
}
