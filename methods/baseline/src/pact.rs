//! PACT (Choi et al. 2018, arXiv:1805.06085): activations clipped at a learned level.
//!
//! * `y = clip(x, 0, alpha)` (eq. 1), `y_q = round(y (2^k - 1)/alpha) alpha/(2^k - 1)` (eq. 2), one alpha a layer.
//! * Backward: `dy_q/dx = [0 <= x < alpha]`, `dy_q/dalpha = [x >= alpha]` (eq. 3), summed over the layer.
//! * alpha starts at 10 and is an ordinary parameter, so that the optimizer's weight decay is the paper's penalty.
//! * Weights are quantized by DoReFa-Net, as in the paper.

use harness_method_core::{
    About, Codes, Levels, Method, MethodAbout, MethodError, Options, Quantizer, Role, Site, StepContext, Support,
    straight_through,
};
use harness_torch::{UniformGrid, with_gradient};
use tch::nn::Init;
use tch::{Device, Kind, TchError, Tensor, nn};

use crate::DoReFa;

/// PACT.
#[derive(Debug)]
pub struct Pact;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "pact",
        summary: "activations clipped at a learned level; weights as dorefa",
        source: "Choi et al., PACT: Parameterized Clipping Activation for Quantized Neural Networks, 2018, \
                 arXiv:1805.06085",
        options: &[],
    },
    bits: Some((2, 8)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("the paper keeps them in full precision; use dorefa"),
};

impl Method for Pact {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(
        &self,
        site: &Site,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        if site.role == Role::Weight {
            return DoReFa.quantizer(site, options, vars);
        }
        let alpha = vars.f_var("alpha", &[], Init::Const(Activation::START))?;
        Ok(Box::new(Activation { site: site.clone(), alpha }))
    }
}

#[derive(Debug)]
struct Activation {
    site: Site,
    /// Scalar parameter.
    alpha: Tensor,
}

impl Activation {
    const START: f64 = 10.0;
    /// 2^-100: no activation is near, and codes per unit still fit an f32.
    const LEAST: f32 = f32::from_bits(27 << 23);

    /// The clipping level. An optimizer may step past zero; the level stays above it, and the gradient still brings
    /// the parameter back.
    fn level(&self) -> Result<Tensor, TchError> {
        self.alpha.f_detach()?.f_clamp_min(f64::from(Self::LEAST))
    }

    /// The grid of a level that is at hand on the CPU.
    fn grid(&self, level: f32) -> UniformGrid {
        let max_code = self.site.bits.max_code();
        let n = f32::from(max_code);
        UniformGrid { inverse: n / level, offset: 0.0, zero_point: 0, max_code, step: 1, zero: 0, scale: level / n }
    }

    /// Codes as f32 wherever the level lives, without waiting for it.
    fn codes(&self, x: &Tensor, level: &Tensor) -> Result<Tensor, TchError> {
        let n = f64::from(self.site.bits.max_code());
        x.f_mul(&level.f_full_like(n)?.f_div(level)?)?.f_round()?.f_clamp(0.0, n)
    }

    fn scale(&self, level: &Tensor) -> Result<Tensor, TchError> {
        level.f_div(&level.f_full_like(f64::from(self.site.bits.max_code()))?)
    }
}

