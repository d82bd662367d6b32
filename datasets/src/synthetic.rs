//! Made-up images of any shape, for tests and for measuring speed without any files.

use std::path::Path;

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, Options};
use rand_chacha::rand_core::Rng;

use crate::{Augment, Contents, Dataset, DatasetError, Images, Problem, Samples, Shape, Split, StandIn, random};

/// Seeded images that can be learned: a coarse pattern for each class, noise on every pixel; needs no folder.
///
/// Image `i` of a split belongs to class `i % classes` and is a pure function of (its shape, classes, seed, noise,
/// split, `i`), computed in whole numbers: the same bytes on every machine, whatever the number of images.
pub struct Synthetic;

static ABOUT: About = About {
    name: "synthetic",
    summary: "seeded made-up images of any shape, one coarse pattern for each class and noise",
    source: "",
    options: &[CHANNELS, HEIGHT, WIDTH, CLASSES, TRAIN, TEST, SEED, NOISE],
};

const CHANNELS: KeyDoc = size("channels", 1024, 3, "channels of an image");
const HEIGHT: KeyDoc = size("height", 4096, 32, "rows of an image");
const WIDTH: KeyDoc = size("width", 4096, 32, "columns of an image");
const CLASSES: KeyDoc = size("classes", 1 << 16, 10, "number of classes");
const TRAIN: KeyDoc = size("train", u32::MAX as i64, 2000, "images to train on");
const TEST: KeyDoc = size("test", u32::MAX as i64, 500, "images to test on");
const SEED: KeyDoc = KeyDoc {
    name: "seed",
    kind: KeyKind::Int { min: 0, max: i64::MAX },
    default: KeyDefault::Int(0),
    doc: "another seed gives other patterns and other noise",
};
const NOISE: KeyDoc = KeyDoc {
    name: "noise",
    kind: KeyKind::Float { min: 0.0, max: 1.0 },
    default: KeyDefault::Float(0.2),
    doc: "standard deviation of the noise, where 1 is the whole range of a pixel",
};

const fn size(name: &'static str, max: i64, default: i64, doc: &'static str) -> KeyDoc {
    KeyDoc { name, kind: KeyKind::Int { min: 1, max }, default: KeyDefault::Int(default), doc }
}

/// Most bytes of pixels in one split.
const LIMIT: u64 = 1 << 32;

/// Cells of a pattern along each side: coarse enough to survive pooling.
const CELLS: usize = 4;

/// Checked options.
struct Recipe {
    shape: Shape,
    seed: u64,
    noise: f64,
}

impl Recipe {
    fn new(options: &Options) -> Result<Recipe, DatasetError> {
        let number = |doc: KeyDoc| options.int_or_default(&doc).unsigned_abs();
        let [channels, height, width, classes, train, test] =
            [CHANNELS, HEIGHT, WIDTH, CLASSES, TRAIN, TEST].map(number);
        let bytes = [channels, height, width, train.max(test)].into_iter().map(u128::from).product();
        let holds = format!("{} images of {channels}x{height}x{width}", train.max(test));
        let too_large = || DatasetError {
            dataset: ABOUT.name,
            path: None,
            problem: Box::new(Problem::TooLarge { holds: holds.clone(), bytes, limit: LIMIT }),
        };
        if bytes > u128::from(LIMIT) {
            return Err(too_large());
        }
        let narrow = |size: u64| usize::try_from(size).map_err(|_| too_large());
        let shape = Shape {
            channels: narrow(channels)?,
            height: narrow(height)?,
            width: narrow(width)?,
            classes: narrow(classes)?,
            train: narrow(train)?,
            test: narrow(test)?,
        };
        Ok(Recipe { shape, seed: number(SEED), noise: options.float_or_default(&NOISE) })
    }

    /// The pattern of one class, `[channels, height, width]`: cells of one random level each, away from the ends of
    /// the range so that noise is seldom cut off.
    fn pattern(&self, class: u64) -> Vec<u8> {
        let Shape { channels, height, width, .. } = self.shape;
        let mut rng = random::stream(b"synthpat", self.seed, 0, class);
        let mut pattern = Vec::with_capacity(channels * height * width);
        for _ in 0..channels {
            let levels: [[u8; CELLS]; CELLS] =
                std::array::from_fn(|_| rng.next_u32().to_le_bytes().map(|byte| 32 + byte / 4 * 3));
            for y in 0..height {
                let row = levels[y * CELLS / height];
                pattern.extend((0..width).map(|x| row[x * CELLS / width]));
            }
        }
        pattern
    }

    /// Appends image `index` of a split: its pattern and noise.
    fn draw(&self, pattern: &[u8], split: Split, index: u64, pixels: &mut Vec<u8>) {
        let part = match split {
            Split::Train => 0,
            Split::Validation | Split::Test => 1,
        };
        let mut rng = random::stream(b"synthimg", self.seed, part, index);
        // Four uniform bytes add up to nearly a normal variable of variance 4 (256^2 - 1) / 12.
        let deviation = f64::sqrt(21845.0);
        let scale = (self.noise * 255.0 / deviation * 65536.0).round() as i64;
        pixels.extend(pattern.iter().map(|&level| {
            let sum: i64 = rng.next_u32().to_le_bytes().into_iter().map(i64::from).sum();
            let noise = ((sum - 510) * scale + 32768) >> 16;
            (i64::from(level) + noise).clamp(0, 255) as u8
        }));
    }
}

impl Dataset for Synthetic {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn probe(&self, _: Option<&Path>, options: &Options) -> Result<Contents, DatasetError> {
        Ok(Contents::Images(Recipe::new(options)?.shape))
    }

    fn load(&self, _: Option<&Path>, options: &Options, split: Split) -> Result<Samples, DatasetError> {
        let recipe = Recipe::new(options)?;
        let Shape { channels, height, width, classes, train, test } = recipe.shape;
        let count = match split {
            Split::Train => train,
            Split::Validation => return Err(DatasetError::no_validation(ABOUT.name)),
            Split::Test => test,
        };
        let patterns: Vec<Vec<u8>> = (0..classes.min(count)).map(|class| recipe.pattern(class as u64)).collect();
        let mut pixels = Vec::with_capacity(count * channels * height * width);
        let mut labels = Vec::with_capacity(count);
        for index in 0..count {
            let class = index % classes;
            recipe.draw(&patterns[class], split, index as u64, &mut pixels);
            labels.push(class as u16);
        }
        Ok(Samples::Images(Images {
            shape: [channels, height, width],
            pixels,
            pixel_max: u8::MAX,
            labels,
            mean: vec![0.5; channels],
            std: vec![0.25; channels],
            classes,
            augment: Augment::default(),
        }))
    }

    fn stand_in(&self, _: &Options) -> Option<StandIn> {
        None
    }
}
