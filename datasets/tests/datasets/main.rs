//! The data sets through their public face.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod cifar;
mod digits;
mod fetch;
mod hostile;
mod idx;
mod idx_hostile;
mod options;
mod photos;
mod stand_in;
mod synthetic;
mod text;
mod writer;

use harness_datasets::{DATASETS, Images, find};
use harness_records::config::KeyDefault;
use harness_records::options::Options;
use std::collections::BTreeMap;

/// How many images each class has.
fn class_counts(images: &Images) -> Vec<usize> {
    let mut counts = vec![0; images.classes];
    images.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

#[test]
fn every_data_set_is_found_under_its_name_and_documents_usable_options() {
    for dataset in DATASETS {
        let about = dataset.about();
        assert!(std::ptr::eq(find(about.name).unwrap().about(), about), "{} is not unique", about.name);
        assert!(!about.summary.is_empty());
        // The defaults are values that a sweep file may also give.
        let given: BTreeMap<_, _> = about
            .options
            .iter()
            .filter(|doc| doc.default != KeyDefault::Absent)
            .map(|doc| (doc.name.to_owned(), doc.default.value().unwrap()))
            .collect();
        assert_eq!(Options::resolve(about.options, &given).unwrap(), Options::defaults(about.options));
    }
    assert!(find("no-such-data-set").is_none());
}
