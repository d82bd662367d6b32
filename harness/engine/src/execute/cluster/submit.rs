//! What is left of a sweep, as arrays of tasks.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use harness_records::store::Store;
use harness_records::submission::{Submission, Submissions};
use harness_records::trial::Trial;

use super::{Array, Cluster, ClusterError, Task, TaskState, shell_quote};

/// Submits what is left of a sweep.
pub struct Submitter<'a> {
    /// Where to.
    pub cluster: &'a dyn Cluster,
    /// Where trials are kept.
    pub store: &'a Store,
    /// Name of the sweep.
    pub sweep: &'a str,
    /// Tasks at the same time, over all arrays.
    pub at_once: Option<u64>,
    /// Shell commands before each trial.
    pub setup: &'a [String],
    /// Folder that tasks work in.
    pub directory: PathBuf,
    /// Program and arguments that run a task; what tells them which one follows.
    pub command: Vec<String>,
}

/// What was submitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submitted {
    /// Tasks that were added.
    pub tasks: usize,
    /// What the cluster calls the arrays.
    pub jobs: Vec<String>,
    /// Trials that already have a task which waits or runs.
    pub covered: usize,
}

impl Submitter<'_> {
    /// Submits a task for each of `open` that has none yet, one array where the cluster's limits and dependencies
    /// between trials allow it.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses, or another process is submitting the same sweep. Arrays that were
    /// accepted before stay, and are found when this is done again.
    pub fn submit(&self, open: &[Trial]) -> Result<Submitted, ClusterError> {
        let submissions = Submissions::of(self.store, self.sweep);
        let _lock = submissions.lock()?.ok_or(ClusterError::Busy)?;
        let live = live(self.cluster, &submissions)?;
        let (covered, left): (Vec<&Trial>, Vec<&Trial>) = open.iter().partition(|trial| live.contains_key(&trial.id));
        let mut submitted = Submitted { covered: covered.len(), ..Submitted::default() };
        if left.is_empty() {
            return Ok(submitted);
        }
        let largest = self.cluster.largest_array()?.max(1);
        let mut before: Vec<String> = Vec::new();
        for level in levels(&left) {
            // What tasks of earlier submissions will have made.
            let needed = level.iter().flat_map(|trial| trial.config.train.needs()).filter_map(|id| live.get(id));
            let after: BTreeSet<String> = before.drain(..).chain(needed.map(|task| task.job.clone())).collect();
            let after: Vec<String> = after.into_iter().collect();
            let chunks: Vec<&[&Trial]> = level.chunks(largest).collect();
            let lanes = self.lanes(chunks.len());
            let mut last: Vec<Option<String>> = vec![None; lanes.len()];
            for (number, chunk) in chunks.into_iter().enumerate() {
                let lane = number % lanes.len();
                let after: Vec<String> = after.iter().cloned().chain(last[lane].take()).collect();
                let job = self.submit_array(&submissions, chunk, lanes[lane], &after)?;
                submitted.tasks += chunk.len();
                submitted.jobs.push(job.clone());
                before.push(job.clone());
                if self.at_once.is_some() {
                    last[lane] = Some(job);
                }
            }
        }
        Ok(submitted)
    }

    /// How many arrays may run at once, and how many tasks of each, so that together they keep to the limit.
    fn lanes(&self, arrays: usize) -> Vec<Option<u64>> {
        let Some(at_once) = self.at_once else { return vec![None; arrays.max(1)] };
        let lanes = u64::try_from(arrays).unwrap_or(u64::MAX).clamp(1, at_once.max(1));
        (0..lanes).map(|lane| Some(at_once / lanes + u64::from(lane < at_once % lanes))).collect()
    }

    fn submit_array(
        &self,
        submissions: &Submissions,
        trials: &[&Trial],
        at_once: Option<u64>,
        after: &[String],
    ) -> Result<String, ClusterError> {
        let trials: Vec<Trial> = trials.iter().map(|trial| (*trial).clone()).collect();
        let mut submission = submissions.create(self.sweep, self.cluster.kind(), &trials)?;
        let script = submissions.write_script(&submission, &self.script(&submission.name))?;
        let array = Array {
            name: &submission.name,
            script: &script,
            logs: submissions.folder(),
            tasks: trials.len(),
            at_once,
            after,
        };
        match self.cluster.submit(&array) {
            Ok(job) => {
                submission.job = Some(job.clone());
                submissions.save(&submission)?;
                Ok(job)
            }
            Err(error) => {
                submissions.withdraw(&submission)?;
                Err(error)
            }
        }
    }

    /// The script of every task of the submission `name`.
    #[must_use]
    pub fn script(&self, name: &str) -> String {
        self.cluster.script(&self.commands(name))
    }

    /// What it does.
    fn commands(&self, name: &str) -> String {
        let mut lines = vec!["set -e".to_owned(), format!("cd {}", shell_quote(&self.directory.display().to_string()))];
        lines.extend(self.setup.iter().cloned());
        let command: Vec<String> = self.command.iter().map(|word| shell_quote(word)).collect();
        // In the place of the shell: signals reach harness itself.
        lines.push(format!(
            "exec {} --submission {} --task \"${}\"\n",
            command.join(" "),
            shell_quote(name),
            self.cluster.task_variable()
        ));
        lines.join("\n")
    }
}

