//! Slurm, through its command line: `sbatch`, `squeue`, `scancel`, `scontrol`, and `sacct` where it answers.

use std::env;
use std::process::Command;

use harness_records::slurm::SlurmOptions;
use harness_records::submission::Submission;

use super::{Array, Cluster, ClusterError, Task, TaskState};

/// A Slurm cluster that this machine belongs to.
#[derive(Debug, Clone)]
pub struct Slurm {
    /// What a task asks for.
    pub options: SlurmOptions,
    /// Cores of a task where the options say nothing.
    pub threads: u64,
}

impl Cluster for Slurm {
    fn kind(&self) -> &'static str {
        "slurm"
    }

    fn largest_array(&self) -> Result<usize, ClusterError> {
        let answer = ask("scontrol", &["show".to_owned(), "config".to_owned()])?;
        match largest_array(&answer) {
            Some(0) => Err(ClusterError::NoArrays),
            Some(size) => Ok(size),
            None => Err(ClusterError::Odd {
                command: "scontrol show config",
                line: answer.lines().next().unwrap_or_default().to_owned(),
                expected: "a line `MaxArraySize = NUMBER`",
            }),
        }
    }

    fn task_variable(&self) -> &'static str {
        "SLURM_ARRAY_TASK_ID"
    }

    fn script(&self, commands: &str) -> String {
        let SlurmOptions { partition, account, gpus, cpus, memory, time, notice, extra, .. } = &self.options;
        let option = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
        // A short time limit leaves less than the usual notice.
        let notice = self.options.limit_seconds().map_or(*notice, |limit| (*notice).min(limit / 2));
        let fixed = [
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", cpus.unwrap_or(self.threads)),
            "--requeue".to_owned(),
            "--open-mode=append".to_owned(),
            // To the script alone, which is harness by then; USR1 would be taken by NCCL.
            format!("--signal=B:USR2@{notice}"),
        ];
        let chosen = [
            option("partition", partition),
            option("account", account),
            gpus.as_ref().map(|gpus| format!("--gres=gpu:{gpus}")),
            option("mem", memory),
            option("time", time),
        ];
        let mut lines = vec!["#!/bin/bash".to_owned()];
        let all = fixed.into_iter().chain(chosen.into_iter().flatten()).chain(extra.iter().cloned());
        lines.extend(all.map(|option| format!("#SBATCH {option}")));
        // The signal may come before harness listens. SIGTERM follows then, and it is better to have set up by that time.
        lines.push("trap '' USR2".to_owned());
        lines.push(commands.to_owned());
        lines.join("\n")
    }

    fn submit(&self, array: &Array<'_>) -> Result<String, ClusterError> {
        let answer = ask("sbatch", &submission(array))?;
        let answer = answer.lines().last().unwrap_or_default();
        // With several clusters the answer is `job;cluster`.
        let job = answer.split(';').next().unwrap_or_default().trim();
        if job.is_empty() || !job.bytes().all(|b| b.is_ascii_digit()) {
            let line = answer.to_owned();
            return Err(ClusterError::Odd { command: "sbatch --parsable", line, expected: "the number of a job" });
        }
        Ok(job.to_owned())
    }

    fn poll(&self, submissions: &[&Submission]) -> Result<Vec<Task>, ClusterError> {
        if submissions.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = submissions.iter().map(|submission| submission.name.as_str()).collect();
        let arguments =
            ["--noheader", "--array", "--states=all", "--format=%j|%i|%T|%r"].map(str::to_owned).into_iter();
        let answer = ask("squeue", &arguments.chain([format!("--name={}", names.join(","))]).collect::<Vec<_>>())?;
        Ok(answer.lines().filter_map(queued).filter(|task| names.contains(&task.name.as_str())).collect())
    }

    fn past(&self, jobs: &[&str]) -> Vec<Task> {
        if jobs.is_empty() {
            return Vec::new();
        }
        let arguments =
            ["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode"].map(str::to_owned);
        let jobs = format!("--jobs={}", jobs.join(","));
        // Where nobody keeps account this fails, and nothing more is known.
        let answer = ask("sacct", &arguments.into_iter().chain([jobs]).collect::<Vec<_>>()).unwrap_or_default();
        answer.lines().filter_map(accounted).collect()
    }

    fn cancel(&self, jobs: &[&str]) -> Result<(), ClusterError> {
        if jobs.is_empty() {
            return Ok(());
        }
        // Quiet about jobs that end while this is asked.
        let arguments = [&["--quiet"], jobs].concat();
        ask("scancel", &arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()).map(drop)
    }

    fn requeue_this_task(&self) -> Result<(), ClusterError> {
        let variable = |name: &str| env::var(name).ok();
        let task = match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"), variable("SLURM_JOB_ID")) {
            (Some(job), Some(task), _) => format!("{job}_{task}"),
            (_, _, job) => job.unwrap_or_default(),
        };
        ask("scontrol", &["requeue".to_owned(), task]).map(drop)
    }

    fn restarts(&self) -> u32 {
        env::var("SLURM_RESTART_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

/// The arguments of sbatch. Paths stand here and not in the script, where blanks would end them.
fn submission(array: &Array<'_>) -> Vec<String> {
    let at_once = array.at_once.map_or_else(String::new, |count| format!("%{count}"));
    let log = array.logs.join(array.name).display().to_string();
    let mut arguments = vec![
        "--parsable".to_owned(),
        format!("--job-name={}", array.name),
        format!("--array=0-{}{at_once}", array.tasks.saturating_sub(1)),
        // `%` begins a placeholder.
        format!("--output={}-%a.log", log.replace('%', "%%")),
    ];
    if !array.after.is_empty() {
        arguments.push(format!("--dependency=afterany:{}", array.after.join(":")));
    }
    arguments.push(array.script.display().to_string());
    arguments
}

fn ask(program: &'static str, arguments: &[String]) -> Result<String, ClusterError> {
    let output = Command::new(program)
        .args(arguments)
        // Answers in another language could not be read.
        .env("LC_ALL", "C")
        .output()
        .map_err(|source| ClusterError::Absent { program, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let message = if message.is_empty() { output.status.to_string() } else { message };
    Err(ClusterError::Refused { command: format!("{program} {}", arguments.join(" ")), message })
}

/// The largest number of a task is one less than `MaxArraySize`.
fn largest_array(config: &str) -> Option<usize> {
    let line = config.lines().find_map(|line| line.trim_start().strip_prefix("MaxArraySize"))?;
    line.trim_start().strip_prefix('=')?.trim().parse().ok()
}

/// A line `name|123_4|PENDING|Priority` of squeue.
fn queued(line: &str) -> Option<Task> {
    let mut fields = line.splitn(4, '|').map(str::trim);
    let (name, id, word, reason) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (job, index) = array_id(id)?;
    let state = state(word);
    let reason = match state {
        TaskState::Ended => word.to_owned(),
        _ if reason == "None" => String::new(),
        _ => reason.to_owned(),
    };
    Some(Task { job, name: name.to_owned(), index, state, reason })
}

/// A line `123_4|FAILED|1:0` of sacct.
fn accounted(line: &str) -> Option<Task> {
    let mut fields = line.split('|');
    let (job, index) = array_id(fields.next()?)?;
    // `CANCELLED by 1000`
    let word = fields.next()?.split_whitespace().next()?;
    let code = fields.next().map_or_else(String::new, |code| format!(", exit code {code}"));
    (state(word) == TaskState::Ended).then(|| Task {
        job,
        name: String::new(),
        index,
        state: TaskState::Ended,
        reason: format!("{word}{code}"),
    })
}

fn array_id(id: &str) -> Option<(String, usize)> {
    let (job, index) = id.split_once('_')?;
    Some((job.to_owned(), index.parse().ok()?))
}

/// Words that are not known here count as running: whoever submits again must not add a task to one that lives.
fn state(word: &str) -> TaskState {
    const WAITING: [&str; 6] = ["PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"];
    const ENDED: [&str; 10] = [
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "TIMEOUT",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "OUT_OF_MEMORY",
        "REVOKED",
    ];
    if WAITING.contains(&word) {
        TaskState::Waiting
    } else if ENDED.contains(&word) {
        TaskState::Ended
    } else {
        TaskState::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn answers_are_read_as_slurm_gives_them() {
        let config = "Configuration data as of 2026-11-21\nMaxArraySize            = 1001\nMaxJobCount = 10000\n";
        assert_eq!(largest_array(config), Some(1001));
        assert_eq!(largest_array("MaxArraySize = many"), None);
        let task = |state, reason: &str| {
            Some(Task { job: "12".to_owned(), name: "a-1".to_owned(), index: 3, state, reason: reason.to_owned() })
        };
        assert_eq!(queued("a-1|12_3|PENDING|JobArrayTaskLimit"), task(TaskState::Waiting, "JobArrayTaskLimit"));
        assert_eq!(queued("a-1|12_3|PENDING|a|b"), task(TaskState::Waiting, "a|b"));
        assert_eq!(queued("a-1|12_3|RUNNING|None"), task(TaskState::Running, ""));
        assert_eq!(queued("a-1|12_3|COMPLETING|None"), task(TaskState::Running, ""));
        assert_eq!(queued("a-1|12_3|OUT_OF_MEMORY|OutOfMemory"), task(TaskState::Ended, "OUT_OF_MEMORY"));
        assert_eq!(queued("a-1|12|RUNNING|None"), None);
        let past = accounted("12_3|CANCELLED by 1000|0:15");
        assert_eq!(past.map(|task| (task.index, task.reason)), Some((3, "CANCELLED, exit code 0:15".to_owned())));
        assert_eq!(accounted("12_3|RUNNING|0:0"), None);
        assert_eq!(accounted("Slurm accounting storage is disabled"), None);
    }

    #[test]
    fn a_script_says_what_was_asked_for() {
        let text = |text: &str| Some(text.to_owned());
        let options = SlurmOptions {
            partition: text("gpu"),
            gpus: text("a100:2"),
            memory: text("16G"),
            time: text("1"),
            extra: vec!["--qos=high".to_owned()],
            ..SlurmOptions::default()
        };
        let script = Slurm { options, threads: 3 }.script("set -e\ntrue\n");
        let expected = "#!/bin/bash\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=3\n\
            #SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:USR2@30\n#SBATCH --partition=gpu\n\
            #SBATCH --gres=gpu:a100:2\n#SBATCH --mem=16G\n#SBATCH --time=1\n#SBATCH --qos=high\ntrap '' USR2\nset -e\ntrue\n";
        assert_eq!(script, expected);
    }

    #[test]
    fn sbatch_is_called_with_paths_as_they_are() {
        let array = Array {
            name: "s-1",
            script: Path::new("/my runs/100%/s-1.sh"),
            logs: Path::new("/my runs/100%"),
            tasks: 6,
            at_once: Some(2),
            after: &["7".to_owned(), "8".to_owned()],
        };
        let expected = [
            "--parsable",
            "--job-name=s-1",
            "--array=0-5%2",
            "--output=/my runs/100%%/s-1-%a.log",
            "--dependency=afterany:7:8",
            "/my runs/100%/s-1.sh",
        ];
        assert_eq!(submission(&array), expected);
    }
}
