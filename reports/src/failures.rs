//! Trials without a result. Every report names all of them.

use std::collections::BTreeMap;

use harness_records::record::{RunRecord, Status};

use crate::frames::status_name;
use crate::trials::Trials;

/// One sentence a cause, most frequent first: how the trials ended, class, message, and which trials they were.
pub(crate) fn lines(trials: &Trials) -> Vec<String> {
    let mut causes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in &trials.records {
        if let Some(cause) = cause(record) {
            causes.entry(cause).or_default().push(trials.name(record));
        }
    }
    let mut causes: Vec<(String, Vec<String>)> = causes.into_iter().collect();
    causes.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let line = |(cause, names): (String, Vec<String>)| match names.as_slice() {
        [name] => format!("{cause} — {name}"),
        names => format!("{cause} — {} trials: {}", names.len(), names.join("; ")),
    };
    causes.into_iter().map(line).collect()
}

fn cause(record: &RunRecord) -> Option<String> {
    if record.status != Status::Ok {
        let status = status_name(record.status);
        return Some(match &record.error {
            Some(error) => format!("{status} ({}): {}", error.class.name(), error.message.trim()),
            None => format!("{status}, no error recorded"),
        });
    }
    let finite = |value: Option<f64>| value.is_some_and(f64::is_finite);
    let measured = record.metrics.as_ref().is_some_and(|metrics| finite(metrics.top1) || finite(metrics.perplexity));
    (!measured).then(|| "finished without accuracy or perplexity".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::record;
    use harness_records::record::FailureClass;

    #[test]
    fn equal_causes_are_told_once_and_every_trial_is_named() {
        let nan = |seed| record().seed(seed).ended(Status::Diverged, FailureClass::Nan, "the loss became NaN").build();
        let records = [
            record().seed(9).build(),
            record().seed(3).ended(Status::Failed, FailureClass::Oom, "out of memory\n").build(),
            nan(0),
            nan(1),
            record().seed(4).edit(|r| r.status = Status::Failed).build(),
            record().seed(5).edit(|r| r.metrics = None).build(),
            record().seed(6).top1(f64::NAN).build(),
        ];
        let lines = lines(&Trials::new(&records, &[]).unwrap());
        assert_eq!(lines.len(), 4, "{lines:#?}");
        assert!(lines[0].starts_with("diverged (nan): the loss became NaN — 2 trials: digits, lenet, float, seed 0 ("));
        assert!(lines[0].contains("; digits, lenet, float, seed 1 ("), "{}", lines[0]);
        assert!(lines[1].starts_with("finished without accuracy or perplexity — 2 trials"), "{}", lines[1]);
        assert!(lines.iter().any(|l| l.starts_with("failed (oom): out of memory — digits, lenet, float, seed 3 (")));
        assert!(lines.iter().any(|l| l.starts_with("failed, no error recorded — ")));
        for record in &records[1..] {
            assert_eq!(lines.iter().filter(|line| line.contains(&record.id)).count(), 1);
        }
    }
}
