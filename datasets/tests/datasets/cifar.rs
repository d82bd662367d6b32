//! CIFAR in every form it comes in, and spoiled.

use std::fs;
use std::io::Write;
use std::path::Path;

use harness_datasets::{Augment, Images, Shape, Split, find};
use harness_records::options::{OptionValue, Options};
use lzma_rust2::{XzOptions, XzWriter};

use crate::writer::gzip;

const TRAIN10: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// `count` records with these label bytes in front of pixels that tell record and place.
pub(crate) fn records(count: usize, seed: u8, labels: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    let record = |i: usize| {
        let pixels = (0..3072).map(move |p: usize| (p / 12) as u8 ^ (i as u8).wrapping_mul(31) ^ seed);
        labels(i as u8).into_iter().chain(pixels).collect::<Vec<u8>>()
    };
    (0..count).flat_map(record).collect()
}

/// The six files of a small CIFAR-10: 2 images a training file, 3 to test.
pub(crate) fn small() -> Vec<(&'static str, Vec<u8>)> {
    let train = TRAIN10.iter().zip(0u8..).map(|(&name, seed)| (name, records(2, seed, |i| vec![(i + seed) % 10])));
    train.chain([("test_batch.bin", records(3, 99, |i| vec![9 - i]))]).collect()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub(crate) fn tar_gz(folder: &str, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{folder}/{name}"), &bytes[..]).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn defaults(name: &str) -> Options {
    Options::defaults(find(name).unwrap().about().options)
}

fn set(name: &str, option: &str, value: OptionValue) -> Options {
    let all = defaults(name).iter().map(|(name, value)| (name.to_owned(), value.clone())).collect::<Vec<_>>();
    all.into_iter().chain([(option.to_owned(), value)]).collect()
}

fn load(root: &Path, split: Split) -> Images {
    find("cifar10").unwrap().load(Some(root), &defaults("cifar10"), split).unwrap().images().unwrap()
}

fn error(root: &Path, options: &Options) -> String {
    let cifar = find("cifar10").unwrap();
    let probed = cifar.probe(Some(root), options).map(drop);
    let loaded = cifar.load(Some(root), options, Split::Train).map(drop);
    let error = loaded.and(probed).unwrap_err().to_string();
    error.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn every_form_gives_the_same_images() {
    let files = small();
    type Form<'a> = (&'a str, &'a dyn Fn(&Path));
    let forms: [Form; 4] = [
        ("plain", &|root| files.iter().for_each(|(name, bytes)| fs::write(root.join(name), bytes).unwrap())),
        ("xz", &|root| {
            files.iter().for_each(|(name, bytes)| fs::write(root.join(format!("{name}.xz")), xz(bytes)).unwrap());
        }),
        ("folder", &|root| {
            let inner = root.join("cifar-10-batches-bin");
            fs::create_dir(&inner).unwrap();
            files.iter().for_each(|(name, bytes)| fs::write(inner.join(name), bytes).unwrap());
        }),
        ("archive", &|root| {
            fs::write(root.join("cifar-10-binary.tar.gz"), tar_gz("cifar-10-batches-bin", &files)).unwrap();
        }),
    ];
    for (form, write) in forms {
        let root = tempfile::tempdir().unwrap();
        write(root.path());
        let shape = Shape { channels: 3, height: 32, width: 32, classes: 10, train: 10, test: 3 };
        let probed = find("cifar10").unwrap().probe(Some(root.path()), &defaults("cifar10")).unwrap();
        assert_eq!(probed.images(), Some(shape), "{form}");
        let train = load(root.path(), Split::Train);
        assert_eq!(train.labels, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5], "{form}");
        assert_eq!(train.shape, [3, 32, 32]);
        for i in 0..10 {
            let file = &files[i / 2].1;
            assert_eq!(train.image(i), &file[i % 2 * 3073 + 1..(i % 2 + 1) * 3073], "{form}, image {i}");
        }
        assert_eq!(train.augment, Augment { pad: 4, flip: true });
        let test = load(root.path(), Split::Test);
        assert_eq!((test.labels.clone(), test.augment), (vec![9, 8, 7], Augment::default()), "{form}");
    }
}

#[test]
fn a_hundred_classes_fall_into_twenty() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("train.bin"), records(4, 1, |i| vec![i, 99 - i])).unwrap();
    fs::write(root.path().join("test.bin"), records(2, 2, |i| vec![19 - i, i])).unwrap();
    let cifar = find("cifar100").unwrap();
    let load = |options: &Options| cifar.load(Some(root.path()), options, Split::Train).unwrap().images().unwrap();
    let fine = load(&defaults("cifar100"));
    assert_eq!((fine.labels.clone(), fine.classes), (vec![99, 98, 97, 96], 100));
    let coarse = load(&set("cifar100", "labels", OptionValue::Text("coarse".to_owned())));
    assert_eq!((coarse.labels.clone(), coarse.classes), (vec![0, 1, 2, 3], 20));
    assert_eq!(fine.pixels, coarse.pixels);
    let plain = load(&set("cifar100", "augment", OptionValue::Bool(false)));
    assert!(plain.augment.is_none() && !fine.augment.is_none());
    let shape = cifar.probe(Some(root.path()), &defaults("cifar100")).unwrap().images().unwrap();
    assert_eq!((shape.train, shape.test, shape.classes), (4, 2, 100));
}

