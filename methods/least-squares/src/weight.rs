//! Weights: scales of each output filter, found again at every call.

use harness_method_core::rows::Rows;
use harness_method_core::{Codes, MethodError, Quantizer, Site, Step};
use tch::{Device, Tensor};

use crate::folded;
use crate::scales::Solver;

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
        tch::no_grad(|| self.solver.scales(&Rows::Each.matrix(x)?))
    }
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &Step) -> Result<Codes, MethodError> {
        folded::codes(x, &self.scales(x)?, self.site.bits)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        folded::surrogate(x, &self.scales(x)?)
    }

    fn forward(&mut self, x: &Tensor, _: &Step) -> Result<Tensor, MethodError> {
        let scales = self.scales(x)?;
        if x.device() == Device::Cpu {
            return folded::fake_quantize(x, &scales, f32::INFINITY);
        }
        let on_grid = tch::no_grad(|| folded::codes(x, &scales, self.site.bits)?.dequantize(x))?;
        let surrogate = folded::surrogate(x, &scales)?;
        Ok(on_grid.f_add(&surrogate.f_sub(&surrogate.f_detach()?)?)?)
    }
}
