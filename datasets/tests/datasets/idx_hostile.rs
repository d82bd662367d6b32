//! Files that are absent, cut, swapped, damaged or lying: each error names the file and says what would be right.

use std::fs;
use std::path::Path;

use harness_datasets::{Split, find};
use harness_records::options::Options;

use crate::writer::{NAMES, gzip, idx, write_good};

/// Makes a good folder, spoils it, and asks that probing (unless only loading can see it) and loading the split both
/// refuse with a message that has all the `parts`.
fn check(case: &str, seen_by: Seen, split: Split, spoil: impl FnOnce(&Path), parts: &[&str]) {
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    spoil(root.path());
    let mnist = find("mnist").unwrap();
    let probed = mnist.probe(Some(root.path()), &Options::default()).map(drop);
    let loaded = mnist.load(Some(root.path()), &Options::default(), split).map(drop);
    let results = match seen_by {
        Seen::Both => vec![probed, loaded],
        Seen::Load => vec![loaded],
        Seen::Probe => vec![probed],
    };
    for result in results {
        let message = result.expect_err(case).to_string();
        for part in parts.iter().chain(&["data set `mnist`: "]) {
            assert!(message.contains(part), "{case}: `{message}` does not say `{part}`");
        }
    }
}

#[derive(Clone, Copy)]
enum Seen {
    Both,
    Load,
    Probe,
}

/// Spoils one of the four files.
fn spoiled(case: &str, seen: Seen, file: usize, bytes: &[u8], parts: &[&str]) {
    let split = if file < 2 { Split::Train } else { Split::Test };
    let parts = [parts, &[NAMES[file]]].concat();
    check(case, seen, split, |root| fs::write(root.join(NAMES[file]), bytes).unwrap(), &parts);
}

/// One of the four good files.
fn good(file: usize) -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    fs::read(root.path().join(NAMES[file])).unwrap()
}

#[test]
fn no_folder() {
    let message = |root: Option<&Path>| {
        find("fashion-mnist").unwrap().probe(root, &Options::default()).expect_err("no folder").to_string()
    };
    let none = message(None);
    assert!(none.starts_with("data set `fashion-mnist`: no folder is given, set `dataset.root`"), "{none}");
    assert!(NAMES.iter().all(|name| none.contains(name)), "{none}");

    let root = tempfile::tempdir().unwrap();
    let absent = message(Some(&root.path().join("nowhere")));
    assert!(absent.contains("nowhere: there is no such folder, set `dataset.root`"), "{absent}");

    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let message = message(Some(&file));
    assert!(message.contains("file: this is not a folder, set `dataset.root`"), "{message}");
}

#[test]
fn absent_files_are_listed_under_all_their_names() {
    let what = ["training images", "training labels", "test images", "test labels"];
    for (file, what) in what.into_iter().enumerate() {
        let split = if file < 2 { Split::Train } else { Split::Test };
        let dotted = NAMES[file].replace("-idx", ".idx");
        let parts = [what, NAMES[file], &format!("{}.gz", NAMES[file]), &dotted, &format!("{dotted}.gz")];
        check("absent", Seen::Both, split, |root| fs::remove_file(root.join(NAMES[file])).unwrap(), &parts);
    }
}

#[test]
fn a_folder_where_a_file_should_be() {
    let spoil = |root: &Path| {
        fs::remove_file(root.join(NAMES[1])).unwrap();
        fs::create_dir(root.join(NAMES[1])).unwrap();
    };
    let parts = [NAMES[1], "this is a folder, expected a file with the training labels"];
    check("folder", Seen::Both, Split::Train, spoil, &parts);
}

#[cfg(unix)]
#[test]
fn a_device_where_a_file_should_be() {
    // Opening a pipe would wait for ever, reading a device may never end.
    let spoil = |root: &Path| {
        fs::remove_file(root.join(NAMES[2])).unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.join(NAMES[2])).unwrap();
    };
    let parts = [NAMES[2], "this is a device or pipe, expected a file with the test images"];
    check("device", Seen::Both, Split::Test, spoil, &parts);
}

