//! Trials on the machines of a cluster.
//!
//! The cluster only starts processes. An array has one task a trial; a task claims its trial in the runs folder, like
//! every other worker, and takes another one of the array when somebody else has it. What became of a trial is read in
//! the runs folder too, so nothing here needs the cluster's own accounting.
//!
//! | module | what |
//! | --- | --- |
//! | `submit` | what is left of a sweep, as arrays of tasks; nothing is submitted twice |
//! | `task` | one task, on the machine it was given |
//! | `status` | how far a sweep is |
//! | `slurm` | the command line of Slurm |
//! | `mock` | the same without a cluster: the tasks run here, one after the other |

mod mock;
mod slurm;
mod status;
mod submit;
mod task;

use std::path::Path;

use harness_records::store::StoreError;
use harness_records::submission::Submission;

pub use mock::Mock;
pub use slurm::Slurm;
pub use status::{Counts, SweepStatus, TrialPhase, TrialStatus, status};
pub use submit::{Submitted, Submitter, cancel};
pub use task::{TaskEnd, TaskRun};

/// Something that runs arrays of tasks on machines that see the runs folder.
pub trait Cluster {
    /// What submissions to it are marked with, `slurm`.
    fn kind(&self) -> &'static str;

    /// Most tasks of one array.
    ///
    /// # Errors
    /// When the cluster does not answer, or runs no arrays.
    fn largest_array(&self) -> Result<usize, ClusterError>;

    /// Variable of a task's environment that holds its number in the array, from 0.
    fn task_variable(&self) -> &'static str;

    /// The script of a task: these shell commands, and whatever else the cluster wants to be told in it.
    fn script(&self, commands: &str) -> String;

    /// Hands an array in; what the cluster calls it.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    fn submit(&self, array: &Array<'_>) -> Result<String, ClusterError>;

    /// Every task that the cluster still knows of these submissions: one question, however many there are.
    ///
    /// # Errors
    /// When the cluster does not answer.
    fn poll(&self, submissions: &[&Submission]) -> Result<Vec<Task>, ClusterError>;

    /// How tasks of these jobs ended that [`Cluster::poll`] no longer knows, as far as anybody keeps account of it.
    fn past(&self, jobs: &[&str]) -> Vec<Task>;

    /// Ends all tasks of these jobs.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    fn cancel(&self, jobs: &[&str]) -> Result<(), ClusterError>;

    /// In a task: has it run again once it has ended.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    fn requeue_this_task(&self) -> Result<(), ClusterError>;

    /// In a task: how often it was run before.
    fn restarts(&self) -> u32;
}

/// An array to submit.
#[derive(Debug)]
pub struct Array<'a> {
    /// Name of the job.
    pub name: &'a str,
    /// Script of every task.
    pub script: &'a Path,
    /// Folder of what tasks say.
    pub logs: &'a Path,
    /// Number of tasks.
    pub tasks: usize,
    /// Tasks at the same time.
    pub at_once: Option<u64>,
    /// Jobs that have to end first, well or not.
    pub after: &'a [String],
}

/// A task as the cluster sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What the cluster calls its job.
    pub job: String,
    /// Name of its submission; empty where the cluster does not tell.
    pub name: String,
    /// Its number in the array.
    pub index: usize,
    /// How far it is.
    pub state: TaskState,
    /// Why it waits, or how it ended, in the cluster's words.
    pub reason: String,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It has not begun, or will begin again.
    Waiting,
    /// It runs.
    Running,
    /// It will not run again.
    Ended,
}

impl Task {
    /// What people call it, `123_4`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}_{}", self.job, self.index)
    }
}

/// What can go wrong with a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// One of its commands is not there.
    #[error("cannot run `{program}`: {source}; is this a machine of the cluster?")]
    Absent {
        /// The command.
        program: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// One of its commands failed.
    #[error("`{command}` failed: {message}")]
    Refused {
        /// The command with its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// One of its commands said something unexpected.
    #[error("`{command}` said `{line}`, expected {expected}")]
    Odd {
        /// The command.
        command: &'static str,
        /// What it said.
        line: String,
        /// What it should have said.
        expected: &'static str,
    },
    /// Arrays are switched off.
    #[error("this cluster runs no arrays of jobs (its MaxArraySize is 0)")]
    NoArrays,
    /// Somebody else is submitting the same sweep.
    #[error("another process is submitting this sweep just now")]
    Busy,
    /// The runs folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task that cannot run its trial.
    #[error(transparent)]
    Execute(#[from] super::ExecuteError),
}

/// A word of a shell command, quoted whatever is in it.
#[must_use]
pub fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
