//! Attempts at a trial: each leaves a file that says when and where it began, and how it ended.
//!
//! Only the owner of the trial writes these. An attempt whose process died says nothing about its end; the next owner
//! writes down what it can tell.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::record::{FailureClass, Status, TrialError};
use crate::store::atomic;
use crate::store::error::{StoreError, io_error};
use crate::store::files::{read_bytes, to_json};
use crate::store::host::{host, now};
use crate::store::trial_dir::TrialDir;

/// One attempt, `attempt-<n>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Seconds since 1970 UTC.
    pub started: u64,
    /// Host name.
    pub host: String,
    /// Process.
    pub pid: u32,
    /// How it ended; `None` while it goes on, and where its process died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// Seconds since 1970 UTC.
    pub at: u64,
    /// In which way.
    pub how: Ended,
    /// Why, unless it ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TrialError>,
    /// Epochs done, over all attempts.
    pub epochs: u32,
}

/// The ways an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs done.
    Ok,
    /// The loss became NaN or infinite.
    Diverged,
    /// It could not go on.
    Failed,
    /// Stopped from outside, with a checkpoint to go on from.
    Stopped,
    /// Its process died; noticed by the next owner.
    Died,
}

impl Ended {
    /// The name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Ended::Ok => "ok",
            Ended::Diverged => "diverged",
            Ended::Failed => "failed",
            Ended::Stopped => "stopped",
            Ended::Died => "died",
        }
    }
}

impl From<Status> for Ended {
    fn from(status: Status) -> Ended {
        match status {
            Status::Ok => Ended::Ok,
            Status::Diverged => Ended::Diverged,
            Status::Failed => Ended::Failed,
        }
    }
}

impl AttemptEnd {
    /// An end now.
    #[must_use]
    pub fn now(how: Ended, error: Option<TrialError>, epochs: u32) -> AttemptEnd {
        AttemptEnd { at: now(), how, error, epochs }
    }
}

impl TrialDir {
    /// Notes that an attempt begins; its number, from 1. Attempts before it whose processes died are marked so.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn begin_attempt(&self) -> Result<u32, StoreError> {
        self.make_folder()?;
        let error = TrialError { class: FailureClass::Killed, message: "its process died without a word".to_owned() };
        let last = self.attempts()?;
        if last > 0 && self.attempt(last)?.is_some_and(|attempt| attempt.end.is_none()) {
            let epochs = self.resume_state().ok().flatten().map_or(0, |state| state.epoch);
            self.end_attempt(last, AttemptEnd::now(Ended::Died, Some(error), epochs))?;
        }
        let mut number = last + 1;
        loop {
            let attempt = Attempt { number, started: now(), host: host(), pid: std::process::id(), end: None };
            let path = self.attempt_path(number);
            let created = atomic::create(&path, &to_json(&attempt, &path)?).map_err(io_error("write", &path))?;
            if created {
                return Ok(number);
            }
            number += 1;
        }
    }

    /// Notes how an attempt ended. One that has an end already keeps it.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn end_attempt(&self, number: u32, end: AttemptEnd) -> Result<(), StoreError> {
        match self.attempt(number)? {
            Some(attempt) if attempt.end.is_none() => {
                let path = self.attempt_path(number);
                let attempt = Attempt { end: Some(end), ..attempt };
                atomic::write(&path, &to_json(&attempt, &path)?).map_err(io_error("write", &path))
            }
            _ => Ok(()),
        }
    }

    /// Number of the last attempt that began; 0 where none did.
    ///
    /// # Errors
    /// The folder cannot be read. A folder that does not exist has seen no attempt.
    pub fn attempts(&self) -> Result<u32, StoreError> {
        Ok(self.attempt_numbers()?.into_iter().max().unwrap_or(0))
    }

    /// All attempts, in their order. Files that cannot be read as one are left out.
    ///
    /// # Errors
    /// The folder or a file cannot be read.
    pub fn attempt_history(&self) -> Result<Vec<Attempt>, StoreError> {
        let mut numbers = self.attempt_numbers()?;
        numbers.sort_unstable();
        let read = numbers.into_iter().map(|number| self.attempt(number));
        read.filter_map(Result::transpose).collect()
    }

    fn attempt_numbers(&self) -> Result<Vec<u32>, StoreError> {
        let entries = match fs::read_dir(self.path()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("read", self.path())(error)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error("read", self.path()))?.file_name();
            let number: Option<u32> =
                name.to_str().and_then(|n| n.strip_prefix("attempt-")?.strip_suffix(".json")?.parse().ok());
            numbers.extend(number);
        }
        Ok(numbers)
    }

    fn attempt(&self, number: u32) -> Result<Option<Attempt>, StoreError> {
        let bytes = read_bytes(&self.attempt_path(number))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn attempt_path(&self, number: u32) -> std::path::PathBuf {
        self.path().join(format!("attempt-{number}.json"))
    }
}
