//! Data sets as the training loop sees them: batches of tensors on the device.

mod augment;
mod batch;
mod images;
mod resident;
mod streamed;
mod text;
mod upload;

use harness_datasets::{Contents, Dataset, Samples, Shape, Split};
use harness_records::config::DatasetChoice;
use harness_records::options::Options;
use tch::Device;

use crate::failure::EngineError;

pub use batch::{ImageBatch, batches, steps};
pub use images::{Batches, DeviceImages};
pub use text::DeviceText;

/// The data set of this choice.
///
/// # Errors
/// No data set has this name.
pub fn dataset(choice: &DatasetChoice) -> Result<&'static dyn Dataset, EngineError> {
    harness_datasets::find(&choice.name).ok_or_else(|| EngineError::UnknownDataset(choice.name.clone()))
}

/// The options of the choice, those that it lacks at their defaults: it may come from a record older than an option.
pub(crate) fn options(choice: &DatasetChoice, dataset: &dyn Dataset) -> Options {
    choice.options.with_defaults(dataset.about().options)
}

/// The shape of a data set of images that was probed.
///
/// # Errors
/// It holds text.
pub fn shape(choice: &DatasetChoice, contents: Contents) -> Result<Shape, EngineError> {
    let text = || EngineError::Kind { name: choice.name.clone(), holds: "text", expected: "images" };
    contents.images().ok_or_else(text)
}

/// Loads one split of a data set of images, the first `limit` images of it.
///
/// # Errors
/// Whatever is wrong with the files, a split without images, and a data set that holds none.
pub fn load(
    choice: &DatasetChoice,
    split: Split,
    limit: Option<u64>,
    device: Device,
) -> Result<DeviceImages, EngineError> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let dataset = dataset(choice)?;
    match dataset.load(choice.root.as_deref(), &options(choice, dataset), split)? {
        Samples::Images(images) if images.is_empty() || limit == 0 => Err(EngineError::NoImages(split.name())),
        Samples::Images(images) => DeviceImages::resident(&images, limit, device),
        Samples::Photos(mut photos) => {
            photos.truncate(limit);
            if photos.is_empty() {
                return Err(EngineError::NoImages(split.name()));
            }
            DeviceImages::streamed(photos, device)
        }
        Samples::Text(_) => Err(EngineError::Kind { name: choice.name.clone(), holds: "text", expected: "images" }),
    }
}

