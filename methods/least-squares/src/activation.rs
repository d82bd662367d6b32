//! Activations: clamped, then scales of each sample, or a running average of them.

use harness_method_core::rows::Rows;
use harness_method_core::{Codes, Dependence, MethodError, Options, Quantizer, Site, Step};
use tch::{Device, Kind, Tensor, nn};

use crate::folded;
use crate::scales::Solver;

#[derive(Debug)]
pub(crate) struct Activation {
    site: Site,
    solver: Solver,
    clamp: f32,
    average: Option<Average>,
}

/// Running average of the scales, over samples and steps.
#[derive(Debug)]
struct Average {
    /// `[1, k]`; zeros before the first training step.
    scales: Tensor,
    /// Used in training too.
    always: bool,
}

impl Average {
    /// Weight of the past; the first batch is copied.
    const MOMENTUM: f64 = 0.99;

    /// True on the device where no training step has been seen.
    fn is_unset(&self) -> Result<Tensor, MethodError> {
        Ok(self.scales.f_select(1, 0)?.f_eq(0.0)?.f_unsqueeze(1)?)
    }
}

impl Activation {
    pub(crate) fn new(
        site: &Site,
        solver: Solver,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Activation, MethodError> {
        let clamp = options.float("clamp").unwrap_or(0.0);
        let average = match options.text("average") {
            word @ ("eval" | "always") => {
                let k = i64::try_from(solver.count()).unwrap_or(1);
                Some(Average { scales: vars.f_zeros_no_train("scales", &[1, k])?, always: word == "always" })
            }
            _ => None,
        };
        let clamp = if clamp > 0.0 { clamp as f32 } else { f32::INFINITY };
        Ok(Activation { site: site.clone(), solver, clamp, average })
    }

    fn clamped(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        if self.clamp.is_finite() {
            return Ok(x.f_clamp(-f64::from(self.clamp), f64::from(self.clamp))?);
        }
        Ok(x.shallow_clone())
    }

    /// `[n, k]` or `[1, k]`, for input that is clamped; moves the running average in training if `learns`.
    fn scales(&self, clamped: &Tensor, step: &Step, learns: bool) -> Result<Tensor, MethodError> {
        tch::no_grad(|| {
            let own = || self.solver.scales(&Rows::Each.matrix(clamped)?);
            let Some(average) = &self.average else { return own() };
            if !step.training || (!learns && average.always) {
                // Before any training step there is no average to use: that of this batch stands in for it.
                let unset = average.is_unset()?;
                let batch = own()?.f_mean_dim(0i64, true, Kind::Float)?;
                return Ok(batch.f_where_self(&unset, &average.scales)?);
            }
            let own = own()?;
            if learns {
                let batch = own.f_mean_dim(0i64, true, Kind::Float)?;
                let moved = batch.f_lerp(&average.scales, Average::MOMENTUM)?;
                let moved = batch.f_where_self(&average.is_unset()?, &moved)?;
                average.scales.shallow_clone().f_copy_(&moved)?;
            }
            Ok(if average.always { average.scales.f_mul_scalar(1.0)? } else { own })
        })
    }
}

impl Quantizer for Activation {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, step: &Step) -> Result<Codes, MethodError> {
        let clamped = self.clamped(x)?;
        let scales = self.scales(&clamped, step, step.training)?;
        folded::codes(&clamped, &scales, self.site.bits)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let clamped = self.clamped(x)?;
        let scales = self.scales(&clamped.f_detach()?, &Step::evaluation(0), false)?;
        folded::surrogate(&clamped, &scales)
    }

    fn forward(&mut self, x: &Tensor, step: &Step) -> Result<Tensor, MethodError> {
        let clamped = self.clamped(x)?;
        let scales = self.scales(&clamped.f_detach()?, step, step.training)?;
        if x.device() == Device::Cpu {
            return folded::fake_quantize(x, &scales, self.clamp);
        }
        let on_grid = tch::no_grad(|| folded::codes(&clamped, &scales, self.site.bits)?.dequantize(x))?;
        let surrogate = folded::surrogate(&clamped, &scales)?;
        Ok(on_grid.f_add(&surrogate.f_sub(&surrogate.f_detach()?)?)?)
    }

    fn dependence(&self) -> Dependence {
        // Greedy scales need not descend fast enough for the fold to be monotone: no thresholds can stand for it.
        if self.average.is_some() && self.solver.is_monotone() { Dependence::Element } else { Dependence::Sample }
    }
}
