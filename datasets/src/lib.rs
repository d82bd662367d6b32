//! Data sets of labelled images, found by name.
//!
//! Each data set is one file and one entry of [`DATASETS`]: it says what it is and which options it has
//! ([`Dataset::about`]), what a trial would see without reading all of it ([`Dataset::probe`]), and hands over one
//! split as bytes ([`Dataset::load`]). [`epoch_order`] says in which order an epoch walks through them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod batches;
mod digits;
mod error;
mod fashion_mnist;
mod idx;
mod images;
mod mnist;
mod random;
mod synthetic;

use std::path::Path;

use harness_records::options::{About, Options};

pub use batches::epoch_order;
pub use digits::Digits;
pub use error::{DatasetError, Problem};
pub use fashion_mnist::FashionMnist;
pub use images::{Images, Shape, Split};
pub use mnist::Mnist;
pub use synthetic::Synthetic;

/// A data set, found by name. One static per data set.
pub trait Dataset: Sync {
    /// Name, source, options with type, range and default: help, JSON Schema and parser come from here.
    fn about(&self) -> &'static About;

    /// Checks that the files are there and look complete, and says what a trial would see.
    ///
    /// Cheap enough for a dry run: headers, sizes and all labels are read, pixels are not. `root` is the folder that
    /// holds the files; data sets that need none ignore it.
    ///
    /// # Errors
    /// A file is absent, is something else, is cut short or has the wrong labels; an option cannot be met.
    fn probe(&self, root: Option<&Path>, options: &Options) -> Result<Shape, DatasetError>;

    /// Reads one split into memory, every byte of it checked.
    ///
    /// # Errors
    /// As [`Dataset::probe`], and damaged pixel data.
    fn load(&self, root: Option<&Path>, options: &Options, split: Split) -> Result<Images, DatasetError>;
}

/// Every data set, in the order help shows them.
pub static DATASETS: &[&dyn Dataset] = &[&Digits, &Mnist, &FashionMnist, &Synthetic];

/// The data set of this name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Dataset> {
    DATASETS.iter().copied().find(|dataset| dataset.about().name == name)
}