/// Trials in the order in which they can run: each level builds on those before it.
fn levels<'a>(trials: &[&'a Trial]) -> Vec<Vec<&'a Trial>> {
    let mut level_of: HashMap<&str, usize> = HashMap::new();
    let mut levels: Vec<Vec<&Trial>> = Vec::new();
    let mut open: Vec<&Trial> = trials.to_vec();
    let ids: BTreeSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    while !open.is_empty() {
        let number = levels.len();
        let ready = |trial: &Trial| trial.config.train.needs().all(|id| !ids.contains(id) || level_of.contains_key(id));
        let (level, rest): (Vec<&Trial>, Vec<&Trial>) = open.iter().copied().partition(|trial| ready(trial));
        if level.is_empty() {
            // A circle, which the sweep file's reader refuses.
            break;
        }
        level_of.extend(level.iter().map(|trial| (trial.id.as_str(), number)));
        levels.push(level);
        open = rest;
    }
    levels
}

/// The task of each trial that waits or runs, from one question to the cluster. Submissions of which no task is left
/// are marked, so that nobody asks for them again.
fn live(cluster: &dyn Cluster, submissions: &Submissions) -> Result<HashMap<String, Task>, ClusterError> {
    let open: Vec<Submission> = submissions.list()?.into_iter().filter(|submission| !submission.over).collect();
    let open: Vec<&Submission> = open.iter().filter(|submission| submission.cluster == cluster.kind()).collect();
    let tasks = cluster.poll(&open)?;
    let mut live = HashMap::new();
    for submission in open {
        let mine = tasks.iter().filter(|task| task.name == submission.name && task.state != TaskState::Ended);
        let mut any = false;
        for task in mine {
            any = true;
            if let Some(id) = submission.trials.get(task.index) {
                live.insert(id.clone(), task.clone());
            }
        }
        if !any {
            submissions.save(&Submission { over: true, ..submission.clone() })?;
        }
    }
    Ok(live)
}

