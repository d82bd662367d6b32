//! ResNet for ImageNet, as torchvision has it: in the blocks of three convolutions the middle one has the stride.
//!
//! What a shortcut carries is not quantized: the sum of two ways goes on in full precision (in the paper's order through
//! its non-linearity), and only what enters a convolution, those on shortcuts included, passes a quantizer.
//!
//! With `order: pre`, normalization stands before each convolution instead of after it (He et al., Identity Mappings in
//! Deep Residual Networks, ECCV 2016), so that every quantizer is given normalised values. Methods with a fixed range
//! of activations, such as DoReFa's [0, 1], need that: in the paper's order sums outgrow the range from block to block.

use harness_methods::core::Nonlinearity;
use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

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

pub(super) const STEM: KeyDoc = KeyDoc {
    name: "stem",
    kind: KeyKind::Choice(&["imagenet", "cifar"]),
    default: KeyDefault::Text("imagenet"),
    doc: "7x7 convolution of stride 2 and pooling, or for small images a 3x3 convolution",
};

pub(super) const ORDER: KeyDoc = KeyDoc {
    name: "order",
    kind: KeyKind::Choice(&["post", "pre"]),
    default: KeyDefault::Text("post"),
    doc: "normalization after each convolution, as in the paper and torchvision, or before it",
};

/// Whether normalization stands before each convolution.
pub(super) fn normalised_first(options: &Options) -> bool {
    options.text("order") == "pre"
}

pub(super) static RESNET18: ResNet = ResNet {
    about: &About {
        name: "resnet18",
        summary: "residual network of 18 layers for ImageNet, as in torchvision",
        source: SOURCE,
        options: &[width(64), STEM, ORDER],
    },
    blocks: [2, 2, 2, 2],
    bottleneck: false,
};

pub(super) static RESNET34: ResNet = ResNet {
    about: &About {
        name: "resnet34",
        summary: "residual network of 34 layers for ImageNet, as in torchvision",
        source: SOURCE,
        options: &[width(64), STEM, ORDER],
    },
    blocks: [3, 4, 6, 3],
    bottleneck: false,
};

pub(super) static RESNET50: ResNet = ResNet {
    about: &About {
        name: "resnet50",
        summary: "residual network of 50 layers for ImageNet, as in torchvision",
        source: SOURCE,
        options: &[width(64), STEM, ORDER],
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
pub(super) fn head(classes: i64, pre: bool) -> Vec<Layer> {
    let mut layers = Vec::from_iter(pre.then(|| Layer::norm("norm")));
    layers.extend([
        Layer::Relu,
        Layer::AveragePool { side: 1 },
        Layer::Flatten,
        Layer::activation_or("fc", Nonlinearity::Relu),
        Layer::classifier("fc", classes),
    ]);
    layers
}

/// A convolution of a block: output channels, size of the filters, stride.
pub(super) type Filter = (i64, i64, i64);

/// What goes around the convolutions of a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shortcut {
    /// The input.
    Identity,
    /// Some of its pixels, and zeros.
    Subsample(i64, i64),
    /// A 1x1 convolution: output channels and stride.
    Convolution(i64, i64),
}

/// A block of convolutions and the way around them.
pub(super) fn block(name: &str, filters: &[Filter], shortcut: Shortcut, pre: bool) -> Vec<Layer> {
    let mut body = Vec::new();
    for (number, &(out, kernel, stride)) in (1..).zip(filters) {
        let (conv, norm) = (format!("{name}.conv{number}"), Layer::norm(&format!("{name}.bn{number}")));
        let filter = [Layer::activation(&conv), Layer::strided(&conv, out, kernel, stride, kernel / 2)];
        body.extend(pre.then(|| norm.clone()));
        body.extend(filter);
        body.extend((!pre).then_some(norm));
    }
    // Before the sum stands the non-linearity, or nothing where normalization comes first.
    let through = Vec::from_iter((!pre).then_some(Layer::Relu));
    let mut layers = Vec::new();
    let shortcut = match shortcut {
        Shortcut::Identity => through,
        Shortcut::Subsample(out, stride) => [through, vec![Layer::Subsample { out, stride }]].concat(),
        Shortcut::Convolution(out, stride) => {
            let conv = format!("{name}.downsample.0");
            if pre {
                // Both ways take the normalised input.
                layers.push(body.remove(0));
            }
            let mut way = vec![Layer::activation(&conv), Layer::strided(&conv, out, 1, stride, 0)];
            way.extend((!pre).then(|| Layer::norm(&format!("{name}.downsample.1"))));
            way
        }
    };
    layers.push(Layer::Residual { body, shortcut });
    layers
}

impl Model for ResNet {
    fn about(&self) -> &'static About {
        self.about
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let pre = normalised_first(options);
        let mut layers = stem(width, options);
        layers.extend(pre.then_some(Layer::Relu));
        let mut channels = width;
        for (stage, blocks) in self.blocks.into_iter().enumerate() {
            let inner = width << stage;
            let out = if self.bottleneck { 4 * inner } else { inner };
            for number in 0..blocks {
                let name = format!("layer{}.{number}", stage + 1);
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let bottleneck = [(inner, 1, 1), (inner, 3, stride), (out, 1, 1)];
                let basic = [(out, 3, stride), (out, 3, 1)];
                let filters: &[Filter] = if self.bottleneck { &bottleneck } else { &basic };
                let shortcut = if stride == 1 && channels == out {
                    Shortcut::Identity
                } else {
                    Shortcut::Convolution(out, stride)
                };
                layers.extend(block(&name, filters, shortcut, pre));
                channels = out;
            }
        }
        layers.extend(head(classes, pre));
        Ok(layers)
    }
}
