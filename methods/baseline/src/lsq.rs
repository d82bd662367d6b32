//! LSQ, Learned Step Size Quantization (Esser et al. 2020, arXiv:1902.08153).
//!
//! * `q = round(clip(v/s, -Q_N, Q_P))`, `v_q = q s` (eq. 1 and 2). Weights: `Q_N = 2^(k-1)`, `Q_P = 2^(k-1) - 1`;
//!   activations: 0 and `2^k - 1`.
//! * Backward: `dv_q/dv = 1` inside, else 0 (eq. 5); `dv_q/ds = round(v/s) - v/s` inside, `-Q_N` below, `Q_P` above
//!   (eq. 3), summed and multiplied by `1/sqrt(N Q_P)` (section 2.2), N the weights of the layer or the features of
//!   one sample.
//! * s starts at `2 mean|v| / sqrt(Q_P)` of the first batch or weights (section 2.1); for activations v is what a
//!   ReLU would pass.

use harness_method_core::{
    About, ActivationCalibration, Codes, Levels, Method, MethodAbout, MethodError, Options, Quantizer, Role, Site,
    StepContext, Support,
};
use harness_torch::{ScaledGrid, gradient_between, with_gradient};
use tch::nn::Init;
use tch::{Kind, TchError, Tensor, nn};

/// Learned step size quantization.
#[derive(Debug)]
pub struct Lsq;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "lsq",
        summary: "evenly spaced levels whose distance is learned",
        source: "Esser et al., Learned Step Size Quantization, ICLR 2020, arXiv:1902.08153",
        options: &[],
    },
    bits: Some((2, 8)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("the step is learned from them"),
};

impl Method for Lsq {
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
        Ok(Box::new(Steps::new(site, vars)?))
    }
}

/// Levels `-Q_N s ..= Q_P s`.
#[derive(Debug)]
struct Steps {
    site: Site,
    /// Q_N.
    below: u8,
    /// Q_P.
    above: u8,
    /// Scalar parameter s.
    size: Tensor,
    /// Scalar, 1 once `size` has been set from data.
    started: Tensor,
    /// What `started` was last seen to be: once true it need not be read again.
    ready: bool,
}

impl Steps {
    /// 2^-100: no value is near, and codes per unit still fit an f32.
    const LEAST: f32 = f32::from_bits(27 << 23);

    fn new(site: &Site, vars: &nn::Path<'_>) -> Result<Steps, TchError> {
        let (below, above) = match site.role {
            Role::Weight => (1 << (site.bits.get() - 1), site.bits.max_code() >> 1),
            Role::Activation | Role::Gradient => (0, site.bits.max_code()),
        };
        let size = vars.f_var("step", &[], Init::Const(1.0))?;
        let started = vars.f_zeros_no_train("started", &[])?;
        Ok(Steps { site: site.clone(), below, above, size, started, ready: false })
    }

    /// What s starts at; 1 where there is nothing to measure.
    fn start(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let magnitude = if self.below == 0 { x.f_clamp_min(0.0)? } else { x.f_abs()? };
        let start = magnitude.f_mean(Kind::Float)?.f_mul_scalar(2.0 / f64::from(self.above).sqrt())?;
        start.f_masked_fill(&start.f_eq(0.0)?, 1.0)
    }

    /// s, above zero: an optimizer may step past it, and the gradient then still brings the parameter back.
    fn positive(&self) -> Result<Tensor, TchError> {
        self.size.f_detach()?.f_clamp_min(f64::from(Self::LEAST))
    }

    /// Whether s has been set. Waits for the device only until it has.
    fn is_started(&self) -> Result<bool, TchError> {
        Ok(self.ready || f64::try_from(&self.started)? != 0.0)
    }

