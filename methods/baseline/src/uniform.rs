//! Uniform quantization by the range of the tensor (min-max).
//!
//! Weights, symmetric: `s = max|W|`, levels `s (2c - n)/n` with `n = 2^k - 1`: the grid that Balanced Quantization
//! calls unbalanced (Zhou et al. 2017, section 2), with ties to even. Weights, affine: the least grid with an exact
//! zero that covers `[min(W, 0), max(W, 0)]` (Jacob et al. 2018, section 2.1).
//! Activations: ReLU, then `n + 1` levels from 0 to the running maximum; non-negative input makes both ranges one.
//! Backward: straight through; the range is a constant, and for activations nothing passes outside it.

use harness_method_core::rows::{Rows, column, inverse_or_zero, quotient};
use harness_method_core::{
    About, ActivationCalibration, Codes, KeyDefault, KeyDoc, KeyKind, Levels, Method, MethodAbout, MethodError,
    Options, Quantizer, Role, Site, StepContext, Support,
};
use harness_torch::ScaledGrid;
use tch::{Kind, TchError, Tensor, nn};

/// Uniform min-max quantization.
#[derive(Debug)]
pub struct Uniform;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "uniform",
        summary: "evenly spaced levels over the range of the tensor",
        source: "Jacob et al., Quantization and Training of Neural Networks for Efficient \
                 Integer-Arithmetic-Only Inference, CVPR 2018, arXiv:1712.05877",
        options: &[
            KeyDoc {
                name: "range",
                kind: KeyKind::Choice(&["symmetric", "affine"]),
                default: KeyDefault::Text("symmetric"),
                doc: "levels from -max to max without a zero, or from min to max with an exact zero",
            },
            KeyDoc {
                name: "per",
                kind: KeyKind::Choice(&["tensor", "channel"]),
                default: KeyDefault::Text("tensor"),
                doc: "one range for the tensor, or one for each output channel (weights only)",
            },
        ],
    },
    bits: Some((1, 8)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("a range without a random offset would bias them; use dorefa"),
};

impl Method for Uniform {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn check(&self, site: &Site, options: &Options) -> Result<(), MethodError> {
        if let Support::No(reason) = self.about().support(site.role) {
            return Err(self.unsupported(&format!("{} quantization: {reason}", site.role)));
        }
        match site.role {
            Role::Activation if options.text("per") == "channel" => {
                Err(self.unsupported("range per channel for activations: it would differ inside a dot product"))
            }
            Role::Weight | Role::Activation | Role::Gradient => Ok(()),
        }
    }

    fn quantizer(
        &self,
        site: &Site,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        if site.role == Role::Activation {
            return Ok(Box::new(RunningMax::new(site, vars)?));
        }
        let rows = if options.text("per") == "channel" { Rows::Each } else { Rows::Tensor };
        let range = if options.text("range") == "affine" { Range::Affine } else { Range::Symmetric };
        Ok(Box::new(MinMax { site: site.clone(), rows, range }))
    }
}

#[derive(Debug, Clone, Copy)]
enum Range {
    Symmetric,
    Affine,
}

/// Weights: the range is that of the tensor itself, at every call.
#[derive(Debug)]
struct MinMax {
    site: Site,
    rows: Rows,
    range: Range,
}

impl MinMax {
    /// `code = round((x/s + 1) n/2)`, `level = (2c - n) s/n`.
    fn symmetric(&self, x: &Tensor) -> Result<Codes, MethodError> {
        let n = f64::from(self.site.bits.max_code());
        let s = self.rows.max_abs(x)?;
        let unit = x.f_mul(&column(&inverse_or_zero(&s)?, x.dim())?)?;
        let codes = unit.f_add_scalar(1.0)?.f_mul_scalar(n / 2.0)?.f_round()?.f_clamp(0.0, n)?;
        let levels = Levels::Affine { bits: self.site.bits, step: 2, zero: s.f_full_like(n)?, scale: quotient(&s, n)? };
        Ok(Codes { codes: codes.f_to_kind(Kind::Uint8)?, levels, kept: None })
    }

