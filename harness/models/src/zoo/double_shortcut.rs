//! ResNet-18 with the block of Least-Squares Binary Quantization: normalization, quantizer of both signs, convolution
//! with a bias, non-linearity, and a shortcut around each convolution.
//!
//! In the paper the first convolution, the classifier and the 1x1 convolutions on shortcuts are in full precision:
//! `keep_float: [first, last, shortcuts]`.

use harness_methods::core::Nonlinearity;
use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

use super::resnet::{STEM, head, stem};
use super::{Model, width};
use crate::layer::Layer;

/// ResNet-18 with a shortcut around each convolution.
#[derive(Debug)]
pub(super) struct DoubleShortcut;

static ABOUT: About = About {
    name: "resnet18-double",
    summary: "residual network of 18 layers with a shortcut around each convolution, for signed activations",
    source: "Pouransari et al., Least Squares Binary Quantization of Neural Networks, CVPR Workshops 2020, \
             arXiv:2001.02786; after Liu et al., Bi-Real Net, ECCV 2018",
    options: &[
        width(64),
        STEM,
        KeyDoc {
            name: "nonlinearity",
            kind: KeyKind::Choice(&["prelu", "relu"]),
            default: KeyDefault::Text("prelu"),
            doc: "what follows each convolution",
        },
        KeyDoc {
            name: "bound",
            kind: KeyKind::Float { min: 0.01, max: 1000.0 },
            default: KeyDefault::Float(2.0),
            doc: "magnitude at which activations in full precision are cut; quantizers have their own option",
        },
    ],
};

impl Model for DoubleShortcut {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let width = options.int("width")?;
        let bound = options.float("bound")?;
        let learned = options.text("nonlinearity") != "relu";
        let mut layers = stem(width, options);
        layers.push(Layer::Relu);
        let mut channels = width;
        for stage in 0..4 {
            let out = width << stage;
            for number in 0..2 {
                let block = format!("layer{}.{number}", stage + 1);
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                for (half, stride) in [(1, stride), (2, 1)] {
                    let conv = format!("{block}.conv{half}");
                    let body = vec![
                        Layer::norm(&format!("{block}.bn{half}")),
                        Layer::activation_or(&conv, Nonlinearity::Clip { low: -bound, high: bound }),
                        Layer::strided(&conv, out, 3, stride, 1).biased(),
                        if learned { Layer::Prelu { name: format!("{block}.prelu{half}") } } else { Layer::Relu },
                    ];
                    let shortcut = if stride == 1 && channels == out {
                        Vec::new()
                    } else {
                        vec![
                            Layer::strided(&format!("{block}.downsample.0"), out, 1, stride, 0),
                            Layer::norm(&format!("{block}.downsample.1")),
                        ]
                    };
                    layers.push(Layer::Residual { body, shortcut });
                    channels = out;
                }
            }
        }
        layers.extend(head(classes, false));
        Ok(layers)
    }
}
