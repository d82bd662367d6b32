//! ImageNet, and any other folder of photographs in its form: one folder a class.

mod listing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, Options};

use crate::photos::{Photos, Recipe};
use crate::picture::JpegDecoder;
use crate::{Contents, Dataset, DatasetError, Problem, Samples, Shape, Split, StandIn};
use listing::Listing;

/// ImageNet (ILSVRC 2012): 1,281,167 + 50,000 photographs in 1,000 classes, from `train/<class>/*.JPEG` and
/// `val/<class>/*.JPEG` in `root`; or `val/*.JPEG` with a file that gives their classes.
///
/// Classes are numbered in the order of their names. Images are numbered class by class in turn, the first of each
/// class before the second of any, so that the first few (`train.limit`) are of all classes.
pub struct ImageNet;

static ABOUT: About = About {
    name: "imagenet",
    summary: "ImageNet or any photographs in its form, from `train/CLASS/*.JPEG` and `val/CLASS/*.JPEG` in `root`",
    source: "O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015",
    options: &[SIZE, RESIZE, LEAST_AREA, FLIP, JITTER, SCALED, ORIENTATION, BROKEN, LABELS],
};

const SIZE: KeyDoc = KeyDoc {
    name: "size",
    kind: KeyKind::Int { min: 8, max: 1024 },
    default: KeyDefault::Int(224),
    doc: "pixels along each side of what the network sees",
};
const RESIZE: KeyDoc = KeyDoc {
    name: "resize",
    kind: KeyKind::Int { min: 8, max: 2048 },
    default: KeyDefault::Int(256),
    doc: "to test, the short side is scaled to this before the centre is cropped",
};
const LEAST_AREA: KeyDoc = KeyDoc {
    name: "least_area",
    kind: KeyKind::Float { min: 0.01, max: 1.0 },
    default: KeyDefault::Float(0.08),
    doc: "least fraction of a photograph that a random crop has",
};
const FLIP: KeyDoc = KeyDoc {
    name: "flip",
    kind: KeyKind::Bool,
    default: KeyDefault::Bool(true),
    doc: "mirror every other training image",
};
const JITTER: KeyDoc = KeyDoc {
    name: "jitter",
    kind: KeyKind::Float { min: 0.0, max: 1.0 },
    default: KeyDefault::Float(0.0),
    doc: "largest random change of brightness, contrast and saturation of training images",
};
const SCALED: KeyDoc = KeyDoc {
    name: "scaled",
    kind: KeyKind::Bool,
    default: KeyDefault::Bool(true),
    doc: "decode JPEG to half its size or less where that is still larger than what the network sees",
};
const ORIENTATION: KeyDoc = KeyDoc {
    name: "orientation",
    kind: KeyKind::Choice(&["ignore", "apply"]),
    default: KeyDefault::Text("ignore"),
    doc: "turn photographs upright as EXIF says; torchvision ignores it",
};
const BROKEN: KeyDoc = KeyDoc {
    name: "broken",
    kind: KeyKind::Choice(&["stop", "skip"]),
    default: KeyDefault::Text("stop"),
    doc: "stop at a file that does not decode, or leave it out and say so",
};
const LABELS: KeyDoc = KeyDoc {
    name: "labels",
    kind: KeyKind::Path,
    default: KeyDefault::Absent,
    doc: "file with a line `NAME CLASS` for each image that lies in `val` itself; `val.txt` or `LOC_val_solution.csv`",
};

/// Mean and standard deviation of the training pixels, as everybody uses them.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Classes of the whole ImageNet.
const CLASSES: usize = 1000;

fn recipe(options: &Options) -> Result<Recipe, DatasetError> {
    let recipe = Recipe {
        size: options.size_or_default(&SIZE),
        resize: options.size_or_default(&RESIZE),
        least_area: options.float_or_default(&LEAST_AREA),
        flip: options.bool(FLIP.name),
        jitter: options.float_or_default(&JITTER),
        scaled: options.bool(SCALED.name),
        upright: options.text(ORIENTATION.name) == "apply",
        skip_broken: options.text(BROKEN.name) == "skip",
    };
    if recipe.resize < recipe.size {
        let problem = Box::new(Problem::Crop { resize: recipe.resize, size: recipe.size });
        return Err(DatasetError { dataset: ABOUT.name, path: None, problem });
    }
    Ok(recipe)
}

fn decoder() -> Result<JpegDecoder, DatasetError> {
    JpegDecoder::from_environment().map_err(|value| DatasetError {
        dataset: ABOUT.name,
        path: None,
        problem: Box::new(Problem::JpegDecoder { value }),
    })
}

fn list(root: Option<&Path>, options: &Options) -> Result<Listing, DatasetError> {
    let labels = options.text(LABELS.name);
    let labels = (!labels.is_empty()).then(|| Path::new(labels));
    Listing::read(root, labels).map_err(|(path, problem)| DatasetError {
        dataset: ABOUT.name,
        path,
        problem: Box::new(problem),
    })
}

impl Dataset for ImageNet {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn probe(&self, root: Option<&Path>, options: &Options) -> Result<Contents, DatasetError> {
        let side = recipe(options)?.size;
        decoder()?;
        let Listing { classes, train, test } = list(root, options)?;
        let (train, test) = (train.len(), test.len());
        Ok(Contents::Images(Shape { channels: 3, height: side, width: side, classes: classes.len(), train, test }))
    }

    fn load(&self, root: Option<&Path>, options: &Options, split: Split) -> Result<Samples, DatasetError> {
        let recipe = recipe(options)?;
        let decoder = decoder()?;
        let Listing { classes, train, test } = list(root, options)?;
        let files = match split {
            Split::Train => train,
            Split::Validation => return Err(DatasetError::no_validation(ABOUT.name)),
            Split::Test => test,
        };
        Ok(Samples::Photos(Photos {
            dataset: ABOUT.name,
            files,
            recipe,
            decoder,
            classes: classes.len(),
            mean: MEAN,
            std: STD,
            broken: Mutex::new(BTreeMap::new()),
        }))
    }

    fn stand_in(&self, options: &Options) -> Option<StandIn> {
        let side = options.size_or_default(&SIZE);
        let shape = Shape { channels: 3, height: side, width: side, classes: CLASSES, train: 0, test: 0 };
        Some(StandIn::images(shape))
    }
}
