//! The folder `runs/` with all trials.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::store::atomic;
use crate::store::error::{StoreError, io_error};
use crate::store::lease::{self, Watch};
use crate::store::state::TrialState;
use crate::store::trial_dir::TrialDir;

/// Fewer trials than this are not worth another thread to read them.
const LEAST_SHARE: usize = 64;

/// All trials under one folder. Clones share what they know about the leases of other machines.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    watch: Arc<Watch>,
}

impl Store {
    /// A store at `root`, which need not exist yet.
    #[must_use]
    pub fn open(root: impl Into<PathBuf>) -> Store {
        Store::with_stale_after(root, lease::STALE_AFTER)
    }

    /// As [`Store::open`]; an owner on another machine is taken for dead after this time without a heartbeat.
    #[must_use]
    pub fn with_stale_after(root: impl Into<PathBuf>, stale_after: Duration) -> Store {
        Store { root: root.into(), watch: Arc::new(Watch::new(stale_after)) }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one trial, which need not exist yet.
    #[must_use]
    pub fn trial(&self, sweep: &str, id: &str) -> TrialDir {
        TrialDir::new(self.root.join(sweep).join(id), id, Arc::clone(&self.watch))
    }

    /// Makes the folder, if it is missing, and a file in it that is removed again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        atomic::create_folder(&self.root).map_err(io_error("create the folder", &self.root))?;
        let probe = self.root.join(format!("{}{}", atomic::TEMPORARY, atomic::token()));
        atomic::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(io_error("write in", &self.root))
    }

    /// Names of the sweeps that have a folder, sorted.
    ///
    /// # Errors
    /// The folder cannot be read. A folder that does not exist has no sweeps.
    pub fn sweeps(&self) -> Result<Vec<String>, StoreError> {
        folders(&self.root)
    }

    /// Every trial folder of one sweep, or of all, sorted by sweep and id, with what is in it. Broken ones are
    /// entries too.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn scan(&self, sweep: Option<&str>) -> Result<Vec<ScanEntry>, StoreError> {
        let trials = self.trials(sweep)?;
        let entry = |(sweep, dir): (String, TrialDir)| ScanEntry { sweep, id: dir.id.clone(), state: dir.state(), dir };
        Ok(trials.into_par_iter().with_min_len(LEAST_SHARE).map(entry).collect())
    }

    /// Every trial folder of one sweep, or of all, with the name of its sweep, sorted by sweep and id.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn trials(&self, sweep: Option<&str>) -> Result<Vec<(String, TrialDir)>, StoreError> {
        let sweeps = match sweep {
            Some(sweep) => vec![sweep.to_owned()],
            None => self.sweeps()?,
        };
        let mut trials = Vec::new();
        for sweep in sweeps {
            let ids = folders(&self.root.join(&sweep))?.into_iter().filter(|id| is_id(id));
            trials.extend(ids.map(|id| (sweep.clone(), self.trial(&sweep, &id))));
        }
        Ok(trials)
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Names of the folders in a folder, sorted, hidden ones left out.
fn folders(path: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("read", path))?;
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.path().is_dir())
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// One trial folder found by a scan.
#[derive(Debug)]
pub struct ScanEntry {
    /// Name of the sweep.
    pub sweep: String,
    /// Trial id.
    pub id: String,
    /// The folder.
    pub dir: TrialDir,
    /// What is in it.
    pub state: TrialState,
}
