//! BinaryConnect (Courbariaux et al. 2015, arXiv:1511.00363): weights of -1 and +1 in both passes.
//!
//! * Deterministic (eq. 1): `W_b = sign(W)`, `sign(0) = +1`.
//! * Stochastic (eq. 2 and 3): +1 with probability `clip((W + 1)/2, 0, 1)`, drawn anew at every training step;
//!   evaluation uses the sign (the first of the three ways of section 2.6).
//! * Backward: the gradient of W_b is that of W. After each step W is clipped to [-1, 1] (section 2.4).

use harness_method_core::{
    About, Codes, KeyDefault, KeyDoc, KeyKind, Levels, Method, MethodAbout, MethodError, Options, Quantizer, Site,
    StepContext, Support,
};
use harness_torch::random;
use tch::{Kind, Tensor, nn};

/// BinaryConnect.
#[derive(Debug)]
pub struct BinaryConnect;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "binaryconnect",
        summary: "weights of -1 and +1 by sign or by chance, without a scale",
        source: "Courbariaux, Bengio and David, BinaryConnect: Training Deep Neural Networks with Binary Weights \
                 during Propagations, NIPS 2015, arXiv:1511.00363",
        options: &[KeyDoc {
            name: "stochastic",
            kind: KeyKind::Bool,
            default: KeyDefault::Bool(false),
            doc: "in training, +1 with probability (W + 1)/2 instead of by sign",
        }],
    },
    bits: Some((1, 1)),
    weights: Support::Yes,
    activations: Support::No("the paper keeps them in full precision; bnn is its successor for both"),
    gradients: Support::No("the paper keeps them in full precision"),
};

impl Method for BinaryConnect {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        Ok(Box::new(Weight { site: site.clone(), stochastic: options.bool("stochastic") }))
    }
}

#[derive(Debug)]
struct Weight {
    site: Site,
    stochastic: bool,
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        let high = if self.stochastic && ctx.training {
            // Drawn from [0, 1): never below 0, always below 1, so the ends need no clipping.
            let draw = random::uniform(&x.size(), self.site.key(ctx), x.device())?;
            draw.f_lt_tensor(&x.f_add_scalar(1.0)?.f_div_scalar(2.0)?)?
        } else {
            x.f_ge(0.0)?
        };
        let one = Tensor::f_ones([1], (Kind::Float, x.device()))?;
        let levels = Levels::Affine { bits: self.site.bits, step: 2, zero: one.shallow_clone(), scale: one };
        Ok(Codes { codes: high.f_to_kind(Kind::Uint8)?, levels, kept: None })
    }

    fn after_step(&self, weights: &Tensor) -> Result<(), MethodError> {
        clip_to_unit(weights)
    }
}

/// Clips to [-1, 1] in place.
pub(crate) fn clip_to_unit(weights: &Tensor) -> Result<(), MethodError> {
    let _ = weights.shallow_clone().f_clamp_(-1.0, 1.0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::conformance::{Variant, everything};
    use harness_method_core::{OptionValue, Role};
    use std::collections::BTreeMap;

    #[test]
    fn by_chance_conforms_too() {
        everything(&Variant::new(&BinaryConnect, None, &[("stochastic", OptionValue::Bool(true))]));
    }

    fn build(stochastic: bool, x: &Tensor) -> (Box<dyn Quantizer>, nn::VarStore) {
        let given = BTreeMap::from([("stochastic".to_owned(), OptionValue::Bool(stochastic))]);
        let options = Options::resolve(ABOUT.about.options, &given).unwrap();
        quantizer(&BinaryConnect, &site(Role::Weight, 1, &x.size()), &options)
    }

    #[test]
    fn by_sign_in_evaluation_and_unless_asked() {
        let x = Tensor::from_slice(&[-2.0f32, -0.3, -0.0, 0.0, 0.3, 2.0]).view([2, 3]);
        for (stochastic, training) in [(false, true), (false, false), (true, false)] {
            let (mut q, _store) = build(stochastic, &x);
            let found = floats(&q.forward(&x, &StepContext { training, ..STEP }).unwrap());
            assert_eq!(found, [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0]);
        }
    }

    #[test]
    fn by_chance_with_the_probability_of_equation_3() {
        let values = [-1.5f32, -1.0, -0.6, 0.0, 0.2, 0.9, 1.0, 3.0];
        let n = 4000;
        let x = Tensor::from_slice(&values).view([1, 8]).repeat([n, 1]);
        let (mut q, _store) = build(true, &x);
        let mean = floats(&((q.forward(&x, &STEP).unwrap() + 1.0) / 2.0).mean_dim(0i64, false, Kind::Float));
        for (&w, &found) in values.iter().zip(&mean) {
            let p = ((w + 1.0) / 2.0).clamp(0.0, 1.0);
            // Five standard deviations of the mean of n draws; none where the outcome is certain.
            let slack = 5.0 * (p * (1.0 - p) / n as f32).sqrt();
            assert!((found - p).abs() <= slack + 1e-6, "{w}: {found}, expected {p}");
        }
        let codes = |q: &mut Box<dyn Quantizer>, step| {
            Vec::<u8>::try_from(&q.quantize(&x, &StepContext { step, ..STEP }).unwrap().codes.view([-1])).unwrap()
        };
        assert_eq!(codes(&mut q, 5), codes(&mut q, 5), "the same step draws the same");
        assert_ne!(codes(&mut q, 5), codes(&mut q, 6), "every step draws anew");
    }

    #[test]
    fn gradients_pass_and_weights_are_clipped_after_a_step() {
        for stochastic in [false, true] {
            let x = Tensor::from_slice(&[-2.0f32, -0.3, 0.3, 2.0]).view([2, 2]).set_requires_grad(true);
            let (mut q, _store) = build(stochastic, &x);
            let upstream = Tensor::from_slice(&[1.0f32, -2.0, 3.0, 0.5]).view([2, 2]);
            (q.forward(&x, &STEP).unwrap() * &upstream).sum(Kind::Float).backward();
            assert_eq!(floats(&x.grad()), floats(&upstream));
            tch::no_grad(|| q.after_step(&x)).unwrap();
            assert_eq!(floats(&x), [-1.0, -0.3, 0.3, 1.0]);
        }
    }
}
