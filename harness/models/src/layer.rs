//! The vocabulary that models are written in.

/// One layer. Names are unique within a model and prefix the names of its variables.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Two-dimensional convolution of `[n, c, h, w]`: a site for weights, input and output gradient.
    Conv {
        /// Layer name.
        name: String,
        /// Output channels.
        out: i64,
        /// Height and width of the filters.
        kernel: i64,
        /// Step between two outputs.
        stride: i64,
        /// Zeros around the image.
        padding: i64,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Linear layer of `[n, c]`: a site for weights, input and output gradient.
    Linear {
        /// Layer name.
        name: String,
        /// Outputs.
        out: i64,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalization over dimension 1 of `[n, c]` or `[n, c, h, w]`.
    BatchNorm {
        /// Layer name.
        name: String,
    },
    /// Non-linearity, or the activation quantizer that takes its place: the input of layer `of`.
    Activation {
        /// Name of the layer that it feeds.
        of: String,
    },
    /// Maximum over `size` x `size` windows that do not overlap.
    MaxPool {
        /// Height, width and stride of the window.
        size: i64,
    },
    /// `[n, c, h, w]` to `[n, c h w]`.
    Flatten,
    /// Zeroes a portion of the elements in training and scales the rest up.
    Dropout {
        /// Layer name; keys its random numbers.
        name: String,
        /// Portion, in [0, 1).
        portion: f64,
    },
}

impl Layer {
    /// Convolution with stride 1 and no bias, as before a batch normalization.
    #[must_use]
    pub fn conv(name: &str, out: i64, kernel: i64, padding: i64) -> Layer {
        Layer::Conv { name: name.to_owned(), out, kernel, stride: 1, padding, bias: false }
    }

    /// Linear layer without a bias, as before a batch normalization.
    #[must_use]
    pub fn linear(name: &str, out: i64) -> Layer {
        Layer::Linear { name: name.to_owned(), out, bias: false }
    }

    /// Linear layer with a bias: the classifier.
    #[must_use]
    pub fn classifier(name: &str, classes: i64) -> Layer {
        Layer::Linear { name: name.to_owned(), out: classes, bias: true }
    }

    /// Batch normalization.
    #[must_use]
    pub fn norm(name: &str) -> Layer {
        Layer::BatchNorm { name: name.to_owned() }
    }

    /// Activation that feeds layer `of`.
    #[must_use]
    pub fn activation(of: &str) -> Layer {
        Layer::Activation { of: of.to_owned() }
    }
}
