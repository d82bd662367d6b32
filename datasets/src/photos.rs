//! Photographs in files, too many for memory: decoded by worker threads just before they are needed.

mod jitter;
mod loader;
mod transform;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::ThreadPoolBuilder;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::picture::{Damage, JpegDecoder, Picture, Sampler};
use crate::{DatasetError, Problem};

pub use loader::{Loaded, Loader};
pub(crate) use transform::Recipe;

/// One split of a data set of photographs.
#[derive(Debug)]
pub struct Photos {
    pub(crate) dataset: &'static str,
    /// Files and their classes, every class represented among the first of them.
    pub(crate) files: Vec<(PathBuf, u16)>,
    pub(crate) recipe: Recipe,
    pub(crate) decoder: JpegDecoder,
    pub(crate) classes: usize,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
    /// Files that were left out, and why.
    pub(crate) broken: Mutex<BTreeMap<PathBuf, Damage>>,
}

/// Keys the random changes of a walk through the training images: seed and epoch.
pub type Key = (u64, u64);

impl Photos {
    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Keeps the first `count` files.
    pub fn truncate(&mut self, count: usize) {
        self.files.truncate(count);
    }

    /// Pixels of a decoded image along each side.
    #[must_use]
    pub fn side(&self) -> usize {
        self.recipe.size
    }

    /// Who decodes its JPEG files.
    #[must_use]
    pub fn decoder(&self) -> JpegDecoder {
        self.decoder
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Mean and standard deviation of red, green and blue, in units of 255.
    #[must_use]
    pub fn normalisation(&self) -> ([f32; 3], [f32; 3]) {
        (self.mean, self.std)
    }

    /// The files that could not be decoded so far and were left out (`broken: skip`), by name, each with what is wrong.
    #[must_use]
    pub fn broken(&self) -> Vec<(PathBuf, Damage)> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.iter().map(|(path, damage)| (path.clone(), damage.clone())).collect()
    }

    /// Decodes every file whole, on `workers` threads, and gives those that are broken, by name, each with what is wrong.
    /// `done` is told after each file how many are done.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub fn check(&self, workers: usize, done: &(dyn Fn(usize) + Sync)) -> Result<Vec<(PathBuf, Damage)>, DatasetError> {
        let error = |path: Option<&PathBuf>, error| DatasetError {
            dataset: self.dataset,
            path: path.cloned(),
            problem: Box::new(Problem::Read(error)),
        };
        let count = AtomicUsize::new(0);
        let look = |sampler: &mut Sampler, (path, _): &(PathBuf, u16)| -> Result<_, DatasetError> {
            let bytes = fs::read(path).map_err(|problem| error(Some(path), problem))?;
            let seen =
                Picture::open(&bytes, self.decoder).and_then(|picture| transform::look_at_all(&picture, sampler));
            done(count.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(seen.err().map(|damage| (path.clone(), damage)))
        };
        // A pool of its own, because the caller says how many threads.
        let pool = ThreadPoolBuilder::new().num_threads(workers.max(1)).build();
        let pool = pool.map_err(|problem| error(None, io::Error::other(problem)))?;
        let looks = || self.files.par_iter().map_init(Sampler::default, look).collect::<Result<Vec<_>, _>>();
        let seen = pool.install(looks)?;
        let mut broken: Vec<_> = seen.into_iter().flatten().collect();
        broken.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(broken)
    }

    /// Decodes one file into `[3, side, side]` bytes: changed at random under `key`, or as for a test where there is
    /// none. A pure function of the file, the key and the index. False when the file is broken and left out.
    fn decode(
        &self,
        index: u32,
        key: Option<Key>,
        sampler: &mut Sampler,
        out: &mut [u8],
    ) -> Result<bool, DatasetError> {
        let (path, _) = &self.files[index as usize];
        let error =
            |problem| DatasetError { dataset: self.dataset, path: Some(path.clone()), problem: Box::new(problem) };
        let bytes = fs::read(path).map_err(|e| error(Problem::Read(e)))?;
        let drawn = Picture::open(&bytes, self.decoder).and_then(|picture| match key {
            Some((seed, epoch)) => self.recipe.train(&picture, seed, epoch, index, sampler, out),
            None => self.recipe.test(&picture, sampler, out),
        });
        match drawn {
            Ok(()) => Ok(true),
            Err(damage) if self.recipe.skip_broken => {
                self.broken.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), damage);
                Ok(false)
            }
            Err(damage) => Err(error(Problem::Picture(damage))),
        }
    }
}