    /// s for `x`; sets it at the first training step.
    fn current(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, TchError> {
        if !self.ready {
            self.ready = self.is_started()?;
        }
        if self.ready {
            return self.positive();
        }
        let start = self.start(&x.f_detach()?)?;
        if ctx.training {
            self.size.f_detach()?.f_copy_(&start)?;
            let _ = self.started.f_fill_(1.0)?;
            self.ready = true;
        }
        start.f_clamp_min(f64::from(Self::LEAST))
    }

    fn grid(&self, size: &Tensor) -> Result<ScaledGrid, TchError> {
        let below = i32::from(self.below);
        Ok(ScaledGrid {
            inverse: size.f_reciprocal()?,
            scale: size.shallow_clone(),
            offset: 0.0,
            zero_point: below,
            max_code: self.site.bits.max_code(),
            step: 1,
            zero: below,
        })
    }

    /// `1/sqrt(N Q_P)`.
    fn gradient_scale(&self, x: &Tensor) -> f64 {
        let samples = if self.site.role == Role::Weight { 1 } else { x.size().first().copied().unwrap_or(1).max(1) };
        1.0 / (x.numel() as f64 / samples as f64 * f64::from(self.above)).sqrt()
    }

    /// The ends of the range, `-Q_N s` and `Q_P s`.
    fn ends(&self, size: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        Ok((size.f_mul_scalar(-f64::from(self.below))?, size.f_mul_scalar(f64::from(self.above))?))
    }
}

impl Quantizer for Steps {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        let size = self.current(x, ctx)?;
        let codes = self.grid(&size)?.codes(x)?;
        let scale = size.f_view([1])?;
        let zero = scale.f_full_like(f64::from(self.below))?;
        Ok(Codes { codes, levels: Levels::Affine { bits: self.site.bits, step: 1, zero, scale }, kept: None })
    }

