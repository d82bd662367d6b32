//! Real repositories: which commit's records are meant, and the search for the first bad one.

use std::cell::RefCell;
use std::collections::BTreeMap;

use harness_track::bisect::{Found, Results, Search};
use harness_track::check::{Settings, Verdict, baseline, candidate};
use harness_track::git::{Commit, Repository};
use harness_track::history::{Entry, History};
use harness_track::log::{series, sparkline};
use harness_track::{TrackError, log};

use crate::support::{Repo, entry, git};

/// Results of three seeds at a commit.
fn results(commit: &str, top1: f64) -> Vec<Entry> {
    (0..3u8).map(|seed| entry("a", u64::from(seed), commit, top1 + 0.001 * f64::from(seed))).collect()
}

fn commits(repo: &Repo, count: usize) -> Vec<String> {
    (0..count)
        .map(|i| {
            repo.write("code.txt", &i.to_string());
            repo.commit(&format!("change {i}"))
        })
        .collect()
}

#[test]
fn records_of_the_nearest_commit_stand_for_a_revision() {
    let repo = Repo::new();
    let ids = commits(&repo, 3);
    let mut history = History::default();
    history.add("s", results(&ids[1], 0.9));
    let opened = repo.open();
    let found = baseline(&opened, &history, "HEAD").unwrap();
    assert_eq!((found.commit.id.as_str(), found.asked.id.as_str()), (&*ids[1], &*ids[2]));
    // For the state that is judged an older commit will not do.
    let message = candidate(&opened, &history, "HEAD", "history").unwrap_err().to_string();
    assert!(message.contains("has no records: run the sweep there"), "{message}");
    history.add("s", results(&ids[2], 0.9));
    repo.write("history/s.jsonl", "");
    repo.commit("record");
    let found = candidate(&opened, &history, "HEAD", "history").unwrap();
    assert_eq!(found.commit.id, ids[2]);
    let message = baseline(&opened, &history, &ids[0]).unwrap_err().to_string();
    assert!(message.contains("nor a commit before it has records"), "{message}");
}

#[test]
fn bad_repositories_are_told() {
    let nowhere = tempfile::tempdir().unwrap();
    let error = Repository::around(nowhere.path()).unwrap_err();
    assert!(error.to_string().contains("is not in a git repository"), "{error}");

    let empty = Repo::new();
    let error = empty.open().commit("HEAD").unwrap_err();
    assert!(error.to_string().contains("nothing has been committed yet"), "{error}");
    let error = empty.open().commit("--help").unwrap_err();
    assert!(error.to_string().contains("`--help` names no commit"), "{error}");

    let origin = Repo::new();
    let ids = commits(&origin, 3);
    let folder = tempfile::tempdir().unwrap();
    let source = format!("file://{}", origin.folder.path().display());
    git(folder.path(), &["clone", "--quiet", "--depth", "1", &source, "clone"]);
    let shallow = Repository::around(&folder.path().join("clone")).unwrap();
    let mut history = History::default();
    history.add("s", results(&ids[0], 0.9));
    for error in [
        shallow.commit(&ids[0]).unwrap_err(),
        baseline(&shallow, &history, "HEAD").unwrap_err(),
        series(&shallow, &history, "HEAD", &Settings::default()).unwrap_err(),
    ] {
        assert!(matches!(error, TrackError::Shallow { .. }), "{error}");
        assert!(error.to_string().contains("git fetch --unshallow"), "{error}");
    }
}

