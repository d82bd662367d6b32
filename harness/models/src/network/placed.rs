//! A quantizer at its place.

use harness_methods::core::{Codes, Quantizer, Site, StepContext};
use tch::{Tensor, nn};

use crate::ModelError;
use crate::plan::QuantizerPlan;

/// A quantizer with the name of its method.
#[derive(Debug)]
pub(super) struct PlacedQuantizer {
    pub(super) method: &'static str,
    pub(super) quantizer: Box<dyn Quantizer>,
}

impl PlacedQuantizer {
    /// Builds what is planned, with variables under `path`.
    pub(super) fn new(
        planned: Option<&QuantizerPlan>,
        path: &nn::Path<'_>,
    ) -> Result<Option<PlacedQuantizer>, ModelError> {
        let Some(QuantizerPlan { method, site, options, .. }) = planned else { return Ok(None) };
        let site = Site { device: path.device(), ..site.clone() };
        let built = method.quantizer(&site, options, path);
        let quantizer = built.map_err(|source| ModelError::Site { layer: site.layer.clone(), source })?;
        Ok(Some(PlacedQuantizer { method: method.about().about.name, quantizer }))
    }

    pub(super) fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, ModelError> {
        let result = self.quantizer.forward(x, ctx);
        result.map_err(|source| ModelError::Site { layer: self.layer(), source })
    }

    pub(super) fn quantize(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, ModelError> {
        let result = self.quantizer.quantize(x, ctx);
        result.map_err(|source| ModelError::Site { layer: self.layer(), source })
    }

    pub(super) fn layer(&self) -> String {
        self.quantizer.site().layer.clone()
    }
}

/// The folder of a name with dots in it, `layer1.0.conv1`.
pub(super) fn folder<'a>(root: &nn::Path<'a>, name: &str) -> nn::Path<'a> {
    name.split('.').fold(root.clone(), |path, part| path.sub(part))
}
