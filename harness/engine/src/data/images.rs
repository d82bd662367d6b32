//! Labelled images, batch by batch.

use std::path::PathBuf;

use harness_datasets::{Damage, Images, JpegDecoder, Photos, epoch_order};
use tch::Device;

use super::batch::{ImageBatch, batches, steps};
use super::resident::Resident;
use super::streamed::{Stream, Streamed};
use crate::failure::EngineError;

/// One split, ready to be walked through.
#[derive(Debug)]
pub struct DeviceImages {
    store: Store,
}

#[derive(Debug)]
enum Store {
    /// On the device.
    Resident(Resident),
    /// In files.
    Streamed(Streamed),
}

/// One walk through a split.
#[derive(Debug)]
pub struct Batches<'a> {
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Resident {
        images: &'a Resident,
        /// Random changes of this walk, by seed and epoch; none in evaluation.
        key: Option<(u64, u64)>,
        /// What is left to walk through.
        left: std::vec::IntoIter<Vec<u32>>,
    },
    Streamed(Stream<'a>),
}

impl DeviceImages {
    pub(super) fn resident(images: &Images, limit: usize, device: Device) -> Result<DeviceImages, EngineError> {
        Ok(DeviceImages { store: Store::Resident(Resident::new(images, images.len().min(limit), device)?) })
    }

    pub(super) fn streamed(photos: Photos, device: Device) -> Result<DeviceImages, EngineError> {
        Ok(DeviceImages { store: Store::Streamed(Streamed::new(photos, device)?) })
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> u32 {
        match &self.store {
            Store::Resident(images) => images.len(),
            Store::Streamed(photos) => photos.len(),
        }
    }

    /// True when there are none; [`super::load`] refuses that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Steps of one epoch of training.
    #[must_use]
    pub fn steps(&self, batch: u32) -> u64 {
        steps(self.len(), batch)
    }

    /// The training batches of an epoch (counted from 1), without the first `skip` of them: shuffled and changed at
    /// random, each image a pure function of (seed, epoch, its index), whatever came before.
    #[must_use]
    pub fn epoch(&self, seed: u64, epoch: u64, batch: u32, skip: usize) -> Batches<'_> {
        let order = epoch_order(self.len(), seed, epoch);
        self.walk(batches(&order, batch).into_iter().skip(skip).map(<[u32]>::to_vec).collect(), Some((seed, epoch)))
    }

    /// All images in their own order, unchanged, at most `batch` at a time.
    #[must_use]
    pub fn in_order(&self, batch: u32) -> Batches<'_> {
        let order: Vec<u32> = (0..self.len()).collect();
        self.walk(order.chunks(batch.max(1) as usize).map(<[u32]>::to_vec).collect(), None)
    }

    /// The first `count` images, unchanged.
    ///
    /// # Errors
    /// When they cannot be decoded or libtorch fails.
    pub fn first(&self, count: u32) -> Result<ImageBatch, EngineError> {
        let mut only = self.walk(vec![(0..count.min(self.len())).collect()], None);
        only.next().unwrap_or(Err(EngineError::NoImages("first")))
    }

    /// Files that did not decode so far and were left out, each with what is wrong.
    #[must_use]
    pub fn broken(&self) -> Vec<(PathBuf, Damage)> {
        match &self.store {
            Store::Resident(_) => Vec::new(),
            Store::Streamed(photos) => photos.broken(),
        }
    }

    /// Who decodes their JPEG files; `None` where the images lie in memory.
    #[must_use]
    pub fn jpeg_decoder(&self) -> Option<JpegDecoder> {
        match &self.store {
            Store::Resident(_) => None,
            Store::Streamed(photos) => Some(photos.jpeg_decoder()),
        }
    }

    fn walk(&self, batches: Vec<Vec<u32>>, key: Option<(u64, u64)>) -> Batches<'_> {
        let source = match &self.store {
            Store::Resident(images) => Source::Resident { images, key, left: batches.into_iter() },
            Store::Streamed(photos) => Source::Streamed(photos.walk(batches, key)),
        };
        Batches { source }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<ImageBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Resident { images, key, left } => Some(images.batch(&left.next()?, *key).map_err(Into::into)),
            Source::Streamed(stream) => stream.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.source {
            Source::Resident { left, .. } => left.size_hint(),
            Source::Streamed(stream) => (stream.len(), Some(stream.len())),
        }
    }
}

impl ExactSizeIterator for Batches<'_> {}
