//! DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): weights, activations and gradients on uniform grids.
//!
//! `quantize_k(x) = round((2^k - 1) x)/(2^k - 1)`, ties to even, gradient 1.
//! * Weights, k >= 2 (eq. 9): `2 quantize_k(tanh W / (2 max|tanh W|) + 1/2) - 1`, the maximum over the layer. The
//!   gradient goes through the tanh and the maximum.
//! * Weights, k = 1 (eq. 7 and 8): `E|W| sign(W)`, the mean over the layer; gradient 1.
//! * Activations (eq. 11): `quantize_k(clip(x, 0, 1))`; gradient 1 inside the clip.
//! * Gradients (eq. 12): per sample `m = max|g|`, `2m (quantize_k(clip(g/2m + 1/2 + N)) - 1/2)` with
//!   `N = U(-1/2, 1/2)/(2^k - 1)`.

use harness_method_core::rows::{Rows, column, inverse_or_zero, quotient};
use harness_method_core::{
    About, Codes, KeyDefault, KeyDoc, KeyKind, Levels, Method, MethodAbout, MethodError, Nonlinearity, Options,
    Quantizer, Role, Site, StepContext, Support,
};
use harness_torch::{ScaledGrid, UniformGrid, random, with_gradient};
use tch::{Kind, TchError, Tensor, nn};

/// DoReFa-Net.
#[derive(Debug)]
pub struct DoReFa;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "dorefa",
        summary: "tanh-normalised weights, clipped activations and noisy gradients on uniform grids",
        source: "Zhou et al., DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth \
                 Gradients, 2016, arXiv:1606.06160",
        options: &[KeyDoc {
            name: "noise",
            kind: KeyKind::Bool,
            default: KeyDefault::Bool(true),
            doc: "add uniform noise of one step before rounding (gradients only)",
        }],
    },
    bits: Some((1, 8)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::Yes,
};

impl Method for DoReFa {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        let site = site.clone();
        Ok(match site.role {
            Role::Weight if site.bits.get() == 1 => Box::new(BinaryWeight { site }),
            Role::Weight => Box::new(Weight { site }),
            Role::Activation => Box::new(Activation { site }),
            Role::Gradient => Box::new(Gradient { site, noise: options.bool("noise") }),
        })
    }

    fn nonlinearity(&self) -> Nonlinearity {
        Nonlinearity::Clip { low: 0.0, high: 1.0 }
    }
}

#[derive(Debug)]
struct Weight {
    site: Site,
}

impl Weight {
    /// `tanh W` and its largest magnitude, `[1]`.
    fn squashed(x: &Tensor) -> Result<(Tensor, Tensor), MethodError> {
        let t = x.f_tanh()?;
        let max = Rows::Tensor.max_abs(&t)?;
        Ok((t, max))
    }

    /// The grid of a largest magnitude. A layer of zeros has no scale of its own (0/0 in the paper): its levels are all
    /// zero.
    fn grid(&self, max: &Tensor) -> Result<ScaledGrid, TchError> {
        let max_code = self.site.bits.max_code();
        let scale = max.f_zeros_like()?.f_masked_fill(&max.f_gt(0.0)?, 1.0 / f64::from(max_code))?;
        ScaledGrid::symmetric(max_code, max, scale)
    }
}

/// The gradient of [`Weight::surrogate`] in closed form: `g (1 - t^2)/m`, and through the maximum, shared by the
/// elements that attain it, `-sign(t) (1 - t^2)/m^2 sum(g t)`. In f32, `t` is `tanh W`.
fn weight_gradient(g: &Tensor, t: &Tensor, max: &Tensor) -> Result<Tensor, TchError> {
    // Both terms carry 1 - t^2, which libtorch's own backward of tanh multiplies by; `|t| = m` where sign(t) = t/m.
    // In a layer of zeros the divisor is 1, as in the surrogate: t is 0 and the gradient of tanh remains.
    let inverse = max.f_masked_fill(&max.f_eq(0.0)?, 1.0)?.f_reciprocal()?;
    let attained = t.f_abs()?.f_eq_tensor(max)?.f_to_kind(Kind::Float)?;
    let along = g.f_mul(t)?.f_sum(Kind::Float)?.f_mul(&inverse)?;
    let share = along.f_mul(&inverse)?.f_div(&attained.f_sum(Kind::Float)?)?;
    let mut total = g.f_mul(&inverse)?;
    let _ = total.f_sub_(&attained.f_mul(t)?.f_mul_(&inverse)?.f_mul_(&share)?)?;
    Tensor::f_tanh_backward(&total, t)
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let (t, max) = Self::squashed(x)?;
        let grid = self.grid(&max)?;
        let codes = grid.codes(&t)?;
        let scale = grid.scale;
        let zero = scale.f_full_like(f64::from(self.site.bits.max_code()))?;
        Ok(Codes { codes, levels: Levels::Affine { bits: self.site.bits, step: 2, zero, scale }, kept: None })
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let t = x.f_tanh()?;
        let max = t.f_abs()?.f_max()?;
        // 1 where the layer is all zeros, so that no gradient becomes NaN.
        let divisor = max.f_masked_fill(&max.f_eq(0.0)?, 1.0)?;
        Ok(t.f_div(&divisor)?)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        let (t, max) = tch::no_grad(|| Self::squashed(x))?;
        let levels = tch::no_grad(|| self.grid(&max)?.levels(&t))?;
        Ok(with_gradient(&levels, &[x], move |g| Ok(vec![Some(weight_gradient(g, &t, &max)?)]))?)
    }
}