impl Quantizer for Activation {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let level = self.level()?;
        let codes = if x.device() == Device::Cpu {
            self.grid(f32::try_from(&level)?).codes(x)?
        } else {
            self.codes(x, &level)?.f_to_kind(Kind::Uint8)?
        };
        let scale = self.scale(&level)?.f_view([1])?;
        let levels = Levels::Affine { bits: self.site.bits, step: 1, zero: scale.f_zeros_like()?, scale };
        Ok(Codes { codes, levels, kept: None })
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let (saved, level) = (x.f_detach()?, self.level()?);
        Ok(with_gradient(x, &[x, &self.alpha], move |g| {
            let inside = saved.f_ge(0.0)?.f_logical_and(&saved.f_lt_tensor(&level)?)?;
            let clipped = g.f_mul(&saved.f_ge_tensor(&level)?)?;
            Ok(vec![Some(g.f_mul(&inside)?), Some(clipped.f_sum(Kind::Float)?)])
        })?)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        let level = self.level()?;
        if x.device() == Device::Cpu {
            // The gate of the fused operation is closed: the largest number below alpha is its upper end.
            let at = f32::try_from(&level)?;
            let y = self.grid(at).fake_quantize(x, 0.0, at.next_down())?;
            let saved = x.f_detach()?;
            return Ok(with_gradient(&y, &[&y, &self.alpha], move |g| {
                // What the hard tanh takes from g, times -1: the fastest selection there is.
                let mut taken = saved.f_hardtanh_backward(g, f64::NEG_INFINITY, f64::from(at))?;
                let of_alpha = taken.f_sub_(g)?.f_sum(Kind::Float)?.f_neg()?;
                Ok(vec![Some(g.shallow_clone()), Some(of_alpha)])
            })?);
        }
        let on_grid = tch::no_grad(|| self.codes(x, &level)?.f_mul(&self.scale(&level)?))?;
        let surrogate = self.surrogate(x)?;
        Ok(straight_through(&on_grid, &surrogate)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use proptest::prelude::*;

    harness_method_core::conformance!(Pact);

    fn build(k: u8, alpha: f64) -> (Box<dyn Quantizer>, nn::VarStore) {
        let (q, store) = quantizer(&Pact, &site(Role::Activation, k, &[4]), &Options::default());
        let _ = tch::no_grad(|| store.variables()["alpha"].shallow_clone().fill_(alpha));
        (q, store)
    }

    proptest! {
        #[test]
        fn values_and_gradients_are_the_equations(
            values in prop::collection::vec(-2.0f32..6.0, 12), upstream in prop::collection::vec(-2.0f32..2.0, 12),
            alpha in 0.5f32..5.0, k in 2u8..=8,
        ) {
            let (mut q, store) = build(k, f64::from(alpha));
            let x = Tensor::from_slice(&values).view([3, 4]).set_requires_grad(true);
            let y = q.forward(&x, &STEP).unwrap();
            let n = f64::from((1u32 << k) - 1);
            let alpha = f64::from(alpha);
            for (&v, found) in values.iter().zip(floats(&y)) {
                let step = alpha / n;
                let clipped = f64::from(v).clamp(0.0, alpha);
                let expected = (clipped / step).round() * step;
                // A tie may fall either way in f32.
                let tie = ((clipped / step).fract() - 0.5).abs() < 1e-4;
                prop_assert!((f64::from(found) - expected).abs() < 1e-5 || tie, "{v} -> {found}, expected {expected}");
            }
            (y * Tensor::from_slice(&upstream).view([3, 4])).sum(Kind::Float).backward();
            let mut of_alpha = 0.0;
            for ((&v, &g), found) in values.iter().zip(&upstream).zip(floats(&x.grad())) {
                prop_assert_eq!(found, if v >= 0.0 && f64::from(v) < alpha { g } else { 0.0 });
                of_alpha += if f64::from(v) >= alpha { f64::from(g) } else { 0.0 };
            }
            let found = store.variables()["alpha"].grad().double_value(&[]);
            prop_assert!((found - of_alpha).abs() < 1e-5, "{found}, expected {of_alpha}");
        }
    }

    #[test]
    fn the_gate_is_closed_at_zero_and_open_at_alpha() {
        let (mut q, store) = build(2, 3.0);
        let alpha = store.variables()["alpha"].shallow_clone();
        let x = Tensor::from_slice(&[-0.1f32, 0.0, 2.999_999_8, 3.0, 7.0]).view([1, 5]).set_requires_grad(true);
        let y = q.forward(&x, &STEP).unwrap();
        assert_eq!(floats(&y), [0.0, 0.0, 3.0, 3.0, 3.0]);
        let upstream = Tensor::from_slice(&[1.0f32, 2.0, 4.0, 8.0, 16.0]);
        (y * &upstream).sum(Kind::Float).backward();
        assert_eq!(floats(&x.grad()), [0.0, 2.0, 4.0, 0.0, 0.0]);
        assert_eq!(floats(&alpha.grad()), [24.0]);
        // The general path, which a GPU takes, gives both the same.
        let z = x.detach().set_requires_grad(true);
        (q.surrogate(&z).unwrap() * &upstream).sum(Kind::Float).backward();
        assert_eq!(floats(&z.grad()), floats(&x.grad()));
        assert_eq!(floats(&alpha.grad()), [48.0]);
    }

    #[test]
    fn the_path_of_a_gpu_assigns_the_same_codes() {
        let x = harness_torch::random::uniform(&[9, 400], 3, Device::Cpu).unwrap() * 5.0 - 1.0;
        for k in 2..=8 {
            let alpha = Tensor::from(2.7f32);
            let q = Activation { site: site(Role::Activation, k, &[400]), alpha };
            let level = q.level().unwrap();
            assert_eq!(q.codes(&x, &level).unwrap().to_kind(Kind::Uint8), q.grid(2.7).codes(&x).unwrap());
            assert_eq!(floats(&q.scale(&level).unwrap()), [q.grid(2.7).scale]);
        }
    }

    #[test]
    fn alpha_is_one_parameter_that_starts_at_ten_and_may_step_past_zero() {
        let (mut q, store) = quantizer(&Pact, &site(Role::Activation, 4, &[4]), &Options::default());
        let variables = store.trainable_variables();
        assert_eq!((variables.len(), floats(&variables[0])), (1, vec![10.0]));
        let mut alpha = variables[0].shallow_clone();
        let x = Tensor::from_slice(&[-1.0f32, 0.0, 0.5, 2.0]).view([1, 4]);
        for bad in [0.0, -1.0] {
            let _ = tch::no_grad(|| alpha.fill_(bad));
            alpha.zero_grad();
            let y = q.forward(&x, &STEP).unwrap();
            assert!(floats(&y).iter().all(|v| (0.0..1e-28).contains(v)), "{y:?}");
            // More room would lessen the loss: the gradient says so.
            (-y).sum(Kind::Float).backward();
            assert_eq!(floats(&alpha.grad()), [-2.0]);
        }
    }

    #[test]
    fn weights_are_those_of_dorefa() {
        let x = Tensor::from_slice(&[0.3f32, -1.2, 0.8, 0.05]).view([1, 4]);
        let site = site(Role::Weight, 3, &[1, 4]);
        let (mut ours, _a) = quantizer(&Pact, &site, &Options::default());
        let (mut dorefa, _b) = quantizer(&DoReFa, &site, &Options::default());
        assert_eq!(floats(&ours.forward(&x, &STEP).unwrap()), floats(&dorefa.forward(&x, &STEP).unwrap()));
    }
}
