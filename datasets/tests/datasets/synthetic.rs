//! The synthetic images: the same bytes everywhere, each image on its own, and something to learn in them.

use harness_datasets::{DatasetError, Images, Problem, Shape, Split, find};
use harness_records::options::{OptionValue, Options};
use proptest::prelude::*;

use crate::class_counts;

fn options(values: &[(&str, i64)]) -> Options {
    values.iter().map(|&(name, value)| (name.to_owned(), OptionValue::Int(value))).collect()
}

fn try_load(values: &[(&str, i64)], split: Split) -> Result<Images, DatasetError> {
    find("synthetic").unwrap().load(None, &options(values), split).map(|samples| samples.images().unwrap())
}

fn load(values: &[(&str, i64)], split: Split) -> Images {
    try_load(values, split).unwrap()
}

#[test]
fn the_bytes_never_change() {
    let hash = |images: &Images| blake3::hash(&images.pixels).to_hex()[..16].to_owned();
    // From an independent implementation.
    let train = load(&[], Split::Train);
    assert_eq!(train.image(0)[..8], [255, 155, 184, 237, 217, 108, 181, 208]);
    assert_eq!(hash(&train), "f6b23900742f0c20");
    assert_eq!(hash(&load(&[], Split::Test)), "3fc6576310827f4c");
    let grey = [("channels", 1), ("height", 28), ("width", 28), ("train", 100), ("seed", 7)];
    assert_eq!(hash(&load(&grey, Split::Train)), "e469741f4d5be918");
}

proptest! {
    #[test]
    fn any_shape_is_possible_and_probing_tells_it(
        channels in 1..4usize, height in 1..20usize, width in 1..20usize, classes in 1..12usize,
        train in 1..40usize, test in 1..40usize, seed in 0..i64::MAX,
    ) {
        let sizes = [("channels", channels), ("height", height), ("width", width), ("classes", classes)];
        let values: Vec<(&str, i64)> = sizes.into_iter().chain([("train", train), ("test", test)])
            .map(|(name, value)| (name, value as i64)).chain([("seed", seed)]).collect();
        let shape = find("synthetic").unwrap().probe(None, &options(&values)).unwrap().images().unwrap();
        prop_assert_eq!(shape, Shape { channels, height, width, classes, train, test });
        for (split, count) in [(Split::Train, train), (Split::Test, test)] {
            let images = load(&values, split);
            prop_assert_eq!(images.shape, [channels, height, width]);
            prop_assert_eq!((images.labels.len(), images.classes), (count, classes));
            prop_assert_eq!(images.pixels.len(), count * channels * height * width);
            prop_assert_eq!((images.mean.len(), images.std.len()), (channels, channels));
            let counts = class_counts(&images);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }
}

#[test]
fn an_image_does_not_depend_on_how_many_there_are() {
    let many = load(&[("train", 50)], Split::Train);
    let few = load(&[("train", 13)], Split::Train);
    assert_eq!(many.pixels[..few.pixels.len()], few.pixels);
    assert_eq!(many.labels[..13], few.labels);
}

#[test]
fn splits_and_seeds_differ() {
    let base = load(&[("train", 20), ("test", 20)], Split::Train);
    assert_ne!(base.pixels, load(&[("train", 20), ("test", 20)], Split::Test).pixels);
    assert_ne!(base.pixels, load(&[("train", 20), ("seed", 1)], Split::Train).pixels);
}

#[test]
fn without_noise_a_class_has_one_image() {
    let noiseless = |noise: f64| {
        let noise = [("noise".to_owned(), OptionValue::Float(noise))].into_iter().collect();
        find("synthetic").unwrap().load(None, &noise, Split::Train).unwrap().images().unwrap()
    };
    let images = noiseless(0.0);
    assert_eq!(images.image(0), images.image(10));
    assert_ne!(images.image(0), images.image(1));

    // The noise has the promised deviation where it is not cut off.
    let noisy = noiseless(0.05);
    let squares = noisy.pixels.iter().zip(&images.pixels).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    let deviation = (squares.sum::<f64>() / noisy.pixels.len() as f64).sqrt() / 255.0;
    assert!((deviation - 0.05).abs() < 0.0005, "{deviation}");
}

#[test]
fn the_nearest_class_mean_tells_the_class() {
    let (train, test) = (load(&[], Split::Train), load(&[], Split::Test));
    let mut means = vec![vec![0.0; train.image_len()]; train.classes];
    let counts = class_counts(&train);
    for i in 0..train.len() {
        let class = usize::from(train.labels[i]);
        let share = counts[class] as f32;
        means[class].iter_mut().zip(train.image(i)).for_each(|(mean, &p)| *mean += f32::from(p) / share);
    }
    let distance =
        |image: &[u8], mean: &[f32]| -> f32 { image.iter().zip(mean).map(|(&p, m)| (f32::from(p) - m).powi(2)).sum() };
    for i in 0..test.len() {
        let nearest = (0..test.classes)
            .min_by(|&a, &b| distance(test.image(i), &means[a]).total_cmp(&distance(test.image(i), &means[b])))
            .unwrap();
        assert_eq!(nearest, usize::from(test.labels[i]), "image {i}");
    }
}

#[test]
fn more_than_memory_is_refused() {
    let values = [("train", i64::from(u32::MAX)), ("height", 4096), ("width", 4096), ("channels", 1024)];
    let error = try_load(&values, Split::Test).unwrap_err();
    assert!(matches!(*error.problem, Problem::TooLarge { .. }));
    let message = error.to_string();
    assert!(message.contains("data set `synthetic`: 4294967295 images of 1024x4096x4096 would take"), "{message}");
}
