//! At most one owner a trial, whatever dies when.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use harness_records::lease::{Holder, Lease, Owner};
use harness_records::store::{Claim, Store, TrialDir, TrialState};

const ID: &str = "0123456789abcdef";

fn trial(root: &Path) -> TrialDir {
    Store::open(root).trial("s", ID)
}

#[track_caller]
fn ours(dir: &TrialDir) -> Lease {
    match dir.claim().unwrap() {
        Claim::Ours(lease) => lease,
        other => panic!("not ours: {other:?}"),
    }
}

#[track_caller]
fn held(dir: &TrialDir) -> Owner {
    match dir.claim().unwrap() {
        Claim::Held(Some(owner)) => owner,
        other => panic!("not held: {other:?}"),
    }
}

/// The lease with this number as it stands in its file.
fn written(dir: &TrialDir, generation: u64) -> Owner {
    serde_json::from_slice(&fs::read(dir.path().join(format!("lease.{generation}"))).unwrap()).unwrap()
}

/// Puts a lease into the folder as somebody else would have.
fn forge(dir: &TrialDir, generation: u64, owner: &Owner) {
    fs::create_dir_all(dir.path()).unwrap();
    fs::write(dir.path().join(format!("lease.{generation}")), serde_json::to_vec(owner).unwrap()).unwrap();
}

/// A lease of this very process, to be changed by tests.
fn sample() -> Owner {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    let _lease = ours(&dir);
    written(&dir, 1)
}

fn leases(dir: &TrialDir) -> Vec<String> {
    let names = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains("lease")).collect();
    names.sort();
    names
}

#[test]
fn a_trial_has_one_owner_until_it_is_let_go() {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    let lease = ours(&dir);
    assert_eq!(held(&dir).pid, std::process::id());
    assert!(matches!(dir.state(), TrialState::Running { owner: Some(_), .. }));
    assert!(lease.beat().unwrap());
    lease.release().unwrap();
    assert_eq!(dir.state(), TrialState::New);
    let again = ours(&dir);
    assert_eq!(again.generation(), 2);
    assert_eq!(leases(&dir), ["lease.2"]);
    drop(again);
    assert_eq!(ours(&dir).generation(), 3);
}

#[test]
fn of_eight_that_claim_at_once_one_wins() {
    const THREADS: usize = 8;
    let root = tempfile::tempdir().unwrap();
    for round in 0..200 {
        let dir = Store::open(root.path()).trial("s", &format!("{round:016x}"));
        match round % 3 {
            // Somebody has let go before, or died.
            1 => drop(ours(&dir)),
            2 => forge(&dir, 4, &dead(&sample())),
            _ => {}
        }
        let (start, end) = (Barrier::new(THREADS), Barrier::new(THREADS));
        let winners = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let store = Store::open(root.path());
                    let dir = store.trial("s", &format!("{round:016x}"));
                    start.wait();
                    let claim = dir.claim();
                    if matches!(claim, Ok(Claim::Ours(_))) {
                        winners.fetch_add(1, Ordering::SeqCst);
                    }
                    // Nobody lets go before all have tried.
                    end.wait();
                    claim.unwrap();
                });
            }
        });
        assert_eq!(winners.load(Ordering::SeqCst), 1, "round {round}");
    }
}

#[test]
fn owners_exclude_each_other_over_many_hand_overs() {
    const THREADS: usize = 6;
    const TURNS: usize = 15;
    let root = tempfile::tempdir().unwrap();
    let counter = root.path().join("counter");
    fs::write(&counter, "0").unwrap();
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let dir = trial(root.path());
                for _ in 0..TURNS {
                    let lease = loop {
                        match dir.claim().unwrap() {
                            Claim::Ours(lease) => break lease,
                            _ => thread::yield_now(),
                        }
                    };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    let count: usize = fs::read_to_string(&counter).unwrap().parse().unwrap();
                    thread::yield_now();
                    fs::write(&counter, (count + 1).to_string()).unwrap();
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    lease.release().unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&counter).unwrap(), (THREADS * TURNS).to_string());
    assert_eq!(leases(&trial(root.path())).len(), 1);
}

