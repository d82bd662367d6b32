//! What was handed to a cluster: one submission an array of tasks, kept beside the trials.
//!
//! ```text
//! runs/<sweep>/cluster/
//!   <name>.json     Submission: which trial each task is for
//!   <name>.trials   the trials, one JSON object a line, in the order of the tasks
//!   <name>.sh       the script of a task
//!   <name>-<task>.log  what a task said
//!   lease.<n>       who is submitting, see `lease`
//! ```
//!
//! A submission is written down before the cluster hears of it, under a name that is also the name of its job. So a
//! process that dies right after the cluster has accepted the array leaves no array that nobody knows of.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::trial::Trial;
use crate::store::atomic;
use crate::store::error::{StoreError, io_error};
use crate::store::host::host;
use crate::store::lease::Lease;
use crate::store::root::Store;
use crate::store::trial_dir::{Claim, TrialDir};

/// Folder of the submissions of a sweep.
const FOLDER: &str = "cluster";
/// Version of [`Submission`].
const FORMAT: u32 = 1;

/// One array of tasks, `<name>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Version of this file.
    pub format: u32,
    /// What kind of cluster it was handed to, `slurm`.
    pub cluster: String,
    /// Name of the job: that of the sweep and eight hexadecimal digits.
    pub name: String,
    /// Seconds since 1970 UTC.
    pub submitted: u64,
    /// Host that submitted it.
    pub host: String,
    /// What the cluster calls it; `None` until it has said so.
    pub job: Option<String>,
    /// Id of the trial that each task is for.
    pub trials: Vec<String>,
    /// True once no task of it is left, so that nobody needs to ask for it again.
    pub over: bool,
}

/// All submissions of a sweep.
#[derive(Debug, Clone)]
pub struct Submissions {
    dir: TrialDir,
}

impl Submissions {
    /// Those of this sweep. Creates nothing.
    #[must_use]
    pub fn of(store: &Store, sweep: &str) -> Submissions {
        Submissions { dir: store.trial(sweep, FOLDER) }
    }

    /// Their folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Keeps others from submitting while it lives; `None` when another process is just submitting.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn lock(&self) -> Result<Option<Lease>, StoreError> {
        match self.dir.claim()? {
            Claim::Ours(lease) => Ok(Some(lease)),
            Claim::Held(_) | Claim::Finished => Ok(None),
        }
    }

    /// All that can be read, the oldest first.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or of a newer format.
    pub fn list(&self) -> Result<Vec<Submission>, StoreError> {
        let entries = match fs::read_dir(self.folder()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("read", self.folder())(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error("read", self.folder()))?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.extension().is_some_and(|extension| extension == "json") && !hidden {
                all.extend(read(&path)?);
            }
        }
        all.sort_by(|a, b| (a.submitted, &a.name).cmp(&(b.submitted, &b.name)));
        Ok(all)
    }

    /// Writes down that an array for these trials is about to be submitted.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn create(&self, sweep: &str, cluster: &str, trials: &[Trial]) -> Result<Submission, StoreError> {
        let name = format!("{sweep}-{}", &atomic::token()[..8]);
        let mut lines = Vec::new();
        for trial in trials {
            let line = serde_json::to_string(trial).map_err(|error| self.damaged(&name, &error.to_string()))?;
            lines.extend(line.into_bytes());
            lines.push(b'\n');
        }
        self.dir.write(&format!("{name}.trials"), &lines)?;
        let submission = Submission {
            format: FORMAT,
            cluster: cluster.to_owned(),
            name,
            submitted: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            host: host(),
            job: None,
            trials: trials.iter().map(|trial| trial.id.clone()).collect(),
            over: false,
        };
        self.save(&submission)?;
        Ok(submission)
    }

    /// Writes a submission again, changed.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn save(&self, submission: &Submission) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec_pretty(submission)
            .map_err(|error| self.damaged(&submission.name, &error.to_string()))?;
        bytes.push(b'\n');
        self.dir.write(&format!("{}.json", submission.name), &bytes)
    }

    /// Writes the script of a submission's tasks; its path.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn write_script(&self, submission: &Submission, text: &str) -> Result<PathBuf, StoreError> {
        let name = format!("{}.sh", submission.name);
        self.dir.write(&name, text.as_bytes())?;
        Ok(self.folder().join(name))
    }

    /// Forgets a submission that the cluster did not accept.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn withdraw(&self, submission: &Submission) -> Result<(), StoreError> {
        for extension in ["json", "trials", "sh"] {
            let path = self.folder().join(format!("{}.{extension}", submission.name));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The trials of a submission, that of task `first` first, then those behind it, then those before it.
    ///
    /// # Errors
    /// There is no such submission or task, or a line of it is damaged.
    pub fn trials(&self, name: &str, first: usize) -> Result<Vec<Trial>, StoreError> {
        let path = self.folder().join(format!("{name}.trials"));
        let file = fs::File::open(&path).map_err(io_error("read", &path))?;
        let mut trials = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(io_error("read", &path))?;
            trials.push(serde_json::from_str(&line).map_err(|error| self.damaged(name, &error.to_string()))?);
        }
        if first >= trials.len() {
            return Err(self.damaged(name, &format!("it has {} tasks, none of number {first}", trials.len())));
        }
        trials.rotate_left(first);
        Ok(trials)
    }

    fn damaged(&self, name: &str, reason: &str) -> StoreError {
        StoreError::Damaged { path: self.folder().join(format!("{name}.trials")), reason: reason.to_owned() }
    }
}

/// `None` when it has just been withdrawn.
fn read(path: &Path) -> Result<Option<Submission>, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if head.format > FORMAT {
        return Err(damaged(format!(
            "it has format {}, this version reads up to {FORMAT}: use a newer harness",
            head.format
        )));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(error.to_string()))
}