/// Searches ten commits of which those from `bad` on are worse and those in `broken` give no results.
fn search(bad: usize, broken: &[usize]) -> (Repo, Vec<String>, Result<Found, TrackError>, Vec<String>) {
    let repo = Repo::new();
    let ids = commits(&repo, 10);
    let ran = RefCell::new(Vec::new());
    let found = {
        let place = |commit: &Commit| ids.iter().position(|id| *id == commit.id).unwrap();
        let mut run = |commit: &Commit| -> Result<Results, TrackError> {
            ran.borrow_mut().push(commit.id.clone());
            let top1 = if place(commit) >= bad { 0.7 } else { 0.9 };
            let results = BTreeMap::from([("s".to_owned(), results(&commit.id, top1))]);
            Ok((!broken.contains(&place(commit))).then_some(results))
        };
        let opened = repo.open();
        let mut history = History::default();
        // One end is known already.
        history.add("s", results(&ids[0], 0.9));
        let mut search = Search {
            repository: &opened,
            history: &mut history,
            folder: &repo.path("history"),
            settings: &Settings::default(),
            run: &mut run,
            say: &mut |_| {},
        };
        let of = |id: &str| opened.commit(id).unwrap();
        search.first_bad(&of(&ids[0]), &of(&ids[9]))
    };
    (repo, ids, found, ran.into_inner())
}

#[test]
fn the_first_bad_commit_is_found_wherever_it_is() {
    for bad in 1..10 {
        let (repo, ids, found, ran) = search(bad, &[]);
        let found = found.unwrap();
        assert_eq!(found.suspects, [ids[bad].clone()]);
        assert!(found.is_sure());
        assert!(ran.len() <= 5 && !ran.contains(&ids[0]), "{ran:?}");
        assert_eq!(found.ran, ran);
        // What was run is in the history now.
        let history = History::read(&repo.path("history")).unwrap();
        assert!(ran.iter().all(|id| history.of(id).count() == 3));
    }
}

#[test]
fn commits_that_do_not_run_are_passed_by_or_named() {
    let (_, ids, found, _) = search(7, &[4, 5]);
    let found = found.unwrap();
    assert_eq!(found.suspects, [ids[7].clone()]);
    let (_, ids, found, _) = search(5, &[4, 5]);
    let found = found.unwrap();
    assert_eq!(found.suspects, ids[4..=6]);
    assert!(!found.is_sure() && found.check.is_none());
    assert_eq!(found.skipped.len(), 2);
}

#[test]
fn searches_without_an_end_are_refused() {
    let check = |bad: usize, broken: &[usize], part: &str| {
        let message = search(bad, broken).2.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    check(20, &[], "nothing regressed from");
    check(5, &[9], "gives no results");
    let repo = Repo::new();
    let ids = commits(&repo, 2);
    let opened = repo.open();
    let of = |id: &str| opened.commit(id).unwrap();
    let message = opened.between(&of(&ids[1]), &of(&ids[0])).unwrap_err().to_string();
    assert!(message.contains("the good commit has to come before the bad one"), "{message}");
}

#[test]
fn the_log_marks_what_changed() {
    let repo = Repo::new();
    let ids = commits(&repo, 6);
    let mut history = History::default();
    // The third was never recorded.
    for (i, top1) in [(0, 0.9), (1, 0.9), (3, 0.7), (4, 0.7), (5, 0.95)] {
        history.add("s", results(&ids[i], top1));
    }
    let all = series(&repo.open(), &history, "HEAD", &Settings::default()).unwrap();
    assert_eq!(all.len(), 1);
    let marks: Vec<Option<Verdict>> = all[0].points.iter().map(|point| point.verdict).collect();
    use Verdict::{Equivalent, Improved, Regressed};
    assert_eq!(marks, [None, Some(Equivalent), Some(Regressed), Some(Equivalent), Some(Improved)]);
    assert_eq!(sparkline(&all[0], 0.5), "▇▇▁▁█");
    assert_eq!(all[0].points[2].subject, "change 3");
    let flat = log::Series { points: all[0].points[..2].to_vec(), ..all[0].clone() };
    assert_eq!(sparkline(&flat, 0.5), "▅▅");
    let earlier = series(&repo.open(), &history, &ids[1], &Settings::default()).unwrap();
    assert_eq!(earlier[0].points.len(), 2);
}