#[derive(Debug)]
struct BinaryWeight {
    site: Site,
}

impl Quantizer for BinaryWeight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let scale = Rows::Tensor.mean(&x.f_abs()?)?;
        let levels = Levels::Affine { bits: self.site.bits, step: 2, zero: scale.f_ones_like()?, scale };
        Ok(Codes { codes: x.f_ge(0.0)?.f_to_kind(Kind::Uint8)?, levels, kept: None })
    }
}

#[derive(Debug)]
struct Activation {
    site: Site,
}

impl Activation {
    fn grid(&self) -> UniformGrid {
        let max_code = self.site.bits.max_code();
        let n = f32::from(max_code);
        UniformGrid { inverse: n, offset: 0.0, zero_point: 0, max_code, step: 1, zero: 0, scale: 1.0 / n }
    }
}

impl Quantizer for Activation {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let grid = self.grid();
        let scale = Tensor::f_full([1], f64::from(grid.scale), (Kind::Float, x.device()))?;
        let levels = Levels::Affine { bits: self.site.bits, step: 1, zero: scale.f_zeros_like()?, scale };
        Ok(Codes { codes: grid.codes(x)?, levels, kept: None })
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(x.f_clamp(0.0, 1.0)?)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        Ok(self.grid().fake_quantize(x, 0.0, 1.0)?)
    }
}

/// The value passes unchanged; the gradient is quantized on its way back.
#[derive(Debug)]
struct Gradient {
    site: Site,
    noise: bool,
}

/// Codes of a gradient and `2m`, the width of each sample's range.
fn gradient_codes(g: &Tensor, n: f64, noise: Option<u64>) -> Result<(Tensor, Tensor), TchError> {
    let width = Rows::Each.max_abs(g)?.f_mul_scalar(2.0)?;
    let mut unit = g.f_mul(&column(&inverse_or_zero(&width)?, g.dim())?)?.f_add_scalar(0.5)?;
    if let Some(key) = noise {
        let noise = random::uniform(&g.size(), key, g.device())?;
        unit = unit.f_add(&noise.f_sub_scalar(0.5)?.f_div_scalar(n)?)?;
    }
    let codes = unit.f_clamp(0.0, 1.0)?.f_mul_scalar(n)?.f_round()?;
    Ok((codes, width))
}

impl Gradient {
    fn key(&self, ctx: &StepContext) -> Option<u64> {
        self.noise.then(|| self.site.key(ctx))
    }
}

