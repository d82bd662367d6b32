//! Where the files of a data set of records are, and their bytes.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lzma_rust2::{XzReader, xz_uncompressed_size};

use super::Located;
use crate::Problem;

/// No file of records is longer than this many of them; more is not what it says it is.
const MOST_RECORDS: u64 = 1 << 20;

/// Names that the official archive has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files {
    /// Folder that it unpacks to.
    pub(super) folder: &'static str,
    /// The archive.
    pub(super) archive: &'static str,
}

/// Where one file was found.
enum Found {
    Plain(PathBuf),
    Xz(PathBuf),
}

impl Files {
    /// The bytes of each of the files `names`, with the path to blame for them.
    pub(super) fn read(self, root: &Path, names: &[&'static str], record: usize) -> Located<Vec<(PathBuf, Vec<u8>)>> {
        let most = MOST_RECORDS * record as u64;
        let archive = root.join(self.archive);
        if names.iter().all(|name| self.find(root, name).is_none()) && archive.is_file() {
            return unpack(&archive, self.folder, names, most);
        }
        let read = |&name| match self.find(root, name) {
            Some(Found::Plain(path)) => match File::open(&path).and_then(|file| bounded(file, most)) {
                Ok(bytes) => Ok((path, bytes)),
                Err(e) => Err((path, Problem::Read(e))),
            },
            Some(Found::Xz(path)) => match open_xz(&path).and_then(|file| bounded(file, most)) {
                Ok(bytes) => Ok((path, bytes)),
                Err(e) => Err((path, Problem::Xz(e))),
            },
            None => Err(self.absent(root, name)),
        };
        names.iter().map(read).collect()
    }

    /// The sizes of the files `names`, unpacked, where all of them are there and tell a size that [`Files::read`] takes.
    pub(super) fn sizes(
        self,
        root: &Path,
        names: &[&'static str],
        record: usize,
    ) -> Located<Option<Vec<(PathBuf, u64)>>> {
        let most = MOST_RECORDS * record as u64;
        let mut sizes = Vec::new();
        for name in names {
            let (path, size) = match self.find(root, name) {
                Some(Found::Plain(path)) => {
                    let size = fs::metadata(&path).map_err(|e| (path.clone(), Problem::Read(e)))?.len();
                    (path, Some(size))
                }
                Some(Found::Xz(path)) => {
                    // Where the index is damaged, unpacking says better what is wrong.
                    let size = File::open(&path).and_then(xz_uncompressed_size).ok();
                    (path, size)
                }
                None => return Ok(None),
            };
            let Some(size) = size.filter(|&size| size <= most) else { return Ok(None) };
            sizes.push((path, size));
        }
        Ok(Some(sizes))
    }

    fn find(self, root: &Path, name: &str) -> Option<Found> {
        let places = [root.to_owned(), root.join(self.folder)];
        places.iter().find_map(|place| {
            let (plain, packed) = (place.join(name), place.join(format!("{name}.xz")));
            plain.is_file().then_some(Found::Plain(plain)).or_else(|| packed.is_file().then_some(Found::Xz(packed)))
        })
    }

    fn absent(self, root: &Path, name: &str) -> (PathBuf, Problem) {
        let looked_for = format!("`{name}`, `{name}.xz`, `{}/{name}`, `{}`", self.folder, self.archive);
        (root.to_owned(), Problem::Absent { what: "images and labels", looked_for })
    }
}

fn open_xz(path: &Path) -> io::Result<impl Read> {
    Ok(XzReader::new(BufReader::new(File::open(path)?), true))
}

/// Everything there is to read, which must not be more than `most` bytes.
fn bounded(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(most + 1).read_to_end(&mut bytes)? as u64;
    if read > most { Err(io::Error::other(format!("holds more than {most} bytes"))) } else { Ok(bytes) }
}

/// The files `names` in `folder` inside a `.tar.gz`, in the order of `names`. Nothing is written.
fn unpack(path: &Path, folder: &str, names: &[&'static str], most: u64) -> Located<Vec<(PathBuf, Vec<u8>)>> {
    let wrong = |e| (path.to_owned(), Problem::Archive(e));
    let file = File::open(path).map_err(|e| (path.to_owned(), Problem::Read(e)))?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut found: Vec<Option<Vec<u8>>> = vec![None; names.len()];
    for entry in archive.entries().map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let inside = entry.path().map_err(wrong)?.into_owned();
        let place = names.iter().position(|name| inside == Path::new(folder).join(name));
        if let Some(place) = place.filter(|_| entry.header().entry_type().is_file()) {
            found[place] = Some(bounded(entry, most).map_err(wrong)?);
        }
    }
    // The checksum of the packing stands at its end, behind that of the archive.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(wrong)?;
    let file = |(&name, bytes): (&&'static str, Option<Vec<u8>>)| match bytes {
        Some(bytes) => Ok((path.join(folder).join(name), bytes)),
        None => Err((path.to_owned(), Problem::NotInArchive { name: format!("{folder}/{name}") })),
    };
    names.iter().zip(found).map(file).collect()
}
