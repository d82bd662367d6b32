//! A split that lies in files: decoded on the host while the device computes, sent as bytes, normalised on the device.

use std::io;
use std::sync::Arc;
use std::{env, thread};

use harness_datasets::{Damage, DatasetError, JpegDecoder, Loaded, Loader, Photos};
use harness_torch::slices::HostBytes;
use tch::{Device, Kind, TchError, Tensor};

use super::batch::ImageBatch;
use super::upload::upload;
use crate::failure::EngineError;

/// How many threads decode for one trial, where this variable says so; no result depends on it.
const THREADS: &str = "HARNESS_DECODERS";

/// Photographs and what belongs to their normalisation.
#[derive(Debug)]
pub(super) struct Streamed {
    photos: Arc<Photos>,
    device: Device,
    /// f32, `[1, 3, 1, 1]`: what is subtracted from the byte, and its inverse spread.
    shift: Tensor,
    factor: Tensor,
    threads: usize,
}

/// One walk through photographs.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    photos: &'a Streamed,
    loader: Option<Loader<HostBytes>>,
    /// Why there is no loader.
    failed: Option<DatasetError>,
}

impl Streamed {
    pub(super) fn new(photos: Photos, device: Device) -> Result<Streamed, TchError> {
        let (mean, std) = photos.normalisation();
        let channelwise = |numbers: [f32; 3]| Tensor::f_from_slice(&numbers)?.f_view([1, 3, 1, 1])?.f_to_device(device);
        let max = f32::from(u8::MAX);
        Ok(Streamed {
            photos: Arc::new(photos),
            device,
            shift: channelwise(mean.map(|mean| mean * max))?,
            factor: channelwise(std.map(|std| 1.0 / (std * max)))?,
            threads: threads(device),
        })
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.photos.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn broken(&self) -> Vec<(std::path::PathBuf, Damage)> {
        self.photos.broken()
    }

    pub(super) fn jpeg_decoder(&self) -> JpegDecoder {
        self.photos.decoder()
    }

    /// Begins to decode `batches`.
    pub(super) fn walk(&self, batches: Vec<Vec<u32>>, key: Option<(u64, u64)>) -> Stream<'_> {
        let device = self.device;
        let buffer = move |len| HostBytes::new(len, device).map_err(io::Error::other);
        match self.photos.load(batches, key, self.threads, buffer) {
            Ok(loader) => Stream { photos: self, loader: Some(loader), failed: None },
            Err(error) => Stream { photos: self, loader: None, failed: Some(error) },
        }
    }

    fn send(&self, loaded: Loaded<HostBytes>) -> Result<ImageBatch, TchError> {
        let labels: Vec<i64> = loaded.labels.iter().map(|&label| i64::from(label)).collect();
        let side = i64::try_from(self.photos.side()).unwrap_or(i64::MAX);
        let count = i64::try_from(labels.len()).unwrap_or(i64::MAX);
        let bytes = loaded.pixels.into_tensor().f_narrow(0, 0, count * 3 * side * side)?;
        // Page-locked memory is fetched while the device computes; libtorch keeps it until then.
        let bytes = bytes.f_view([count, 3, side, side])?.f_to_device_(self.device, Kind::Uint8, true, false)?;
        let images = bytes.f_to_kind(Kind::Float)?.f_sub_(&self.shift)?.f_mul_(&self.factor)?;
        Ok(ImageBatch { images, labels: upload(&labels, self.device)? })
    }
}

/// Decoders of one trial: a GPU takes what all cores give; on a CPU the network needs cores too.
fn threads(device: Device) -> usize {
    let chosen = env::var(THREADS).ok().and_then(|text| text.parse().ok()).filter(|&count: &usize| count > 0);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    chosen.unwrap_or(if device == Device::Cpu { cores.div_ceil(2) } else { cores })
}

impl Stream<'_> {
    pub(super) fn len(&self) -> usize {
        self.loader.as_ref().map_or(usize::from(self.failed.is_some()), ExactSizeIterator::len)
    }

    pub(super) fn next(&mut self) -> Option<Result<ImageBatch, EngineError>> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error.into()));
        }
        match self.loader.as_mut()?.next()? {
            Ok(loaded) => Some(self.photos.send(loaded).map_err(Into::into)),
            Err(error) => Some(Err(error.into())),
        }
    }
}
