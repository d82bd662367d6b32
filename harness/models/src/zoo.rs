//! All models, one file a family.

mod alexnet;
mod cifar_resnet;
mod double_shortcut;
mod googlenet;
mod language;
mod lenet;
mod mlp;
mod resnet;
mod vgg;

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

use crate::layer::Layer;

/// A model, found by name. One `static` per model.
pub trait Model: Sync {
    /// Name, source and options.
    fn about(&self) -> &'static About;

    /// Its layers for images of `input` = `[channels, height, width]` and this number of classes. A language model
    /// makes nothing of `input`, and `classes` is the size of its vocabulary.
    ///
    /// # Errors
    /// An option has no value; complete them with [`Options::with_defaults`] first.
    fn layers(&self, input: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError>;

    /// Whether it is a language model.
    fn reads_tokens(&self) -> bool {
        false
    }

    /// Prefixes of tensors that files of its weights have and it does without.
    fn ignored(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The option of networks whose channels are all multiples of those of the first layer.
const fn width(default: i64) -> KeyDoc {
    KeyDoc {
        name: "width",
        kind: KeyKind::Int { min: 1, max: 4096 },
        default: KeyDefault::Int(default),
        doc: "channels of the first stage; all others are multiples of it",
    }
}

/// Fraction dropped, `where` in words.
const fn dropout(default: f64, doc: &'static str) -> KeyDoc {
    KeyDoc { name: "dropout", kind: KeyKind::Float { min: 0.0, max: 0.9 }, default: KeyDefault::Float(default), doc }
}

/// A dropout layer, unless nothing is dropped.
fn drop_layer(name: &str, fraction: f64) -> Option<Layer> {
    (fraction > 0.0).then(|| Layer::Dropout { name: name.to_owned(), fraction })
}

/// All models, in the order `harness models` shows them.
pub static MODELS: &[&dyn Model] = &[
    &mlp::Mlp,
    &lenet::LeNet,
    &vgg::Vgg9,
    &vgg::VggSmall,
    &cifar_resnet::RESNET20,
    &cifar_resnet::RESNET32,
    &cifar_resnet::RESNET56,
    &resnet::RESNET18,
    &resnet::RESNET34,
    &resnet::RESNET50,
    &double_shortcut::DoubleShortcut,
    &alexnet::AlexNet,
    &alexnet::AlexNetBn,
    &googlenet::GoogLeNet,
    &language::LSTM,
    &language::GRU,
];

/// The model of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Model> {
    MODELS.iter().copied().find(|model| model.about().name == name)
}
