//! The digits that come with the program: small enough to embed, hard enough to tell methods apart.

use std::path::Path;

use harness_records::options::{About, Options};

use crate::{Augment, Contents, Dataset, DatasetError, Images, Samples, Shape, Split, StandIn};

/// 1,797 handwritten digits of 8x8 pixels in 0..=16, embedded; needs no folder.
///
/// The split is fixed: the samples are put in order of class (and in file order within a class), and every fifth from
/// the first is tested on: 1,437 to train, 360 to test, every class within one of a fifth. Both parts hold digits of
/// all 13 writers, so accuracies do not compare with those on the whole UCI set, whose split keeps writers apart.
pub struct Digits;

static ABOUT: About = About {
    name: "digits",
    summary: "1,797 handwritten digits, 8x8 grey, 10 classes, embedded in the program",
    source: "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, \
             doi:10.24432/C50P49, CC BY 4.0",
    options: &[],
};

/// Records of one label byte and 64 pixels, row-major; made as `data/README.md` says.
static RECORDS: &[u8] = include_bytes!("../data/digits.bin");

const SIDE: usize = 8;
const RECORD: usize = 1 + SIDE * SIDE;
const CLASSES: usize = 10;
const FOLD: usize = 5;
const COUNT: usize = RECORDS.len() / RECORD;
const TEST: usize = COUNT.div_ceil(FOLD);

/// Mean and standard deviation of the training pixels, in units of 16.
const MEAN: f32 = 0.305_754_45;
const STD: f32 = 0.376_216_9;

impl Dataset for Digits {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn probe(&self, _: Option<&Path>, _: &Options) -> Result<Contents, DatasetError> {
        Ok(Contents::Images(Shape {
            channels: 1,
            height: SIDE,
            width: SIDE,
            classes: CLASSES,
            train: COUNT - TEST,
            test: TEST,
        }))
    }

    fn load(&self, _: Option<&Path>, _: &Options, split: Split) -> Result<Samples, DatasetError> {
        if split == Split::Validation {
            return Err(DatasetError::no_validation(ABOUT.name));
        }
        let records: Vec<&[u8]> = RECORDS.chunks_exact(RECORD).collect();
        let mut by_class: Vec<usize> = (0..records.len()).collect();
        by_class.sort_by_key(|&index| records[index][0]);
        let mut tested = vec![false; records.len()];
        by_class.iter().step_by(FOLD).for_each(|&index| tested[index] = true);

        let chosen = records.iter().zip(tested).filter(|&(_, tested)| tested == (split == Split::Test));
        let (labels, pixels): (Vec<u16>, Vec<&[u8]>) =
            chosen.map(|(record, _)| (u16::from(record[0]), &record[1..])).unzip();
        Ok(Samples::Images(Images {
            shape: [1, SIDE, SIDE],
            pixels: pixels.concat(),
            pixel_max: 16,
            labels,
            mean: vec![MEAN],
            std: vec![STD],
            classes: CLASSES,
            augment: Augment::default(),
        }))
    }

    fn stand_in(&self, _: &Options) -> Option<StandIn> {
        None
    }
}
