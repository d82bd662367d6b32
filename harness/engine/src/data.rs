//! A data set on the device.

use harness_datasets::{Dataset, Images, Split};
use harness_records::config::DatasetChoice;
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::EngineError;

/// One split, as bytes on the device; batches are made there.
#[derive(Debug)]
pub struct DeviceImages {
    /// u8, `[n, c, h, w]`.
    pixels: Tensor,
    /// i64, `[n]`.
    labels: Tensor,
    /// f32, `[1, c, 1, 1]`: what is subtracted from the byte, and its inverse spread.
    shift: Tensor,
    factor: Tensor,
    len: u32,
}

/// The data set of this choice.
///
/// # Errors
/// No data set has this name.
pub fn dataset(choice: &DatasetChoice) -> Result<&'static dyn Dataset, EngineError> {
    harness_datasets::find(&choice.name).ok_or_else(|| EngineError::UnknownDataset(choice.name.clone()))
}

/// Loads one split, the first `limit` images of it.
///
/// # Errors
/// Whatever is wrong with the files, and a split without images.
pub fn load(
    choice: &DatasetChoice,
    split: Split,
    limit: Option<u64>,
    device: Device,
) -> Result<DeviceImages, EngineError> {
    let images = dataset(choice)?.load(choice.root.as_deref(), &choice.options, split)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let len = images.len().min(limit);
    if len == 0 {
        return Err(EngineError::NoImages(if split == Split::Train { "training" } else { "test" }));
    }
    Ok(DeviceImages::new(&images, len, device)?)
}

impl DeviceImages {
    fn new(images: &Images, len: usize, device: Device) -> Result<DeviceImages, TchError> {
        let [c, h, w] = images.shape.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let pixels = &images.pixels[..len * images.image_len()];
        let labels: Vec<i64> = images.labels[..len].iter().map(|&label| i64::from(label)).collect();
        // (byte / max - mean) / std = (byte - mean * max) * (1 / (std * max))
        let max = f32::from(images.pixel_max);
        let shift: Vec<f32> = images.mean.iter().map(|mean| mean * max).collect();
        let factor: Vec<f32> = images.std.iter().map(|std| 1.0 / (std * max)).collect();
        let channelwise = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_view([1, c, 1, 1])?.f_to_device(device);
        Ok(DeviceImages {
            pixels: Tensor::f_from_slice(pixels)?.f_view([-1, c, h, w])?.f_to_device(device)?,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(device)?,
            shift: channelwise(&shift)?,
            factor: channelwise(&factor)?,
            len: u32::try_from(len).unwrap_or(u32::MAX),
        })
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True when there are none; [`load`] refuses that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Normalised images, f32 `[indices, c, h, w]`, and their labels, i64.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn batch(&self, indices: &[u32]) -> Result<(Tensor, Tensor), TchError> {
        let indices: Vec<i64> = indices.iter().map(|&i| i64::from(i)).collect();
        let indices = Tensor::f_from_slice(&indices)?.f_to_device(self.pixels.device())?;
        Ok((self.normalised(&self.pixels.f_index_select(0, &indices)?)?, self.labels.f_index_select(0, &indices)?))
    }

    /// The images `start..start + count` in their own order.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn range(&self, start: u32, count: u32) -> Result<(Tensor, Tensor), TchError> {
        let (start, count) = (i64::from(start), i64::from(count));
        Ok((self.normalised(&self.pixels.f_narrow(0, start, count)?)?, self.labels.f_narrow(0, start, count)?))
    }

    fn normalised(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        pixels.f_to_kind(Kind::Float)?.f_sub_(&self.shift)?.f_mul_(&self.factor)
    }
}

/// Cuts an epoch's order into batches. All of it is used; a last batch of one is joined to the one before, because
/// batch normalization cannot work on a single sample.
#[must_use]
pub fn batches(order: &[u32], batch: u32) -> Vec<&[u32]> {
    let batch = batch as usize;
    let mut cuts: Vec<usize> = (0..order.len()).step_by(batch.max(1)).collect();
    if batch > 1 && order.len() > batch && order.len() % batch == 1 {
        cuts.pop();
    }
    let ends = cuts.iter().copied().skip(1).chain([order.len()]);
    cuts.iter().copied().zip(ends).map(|(start, end)| &order[start..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_records::options::Options;
    use proptest::prelude::*;

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
        let images = dataset(&choice).unwrap().load(None, &Options::default(), Split::Test).unwrap();
        let (x, y) = on_device.batch(&[3, 0, 19]).unwrap();
        let found = Vec::<f32>::try_from(&x.view([-1])).unwrap();
        for (i, &index) in [3usize, 0, 19].iter().enumerate() {
            assert_eq!(y.int64_value(&[i as i64]), i64::from(images.labels[index]));
            for (p, &byte) in images.image(index).iter().enumerate() {
                let expected = (f32::from(byte) / f32::from(images.pixel_max) - images.mean[0]) / images.std[0];
                assert!((found[i * images.image_len() + p] - expected).abs() < 1e-5);
            }
        }
        let (range, _) = on_device.range(3, 1).unwrap();
        assert_eq!(range.get(0), x.get(0));
    }
}
