//! MNIST: 70,000 handwritten digits.

use std::path::Path;

use harness_records::options::{About, Options};

use crate::idx::IdxFolder;
use crate::{Contents, Dataset, DatasetError, Samples, Shape, Split, StandIn};

/// MNIST, 60,000 + 10,000 grey images of 28x28 in ten classes, from the four IDX files in `root`.
pub struct Mnist;

static ABOUT: About = About {
    name: "mnist",
    summary: "70,000 handwritten digits, 28x28 grey, 10 classes, from the four IDX files in `root`",
    source: "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998",
    options: &[],
};

/// Mean and standard deviation of the training pixels, as everybody uses them.
static FILES: IdxFolder = IdxFolder { dataset: "mnist", classes: 10, mean: 0.1307, std: 0.3081 };

impl Dataset for Mnist {
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