#[test]
fn the_wrong_kind_of_file() {
    let swap = |root: &Path| {
        fs::rename(root.join(NAMES[0]), root.join("aside")).unwrap();
        fs::rename(root.join(NAMES[1]), root.join(NAMES[0])).unwrap();
        fs::rename(root.join("aside"), root.join(NAMES[1])).unwrap();
    };
    let parts = [NAMES[0], "0x00000801, the mark of labels, expected 0x00000803 of images: are two files swapped?"];
    check("swapped", Seen::Both, Split::Train, swap, &parts);

    let images = good(0);
    let marked = |mark: [u8; 4]| [&mark, &images[4..]].concat();
    let both = Seen::Both;
    spoiled("images as labels", both, 3, &good(2), &["0x00000803, the mark of images", "expected 0x00000801"]);
    spoiled("packed and swapped", both, 0, &gzip(&good(1)), &["the mark of labels"]);
    spoiled("web page", both, 0, b"<!DOCTYPE html>", &["begins with \"<!DO\"", "neither gzip nor IDX", "0x00000803"]);
    spoiled("short text", both, 1, b"no", &["begins with \"no\"", "neither gzip nor IDX", "0x00000801"]);
    spoiled("floats", both, 0, &marked([0, 0, 13, 3]), &["3 dimensions of 32-bit floats", "3 of unsigned bytes"]);
    spoiled("rank", both, 0, &marked([0, 0, 8, 4]), &["4 dimensions of unsigned bytes", "expected 3 of unsigned"]);
    spoiled("little-endian", both, 0, &marked([3, 8, 0, 0]), &["\"\\x03\\x08\\x00\\x00\"", "neither gzip nor IDX"]);
    spoiled("unknown type", both, 0, &marked([0, 0, 7, 3]), &["neither gzip nor IDX"]);
}

#[test]
fn files_that_end_early() {
    let both = Seen::Both;
    spoiled("nothing", both, 0, b"", &["ends after 0 bytes, expected at least the 16 of its header"]);
    spoiled("labels' header", both, 1, &good(1)[..7], &["ends after 7 bytes, expected at least the 8"]);
    spoiled("half a mark", both, 2, &[0, 0, 8], &["ends after 3 bytes, expected at least the 16"]);
    let images = good(0);
    let parts = ["ends after 135 bytes, expected 136 for 6 images of 4x5"];
    spoiled("plain", both, 0, &images[..135], &parts);
    spoiled("packed after cutting", both, 0, &gzip(&images[..135]), &parts);
    spoiled("labels", both, 3, &good(3)[..10], &["ends after 10 bytes, expected 11 for 3 labels"]);

    // A download that stopped.
    let packed = packed();
    spoiled("cut while packed", both, 0, &packed[..packed.len() - 30], &["expected 136 for 6 images of 4x5"]);
    spoiled("gzip's checksum", both, 0, &packed[..packed.len() - 2], &["gzip data are damaged"]);
    spoiled("gzip's own header", both, 0, &packed[..5], &["ends after 0 bytes, expected at least the 16"]);
}

#[test]
fn files_that_go_on() {
    let expected = ["goes on after the 136 bytes that its header promises for 6 images of 4x5"];
    let long = [good(0), vec![0]].concat();
    spoiled("plain", Seen::Both, 0, &long, &expected);
    spoiled("packed", Seen::Both, 0, &gzip(&long), &expected);
    spoiled("labels", Seen::Both, 1, &[good(1), vec![1; 4]].concat(), &["goes on after the 14 bytes", "6 labels"]);
    // Data after the end of gzip; by its last bytes it does not even pretend to be whole.
    let behind = [gzip(&good(0)), b"garbage!".to_vec()].concat();
    spoiled("behind gzip", Seen::Both, 0, &behind, &["gzip data are damaged", "fetch the file again"]);
}

/// A packed file whose pixels do not compress.
fn packed() -> Vec<u8> {
    let pixels: Vec<u8> = (0..6 * 20u32).map(|i| ((i * i * 37) >> 3) as u8).collect();
    gzip(&idx(&[6, 4, 5], &pixels))
}

