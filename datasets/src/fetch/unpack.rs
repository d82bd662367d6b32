//! Unpacking an archive, and nothing outside it.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::{FetchError, at};

/// Most bytes that an archive may unpack to.
const MOST: u64 = 1 << 34;

/// Unpacks a `.tar.gz` whose entries all lie in `inside` to `folder/inside`, which must not be there yet and appears
/// when it is complete.
///
/// Only plain files and folders are unpacked, with plain names: no links, no `..`, no absolute paths.
pub(super) fn unpack(archive: &Path, folder: &Path, inside: &str) -> Result<(), FetchError> {
    let staging = folder.join(format!("{inside}.unpacking"));
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(at(&staging))?;
    }
    fs::create_dir(&staging).map_err(at(&staging))?;
    let unpacked = entries(archive, &staging, inside);
    if unpacked.is_ok() {
        let target = folder.join(inside);
        fs::rename(staging.join(inside), &target).map_err(at(&target))?;
    }
    fs::remove_dir_all(&staging).map_err(at(&staging))?;
    unpacked
}

fn entries(path: &Path, staging: &Path, inside: &str) -> Result<(), FetchError> {
    let file = File::open(path).map_err(at(path))?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut left = MOST;
    fs::create_dir(staging.join(inside)).map_err(at(staging))?;
    for entry in archive.entries().map_err(at(path))? {
        let mut entry = entry.map_err(at(path))?;
        let name = entry.path().map_err(at(path))?.into_owned();
        let refuse =
            |problem| FetchError::Entry { archive: path.to_owned(), entry: name.display().to_string(), problem };
        let is_plain = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_plain {
            return Err(refuse("leads out of its folder"));
        }
        let plain: std::path::PathBuf = name.components().filter(|part| *part != Component::CurDir).collect();
        if !plain.starts_with(inside) {
            return Err(refuse("lies outside the folder of the archive"));
        }
        let target = staging.join(&plain);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&target).map_err(at(&target))?,
            EntryType::Regular => {
                left = left.checked_sub(entry.size()).ok_or_else(|| refuse("is too large"))?;
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent).map_err(at(parent))?;
                }
                let mut out = File::create_new(&target).map_err(at(&target))?;
                io::copy(&mut entry, &mut out).map_err(at(path))?;
            }
            EntryType::XGlobalHeader => {}
            _ => return Err(refuse("is neither a file nor a folder")),
        }
    }
    // The checksum of the packing stands at its end, behind that of the archive.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(at(path))?;
    Ok(())
}
