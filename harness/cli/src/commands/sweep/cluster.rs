//! `harness sweep --executor slurm`, `harness status` and `harness cancel`.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Args;
use harness_engine::device::DeviceChoice;
use harness_engine::execute::cluster::{
    Cluster, ClusterError, Counts, Mock, Slurm, Submitted, Submitter, SweepStatus, TrialPhase, TrialStatus, cancel,
    status,
};
use harness_engine::prepare::Prepared;
use harness_records::slurm::SlurmOptions;
use harness_records::spec::SweepSpec;
use harness_records::store::Store;
use harness_records::submission::Submissions;
use harness_records::trial::Trial;
use serde_json::{Value, json};

use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};
use crate::rules::RuleArguments;
use crate::shared_arguments::Volume;

/// Time between two questions to a cluster: its controller serves everybody.
const POLL_EVERY: Duration = Duration::from_secs(30);
/// The same for the cluster that is none.
const MOCK_POLL_EVERY: Duration = Duration::from_millis(200);
/// Trials that a status names in each state, unless asked for more.
const NAMED: usize = 20;
/// Slurm's own default; more than anybody waits for on one machine.
const MOCK_ARRAY: usize = 1001;

/// What a cluster is asked for; each goes over the key of the same name under `slurm:` in the sweep file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "On a cluster (over `slurm:` in the sweep file)")]
pub(crate) struct Flags {
    /// Partition
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account that is charged
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// GPUs of a task: a number, or a type and a number such as a100:1
    #[arg(long, value_name = "GPUS")]
    gpus: Option<String>,
    /// CPU cores of a task; by default the threads of the trial that has most
    #[arg(long, value_name = "N")]
    cpus: Option<u64>,
    /// Memory of a task, such as 16G
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Time limit of a task, such as 4:00:00; a trial that needs longer goes on in the next one
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Tasks at the same time
    #[arg(long, value_name = "N")]
    throttle: Option<u64>,
    /// Seconds before the time limit at which a trial writes its checkpoint [default: 120]
    #[arg(long, value_name = "SECONDS")]
    notice: Option<u64>,
    /// One more option of sbatch, such as --sbatch=--constraint=a100 (repeatable)
    #[arg(long = "sbatch", value_name = "OPTION", allow_hyphen_values = true)]
    extra: Vec<String>,
    /// Shell command before each trial, such as 'module load cuda' (repeatable)
    #[arg(long, value_name = "COMMAND")]
    setup: Vec<String>,
}

impl Flags {
    /// The options that were given: the flag, the key under `slurm:` that it goes over, and the value.
    fn given(&self) -> Vec<(&'static str, &'static str, Value)> {
        let text = |value: &Option<String>| value.as_ref().map(|text| json!(text));
        let number = |value: Option<u64>| value.map(|number| json!(number));
        let lines = |lines: &[String]| (!lines.is_empty()).then(|| json!(lines));
        let all = [
            ("--partition", "partition", text(&self.partition)),
            ("--account", "account", text(&self.account)),
            ("--gpus", "gpus", text(&self.gpus)),
            ("--cpus", "cpus", number(self.cpus)),
            ("--memory", "memory", text(&self.memory)),
            ("--time", "time", text(&self.time)),
            ("--throttle", "throttle", number(self.throttle)),
            ("--notice", "notice", number(self.notice)),
            ("--sbatch", "extra", lines(&self.extra)),
            ("--setup", "setup", lines(&self.setup)),
        ];
        all.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))).collect()
    }

    /// The first of these flags that was given.
    pub(crate) fn first(&self) -> Option<&'static str> {
        self.given().first().map(|(flag, ..)| *flag)
    }

    /// The same as arguments of `--set`. JSON is YAML with every text quoted, so no part of a text is read as a number
    /// or a comment.
    pub(crate) fn sets(&self) -> Vec<String> {
        self.given().iter().map(|(_, key, value)| format!("slurm.{key}={value}")).collect()
    }
}

/// A cluster of this kind, as submissions name it.
pub(crate) fn cluster_of(kind: &str, options: &SlurmOptions, threads: u64, folder: &Path) -> Option<Box<dyn Cluster>> {
    match kind {
        "slurm" => Some(Box::new(Slurm { options: options.clone(), threads })),
        "mock" => Some(Box::new(Mock { folder: folder.to_owned(), largest_array: MOCK_ARRAY })),
        _ => None,
    }
}

