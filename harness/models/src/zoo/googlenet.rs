//! GoogLeNet with batch normalization, as torchvision has it (3x3 filters where the paper has 5x5), without the two
//! auxiliary classifiers of its training.

use harness_methods::core::Nonlinearity;
use harness_records::options::{About, OptionError, Options};

use super::{Model, drop_layer, dropout, width};
use crate::layer::{Layer, Window};

/// GoogLeNet.
#[derive(Debug)]
pub(super) struct GoogLeNet;

static ABOUT: About = About {
    name: "googlenet",
    summary: "nine inception blocks with batch normalization for ImageNet, as in torchvision, no auxiliary classifiers",
    source: "Szegedy et al., Going Deeper with Convolutions, CVPR 2015, arXiv:1409.4842",
    options: &[width(64), dropout(0.2, "portion dropped before the classifier")],
};

/// torchvision's; PyTorch's default is 1e-5.
const EPS: f64 = 1e-3;

/// An inception block: its name, and the output channels of the 1x1 filters; of the 1x1 and 3x3 filters of the second
/// and of the third branch; of the 1x1 filters after the pooling.
type Block = (&'static str, i64, [i64; 2], [i64; 2], i64);

/// Blocks between two poolings.
const STAGES: [&[Block]; 3] = [
    &[("3a", 64, [96, 128], [16, 32], 32), ("3b", 128, [128, 192], [32, 96], 64)],
    &[
        ("4a", 192, [96, 208], [16, 48], 64),
        ("4b", 160, [112, 224], [24, 64], 64),
        ("4c", 128, [128, 256], [24, 64], 64),
        ("4d", 112, [144, 288], [32, 64], 64),
        ("4e", 256, [160, 320], [32, 128], 128),
    ],
    &[("5a", 256, [160, 320], [32, 128], 128), ("5b", 384, [192, 384], [48, 128], 128)],
];

/// A convolution that keeps height and width, and its normalization.
fn unit(name: &str, out: i64, kernel: i64, stride: i64) -> [Layer; 2] {
    [
        Layer::strided(&format!("{name}.conv"), out, kernel, stride, kernel / 2),
        Layer::BatchNorm { name: format!("{name}.bn"), eps: EPS },
    ]
}

/// The same with the activation before it.
fn activated(name: &str, out: i64, kernel: i64) -> Vec<Layer> {
    let mut layers = vec![Layer::activation(&format!("{name}.conv"))];
    layers.extend(unit(name, out, kernel, 1));
    layers
}

fn pool(size: i64, stride: i64, padding: i64) -> Layer {
    Layer::MaxPool(Window { size, stride, padding, ceil: true })
}

/// Channels in a network whose first stage has `width` of them instead of 64.
fn scaled(channels: i64, width: i64) -> i64 {
    (channels * width / 64).max(1)
}

fn inception((name, single, second, third, pooled): Block, width: i64) -> Layer {
    let scaled = |channels: i64| scaled(channels, width);
    let name = format!("inception{name}");
    let pair = |branch: &str, [narrow, out]: [i64; 2]| {
        let first = activated(&format!("{name}.{branch}.0"), scaled(narrow), 1);
        [first, activated(&format!("{name}.{branch}.1"), scaled(out), 3)].concat()
    };
    // The activation before the pooling: the same values, and the maximum of codes is the code of the maximum.
    let mut last = activated(&format!("{name}.branch4.1"), scaled(pooled), 1);
    last.insert(1, pool(3, 1, 1));
    let branches = vec![
        activated(&format!("{name}.branch1"), scaled(single), 1),
        pair("branch2", second),
        pair("branch3", third),
        last,
    ];
    Layer::Concat { branches }
}

impl Model for GoogLeNet {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let mut layers = Vec::from(unit("conv1", width, 7, 2));
        layers.push(pool(3, 2, 0));
        layers.extend([activated("conv2", width, 1), activated("conv3", 3 * width, 3)].concat());
        for (stage, window) in STAGES.into_iter().zip([3, 3, 2]) {
            layers.push(pool(window, 2, 0));
            layers.extend(stage.iter().map(|&block| inception(block, width)));
        }
        layers.extend([
            Layer::Relu,
            Layer::AveragePool { side: 1 },
            Layer::Flatten,
            Layer::activation_or("fc", Nonlinearity::Relu),
        ]);
        layers.extend(drop_layer("dropout", options.float("dropout")?));
        layers.push(Layer::classifier("fc", classes));
        Ok(layers)
    }

    fn ignored(&self) -> &'static [&'static str] {
        &["aux1.", "aux2."]
    }
}
