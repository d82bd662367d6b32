//! What is written is read back, and what is broken says so.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use harness_records::attempt::{AttemptEnd, Ended};
use harness_records::record::{
    CorrectSamples, Environment, EpochRecord, FORMAT, FailureClass, LayerRecord, Metrics, ModelRecord, RecordedDevice,
    Role, RunRecord, SiteRecord, Status, TimeRecord, TrialError, ValuesRecord,
};
use harness_records::resume::Resumable;
use harness_records::spec::read_config;
use harness_records::store::{Claim, ResumeState, Store, StoreError, TrialDir, TrialState};
use proptest::prelude::*;

use crate::ids::config;
use crate::support::{catalog, good};

const ID: &str = "0123456789abcdef";

pub(crate) fn record(status: Status) -> RunRecord {
    RunRecord {
        format: FORMAT,
        id: ID.to_owned(),
        sweep: "s".to_owned(),
        status,
        error: (status != Status::Ok).then(|| TrialError { class: FailureClass::Nan, message: "loss is NaN".into() }),
        config: good("{}", &[]).trials()[0].config.clone(),
        seed: 0,
        metrics: Some(Metrics { loss: 0.1, top1: Some(0.97), top5: None, perplexity: None }),
        epochs: vec![epoch(f64::NAN), epoch(f64::INFINITY), epoch(f64::NEG_INFINITY), epoch(0.1 + 0.2)],
        layers: vec![LayerRecord {
            layer: "conv1".into(),
            role: Role::Weight,
            method: "uniform".into(),
            bits: 2,
            shape: vec![20, 1, 5, 5],
            relative_mse: 0.125,
            effective_bits: 1.5,
            code_counts: vec![1, 2, 3, 4],
            fraction: 1.0,
            values: None,
        }],
        model: ModelRecord { parameters: 10, macs: 20, weight_bits: 30, bit_ops: 40 },
        time: TimeRecord { started: 1, finished: 2, seconds: 0.5, resumed: 0 },
        environment: Environment {
            commit: None,
            dirty: None,
            harness: "0.1.0".into(),
            libtorch: "2.11.0".into(),
            device: RecordedDevice::Cpu,
            device_name: "a CPU".into(),
            cpu: "a CPU".into(),
            cpu_capability: "AVX2".into(),
            threads: 1,
            host: "here".into(),
            platform: "linux-x86_64".into(),
        },
        attempt: 1,
        losses: None,
        split: None,
        correct_samples: None,
    }
}

fn epoch(loss: f64) -> EpochRecord {
    EpochRecord {
        epoch: 1,
        lr: 1e-3,
        train_loss: loss,
        train_top1: Some(0.5),
        validation: (loss > 0.0).then_some(Metrics { loss, top1: None, top5: None, perplexity: Some(loss) }),
        test: Metrics { loss, top1: Some(loss), top5: None, perplexity: Some(loss) },
        train_seconds: 1.0,
        test_seconds: 0.25,
        samples_per_second: 1e5,
        sites: Vec::new(),
    }
}

pub(crate) fn resume(epoch: u32) -> ResumeState {
    ResumeState {
        format: FORMAT,
        id: ID.to_owned(),
        epoch,
        step: 7 * u64::from(epoch),
        epochs: Vec::new(),
        started: 5,
        seconds: 1.5,
        resumed: 0,
        split: None,
        losses: None,
        engine: serde_json::json!({"loss_sum": 0.1}),
        checkpoint: String::new(),
        seal: String::new(),
    }
}

/// Two records are the same when they are written the same: NaN differs from itself.
fn text(record: &RunRecord) -> String {
    serde_json::to_string(record).unwrap()
}