/// A sweep and the cluster it is for.
pub(crate) struct Campaign<'a> {
    pub(crate) spec: &'a SweepSpec,
    pub(crate) trials: &'a [Trial],
    pub(crate) store: &'a Store,
    pub(crate) volume: Volume,
    pub(crate) json: bool,
}

/// Settings of the sweep that every task is given too.
pub(crate) struct TaskSettings<'a> {
    pub(crate) runs: &'a Path,
    pub(crate) device: DeviceChoice,
    pub(crate) rules: &'a RuleArguments,
    pub(crate) retries: u32,
}

impl Campaign<'_> {
    fn cluster(&self, kind: &str) -> Option<Box<dyn Cluster>> {
        let threads = self.trials.iter().map(|trial| trial.config.train.threads).max().unwrap_or(1);
        let submissions = Submissions::of(self.store, &self.spec.name);
        cluster_of(kind, &self.spec.slurm, u64::from(threads), submissions.folder())
    }

    fn known(&self, kind: &str) -> Result<Box<dyn Cluster>, Stop> {
        self.cluster(kind).ok_or_else(|| refuse(format_args!("there is no cluster `{kind}`")))
    }

    /// What every task would run, were the sweep submitted.
    pub(crate) fn script(&self, kind: &str, told: &TaskSettings<'_>) -> Result<String, Stop> {
        let cluster = self.known(kind)?;
        Ok(self.submitter(&*cluster, told)?.script(&format!("{}-SUBMISSION", self.spec.name)))
    }

    /// Submits what is left to run; with `wait`, returns once nothing of it waits or runs.
    pub(crate) fn submit(
        &self,
        kind: &str,
        prepared: &[Prepared],
        told: &TaskSettings<'_>,
        wait: bool,
    ) -> Result<(), Stop> {
        let cluster = self.known(kind)?;
        let open: Vec<Trial> = prepared.iter().filter(|p| p.decision.runs()).map(|p| p.trial.clone()).collect();
        let submitted = self.submitter(&*cluster, told)?.submit(&open).map_err(refused)?;
        self.say_submitted(&submitted, prepared.len() - open.len(), wait)?;
        if wait { self.wait(kind) } else { Ok(()) }
    }

    fn submitter<'a>(&'a self, cluster: &'a dyn Cluster, told: &TaskSettings<'_>) -> Result<Submitter<'a>, Stop> {
        Ok(Submitter {
            cluster,
            store: self.store,
            sweep: &self.spec.name,
            at_once: self.spec.slurm.throttle,
            setup: &self.spec.slurm.setup,
            directory: std::env::current_dir()?,
            command: task_command(&self.spec.name, cluster.kind(), told)?,
        })
    }

    fn say_submitted(&self, submitted: &Submitted, skipped: usize, wait: bool) -> Result<(), Stop> {
        let Submitted { tasks, jobs, covered } = submitted;
        if !self.volume.quiet {
            let jobs = jobs.join(", ");
            let what =
                if *tasks > 0 { format!("{tasks} tasks submitted as {jobs}") } else { "nothing to submit".into() };
            talk(format_args!("{}: {what}; {covered} trials have a task already, {skipped} to skip", self.spec.name));
        }
        if self.json && !wait {
            print_json(&json!({
                "sweep": self.spec.name, "submitted": tasks, "jobs": jobs, "covered": covered, "skipped": skipped,
            }))?;
        }
        Ok(())
    }

    fn wait(&self, kind: &str) -> Result<(), Stop> {
        let every = if kind == "mock" { MOCK_POLL_EVERY } else { POLL_EVERY };
        let mut said = None;
        loop {
            let status = self.look()?;
            if said != Some(status.counts) && !self.volume.quiet {
                talk(counts_line(&status));
            }
            said = Some(status.counts);
            // A cluster that does not answer for once may still have tasks.
            if status.cluster.is_none() && status.counts.waiting + status.counts.running == 0 {
                return Ok(());
            }
            thread::sleep(every);
        }
    }

    fn look(&self) -> Result<SweepStatus, Stop> {
        Ok(status(&self.spec.name, self.trials, self.store, &|kind| self.cluster(kind))?)
    }

    /// Prints how far the sweep is.
    pub(crate) fn status(&self) -> Outcome {
        let status = self.look()?;
        if self.json {
            return Ok(print_json(&status)?);
        }
        print(counts_line(&status))?;
        if let Some(problem) = &status.cluster {
            talk(format_args!("the cluster could not be asked, this is what the runs folder says: {problem}"));
        }
        let states = [TrialPhase::Running, TrialPhase::Failed, TrialPhase::Open, TrialPhase::Waiting];
        let states: &[TrialPhase] = if self.volume.verbose {
            &[TrialPhase::Done, TrialPhase::Running, TrialPhase::Failed, TrialPhase::Open, TrialPhase::Waiting]
        } else {
            &states
        };
        let mut rows = Vec::new();
        for state in states {
            let all: Vec<&TrialStatus> = status.trials.iter().filter(|trial| trial.state == *state).collect();
            let named = if self.volume.verbose { all.len() } else { NAMED };
            rows.extend(all.iter().take(named).map(|trial| row(trial)));
            if all.len() > named {
                let more = format!("and {} more (-v shows them)", all.len() - named);
                rows.push(vec![more, String::new(), word(*state).to_owned(), String::new(), String::new()]);
            }
        }
        if !rows.is_empty() {
            print(columns(&["trial", "what", "is", "task", "because"], &rows))?;
        }
        Ok(())
    }

    /// Ends the tasks of the sweep.
    pub(crate) fn cancel(&self) -> Outcome {
        let submissions = Submissions::of(self.store, &self.spec.name).list()?;
        let mut kinds: Vec<&str> = submissions.iter().map(|submission| submission.cluster.as_str()).collect();
        kinds.dedup();
        let mut ended = 0;
        for kind in kinds {
            let cluster = self.known(kind)?;
            ended += cancel(&*cluster, self.store, &self.spec.name)?;
        }
        if self.json {
            return Ok(print_json(&json!({"sweep": self.spec.name, "cancelled": ended}))?);
        }
        talk(format_args!("{}: {ended} tasks cancelled; trials keep their checkpoints", self.spec.name));
        Ok(())
    }
}

