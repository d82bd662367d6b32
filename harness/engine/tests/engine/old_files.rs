//! Files that an earlier version of the program wrote (format 3, commit 326adcd) for one trial: a multi-layer perceptron
//! with DoReFa at 2 bits on `digits`, with micro-batches, averaged weights and a warm restart. Once it ran to its end,
//! once it was interrupted at step 167 of 300, in its second epoch.

use std::fs;
use std::path::Path;

use harness_engine::event::Event;
use harness_engine::job::Rules;
use harness_engine::verify::first_difference;
use harness_engine::worker::Worker;
use harness_records::record::{RunRecord, Status};
use harness_records::store::Store;
use harness_records::trial::Trial;
use tch::Device;
use tempfile::TempDir;

const SWEEP: &str = "old";
const ID: &str = "b716d179166ed3b8";

/// A copy of a folder of runs with this one trial.
fn copy(name: &str) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/fixtures").join(name).join(SWEEP).join(ID);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(SWEEP).join(ID);
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    folder
}

fn finished() -> RunRecord {
    let runs = copy("finished");
    Store::open(runs.path()).trial(SWEEP, ID).record().unwrap().unwrap()
}

#[test]
fn an_old_record_is_read() {
    let record = finished();
    assert_eq!((record.status, record.epochs.len(), record.layers.len()), (Status::Ok, 2, 3));
    assert_eq!(record.layers.iter().map(|layer| layer.fraction).collect::<Vec<_>>(), [1.0; 3]);
    assert_eq!(record.correct_samples.unwrap().correct(), 3);
}

#[test]
fn training_goes_on_from_an_old_checkpoint_under_an_old_lease() {
    let old = finished();
    let runs = copy("interrupted");
    let store = Store::open(runs.path());
    let trial = Trial {
        id: ID.to_owned(),
        sweep: SWEEP.to_owned(),
        config: old.config.clone(),
        label: ID.to_owned(),
        axes: Vec::new(),
    };
    let mut events = Vec::new();
    let worker = Worker { store: &store, device: Device::Cpu, rules: Rules::default() };
    worker.run(&[trial], &mut |event| events.push(event));

    let begins = events.iter().find(|event| matches!(event, Event::Started { .. } | Event::Note { .. }));
    assert!(matches!(begins, Some(Event::Started { attempt: 2, resumed_epochs: 1, .. })), "{begins:?}");
    let first_step = events.iter().find_map(|event| match event {
        Event::Step { done, .. } => Some(*done),
        _ => None,
    });
    assert!(first_step.is_some_and(|step| step > 167), "{first_step:?}");

    let new = store.trial(SWEEP, ID).record().unwrap().unwrap();
    assert_eq!((new.status, new.attempt, new.time.resumed, new.epochs.len()), (Status::Ok, 2, 1, 2));
    let loss = |record: &RunRecord| record.metrics.as_ref().unwrap().loss;
    assert!((loss(&new) - loss(&old)).abs() < 1e-3, "{} and {}", loss(&new), loss(&old));
    // Another processor may round differently; on the same one every bit is as it was.
    if new.environment.cpu == old.environment.cpu {
        assert_eq!(first_difference(&old, &new), None);
    }
}
