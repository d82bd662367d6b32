//! Checkpoints: how far a trial is, so that it goes on from there.
//!
//! A checkpoint is a pair: `state.json` (a [`ResumeState`]) and `checkpoint.safetensors`. The state names the BLAKE3
//! hash of its checkpoint and carries one of itself, so a bit that flips in either is noticed. The pair before is kept
//! as `previous-state.json` and `previous-checkpoint.safetensors`, and takes over when the last one is damaged.
//!
//! To save:
//!
//! 1. Write `next-checkpoint.safetensors`.
//! 2. Rename `checkpoint` to `previous-checkpoint`, and write a copy of `state.json` as `previous-state.json`.
//! 3. Write `state.json`, which belongs to `next-checkpoint`.
//! 4. Rename `next-checkpoint` to `checkpoint`.
//!
//! Each step is atomic and durable, and after each a state and the file with its hash are there. To load, a state is
//! therefore not paired with a name but with whichever of the three files has its hash.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::{EpochRecord, Losses, Split};
use crate::store::atomic;
use crate::store::error::{StoreError, io_error};
use crate::store::files::{parse, read_bytes, to_json};
use crate::store::trial_dir::TrialDir;

/// Names of the states, the newest first.
const STATES: [&str; 2] = ["state.json", "previous-state.json"];
/// Names a checkpoint may have, in the order they are looked at.
const CHECKPOINTS: [&str; 3] = [CHECKPOINT, NEXT, PREVIOUS];
const CHECKPOINT: &str = "checkpoint.safetensors";
const NEXT: &str = "next-checkpoint.safetensors";
const PREVIOUS: &str = "previous-checkpoint.safetensors";
/// Whether a file of this name is part of a checkpoint.
pub(crate) fn is_checkpoint(name: &str) -> bool {
    STATES.contains(&name) || CHECKPOINTS.contains(&name)
}

/// First format whose states carry a hash of themselves.
const SEALED_SINCE: u32 = 3;

/// How far a checkpoint is, `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumeState {
    /// See [`crate::record::FORMAT`].
    pub format: u32,
    /// Trial id.
    pub id: String,
    /// Epochs done.
    pub epoch: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// Records of the epochs done.
    pub epochs: Vec<EpochRecord>,
    /// Start of the first attempt, seconds since 1970 UTC.
    pub started: u64,
    /// Seconds of work so far.
    pub seconds: f64,
    /// Times it went on from a checkpoint.
    pub resumed: u32,
    /// Set when batches are computed in more parts than was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// The training loss at steps along the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Losses>,
    /// What else the engine needs to go on.
    pub engine: serde_json::Value,
    /// BLAKE3 of the checkpoint this belongs to; filled in by [`TrialDir::save_checkpoint`].
    pub checkpoint: String,
    /// BLAKE3 of the file of this state with zeros in the place of these digits; filled in likewise.
    #[serde(default)]
    pub seal: String,
}

/// A checkpoint that a trial can go on from.
#[derive(Debug)]
pub struct Resumable {
    /// How far it is.
    pub state: ResumeState,
    /// Its tensors.
    pub checkpoint: PathBuf,
    /// Why later ones were not used; empty where this is the last one.
    pub passed_over: Vec<String>,
}

impl TrialDir {
    /// Replaces checkpoint and state together, and keeps the pair before: a process that dies at any point leaves one
    /// of them whole. `fill` writes the checkpoint under the path it is given.
    ///
    /// # Errors
    /// The error of `fill`, or any failure of the file system; the old pair is then still there.
    pub fn save_checkpoint<E: From<StoreError>>(
        &self,
        state: &ResumeState,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        // The last one may still have that name, when whoever wrote it died.
        self.finish_checkpoint()?;
        self.write_with(NEXT, fill)?;
        let state = ResumeState { checkpoint: hash_file(&self.path.join(NEXT))?, ..state.clone() };
        let bytes = sealed(state, &self.state_path())?;
        self.keep_previous()?;
        self.write(STATES[0], &bytes)?;
        self.rename(NEXT, CHECKPOINT)?;
        Ok(())
    }

    /// Gives a checkpoint whose state has been written its name.
    fn finish_checkpoint(&self) -> Result<(), StoreError> {
        let next = self.path.join(NEXT);
        // A state that cannot be used keeps nobody from writing a new one.
        let state = self.read_state(STATES[0]).unwrap_or_default();
        match state.filter(|_| next.exists()) {
            Some(state) if hash_file(&next)? == state.checkpoint => self.rename(NEXT, CHECKPOINT),
            _ => Ok(()),
        }
    }

