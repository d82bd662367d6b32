//! Fashion-MNIST: 70,000 pictures of clothes in the format of MNIST.

use std::path::Path;

use harness_records::options::{About, Options};

use crate::idx::IdxFolder;
use crate::{Contents, Dataset, DatasetError, Samples, Shape, Split, StandIn};

/// Fashion-MNIST, 60,000 + 10,000 grey images of 28x28 in ten classes, from the four IDX files in `root`.
pub struct FashionMnist;

static ABOUT: About = About {
    name: "fashion-mnist",
    summary: "70,000 pictures of clothes, 28x28 grey, 10 classes, from the four IDX files in `root`",
    source: "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning \
             Algorithms, 2017, arXiv:1708.07747",
    options: &[],
};

/// Mean and standard deviation of the training pixels, as everybody uses them.
static FILES: IdxFolder = IdxFolder { dataset: "fashion-mnist", classes: 10, mean: 0.2860, std: 0.3530 };

impl Dataset for FashionMnist {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn probe(&self, root: Option<&Path>, _: &Options) -> Result<Contents, DatasetError> {
        Ok(Contents::Images(FILES.probe(root)?))
    }

    fn load(&self, root: Option<&Path>, _: &Options, split: Split) -> Result<Samples, DatasetError> {
        Ok(Samples::Images(FILES.load(root, split)?))
    }

    fn stand_in(&self, _: &Options) -> Option<StandIn> {
        Some(StandIn::images(Shape { channels: 1, height: 28, width: 28, classes: 10, train: 0, test: 0 }))
    }
}
