//! What a trial's folder holds and no longer needs.
//!
//! A finished trial needs no checkpoint and no lease; a process that was killed right after it wrote the record leaves
//! them. Unfinished files (`.tmp-...`) of dead processes are needed by nobody.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::record::Status;
use crate::store::atomic::TEMPORARY;
use crate::store::checkpoint::is_checkpoint;
use crate::store::error::{StoreError, io_error};
use crate::store::lease::Holder;
use crate::store::trial_dir::TrialDir;

/// A file that is no longer needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Litter {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl TrialDir {
    /// What is no longer needed; nothing while somebody works on the trial. Reads only.
    ///
    /// # Errors
    /// The folder or the record cannot be read.
    pub fn garbage(&self) -> Result<Vec<Litter>, StoreError> {
        if self.holder()? != Holder::Nobody {
            return Ok(Vec::new());
        }
        let finished = self.record()?.is_some_and(|record| record.status == Status::Ok);
        let mut garbage = Vec::new();
        for entry in fs::read_dir(self.path()).map_err(io_error("read", self.path()))? {
            let entry = entry.map_err(io_error("read", self.path()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let needless = finished && (is_checkpoint(&name) || name.starts_with("lease."));
            if needless || name.starts_with(TEMPORARY) {
                // Gone between the two looks: somebody else clears too.
                let Ok(bytes) = entry.metadata().map(|metadata| metadata.len()) else { continue };
                garbage.push(Litter { path: entry.path(), bytes });
            }
        }
        garbage.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(garbage)
    }

    /// Removes what is no longer needed, and says what that was. Leaves a trial alone that somebody begins meanwhile.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn clear_garbage(&self) -> Result<Vec<Litter>, StoreError> {
        let garbage = self.garbage()?;
        if garbage.is_empty() {
            return Ok(garbage);
        }
        // The lease is let go at the end; of a finished trial it may be removed along with the rest.
        let claim = self.claim()?;
        if matches!(claim, crate::store::trial_dir::Claim::Held(_)) {
            return Ok(Vec::new());
        }
        for Litter { path, .. } in &garbage {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", path)(error)),
                _ => {}
            }
        }
        Ok(garbage)
    }

    /// Names and sizes of the files of the trial, sorted; unfinished ones and leases left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path()).map_err(io_error("read", self.path()))? {
            let entry = entry.map_err(io_error("read", self.path()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = entry.metadata().map_err(io_error("read", &entry.path()))?;
            if metadata.is_file() && !name.starts_with(TEMPORARY) && !name.starts_with("lease.") {
                files.push((name, metadata.len()));
            }
        }
        files.sort();
        Ok(files)
    }
}
