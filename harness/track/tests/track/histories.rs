//! The files of the history.

use std::fs;

use harness_records::record::{FailureClass, Status};
use harness_track::TrackError;
use harness_track::history::{Entry, History, VERSION};
use proptest::prelude::*;

use crate::support::{Repo, entry, history, id};

fn written(history: &History) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = history.write(folder.path(), "s").unwrap();
    let text = fs::read_to_string(file).unwrap();
    (folder, text)
}

proptest! {
    #[test]
    fn is_read_back_in_one_order(values in prop::collection::vec((0u64..4, 0u32..4, -1e9f64..1e9), 1..20)) {
        let of = |(seed, commit, value): &(u64, u32, f64)| entry("a", *seed, &id(*commit), *value);
        let mut forwards = History::default();
        let mut once = std::collections::BTreeMap::new();
        values.iter().for_each(|v| { once.insert((v.0, v.1), of(v)); });
        forwards.add("s", once.values().cloned().collect());
        let mut backwards = History::default();
        backwards.add("s", once.values().rev().cloned().collect());
        let (folder, text) = written(&forwards);
        prop_assert_eq!(written(&backwards).1, text.as_str());
        prop_assert_eq!(text.lines().count(), once.len());
        prop_assert_eq!(History::read(folder.path()).unwrap(), forwards);
    }
}

#[test]
fn recording_again_changes_nothing_and_new_results_replace_old_ones() {
    let mut history = history(vec![entry("a", 0, &id(1), 0.5), entry("a", 1, &id(1), 0.6)]);
    assert_eq!(history.add("s", vec![entry("a", 0, &id(1), 0.5)]), 0);
    assert_eq!(history.add("s", vec![entry("a", 0, &id(1), 0.7)]), 1);
    assert_eq!(history.sweeps["s"].len(), 2);
    assert_eq!(history.of(&id(1)).next().unwrap().1.metrics["top1"], 0.7);
}

#[test]
fn wrong_lines_are_named() {
    let good = serde_json::to_string(&entry("a", 0, &id(1), 0.5)).unwrap();
    let newer = good.replacen("\"v\":1", "\"v\":2", 1);
    let rows = [
        (good[..good.len() / 2].to_owned(), "as `harness track record` writes it"),
        ("{}".to_owned(), "missing field `v`"),
        (format!("{{\"v\":{VERSION}}}"), "missing field `config`"),
        ("<<<<<<< HEAD".to_owned(), "a merge was not finished"),
        (newer, "version 2, this harness reads up to 1: use a newer one"),
        (good.replace("\"ok\"", "\"fine\""), "unknown variant `fine`"),
        ("\0\0".to_owned(), "expected"),
    ];
    for (line, part) in rows {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("s.jsonl"), format!("{good}\n\n{line}\n")).unwrap();
        let error = History::read(folder.path()).unwrap_err();
        assert!(matches!(&error, TrackError::Line { line: 3, .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("s.jsonl:3: ") && message.contains(part), "{message}");
    }
}

#[test]
fn keys_that_a_later_harness_adds_are_passed_over() {
    let line = serde_json::to_string(&entry("a", 0, &id(1), 0.5)).unwrap().replacen('{', "{\"added\":[1],", 1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.jsonl"), line).unwrap();
    fs::write(folder.path().join("README.md"), "not a history").unwrap();
    assert_eq!(History::read(folder.path()).unwrap(), history(vec![entry("a", 0, &id(1), 0.5)]));
    assert_eq!(History::read(&folder.path().join("absent")).unwrap(), History::default());
}

#[test]
fn git_merges_the_lines_of_two_branches() {
    let repo = Repo::new();
    let record = |commit: u32| {
        let folder = repo.path("history");
        let mut history = History::read(&folder).unwrap();
        let of = |seed| Entry { committed: i64::from(commit), ..entry("a", seed, &id(commit), 0.5) };
        history.add("s", (0..3).map(of).collect());
        history.write(&folder, "s").unwrap();
        repo.commit(&format!("record {commit}"));
    };
    record(1);
    repo.git(&["checkout", "--quiet", "-b", "other"]);
    record(2);
    repo.git(&["checkout", "--quiet", "main"]);
    record(3);
    repo.git(&["merge", "--quiet", "--no-edit", "other"]);
    let merged = History::read(&repo.path("history")).unwrap();
    assert_eq!(merged.sweeps["s"].len(), 9);
    assert!(merged.problems.is_empty());
    let counts = [1, 2, 3].map(|commit| merged.of(&id(commit)).count());
    assert_eq!(counts, [3, 3, 3]);
}

#[test]
fn contradictions_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let line = |top1| serde_json::to_string(&entry("a", 0, &id(1), top1)).unwrap();
    fs::write(folder.path().join("s.jsonl"), [line(0.5), line(0.6), line(0.5), line(0.7)].join("\n")).unwrap();
    let history = History::read(folder.path()).unwrap();
    assert_eq!(history.sweeps["s"].len(), 1);
    assert_eq!(history.problems.len(), 1, "{:?}", history.problems);
    assert!(history.problems[0].contains("is there more than once with different results"), "{:?}", history.problems);
}

/// Lines as the first version wrote them are read, and written again the same byte for byte.
#[test]
fn a_history_of_version_1_is_read() {
    let text = include_str!("fixtures/history-v1.jsonl");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.jsonl"), text).unwrap();
    let read = History::read(folder.path()).unwrap();
    let entries = &read.sweeps["s"];
    let [good, bad, kernel] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((good.seed, good.committed, good.metrics["top1"]), (1, 1_700_000_000, 0.75));
    let right: Vec<bool> = good.correct_samples.as_ref().unwrap().iter().collect();
    assert_eq!(right, [true, false, true, true]);
    assert_eq!((bad.status, bad.error), (Status::Failed, Some(FailureClass::Oom)));
    assert_eq!(kernel.metrics["ratio"], 12.5);
    read.write(folder.path(), "s").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("s.jsonl")).unwrap(), text);
}
