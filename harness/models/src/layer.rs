//! The vocabulary that models are written in.
//!
//! A network is a list of layers, each taking what the one before gives. Where the way of the data parts and joins
//! again, one layer holds the lists of the ways: [`Layer::Residual`] adds them up, [`Layer::Concat`] puts their
//! channels side by side. So the way of the data can be read from top to bottom.

use harness_methods::core::Nonlinearity;

/// One layer. Names are unique within a model and prefix the names of its variables; dots in them make folders, as in
/// `layer1.0.conv1`.
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
        /// Added to the variance.
        eps: f64,
    },
    /// Non-linearity, or the activation quantizer that takes its place: the input of layer `of`.
    Activation {
        /// Name of the layer with weights that it feeds; the plan refuses any other name.
        of: String,
        /// What stands here in full precision; `None`: what the method of the activations has without rounding.
        float: Option<Nonlinearity>,
    },
    /// `max(x, 0)` in full precision, whatever the methods: what a shortcut carries past an [`Layer::Activation`], so
    /// that only what enters a convolution is quantized.
    Relu,
    /// `max(x, 0) + a min(x, 0)` with a learned `a` for each channel.
    Prelu {
        /// Layer name.
        name: String,
    },
    /// Maximum over windows of `[n, c, h, w]`.
    MaxPool(Window),
    /// Average over `[n, c, h, w]` in `side` x `side` parts that are as equal as can be.
    AveragePool {
        /// Height and width of the result.
        side: i64,
    },
    /// `[n, c, h, w]` to `[n, c h w]`.
    Flatten,
    /// Zeroes a fraction of the elements in training and scales the rest up.
    Dropout {
        /// Layer name; keys its random numbers.
        name: String,
        /// Fraction, in [0, 1).
        fraction: f64,
    },
    /// Every `stride`-th pixel of every `stride`-th row, with channels of zeros before and after to make `out` of
    /// them: the shortcut without parameters, option A of He et al. 2016, section 3.3.
    Subsample {
        /// Output channels.
        out: i64,
        /// Step between two pixels.
        stride: i64,
    },
    /// The sum of two ways of one shape; an empty list is the input as it is.
    Residual {
        /// The layers that learn the residual.
        body: Vec<Layer>,
        /// The way around them.
        shortcut: Vec<Layer>,
    },
    /// The channels of several ways, side by side.
    Concat {
        /// The ways, in the order of their channels.
        branches: Vec<Vec<Layer>>,
    },
    /// Tokens `[n]`, i64, to vectors `[n, size]`.
    Embedding {
        /// Layer name.
        name: String,
        /// Different tokens.
        tokens: i64,
        /// Length of a vector.
        size: i64,
    },
    /// A layer that carries a state from token to token: a site for weights, states and output gradient, see
    /// [`crate::recurrent`].
    Recurrent {
        /// Layer name.
        name: String,
        /// Equations.
        cell: Cell,
        /// Length of the state.
        hidden: i64,
        /// Squashing function of candidates and outputs.
        squash: Squash,
    },
}

/// A window that is moved over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub size: i64,
    /// Step between two places.
    pub stride: i64,
    /// Rim around the image that never is the maximum.
    pub padding: i64,
    /// Whether a last, incomplete step is made.
    pub ceil: bool,
}

/// Equations of a recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

/// Squashing function of a recurrent layer's candidates and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squash {
    /// The logistic function: states are in [0, 1].
    Sigmoid,
    /// The hyperbolic tangent: states are in [-1, 1].
    Tanh,
}

/// What PyTorch adds to the variance.
const EPS: f64 = 1e-5;

impl Layer {
    /// Convolution with stride 1 and no bias, as before a batch normalization.
    #[must_use]
    pub fn conv(name: &str, out: i64, kernel: i64, padding: i64) -> Layer {
        Layer::strided(name, out, kernel, 1, padding)
    }

    /// Convolution without a bias.
    #[must_use]
    pub fn strided(name: &str, out: i64, kernel: i64, stride: i64, padding: i64) -> Layer {
        Layer::Conv { name: name.to_owned(), out, kernel, stride, padding, bias: false }
    }

    /// The same convolution with a bias; any other layer stays as it is.
    #[must_use]
    pub fn biased(self) -> Layer {
        match self {
            Layer::Conv { name, out, kernel, stride, padding, .. } => {
                Layer::Conv { name, out, kernel, stride, padding, bias: true }
            }
            other => other,
        }
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
        Layer::BatchNorm { name: name.to_owned(), eps: EPS }
    }

    /// Activation that feeds layer `of`.
    #[must_use]
    pub fn activation(of: &str) -> Layer {
        Layer::Activation { of: of.to_owned(), float: None }
    }

    /// Activation that feeds layer `of`, with this in its place in full precision.
    #[must_use]
    pub fn activation_or(of: &str, float: Nonlinearity) -> Layer {
        Layer::Activation { of: of.to_owned(), float: Some(float) }
    }

    /// Maximum over windows that do not overlap.
    #[must_use]
    pub fn max_pool(size: i64) -> Layer {
        Layer::MaxPool(Window { size, stride: size, padding: 0, ceil: false })
    }

    /// Everything inside this layer, this layer first, in the order of the data.
    pub fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Layer)) {
        visit(self);
        match self {
            Layer::Residual { body, shortcut } => body.iter().chain(shortcut).for_each(|layer| layer.each(visit)),
            Layer::Concat { branches } => branches.iter().flatten().for_each(|layer| layer.each(visit)),
            _ => {}
        }
    }

    /// Takes the ways out of a layer in which the data part and join.
    pub(crate) fn take_ways(&mut self) -> Vec<Vec<Layer>> {
        match self {
            Layer::Residual { body, shortcut } => vec![std::mem::take(body), std::mem::take(shortcut)],
            Layer::Concat { branches } => std::mem::take(branches),
            _ => Vec::new(),
        }
    }

    /// Name of a layer with weights.
    #[must_use]
    pub fn weighted(&self) -> Option<&str> {
        match self {
            Layer::Conv { name, .. } | Layer::Linear { name, .. } | Layer::Recurrent { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl Window {
    /// Side of the result on an image of side `n`.
    #[must_use]
    pub fn output(self, n: i64) -> i64 {
        let Window { size, stride, padding, ceil } = self;
        let steps = (n + 2 * padding - size + if ceil { stride - 1 } else { 0 }) / stride;
        // A last window that would start in the rim is left out.
        if ceil && steps * stride >= n + padding { steps } else { steps + 1 }
    }

    /// Least side of an image.
    #[must_use]
    pub fn min(self) -> i64 {
        (self.size - 2 * self.padding - if self.ceil { self.stride - 1 } else { 0 }).max(1)
    }
}
