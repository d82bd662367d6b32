//! Binary-Weight-Networks (Rastegari et al. 2016, arXiv:1603.05279, section 3.1).
//!
//! `W ~ alpha * sign(W)`, `alpha = mean |W|` per filter (eq. 6). Backward (section 3.1, after eq. 6), with n weights a
//! filter: `dL/dW = dL/dW~ * (1/n + alpha * [|W| < 1])`.

use harness_method_core::rows::{Rows, column};
use harness_method_core::{
    About, Codes, Method, MethodAbout, MethodError, Options, Quantizer, Site, StepContext, Support, base,
};
use harness_torch::with_gradient;
use tch::{Kind, Tensor, nn};

/// Binary-Weight-Networks.
#[derive(Debug)]
pub struct Bwn;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "bwn",
        summary: "weights by sign with a scale for each filter",
        source: "Rastegari et al., XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks, \
                 ECCV 2016, arXiv:1603.05279",
        options: &[],
    },
    bits: Some((1, 1)),
    weights: Support::Yes,
    activations: Support::No("they stay in full precision; xnor is the same method for both"),
    gradients: Support::No("the paper keeps them in full precision"),
};

impl Method for Bwn {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        Ok(Box::new(ScaledSign { site: site.clone() }))
    }
}

/// Weights by sign, a scale a filter.
#[derive(Debug)]
pub(crate) struct ScaledSign {
    pub(crate) site: Site,
}

impl Quantizer for ScaledSign {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        base::bwn(x, Rows::Each, self.site.bits)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let weights = x.f_detach()?;
        Ok(with_gradient(x, &[x], move |g| {
            let magnitude = weights.f_abs()?;
            let filter = weights.numel() as f64 / weights.size().first().map_or(1.0, |&filters| filters as f64);
            let alpha = column(&Rows::Each.mean(&magnitude)?, weights.dim())?;
            let factor = magnitude.f_lt(1.0)?.f_to_kind(Kind::Float)?.f_mul(&alpha)?.f_add_scalar(1.0 / filter)?;
            Ok(vec![Some(g.f_mul(&factor)?)])
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::Role;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scale_and_gradient_are_the_closed_forms(
            values in prop::collection::vec(-2.0f32..2.0, 24), upstream in prop::collection::vec(-2.0f32..2.0, 24),
        ) {
            let x = Tensor::from_slice(&values).view([3, 2, 2, 2]).set_requires_grad(true);
            let (mut q, _store) = quantizer(&Bwn, &site(Role::Weight, 1, &x.size()), &Options::default());
            let y = q.forward(&x, &STEP).unwrap();
            let levels = floats(&y);
            (y * Tensor::from_slice(&upstream).view([3, 2, 2, 2])).sum(Kind::Float).backward();
            let gradient = floats(&x.grad());
            for i in 0..24 {
                let alpha = values[i / 8 * 8..][..8].iter().map(|v| f64::from(v.abs())).sum::<f64>() / 8.0;
                let w = f64::from(values[i]);
                let level = if w >= 0.0 { alpha } else { -alpha };
                prop_assert!((f64::from(levels[i]) - level).abs() < 1e-6);
                let factor = 1.0 / 8.0 + if w.abs() < 1.0 { alpha } else { 0.0 };
                prop_assert!((f64::from(gradient[i]) - f64::from(upstream[i]) * factor).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_gate_is_open_at_its_ends_and_weights_are_left_alone_after_a_step() {
        let x = Tensor::from_slice(&[1.0f32, -1.0, 0.5, 3.5]).view([1, 4]).set_requires_grad(true);
        let (mut q, _store) = quantizer(&Bwn, &site(Role::Weight, 1, &[1, 4]), &Options::default());
        q.forward(&x, &STEP).unwrap().sum(Kind::Float).backward();
        assert_eq!(floats(&x.grad()), [0.25, 0.25, 1.75, 0.25]);
        tch::no_grad(|| q.after_step(&x)).unwrap();
        assert_eq!(floats(&x), [1.0, -1.0, 0.5, 3.5]);
    }
}