    fn keep_previous(&self) -> Result<(), StoreError> {
        let Some(bytes) = read_bytes(&self.state_path())? else { return Ok(()) };
        if self.checkpoint_path().exists() {
            self.rename(CHECKPOINT, PREVIOUS)?;
        }
        self.write(STATES[1], &bytes)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        fs::rename(&from, &to).and_then(|()| atomic::sync_folder(&to)).map_err(io_error("rename", &from))
    }

    /// The last checkpoint that is whole, with its state; `None` when there is none.
    ///
    /// # Errors
    /// A state that cannot be read or is of a newer format, or nothing but damaged checkpoints.
    pub fn load_checkpoint(&self) -> Result<Option<Resumable>, StoreError> {
        let mut damaged: Option<StoreError> = None;
        let mut passed_over = Vec::new();
        for name in STATES {
            let found = self.read_state(name).and_then(|state| match state {
                None => Ok(None),
                Some(state) => self.checkpoint_of(&state, name).map(|checkpoint| Some((state, checkpoint))),
            });
            match found {
                Ok(None) => {}
                Ok(Some((state, checkpoint))) => return Ok(Some(Resumable { state, checkpoint, passed_over })),
                Err(error @ StoreError::Damaged { .. }) => {
                    passed_over.push(error.to_string());
                    damaged.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    /// The file that has the hash the state names.
    fn checkpoint_of(&self, state: &ResumeState, name: &str) -> Result<PathBuf, StoreError> {
        for candidate in CHECKPOINTS {
            let path = self.path.join(candidate);
            if path.exists() && hash_file(&path)? == state.checkpoint {
                return Ok(path);
            }
        }
        let reason = format!("it is not the checkpoint that `{name}` belongs to");
        Err(StoreError::Damaged { path: self.checkpoint_path(), reason })
    }

    fn read_state(&self, name: &str) -> Result<Option<ResumeState>, StoreError> {
        let path = self.path.join(name);
        let Some(bytes) = read_bytes(&path)? else { return Ok(None) };
        let state: ResumeState = parse(&bytes, &path)?;
        let damaged = |reason: String| Err(StoreError::Damaged { path: path.clone(), reason });
        if !seal_holds(&state, bytes) {
            return damaged("its content does not have the hash it carries".to_owned());
        }
        if state.id != self.id {
            return damaged(format!("it is the state of trial {}", state.id));
        }
        Ok(Some(state))
    }

    /// How far the last checkpoint is; `None` without one. Looks at states only, which is quick.
    ///
    /// # Errors
    /// A state that cannot be read or is of a newer format, or nothing but damaged ones.
    pub fn resume_state(&self) -> Result<Option<ResumeState>, StoreError> {
        let mut damaged = None;
        for name in STATES {
            match self.read_state(name) {
                Ok(None) => {}
                Ok(Some(state)) => return Ok(Some(state)),
                Err(error @ StoreError::Damaged { .. }) => drop(damaged.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    /// Removes checkpoints and states: the trial is finished, or starts over.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn remove_checkpoint(&self) -> Result<(), StoreError> {
        // The states first: a checkpoint without one is litter, a state without its checkpoint looks damaged.
        for name in STATES.iter().chain(&CHECKPOINTS) {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The bytes of a state with its own hash in them.
fn sealed(state: ResumeState, path: &Path) -> Result<Vec<u8>, StoreError> {
    let blank = blank();
    let mut bytes = to_json(&ResumeState { seal: blank.clone(), ..state }, path)?;
    let seal = blake3::hash(&bytes).to_hex();
    if let Some(at) = find_last(&bytes, blank.as_bytes()) {
        bytes[at..at + seal.len()].copy_from_slice(seal.as_bytes());
    }
    Ok(bytes)
}

/// Whether the content of a file is what it was sealed as. States of older formats have no seal.
fn seal_holds(state: &ResumeState, mut bytes: Vec<u8>) -> bool {
    if state.seal.is_empty() {
        return state.format < SEALED_SINCE;
    }
    let blank = blank();
    let Some(at) = find_last(&bytes, state.seal.as_bytes()).filter(|_| state.seal.len() == blank.len()) else {
        return false;
    };
    bytes[at..at + blank.len()].copy_from_slice(blank.as_bytes());
    blake3::hash(&bytes).to_hex().as_str() == state.seal
}

fn blank() -> String {
    "0".repeat(2 * blake3::OUT_LEN)
}

fn find_last(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).rposition(|window| window == part)
}

fn hash_file(path: &Path) -> Result<String, StoreError> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    read.map_err(io_error("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
