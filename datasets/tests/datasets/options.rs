//! Every option of every data set is read.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use harness_datasets::{DATASETS, Dataset, Samples, Split};
use harness_records::config::effects::without_effect;
use harness_records::options::Options;

use crate::photos::{jpeg, put, turned, walk};
use crate::{cifar, writer};

/// Data sets made up from numbers up to this many pixels are drawn; of larger ones only the shape is looked at.
const LARGEST: usize = 1 << 22;

/// Small files of every data set that needs files.
fn files(root: &Path) {
    writer::write_good(root);
    for (name, bytes) in cifar::small() {
        fs::write(root.join(name), bytes).unwrap();
    }
    fs::write(root.join("train.bin"), cifar::records(4, 1, |i| vec![i, 99 - i])).unwrap();
    fs::write(root.join("test.bin"), cifar::records(2, 2, |i| vec![19 - i, i])).unwrap();
    for name in ["train", "valid", "test"] {
        for file in [format!("{name}.txt"), format!("ptb.{name}.txt")] {
            fs::write(root.join(file), "a b a c a b d\n").unwrap();
        }
    }
    let photograph = jpeg(600, 420, 200);
    put(&root.join("train/n01/turned.jpg"), &turned(&photograph, 6, false));
    put(&root.join("train/n02/plain.jpg"), &jpeg(80, 60, 120));
    put(&root.join("val/n01/plain.jpg"), &photograph);
    put(&root.join("val/n02/broken.jpg"), &photograph[..600]);
    // A second folder, in which a list says what the photographs to test on show.
    put(&root.join("flat/train/n01/plain.jpg"), &photograph);
    put(&root.join("flat/val/1.jpg"), &photograph);
}

/// What a trial would see under these options: shapes, and what comes out of both splits.
fn behaviour(dataset: &dyn Dataset, root: &Path, options: &Options) -> String {
    let contents = dataset.probe(Some(root), options);
    let flat = dataset.probe(Some(&root.join("flat")), options).map_err(|error| error.to_string());
    let pixels = contents
        .as_ref()
        .ok()
        .and_then(|contents| contents.images())
        .map_or(0, |shape| shape.channels * shape.height * shape.width * shape.train.max(shape.test));
    let needs_files = dataset.stand_in(options).is_some();
    let drawn =
        |split| if pixels <= LARGEST || needs_files { seen(dataset, root, options, split) } else { String::new() };
    format!("{contents:?} {flat:?} {} {}", drawn(Split::Train), drawn(Split::Test))
}

fn seen(dataset: &dyn Dataset, root: &Path, options: &Options, split: Split) -> String {
    let key = (split == Split::Train).then_some((1, 2));
    match dataset.load(Some(root), options, split) {
        Ok(Samples::Images(images)) => format!("{images:?}"),
        Ok(Samples::Text(tokens)) => format!("{tokens:?}"),
        Ok(Samples::Photos(photos)) => {
            let photos = Arc::new(photos);
            format!("{:?} {:?}", walk(&photos, 2, key, 1).map_err(|e| e.to_string()), photos.broken())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_option_of_every_data_set_changes_what_a_trial_sees() {
    let root = tempfile::tempdir().unwrap();
    files(root.path());
    for dataset in DATASETS {
        let about = dataset.about();
        let base = dataset.load(Some(root.path()), &Options::defaults(about.options), Split::Train);
        assert!(base.is_ok(), "{}: {base:?}", about.name);
        let idle = without_effect(about.options, |options| behaviour(*dataset, root.path(), options));
        assert!(idle.is_empty(), "{}: no value of {idle:?} changes anything", about.name);
    }
}