/// What the cluster refuses was asked for in the sweep file or on the command line.
fn refused(error: ClusterError) -> Stop {
    match error {
        ClusterError::Refused { .. } | ClusterError::Absent { .. } | ClusterError::NoArrays => refuse(error),
        other => Stop::Broken(other.into()),
    }
}

fn task_command(sweep: &str, kind: &str, told: &TaskSettings<'_>) -> Result<Vec<String>, Stop> {
    let text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|path| refuse(format_args!("the path {path:?} is no UTF-8")))
    };
    let mut command = vec![text(std::env::current_exe()?)?, "task".to_owned()];
    command.extend(["--runs".to_owned(), text(std::path::absolute(told.runs)?)?]);
    for (option, value) in [("--sweep", sweep.to_owned()), ("--cluster", kind.to_owned())] {
        command.extend([option.to_owned(), value]);
    }
    command.extend(["--device".to_owned(), told.device.to_string(), "--retries".to_owned(), told.retries.to_string()]);
    command.extend(told.rules.for_worker().into_iter().map(|word| word.to_string_lossy().into_owned()));
    Ok(command)
}

fn counts_line(status: &SweepStatus) -> String {
    let Counts { waiting, running, done, failed, open } = status.counts;
    let open = if open > 0 { format!(", {open} not running") } else { String::new() };
    format!("{}: {waiting} waiting, {running} running, {done} done, {failed} failed{open}", status.sweep)
}

fn word(state: TrialPhase) -> &'static str {
    match state {
        TrialPhase::Waiting => "waiting",
        TrialPhase::Running => "running",
        TrialPhase::Done => "done",
        TrialPhase::Failed => "failed",
        TrialPhase::Open => "not running",
    }
}

fn row(trial: &TrialStatus) -> Vec<String> {
    let reason = match trial.metrics.as_ref() {
        Some(metrics) => metrics.top1.map_or_else(
            || metrics.perplexity.map_or_else(String::new, |p| format!("perplexity {p:.2}")),
            |top1| format!("top-1 {:.2}%", 100.0 * top1),
        ),
        None => trial.reason.clone(),
    };
    let task = trial.task.clone().unwrap_or_default();
    vec![trial.id.clone(), trial.label.clone(), word(trial.state).to_owned(), task, reason]
}