#[test]
fn opening_and_looking_create_nothing() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("runs");
    let store = Store::open(&runs);
    let dir = store.trial("s", ID);
    assert_eq!(dir.state(), TrialState::New);
    assert!(dir.record().unwrap().is_none());
    assert!(dir.load_checkpoint().unwrap().is_none());
    assert_eq!(dir.attempts().unwrap(), 0);
    assert!(store.scan(None).unwrap().is_empty() && store.scan(Some("s")).unwrap().is_empty());
    assert!(!runs.exists());
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path());
    let dir = store.trial("s", ID);
    let written = record(Status::Ok);
    dir.write_record(&written).unwrap();
    let read = dir.record().unwrap().unwrap();
    assert_eq!(text(&read), text(&written));
    assert!(read.epochs[0].train_loss.is_nan());
    assert_eq!(read.epochs[2].test.top1, Some(f64::NEG_INFINITY));
    assert_eq!(read.epochs[3].train_loss.to_bits(), (0.1_f64 + 0.2).to_bits());
    assert!(matches!(dir.state(), TrialState::Done(_)));
    let scanned = store.scan(None).unwrap();
    assert_eq!(scanned.len(), 1);
    assert_eq!((scanned[0].sweep.as_str(), scanned[0].id.as_str()), ("s", ID));
}

#[test]
fn a_finished_record_is_never_changed() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    dir.write_record(&record(Status::Ok)).unwrap();
    let before = fs::read(dir.record_path()).unwrap();
    for status in [Status::Ok, Status::Failed] {
        let error = dir.write_record(&record(status)).unwrap_err();
        assert!(matches!(error, StoreError::Finished { .. }), "{error}");
    }
    assert!(matches!(dir.claim().unwrap(), Claim::Finished));
    assert_eq!(fs::read(dir.record_path()).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the record is there");
}

#[test]
fn a_failed_record_moves_aside_for_the_next_attempt() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    let Claim::Ours(lease) = dir.claim().unwrap() else { panic!("not ours") };
    assert_eq!(dir.begin_attempt().unwrap(), 1);
    dir.write_record(&record(Status::Diverged)).unwrap();
    assert!(matches!(dir.state(), TrialState::Running { .. }));
    lease.release().unwrap();
    assert!(matches!(dir.state(), TrialState::Failed(record) if record.status == Status::Diverged));
    let Claim::Ours(lease) = dir.claim().unwrap() else { panic!("not ours") };
    assert_eq!(dir.begin_attempt().unwrap(), 2);
    dir.write_record(&RunRecord { attempt: 2, ..record(Status::Ok) }).unwrap();
    lease.release().unwrap();
    assert!(matches!(dir.state(), TrialState::Done(record) if record.attempt == 2));
    let old: RunRecord = serde_json::from_slice(&fs::read(dir.path().join("record-1.json")).unwrap()).unwrap();
    assert_eq!(old.status, Status::Diverged);
    assert_eq!(dir.attempts().unwrap(), 2);
    let leases = fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("lease"));
    assert_eq!(leases.count(), 0, "a finished trial needs no lease");
}

#[test]
fn unknown_fields_of_a_record_are_ignored() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    let mut json = serde_json::to_value(record(Status::Ok)).unwrap();
    json["invented"] = 3.into();
    json["config"]["train"]["invented"] = 3.into();
    json["config"]["train"]["optimizer"]["invented"] = 3.into();
    json["epochs"][0]["test"]["invented"] = 3.into();
    dir.write("record.json", json.to_string().as_bytes()).unwrap();
    assert_eq!(text(&dir.record().unwrap().unwrap()), text(&record(Status::Ok)));
}

