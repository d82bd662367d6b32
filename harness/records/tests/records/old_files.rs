//! Files as earlier versions wrote them, byte for byte: they stay readable, and mean the same. Records, checkpoints and
//! configurations of that kind are among the tests of the engine, which can go on from them.

use std::fs;

use harness_records::attempt::Ended;
use harness_records::config::TrainConfig;
use harness_records::lease::Owner;
use harness_records::record::{FailureClass, RecordedDevice, Role, Status};
use harness_records::store::{Store, TrialDir, TrialState};
use harness_records::submission::Submissions;
use tempfile::TempDir;

use crate::stores::record;

fn folder(files: &[(&str, &str)]) -> (TempDir, TrialDir) {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", "0123456789abcdef");
    fs::create_dir_all(dir.path()).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    (root, dir)
}

/// An attempt had no end before ends were written down.
#[test]
fn attempts_of_every_kind_are_read() {
    let (_root, dir) = folder(&[
        ("attempt-1.json", r#"{"number":1,"started":1700000000,"host":"a","pid":12}"#),
        (
            "attempt-2.json",
            r#"{"number":2,"started":1700000100,"host":"a","pid":13,"end":{"at":1700000200,"how":"died","epochs":3}}"#,
        ),
        (
            "attempt-3.json",
            r#"{"number":3,"started":1700000300,"host":"b","pid":14,"end":{"at":1700000400,"how":"stopped","epochs":4}}"#,
        ),
        (
            "attempt-4.json",
            r#"{"number":4,"started":1700000500,"host":"b","pid":15,"end":{"at":1700000600,"how":"failed","error":{"class":"oom","message":"no memory"},"epochs":4}}"#,
        ),
        (
            "attempt-5.json",
            r#"{"number":5,"started":1700000700,"host":"b","pid":16,"end":{"at":1700000800,"how":"diverged","error":{"class":"nan","message":"NaN"},"epochs":6}}"#,
        ),
        (
            "attempt-6.json",
            r#"{"number":6,"started":1700000900,"host":"b","pid":17,"end":{"at":1700001000,"how":"ok","epochs":10}}"#,
        ),
    ]);
    let history = dir.attempt_history().unwrap();
    assert_eq!(history.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let ends: Vec<_> = history.iter().map(|attempt| attempt.end.as_ref().map(|end| (end.how, end.epochs))).collect();
    let want = [
        None,
        Some((Ended::Died, 3)),
        Some((Ended::Stopped, 4)),
        Some((Ended::Failed, 4)),
        Some((Ended::Diverged, 6)),
        Some((Ended::Ok, 10)),
    ];
    assert_eq!(ends, want);
    let class = history[3].end.as_ref().unwrap().error.as_ref().unwrap().class;
    assert_eq!(class, FailureClass::Oom);
    assert_eq!((history[5].host.as_str(), history[5].pid, history[5].started), ("b", 17, 1_700_000_900));
}

#[test]
fn a_lease_of_format_1_is_read() {
    let text = r#"{"host":"a","boot_id":"6c0d","pid_namespace":"pid:[4026531836]","pid":7,"process_start":99,"heartbeat":1700000000,"beats":3,"token":"00ff00ff00ff00ff","released":false}"#;
    let owner: Owner = serde_json::from_str(text).unwrap();
    assert_eq!((owner.host.as_str(), owner.pid, owner.process_start), ("a", 7, Some(99)));
    assert_eq!((owner.heartbeat, owner.beats, owner.released), (1_700_000_000, 3, false));
    assert_eq!(serde_json::to_string(&owner).unwrap(), text, "what is written has changed");
}

#[test]
fn a_submission_of_format_1_is_read() {
    let text = r#"{"format":1,"cluster":"slurm","name":"s-0a1b2c3d","submitted":1700000000,"host":"login","job":"4711","trials":["0123456789abcdef"],"over":false}"#;
    let root = tempfile::tempdir().unwrap();
    let submissions = Submissions::of(&Store::open(root.path()), "s");
    fs::create_dir_all(submissions.folder()).unwrap();
    fs::write(submissions.folder().join("s-0a1b2c3d.json"), text).unwrap();
    let found = submissions.list().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].cluster.as_str(), found[0].job.as_deref()), ("slurm", Some("4711")));
    assert_eq!(found[0].trials, ["0123456789abcdef"]);
    assert_eq!(serde_json::to_string(&found[0]).unwrap(), text, "what is written has changed");
}

#[test]
fn a_verification_is_read_for_its_own_record_only() {
    let (_root, dir) = folder(&[]);
    dir.write_record(&record(Status::Ok)).unwrap();
    let hash = blake3::hash(&fs::read(dir.record_path()).unwrap()).to_hex().to_string();
    let text = |hash: &str| {
        format!(
            r#"{{"format":1,"at":1700000000,"record":"{hash}","environment":{{"commit":null,"dirty":null,"harness":"0.1.0","libtorch":"2.11.0","device":"cpu","device_name":"a CPU","cpu":"a CPU","cpu_capability":"AVX2","threads":1,"host":"here","platform":"linux-x86_64"}},"difference":"metrics.loss"}}"#
        )
    };
    fs::write(dir.path().join("verified.json"), text(&hash)).unwrap();
    let found = dir.verification().unwrap().unwrap();
    assert_eq!((found.at, found.difference.as_deref()), (1_700_000_000, Some("metrics.loss")));
    assert_eq!(found.environment, record(Status::Ok).environment);
    fs::write(dir.path().join("verified.json"), text(&"0".repeat(64))).unwrap();
    assert_eq!(dir.verification().unwrap(), None);
}

/// Written by the versions that had these formats. Keys that came later read as their defaults.
#[test]
fn records_of_formats_1_and_2_are_read() {
    let read = |text: &str| {
        let (_root, dir) = folder(&[("record.json", text)]);
        (dir.record().unwrap().unwrap(), dir.state())
    };
    for (format, text) in [(1, include_str!("fixtures/record-1.json")), (2, include_str!("fixtures/record-2.json"))] {
        let (record, state) = read(text);
        assert_eq!((record.format, &*record.id, record.status), (format, "0123456789abcdef", Status::Ok));
        assert!(matches!(state, TrialState::Done(found) if found.layers == record.layers));
        assert_eq!(record.metrics.unwrap().top1, Some(0.97));
        let losses: Vec<String> = record.epochs.iter().map(|epoch| epoch.train_loss.to_string()).collect();
        assert_eq!(losses, ["NaN", "inf", "-inf", "0.30000000000000004"]);
        let layer = &record.layers[0];
        assert_eq!((&*layer.layer, layer.role, layer.bits, layer.fraction), ("conv1", Role::Weight, 2, 1.0));
        assert_eq!(record.environment.device, RecordedDevice::Cpu);
        let default = TrainConfig { epochs: 10, batch: 128, ..TrainConfig::default() };
        assert_eq!(record.config.train, default, "keys that came later have their defaults");
        let right: Option<Vec<bool>> = record.correct_samples.map(|samples| samples.iter().collect());
        if format == 1 {
            assert!(right.is_none() && layer.values.is_none() && record.epochs[3].sites.is_empty());
        } else {
            assert_eq!(right.unwrap(), [true, false, true, true, false, false, true, true, false, true]);
            let values = layer.values.as_ref().unwrap();
            assert_eq!((values.low, values.high, values.before.as_slice()), (-1.5, 2.0, &[3, 4, 5][..]));
            let site = &record.epochs[3].sites[0];
            assert_eq!((site.role, site.fraction, site.code_counts.as_slice()), (Role::Weight, 0.5, &[4, 3, 2, 1][..]));
        }
    }
}
