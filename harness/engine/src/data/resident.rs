//! A split that lies on the device as bytes; batches are made there.

use harness_datasets::Images;
use tch::{Device, Kind, TchError, Tensor};

use super::augment::Augmenter;
use super::batch::ImageBatch;
use super::upload::upload;

/// All images of a split.
#[derive(Debug)]
pub(super) struct Resident {
    /// u8, `[n, c, h, w]`.
    pixels: Tensor,
    /// i64, `[n]`.
    labels: Tensor,
    /// f32, `[1, c, 1, 1]`: what is subtracted from the byte, and its inverse spread.
    shift: Tensor,
    factor: Tensor,
    augmenter: Augmenter,
    len: u32,
}

impl Resident {
    /// The first `len` images.
    pub(super) fn new(images: &Images, len: usize, device: Device) -> Result<Resident, TchError> {
        let [c, h, w] = images.shape.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let pixels = &images.pixels[..len * images.image_len()];
        let labels: Vec<i64> = images.labels[..len].iter().map(|&label| i64::from(label)).collect();
        // (byte / max - mean) / std = (byte - mean * max) * (1 / (std * max))
        let max = f32::from(images.pixel_max);
        let shift: Vec<f32> = images.mean.iter().map(|mean| mean * max).collect();
        let factor: Vec<f32> = images.std.iter().map(|std| 1.0 / (std * max)).collect();
        let channelwise = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_view([1, c, 1, 1])?.f_to_device(device);
        Ok(Resident {
            pixels: Tensor::f_from_slice(pixels)?.f_view([-1, c, h, w])?.f_to_device(device)?,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(device)?,
            shift: channelwise(&shift)?,
            factor: channelwise(&factor)?,
            augmenter: Augmenter::new(images.augment, h, w, device)?,
            len: u32::try_from(len).unwrap_or(u32::MAX),
        })
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// These images, changed at random under `key` (seed and epoch) if there is one.
    pub(super) fn batch(&self, indices: &[u32], key: Option<(u64, u64)>) -> Result<ImageBatch, TchError> {
        let places: Vec<i64> = indices.iter().map(|&i| i64::from(i)).collect();
        let places = upload(&places, self.pixels.device())?;
        let mut pixels = self.pixels.f_index_select(0, &places)?;
        if let Some((seed, epoch)) = key {
            pixels = self.augmenter.apply(pixels, indices, seed, epoch)?;
        }
        let images = pixels.f_to_kind(Kind::Float)?.f_sub_(&self.shift)?.f_mul_(&self.factor)?;
        Ok(ImageBatch { images, labels: self.labels.f_index_select(0, &places)? })
    }
}
