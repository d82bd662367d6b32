//! Activations: clamped, then scales of each sample, or a running average of them.

use std::cell::Cell;

use harness_method_core::rows::Rows;
use harness_method_core::{
    ActivationCalibration, Codes, Dependence, MethodError, Options, Quantizer, Site, StepContext,
};
use tch::{Kind, Tensor, nn};

use crate::scales::{Scales, Solver};
use crate::signs;

#[derive(Debug)]
pub(crate) struct Activation {
    site: Site,
    solver: Solver,
    /// Infinity for none.
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
    /// Whether the scales have been seen to be other than zero, so that a GPU is waited for once and not at each call.
    seen: Cell<bool>,
}

impl Average {
    /// Weight of the past; the first batch is copied.
    const MOMENTUM: f64 = 0.99;

    fn is_set(&self) -> Result<bool, MethodError> {
        if !self.seen.get() {
            self.seen.set(f32::try_from(&self.scales.f_narrow(1, 0, 1)?.f_view([])?)? != 0.0);
        }
        Ok(self.seen.get())
    }

    /// Moves by the mean of `own`, `[n, k]`.
    fn learn(&self, own: &Tensor, monotone: bool) -> Result<(), MethodError> {
        let batch = own.f_mean_dim(0i64, true, Kind::Float)?;
        let unset = self.scales.f_narrow(1, 0, 1)?.f_eq(0.0)?;
        let moved = batch.f_where_self(&unset, &batch.f_lerp(&self.scales, Self::MOMENTUM)?)?;
        // Rounding could leave v_2 an ulp above v_1.
        let moved = if monotone { moved.f_cummin(1)?.0 } else { moved };
        self.scales.shallow_clone().f_copy_(&moved)?;
        Ok(())
    }
}

impl Activation {
    pub(crate) fn new(
        site: &Site,
        solver: Solver,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Activation, MethodError> {
        let clamp = match options.optional_float("clamp") {
            Some(clamp) if clamp > 0.0 => clamp as f32,
            _ => f32::INFINITY,
        };
        let average = match options.text("average") {
            word @ ("eval" | "always") => Some(Average {
                scales: vars.f_zeros_no_train("scales", &[1, i64::try_from(solver.count()).unwrap_or(1)])?,
                always: word == "always",
                seen: Cell::new(false),
            }),
            _ => None,
        };
        Ok(Activation { site: site.clone(), solver, clamp, average })
    }

    /// The scales of each sample, `[n, k]`.
    fn own(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        tch::no_grad(|| self.solver.scales(&Rows::Each.matrix(&x.f_detach()?)?, self.clamp))
    }

    fn learn(&self, own: &Tensor, ctx: &StepContext) -> Result<(), MethodError> {
        match &self.average {
            Some(average) if ctx.training => tch::no_grad(|| average.learn(own, self.solver.is_monotone())),
            _ => Ok(()),
        }
    }

    /// The average, `[1, k]`, where it stands in for the scales of each sample. Moves it in training.
    fn averaged(&self, x: &Tensor, ctx: &StepContext) -> Result<Option<Tensor>, MethodError> {
        let Some(average) = &self.average else { return Ok(None) };
        if ctx.training {
            if !average.always {
                return Ok(None);
            }
            self.learn(&self.own(x)?, ctx)?;
            // A copy, because the next ctx changes the average in place.
            return Ok(Some(average.scales.f_mul_scalar(1.0)?));
        }
        if average.is_set()? {
            return Ok(Some(average.scales.shallow_clone()));
        }
        // Before any training ctx there is no average: that of this batch stands in for it.
        Ok(Some(self.own(x)?.f_mean_dim(0i64, true, Kind::Float)?))
    }
}

impl Quantizer for Activation {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        let scales = match self.averaged(x, ctx)? {
            Some(scales) => scales,
            None => {
                let own = self.own(x)?;
                self.learn(&own, ctx)?;
                own
            }
        };
        signs::codes(x, &scales, self.clamp, self.site.bits)
    }

    /// The average of the scales over all samples, where an average stands in for the scales of each sample. The rule for
    /// ranges says nothing here: scales are those of least squared error by definition.
    fn calibrate(&mut self, calibration: &ActivationCalibration<'_>) -> Result<bool, MethodError> {
        let Some(average) = &self.average else { return Ok(false) };
        let own: Vec<Tensor> = calibration.inputs.iter().map(|x| self.own(x)).collect::<Result<_, _>>()?;
        let mean = Tensor::f_cat(&own, 0)?.f_mean_dim(0i64, true, Kind::Float)?;
        // Rounding could leave v_2 an ulp above v_1.
        let mean = if self.solver.is_monotone() { mean.f_cummin(1)?.0 } else { mean };
        average.scales.shallow_clone().f_copy_(&mean)?;
        Ok(true)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        let scales = match self.averaged(x, &StepContext::evaluation(0))? {
            Some(scales) => scales,
            None => self.own(x)?,
        };
        signs::surrogate(x, &scales, self.clamp)
    }

    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        if let Some(scales) = self.averaged(x, ctx)? {
            return Ok(signs::fake_quantize(x, Scales::Given(&scales), self.clamp, self.site.bits)?.0);
        }
        let (levels, own) = signs::fake_quantize(x, Scales::Own(self.solver), self.clamp, self.site.bits)?;
        self.learn(&own, ctx)?;
        Ok(levels)
    }

    /// With an average, the element alone decides, unless its level can fall where it rises: no thresholds can stand
    /// for that.
    fn dependence(&self) -> Dependence {
        if self.average.is_some() && self.solver.is_monotone() { Dependence::Element } else { Dependence::Sample }
    }
}
