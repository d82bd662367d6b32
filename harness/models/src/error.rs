//! What can go wrong with a model.

use std::path::PathBuf;

use harness_methods::core::{MethodError, Role};
use harness_records::config::layers::ChangeError;
use harness_records::options::OptionError;
use tch::TchError;

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No model has this name.
    #[error("unknown model `{0}`")]
    UnknownModel(String),
    /// An option of the model has no value.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// No method has this name.
    #[error("unknown method `{0}`")]
    UnknownMethod(String),
    /// `keep_float` names a layer that is not there.
    #[error("`keep_float` names `{name}`, expected `first`, `last` or one of {layers}")]
    UnknownLayer {
        /// What was named.
        name: String,
        /// Layers of the model.
        layers: String,
    },
    /// An entry of `quant.layers` fits no layer.
    #[error("`layers` names `{pattern}`, which fits no layer: {hint}")]
    UnknownPattern {
        /// What was named.
        pattern: String,
        /// The nearest names, or all.
        hint: String,
    },
    /// An entry of `quant.layers` changes something for which there is no place.
    #[error("`layers` changes the {role}s of `{pattern}`, where nothing can change: {reason}")]
    NoPlace {
        /// The entry.
        pattern: String,
        /// Weight, activation or gradient.
        role: Role,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// Entries of `quant.layers` that do not go together in one layer.
    #[error("layer `{layer}`: `layers` changes its {role}s under `{pattern}`: {source}")]
    Change {
        /// Layer name.
        layer: String,
        /// The entry that does not fit those before it.
        pattern: String,
        /// Weight, activation or gradient.
        role: Role,
        /// Why.
        source: Box<ChangeError>,
    },
    /// Bytes as input of a network that reads none.
    #[error("`quant.input` is `bytes`, expected `float`: the network reads tokens, not images")]
    BytesOfTokens,
    /// An activation of the model names a layer that it does not feed: a fault of the model's definition.
    #[error("an activation names the layer `{name}`, expected {expected}")]
    WrongFeed {
        /// What was named.
        name: String,
        /// The layers that it feeds.
        expected: String,
    },
    /// The images are too small for the network.
    #[error("layer `{layer}`: {height}x{width} images are too small here, expected at least {min}x{min}")]
    TooSmall {
        /// Layer name.
        layer: String,
        /// Height that reaches the layer.
        height: i64,
        /// Width that reaches the layer.
        width: i64,
        /// Least height and width.
        min: i64,
    },
    /// The data set gives the other kind of data.
    #[error("model `{model}` reads {reads}, which the data set does not give")]
    Reads {
        /// Model name.
        model: &'static str,
        /// `images` or `tokens`.
        reads: &'static str,
    },
    /// What reaches a layer is nothing that it takes.
    #[error("layer `{layer}`: a sample of shape {found:?} reaches it, expected {expected}")]
    WrongInput {
        /// Layer name.
        layer: String,
        /// What it takes.
        expected: &'static str,
        /// Shape of one sample.
        found: Vec<i64>,
    },
    /// Ways of the data that do not fit together where they join.
    #[error("ways of shapes {shapes:?} are joined, expected the same height and width, and in a sum the same channels")]
    Ways {
        /// Shape of one sample at the end of each way.
        shapes: Vec<Vec<i64>>,
    },
    /// Quantized states that can be negative.
    #[error(
        "layer `{layer}`: with `squash: tanh` its states are in [-1, 1], where activation quantizers cut at zero, \
         expected `squash: sigmoid` or activations in full precision"
    )]
    SignedStates {
        /// Layer name.
        layer: String,
    },
    /// Tokens or a state of another shape than `[time, batch]` and what goes with it.
    #[error("{what} of shape {found:?}, expected {expected}")]
    Sequence {
        /// `tokens` or `a state`.
        what: &'static str,
        /// The shape that was given.
        found: Vec<i64>,
        /// Shape wanted.
        expected: String,
    },
    /// A method cannot stand at a site.
    #[error("layer `{layer}`: {source}")]
    Site {
        /// Layer name.
        layer: String,
        /// What the method says about it.
        source: MethodError,
    },
    /// A batch normalization cannot be folded into integers.
    #[error(transparent)]
    Fold(MethodError),
    /// A folder returned another number of layers than it was given.
    #[error("folding gave integers for {found} batch normalizations, expected {expected}")]
    FoldedLayers {
        /// Layers with integers.
        found: usize,
        /// Layers given.
        expected: usize,
    },
    /// A file of weights does not go with the model.
    #[error("{}: {problem}", .path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: WeightsProblem,
    },
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// What is wrong with a file of weights. Lists name the first few, and how many more there are.
#[derive(Debug, thiserror::Error)]
pub enum WeightsProblem {
    /// It cannot be read as safetensors.
    #[error("no safetensors file: {0}")]
    Unreadable(String),
    /// Tensors that the model needs are not in it.
    #[error("it has no {0}")]
    Missing(String),
    /// It has tensors that the model has no place for.
    #[error("the model has no place for {0}")]
    Extra(String),
    /// Tensors have other shapes than in the model.
    #[error("{0}")]
    Shape(String),
    /// A tensor does not hold real numbers.
    #[error("`{0}` holds no real numbers")]
    Kind(String),
}