    /// `code = round(x/scale) + z`, `level = (c - z) scale`.
    fn affine(&self, x: &Tensor) -> Result<Codes, MethodError> {
        let n = f64::from(self.site.bits.max_code());
        let (min, max) = self.rows.range(x)?;
        let (min, max) = (min.f_clamp_max(0.0)?, max.f_clamp_min(0.0)?);
        let scale = quotient(&max.f_sub(&min)?, n)?;
        let inverse = inverse_or_zero(&scale)?;
        let zero = min.f_neg()?.f_mul(&inverse)?.f_round()?.f_clamp(0.0, n)?;
        let nearest = x.f_mul(&column(&inverse, x.dim())?)?.f_round()?;
        let codes = nearest.f_add(&column(&zero, x.dim())?)?.f_clamp(0.0, n)?;
        let levels = Levels::Affine { bits: self.site.bits, step: 1, zero, scale };
        Ok(Codes { codes: codes.f_to_kind(Kind::Uint8)?, levels, kept: None })
    }
}

impl Quantizer for MinMax {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        match self.range {
            Range::Symmetric => self.symmetric(x),
            Range::Affine => self.affine(x),
        }
    }
}

/// Activations: from 0 to a running maximum, moved by [`RunningMax::MOMENTUM`] a training step.
#[derive(Debug)]
struct RunningMax {
    site: Site,
    /// Scalar; 0 before the first training step, when the maximum of the input itself is used.
    maximum: Tensor,
}

impl RunningMax {
    /// Weight of the newest maximum; the first one is copied.
    const MOMENTUM: f64 = 0.1;

    fn new(site: &Site, vars: &nn::Path<'_>) -> Result<RunningMax, MethodError> {
        Ok(RunningMax { site: site.clone(), maximum: vars.f_zeros_no_train("maximum", &[])? })
    }

    /// The maximum to quantize by; moves the running one in training. Stays on the device.
    fn observe(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let newest = x.f_detach()?.f_max()?.f_clamp_min(0.0)?;
        let unset = self.maximum.f_eq(0.0)?;
        let moved = self.maximum.f_lerp(&newest, Self::MOMENTUM)?;
        let current = newest.f_where_self(&unset, if ctx.training { &moved } else { &self.maximum })?;
        if ctx.training {
            self.maximum.f_copy_(&current)?;
        }
        Ok(current)
    }

    fn grid(&self, maximum: &Tensor) -> Result<ScaledGrid, TchError> {
        ScaledGrid::from_zero(self.site.bits.max_code(), maximum)
    }
}

