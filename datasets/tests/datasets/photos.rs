//! Folders of photographs: what is listed, decoded, changed at random, and refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use harness_datasets::{Damage, DatasetError, Photos, Problem, Shape, Split, find};
use harness_records::options::{OptionValue, Options};
use jpeg_encoder::{ColorType, Encoder};
use proptest::prelude::*;

/// A photograph of one grey that is darker on the left.
pub(crate) fn jpeg(width: u16, height: u16, grey: u8) -> Vec<u8> {
    let pixel = |x: u16| [if x < width / 2 { grey / 2 } else { grey }; 3];
    let pixels: Vec<u8> = (0..height).flat_map(|_| (0..width).flat_map(pixel)).collect();
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 95).encode(&pixels, width, height, ColorType::Rgb).unwrap();
    bytes
}

/// The file with an APP1 segment that says how the photograph is to be turned, in either order of bytes.
pub(crate) fn turned(jpeg: &[u8], orientation: u8, big: bool) -> Vec<u8> {
    let numbers: [&[u8]; 2] = [
        &[b'I', b'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0],
        &[b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0],
    ];
    let body = [b"Exif\0\0", numbers[usize::from(big)]].concat();
    [&jpeg[..2], &[0xff, 0xe1, 0, body.len() as u8 + 2], &body, &jpeg[2..]].concat()
}

pub(crate) fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Three classes with 3, 1 and 2 images to train on and one each to test.
fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (class, count) in [("n03", 2u8), ("n01", 3), ("n02", 1)] {
        for i in 0..count {
            let grey = 40 * (class.as_bytes()[2] - b'0') + 10 * i;
            put(&root.path().join(format!("train/{class}/{class}_{i}.JPEG")), &jpeg(40 + u16::from(i), 30, grey));
        }
        put(&root.path().join(format!("val/{class}/one.jpg")), &jpeg(60, 40, 50 * (class.as_bytes()[2] - b'0')));
    }
    put(&root.path().join("train/n01/notes.txt"), b"no photograph");
    put(&root.path().join("train/.DS_Store"), b"");
    root
}

fn options(changed: &[(&str, OptionValue)]) -> Options {
    let small = [("size", OptionValue::Int(16)), ("resize", OptionValue::Int(20))];
    let defaults = Options::defaults(find("imagenet").unwrap().about().options);
    let all = defaults.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect::<Vec<_>>();
    let changed = small.iter().chain(changed).map(|(name, value)| ((*name).to_owned(), value.clone()));
    all.into_iter().chain(changed).collect()
}

fn text(word: &str) -> OptionValue {
    OptionValue::Text(word.to_owned())
}

fn load(root: &Path, changed: &[(&str, OptionValue)], split: Split) -> Arc<Photos> {
    let samples = find("imagenet").unwrap().load(Some(root), &options(changed), split).unwrap();
    Arc::new(samples.photos().unwrap())
}

pub(crate) type Decoded = Vec<(Vec<u8>, Vec<u16>)>;

/// Walks through all photographs in batches of `batch`.
pub(crate) fn walk(
    photos: &Arc<Photos>,
    batch: usize,
    key: Option<(u64, u64)>,
    workers: usize,
) -> Result<Decoded, DatasetError> {
    let indices: Vec<u32> = (0..photos.len() as u32).collect();
    let batches = indices.chunks(batch).map(<[u32]>::to_vec).collect();
    let each = 3 * photos.side() * photos.side();
    let loader = photos.load(batches, key, workers, |bytes| Ok(vec![0; bytes]))?;
    loader
        .map(|loaded| {
            let loaded = loaded?;
            let mut pixels = loaded.pixels;
            pixels.truncate(loaded.labels.len() * each);
            Ok((pixels, loaded.labels))
        })
        .collect()
}

fn refusal(root: &Path, changed: &[(&str, OptionValue)]) -> String {
    let error = find("imagenet").unwrap().probe(Some(root), &options(changed)).unwrap_err().to_string();
    error.strip_prefix("data set `imagenet`: ").unwrap().to_owned()
}

