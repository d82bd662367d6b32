//! Labelled images, batch by batch.

use harness_datasets::{Images, epoch_order};
use tch::{Device, TchError, Tensor};

use super::batches;
use super::resident::Resident;
use crate::failure::EngineError;

/// One split, ready to be walked through.
#[derive(Debug)]
pub struct DeviceImages {
    store: Resident,
}

/// Images and their labels on the device.
#[derive(Debug)]
pub struct Batch {
    /// Normalised, f32 `[n, c, h, w]`.
    pub images: Tensor,
    /// Classes, i64 `[n]`.
    pub labels: Tensor,
}

/// One walk through a split.
#[derive(Debug)]
pub struct Batches<'a> {
    images: &'a DeviceImages,
    /// Random changes of this walk, keyed by (seed, epoch, sample); none in evaluation.
    key: Option<(u64, u64)>,
    /// What is left to walk through.
    left: std::vec::IntoIter<Vec<u32>>,
}

impl DeviceImages {
    pub(super) fn resident(images: &Images, limit: usize, device: Device) -> Result<DeviceImages, EngineError> {
        Ok(DeviceImages { store: Resident::new(images, images.len().min(limit), device)? })
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.store.len()
    }

    /// True when there are none; [`super::load`] refuses that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Steps of one epoch of training.
    #[must_use]
    pub fn steps(&self, batch: u32) -> u64 {
        super::steps(self.len(), batch)
    }

    /// The training batches of an epoch (counted from 1), without the first `skip` of them: shuffled and changed at
    /// random, each image a pure function of (seed, epoch, its index), whatever came before.
    #[must_use]
    pub fn epoch(&self, seed: u64, epoch: u64, batch: u32, skip: usize) -> Batches<'_> {
        let order = epoch_order(self.len(), seed, epoch);
        let cut: Vec<Vec<u32>> = batches(&order, batch).into_iter().skip(skip).map(<[u32]>::to_vec).collect();
        Batches { images: self, key: Some((seed, epoch)), left: cut.into_iter() }
    }

    /// All images in their own order, unchanged, at most `batch` at a time.
    #[must_use]
    pub fn in_order(&self, batch: u32) -> Batches<'_> {
        let order: Vec<u32> = (0..self.len()).collect();
        let cut: Vec<Vec<u32>> = order.chunks(batch.max(1) as usize).map(<[u32]>::to_vec).collect();
        Batches { images: self, key: None, left: cut.into_iter() }
    }

    /// The first `count` images, unchanged.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn first(&self, count: u32) -> Result<Batch, EngineError> {
        let indices: Vec<u32> = (0..count.min(self.len())).collect();
        Ok(self.store.batch(&indices, None)?)
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let indices = self.left.next()?;
        Some(self.images.store.batch(&indices, self.key).map_err(|error: TchError| error.into()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl ExactSizeIterator for Batches<'_> {}
