//! The embedded digits: exactly the published values, split as documented, and images that go with their labels.

use harness_datasets::{Images, Shape, Split, find};
use harness_records::options::Options;

use crate::class_counts;

fn load(split: Split) -> Images {
    find("digits").unwrap().load(None, &Options::default(), split).unwrap().images().unwrap()
}

#[test]
fn the_file_is_the_published_one() {
    let bytes = include_bytes!("../../data/digits.bin");
    assert_eq!(
        blake3::hash(bytes).to_hex().as_str(),
        "59311653143d1ee30e0fa44122e414aea4c42c3ad3e93311d074d10fc021fd27"
    );
    let records: Vec<&[u8]> = bytes.chunks(65).collect();
    assert_eq!(records.len(), 1797);
    let mut classes = [0; 10];
    records.iter().for_each(|record| classes[usize::from(record[0])] += 1);
    // As published with the data.
    assert_eq!(classes, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    let pixels = || records.iter().flat_map(|record| &record[1..]);
    assert_eq!(pixels().max(), Some(&16));
    assert_eq!(pixels().map(|&p| u64::from(p)).sum::<u64>(), 561_718);
}

#[test]
fn the_split_is_whole_and_stratified() {
    let (train, test) = (load(Split::Train), load(Split::Test));
    assert_eq!(class_counts(&test), [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]);
    assert_eq!(
        find("digits").unwrap().probe(None, &Options::default()).unwrap().images().unwrap(),
        Shape { channels: 1, height: 8, width: 8, classes: 10, train: 1437, test: 360 }
    );
    assert_eq!((train.len(), test.len()), (1437, 360));
    assert_eq!((train.shape, train.pixel_max, train.classes), ([1, 8, 8], 16, 10));

    // Together they are the file, each record once.
    let mut records: Vec<Vec<u8>> = [&train, &test]
        .into_iter()
        .flat_map(|part| (0..part.len()).map(|i| [&[part.labels[i] as u8], part.image(i)].concat()))
        .collect();
    let mut file: Vec<Vec<u8>> = include_bytes!("../../data/digits.bin").chunks(65).map(<[u8]>::to_vec).collect();
    records.sort();
    file.sort();
    assert_eq!(records, file);
    // The first zero of the file is the first tested.
    assert_eq!(test.image(0), &file_record(0)[1..]);
}

fn file_record(index: usize) -> &'static [u8] {
    &include_bytes!("../../data/digits.bin")[index * 65..(index + 1) * 65]
}

#[test]
fn the_normalisation_is_that_of_the_training_pixels() {
    let train = load(Split::Train);
    let values: Vec<f64> = train.pixels.iter().map(|&p| f64::from(p) / 16.0).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert_eq!(train.mean, [mean as f32]);
    assert_eq!(train.std, [variance.sqrt() as f32]);
}

#[test]
fn the_nearest_training_image_tells_the_class() {
    let (train, test) = (load(Split::Train), load(Split::Test));
    let distance =
        |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let right = (0..test.len())
        .filter(|&i| {
            let nearest = (0..train.len()).min_by_key(|&j| distance(test.image(i), train.image(j))).unwrap();
            train.labels[nearest] == test.labels[i]
        })
        .count();
    // 98.9%: a shuffled label or a shifted image would ruin it.
    assert_eq!(right, 356);
}

#[test]
fn a_folder_is_ignored() {
    let digits = find("digits").unwrap();
    let nowhere = std::path::Path::new("no/such/folder");
    assert_eq!(digits.load(Some(nowhere), &Options::default(), Split::Test).unwrap().images(), Some(load(Split::Test)));
}
