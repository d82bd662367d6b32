//! Weights: scales of each output filter, found again at every call.

use harness_method_core::rows::Rows;
use harness_method_core::{Codes, MethodError, Quantizer, Site, StepContext};
use tch::Tensor;

use crate::scales::{Scales, Solver};
use crate::signs;

/// Weights are not clamped.
const CLAMP: f32 = f32::INFINITY;

#[derive(Debug)]
pub(crate) struct Weight {
    site: Site,
    solver: Solver,
}

impl Weight {
    pub(crate) fn new(site: &Site, solver: Solver) -> Weight {
        Weight { site: site.clone(), solver }
    }

    fn scales(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        tch::no_grad(|| self.solver.scales(&Rows::Each.matrix(x)?, CLAMP))
    }
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        signs::codes(x, &self.scales(x)?, CLAMP, self.site.bits)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        signs::surrogate(x, &self.scales(x)?, CLAMP)
    }

    fn forward(&mut self, x: &Tensor, _: &StepContext) -> Result<Tensor, MethodError> {
        Ok(signs::fake_quantize(x, Scales::Own(self.solver), CLAMP, self.site.bits)?.0)
    }
}