#[test]
fn damaged_gzip() {
    let good = packed();
    let mut damaged = good.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    spoiled("checksum", Seen::Load, 0, &damaged, &["gzip data are damaged", "fetch the file again"]);

    // No flipped bit gives other pixels; nearly all are refused (a few bits of a gzip file mean nothing).
    let root = tempfile::tempdir().unwrap();
    write_good(root.path());
    let load = |bytes: &[u8]| {
        fs::write(root.path().join(NAMES[0]), bytes).unwrap();
        find("mnist").unwrap().load(Some(root.path()), &Options::default(), Split::Train)
    };
    let pixels = load(&good).unwrap().images().unwrap().pixels;
    let mut accepted = 0;
    for bit in 0..good.len() * 8 {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match load(&damaged) {
            Ok(images) => {
                accepted += 1;
                assert_eq!(images.images().unwrap().pixels, pixels, "bit {bit}");
            }
            Err(error) => assert!(error.to_string().contains(NAMES[0]), "bit {bit}: {error}"),
        }
    }
    // Time, flags and system in gzip's own header, and the padding before a stored block.
    assert!(accepted <= 7 * 8 + 5, "{accepted} damaged files were accepted");
}

#[test]
fn headers_that_lie_about_sizes() {
    let both = Seen::Both;
    let most = u32::MAX;
    let huge = ["would take 79228162458924105385300197375 bytes, expected at most 4294967296"];
    spoiled("more than memory", both, 0, &idx(&[most, most, most], &[]), &huge);
    spoiled("more than memory, packed", both, 0, &gzip(&idx(&[most, most, most], &[])), &huge);
    // Within the limit, yet far beyond what the file can hold: refused without taking the memory first.
    let labels = idx(&[4_000_000_000], &[]);
    let spoil = |root: &Path| {
        fs::write(root.join(NAMES[0]), gzip(&idx(&[4_000_000_000, 1, 1], &[0; 9]))).unwrap();
        fs::write(root.join(NAMES[1]), gzip(&labels)).unwrap();
    };
    check("4 GB", both, Split::Train, spoil, &[NAMES[1], "ends after 8 bytes, expected 4000000008 for 4000000000"]);
    spoiled("no images", both, 0, &idx(&[0, 4, 5], &[]), &["holds 0 images of 4x5, expected at least one image"]);
    spoiled("no columns", both, 0, &idx(&[6, 4, 0], &[]), &["holds 6 images of 4x0", "at least one pixel"]);
    spoiled("no labels", both, 1, &idx(&[0], &[]), &["holds 0 labels"]);
}

#[test]
fn a_gzip_bomb_is_unpacked_no_further_than_its_header_promises() {
    // 64 MiB of zeros behind an honest header: the error is the same as for one byte too many.
    let bomb = gzip(&[good(0), vec![0; 64 << 20]].concat());
    assert!(bomb.len() < 1 << 20);
    spoiled("bomb", Seen::Both, 0, &bomb, &["goes on after the 136 bytes"]);
}

#[test]
fn labels_that_do_not_fit() {
    let both = Seen::Both;
    let count = ["holds 5 labels, expected 6, one for each image in `train-images-idx3-ubyte`"];
    spoiled("too few", both, 1, &idx(&[5], &[0; 5]), &count);
    spoiled("those of the other split", both, 3, &good(1), &["holds 6 labels, expected 3"]);
    let label = ["label 10 at index 2 is no class, expected 0 to 9"];
    spoiled("no class", both, 1, &idx(&[6], &[0, 9, 10, 11, 0, 0]), &label);
    spoiled("no class, packed", both, 1, &gzip(&idx(&[6], &[0, 9, 10, 11, 0, 0])), &label);
}

#[test]
fn training_and_test_images_of_different_sizes() {
    let small = idx(&[3, 4, 4], &[0; 48]);
    spoiled("sizes", Seen::Probe, 2, &small, &["holds images of 4x4, expected 4x5 as in the training images"]);
}
