//! VGG for CIFAR.
//!
//! VGG-9 as in Stochastic Quantization (Dong et al. 2017): `w`C3-`w`C3-MP-2`w`C3-2`w`C3-MP-4`w`C3-4`w`C3-MP-8`w`FC-8`w`FC
//! with w = 64; smaller widths make it fit small machines. VGG-small, common among papers on few bits (from Cai et al.
//! 2017 on): the same convolutions with w = 128 and the classifier right after them.

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

use super::{Model, drop_layer, width};
use crate::layer::Layer;

/// VGG-9.
#[derive(Debug)]
pub(super) struct Vgg9;

static ABOUT: About = About {
    name: "vgg9",
    summary: "six 3x3 convolutions in three stages and two hidden layers, with batch normalization",
    source: "Dong et al., Learning Accurate Low-Bit Deep Neural Networks with Stochastic Quantization, BMVC 2017, \
             arXiv:1708.01001; after Simonyan and Zisserman, arXiv:1409.1556",
    options: &[
        KeyDoc {
            name: "width",
            kind: KeyKind::Int { min: 1, max: 1024 },
            default: KeyDefault::Int(64),
            doc: "channels of the first stage; the later ones have 2, 4 and (hidden layers) 8 times as many",
        },
        KeyDoc {
            name: "dropout",
            kind: KeyKind::Float { min: 0.0, max: 0.9 },
            default: KeyDefault::Float(0.0),
            doc: "portion dropped before each hidden layer and the classifier",
        },
    ],
};

/// VGG-small.
#[derive(Debug)]
pub(super) struct VggSmall;

static ABOUT_SMALL: About = About {
    name: "vgg-small",
    summary: "six 3x3 convolutions in three stages, with batch normalization, and a classifier",
    source: "Zhang et al., LQ-Nets, ECCV 2018, arXiv:1807.10029; after Cai et al., CVPR 2017, arXiv:1702.00953",
    options: &[width(128)],
};

/// Six convolutions in three stages, the last activation feeding the layer `after`.
fn stages(width: i64, after: &str) -> Vec<Layer> {
    let mut layers = Vec::new();
    for stage in 0..3i64 {
        for (half, number) in [(0, 2 * stage + 1), (1, 2 * stage + 2)] {
            let next = if number == 6 { after.to_owned() } else { format!("conv{}", number + 1) };
            layers.push(Layer::conv(&format!("conv{number}"), width << stage, 3, 1));
            if half == 1 {
                layers.push(Layer::max_pool(2));
            }
            layers.extend([Layer::norm(&format!("bn{number}")), Layer::activation(&next)]);
        }
    }
    layers.push(Layer::Flatten);
    layers
}

impl Model for Vgg9 {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let fraction = options.float("dropout")?;
        let mut layers = stages(width, "fc1");
        for (number, next) in [(1, "fc2"), (2, "fc3")] {
            layers.extend(drop_layer(&format!("drop{number}"), fraction));
            layers.extend([
                Layer::linear(&format!("fc{number}"), 8 * width),
                Layer::norm(&format!("bn{}", 6 + number)),
                Layer::activation(next),
            ]);
        }
        layers.extend(drop_layer("drop3", fraction));
        layers.push(Layer::classifier("fc3", classes));
        Ok(layers)
    }
}

impl Model for VggSmall {
    fn about(&self) -> &'static About {
        &ABOUT_SMALL
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let mut layers = stages(options.int("width")?, "fc");
        layers.push(Layer::classifier("fc", classes));
        Ok(layers)
    }
}
