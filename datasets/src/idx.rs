//! Image sets in the four IDX files of MNIST, plain or gzip.
//!
//! An IDX file is a mark (two zero bytes, the element type, the number of dimensions), that many big-endian u32
//! sizes, and the elements, row-major. Images are `[n, height, width]` bytes under the mark 0x00000803, labels `[n]`
//! bytes under 0x00000801. Whether a file is gzip is read from its first bytes, not from its name: browsers and
//! mirrors unpack or keep names as they please.
//!
//! Nothing here trusts a header: sizes are multiplied without overflow and capped, memory grows only as far as the
//! file can fill it, and no more is unpacked than the header promises.

mod file;
mod header;

use std::path::{Path, PathBuf};

use file::{Located, Opened, Part};
use header::{Content, Header};

use crate::{Augment, DatasetError, Images, Problem, Shape, Split, folder};

/// A data set of four IDX files in one folder.
pub(crate) struct IdxFolder {
    /// Name of the data set.
    pub(crate) dataset: &'static str,
    /// Number of classes.
    pub(crate) classes: usize,
    /// Mean of the training pixels, in 0..=1.
    pub(crate) mean: f32,
    /// Standard deviation of the training pixels, in 0..=1.
    pub(crate) std: f32,
}

impl IdxFolder {
    /// See [`crate::Dataset::probe`].
    pub(crate) fn probe(&self, root: Option<&Path>) -> Result<Shape, DatasetError> {
        self.blame(root, |root| {
            let (_, train) = self.probe_split(root, Split::Train)?;
            let (tested, test) = self.probe_split(root, Split::Test)?;
            if (train.height, train.width) != (test.height, test.width) {
                return Err((tested, Problem::Mixed { test: test.side(), train: train.side() }));
            }
            Ok(Shape {
                channels: 1,
                height: train.height as usize,
                width: train.width as usize,
                classes: self.classes,
                train: train.count as usize,
                test: test.count as usize,
            })
        })
    }

    /// See [`crate::Dataset::load`].
    pub(crate) fn load(&self, root: Option<&Path>, split: Split) -> Result<Images, DatasetError> {
        self.blame(root, |root| {
            if split == Split::Validation {
                return Err((root.to_owned(), Problem::NoSplit { split: split.name() }));
            }
            let images = Opened::find(root, Part { split, content: Content::Images })?;
            let header = images.header;
            let labels = self.labels(root, split, &images)?;
            Ok(Images {
                shape: [1, header.height as usize, header.width as usize],
                pixels: images.read()?,
                pixel_max: u8::MAX,
                labels: labels.into_iter().map(u16::from).collect(),
                mean: vec![self.mean],
                std: vec![self.std],
                classes: self.classes,
                augment: Augment::default(),
            })
        })
    }

    /// Runs `read` on the folder if there is one, and says of which data set an error is.
    fn blame<T>(&self, root: Option<&Path>, read: impl FnOnce(&Path) -> Located<T>) -> Result<T, DatasetError> {
        let error =
            |path: Option<PathBuf>, problem| DatasetError { dataset: self.dataset, path, problem: Box::new(problem) };
        let files = || {
            let stems = Part::ALL.map(|part| format!("`{}`", part.stem('-')));
            format!("{} (plain or with .gz)", stems.join(", "))
        };
        let root = folder::check(root, files).map_err(|(path, problem)| error(path, problem))?;
        read(root).map_err(|(path, problem)| error(Some(path), problem))
    }

    /// Path and header of the images of one split.
    fn probe_split(&self, root: &Path, split: Split) -> Located<(PathBuf, Header)> {
        let images = Opened::find(root, Part { split, content: Content::Images })?;
        self.labels(root, split, &images)?;
        let found = (images.path.clone(), images.header);
        images.check_size()?;
        Ok(found)
    }

    /// The labels that belong to `images`, as many as there are images, each a class.
    fn labels(&self, root: &Path, split: Split, images: &Opened) -> Located<Vec<u8>> {
        let file = Opened::find(root, Part { split, content: Content::Labels })?;
        let path = file.path.clone();
        if file.header.count != images.header.count {
            let beside = images.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let problem = Problem::Count { labels: file.header.count, images: images.header.count, beside };
            return Err((path, problem));
        }
        let labels = file.read()?;
        match labels.iter().position(|&label| usize::from(label) >= self.classes) {
            Some(index) => Err((path, Problem::Label { label: labels[index], index, max: self.classes - 1 })),
            None => Ok(labels),
        }
    }
}
