//! Data sets of labelled images and of text, found by name.
//!
//! Each data set is one file and one entry of [`DATASETS`]: it says what it is and which options it has
//! ([`Dataset::about`]), what a trial would see without reading all of it ([`Dataset::probe`]), hands over one split
//! ([`Dataset::load`]), and names a made-up stand-in of the same form for trials without files ([`Dataset::stand_in`]).
//! [`epoch_order`] says in which order an epoch walks through images, [`Tokens::streams`] how it walks through a text.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod batches;
mod cifar;
mod contents;
mod digits;
mod error;
mod fashion_mnist;
pub mod fetch;
mod folder;
mod idx;
mod imagenet;
mod images;
mod mnist;
mod photos;
mod picture;
mod random;
mod stand_in;
mod synthetic;
mod synthetic_text;
mod text;

use std::path::Path;

use harness_records::options::{About, Options};

pub use batches::{Shift, crop_flip, epoch_order};
pub use cifar::Cifar;
pub use contents::{Contents, Samples, Split};
pub use digits::Digits;
pub use error::{DatasetError, Problem};
pub use fashion_mnist::FashionMnist;
pub use imagenet::ImageNet;
pub use images::{Augment, Images, Shape};
pub use mnist::Mnist;
pub use photos::{Key, Loaded, Loader, Photos};
pub use picture::{Damage, JpegDecoder};
pub use stand_in::{StandIn, stand_in};
pub use synthetic::Synthetic;
pub use synthetic_text::SyntheticText;
pub use text::{EOS, Streams, TextFolder, TextShape, Tokens, UNKNOWN};

/// A data set, found by name. One static per data set.
pub trait Dataset: Sync {
    /// Name, source, options with type, range and default: help, JSON Schema and parser come from here.
    fn about(&self) -> &'static About;

    /// Checks that the files are there and look complete, and says what a trial would see.
    ///
    /// Cheap enough for a dry run: headers, sizes, names and all labels are read, pixels are not. `root` is the folder
    /// that holds the files; data sets that need none ignore it.
    ///
    /// # Errors
    /// A file is absent, is something else, is cut short or has the wrong labels; an option cannot be met.
    fn probe(&self, root: Option<&Path>, options: &Options) -> Result<Contents, DatasetError>;

    /// Reads one split.
    ///
    /// # Errors
    /// As [`Dataset::probe`], damaged data, and a split that the data set does not have.
    fn load(&self, root: Option<&Path>, options: &Options, split: Split) -> Result<Samples, DatasetError>;

    /// A made-up data set of the same form (channels, size, classes or vocabulary) that needs no files; `None` when
    /// this one needs none itself.
    fn stand_in(&self, options: &Options) -> Option<StandIn>;
}

/// Every data set, in the order help shows them.
pub static DATASETS: &[&dyn Dataset] = &[
    &Digits,
    &Mnist,
    &FashionMnist,
    &cifar::CIFAR10,
    &cifar::CIFAR100,
    &ImageNet,
    &text::PTB,
    &text::FOLDER,
    &Synthetic,
    &SyntheticText,
];

/// The data set of this name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Dataset> {
    DATASETS.iter().copied().find(|dataset| dataset.about().name == name)
}
