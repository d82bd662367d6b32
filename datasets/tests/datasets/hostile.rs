//! Hostile IDX and CIFAR files: any bytes are answered.

use std::fs;

use harness_datasets::{Split, find};
use harness_fuzz::check;
use harness_records::options::Options;

use crate::writer::{NAMES, good, gzip, write_good};

fn load(name: &str, root: &std::path::Path) -> bool {
    let dataset = find(name).unwrap();
    let options = Options::defaults(dataset.about().options);
    let probed = dataset.probe(Some(root), &options).map_err(|error| error.to_string()).is_ok();
    probed && dataset.load(Some(root), &options, Split::Train).map_err(|error| error.to_string()).is_ok()
}

#[test]
fn fuzz_idx() {
    let folder = tempfile::tempdir().unwrap();
    write_good(folder.path());
    let [images, labels] = good(6, 4, 5);
    for (name, whole) in [(NAMES[0], images), (NAMES[1], labels)] {
        check(&format!("idx-{}", &name[6..12]), &[gzip(&whole), whole.clone()], |bytes| {
            fs::write(folder.path().join(name), bytes).unwrap();
            load("mnist", folder.path())
        })
        .unwrap();
        fs::write(folder.path().join(name), whole).unwrap();
    }
}

#[test]
fn fuzz_cifar() {
    let folder = tempfile::tempdir().unwrap();
    let files = crate::cifar::small();
    for (name, bytes) in &files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let (name, whole) = &files[0];
    check("cifar", std::slice::from_ref(whole), |bytes| {
        fs::write(folder.path().join(name), bytes).unwrap();
        load("cifar10", folder.path())
    })
    .unwrap();
    // The archive that the homes of the data offer, with damage inside and around the tar file.
    let folder = tempfile::tempdir().unwrap();
    let archive = crate::cifar::tar_gz("cifar-10-batches-bin", &files);
    check("cifar-tar-gz", &[archive], |bytes| {
        fs::write(folder.path().join("cifar-10-binary.tar.gz"), bytes).unwrap();
        load("cifar10", folder.path())
    })
    .unwrap();
}
