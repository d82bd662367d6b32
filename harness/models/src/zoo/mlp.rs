//! Multi-layer perceptron with batch normalization.

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

use super::Model;
use crate::layer::Layer;

/// Multi-layer perceptron.
#[derive(Debug)]
pub(super) struct Mlp;

static ABOUT: About = About {
    name: "mlp",
    summary: "fully connected layers with batch normalization",
    source: "",
    options: &[
        KeyDoc {
            name: "hidden",
            kind: KeyKind::Int { min: 1, max: 65536 },
            default: KeyDefault::Int(256),
            doc: "units of a hidden layer",
        },
        KeyDoc {
            name: "depth",
            kind: KeyKind::Int { min: 1, max: 64 },
            default: KeyDefault::Int(2),
            doc: "hidden layers",
        },
    ],
};

impl Model for Mlp {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let hidden = options.int("hidden")?;
        let depth = options.int("depth")?;
        let mut layers = vec![Layer::Flatten];
        for i in 1..=depth {
            let next = format!("fc{}", i + 1);
            layers.extend([
                Layer::linear(&format!("fc{i}"), hidden),
                Layer::norm(&format!("bn{i}")),
                Layer::activation(&next),
            ]);
        }
        layers.push(Layer::classifier(&format!("fc{}", depth + 1), classes));
        Ok(layers)
    }
}
