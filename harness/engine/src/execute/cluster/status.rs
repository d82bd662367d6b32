//! How far a sweep is: what the runs folder says, and what one question to the cluster adds.

use std::collections::{BTreeSet, HashMap};

use harness_records::record::{Metrics, Status};
use harness_records::store::{Store, TrialState};
use harness_records::submission::{Submission, Submissions};
use harness_records::trial::Trial;
use serde::Serialize;

use super::{Cluster, ClusterError, Task, TaskState};

/// How far a sweep is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepStatus {
    /// Name of the sweep.
    pub sweep: String,
    /// How many trials are how far.
    pub counts: Counts,
    /// Why the cluster could not be asked, if it could not.
    pub cluster: Option<String>,
    /// Every trial, in the order of the sweep.
    pub trials: Vec<TrialStatus>,
}

/// How many trials are how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Nobody works on it, but a task of the cluster will.
    pub waiting: usize,
    /// Somebody works on it.
    pub running: usize,
    /// It ended well.
    pub done: usize,
    /// It diverged or failed.
    pub failed: usize,
    /// Nobody works on it, and nobody is going to.
    pub open: usize,
}

/// How far a trial is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialStatus {
    /// Trial id.
    pub id: String,
    /// Short name for people.
    pub label: String,
    /// How far.
    pub state: TrialPhase,
    /// Why it is not further: what it waits for, where it runs, how it failed.
    pub reason: String,
    /// Its task on the cluster.
    pub task: Option<String>,
    /// Metrics of a trial that ended well.
    pub metrics: Option<Metrics>,
}

/// See [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialPhase {
    /// See [`Counts::waiting`].
    Waiting,
    /// See [`Counts::running`].
    Running,
    /// See [`Counts::done`].
    Done,
    /// See [`Counts::failed`].
    Failed,
    /// See [`Counts::open`].
    Open,
}

/// How far these trials of a sweep are. `cluster_of` gives the cluster of a kind; it is asked only for submissions
/// that may have tasks left.
///
/// # Errors
/// The submissions cannot be read. A cluster that does not answer is said in the result instead.
pub fn status(
    sweep: &str,
    trials: &[Trial],
    store: &Store,
    cluster_of: &dyn Fn(&str) -> Option<Box<dyn Cluster>>,
) -> Result<SweepStatus, ClusterError> {
    let submissions: Vec<Submission> = Submissions::of(store, sweep).list()?;
    let asked = Asked::new(&submissions, cluster_of);
    let mut trials: Vec<TrialStatus> = trials.iter().map(|trial| look(trial, store, &asked)).collect();
    asked.explain(&mut trials, &submissions, cluster_of);
    let mut counts = Counts::default();
    for trial in &trials {
        *match trial.state {
            TrialPhase::Waiting => &mut counts.waiting,
            TrialPhase::Running => &mut counts.running,
            TrialPhase::Done => &mut counts.done,
            TrialPhase::Failed => &mut counts.failed,
            TrialPhase::Open => &mut counts.open,
        } += 1;
    }
    Ok(SweepStatus { sweep: sweep.to_owned(), counts, cluster: asked.problem, trials })
}

/// What the cluster says.
#[derive(Default)]
struct Asked {
    /// The last task of each trial.
    tasks: HashMap<String, Task>,
    problem: Option<String>,
}

impl Asked {
    fn new(submissions: &[Submission], cluster_of: &dyn Fn(&str) -> Option<Box<dyn Cluster>>) -> Asked {
        let mut asked = Asked::default();
        let open: Vec<&Submission> = submissions.iter().filter(|submission| !submission.over).collect();
        let kinds: BTreeSet<&str> = open.iter().map(|submission| submission.cluster.as_str()).collect();
        for kind in kinds {
            let mine: Vec<&Submission> = open.iter().filter(|s| s.cluster == kind).copied().collect();
            let Some(cluster) = cluster_of(kind) else {
                asked.problem = Some(format!("it was submitted to `{kind}`, which this version does not know"));
                continue;
            };
            match cluster.poll(&mine) {
                Ok(tasks) => asked.take(&mine, tasks),
                Err(error) => asked.problem = Some(error.to_string()),
            }
        }
        asked
    }