impl Quantizer for Gradient {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        let n = f64::from(self.site.bits.max_code());
        let (codes, width) = gradient_codes(x, n, self.key(ctx))?;
        // 2m (c/n - 1/2) = (2c - n) m/n
        let scale = quotient(&width, 2.0 * n)?;
        let levels = Levels::Affine { bits: self.site.bits, step: 2, zero: scale.f_full_like(n)?, scale };
        Ok(Codes { codes: codes.f_to_kind(Kind::Uint8)?, levels, kept: None })
    }

    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let n = f64::from(self.site.bits.max_code());
        let key = self.key(ctx);
        Ok(with_gradient(x, &[x], move |g| {
            let (codes, width) = gradient_codes(g, n, key)?;
            let scale = column(&quotient(&width, 2.0 * n)?, g.dim())?;
            Ok(vec![Some(codes.f_mul_scalar(2.0)?.f_sub_scalar(n)?.f_mul(&scale)?)])
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::rows::Rows;
    use proptest::prelude::*;

    fn build(role: Role, k: u8, x: &Tensor) -> (Box<dyn Quantizer>, nn::VarStore) {
        let shape = if role == Role::Weight { x.size() } else { x.size()[1..].to_vec() };
        quantizer(&DoReFa, &site(role, k, &shape), &Options::defaults(ABOUT.about.options))
    }

    /// "What happens to a weight of 0.3" in ARCHITECTURE.md quotes these numbers.
    #[test]
    fn the_traced_example_of_the_architecture_holds() {
        let x = Tensor::from_slice(&[0.3f32, -0.5, 0.1, 0.0]).view([2, 2]).set_requires_grad(true);
        let (mut q, _store) = build(Role::Weight, 2, &x);
        let codes = q.quantize(&x, &STEP).unwrap();
        assert_eq!(Vec::<u8>::try_from(&codes.codes.view([-1])).unwrap(), [2, 0, 2, 2]);
        let y = q.forward(&x, &STEP).unwrap();
        assert_eq!(floats(&y), [1.0 / 3.0, -1.0, 1.0 / 3.0, 1.0 / 3.0]);
        y.narrow(0, 0, 1).narrow(1, 0, 1).sum(Kind::Float).backward();
        let gradient = floats(&x.grad())[0];
        assert!((gradient - 1.9803).abs() < 1e-4, "{gradient}");
        let statistics = harness_method_core::statistics::Statistics::of(&x.detach(), &codes).unwrap();
        assert_eq!(statistics.code_counts, [1, 0, 3, 0]);
        assert!((statistics.relative_mse - 1.1905).abs() < 1e-4, "{}", statistics.relative_mse);
    }

    /// Equation 5, in f64.
    fn quantize_k(x: f64, k: u8) -> f64 {
        let n = f64::from((1u32 << k) - 1);
        (n * x).round_ties_even() / n
    }

    /// A value may differ from the f64 definition only by rounding, or by one whole step where the definition
    /// itself stands on a tie that f32 resolves the other way.
    fn is_level(found: f32, unit: f64, k: u8, map: impl Fn(f64) -> f64) -> bool {
        let close = |u: f64| (f64::from(found) - map(quantize_k(u, k))).abs() < 1e-5;
        close(unit) || close(unit - 1e-6) || close(unit + 1e-6)
    }

    proptest! {
        #[test]
        fn weights_are_equation_9(values in prop::collection::vec(-3.0f32..3.0, 2..80), k in 2u8..=8) {
            let x = Tensor::from_slice(&values).view([1, -1]);
            let max = values.iter().map(|v| f64::from(*v).tanh().abs()).fold(0.0, f64::max);
            let (mut q, _store) = build(Role::Weight, k, &x);
            for (&v, found) in values.iter().zip(floats(&q.forward(&x, &STEP).unwrap())) {
                let unit = f64::from(v).tanh() / (2.0 * max) + 0.5;
                prop_assert!(is_level(found, unit, k, |u| 2.0 * u - 1.0), "{v} -> {found}");
            }
        }

        #[test]
        fn one_bit_weights_are_the_mean_times_the_sign(values in prop::collection::vec(-3.0f32..3.0, 2..80)) {
            let x = Tensor::from_slice(&values).view([1, -1]);
            let mean = values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / values.len() as f64;
            let (mut q, _store) = build(Role::Weight, 1, &x);
            for (&v, found) in values.iter().zip(floats(&q.forward(&x, &STEP).unwrap())) {
                let expected = if v >= 0.0 { mean } else { -mean };
                prop_assert!((f64::from(found) - expected).abs() < 1e-6 * (1.0 + mean));
            }
        }

        #[test]
        fn activations_are_equation_11_on_a_grid(mut values in prop::collection::vec(-0.5f32..1.5, 2..80), k in 1u8..=8) {
            values.sort_by(f32::total_cmp);
            let x = Tensor::from_slice(&values).view([1, -1]);
            let (mut q, _store) = build(Role::Activation, k, &x);
            let found = floats(&q.forward(&x, &STEP).unwrap());
            prop_assert!(found.is_sorted(), "monotone");
            for (&v, &y) in values.iter().zip(&found) {
                prop_assert!(is_level(y, f64::from(v).clamp(0.0, 1.0), k, |u| u), "{v} -> {y}");
            }
            let again = floats(&q.forward(&Tensor::from_slice(&found).view([1, -1]), &STEP).unwrap());
            prop_assert_eq!(again, found, "idempotent");
        }

        #[test]
        fn gradients_are_equation_12(values in prop::collection::vec(-3.0f32..3.0, 24), k in 1u8..=8, step in 0u64..50) {
            let g = Tensor::from_slice(&values).view([3, 8]);
            let (mut q, _store) = build(Role::Gradient, k, &g);
            let step = StepContext { step, ..STEP };
            let n = f64::from((1u32 << k) - 1);
            let noise = floats(&random::uniform(&[3, 8], q.site().key(&step), tch::Device::Cpu).unwrap());
            let x = Tensor::zeros([3, 8], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
            (q.forward(&x, &step).unwrap() * &g).sum(Kind::Float).backward();
            for (i, found) in floats(&x.grad()).into_iter().enumerate() {
                let row = &values[i / 8 * 8..][..8];
                let m = f64::from(row.iter().fold(0.0f32, |m, v| m.max(v.abs())));
                let unit = (f64::from(values[i]) / (2.0 * m) + 0.5 + (f64::from(noise[i]) - 0.5) / n).clamp(0.0, 1.0);
                prop_assert!(is_level((f64::from(found) / m) as f32, unit, k, |u| 2.0 * (u - 0.5)));
            }
        }
    }

    /// The closed form of the gradient: with t = tanh W and a = argmax |t|,
    /// dL/dW_i = g_i (1 - t_i^2)/|t_a|, minus for i = a alone sign(t_a) (1 - t_a^2)/t_a^2 sum_j g_j t_j.
    #[test]
    fn the_gradient_of_weights_goes_through_tanh_and_maximum() {
        let values = [0.3f64, -1.2, 0.8, 0.05];
        let upstream = [0.5f64, -1.0, 2.0, 0.25];
        let x = Tensor::from_slice(&values).to_kind(Kind::Float).view([1, -1]).set_requires_grad(true);
        let (mut q, _store) = build(Role::Weight, 2, &x);
        let g = Tensor::from_slice(&upstream).to_kind(Kind::Float).view([1, -1]);
        (q.forward(&x, &STEP).unwrap() * &g).sum(Kind::Float).backward();
        let t = values.map(f64::tanh);
        let a = 1;
        let along: f64 = (0..4).map(|j| upstream[j] * t[j]).sum();
        for (i, found) in floats(&x.grad()).into_iter().enumerate() {
            let mut expected = upstream[i] * (1.0 - t[i] * t[i]) / t[a].abs();
            if i == a {
                expected -= t[a].signum() * (1.0 - t[a] * t[a]) / (t[a] * t[a]) * along;
            }
            assert!((f64::from(found) - expected).abs() < 1e-5, "{i}: {found} against {expected}");
        }
    }

    #[test]
    fn the_surrogate_agrees_with_finite_differences() {
        let values = [0.3f64, -1.2, 0.8, 0.05, -0.4];
        let x = Tensor::from_slice(&values).view([1, -1]).set_requires_grad(true);
        let weights = Tensor::from_slice(&[1.0f64, -2.0, 0.5, 3.0, -1.0]).view([1, -1]);
        let (q, _store) = build(Role::Weight, 3, &x);
        let loss = |x: &Tensor| (q.surrogate(x).unwrap() * &weights).sum(Kind::Double);
        loss(&x).backward();
        for i in 0..5 {
            let moved = |by: f64| {
                let y = x.detach().copy();
                let _ = y.view([-1]).get(i).g_add_scalar_(by);
                loss(&y).double_value(&[])
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            let found = x.grad().double_value(&[0, i]);
            assert!((found - difference).abs() < 1e-6, "{i}: {found} against {difference}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let x = Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu));
        for k in 1..=8 {
            let (mut q, _store) = build(Role::Weight, k, &x);
            assert!(floats(&q.forward(&x, &STEP).unwrap()).iter().all(|&v| v == 0.0), "{k} bits");
        }
        let (mut q, _store) = build(Role::Gradient, 4, &x);
        assert!(floats(&q.quantize(&x, &STEP).unwrap().dequantize(&x).unwrap()).iter().all(|&v| v == 0.0));
    }

    #[test]
    fn noise_makes_the_gradient_unbiased_inside_its_range() {
        let g = Tensor::from_slice(&[1.0f32, 0.21, -0.37, 0.5]).view([1, 4]);
        let (mut q, _store) = build(Role::Gradient, 2, &g);
        let mean = |q: &mut dyn Quantizer, draws: u64| {
            let draw = |step| q.quantize(&g, &StepContext { step, ..STEP }).unwrap().dequantize(&g).unwrap();
            let all: Vec<Tensor> = (0..draws).map(draw).collect();
            floats(&Tensor::stack(&all, 0).mean_dim(0i64, false, Kind::Float))
        };
        let found = mean(q.as_mut(), 4000);
        for (m, v) in found.iter().zip([1.0f32, 0.21, -0.37, 0.5]).skip(1) {
            // The deviation of one draw is below half a step (1/3); of the mean of 4000, below 0.006.
            assert!((m - v).abs() < 0.03, "{found:?}");
        }
        let rows = Rows::Each.max_abs(&g).unwrap();
        assert_eq!(floats(&rows), [1.0]);
    }
}
