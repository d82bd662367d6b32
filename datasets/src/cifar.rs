//! CIFAR-10 and CIFAR-100 in their official binary layout: records of one label byte (two for CIFAR-100: coarse, fine)
//! and 3,072 pixels, red, green and blue planes of 32x32, row-major.
//!
//! The files are taken as they are found: plain, with `.xz`, in the folder that the official archive unpacks to, or
//! inside that archive.

mod files;

use std::path::{Path, PathBuf};

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, Options};

use crate::{Augment, Contents, Dataset, DatasetError, Images, Problem, Samples, Shape, Split, StandIn, folder};
use files::Files;

/// One of the two data sets.
pub struct Cifar {
    about: &'static About,
    files: Files,
    /// Training files, and how many images the whole data set has in each.
    train: &'static [&'static str],
    test: &'static [&'static str],
    mean: [f32; 3],
    std: [f32; 3],
}

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;

/// Frame that crops are taken out of, pixels.
const PAD: u8 = 4;

const AUGMENT: KeyDoc = KeyDoc {
    name: "augment",
    kind: KeyKind::Bool,
    default: KeyDefault::Bool(true),
    doc: "train on random 32x32 crops out of a black frame of 4 pixels, mirrored every other time",
};
const BATCHES: KeyDoc = KeyDoc {
    name: "batches",
    kind: KeyKind::Int { min: 1, max: 5 },
    default: KeyDefault::Int(5),
    doc: "train on the first so many of the five training files",
};
const LABELS: KeyDoc = KeyDoc {
    name: "labels",
    kind: KeyKind::Choice(&["fine", "coarse"]),
    default: KeyDefault::Text("fine"),
    doc: "100 fine classes or the 20 coarse ones they fall into",
};

/// CIFAR-10: 50,000 + 10,000 colour images of 32x32 in ten classes.
pub(crate) static CIFAR10: Cifar = Cifar {
    about: &About {
        name: "cifar10",
        summary: "CIFAR-10, 60,000 colour images of 32x32, 10 classes, from the binary version in `root`",
        source: "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        options: &[AUGMENT, BATCHES],
    },
    files: Files { folder: "cifar-10-batches-bin", archive: "cifar-10-binary.tar.gz" },
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: &["test_batch.bin"],
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2470, 0.2435, 0.2616],
};

/// CIFAR-100: likewise in a hundred classes.
pub(crate) static CIFAR100: Cifar = Cifar {
    about: &About {
        name: "cifar100",
        summary: "CIFAR-100, 60,000 colour images of 32x32, 100 classes, from the binary version in `root`",
        source: "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        options: &[AUGMENT, LABELS],
    },
    files: Files { folder: "cifar-100-binary", archive: "cifar-100-binary.tar.gz" },
    train: &["train.bin"],
    test: &["test.bin"],
    mean: [0.5071, 0.4865, 0.4409],
    std: [0.2673, 0.2564, 0.2762],
};

/// Where the label of a record stands, and what it may be.
struct Labels {
    /// Label bytes before the pixels.
    bytes: usize,
    /// Which of them counts.
    place: usize,
    classes: usize,
}

/// A result whose error says which file or folder is to blame.
type Located<T> = Result<T, (PathBuf, Problem)>;

impl Cifar {
    fn labels(&self, options: &Options) -> Labels {
        match (self.train.len(), options.text(LABELS.name)) {
            (1, "coarse") => Labels { bytes: 2, place: 0, classes: 20 },
            (1, _) => Labels { bytes: 2, place: 1, classes: 100 },
            _ => Labels { bytes: 1, place: 0, classes: 10 },
        }
    }

