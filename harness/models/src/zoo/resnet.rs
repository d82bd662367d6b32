//! ResNet for ImageNet, as torchvision has it: in the blocks of three convolutions the middle one has the stride.
//!
//! What a shortcut carries is not quantized: the sum of two ways goes on in full precision through its non-linearity,
//! and only what enters a convolution, those on shortcuts included, passes a quantizer.

use harness_methods::core::Nonlinearity;
use harness_records::options::{About, OptionDefault, OptionDoc, OptionKind, Options};

use super::{Model, width};
use crate::layer::{Layer, Window};

/// A residual network with four stages.
#[derive(Debug)]
pub(super) struct ResNet {
    about: &'static About,
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// Whether blocks narrow, filter and widen again, in three convolutions.
    bottleneck: bool,
}

const SOURCE: &str = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385";

pub(super) const STEM: OptionDoc = OptionDoc {
    name: "stem",
    kind: OptionKind::Choice(&["imagenet", "cifar"]),
    default: OptionDefault::Text("imagenet"),
    doc: "7x7 convolution of stride 2 and pooling, or for small images a 3x3 convolution",
};

pub(super) static RESNET18: ResNet = ResNet {
    about: &About {
        name: "resnet18",
        summary: "residual network of 18 layers for ImageNet, as in torchvision",
        source: SOURCE,
        options: &[width(64), STEM],
    },
    blocks: [2, 2, 2, 2],
    bottleneck: false,
};

pub(super) static RESNET34: ResNet = ResNet {
    about: &About {
        name: "resnet34",
        summary: "residual network of 34 layers for ImageNet, as in torchvision",
        source: SOURCE,
        options: &[width(64), STEM],
    },
    blocks: [3, 4, 6, 3],
    bottleneck: false,
};

pub(super) static RESNET50: ResNet = ResNet {
    about: &About {
        name: "resnet50",
        summary: "residual network of 50 layers for ImageNet, as in torchvision",
        source: SOURCE,
        options: &[width(64), STEM],
    },
    blocks: [3, 4, 6, 3],
    bottleneck: true,
};

/// The first layers, up to the input of the first block.
pub(super) fn stem(width: i64, options: &Options) -> Vec<Layer> {
    if options.text("stem") == "cifar" {
        return vec![Layer::conv("conv1", width, 3, 1), Layer::norm("bn1")];
    }
    vec![
        Layer::strided("conv1", width, 7, 2, 3),
        Layer::norm("bn1"),
        Layer::MaxPool(Window { size: 3, stride: 2, padding: 1, ceil: false }),
    ]
}

/// The last layers, from the sum of the last block on.
pub(super) fn head(classes: i64) -> [Layer; 5] {
    [
        Layer::Relu,
        Layer::AveragePool { side: 1 },
        Layer::Flatten,
        Layer::activation_or("fc", Nonlinearity::Relu),
        Layer::classifier("fc", classes),
    ]
}

/// Activation, convolution and normalization number `number` of a block.
pub(super) fn part(block: &str, number: u32, out: i64, kernel: i64, stride: i64) -> [Layer; 3] {
    let conv = format!("{block}.conv{number}");
    [
        Layer::activation(&conv),
        Layer::strided(&conv, out, kernel, stride, kernel / 2),
        Layer::norm(&format!("{block}.bn{number}")),
    ]
}

impl Model for ResNet {
    fn about(&self) -> &'static About {
        self.about
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Vec<Layer> {
        let width = options.int("width").unwrap_or(64);
        let mut layers = stem(width, options);
        let mut channels = width;
        for (stage, blocks) in self.blocks.into_iter().enumerate() {
            let inner = width << stage;
            let out = if self.bottleneck { 4 * inner } else { inner };
            for number in 0..blocks {
                let block = format!("layer{}.{number}", stage + 1);
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let body = if self.bottleneck {
                    [part(&block, 1, inner, 1, 1), part(&block, 2, inner, 3, stride), part(&block, 3, out, 1, 1)]
                        .concat()
                } else {
                    [part(&block, 1, out, 3, stride), part(&block, 2, out, 3, 1)].concat()
                };
                let shortcut = if stride == 1 && channels == out {
                    vec![Layer::Relu]
                } else {
                    let conv = format!("{block}.downsample.0");
                    vec![
                        Layer::activation(&conv),
                        Layer::strided(&conv, out, 1, stride, 0),
                        Layer::norm(&format!("{block}.downsample.1")),
                    ]
                };
                layers.push(Layer::Residual { body, shortcut });
                channels = out;
            }
        }
        layers.extend(head(classes));
        layers
    }
}
