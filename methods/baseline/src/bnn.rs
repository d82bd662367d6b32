//! Binarized Neural Networks (Courbariaux et al. 2016, arXiv:1602.02830): weights and activations of -1 and +1.
//!
//! `sign(x)` with `sign(0) = +1` (eq. 1); backward, the gradient passes where `|x| <= 1` (eq. 4), and weights are
//! clipped to [-1, 1] after each step.

use harness_method_core::{About, Method, MethodAbout, MethodError, Nonlinearity, Options, Quantizer, Site, Support};
use tch::nn;

use crate::sign::Sign;

/// Binarized neural networks.
#[derive(Debug)]
pub struct Bnn;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "bnn",
        summary: "weights and activations by sign, without a scale",
        source: "Courbariaux et al., Binarized Neural Networks: Training Deep Neural Networks with Weights and \
                 Activations Constrained to +1 or -1, 2016, arXiv:1602.02830",
        options: &[],
    },
    bits: Some((1, 1)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("the paper keeps them in full precision"),
};

impl Method for Bnn {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        Ok(Box::new(Sign { site: site.clone(), low: -1.0, high: 1.0 }))
    }

    /// The hard tanh, whose gradient is that of the sign.
    fn nonlinearity(&self) -> Nonlinearity {
        Nonlinearity::Clip { low: -1.0, high: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::Role;
    use tch::{Kind, Tensor};

    #[test]
    fn signs_forward_and_a_closed_gate_backward() {
        for role in [Role::Weight, Role::Activation] {
            let values = [-2.0f32, -1.000_000_1, -1.0, -0.2, -0.0, 0.0, 0.7, 1.0, 1.000_000_1, 9.0];
            let x = Tensor::from_slice(&values).view([2, 5]).set_requires_grad(true);
            let (mut q, _store) = quantizer(&Bnn, &site(role, 1, &[2, 5]), &Options::default());
            let upstream = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]).view([2, 5]);
            let y = q.forward(&x, &STEP).unwrap();
            assert_eq!(floats(&y), [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
            (y * upstream).sum(Kind::Float).backward();
            assert_eq!(floats(&x.grad()), [0.0, 0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn weights_are_clipped_after_a_step() {
        let x = Tensor::from_slice(&[-2.0f32, -0.5, 1.5]).view([1, 3]);
        let (q, _store) = quantizer(&Bnn, &site(Role::Weight, 1, &[1, 3]), &Options::default());
        q.after_step(&x).unwrap();
        assert_eq!(floats(&x), [-1.0, -0.5, 1.0]);
    }
}
