//! What can go wrong in a method.

use tch::TchError;

/// What can go wrong in a method.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// The input held NaN or an infinity.
    #[error("{layer}: {count} of {total} values are not finite")]
    NotFinite {
        /// Layer name.
        layer: String,
        /// How many.
        count: i64,
        /// Of how many.
        total: i64,
    },
    /// The method has no such part, or an option excludes it.
    #[error("method `{method}` has no {what}")]
    Unsupported {
        /// Method name.
        method: &'static str,
        /// What was asked for, and why it cannot be.
        what: String,
    },
    /// Batch normalization cannot be rewritten.
    #[error("channel {channel}: {reason}")]
    Fold {
        /// Index of the channel.
        channel: usize,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// What is wrong with one layer of a network.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// Layer name.
        layer: String,
        /// What is wrong with it.
        source: Box<MethodError>,
    },
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TchError),
}