    /// Submissions come with the oldest first: a later task of a trial takes the place of an earlier one.
    fn take(&mut self, submissions: &[&Submission], tasks: Vec<Task>) {
        let order: HashMap<&str, usize> = submissions.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
        let mut tasks: Vec<(usize, Task)> =
            tasks.into_iter().filter_map(|task| Some((*order.get(task.name.as_str())?, task))).collect();
        tasks.sort_by_key(|(order, _)| *order);
        for (order, task) in tasks {
            if let Some(id) = submissions[order].trials.get(task.index) {
                self.tasks.insert(id.clone(), task);
            }
        }
    }

    /// Says of trials that nobody is going to run how their last task ended, where anybody keeps account of it.
    fn explain(
        &self,
        trials: &mut [TrialStatus],
        submissions: &[Submission],
        cluster_of: &dyn Fn(&str) -> Option<Box<dyn Cluster>>,
    ) {
        let left: HashMap<String, usize> = trials
            .iter()
            .enumerate()
            .filter(|(_, trial)| trial.state == TrialPhase::Open && trial.task.is_none())
            .map(|(index, trial)| (trial.id.clone(), index))
            .collect();
        let concerned = |submission: &&Submission| submission.trials.iter().any(|id| left.contains_key(id));
        let submissions: Vec<&Submission> = submissions.iter().filter(concerned).collect();
        let kinds: BTreeSet<&str> = submissions.iter().map(|submission| submission.cluster.as_str()).collect();
        for (kind, cluster) in kinds.into_iter().filter_map(|kind| Some((kind, cluster_of(kind)?))) {
            let mine = submissions.iter().filter(|submission| submission.cluster == kind);
            let of_job: HashMap<&str, &Submission> = mine.filter_map(|s| Some((s.job.as_deref()?, *s))).collect();
            let jobs: Vec<&str> = of_job.keys().copied().collect();
            for task in cluster.past(&jobs) {
                let id = of_job.get(task.job.as_str()).and_then(|submission| submission.trials.get(task.index));
                if let Some(&index) = id.and_then(|id| left.get(id)) {
                    trials[index].task = Some(task.shown());
                    trials[index].reason = ended(&trials[index].reason, &task);
                }
            }
        }
    }
}

fn ended(reason: &str, task: &Task) -> String {
    format!("{reason}; its task {} ended: {}", task.shown(), task.reason)
}

fn look(trial: &Trial, store: &Store, asked: &Asked) -> TrialStatus {
    let task = asked.tasks.get(&trial.id);
    let live = task.filter(|task| task.state != TaskState::Ended);
    let mut metrics = None;
    let (state, reason) = match (store.trial(&trial.sweep, &trial.id).state(), live) {
        (TrialState::Done(record), _) => {
            metrics = record.metrics;
            (TrialPhase::Done, String::new())
        }
        (TrialState::Running { owner, .. }, _) => {
            let place = owner.map_or_else(String::new, |owner| format!("on {}, process {}", owner.host, owner.pid));
            (TrialPhase::Running, place)
        }
        // A task that has its trial behind it may be at another one.
        (TrialState::Failed(record), _) if live.is_none_or(|task| task.state == TaskState::Running) => {
            let how = if record.status == Status::Diverged { "diverged" } else { "failed" };
            let error = record.error.map_or_else(String::new, |e| format!(" ({}): {}", e.class.name(), e.message));
            (TrialPhase::Failed, format!("{how}{error}"))
        }
        (state, Some(task)) => {
            let epochs = match state {
                TrialState::Partial(epochs) => format!("{epochs} epochs done, "),
                _ => String::new(),
            };
            match task.state {
                TaskState::Running => (TrialPhase::Running, format!("{epochs}its task has just begun")),
                _ if task.reason.is_empty() => (TrialPhase::Waiting, format!("{epochs}its task waits")),
                _ => (TrialPhase::Waiting, format!("{epochs}its task waits: {}", task.reason)),
            }
        }
        (state, None) => {
            let done = |id: &&str| matches!(store.trial(&trial.sweep, id).state(), TrialState::Done(_));
            let what = match (state, trial.config.train.needs().find(|id| !done(id))) {
                (TrialState::Partial(epochs), _) => format!("not running, {epochs} epochs done"),
                (TrialState::Broken(reason), _) => format!("not running, its record cannot be used: {reason}"),
                (_, Some(id)) => format!("not running, it builds on {id}, which has not ended well"),
                _ => "not running".to_owned(),
            };
            (TrialPhase::Open, task.map_or_else(|| what.clone(), |task| ended(&what, task)))
        }
    };
    let task = task.map(Task::shown);
    TrialStatus { id: trial.id.clone(), label: trial.label.clone(), state, reason, task, metrics }
}