impl Quantizer for RunningMax {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        let maximum = self.observe(x, ctx)?;
        let grid = self.grid(&maximum)?;
        let codes = grid.codes(x)?;
        let scale = grid.scale.f_view([1])?;
        let levels = Levels::Affine { bits: self.site.bits, step: 1, zero: scale.f_zeros_like()?, scale };
        Ok(Codes { codes, levels, kept: None })
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(x.f_clamp_tensor(Some(&self.maximum.f_zeros_like()?), Some(&self.maximum))?)
    }

    fn calibrate(&mut self, calibration: &ActivationCalibration<'_>) -> Result<bool, MethodError> {
        let _ = self.maximum.f_fill_(calibration.upper_end(self.site.bits.max_code())?)?;
        Ok(true)
    }

    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let maximum = tch::no_grad(|| self.observe(x, ctx))?;
        Ok(self.grid(&maximum)?.fake_quantize_from_zero(x, &maximum)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::OptionValue;
    use harness_method_core::conformance::{Variant, everything};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn affine_ranges_conform_too() {
        everything(&Variant::new(&Uniform, None, &[("range", OptionValue::Text("affine".to_owned()))]));
    }

    fn options(range: &str, per: &str) -> Options {
        let given = [("range", range), ("per", per)].map(|(k, v)| (k.to_owned(), OptionValue::Text(v.to_owned())));
        Options::resolve(ABOUT.about.options, &BTreeMap::from(given)).unwrap()
    }

    fn levels(x: &Tensor, k: u8, range: &str, per: &str) -> Vec<f32> {
        let (mut q, _store) = quantizer(&Uniform, &site(Role::Weight, k, &x.size()), &options(range, per));
        floats(&q.forward(x, &STEP).unwrap())
    }

    /// The definition in f64, one number at a time: the nearest of the 2^k levels of the range.
    fn nearest(x: f32, min: f64, max: f64, n: f64) -> f64 {
        let level = |c: f64| min + (max - min) * c / n;
        let codes = (0..=n as u32).map(f64::from);
        codes.map(level).min_by(|a, b| (a - f64::from(x)).abs().total_cmp(&(b - f64::from(x)).abs())).unwrap()
    }

    proptest! {
        #[test]
        fn symmetric_weights_are_the_nearest_level(values in prop::collection::vec(-3.0f32..3.0, 2..60), k in 1u8..=8) {
            let x = Tensor::from_slice(&values).view([1, -1]);
            let n = f64::from((1u32 << k) - 1);
            let s = f64::from(values.iter().fold(0.0f32, |m, v| m.max(v.abs())));
            for (&v, q) in values.iter().zip(levels(&x, k, "symmetric", "tensor")) {
                let best = nearest(v, -s, s, n);
                // A tie in f32 may fall either way; the distance may not be worse than rounding allows.
                prop_assert!((f64::from(q) - f64::from(v)).abs() <= (best - f64::from(v)).abs() + 1e-5 * s, "{v} -> {q}, {best}");
            }
        }

        #[test]
        fn on_the_grid_idempotent_and_monotone(
            mut values in prop::collection::vec(-3.0f32..3.0, 2..60), k in 2u8..=8, affine: bool,
        ) {
            values.sort_by(f32::total_cmp);
            let range = if affine { "affine" } else { "symmetric" };
            let x = Tensor::from_slice(&values).view([1, -1]);
            let once = levels(&x, k, range, "tensor");
            prop_assert!(once.is_sorted());
            let mut distinct = once.clone();
            distinct.dedup();
            prop_assert!(distinct.len() <= 1 << k);
            let twice = levels(&Tensor::from_slice(&once).view([1, -1]), k, range, "tensor");
            let worst = once.iter().zip(&twice).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            prop_assert!(worst <= 1e-5, "{once:?} {twice:?}");
        }

        #[test]
        fn affine_weights_have_an_exact_zero(values in prop::collection::vec(-3.0f32..3.0, 2..60), k in 1u8..=8) {
            let mut values = values;
            values.push(0.0);
            let x = Tensor::from_slice(&values).view([1, -1]);
            prop_assert_eq!(levels(&x, k, "affine", "tensor").pop(), Some(0.0));
        }

        #[test]
        fn each_channel_has_its_own_range(values in prop::collection::vec(-3.0f32..3.0, 12), k in 1u8..=8, affine: bool) {
            let range = if affine { "affine" } else { "symmetric" };
            let x = Tensor::from_slice(&values).view([3, 2, 2]);
            let together = levels(&x, k, range, "channel");
            for c in 0..3 {
                let alone = levels(&x.get(c).unsqueeze(0), k, range, "tensor");
                prop_assert_eq!(&together[c as usize * 4..][..4], &alone[..]);
            }
        }
    }

    #[test]
    fn activations_follow_a_running_maximum() {
        let (mut q, _store) = quantizer(&Uniform, &site(Role::Activation, 2, &[3]), &options("symmetric", "tensor"));
        let batch = |m: f32| Tensor::from_slice(&[-1.0, 0.4 * m, m]).view([1, 3]);
        // The first maximum is copied: levels 0, 1, 2, 3.
        assert_eq!(floats(&q.forward(&batch(3.0), &STEP).unwrap()), [0.0, 1.0, 3.0]);
        // The next moves it by a tenth: 0.9 * 3 + 0.1 * 6.
        let maximum = floats(&q.forward(&batch(6.0), &STEP).unwrap())[2];
        assert!((maximum - 3.3).abs() < 1e-6, "{maximum}");
        // Evaluation uses it as it is and clips above.
        let evaluation = StepContext { training: false, ..STEP };
        let x = Tensor::from_slice(&[-0.1f32, 0.0, 1.0, 0.99 * maximum, 9.0]).set_requires_grad(true);
        let y = q.forward(&x, &evaluation).unwrap();
        assert_eq!(floats(&y), [0.0, 0.0, maximum / 3.0, maximum, maximum]);
        y.sum(Kind::Float).backward();
        assert_eq!(floats(&x.grad()), [0.0, 1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn what_it_does_not_quantize_is_refused_with_the_reason() {
        let error = Uniform.check(&site(Role::Activation, 2, &[3]), &options("affine", "channel")).unwrap_err();
        assert!(error.to_string().contains("inside a dot product"), "{error}");
        let error = Uniform.check(&site(Role::Gradient, 2, &[3]), &options("affine", "tensor")).unwrap_err();
        assert!(error.to_string().contains("a range without a random offset"), "{error}");
    }
}
