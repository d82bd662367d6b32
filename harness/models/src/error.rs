//! What can go wrong with a model.

use harness_methods::core::MethodError;
use tch::TchError;

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No model has this name.
    #[error("unknown model `{0}`")]
    UnknownModel(String),
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
    /// The images are too small for the network.
    #[error("layer `{layer}`: {height}x{width} images are too small here, expected at least {least}x{least}")]
    TooSmall {
        /// Layer name.
        layer: String,
        /// Height that reaches the layer.
        height: i64,
        /// Width that reaches the layer.
        width: i64,
        /// Least height and width.
        least: i64,
    },
    /// A method cannot stand at a site.
    #[error("layer `{layer}`: {source}")]
    Site {
        /// Layer name.
        layer: String,
        /// Why.
        source: MethodError,
    },
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}
