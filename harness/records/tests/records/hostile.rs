//! Hostile sweep files, records, states, leases and configurations: any bytes are answered.

use std::fs;

use harness_fuzz::check;
use harness_records::spec::{SweepSpec, read_config};
use harness_records::store::{Claim, Store, TrialState};

use crate::support::{catalog, good};

const ID: &str = "0123456789abcdef";

/// A sweep with most of what a sweep file can say.
const SWEEP: &[u8] = b"\
name: s
base: &base
  dataset: {name: mnist, root: ${HERE}, normalize: false}
  model: {name: lenet, width: 12}
  train: {epochs: 3, batch: 32, optimizer: {name: adam, lr: 1.0e-3}, schedule: {name: cosine}, seed: 7}
  quant: {weights: {method: uniform, bits: 3, per: channel}, keep_float: [first]}
axes:
  quant.weights:
    - {method: float}
    - {method: balanced, bits: 2}
  train.seed: [0, 1, 2]
exclude: [{quant.weights.method: float, train.seed: 2}]
include: [{train: {epochs: 1}}]
report: {tables: [accuracy], figures: [accuracy_vs_bits]}
";

#[test]
fn fuzz_sweep_yaml() {
    let folder = tempfile::tempdir().unwrap();
    let (path, catalog) = (folder.path().join("sweep.yaml"), catalog());
    check("sweep-yaml", &[SWEEP.to_vec()], |bytes| {
        fs::write(&path, bytes).unwrap();
        let spec = SweepSpec::read_with(&path, &[], &catalog, &|_| Some("/data".to_owned()));
        spec.map_err(|error| error.to_string()).is_ok()
    })
    .unwrap();
}

#[test]
fn fuzz_config_yaml() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Store::open(folder.path()).trial("s", ID);
    dir.write_config(&good("{}", &[]).trials()[0].config).unwrap();
    let whole = fs::read(dir.config_path()).unwrap();
    let catalog = catalog();
    check("config-yaml", &[whole], |bytes| {
        fs::write(dir.config_path(), bytes).unwrap();
        read_config(&dir.config_path(), &catalog).map_err(|error| error.to_string()).is_ok()
    })
    .unwrap();
}

#[test]
fn fuzz_record_json() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Store::open(folder.path()).trial("s", ID);
    dir.write_record(&crate::stores::record(harness_records::record::Status::Ok)).unwrap();
    let whole = fs::read(dir.record_path()).unwrap();
    check("record-json", &[whole], |bytes| {
        fs::write(dir.record_path(), bytes).unwrap();
        matches!(dir.state(), TrialState::Done(_) | TrialState::Failed(_))
    })
    .unwrap();
}

#[test]
fn fuzz_state_json() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Store::open(folder.path()).trial("s", ID);
    let state = crate::stores::resume(1);
    dir.save_checkpoint(&state, crate::stores::fill("one")).unwrap();
    let whole = fs::read(dir.state_path()).unwrap();
    check("state-json", std::slice::from_ref(&whole), |bytes| {
        fs::write(dir.state_path(), bytes).unwrap();
        let loaded = dir.load_checkpoint();
        let accepted = matches!(loaded, Ok(Some(_)));
        // What carries its own hash cannot be changed unseen; only states of older formats have none.
        assert!(!accepted || bytes == whole || !String::from_utf8_lossy(bytes).contains("\"format\": 3"));
        accepted
    })
    .unwrap();
}

#[test]
fn fuzz_lease_json() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Store::open(folder.path()).trial("s", ID);
    let Ok(Claim::Ours(lease)) = dir.claim() else { panic!("not ours") };
    let path = dir.path().join("lease.1");
    let whole = fs::read(&path).unwrap();
    check("lease-json", &[whole], |bytes| {
        fs::write(&path, bytes).unwrap();
        dir.holder().is_ok()
    })
    .unwrap();
    drop(lease);
}
