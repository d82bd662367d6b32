//! The folder of one trial: its files, its lease, its checkpoint. The layout is in [`crate::store`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::trial_config::{TrialConfig, config_yaml};
use crate::record::{RecordView, RunRecord, Status};
use crate::store::atomic;
use crate::store::error::{StoreError, io_error};
use crate::store::files::{read_json, to_json};
use crate::store::lease::{self, Claimed, Holder, Lease, Owner, Watch};

/// Outcome of [`TrialDir::claim`].
#[derive(Debug)]
pub enum Claim {
    /// The trial is ours until the lease is dropped.
    Ours(Lease),
    /// Somebody else works on it; the owner where its lease can be read.
    Held(Option<Owner>),
    /// It has ended well already.
    Finished,
}

/// The folder of one trial. Only the owner of its lease writes into it.
#[derive(Debug, Clone)]
pub struct TrialDir {
    pub(crate) path: PathBuf,
    pub(crate) id: String,
    watch: Arc<Watch>,
}

impl TrialDir {
    pub(crate) fn new(path: PathBuf, id: &str, watch: Arc<Watch>) -> TrialDir {
        TrialDir { path, id: id.to_owned(), watch }
    }

    /// The folder of another trial of the same sweep.
    #[must_use]
    pub fn sibling(&self, id: &str) -> TrialDir {
        TrialDir::new(self.path.with_file_name(id), id, Arc::clone(&self.watch))
    }

    /// Trial id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of `config.yaml`.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.yaml")
    }

    /// Path of `record.json`.
    #[must_use]
    pub fn record_path(&self) -> PathBuf {
        self.path.join("record.json")
    }

    /// Path of `state.json`.
    #[must_use]
    pub fn state_path(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Path of `checkpoint.safetensors`.
    #[must_use]
    pub fn checkpoint_path(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// Path of `model.safetensors`.
    #[must_use]
    pub fn model_path(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    pub(crate) fn make_folder(&self) -> Result<(), StoreError> {
        atomic::create_folder(&self.path).map_err(io_error("create the folder", &self.path))
    }

    /// Claims the trial, making its folder. Afterwards unfinished files of a dead owner are gone.
    ///
    /// # Errors
    /// Any failure of the file system, or a record of a newer format.
    pub fn claim(&self) -> Result<Claim, StoreError> {
        // Saves the lease where nothing is left to do; the look that counts is the one below.
        if self.is_finished()? {
            return Ok(Claim::Finished);
        }
        self.make_folder()?;
        let lease = match lease::claim(&self.path, &self.watch).map_err(io_error("claim", &self.path))? {
            Claimed::Ours(lease) => lease,
            Claimed::Held(owner) => return Ok(Claim::Held(owner)),
        };
        // Somebody may have finished it between the first look and the claim.
        if self.is_finished()? {
            lease.release().map_err(io_error("release", &self.path))?;
            return Ok(Claim::Finished);
        }
        self.clear_temporary()?;
        Ok(Claim::Ours(lease))
    }

    /// Who works on it. Reads only.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn holder(&self) -> Result<Holder, StoreError> {
        lease::holder(&self.path, &self.watch).map_err(io_error("read", &self.path))
    }

    /// A damaged record finishes nothing; one of a newer format must not be run over.
    fn is_finished(&self) -> Result<bool, StoreError> {
        match self.record() {
            Ok(record) => Ok(record.is_some_and(|record| record.status == Status::Ok)),
            Err(StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn clear_temporary(&self) -> Result<(), StoreError> {
        let error = || io_error("clear", &self.path);
        for entry in fs::read_dir(&self.path).map_err(error())? {
            let entry = entry.map_err(error())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Others who are just claiming have temporary leases here: those are theirs.
            if name.starts_with(atomic::TEMPORARY) && !name.contains("-lease.") {
                fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Replaces a file of the folder with `bytes`.
    ///
    /// # Errors
    /// Any failure of the file system; the old file is then still there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.make_folder()?;
        let path = self.path.join(name);
        atomic::write(&path, bytes).map_err(io_error("write", &path))
    }

    /// Replaces a file of the folder with what `fill` writes under the path it is given.
    ///
    /// # Errors
    /// The error of `fill`, or any failure of the file system; the old file is then still there.
    pub fn write_with<E: From<StoreError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.make_folder()?;
        let path = self.path.join(name);
        atomic::write_with(&path, |temporary| fill(temporary).map_err(Failure::Fill)).map_err(|failure| match failure {
            Failure::Fill(error) => error,
            Failure::Io(source) => io_error("write", &path)(source).into(),
        })
    }

    /// Writes `config.yaml`.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn write_config(&self, config: &TrialConfig) -> Result<(), StoreError> {
        let path = self.config_path();
        let text = config_yaml(config)
            .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
        self.write("config.yaml", text.as_bytes())
    }

    /// The record; `None` when the trial has not ended.
    ///
    /// # Errors
    /// A record that cannot be read, is damaged, belongs to another trial, or is of a newer format.
    pub fn record(&self) -> Result<Option<RunRecord>, StoreError> {
        self.record_with()
    }

    /// What `R` takes of the record; `None` when the trial has not ended.
    ///
    /// # Errors
    /// As [`TrialDir::record`].
    pub fn record_with<R: RecordView>(&self) -> Result<Option<R>, StoreError> {
        let path = self.record_path();
        let record: Option<R> = read_json(&path)?;
        match record {
            Some(record) if record.id() != self.id => {
                let reason = format!("it is the record of trial {}", record.id());
                Err(StoreError::Damaged { path, reason })
            }
            record => Ok(record),
        }
    }

    /// Writes `record.json`. The record of an earlier attempt that did not end well moves to
    /// `record-<attempt>.json` first; one that ended well stays, whatever happens.
    ///
    /// # Errors
    /// [`StoreError::Finished`] when the trial has ended well already; any failure of the file system.
    pub fn write_record(&self, record: &RunRecord) -> Result<(), StoreError> {
        self.make_folder()?;
        let path = self.record_path();
        match self.record() {
            Ok(None) => {}
            Ok(Some(old)) if old.status == Status::Ok => return Err(StoreError::Finished { path }),
            Ok(Some(old)) => self.set_aside(&path, &format!("record-{}.json", old.attempt))?,
            Err(StoreError::Damaged { .. }) => {
                self.set_aside(&path, &format!("record-{}-damaged.json", atomic::token()))?
            }
            Err(error) => return Err(error),
        }
        let created = atomic::create(&path, &to_json(record, &path)?).map_err(io_error("write", &path))?;
        if created { Ok(()) } else { Err(StoreError::Finished { path }) }
    }

    fn set_aside(&self, path: &Path, name: &str) -> Result<(), StoreError> {
        fs::rename(path, self.path.join(name)).map_err(io_error("rename", path))
    }
}

enum Failure<E> {
    Fill(E),
    Io(io::Error),
}

impl<E> From<io::Error> for Failure<E> {
    fn from(error: io::Error) -> Failure<E> {
        Failure::Io(error)
    }
}