/// Ends every task of a sweep that waits or runs; how many there were. Trials keep their checkpoints.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub fn cancel(cluster: &dyn Cluster, store: &Store, sweep: &str) -> Result<usize, ClusterError> {
    let submissions = Submissions::of(store, sweep);
    // An array that is just being submitted must not slip through.
    let _lock = submissions.lock()?.ok_or(ClusterError::Busy)?;
    let live = live(cluster, &submissions)?;
    let jobs: BTreeSet<&str> = live.values().map(|task| task.job.as_str()).collect();
    cluster.cancel(&jobs.into_iter().collect::<Vec<_>>())?;
    Ok(live.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::fs;

    use harness_records::spec::SweepSpec;

    use crate::catalog::catalog;

    /// Number of tasks, how many at once, jobs to wait for.
    type Asked = (usize, Option<u64>, Vec<String>);

    /// Remembers arrays and answers as it is told.
    #[derive(Default)]
    struct Paper {
        largest: usize,
        refuses_from: Option<usize>,
        arrays: RefCell<Vec<Asked>>,
        tasks: RefCell<Vec<Task>>,
        cancelled: RefCell<Vec<String>>,
    }

    impl Cluster for Paper {
        fn kind(&self) -> &'static str {
            "paper"
        }
        fn largest_array(&self) -> Result<usize, ClusterError> {
            Ok(self.largest)
        }
        fn task_variable(&self) -> &'static str {
            "TASK"
        }
        fn script(&self, commands: &str) -> String {
            commands.to_owned()
        }
        fn submit(&self, array: &Array<'_>) -> Result<String, ClusterError> {
            let job = self.arrays.borrow().len() + 1;
            if self.refuses_from.is_some_and(|from| job >= from) {
                return Err(ClusterError::Refused { command: "submit".to_owned(), message: "full".to_owned() });
            }
            self.arrays.borrow_mut().push((array.tasks, array.at_once, array.after.to_vec()));
            let task = |index| Task {
                job: job.to_string(),
                name: array.name.to_owned(),
                index,
                state: TaskState::Waiting,
                reason: "Priority".to_owned(),
            };
            self.tasks.borrow_mut().extend((0..array.tasks).map(task));
            Ok(job.to_string())
        }
        fn poll(&self, submissions: &[&Submission]) -> Result<Vec<Task>, ClusterError> {
            let asked = |task: &&Task| submissions.iter().any(|submission| submission.name == task.name);
            Ok(self.tasks.borrow().iter().filter(asked).cloned().collect())
        }
        fn past(&self, _: &[&str]) -> Vec<Task> {
            Vec::new()
        }
        fn cancel(&self, jobs: &[&str]) -> Result<(), ClusterError> {
            self.cancelled.borrow_mut().extend(jobs.iter().map(|job| (*job).to_owned()));
            Ok(())
        }
        fn requeue_this_task(&self) -> Result<(), ClusterError> {
            Ok(())
        }
        fn restarts(&self) -> u32 {
            0
        }
    }

    struct Place {
        root: tempfile::TempDir,
        store: Store,
        trials: Vec<Trial>,
    }

    fn place(yaml: &str) -> Place {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("s.yaml");
        fs::write(&file, yaml).unwrap();
        let trials = SweepSpec::read(&file, &[], &catalog()).unwrap().trials().to_vec();
        Place { store: Store::open(root.path().join("runs")), root, trials }
    }

    fn seeds(count: usize) -> Place {
        let seeds: Vec<String> = (0..count).map(|seed| seed.to_string()).collect();
        place(&format!("{{name: s, axes: {{train.seed: [{}]}}}}", seeds.join(", ")))
    }

    impl Place {
        fn submit(&self, cluster: &Paper, at_once: Option<u64>) -> Result<Submitted, ClusterError> {
            let submitter = Submitter {
                cluster,
                store: &self.store,
                sweep: "s",
                at_once,
                setup: &["module load x".to_owned()],
                directory: self.root.path().join("a b"),
                command: vec!["/bin/harness".to_owned(), "task".to_owned(), "it's".to_owned()],
            };
            submitter.submit(&self.trials)
        }
    }

    #[test]
    fn a_sweep_is_one_array_and_submitting_again_adds_nothing() {
        let (place, cluster) = (seeds(5), Paper { largest: 100, ..Paper::default() });
        let first = place.submit(&cluster, Some(2)).unwrap();
        assert_eq!(first, Submitted { tasks: 5, jobs: vec!["1".to_owned()], covered: 0 });
        assert_eq!(*cluster.arrays.borrow(), [(5, Some(2), Vec::new())]);
        let again = place.submit(&cluster, Some(2)).unwrap();
        assert_eq!(again, Submitted { covered: 5, ..Submitted::default() });
        // Two tasks are lost: their trials, and only theirs, get new ones.
        cluster.tasks.borrow_mut()[1].state = TaskState::Ended;
        cluster.tasks.borrow_mut().remove(3);
        let again = place.submit(&cluster, None).unwrap();
        assert_eq!((again.tasks, again.covered), (2, 3));
        let submissions = Submissions::of(&place.store, "s");
        let names: Vec<String> = submissions.list().unwrap().into_iter().map(|submission| submission.name).collect();
        assert_eq!(names.len(), 2);
        let lost = |index: usize| place.trials[index].id.clone();
        let second = submissions.list().unwrap().into_iter().find(|s| s.job.as_deref() == Some("2")).unwrap();
        assert_eq!(second.trials, [lost(1), lost(3)]);
        let ids: Vec<String> = submissions.trials(&second.name, 1).unwrap().into_iter().map(|t| t.id).collect();
        assert_eq!(ids, [lost(3), lost(1)], "its own trial first");
        assert!(submissions.trials(&second.name, 2).is_err());
    }

    #[test]
    fn large_sweeps_are_split_and_keep_to_the_limit_together() {
        let (place, cluster) = (seeds(10), Paper { largest: 4, ..Paper::default() });
        place.submit(&cluster, None).unwrap();
        assert_eq!(*cluster.arrays.borrow(), [(4, None, vec![]), (4, None, vec![]), (2, None, vec![])]);
        let (place, cluster) = (seeds(10), Paper { largest: 4, ..Paper::default() });
        place.submit(&cluster, Some(5)).unwrap();
        assert_eq!(*cluster.arrays.borrow(), [(4, Some(2), vec![]), (4, Some(2), vec![]), (2, Some(1), vec![])]);
        let (place, cluster) = (seeds(10), Paper { largest: 4, ..Paper::default() });
        place.submit(&cluster, Some(1)).unwrap();
        let after = |job: &str| vec![job.to_owned()];
        assert_eq!(
            *cluster.arrays.borrow(),
            [(4, Some(1), vec![]), (4, Some(1), after("1")), (2, Some(1), after("2"))]
        );
    }

    #[test]
    fn what_builds_on_another_trial_waits_for_its_array() {
        let place = place(
            "{name: s, base: {quant: {weights: {method: dorefa, bits: 2}},
              train: {init: {trial: {quant.weights.method: float}}}},
             axes: {train.seed: [0, 1]}, include: [{quant: {weights: {method: float}}, train: {init: null}}]}",
        );
        let cluster = Paper { largest: 100, ..Paper::default() };
        place.submit(&cluster, None).unwrap();
        assert_eq!(*cluster.arrays.borrow(), [(1, None, vec![]), (2, None, vec!["1".to_owned()])]);
        // The second array is lost while the first still waits.
        cluster.tasks.borrow_mut().retain(|task| task.job == "1");
        place.submit(&cluster, None).unwrap();
        assert_eq!(cluster.arrays.borrow().last(), Some(&(2, None, vec!["1".to_owned()])));
    }

    #[test]
    fn what_the_cluster_refuses_is_forgotten_and_the_rest_stays() {
        let (place, cluster) = (seeds(6), Paper { largest: 4, refuses_from: Some(2), ..Paper::default() });
        assert!(matches!(place.submit(&cluster, None), Err(ClusterError::Refused { .. })));
        let list = Submissions::of(&place.store, "s").list().unwrap();
        assert_eq!(
            list.iter().map(|s| (s.trials.len(), s.job.clone())).collect::<Vec<_>>(),
            [(4, Some("1".to_owned()))]
        );
        let cluster = Paper { refuses_from: None, ..cluster };
        assert_eq!(place.submit(&cluster, None).unwrap().tasks, 2);
    }

    #[test]
    fn an_array_whose_submitter_died_is_found_by_its_name() {
        let (place, cluster) = (seeds(3), Paper { largest: 100, ..Paper::default() });
        place.submit(&cluster, None).unwrap();
        let submissions = Submissions::of(&place.store, "s");
        let known = submissions.list().unwrap().remove(0);
        submissions.save(&Submission { job: None, ..known }).unwrap();
        assert_eq!(place.submit(&cluster, None).unwrap().covered, 3);
        assert_eq!(cancel(&cluster, &place.store, "s").unwrap(), 3);
        assert_eq!(*cluster.cancelled.borrow(), ["1"]);
    }

    #[test]
    fn two_processes_do_not_submit_at_once() {
        let (place, cluster) = (seeds(3), Paper { largest: 100, ..Paper::default() });
        let lock = Submissions::of(&place.store, "s").lock().unwrap().unwrap();
        assert!(matches!(place.submit(&cluster, None), Err(ClusterError::Busy)));
        drop(lock);
        assert_eq!(place.submit(&cluster, None).unwrap().tasks, 3);
    }

    #[test]
    fn scripts_quote_what_a_shell_would_split() {
        let (place, cluster) = (seeds(1), Paper { largest: 100, ..Paper::default() });
        place.submit(&cluster, None).unwrap();
        let submissions = Submissions::of(&place.store, "s");
        let name = submissions.list().unwrap().remove(0).name;
        let script = fs::read_to_string(submissions.folder().join(format!("{name}.sh"))).unwrap();
        let directory = place.root.path().join("a b");
        let expected = format!(
            "set -e\ncd '{}'\nmodule load x\nexec /bin/harness task 'it'\\''s' --submission {name} --task \"$TASK\"\n",
            directory.display()
        );
        assert_eq!(script, expected);
    }
}