#[test]
fn records_of_the_first_format_are_read() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path());
    // Written before answers, values and sites existed: none of their keys is there.
    let mut old = serde_json::to_value(record(Status::Ok)).unwrap();
    old["format"] = 1.into();
    for key in ["answers", "values", "sites"] {
        old.as_object_mut().unwrap().remove(key);
    }
    let old = old.to_string();
    let mut new = record(Status::Ok);
    (new.format, new.id) = (2, "f".repeat(16));
    new.correct_samples = Some(CorrectSamples::new([true, false, true]));
    new.epochs[0].sites = vec![SiteRecord {
        layer: "conv1".into(),
        role: Role::Weight,
        relative_mse: f64::NAN,
        effective_bits: 1.5,
        fraction: 1.0,
        code_counts: vec![1, 2],
    }];
    let (before, after) = (vec![1, 2], vec![3, 0]);
    new.layers[0].values =
        Some(ValuesRecord { cosine: 0.5, low: -1.0, high: 1.0, before, after, levels: vec![-1.0, 0.1] });
    for (id, text) in [(ID, old), (&new.id, serde_json::to_string(&new).unwrap())] {
        store.trial("s", id).write("record.json", text.as_bytes()).unwrap();
    }
    let records: Vec<RunRecord> =
        [ID, &new.id].iter().filter_map(|id| store.trial("s", id).record().unwrap()).collect();
    assert_eq!(records.len(), 2);
    let expected = RunRecord { format: 1, ..record(Status::Ok) };
    assert_eq!(format!("{:?}", records[0]), format!("{expected:?}"));
    assert_eq!(format!("{:?}", records[1]), format!("{new:?}"));
}

#[test]
fn broken_records_are_reported_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path());
    let dir = store.trial("s", ID);
    let whole = serde_json::to_vec(&record(Status::Ok)).unwrap();
    let other = RunRecord { id: "f".repeat(16), ..record(Status::Ok) };
    let newer = RunRecord { format: FORMAT + 1, ..record(Status::Ok) };
    for (bytes, want) in [
        (whole[..whole.len() / 2].to_vec(), "is damaged: EOF while parsing"),
        (Vec::new(), "is damaged: EOF while parsing"),
        (b"\0\0\0\0".to_vec(), "is damaged: "),
        (b"{}".to_vec(), "is damaged: missing field `format`"),
        (b"{\"format\": 1}".to_vec(), "is damaged: missing field `id`"),
        (serde_json::to_vec(&other).unwrap(), "is damaged: it is the record of trial ffff"),
        (serde_json::to_vec(&newer).unwrap(), "has format 4, this version reads up to 3: use a newer harness"),
        (b"{\"format\": 9}".to_vec(), "has format 9"),
    ] {
        dir.write("record.json", &bytes).unwrap();
        let scanned = store.scan(Some("s")).unwrap();
        match &scanned[0].state {
            TrialState::Broken(reason) => assert!(reason.contains(want) && reason.contains("record.json"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    // A newer record is no reason to run the trial again; a damaged one is.
    assert!(matches!(dir.claim(), Err(StoreError::Newer { found: 9, .. })));
    dir.write("record.json", b"half").unwrap();
    let Claim::Ours(_lease) = dir.claim().unwrap() else { panic!("not ours") };
    dir.write_record(&record(Status::Ok)).unwrap();
    assert!(dir.record().unwrap().is_some());
}

#[test]
fn a_scan_lists_trials_only_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path());
    for (sweep, id) in [("b", "00000000000000ff"), ("a", "ffffffffffffffff"), ("a", "0000000000000000")] {
        store.trial(sweep, id).write("config.yaml", b"x").unwrap();
    }
    fs::create_dir_all(root.path().join("a/report")).unwrap();
    fs::create_dir_all(root.path().join(".git/0000000000000000")).unwrap();
    fs::write(root.path().join("notes.txt"), "").unwrap();
    let found: Vec<String> = store.scan(None).unwrap().iter().map(|e| format!("{}/{}", e.sweep, e.id)).collect();
    assert_eq!(found, ["a/0000000000000000", "a/ffffffffffffffff", "b/00000000000000ff"]);
    assert_eq!(store.sweeps().unwrap(), ["a", "b"]);
}

#[test]
fn a_scan_of_many_trials_gives_each_its_own_state() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path());
    let id = |n: u64| format!("{n:016x}");
    for n in 0..300 {
        let dir = store.trial("s", &id(n));
        if n % 3 == 0 {
            dir.write_record(&RunRecord { id: id(n), ..record(Status::Ok) }).unwrap();
        } else {
            dir.write("config.yaml", b"x").unwrap();
        }
    }
    let scanned = store.scan(None).unwrap();
    assert!(scanned.iter().map(|entry| entry.id.clone()).eq((0..300).map(id)));
    for entry in scanned {
        match &entry.state {
            TrialState::Done(record) => assert_eq!(record.id, entry.id),
            state => assert!(*state == TrialState::New && u64::from_str_radix(&entry.id, 16).unwrap() % 3 > 0),
        }
    }
}