    fn calibrate(&mut self, calibration: &ActivationCalibration<'_>) -> Result<bool, MethodError> {
        let end = calibration.upper_end(self.above)?;
        if end > 0.0 {
            let _ = self.size.f_detach()?.f_fill_(end / f64::from(self.above))?;
            let _ = self.started.f_fill_(1.0)?;
            self.ready = true;
        }
        Ok(true)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let saved = x.f_detach()?;
        let size = if self.is_started()? { self.positive()? } else { self.start(&saved)? };
        let (low, high) = self.ends(&size)?;
        let factor = self.gradient_scale(x);
        let on_grid = tch::no_grad(|| self.grid(&size)?.levels(&saved))?;
        Ok(with_gradient(x, &[x, &self.size], move |g| {
            let inside = saved.f_gt_tensor(&low)?.f_logical_and(&saved.f_lt_tensor(&high)?)?;
            // q - v/s inside, q outside, where it is an end of the range; times s.
            let error = on_grid.f_sub(&saved)?.f_where_self(&inside, &on_grid)?;
            let of_size = g.f_mul(&error)?.f_sum(Kind::Float)?.f_div(&size)?.f_mul_scalar(factor)?;
            Ok(vec![Some(g.f_mul(&inside)?), Some(of_size)])
        })?)
    }

    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let size = tch::no_grad(|| self.current(x, ctx))?;
        let (y, low, high, factor) = tch::no_grad(|| -> Result<_, TchError> {
            let (low, high) = self.ends(&size)?;
            // g/s in f64, rounded once.
            let exact = size.f_to_kind(Kind::Double)?;
            let factor = exact.f_full_like(self.gradient_scale(x))?.f_div(&exact)?.f_to_kind(Kind::Float)?;
            Ok((self.grid(&size)?.levels(x)?, low, high, factor))
        })?;
        let (saved, on_grid) = (x.f_detach()?, y.shallow_clone());
        Ok(with_gradient(&y, &[x, &self.size], move |g| {
            // s dL/ds without selections: g (y - x) inside, where it is all of g, and g y of what is outside.
            let inside = gradient_between(&saved, g, Some(&low), &high)?;
            let mut product = on_grid.f_sub(&saved)?;
            let of_inside = product.f_mul_(&inside)?.f_sum(Kind::Float)?;
            let _ = g.f_sub_out(&product, &inside)?;
            let of_outside = product.f_mul_(&on_grid)?.f_sum(Kind::Float)?;
            Ok(vec![Some(inside), Some(of_inside.f_add(&of_outside)?.f_mul(&factor)?)])
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

    const EVALUATION: StepContext = StepContext { training: false, ..STEP };

    fn ends(role: Role, k: u8) -> (f64, f64) {
        let half = f64::from(1u32 << (k - 1));
        if role == Role::Weight { (half, half - 1.0) } else { (0.0, 2.0 * half - 1.0) }
    }

    proptest! {
        /// Value and both gradients against the equations in f64, after a first step that sets s.
        #[test]
        fn values_and_gradients_are_the_equations(
            values in prop::collection::vec(-2.0f32..2.0, 12), upstream in prop::collection::vec(-2.0f32..2.0, 12),
            k in 2u8..=8, weights: bool,
        ) {
            let role = if weights { Role::Weight } else { Role::Activation };
            let (below, above) = ends(role, k);
            let (mut q, store) = quantizer(&Lsq, &site(role, k, if weights { &[3, 4] } else { &[4] }), &Options::default());
            let x = Tensor::from_slice(&values).view([3, 4]).set_requires_grad(true);
            let y = q.forward(&x, &STEP).unwrap();
            let part = |v: &f32| if weights { f64::from(v.abs()) } else { f64::from(v.max(0.0)) };
            let start = 2.0 * values.iter().map(part).sum::<f64>() / 12.0 / above.sqrt();
            prop_assume!(start > 0.0);
            let size = store.variables()["step"].shallow_clone();
            let s = size.double_value(&[]);
            prop_assert!((s - start).abs() < 1e-6, "started at {s}, expected {start}");
            let units = |v: f32| f64::from(v) / s;
            prop_assume!(values.iter().all(|&v| (units(v).fract().abs() - 0.5).abs() > 1e-3));
            prop_assume!(values.iter().all(|&v| (units(v) + below).abs() > 1e-3 && (units(v) - above).abs() > 1e-3));
            for (&v, found) in values.iter().zip(floats(&y)) {
                let expected = units(v).clamp(-below, above).round() * s;
                prop_assert!((f64::from(found) - expected).abs() < 1e-5, "{v} -> {found}, expected {expected}");
            }
            (y * Tensor::from_slice(&upstream).view([3, 4])).sum(Kind::Float).backward();
            let mut of_size = 0.0;
            for ((&v, &g), found) in values.iter().zip(&upstream).zip(floats(&x.grad())) {
                let (u, g64) = (units(v), f64::from(g));
                let inside = -below < u && u < above;
                prop_assert_eq!(found, if inside { g } else { 0.0 });
                of_size += g64 * if inside { u.round() - u } else if u < 0.0 { -below } else { above };
            }
            let n = if weights { 12.0 } else { 4.0 };
            of_size /= f64::sqrt(n * above);
            let found = size.grad().double_value(&[]);
            prop_assert!((found - of_size).abs() < 1e-3 * (1.0 + of_size.abs()), "{found}, expected {of_size}");
            // The general path, which a GPU takes, gives both the same.
            let z = x.detach().set_requires_grad(true);
            (q.surrogate(&z).unwrap() * Tensor::from_slice(&upstream).view([3, 4])).sum(Kind::Float).backward();
            prop_assert_eq!(floats(&z.grad()), floats(&x.grad()));
            prop_assert!((size.grad().double_value(&[]) - 2.0 * found).abs() < 1e-5 * (1.0 + found.abs()));
        }
    }

    #[test]
    fn the_path_of_a_gpu_assigns_the_same_codes() {
        let x = harness_torch::random::uniform(&[9, 400], 3, Device::Cpu).unwrap() * 8.0 - 4.0;
        for (role, k) in [Role::Weight, Role::Activation].into_iter().flat_map(|role| (2..=8).map(move |k| (role, k))) {
            let store = nn::VarStore::new(Device::Cpu);
            let q = Steps::new(&site(role, k, &[9, 400]), &store.root()).unwrap();
            let grid = q.grid(&Tensor::from(0.37f32)).unwrap();
            let on_device = as_on_device(|| grid.codes(&x)).unwrap();
            assert_eq!(on_device, grid.codes(&x).unwrap(), "{role} {k}");
        }
    }

    #[test]
    fn the_step_is_set_once_by_the_first_training_step() {
        let (mut q, store) = quantizer(&Lsq, &site(Role::Weight, 3, &[1, 2]), &Options::default());
        let size = || store.variables()["step"].double_value(&[]);
        let x = Tensor::from_slice(&[0.3f32, -0.6]).view([1, 2]);
        let before = floats(&q.forward(&x, &EVALUATION).unwrap());
        assert_eq!(size(), 1.0, "evaluation sets nothing");
        assert_eq!(floats(&q.forward(&x, &STEP).unwrap()), before, "but uses the step that training would");
        let start = 2.0 * 0.45 / 3f64.sqrt();
        assert!((size() - start).abs() < 1e-6);
        let _ = q.forward(&(&x * 10.0), &STEP).unwrap();
        assert!((size() - start).abs() < 1e-6, "later batches leave it to the optimizer");
        assert_eq!(store.trainable_variables().len(), 1);
    }

    #[test]
    fn the_gate_is_open_and_its_ends_count_as_outside() {
        let (mut q, store) = quantizer(&Lsq, &site(Role::Activation, 2, &[5]), &Options::default());
        let _ = q.forward(&Tensor::from_slice(&[1.0f32]).view([1, 1]), &STEP).unwrap();
        let mut size = store.variables()["step"].shallow_clone();
        let _ = tch::no_grad(|| size.fill_(0.5));
        let x = Tensor::from_slice(&[-1.0f32, 0.0, 0.6, 1.5, 4.0]).view([1, 5]).set_requires_grad(true);
        let y = q.forward(&x, &STEP).unwrap();
        assert_eq!(floats(&y), [0.0, 0.0, 0.5, 1.5, 1.5]);
        (y * Tensor::from_slice(&[1.0f32, 2.0, 4.0, 8.0, 16.0])).sum(Kind::Float).backward();
        assert_eq!(floats(&x.grad()), [0.0, 0.0, 4.0, 0.0, 0.0]);
        // 0, 0, 4 (1 - 1.2), 8 * 3, 16 * 3; N = 5, Q_P = 3.
        let expected = (4.0 * -0.2 + 72.0) / 15f64.sqrt();
        assert!((size.grad().double_value(&[]) - expected).abs() < 1e-4);
    }

    #[test]
    fn a_step_below_zero_counts_as_barely_above_it() {
        for role in [Role::Weight, Role::Activation] {
            let (mut q, store) = quantizer(&Lsq, &site(role, 4, &[1, 3]), &Options::default());
            let x = Tensor::from_slice(&[-0.4f32, 0.0, 0.5]).view([1, 3]);
            let _ = q.forward(&x, &STEP).unwrap();
            let mut size = store.variables()["step"].shallow_clone();
            for bad in [0.0, -0.1] {
                let _ = tch::no_grad(|| size.fill_(bad));
                size.zero_grad();
                let y = q.forward(&x, &STEP).unwrap();
                assert!(floats(&y).iter().all(|v| v.abs() < 1e-28), "{y:?}");
                // Levels further apart would lessen this loss: the gradient is finite and says so.
                (-(y * Tensor::from_slice(&[-1.0f32, 1.0, 1.0]))).sum(Kind::Float).backward();
                let gradient = size.grad().double_value(&[]);
                assert!(gradient.is_finite() && gradient < 0.0, "{role}: {gradient}");
            }
        }
    }

    #[test]
    fn weights_of_zeros_start_at_one() {
        let (mut q, store) = quantizer(&Lsq, &site(Role::Weight, 2, &[2, 2]), &Options::default());
        let zeros = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
        assert_eq!(floats(&q.forward(&zeros, &STEP).unwrap()), [0.0; 4]);
        assert_eq!(store.variables()["step"].double_value(&[]), 1.0);
    }
}
