//! One task of an array, on the machine it was given.

use harness_records::record::Status;
use harness_records::store::{Store, TrialState};
use harness_records::trial::Trial;

use super::{Cluster, ClusterError};
use crate::event::Event;
use crate::execute::{Control, End, Executor};
use crate::worker::{Decision, decide};

/// A task that was restarted this often without getting a single step further is not run again.
const RESTARTS_WITHOUT_PROGRESS: u32 = 3;

/// What a task needs.
pub struct TaskRun<'a> {
    /// Where trials are kept.
    pub store: &'a Store,
    /// What runs a trial here.
    pub executor: &'a dyn Executor,
    /// What runs the task.
    pub cluster: &'a dyn Cluster,
    /// The task's own trial, then others that it may take when somebody else has that.
    pub trials: &'a [Trial],
    /// Run its own trial again although it failed for a reason of its own.
    pub retry_failed: bool,
    /// Whether the cluster has said that time is nearly up.
    pub time_is_up: &'a dyn Fn() -> bool,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEnd {
    /// A trial ended well, or nothing was left to do.
    Well,
    /// A trial did not end well, or was stopped.
    Badly,
    /// Its trial has a checkpoint, and the task will run again.
    Requeued,
    /// Its trial was stopped three times in a row before its first step.
    NoProgress,
}

impl TaskRun<'_> {
    /// Runs one trial: its own, or where somebody else has that, the first that nobody works on or has failed at.
    ///
    /// # Errors
    /// When no worker can be started, or the cluster does not run the task again.
    pub fn run(&self, watch: &mut dyn FnMut(&Event) -> Control) -> Result<TaskEnd, ClusterError> {
        for (number, trial) in self.trials.iter().enumerate() {
            let state = self.store.trial(&trial.sweep, &trial.id).state();
            let begin = match decide(&state, self.retry_failed) {
                Decision::Run(_) | Decision::Resume { .. } if number == 0 => true,
                // Perhaps by this very task, before its machine failed: the executor finds out.
                Decision::Skip(_) => number == 0,
                _ => number > 0 && self.is_untouched(trial, &state),
            };
            if !begin {
                continue;
            }
            let mut learned = false;
            let mut watching = |event: &Event| {
                learned |= matches!(event, Event::Step { .. } | Event::Epoch { .. });
                watch(event)
            };
            let outcomes = self.executor.execute(std::slice::from_ref(trial), &mut watching)?;
            match outcomes.into_iter().find(|outcome| outcome.id == trial.id).map(|outcome| outcome.end) {
                Some(End::Recorded { status: Status::Ok, .. }) => return Ok(TaskEnd::Well),
                // Somebody else was faster.
                Some(End::Passed(_)) => {}
                Some(End::Stopped) if (self.time_is_up)() => return self.again(learned),
                _ => return Ok(TaskEnd::Badly),
            }
        }
        Ok(TaskEnd::Well)
    }

    fn again(&self, learned: bool) -> Result<TaskEnd, ClusterError> {
        if !learned && self.cluster.restarts() + 1 >= RESTARTS_WITHOUT_PROGRESS {
            return Ok(TaskEnd::NoProgress);
        }
        self.cluster.requeue_this_task()?;
        Ok(TaskEnd::Requeued)
    }

    /// Nobody works on it, nobody has failed at it, and it can begin.
    fn is_untouched(&self, trial: &Trial, state: &TrialState) -> bool {
        let done = |id: &str| matches!(self.store.trial(&trial.sweep, id).state(), TrialState::Done(_));
        matches!(state, TrialState::New | TrialState::Partial(_)) && trial.config.train.needs().all(done)
    }
}
