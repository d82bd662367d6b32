//! ImageNet, and any other folder of photographs in its form: one folder a class.

mod listing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use harness_records::options::{About, OptionDefault, OptionDoc, OptionKind, Options};

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

const SIZE: OptionDoc = OptionDoc {
    name: "size",
    kind: OptionKind::Int { min: 8, max: 1024 },
    default: OptionDefault::Int(224),
    doc: "pixels along each side of what the network sees",
};
const RESIZE: OptionDoc = OptionDoc {
    name: "resize",
    kind: OptionKind::Int { min: 8, max: 2048 },
    default: OptionDefault::Int(256),
    doc: "to test, the short side is scaled to this before the centre is cropped",
};
const LEAST_AREA: OptionDoc = OptionDoc {
    name: "least_area",
    kind: OptionKind::Float { min: 0.01, max: 1.0 },
    default: OptionDefault::Float(0.08),
    doc: "least fraction of a photograph that a random crop has",
};
const FLIP: OptionDoc = OptionDoc {
    name: "flip",
    kind: OptionKind::Bool,
    default: OptionDefault::Bool(true),
    doc: "mirror every other training image",
};
const JITTER: OptionDoc = OptionDoc {
    name: "jitter",
    kind: OptionKind::Float { min: 0.0, max: 1.0 },
    default: OptionDefault::Float(0.0),
    doc: "largest random change of brightness, contrast and saturation of training images",
};
const SCALED: OptionDoc = OptionDoc {
    name: "scaled",
    kind: OptionKind::Bool,
    default: OptionDefault::Bool(true),
    doc: "decode JPEG to half its size or less where that is still larger than what the network sees",
};
const ORIENTATION: OptionDoc = OptionDoc {
    name: "orientation",
    kind: OptionKind::Choice(&["ignore", "apply"]),
    default: OptionDefault::Text("ignore"),
    doc: "turn photographs upright as EXIF says; torchvision ignores it",
};
const BROKEN: OptionDoc = OptionDoc {
    name: "broken",
    kind: OptionKind::Choice(&["stop", "skip"]),
    default: OptionDefault::Text("stop"),
    doc: "stop at a file that does not decode, or leave it out and say so",
};
const LABELS: OptionDoc = OptionDoc {
    name: "labels",
    kind: OptionKind::Path,
    default: OptionDefault::Absent,
    doc: "file with a line `NAME CLASS` for each image that lies in `val` itself; `val.txt` or `LOC_val_solution.csv`",
};

/// Mean and standard deviation of the training pixels, as everybody uses them.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Classes of the whole ImageNet.
const CLASSES: usize = 1000;

fn size(options: &Options, doc: &OptionDoc) -> usize {
    let default = if let OptionDefault::Int(default) = doc.default { default } else { 0 };
    usize::try_from(options.int(doc.name).unwrap_or(default)).unwrap_or(0)
}

fn recipe(options: &Options) -> Result<Recipe, DatasetError> {
    let float = |doc: &OptionDoc| match doc.default {
        OptionDefault::Float(default) => options.float(doc.name).unwrap_or(default),
        _ => 0.0,
    };
    let recipe = Recipe {
        size: size(options, &SIZE),
        resize: size(options, &RESIZE),
        least_area: float(&LEAST_AREA),
        flip: options.bool(FLIP.name),
        jitter: float(&JITTER),
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
        let side = size(options, &SIZE);
        let shape = Shape { channels: 3, height: side, width: side, classes: CLASSES, train: 0, test: 0 };
        Some(StandIn::images(shape))
    }
}
