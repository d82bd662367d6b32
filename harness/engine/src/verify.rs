//! A finished trial run again, and compared to the bit.

use std::io;
use std::path::Path;

use harness_records::record::{RunRecord, SiteRecord};
use harness_records::store::{Claim, Store, TrialDir};
use harness_records::trial::Trial;
use serde::Serialize;
use tch::Device;

use crate::environment::Revision;
use crate::event::Event;
use crate::failure::EngineError;
use crate::job::{Job, Rules};
use crate::run;

/// Runs a trial again in a folder of its own, which must be empty; what it builds on is read where it is.
///
/// # Errors
/// As [`run::run`].
pub fn again(
    record: &RunRecord,
    dir: &TrialDir,
    scratch: &Path,
    device: Device,
    report: &mut dyn FnMut(Event),
) -> Result<(RunRecord, TrialDir), EngineError> {
    let store = Store::open(scratch);
    let new = store.trial(&record.sweep, &record.id);
    let Claim::Ours(lease) = new.claim()? else { return Err(EngineError::LeaseLost) };
    for id in record.config.train.needs() {
        link_sibling(id, dir, &new)?;
    }
    let trial = Trial {
        id: record.id.clone(),
        sweep: record.sweep.clone(),
        config: record.config.clone(),
        label: record.id.clone(),
        axes: Vec::new(),
    };
    let job = Job {
        trial: &trial,
        dir: &new,
        lease: &lease,
        device,
        revision: &Revision::here(),
        rules: Rules::default(),
        report,
    };
    let again = run::run(job)?;
    Ok((again, new))
}

/// Makes the trial `id` beside `from` reachable beside `to` as well.
fn link_sibling(id: &str, from: &TrialDir, to: &TrialDir) -> Result<(), EngineError> {
    let linked = link(from.sibling(id).path(), to.sibling(id).path());
    linked.map_err(|source| EngineError::Unreachable { id: id.to_owned(), source })
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from.canonicalize()?, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The first thing that differs between two runs of a trial, in the order they came about: a step, an epoch, the final
/// network, what was measured on it. Times and places are not compared.
#[must_use]
pub fn first_difference(one: &RunRecord, other: &RunRecord) -> Option<String> {
    if one.split != other.split {
        return Some("batches were split into other numbers of micro-batches, because of memory".to_owned());
    }
    if let (Some(a), Some(b)) = (&one.losses, &other.losses)
        && let Some((last, first)) = a.first_difference(b)
    {
        let between = if first == last + 1 { String::new() } else { format!("after step {last}, ") };
        return Some(format!("the training loss differs {between}at the latest in step {first}"));
    }
    for (a, b) in one.epochs.iter().zip(&other.epochs) {
        let number = a.epoch;
        let values = [
            ("learning rate", text(&a.lr), text(&b.lr)),
            ("training loss", text(&a.train_loss), text(&b.train_loss)),
            ("training accuracy", text(&a.train_top1), text(&b.train_top1)),
            ("validation", text(&a.validation), text(&b.validation)),
            ("test", text(&a.test), text(&b.test)),
        ];
        if let Some((what, a, b)) = values.into_iter().find(|(_, a, b)| a != b) {
            return Some(format!("the {what} of epoch {number} was {a} and is {b}"));
        }
        let layer = |site: &SiteRecord| format!("{} ({})", site.layer, site.role);
        if let Some((a, _)) = a.sites.iter().zip(&b.sites).find(|(a, b)| text(a) != text(b)) {
            return Some(format!("the statistics of {} after epoch {number} differ", layer(a)));
        }
    }
    let rest = [
        ("number of epochs", text(&one.epochs.len()), text(&other.epochs.len())),
        ("status", text(&one.status), text(&other.status)),
        ("final metrics", text(&one.metrics), text(&other.metrics)),
    ];
    if let Some((what, a, b)) = rest.into_iter().find(|(_, a, b)| a != b) {
        return Some(format!("the {what} was {a} and is {b}"));
    }
    if text(&one.layers) != text(&other.layers) {
        return Some("what was measured on the final layers differs".to_owned());
    }
    (one.correct_samples != other.correct_samples).then(|| "other test samples are classified correctly".to_owned())
}

/// Numbers are the same when they are written the same: every bit shows, and NaN is NaN.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_cannot_be_reached_is_no_matter_of_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let store = |name: &str| Store::open(folder.path().join(name));
        let (from, to) = (store("one").trial("sweep", "trial"), store("other").trial("sweep", "trial"));
        let error = link_sibling("absent", &from, &to).unwrap_err();
        assert!(matches!(&error, EngineError::Unreachable { id, .. } if id == "absent"), "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with("cannot reach trial absent, which it builds on: "), "{message}");
    }
}