pub(crate) fn fill(content: &'static str) -> impl FnOnce(&std::path::Path) -> Result<(), StoreError> {
    move |path| {
        assert_eq!(path.extension().unwrap(), "safetensors");
        fs::write(path, content).unwrap();
        Ok(())
    }
}

#[test]
fn checkpoint_and_state_belong_together() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    dir.save_checkpoint(&resume(1), fill("one")).unwrap();
    dir.save_checkpoint(&resume(2), fill("two")).unwrap();
    let Resumable { state, checkpoint, passed_over } = dir.load_checkpoint().unwrap().unwrap();
    assert_eq!((state.epoch, state.step), (2, 14));
    assert_eq!(state.engine["loss_sum"], 0.1);
    assert_eq!(fs::read_to_string(&checkpoint).unwrap(), "two");
    assert_eq!(checkpoint, dir.checkpoint_path());
    assert!(passed_over.is_empty());
    assert_eq!(dir.state(), TrialState::Partial(2));
    dir.remove_checkpoint().unwrap();
    assert_eq!(dir.state(), TrialState::New);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The epoch that a trial goes on from, what its checkpoint says, and how many later ones were passed over.
fn resumes(dir: &TrialDir) -> (u32, String, usize) {
    let Resumable { state, checkpoint, passed_over } = dir.load_checkpoint().unwrap().unwrap();
    (state.epoch, fs::read_to_string(checkpoint).unwrap(), passed_over.len())
}

/// Every file of a folder with its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn a_process_that_dies_while_saving_leaves_one_pair_or_the_other() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    dir.save_checkpoint(&resume(1), fill("one")).unwrap();
    dir.save_checkpoint(&resume(2), fill("two")).unwrap();

    // Died in the middle of writing the checkpoint: nothing has changed.
    let failed = dir.save_checkpoint(&resume(3), |path| {
        fs::write(path, "ha").unwrap();
        Err(StoreError::Io { action: "write", path: path.into(), source: io::ErrorKind::StorageFull.into() })
    });
    assert_eq!(failed.unwrap_err().io_kind(), Some(io::ErrorKind::StorageFull));
    assert_eq!(resumes(&dir), (2, "two".to_owned(), 0));

    // Died after any of the steps that follow: one pair counts, and the next save works from there.
    let before = files(dir.path());
    dir.save_checkpoint(&resume(3), fill("three")).unwrap();
    let after = files(dir.path());
    let next = || ("next-checkpoint.safetensors", b"three".to_vec());
    let previous = || ("previous-checkpoint.safetensors", b"two".to_vec());
    let previous_state = || ("previous-state.json", after["previous-state.json"].clone());
    let state = || ("state.json", after["state.json"].clone());
    let steps = [
        (vec![next()], "", 2, "two"),
        (vec![next(), previous()], "checkpoint.safetensors", 2, "two"),
        (vec![next(), previous(), previous_state()], "checkpoint.safetensors", 2, "two"),
        (vec![next(), previous(), previous_state(), state()], "checkpoint.safetensors", 3, "three"),
    ];
    for (changed, gone, epoch, content) in steps {
        fs::remove_dir_all(dir.path()).unwrap();
        fs::create_dir_all(dir.path()).unwrap();
        for (name, bytes) in before.iter().filter(|(name, _)| *name != gone) {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        for (name, bytes) in &changed {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        assert_eq!(resumes(&dir), (epoch, content.to_owned(), 0), "after {} steps", changed.len());
        dir.save_checkpoint(&resume(epoch + 1), fill("more")).unwrap();
        assert_eq!(resumes(&dir), (epoch + 1, "more".to_owned(), 0));
        fs::write(dir.checkpoint_path(), "lost").unwrap();
        assert_eq!(resumes(&dir), (epoch, content.to_owned(), 1), "after {} steps", changed.len());
    }
}

#[test]
fn the_pair_before_takes_over_when_any_bit_of_the_last_one_flips() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    dir.save_checkpoint(&resume(1), fill("one")).unwrap();
    dir.save_checkpoint(&resume(2), fill("two")).unwrap();
    for name in ["state.json", "checkpoint.safetensors"] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for bit in (0..8 * whole.len()).step_by(5) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            match dir.load_checkpoint() {
                Ok(Some(found)) => {
                    assert_eq!((found.state.epoch, found.passed_over.len()), (1, 1), "{name}, bit {bit}")
                }
                // The number of the format is looked at first: this one may be from the future.
                Err(StoreError::Newer { .. }) if name == "state.json" => {}
                other => panic!("{name}, bit {bit}: {other:?}"),
            }
        }
        for length in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(resumes(&dir), (1, "one".to_owned(), 1), "{name}, {length} bytes");
        }
        fs::write(&path, whole).unwrap();
    }
    // With both gone there is nothing to go on from, and it says so.
    fs::write(dir.checkpoint_path(), "lost").unwrap();
    fs::write(dir.path().join("previous-checkpoint.safetensors"), "lost").unwrap();
    let error = dir.load_checkpoint().unwrap_err();
    assert!(error.to_string().contains("is not the checkpoint that `state.json` belongs to"), "{error}");
}

