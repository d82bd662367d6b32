//! An executor that does not take the first no for an answer.
//!
//! Around another executor: trials whose process died are begun again, as often as their class of failure allows; what
//! they held up is begun after them; trials that a dead process on another machine still holds are taken over. Once
//! the disk is full or the folder cannot be written, no further trial is begun.

use std::collections::{HashMap, HashSet};

use harness_records::record::{FailureClass, Retry, Status, TrialError};
use harness_records::store::{Store, TrialState};
use harness_records::trial::Trial;
use tch::Device;

use super::{Control, End, ExecuteError, Executor, Outcome};
use crate::event::Event;
use crate::stop;
use crate::takeover::take_over_dead;
use crate::worker::record_death;

/// Begins trials again.
#[derive(Debug)]
pub struct Persistent<'a, E> {
    /// What runs them.
    pub inner: E,
    /// Where they are kept.
    pub store: &'a Store,
    /// What they run on, for the record of a trial whose process died.
    pub device: Device,
    /// Times a trial whose process died is begun again.
    pub retries: u32,
    /// Trials that other processes held when this began.
    pub held: Vec<Trial>,
}

impl<E: Executor> Executor for Persistent<'_, E> {
    fn execute(
        &self,
        trials: &[Trial],
        watch: &mut dyn FnMut(&Event) -> Control,
    ) -> Result<Vec<Outcome>, ExecuteError> {
        let mut ends: HashMap<String, End> = HashMap::new();
        let mut tries: HashMap<String, u32> = HashMap::new();
        let mut taken: HashSet<String> = HashSet::new();
        let mut all = trials.to_vec();
        let mut todo = trials.to_vec();
        loop {
            let mut halted = false;
            if !todo.is_empty() {
                let mut guarded = |event: &Event| {
                    let flow = watch(event);
                    let hopeless = class_of(event).is_some_and(FailureClass::stops_the_sweep);
                    halted |= hopeless || flow != Control::Continue;
                    if flow == Control::Continue && hopeless { Control::Drain } else { flow }
                };
                for outcome in self.inner.execute(&todo, &mut guarded)? {
                    settle(&mut ends, outcome);
                }
                self.record_deaths(&todo, &ends)?;
            }
            if halted || stop::requested() {
                break;
            }
            todo = self.again(&all, &ends, &mut tries, watch);
            if todo.is_empty() {
                todo = self.taken_over(&all, &ends, &mut taken, watch)?;
                let new: Vec<Trial> =
                    todo.iter().filter(|t| all.iter().all(|known| known.id != t.id)).cloned().collect();
                all.extend(new);
            }
            if todo.is_empty() {
                break;
            }
        }
        let mut end = |id: &str| ends.remove(id).unwrap_or(End::Stopped);
        Ok(all.iter().map(|trial| Outcome { id: trial.id.clone(), end: end(&trial.id) }).collect())
    }
}

