//! Good IDX files: what was written is what is read, under every name and packing.

use std::fs;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use harness_datasets::{Images, Shape, Split, find};
use harness_records::options::Options;
use proptest::prelude::*;

use crate::writer::{NAMES, good, gzip, idx, write_good};

fn load(root: &Path, split: Split) -> Images {
    find("mnist").unwrap().load(Some(root), &Options::default(), split).unwrap().images().unwrap()
}

fn probe(root: &Path) -> Shape {
    find("mnist").unwrap().probe(Some(root), &Options::default()).unwrap().images().unwrap()
}

/// Sizes, pixels and labels of one split.
fn split() -> impl Strategy<Value = (u32, Vec<u8>, Vec<u8>)> {
    (1u32..20).prop_flat_map(|count| {
        let pixels = proptest::collection::vec(any::<u8>(), (count * 6) as usize);
        (Just(count), pixels, proptest::collection::vec(0u8..10, count as usize))
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        train in split(),
        test in split(),
        tall in any::<bool>(),
        packed in any::<[bool; 4]>(),
        dotted in any::<[bool; 4]>(),
        suffixed in any::<[bool; 4]>(),
    ) {
        let (height, width) = if tall { (3, 2) } else { (1, 6) };
        let root = tempfile::tempdir().unwrap();
        let files = [&train, &test].into_iter().flat_map(|(count, pixels, labels)| {
            [idx(&[*count, height, width], pixels), idx(&[*count], labels)]
        });
        for (i, bytes) in files.enumerate() {
            // Name and content may disagree about gzip: the content decides.
            let sign = if dotted[i] { ".idx" } else { "-idx" };
            let name = NAMES[i].replace("-idx", sign) + if suffixed[i] { ".gz" } else { "" };
            fs::write(root.path().join(name), if packed[i] { gzip(&bytes) } else { bytes }).unwrap();
        }

        let (height, width) = (height as usize, width as usize);
        prop_assert_eq!(
            probe(root.path()),
            Shape { channels: 1, height, width, classes: 10, train: train.0 as usize, test: test.0 as usize }
        );
        for (split, (count, pixels, labels)) in [(Split::Train, train), (Split::Test, test)] {
            let images = load(root.path(), split);
            prop_assert_eq!(images.len(), count as usize);
            prop_assert_eq!(images.shape, [1, height, width]);
            prop_assert_eq!(&images.pixels, &pixels);
            prop_assert_eq!(images.labels, labels.into_iter().map(u16::from).collect::<Vec<_>>());
            prop_assert_eq!((images.pixel_max, images.classes), (255, 10));
        }
    }
}

#[test]
fn each_data_set_has_its_published_normalisation() {
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    for (name, mean, std) in [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)] {
        let images =
            find(name).unwrap().load(Some(root.path()), &Options::default(), Split::Test).unwrap().images().unwrap();
        assert_eq!((images.mean, images.std), (vec![mean], vec![std]), "{name}");
    }
}

#[test]
fn plain_files_come_before_packed_ones() {
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    fs::write(root.path().join("train-images-idx3-ubyte.gz"), "not looked at").unwrap();
    assert_eq!(load(root.path(), Split::Train).len(), 6);
}

#[test]
fn a_folder_with_the_name_of_a_file_is_passed_over_when_the_file_is_there_too() {
    // As a well-known archive unpacks.
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    let folder = root.path().join(NAMES[0]);
    fs::rename(&folder, root.path().join("train-images.idx3-ubyte")).unwrap();
    fs::create_dir(&folder).unwrap();
    assert_eq!(load(root.path(), Split::Train).len(), 6);
    assert_eq!(probe(root.path()).train, 6);
}

#[test]
fn gzip_in_several_members_and_with_a_name_inside_is_read_whole() {
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    let [images, _] = good(6, 4, 5);
    let (head, tail) = images.split_at(50);
    let mut named = GzBuilder::new().filename(NAMES[0]).write(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut named, head).unwrap();
    let bytes = [named.finish().unwrap(), gzip(tail)].concat();
    fs::write(root.path().join(NAMES[0]), bytes).unwrap();
    assert_eq!(probe(root.path()).train, 6);
    assert_eq!(load(root.path(), Split::Train).pixels, images[16..]);
}