/// The same owner in a process that is long gone: the number is in use again, by a process that started later.
fn dead(owner: &Owner) -> Owner {
    Owner { process_start: owner.process_start.map(|start| start - 1), ..owner.clone() }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reused_process_number_is_another_process() {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    forge(&dir, 1, &sample());
    held(&dir);
    forge(&dir, 1, &dead(&sample()));
    assert_eq!(ours(&dir).generation(), 2);
}

#[test]
fn an_owner_elsewhere_is_dead_when_its_heart_stops() {
    let elsewhere = Owner { host: "elsewhere".into(), boot_id: Some("another boot".into()), ..sample() };
    let container = Owner { pid_namespace: Some("pid:[1]".into()), pid: 1, ..sample() };
    for owner in [elsewhere, container] {
        let root = tempfile::tempdir().unwrap();
        // Without patience, an owner is dead when two looks see the same.
        let hasty = || Store::with_stale_after(root.path(), Duration::ZERO).trial("s", ID);
        let dir = hasty();
        forge(&dir, 3, &owner);
        held(&dir);
        // It beats between the looks.
        forge(&dir, 3, &Owner { beats: 1, ..owner.clone() });
        held(&dir);
        // Whoever has only come to look cannot know; the patient know that it is too early to tell.
        held(&hasty());
        let patient = trial(root.path());
        held(&patient);
        held(&patient);
        assert_eq!(ours(&dir).generation(), 4);
    }
}

#[test]
fn clocks_that_are_wrong_or_jump_decide_nothing() {
    let root = tempfile::tempdir().unwrap();
    for (case, heartbeat) in [0, 1_000_000_000, u64::MAX].into_iter().enumerate() {
        let id = |kind: usize| format!("{:016x}", 16 * case + kind);
        let elsewhere = Owner { boot_id: Some("another boot".into()), heartbeat, ..sample() };
        let hasty = Store::with_stale_after(root.path(), Duration::ZERO).trial("s", &id(0));
        forge(&hasty, 1, &elsewhere);
        assert!(matches!(hasty.holder().unwrap(), Holder::Silent { .. }));
        // A beat is a beat, even when the owner's clock has jumped back.
        forge(&hasty, 1, &Owner { beats: 1, heartbeat: heartbeat / 2, ..elsewhere });
        assert!(matches!(hasty.holder().unwrap(), Holder::Lives(Some(_))));
        let patient = Store::open(root.path()).trial("s", &id(1));
        forge(&patient, 1, &Owner { heartbeat, ..sample() });
        assert!(matches!(patient.holder().unwrap(), Holder::Lives(Some(_))), "this very process lives");
        forge(&patient, 1, &Owner { heartbeat, ..dead(&sample()) });
        assert_eq!(patient.holder().unwrap(), Holder::Nobody);
        assert_eq!(ours(&patient).generation(), 2);
    }
}

#[test]
fn a_lease_that_cannot_be_read_is_respected_for_a_while() {
    let root = tempfile::tempdir().unwrap();
    let patient = trial(root.path());
    fs::create_dir_all(patient.path()).unwrap();
    fs::write(patient.path().join("lease.7"), "{\"host\": \"ha").unwrap();
    for _ in 0..2 {
        assert!(matches!(patient.claim().unwrap(), Claim::Held(None)));
        assert_eq!(patient.state(), TrialState::Running { owner: None, earlier: None });
    }
    let hasty = Store::with_stale_after(root.path(), Duration::ZERO).trial("s", ID);
    assert!(matches!(hasty.claim().unwrap(), Claim::Held(None)));
    assert_eq!(ours(&hasty).generation(), 8);
}

#[test]
fn an_owner_that_was_passed_over_notices() {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    let lease = ours(&dir);
    assert!(!lease.is_lost());
    forge(&dir, 2, &Owner { token: "other".into(), ..sample() });
    assert!(!lease.beat().unwrap());
    assert!(lease.is_lost());
    // Letting go leaves the new owner alone.
    lease.release().unwrap();
    assert_eq!(written(&dir, 2).token, "other");
    assert!(!written(&dir, 2).released);
}

#[test]
fn an_owner_whose_lease_was_deleted_notices() {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    let lease = ours(&dir);
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(!lease.beat().unwrap());
    drop(lease);
    assert!(!dir.path().exists());
}

#[test]
fn the_heart_beats_by_itself_and_stops_with_the_lease() {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    let mut lease = ours(&dir);
    lease.beat_every(Duration::from_millis(5)).unwrap();
    while written(&dir, 1).beats < 3 {
        thread::sleep(Duration::from_millis(5));
    }
    lease.release().unwrap();
    let last = written(&dir, 1);
    assert!(last.released);
    thread::sleep(Duration::from_millis(30));
    assert_eq!(written(&dir, 1), last);
}

/// What a child process does: claims the trial and works until it is killed.
#[test]
fn child() {
    let Some(root) = std::env::var_os("HARNESS_LEASE_TEST") else { return };
    let dir = trial(Path::new(&root));
    let _lease = ours(&dir);
    fs::write(dir.path().join("ready"), "").unwrap();
    thread::sleep(Duration::from_secs(60));
}

/// A process that owns the trial.
fn spawn_child(root: &Path) -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leases::child"])
        .env("HARNESS_LEASE_TEST", root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ready = trial(root).path().join("ready");
    while !ready.exists() {
        thread::sleep(Duration::from_millis(5));
    }
    child
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_process_owns_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = trial(root.path());
    let mut process = spawn_child(root.path());
    let owner = held(&dir);
    assert_eq!(owner.pid, process.id());
    process.kill().unwrap();
    // Dead before its parent has noticed, too: then it is a zombie. It takes the kernel a moment to make it one.
    let lease = loop {
        match dir.claim().unwrap() {
            Claim::Ours(lease) => break lease,
            _ => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(lease.generation(), 2);
    process.wait().unwrap();
}
