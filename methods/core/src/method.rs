//! A quantization method, and what it says about itself.

use tch::nn;

use crate::{About, MethodError, Options, Quantizer, Role, Site, Support};

/// A quantization method, found by name. One `static` per method.
pub trait Method: Sync {
    /// Name, paper, roles, bit widths and options: `harness methods`, the JSON Schema, the checks of sweep files
    /// and the help all come from here.
    fn about(&self) -> &'static MethodAbout;

    /// Refuses, before anything is built, what [`Method::quantizer`] would refuse at this site.
    ///
    /// # Errors
    /// [`MethodError::Unsupported`] with the reason.
    fn check(&self, site: &Site, _options: &Options) -> Result<(), MethodError> {
        match self.about().support(site.role) {
            Support::Yes => Ok(()),
            Support::No(reason) => Err(self.unsupported(&format!("{} quantization: {reason}", site.role))),
        }
    }

    /// Builds the quantizer of one site. Learned parameters and running statistics are variables under `vars`, so
    /// that checkpoints carry them by name.
    ///
    /// # Errors
    /// Whatever [`Method::check`] refuses, and failures of libtorch.
    fn quantizer(&self, site: &Site, options: &Options, vars: &nn::Path<'_>)
    -> Result<Box<dyn Quantizer>, MethodError>;

    /// Whether the values of this method, with these options, can be stored as codes and a table of levels, as `harness
    /// quantize` does.
    fn deployable(&self, _options: &Options) -> Support {
        Support::Yes
    }

    /// What stands at an activation that is kept in full precision in a network of this method.
    fn nonlinearity(&self) -> Nonlinearity {
        Nonlinearity::Relu
    }

    /// How far the gradients on the path of the CPU and on that of other devices may differ, as a fraction of the
    /// largest gradient of the tensor. 0: not at all. Codes, levels and values never differ.
    fn gradient_tolerance(&self) -> f64 {
        0.0
    }

    /// The error for a part that this method does not have.
    fn unsupported(&self, what: &str) -> MethodError {
        MethodError::Unsupported { method: self.about().about.name, what: what.to_owned() }
    }
}

/// What a method says about itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MethodAbout {
    /// Name, summary, paper and options.
    pub about: About,
    /// Least and largest bit width; `None` for full precision, which takes no width.
    pub bits: Option<(u8, u8)>,
    /// Whether it quantizes weights.
    pub weights: Support,
    /// Whether it quantizes activations.
    pub activations: Support,
    /// Whether it quantizes gradients.
    pub gradients: Support,
}

impl MethodAbout {
    /// Whether it quantizes this.
    #[must_use]
    pub fn support(&self, role: Role) -> Support {
        match role {
            Role::Weight => self.weights,
            Role::Activation => self.activations,
            Role::Gradient => self.gradients,
        }
    }
}

/// A bounded or unbounded activation function in full precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nonlinearity {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`.
    Clip {
        /// Least value.
        low: f64,
        /// Largest value.
        high: f64,
    },
}

impl Nonlinearity {
    /// Applies it, any shape.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn apply(self, x: &tch::Tensor) -> Result<tch::Tensor, tch::TchError> {
        match self {
            Nonlinearity::Relu => x.f_relu(),
            Nonlinearity::Clip { low, high } => x.f_clamp(low, high),
        }
    }
}