impl<E> Persistent<'_, E> {
    fn record_deaths(&self, trials: &[Trial], ends: &HashMap<String, End>) -> Result<(), ExecuteError> {
        for trial in trials {
            match ends.get(&trial.id) {
                Some(End::Broken(error)) if error.class.retry() == Retry::AtOnce => {
                    record_death(self.store, trial, self.device, error).map_err(Box::new)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Trials whose process died and that may be begun again, with those that wait for them.
    fn again(
        &self,
        trials: &[Trial],
        ends: &HashMap<String, End>,
        tries: &mut HashMap<String, u32>,
        watch: &mut dyn FnMut(&Event) -> Control,
    ) -> Vec<Trial> {
        let mut again: Vec<Trial> = Vec::new();
        for trial in trials {
            let retried = |id: &str| again.iter().any(|other| other.id == id);
            let reason = match ends.get(&trial.id) {
                Some(End::Broken(error)) if error.class.retry() == Retry::AtOnce => {
                    let tried = tries.entry(trial.id.clone()).or_insert(0);
                    if *tried == self.retries {
                        continue;
                    }
                    *tried += 1;
                    format!("its process died ({}), begun again, {tried} of {}", error.class.name(), self.retries)
                }
                // Needs come before what builds on them.
                Some(End::Blocked(_) | End::Passed(_)) if trial.config.train.needs().any(retried) => {
                    "what it builds on is begun again".to_owned()
                }
                _ => continue,
            };
            let _ = watch(&Event::Again { id: trial.id.clone(), reason });
            again.push(trial.clone());
        }
        again
    }

    /// Trials that processes held which turn out to be dead.
    fn taken_over(
        &self,
        trials: &[Trial],
        ends: &HashMap<String, End>,
        taken: &mut HashSet<String>,
        watch: &mut dyn FnMut(&Event) -> Control,
    ) -> Result<Vec<Trial>, ExecuteError> {
        // Once each: a trial may be passed over for other reasons than a lease.
        let open = |trial: &Trial| {
            !taken.contains(&trial.id)
                && matches!(
                    self.store.trial(&trial.sweep, &trial.id).state(),
                    TrialState::Running { .. } | TrialState::New | TrialState::Partial(_)
                )
        };
        let passed = trials.iter().filter(|trial| matches!(ends.get(&trial.id), Some(End::Passed(_))));
        let held = self.held.iter().filter(|trial| !ends.contains_key(&trial.id));
        let candidates: Vec<Trial> = passed.chain(held).filter(|trial| open(trial)).cloned().collect();
        let mut tell = |trial: &Trial, message: String| {
            let _ = watch(&Event::Note { id: trial.id.clone(), message });
        };
        let free = take_over_dead(self.store, &candidates, &mut tell).map_err(|error| Box::new(error.into()))?;
        for trial in &free {
            taken.insert(trial.id.clone());
            let _ = watch(&Event::Again { id: trial.id.clone(), reason: "whoever held it has died".to_owned() });
        }
        Ok(free)
    }
}

/// A trial that is passed over because what it builds on has failed stays blocked.
fn settle(ends: &mut HashMap<String, End>, outcome: Outcome) {
    if let (Some(End::Blocked(_)), End::Passed(_)) = (ends.get(&outcome.id), &outcome.end) {
        return;
    }
    ends.insert(outcome.id, outcome.end);
}

fn class_of(event: &Event) -> Option<FailureClass> {
    let error: Option<&TrialError> = match event {
        Event::Finished { status: Status::Failed, error, .. } => error.as_ref(),
        Event::Broken { error, .. } => Some(error),
        _ => None,
    };
    error.map(|error| error.class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::path::Path;

    use harness_records::spec::SweepSpec;

    use crate::catalog::catalog;

    /// Does with each trial what its script says next; anything after that ends well.
    struct Scripted(RefCell<HashMap<String, Vec<End>>>, RefCell<Vec<String>>);

    impl Executor for Scripted {
        fn execute(
            &self,
            trials: &[Trial],
            watch: &mut dyn FnMut(&Event) -> Control,
        ) -> Result<Vec<Outcome>, ExecuteError> {
            let mut stopped = false;
            let run = |trial: &Trial| {
                if stopped {
                    return Outcome { id: trial.id.clone(), end: End::Stopped };
                }
                self.1.borrow_mut().push(trial.label.clone());
                let next = self
                    .0
                    .borrow_mut()
                    .get_mut(&trial.label)
                    .and_then(|ends| (!ends.is_empty()).then(|| ends.remove(0)));
                let end = next.unwrap_or_else(ok);
                if let End::Broken(error) = &end {
                    stopped = watch(&Event::Broken { id: trial.id.clone(), error: error.clone() }) != Control::Continue;
                }
                Outcome { id: trial.id.clone(), end }
            };
            Ok(trials.iter().map(run).collect())
        }
    }

    fn ok() -> End {
        End::Recorded { status: Status::Ok, metrics: None, error: None }
    }

    fn broken(class: FailureClass) -> End {
        End::Broken(TrialError { class, message: "x".to_owned() })
    }

    /// The labels in the order they were begun, and how each trial ended at last.
    fn run(root: &Path, script: &[(&str, Vec<End>)]) -> (Vec<String>, Vec<End>) {
        let file = root.join("sweep.yaml");
        std::fs::write(
            &file,
            "{name: s, base: {dataset: {name: digits}, model: {name: lenet}}, axes: {train.seed: [0, 1, 2]}}",
        )
        .unwrap();
        let spec = SweepSpec::read(&file, &[], &catalog()).unwrap();
        let store = Store::open(root.join("runs"));
        let script = script.iter().map(|(seed, ends)| (format!("seed={seed}"), ends.clone())).collect();
        let inner = Scripted(RefCell::new(script), RefCell::default());
        let persistent = Persistent { inner, store: &store, device: Device::Cpu, retries: 2, held: Vec::new() };
        let outcomes = persistent.execute(spec.trials(), &mut |_| Control::Continue).unwrap();
        let begun = persistent.inner.1.into_inner();
        let seeds = begun.iter().map(|label| label.rsplit('=').next().unwrap().to_owned());
        (seeds.collect(), outcomes.into_iter().map(|outcome| outcome.end).collect())
    }

    #[test]
    fn a_trial_whose_process_dies_is_begun_again_after_the_others_and_not_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let crashes = |times| vec![broken(FailureClass::Crash); times];
        let (begun, ends) = run(root.path(), &[("0", crashes(1)), ("2", crashes(9))]);
        assert_eq!(begun, ["0", "1", "2", "0", "2", "2"]);
        assert_eq!(ends, [ok(), ok(), broken(FailureClass::Crash)]);
    }

    #[test]
    fn what_would_fail_again_is_left_alone_and_a_full_disk_stops_everything() {
        let root = tempfile::tempdir().unwrap();
        let (begun, _) = run(root.path(), &[("0", vec![broken(FailureClass::Error)])]);
        assert_eq!(begun, ["0", "1", "2"]);
        let full = || broken(FailureClass::DiskFull);
        let (begun, ends) = run(root.path(), &[("1", vec![full()])]);
        assert_eq!(begun, ["0", "1"]);
        assert_eq!(ends, [ok(), full(), End::Stopped]);
    }
}