#[test]
fn attempts_say_how_they_ended() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    assert_eq!(dir.begin_attempt().unwrap(), 1);
    dir.save_checkpoint(&resume(4), fill("four")).unwrap();
    assert_eq!(dir.attempt_history().unwrap()[0].end, None);
    // The first died: nobody wrote its end, so the second does.
    assert_eq!(dir.begin_attempt().unwrap(), 2);
    dir.end_attempt(2, AttemptEnd::now(Ended::Ok, None, 6)).unwrap();
    dir.end_attempt(2, AttemptEnd::now(Ended::Failed, None, 0)).unwrap();
    let ends: Vec<(Ended, u32)> =
        dir.attempt_history().unwrap().into_iter().map(|a| a.end.unwrap()).map(|end| (end.how, end.epochs)).collect();
    assert_eq!(ends, [(Ended::Died, 4), (Ended::Ok, 6)]);
}

#[test]
fn litter_of_a_dead_owner_is_cleared() {
    let root = tempfile::tempdir().unwrap();
    let dir = Store::open(root.path()).trial("s", ID);
    dir.write("config.yaml", b"x").unwrap();
    fs::write(dir.path().join(".tmp-0123-checkpoint.safetensors"), "half").unwrap();
    let Claim::Ours(_lease) = dir.claim().unwrap() else { panic!("not ours") };
    let mut names: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["config.yaml", "lease.1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_of_any_configuration_and_numbers_come_back(
        config in config(),
        losses in proptest::collection::vec(any::<f64>(), 0..4),
        message in any::<String>(),
    ) {
        let mut written = record(Status::Failed);
        written.config = config;
        written.epochs = losses.into_iter().map(epoch).collect();
        written.error = Some(TrialError { class: FailureClass::Crash, message });
        let json = text(&written);
        let read: RunRecord = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read.config, &written.config);
        prop_assert_eq!(&read.error, &written.error);
        prop_assert_eq!(text(&read), json);
    }

    #[test]
    fn a_configuration_comes_back_from_its_file(config in config()) {
        let root = tempfile::tempdir().unwrap();
        let dir = Store::open(root.path()).trial("s", ID);
        dir.write_config(&config).unwrap();
        let read = read_config(&dir.config_path(), &catalog());
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(config));
    }
}