#[test]
fn fewer_batches_are_used_only_when_asked_for() {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in small().iter().filter(|(name, _)| !name.contains(['3', '4', '5'])) {
        fs::write(root.path().join(name), bytes).unwrap();
    }
    let message = error(root.path(), &defaults("cifar10"));
    assert!(message.contains("expected one of `data_batch_3.bin`, `data_batch_3.bin.xz`"), "{message}");
    let two = set("cifar10", "batches", OptionValue::Int(2));
    let cifar = find("cifar10").unwrap();
    assert_eq!(cifar.probe(Some(root.path()), &two).unwrap().images().unwrap().train, 4);
    assert_eq!(cifar.load(Some(root.path()), &two, Split::Train).unwrap().images().unwrap().len(), 4);
}

#[test]
fn spoiled_files_are_named() {
    let all = defaults("cifar10");
    let spoil = |name: &str, bytes: &[u8]| {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in small() {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        // A packed file is looked at only where there is no plain one.
        let _ = fs::remove_file(root.path().join(name.trim_end_matches(".xz")));
        fs::write(root.path().join(name), bytes).unwrap();
        error(root.path(), &all)
    };
    let good = small()[1].1.clone();
    let cut = spoil("data_batch_2.bin", &good[..good.len() - 1]);
    assert!(
        cut.ends_with(
            "data_batch_2.bin: holds 6145 bytes, expected a multiple of 3073, the size of an image with its label"
        ),
        "{cut}"
    );
    assert!(
        spoil("data_batch_2.bin", &[])
            .ends_with("holds 0 bytes, expected a multiple of 3073, the size of an image with its label")
    );
    let mut wrong = good.clone();
    wrong[3073] = 10;
    assert!(spoil("data_batch_2.bin", &wrong).ends_with("label 10 at index 1 is no class, expected 0 to 9"));
    let packed = xz(&good);
    for end in [0, 1, packed.len() / 2, packed.len() - 1] {
        let message = spoil("data_batch_2.bin.xz", &packed[..end]);
        assert!(message.contains("data_batch_2.bin.xz: the xz data are damaged"), "{end}: {message}");
    }
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 16;
    assert!(spoil("data_batch_2.bin.xz", &flipped).contains("the xz data are damaged"));
}

#[test]
fn spoiled_archives_are_named() {
    let all = defaults("cifar10");
    let with = |bytes: &[u8]| {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cifar-10-binary.tar.gz"), bytes).unwrap();
        error(root.path(), &all)
    };
    let files = small();
    let good = tar_gz("cifar-10-batches-bin", &files);
    for end in [0, 9, good.len() / 2, good.len() - 1] {
        let message = with(&good[..end]);
        assert!(message.contains("the archive is damaged") || message.contains("holds no"), "{end}: {message}");
    }
    let missing = with(&tar_gz("cifar-10-batches-bin", &files[..3]));
    assert!(
        missing.ends_with("holds no `cifar-10-batches-bin/data_batch_4.bin`, fetch the archive again"),
        "{missing}"
    );
    assert!(with(&tar_gz("elsewhere", &files)).contains("holds no `cifar-10-batches-bin/data_batch_1.bin`"));
}
