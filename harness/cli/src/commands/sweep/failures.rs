//! What went wrong in a sweep, by class of failure, and the next thing to try.

use std::collections::BTreeMap;

use harness_records::record::FailureClass;
use serde::Serialize;

/// Names in one line.
const NAMES: usize = 3;

/// All failures of one class.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Group {
    /// Its class.
    pub(crate) class: FailureClass,
    /// Ids of the trials.
    pub(crate) trials: Vec<String>,
    /// When such a trial is tried again.
    pub(crate) retried: &'static str,
    /// The next thing to try.
    pub(crate) next: &'static str,
    #[serde(skip)]
    labels: Vec<String>,
}

/// Groups failed trials, given as class, id and label, by class.
pub(crate) fn groups<'a>(failed: impl Iterator<Item = (FailureClass, &'a str, &'a str)>) -> Vec<Group> {
    let mut groups: BTreeMap<FailureClass, Group> = BTreeMap::new();
    for (class, id, label) in failed {
        let new = || Group { class, trials: vec![], retried: retried(class), next: next(class), labels: vec![] };
        let group = groups.entry(class).or_insert_with(new);
        group.trials.push(id.to_owned());
        group.labels.push(label.to_owned());
    }
    groups.into_values().collect()
}

impl Group {
    /// In two lines.
    pub(crate) fn lines(&self) -> [String; 2] {
        let more = if self.labels.len() > NAMES { ", ..." } else { "" };
        let names = self.labels.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        let plural = if self.trials.len() == 1 { "trial" } else { "trials" };
        [
            format!("  {} {plural} with {}: {names}{more}", self.trials.len(), self.class.name()),
            format!("    {}; {}", self.next, self.retried),
        ]
    }
}

fn retried(class: FailureClass) -> &'static str {
    if class.is_transient() {
        "the next start of the sweep tries again"
    } else {
        "tried again only with --retry-failed"
    }
}

/// The next thing to try.
fn next(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Oom => {
            "try --split-on-oom, which computes a batch in parts, fewer --jobs, or a smaller train.batch"
        }
        FailureClass::Nan => "try a smaller train.optimizer.lr, train.clip_norm, or more bits",
        FailureClass::DiskFull => "make space (`harness runs gc` removes what finished trials no longer need)",
        FailureClass::ReadOnly => "make the folder of the runs writable, or choose another with --runs",
        FailureClass::Data => "see whether the files of the data set are back (`harness data verify` reads them all)",
        FailureClass::Crash => "look at the last words above; --jobs 1 shows whether it is for want of memory",
        FailureClass::Killed => "if nobody did it, the system had no memory left: try fewer --jobs",
        FailureClass::Preempted => "start the sweep again, it goes on from the last checkpoints",
        FailureClass::Timeout => "give it a longer --attempt-limit, it goes on from its checkpoint",
        FailureClass::Error => "read the message, and change the configuration",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_grouped_and_each_class_says_what_next() {
        let failed = [(FailureClass::Oom, "a", "x"), (FailureClass::Nan, "b", "y"), (FailureClass::Oom, "c", "z")];
        let groups = groups(failed.into_iter());
        let found: Vec<(FailureClass, usize)> = groups.iter().map(|group| (group.class, group.trials.len())).collect();
        assert_eq!(found, [(FailureClass::Oom, 2), (FailureClass::Nan, 1)]);
        assert!(groups[0].lines()[0].ends_with("2 trials with oom: x, z"));
        assert!(groups[0].lines()[1].contains("--split-on-oom"));
        let next: std::collections::HashSet<&str> = FailureClass::ALL.into_iter().map(next).collect();
        assert_eq!(next.len(), FailureClass::ALL.len(), "each class has an advice of its own");
    }
}
