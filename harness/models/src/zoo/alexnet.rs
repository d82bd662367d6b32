//! AlexNet in the form of one GPU, as torchvision has it, and the same widths with batch normalization.

use harness_records::options::{About, OptionError, Options};

use super::{Model, drop_layer, dropout, width};
use crate::layer::{Layer, Window};

/// AlexNet.
#[derive(Debug)]
pub(super) struct AlexNet;

/// AlexNet with batch normalization.
#[derive(Debug)]
pub(super) struct AlexNetBn;

static ABOUT: About = About {
    name: "alexnet",
    summary: "five convolutions and two hidden layers for ImageNet, as in torchvision",
    source: "Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv:1404.5997; \
             after Krizhevsky et al., NIPS 2012",
    options: &[width(64), dropout(0.5, "portion dropped before each hidden layer")],
};

static ABOUT_BN: About = About {
    name: "alexnet-bn",
    summary: "AlexNet with batch normalization after each convolution and hidden layer",
    source: "widths of Krizhevsky 2014, arXiv:1404.5997; batch normalization after Ioffe and Szegedy, ICML 2015",
    options: &[width(64), dropout(0.0, "portion dropped before each hidden layer")],
};

/// Output channels in widths, size, stride and padding of the filters, and whether a pooling follows.
const CONVOLUTIONS: [(i64, i64, i64, i64, bool); 5] =
    [(1, 11, 4, 2, true), (3, 5, 1, 2, true), (6, 3, 1, 1, false), (4, 3, 1, 1, false), (4, 3, 1, 1, true)];

/// Units of a hidden layer in widths.
const HIDDEN: i64 = 64;

const POOL: Layer = Layer::MaxPool(Window { size: 3, stride: 2, padding: 0, ceil: false });

impl Model for AlexNet {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let fraction = options.float("dropout")?;
        // torchvision numbers the non-linearities and poolings between the convolutions too.
        let names = ["features.0", "features.3", "features.6", "features.8", "features.10", "classifier.1"];
        let mut layers = Vec::new();
        for ((out, kernel, stride, padding, pooled), at) in CONVOLUTIONS.into_iter().zip(names.windows(2)) {
            layers.push(Layer::strided(at[0], out * width, kernel, stride, padding).biased());
            layers.extend(pooled.then_some(POOL));
            layers.push(Layer::activation(at[1]));
        }
        layers.extend([Layer::AveragePool { side: 6 }, Layer::Flatten]);
        layers.extend(drop_layer("classifier.0", fraction));
        layers.extend([Layer::classifier("classifier.1", HIDDEN * width), Layer::activation("classifier.4")]);
        layers.extend(drop_layer("classifier.3", fraction));
        layers.extend([Layer::classifier("classifier.4", HIDDEN * width), Layer::activation("classifier.6")]);
        layers.push(Layer::classifier("classifier.6", classes));
        Ok(layers)
    }
}

impl Model for AlexNetBn {
    fn about(&self) -> &'static About {
        &ABOUT_BN
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let fraction = options.float("dropout")?;
        let names = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6"];
        let mut layers = Vec::new();
        for (number, ((out, kernel, stride, padding, pooled), at)) in
            CONVOLUTIONS.into_iter().zip(names.windows(2)).enumerate()
        {
            layers.push(Layer::strided(at[0], out * width, kernel, stride, padding));
            layers.extend([Layer::norm(&format!("bn{}", number + 1)), Layer::activation(at[1])]);
            layers.extend(pooled.then_some(POOL));
        }
        layers.extend([Layer::AveragePool { side: 6 }, Layer::Flatten]);
        for (number, next) in [(6, "fc7"), (7, "fc8")] {
            layers.extend(drop_layer(&format!("drop{number}"), fraction));
            layers.extend([
                Layer::linear(&format!("fc{number}"), HIDDEN * width),
                Layer::norm(&format!("bn{number}")),
                Layer::activation(next),
            ]);
        }
        layers.push(Layer::classifier("fc8", classes));
        Ok(layers)
    }
}