/// Loads one split of a text as `batch` parallel streams, the first `limit` words of it.
///
/// # Errors
/// Whatever is wrong with the files, a text too short for so many streams, and a data set that holds no text.
pub fn load_text(
    choice: &DatasetChoice,
    split: Split,
    limit: Option<u64>,
    batch: u32,
    device: Device,
) -> Result<DeviceText, EngineError> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let dataset = dataset(choice)?;
    match dataset.load(choice.root.as_deref(), &options(choice, dataset), split)? {
        Samples::Text(mut tokens) => {
            tokens.ids.truncate(limit);
            DeviceText::new(&tokens, batch, device)
        }
        Samples::Images(_) | Samples::Photos(_) => {
            Err(EngineError::Kind { name: choice.name.clone(), holds: "images", expected: "text" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_datasets::epoch_order;
    use harness_records::options::{OptionValue, Options};
    use proptest::prelude::*;
    use tch::Tensor;

    proptest! {
        #[test]
        fn batches_use_everything_once_in_order(n in 1usize..300, batch in 1u32..70) {
            let order: Vec<u32> = (0..n as u32).rev().collect();
            let cut = batches(&order, batch);
            prop_assert_eq!(cut.concat(), order.clone());
            let (last, rest) = cut.split_last().unwrap();
            prop_assert!(rest.iter().all(|b| b.len() == batch as usize));
            prop_assert!(last.len() <= batch as usize + 1);
            prop_assert!(last.len() > 1 || batch == 1 || n == 1);
        }
    }

    #[test]
    fn batches_are_the_data_sets_own_normalisation() {
        let choice = DatasetChoice { name: "digits".to_owned(), root: None, options: Options::default() };
        let on_device = load(&choice, Split::Test, Some(20), Device::Cpu).unwrap();
        assert_eq!(on_device.len(), 20);
        let images = dataset(&choice).unwrap().load(None, &Options::default(), Split::Test).unwrap().images().unwrap();
        let ImageBatch { images: x, labels: y } = on_device.first(20).unwrap();
        let found = Vec::<f32>::try_from(&x.view([-1])).unwrap();
        for index in 0..20 {
            assert_eq!(y.int64_value(&[index as i64]), i64::from(images.labels[index]));
            for (p, &byte) in images.image(index).iter().enumerate() {
                let expected = (f32::from(byte) / f32::from(images.pixel_max) - images.mean[0]) / images.std[0];
                assert!((found[index * images.image_len() + p] - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn an_epoch_is_the_order_of_the_data_set_and_can_be_entered_anywhere() {
        let choice = DatasetChoice { name: "digits".to_owned(), root: None, options: Options::default() };
        let images = load(&choice, Split::Train, Some(50), Device::Cpu).unwrap();
        let all = images.first(50).unwrap();
        let order = epoch_order(50, 7, 3);
        let walk = |skip| images.epoch(7, 3, 16, skip).map(Result::unwrap).collect::<Vec<ImageBatch>>();
        let whole = walk(0);
        assert_eq!(whole.iter().map(|batch| batch.labels.size()[0]).collect::<Vec<_>>(), [16, 16, 16, 2]);
        for (indices, batch) in batches(&order, 16).iter().zip(&whole) {
            for (i, &index) in indices.iter().enumerate() {
                assert_eq!(batch.images.get(i as i64), all.images.get(i64::from(index)));
                assert_eq!(batch.labels.get(i as i64), all.labels.get(i64::from(index)));
            }
        }
        for skip in 0..=4 {
            let rest = walk(skip);
            assert_eq!(rest.len(), 4 - skip);
            assert!(rest.iter().zip(&whole[skip..]).all(|(a, b)| a.images == b.images && a.labels == b.labels));
        }
        let straight: Vec<ImageBatch> = images.in_order(20).map(Result::unwrap).collect();
        assert_eq!(Tensor::cat(&straight.iter().map(|batch| &batch.images).collect::<Vec<_>>(), 0), all.images);
    }

    #[test]
    fn texts_are_not_images_and_images_no_text() {
        let choice = |name: &str| DatasetChoice { name: name.to_owned(), root: None, options: Options::default() };
        let error = load(&choice("synthetic-text"), Split::Train, None, Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "data set `synthetic-text` holds text, expected images");
        let error = load_text(&choice("digits"), Split::Train, None, 4, Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "data set `digits` holds images, expected text");
    }

    #[test]
    fn photographs_are_streamed_as_they_would_be_loaded() {
        let root = tempfile::tempdir().unwrap();
        // One colour each, so that crops and scaling change nothing.
        let colours = [[10u8, 200, 30], [90, 80, 250], [0, 255, 128]];
        for (split, copies) in [("train", 3), ("val", 1)] {
            for (class, colour) in colours.iter().enumerate() {
                let folder = root.path().join(split).join(format!("class{class}"));
                std::fs::create_dir_all(&folder).unwrap();
                for copy in 0..copies {
                    let file = std::fs::File::create(folder.join(format!("{copy}.JPEG"))).unwrap();
                    let mut encoder = png::Encoder::new(file, 40, 30);
                    encoder.set_color(png::ColorType::Rgb);
                    encoder.write_header().unwrap().write_image_data(&colour.repeat(40 * 30)).unwrap();
                }
            }
        }
        let size = [("size", 16), ("resize", 20)].map(|(name, n)| (name.to_owned(), OptionValue::Int(n)));
        let defaults = Options::defaults(harness_datasets::find("imagenet").unwrap().about().options);
        let options = defaults.iter().map(|(name, value)| (name.to_owned(), value.clone())).chain(size).collect();
        let choice = DatasetChoice { name: "imagenet".to_owned(), root: Some(root.path().to_owned()), options };
        let check = |batch: &ImageBatch| {
            for i in 0..batch.labels.size()[0] {
                let colour = colours[batch.labels.int64_value(&[i]) as usize];
                let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
                for c in 0..3 {
                    let expected = (f64::from(colour[c]) / 255.0 - mean[c]) / std[c];
                    let plane = batch.images.get(i).get(c as i64);
                    assert_eq!(plane.size(), [16, 16]);
                    assert!((plane.min().double_value(&[]) - expected).abs() < 1e-5);
                    assert!((plane.max().double_value(&[]) - expected).abs() < 1e-5);
                }
            }
            batch.labels.size()[0]
        };
        let train = load(&choice, Split::Train, Some(8), Device::Cpu).unwrap();
        let epoch = |skip| train.epoch(3, 1, 3, skip).map(|batch| check(&batch.unwrap())).collect::<Vec<_>>();
        assert_eq!((epoch(0), epoch(2), train.epoch(3, 1, 3, 1).len()), (vec![3, 3, 2], vec![2], 2));
        let test = load(&choice, Split::Test, None, Device::Cpu).unwrap();
        assert_eq!(test.in_order(2).map(|batch| check(&batch.unwrap())).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(check(&test.first(2).unwrap()), 2);
        assert!(test.broken().is_empty());
    }
}