    /// The files of a split.
    fn names(&self, options: &Options, split: Split) -> &'static [&'static str] {
        let count = options.size_or_default(&BATCHES).min(self.train.len());
        if split == Split::Train { &self.train[..count] } else { self.test }
    }

    /// Runs `read` on the folder, if it is one, and says of which data set an error is.
    fn blame<T>(&self, root: Option<&Path>, read: impl FnOnce(&Path) -> Located<T>) -> Result<T, DatasetError> {
        let error = |path, problem| DatasetError { dataset: self.about.name, path, problem: Box::new(problem) };
        let wanted = || {
            let Files { folder, archive } = self.files;
            format!("`{archive}`, the folder `{folder}` or its files (plain or with .xz)")
        };
        let root = folder::check(root, wanted).map_err(|(path, problem)| error(path, problem))?;
        read(root).map_err(|(path, problem)| error(Some(path), problem))
    }

    /// The records of a split, all of them checked.
    fn read(&self, root: &Path, options: &Options, split: Split) -> Located<(Vec<u8>, Labels)> {
        let labels = self.labels(options);
        let record = labels.bytes + PIXELS;
        let mut all = Vec::new();
        for (path, bytes) in self.files.read(root, self.names(options, split), record)? {
            if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
                return Err((path, Problem::Records { found: bytes.len() as u64, record }));
            }
            let found = bytes.chunks_exact(record).map(|record| record[labels.place]);
            if let Some((index, label)) = found.enumerate().find(|&(_, label)| usize::from(label) >= labels.classes) {
                return Err((path, Problem::Label { label, index, max: labels.classes - 1 }));
            }
            all.extend(bytes);
        }
        Ok((all, labels))
    }

    /// Images in a split, from sizes alone where files tell them without being unpacked.
    fn count(&self, root: &Path, options: &Options, split: Split) -> Located<usize> {
        let record = self.labels(options).bytes + PIXELS;
        match self.files.sizes(root, self.names(options, split), record)? {
            Some(sizes) => {
                let wrong = |(_, size): &&(PathBuf, u64)| *size == 0 || !size.is_multiple_of(record as u64);
                if let Some((path, size)) = sizes.iter().find(wrong) {
                    return Err((path.clone(), Problem::Records { found: *size, record }));
                }
                let bytes: u64 = sizes.iter().map(|&(_, size)| size).sum();
                Ok(usize::try_from(bytes / record as u64).unwrap_or(usize::MAX))
            }
            None => Ok(self.read(root, options, split)?.0.len() / record),
        }
    }
}

impl Dataset for Cifar {
    fn about(&self) -> &'static About {
        self.about
    }

    fn probe(&self, root: Option<&Path>, options: &Options) -> Result<Contents, DatasetError> {
        self.blame(root, |root| {
            let (train, test) = (self.count(root, options, Split::Train)?, self.count(root, options, Split::Test)?);
            let classes = self.labels(options).classes;
            Ok(Contents::Images(Shape { channels: 3, height: SIDE, width: SIDE, classes, train, test }))
        })
    }

    fn load(&self, root: Option<&Path>, options: &Options, split: Split) -> Result<Samples, DatasetError> {
        if split == Split::Validation {
            return Err(DatasetError::no_validation(self.about.name));
        }
        let (records, labels) = self.blame(root, |root| self.read(root, options, split))?;
        let augment = split == Split::Train && options.bool(AUGMENT.name);
        let records = records.chunks_exact(labels.bytes + PIXELS);
        Ok(Samples::Images(Images {
            shape: [3, SIDE, SIDE],
            labels: records.clone().map(|record| u16::from(record[labels.place])).collect(),
            pixels: records.flat_map(|record| &record[labels.bytes..]).copied().collect(),
            pixel_max: u8::MAX,
            mean: self.mean.to_vec(),
            std: self.std.to_vec(),
            classes: labels.classes,
            augment: if augment { Augment { pad: PAD, flip: true } } else { Augment::default() },
        }))
    }

    fn stand_in(&self, options: &Options) -> Option<StandIn> {
        let classes = self.labels(options).classes;
        Some(StandIn::images(Shape { channels: 3, height: SIDE, width: SIDE, classes, train: 0, test: 0 }))
    }
}
