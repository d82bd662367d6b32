//! A cluster that is none: the tasks of an array run on this machine, one after the other, in the background.
//!
//! It takes the same scripts, so a sweep's set-up commands can be tried out, and everything but the command line of a
//! cluster is tested with it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use harness_records::submission::Submission;

use super::{Array, Cluster, ClusterError, Task, TaskState};

/// Runs the tasks of one array. Arguments: script, what the names of its files begin with, number of tasks, processes
/// to wait for. What a task leaves: its log, and a file `.exit` with its exit code.
const LOOP: &str = r#"
script=$1 prefix=$2 tasks=$3
shift 3
for pid; do
    while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
done
HARNESS_TASK=0
export HARNESS_TASK HARNESS_RESTARTS HARNESS_REQUEUE
while [ "$HARNESS_TASK" -lt "$tasks" ]; do
    HARNESS_RESTARTS=0
    HARNESS_REQUEUE=$prefix-$HARNESS_TASK.requeue
    while :; do
        sh "$script" >> "$prefix-$HARNESS_TASK.log" 2>&1
        code=$?
        [ -e "$HARNESS_REQUEUE" ] || break
        rm "$HARNESS_REQUEUE"
        HARNESS_RESTARTS=$((HARNESS_RESTARTS + 1))
    done
    echo "$code" > "$prefix-$HARNESS_TASK.exit"
    HARNESS_TASK=$((HARNESS_TASK + 1))
done
"#;

/// Runs tasks on this machine.
#[derive(Debug, Clone)]
pub struct Mock {
    /// Folder of the submissions.
    pub folder: PathBuf,
    /// Most tasks of one array.
    pub largest_array: usize,
}

impl Cluster for Mock {
    fn kind(&self) -> &'static str {
        "mock"
    }

    fn largest_array(&self) -> Result<usize, ClusterError> {
        Ok(self.largest_array)
    }

    fn task_variable(&self) -> &'static str {
        "HARNESS_TASK"
    }

    fn script(&self, commands: &str) -> String {
        format!("#!/bin/sh\n{commands}")
    }

    fn submit(&self, array: &Array<'_>) -> Result<String, ClusterError> {
        let mut command = Command::new("sh");
        command.args(["-c", LOOP, "tasks"]).arg(array.script).arg(array.logs.join(array.name));
        command.arg(array.tasks.to_string()).args(array.after);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that it outlives Ctrl-C and can be ended as a whole.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| ClusterError::Absent { program: "sh", source })?;
        let job = child.id().to_string();
        // Whoever lives on must not keep a zombie that looks alive.
        thread::spawn(move || child.wait());
        Ok(job)
    }

    fn poll(&self, submissions: &[&Submission]) -> Result<Vec<Task>, ClusterError> {
        Ok(submissions.iter().flat_map(|submission| self.tasks(submission)).collect())
    }

    fn past(&self, _: &[&str]) -> Vec<Task> {
        Vec::new()
    }

    fn cancel(&self, jobs: &[&str]) -> Result<(), ClusterError> {
        let groups = jobs.iter().map(|job| format!("-{job}"));
        let killed = Command::new("kill").args(["-TERM", "--"]).args(groups).stderr(Stdio::null()).status();
        // One that has just ended is no error.
        killed.map(drop).map_err(|source| ClusterError::Absent { program: "kill", source })
    }

    fn requeue_this_task(&self) -> Result<(), ClusterError> {
        let written = env::var("HARNESS_REQUEUE").map_err(io::Error::other).and_then(|path| fs::write(path, ""));
        written.map_err(|error| ClusterError::Refused { command: "requeue".to_owned(), message: error.to_string() })
    }

    fn restarts(&self) -> u32 {
        env::var("HARNESS_RESTARTS").ok().and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Mock {
    fn tasks(&self, submission: &Submission) -> Vec<Task> {
        let Some(job) = &submission.job else { return Vec::new() };
        let alive = Path::new("/proc").join(job).exists();
        let mut before_ended = true;
        let states = (0..submission.trials.len()).map(|index| {
            let code = fs::read_to_string(self.folder.join(format!("{}-{index}.exit", submission.name)));
            let (state, reason) = match code.as_deref().map(str::trim) {
                Ok("0") => (TaskState::Ended, "COMPLETED".to_owned()),
                Ok(code) => (TaskState::Ended, format!("FAILED, exit code {code}")),
                Err(_) if !alive => (TaskState::Ended, "CANCELLED".to_owned()),
                Err(_) if before_ended => (TaskState::Running, String::new()),
                Err(_) => (TaskState::Waiting, "JobArrayTaskLimit".to_owned()),
            };
            before_ended = state == TaskState::Ended;
            Task { job: job.clone(), name: submission.name.clone(), index, state, reason }
        });
        states.collect()
    }
}
