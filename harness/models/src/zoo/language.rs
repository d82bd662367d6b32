//! Word-level language models: embedding, recurrent layers, logits of the next token. What is quantized in a recurrent
//! layer stands in [`crate::recurrent`]; the embedding itself stays in full precision, and `keep_float: []` quantizes
//! everything else, as the paper does.

use harness_methods::core::Nonlinearity;
use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

use super::{Model, drop_layer, dropout};
use crate::layer::{Cell, Layer, Squash};

/// A language model with recurrent layers of one kind.
#[derive(Debug)]
pub(super) struct Language {
    about: &'static About,
    cell: Cell,
}

const SOURCE: &str = "Zhou et al., Balanced Quantization, JCST 32(4), 2017, arXiv:1706.07145; equations of He et al., \
                      Effective Quantization Methods for Recurrent Neural Networks, 2016, arXiv:1611.10176";

const HIDDEN: KeyDoc = KeyDoc {
    name: "hidden",
    kind: KeyKind::Int { min: 1, max: 65536 },
    default: KeyDefault::Int(300),
    doc: "length of the embedding and of every state",
};

const LAYERS: KeyDoc = KeyDoc {
    name: "layers",
    kind: KeyKind::Int { min: 1, max: 16 },
    default: KeyDefault::Int(1),
    doc: "recurrent layers",
};

const SQUASH: KeyDoc = KeyDoc {
    name: "squash",
    kind: KeyKind::Choice(&["sigmoid", "tanh"]),
    default: KeyDefault::Text("sigmoid"),
    doc: "squashing function of candidates and outputs; with tanh activations stay in full precision",
};

const DROPOUT: KeyDoc = dropout(0.5, "portion dropped before and after each recurrent layer");

pub(super) static LSTM: Language = Language {
    about: &About {
        name: "lstm",
        summary: "language model with long short-term memory, reads tokens",
        source: SOURCE,
        options: &[HIDDEN, LAYERS, DROPOUT, SQUASH],
    },
    cell: Cell::Lstm,
};

pub(super) static GRU: Language = Language {
    about: &About {
        name: "gru",
        summary: "language model with gated recurrent units, reads tokens",
        source: SOURCE,
        options: &[HIDDEN, LAYERS, DROPOUT, SQUASH],
    },
    cell: Cell::Gru,
};

impl Model for Language {
    fn about(&self) -> &'static About {
        self.about
    }

    fn layers(&self, _: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let hidden = options.int("hidden")?;
        let fraction = options.float("dropout")?;
        let squash = if options.text("squash") == "tanh" { Squash::Tanh } else { Squash::Sigmoid };
        let name = |number: i64| format!("{}{number}", self.about.name);
        let mut layers = vec![Layer::Embedding { name: "embedding".to_owned(), tokens: classes, size: hidden }];
        if squash == Squash::Sigmoid {
            layers.push(Layer::activation_or(&name(1), Nonlinearity::Relu));
        }
        for number in 1..=options.int("layers")? {
            layers.extend(drop_layer(&format!("drop{number}"), fraction));
            layers.push(Layer::Recurrent { name: name(number), cell: self.cell, hidden, squash });
        }
        layers.extend(drop_layer("drop", fraction));
        layers.push(Layer::classifier("decoder", classes));
        Ok(layers)
    }

    fn reads_tokens(&self) -> bool {
        true
    }
}
