//! PACT (Choi et al. 2018, arXiv:1805.06085): activations clipped at a learned level.
//!
//! * `y = clip(x, 0, alpha)` (eq. 1), `y_q = round(y (2^k - 1)/alpha) alpha/(2^k - 1)` (eq. 2), one alpha a layer.
//! * Backward: `dy_q/dx = [0 <= x < alpha]`, `dy_q/dalpha = [x >= alpha]` (eq. 3), summed over the layer.
//! * alpha starts at 10 and is an ordinary parameter, so that the optimizer's weight decay is the paper's penalty.
//! * Weights are quantized by DoReFa-Net, as in the paper.

use harness_method_core::{
    About, ActivationCalibration, Codes, Levels, Method, MethodAbout, MethodError, Options, Quantizer, Role, Site,
    StepContext, Support,
};
use harness_torch::{ScaledGrid, gradient_between, with_gradient};
use tch::nn::Init;
use tch::{Kind, TchError, Tensor, nn};

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

    fn grid(&self, level: &Tensor) -> Result<ScaledGrid, TchError> {
        ScaledGrid::from_zero(self.site.bits.max_code(), level)
    }
}

impl Quantizer for Activation {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let grid = self.grid(&self.level()?)?;
        let codes = grid.codes(x)?;
        let scale = grid.scale.f_view([1])?;
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

    fn calibrate(&mut self, calibration: &ActivationCalibration<'_>) -> Result<bool, MethodError> {
        let level = calibration.upper_end(self.site.bits.max_code())?;
        if level > 0.0 {
            let _ = self.alpha.f_detach()?.f_fill_(level)?;
        }
        Ok(true)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        let level = self.level()?;
        // The gradient passes up to and including the largest number below alpha.
        let last = tch::no_grad(|| level.f_nextafter(&level.f_zeros_like()?))?;
        let y = self.grid(&level)?.fake_quantize_from_zero(x, &last)?;
        let saved = x.f_detach()?;
        Ok(with_gradient(&y, &[&y, &self.alpha], move |g| {
            // dL/dalpha = sum of g over x >= alpha. What is missing from the g below alpha is -g there.
            let mut taken = gradient_between(&saved, g, None, &level)?;
            let of_alpha = taken.f_sub_(g)?.f_sum(Kind::Float)?.f_neg()?;
            Ok(vec![Some(g.shallow_clone()), Some(of_alpha)])
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_torch::path::as_on_device;
    use proptest::prelude::*;
    use tch::Device;

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
            let grid = q.grid(&q.level().unwrap()).unwrap();
            let on_device = as_on_device(|| grid.codes(&x)).unwrap();
            assert_eq!(on_device, grid.codes(&x).unwrap());
            assert_eq!(floats(&grid.scale), [2.7 / f32::from(q.site.bits.max_code())]);
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
