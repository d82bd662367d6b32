//! ResNet for CIFAR (He et al. 2016, section 4.2): three stages of 3x3 convolutions, shortcuts without parameters
//! (option A). As in [`super::resnet`], only what enters a convolution is quantized.

use harness_records::options::{About, OptionError, Options};

use super::resnet::{ORDER, Shortcut, block, head, normalised_first};
use super::{Model, width};
use crate::layer::Layer;

/// A residual network of `6 blocks + 2` layers.
#[derive(Debug)]
pub(super) struct CifarResNet {
    about: &'static About,
    /// Blocks of a stage.
    blocks: usize,
}

const SOURCE: &str =
    "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385, section 4.2";

pub(super) static RESNET20: CifarResNet = CifarResNet {
    about: &About {
        name: "resnet20",
        summary: "residual network of 20 layers for CIFAR, shortcuts without parameters",
        source: SOURCE,
        options: &[width(16), ORDER],
    },
    blocks: 3,
};

pub(super) static RESNET32: CifarResNet = CifarResNet {
    about: &About {
        name: "resnet32",
        summary: "residual network of 32 layers for CIFAR, shortcuts without parameters",
        source: SOURCE,
        options: &[width(16), ORDER],
    },
    blocks: 5,
};

pub(super) static RESNET56: CifarResNet = CifarResNet {
    about: &About {
        name: "resnet56",
        summary: "residual network of 56 layers for CIFAR, shortcuts without parameters",
        source: SOURCE,
        options: &[width(16), ORDER],
    },
    blocks: 9,
};

impl Model for CifarResNet {
    fn about(&self) -> &'static About {
        self.about
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let pre = normalised_first(options);
        let mut layers = vec![Layer::conv("conv1", width, 3, 1)];
        layers.extend((!pre).then(|| Layer::norm("bn1")));
        for stage in 0..3 {
            let out = width << stage;
            for number in 0..self.blocks {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let shortcut = if stride == 1 { Shortcut::Identity } else { Shortcut::Subsample(out, stride) };
                let name = format!("layer{}.{number}", stage + 1);
                layers.extend(block(&name, &[(out, 3, stride), (out, 3, 1)], shortcut, pre));
            }
        }
        layers.extend(head(classes, pre));
        Ok(layers)
    }
}