#[test]
fn classes_are_folders_in_order_and_take_turns() {
    let root = folder();
    let shape = find("imagenet").unwrap().probe(Some(root.path()), &options(&[])).unwrap().images();
    assert_eq!(shape, Some(Shape { channels: 3, height: 16, width: 16, classes: 3, train: 6, test: 3 }));
    let labels = |split| {
        let batches = walk(&load(root.path(), &[], split), 4, None, 1).unwrap();
        batches.into_iter().flat_map(|(_, labels)| labels).collect::<Vec<_>>()
    };
    assert_eq!(labels(Split::Train), [0, 1, 2, 0, 2, 0]);
    assert_eq!(labels(Split::Test), [0, 1, 2]);
}

#[test]
fn the_centre_is_what_is_there() {
    let root = folder();
    let test = walk(&load(root.path(), &[], Split::Test), 3, None, 1).unwrap().remove(0).0;
    for (image, grey) in test.chunks_exact(3 * 256).zip([50u8, 100, 150]) {
        // 60x40 becomes 30x20, its centre of 16x16 is dark left of the middle.
        for row in image.chunks_exact(16) {
            assert!(row[0].abs_diff(grey / 2) <= 3 && row[15].abs_diff(grey) <= 3, "{grey}: {row:?}");
            assert!(row[6].abs_diff(grey / 2) <= 6 && row[9].abs_diff(grey) <= 6, "{grey}: {row:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn nothing_depends_on_workers_or_batches(
        workers in 1usize..5, batch in 1usize..8, seed: u64, epoch in 0u64..9, jitter in prop_oneof![Just(0.0), Just(0.4)],
    ) {
        let root = folder();
        let photos = load(root.path(), &[("jitter", OptionValue::Float(jitter))], Split::Train);
        let key = Some((seed, epoch));
        let flat = |decoded: Decoded| decoded.into_iter().flat_map(|(pixels, _)| pixels).collect::<Vec<_>>();
        let found = flat(walk(&photos, batch, key, workers).unwrap());
        prop_assert_eq!(&found, &flat(walk(&photos, 6, key, 1).unwrap()));
        prop_assert_ne!(&found, &flat(walk(&photos, 6, Some((seed, epoch + 1)), 1).unwrap()));
        prop_assert_ne!(&found, &flat(walk(&photos, 6, Some((seed ^ 1, epoch)), 1).unwrap()));
    }
}

#[test]
fn random_changes_do_what_their_options_say() {
    let root = folder();
    let changed = |min: f64, flip: bool, jitter: f64| {
        let options = [
            ("least_area", OptionValue::Float(min)),
            ("flip", OptionValue::Bool(flip)),
            ("jitter", OptionValue::Float(jitter)),
        ];
        let photos = load(root.path(), &options, Split::Train);
        (0..12).map(|epoch| walk(&photos, 1, Some((5, epoch)), 1).unwrap().remove(0).0).collect::<Vec<_>>()
    };
    // The darker half says whether an image is mirrored: the first photograph is dark left.
    let mirrored = |image: &Vec<u8>| image[16 * 8] > image[16 * 8 + 15];
    assert!(!changed(1.0, false, 0.0).iter().any(mirrored));
    let count = changed(1.0, true, 0.0).iter().filter(|image| mirrored(image)).count();
    assert!((1..12).contains(&count), "{count}");
    // Small crops lie in one half or the other, large ones have both.
    let contrast = |image: &Vec<u8>| image[16 * 8].abs_diff(image[16 * 8 + 15]) > 8;
    assert!(changed(1.0, false, 0.0).iter().all(contrast));
    assert!(!changed(0.01, false, 0.0).iter().all(contrast));
    assert_ne!(changed(1.0, false, 0.3), changed(1.0, false, 0.0));
}

#[test]
fn broken_files_stop_or_are_left_out_by_name() {
    let root = folder();
    let good = jpeg(50, 40, 200);
    let broken: [(&str, &[u8], Damage); 4] = [
        ("empty.JPEG", b"", Damage::Empty),
        ("half.JPEG", &good[..good.len() / 2], Damage::Truncated),
        ("header.JPEG", &good[..30], Damage::Truncated),
        ("text.JPEG", b"404 not found", Damage::Kind),
    ];
    for (name, bytes, damage) in &broken {
        put(&root.path().join("val/n02").join(name), bytes);
        let photos = load(root.path(), &[], Split::Test);
        let error = walk(&photos, 2, None, 2).unwrap_err();
        assert_eq!(error.path.as_deref(), Some(&*root.path().join("val/n02").join(name)));
        assert!(matches!(&*error.problem, Problem::Picture(found) if found == damage), "{error}");
        fs::remove_file(root.path().join("val/n02").join(name)).unwrap();
    }
    for (name, bytes, _) in &broken {
        put(&root.path().join("val/n02").join(name), bytes);
    }
    let photos = load(root.path(), &[("broken", text("skip"))], Split::Test);
    assert_eq!(photos.len(), 7);
    let decoded = walk(&photos, 5, None, 2).unwrap();
    // In order: the three first of each class, then what is left of n02: its good file and three broken ones.
    let labels: Vec<u16> = decoded.iter().flat_map(|(_, labels)| labels.clone()).collect();
    assert_eq!(labels, [0, 2, 1]);
    assert_eq!(decoded[1].0, walk(&load(folder().path(), &[], Split::Test), 1, None, 1).unwrap()[1].0);
    let names = |photos: &Photos| {
        let names = photos.broken().into_iter().map(|(path, damage)| (path.file_name().unwrap().to_owned(), damage));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&photos), broken.map(|(name, _, damage)| (name.into(), damage)));
    let told = std::sync::atomic::AtomicUsize::new(0);
    let found = photos.check(3, &|done| _ = told.fetch_max(done, std::sync::atomic::Ordering::Relaxed)).unwrap();
    assert_eq!((found, told.into_inner()), (photos.broken(), 7));
    // A batch of broken files only is no batch.
    let error = walk(&photos, 1, None, 1).unwrap_err();
    assert!(matches!(*error.problem, Problem::NothingLeft { images: 1 }), "{error}");
}

#[test]
fn photographs_lie_as_stored_unless_exif_is_to_be_applied() {
    let decoded = |orientation: u8, big: bool, apply: bool| {
        let root = tempfile::tempdir().unwrap();
        let turned = turned(&jpeg(40, 40, 200), orientation, big);
        put(&root.path().join("train/a/1.jpg"), &turned);
        put(&root.path().join("val/a/1.jpg"), &turned);
        let apply = text(if apply { "apply" } else { "ignore" });
        walk(&load(root.path(), &[("orientation", apply)], Split::Test), 1, None, 1).unwrap().remove(0).0
    };
    let plain = decoded(1, false, true);
    // Where the dark half lies when shown upright: left, right, top, bottom.
    let dark = |image: &[u8]| {
        let mean = |at: &dyn Fn(usize) -> usize| (0..16).map(|i| u32::from(image[at(i)])).sum::<u32>() / 16;
        let sides = [mean(&|i| 16 * i), mean(&|i| 16 * i + 15), mean(&|i| i), mean(&|i| 240 + i)];
        (0..4).min_by_key(|&side| sides[side]).unwrap()
    };
    for (orientation, side) in [(1, 0), (2, 1), (3, 1), (4, 0), (5, 2), (6, 2), (7, 3), (8, 3)] {
        for big in [false, true] {
            assert_eq!(decoded(orientation, big, false), plain, "orientation {orientation} is ignored");
            assert_eq!(dark(&decoded(orientation, big, true)), side, "orientation {orientation}");
        }
    }
}

#[test]
fn a_flat_val_takes_its_classes_from_a_file() {
    let labels = |name: &str, content: &str, option: bool| {
        let root = folder();
        fs::remove_dir_all(root.path().join("val")).unwrap();
        for i in 1..=3u8 {
            put(&root.path().join(format!("val/ILSVRC2012_val_{i}.JPEG")), &jpeg(30, 30, 60 * i));
        }
        put(&root.path().join(name), content.as_bytes());
        let path = root.path().join(name).display().to_string();
        let changed = if option { vec![("labels", text(&path))] } else { Vec::new() };
        let dataset = find("imagenet").unwrap();
        dataset.probe(Some(root.path()), &options(&changed)).map_err(|e| e.to_string())?;
        let decoded = walk(&load(root.path(), &changed, Split::Test), 3, None, 1).unwrap();
        Ok::<_, String>(decoded[0].1.clone())
    };
    let numbers = "ILSVRC2012_val_3.JPEG 0\nILSVRC2012_val_1.JPEG 2\nILSVRC2012_val_2.JPEG 1\n";
    assert_eq!(labels("val.txt", numbers, false), Ok(vec![2, 1, 0]));
    let csv =
        "ImageId,PredictionString\nILSVRC2012_val_2,n03 1 2 3 4\nILSVRC2012_val_1,n01 5 6 7 8\nILSVRC2012_val_3,n02\n";
    assert_eq!(labels("LOC_val_solution.csv", csv, false), Ok(vec![0, 2, 1]));
    assert_eq!(labels("elsewhere.txt", numbers, true), Ok(vec![2, 1, 0]));
    let error = labels("elsewhere.txt", numbers, false).unwrap_err();
    assert!(error.contains("expected one folder a class, or their classes in `val.txt`, `val_labels.txt`"), "{error}");
    let error = labels("val.txt", "ILSVRC2012_val_1.JPEG 1\nILSVRC2012_val_2.JPEG 3\n", false).unwrap_err();
    assert!(
        error.ends_with("line 2: `3` is no class, expected the name of a folder in `train` or a number from 0 to 2"),
        "{error}"
    );
    let error = labels("val.txt", "ILSVRC2012_val_1.JPEG 1\n", false).unwrap_err();
    assert!(error.ends_with("says nothing of `ILSVRC2012_val_2.JPEG`, expected a line with its class"), "{error}");
}

#[test]
fn wrong_folders_are_named() {
    let nowhere = find("imagenet").unwrap().probe(None, &options(&[])).unwrap_err().to_string();
    assert!(
        nowhere.contains("no folder is given, set `dataset.root` to the one that holds the folders `train` and `val`"),
        "{nowhere}"
    );
    let root = tempfile::tempdir().unwrap();
    assert!(refusal(root.path(), &[]).ends_with("train: there is no such folder, expected the photographs in it"));
    put(&root.path().join("train/a.JPEG"), b"");
    assert!(refusal(root.path(), &[]).ends_with("train: holds 1 files and no folders, expected one folder a class"));
    put(&root.path().join("train/a/notes.txt"), b"");
    put(&root.path().join("val/b/a.png"), b"");
    assert!(refusal(root.path(), &[]).ends_with("b: class `b` has no folder in `train`"));
    fs::rename(root.path().join("val/b"), root.path().join("val/a")).unwrap();
    assert!(refusal(root.path(), &[]).contains("train: holds no photographs, expected files that end in .JPEG"));
    let crop = refusal(folder().path(), &[("resize", OptionValue::Int(15))]);
    assert_eq!(crop, "`resize` is 15, expected at least `size`, 16");
}

#[test]
fn a_walk_can_be_left_at_any_time() {
    let root = folder();
    let photos = load(root.path(), &[], Split::Train);
    for taken in 0..4 {
        let batches = (0..6).map(|i| vec![i]).collect();
        let mut loader = photos.load(batches, Some((0, 0)), 3, |bytes| Ok(vec![0; bytes])).unwrap();
        assert_eq!(loader.len(), 6);
        assert!(loader.by_ref().take(taken).all(|loaded| loaded.is_ok()));
        assert_eq!(loader.len(), 6 - taken);
    }
    // A batch without memory says so.
    let mut loader =
        photos.load(vec![vec![0]], None, 1, |_| Err::<Vec<u8>, _>(std::io::ErrorKind::OutOfMemory.into())).unwrap();
    assert!(matches!(*loader.next().unwrap().unwrap_err().problem, Problem::Memory(_)));
}
