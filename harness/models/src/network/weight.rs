//! Weights of a layer, with what quantizes them and the gradient of what they give.

use harness_methods::core::{Role, StepContext};
use tch::Tensor;
use tch::nn::{self, Init, init};

use super::placed::{PlacedQuantizer, folder};
use super::{Observer, Pass};
use crate::ModelError;
use crate::plan::{PlanStep, weight_shape};

#[derive(Debug)]
pub(super) struct Weight {
    pub(super) value: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) quantizer: Option<PlacedQuantizer>,
    gradient: Option<PlacedQuantizer>,
}

impl Weight {
    /// Of a convolution or linear layer.
    pub(super) fn new(step: &PlanStep, name: &str, bias: bool, root: &nn::Path<'_>) -> Result<Weight, ModelError> {
        let shape = weight_shape(&step.layer, &step.input);
        let fan_in: i64 = shape[1..].iter().product();
        let bound = 1.0 / (fan_in as f64).sqrt();
        let bias = bias.then_some(Init::Uniform { lo: -bound, up: bound });
        Weight::with(step, name, &shape, init::DEFAULT_KAIMING_UNIFORM, bias, root)
    }

    /// At the site `name` of a layer, of this shape.
    pub(super) fn with(
        step: &PlanStep,
        name: &str,
        shape: &[i64],
        init: Init,
        bias: Option<Init>,
        root: &nn::Path<'_>,
    ) -> Result<Weight, ModelError> {
        let path = folder(root, name);
        // The bias draws its random numbers first: initial weights of a seed stay what they are.
        let bias = bias.map(|init| path.f_var("bias", &shape[..1], init)).transpose()?;
        Ok(Weight {
            value: path.f_var("weight", shape, init)?,
            bias,
            quantizer: PlacedQuantizer::new(step.planned(Role::Weight, name), &(&path / "quantizer"))?,
            gradient: PlacedQuantizer::new(step.planned(Role::Gradient, name), &(&path / "gradient"))?,
        })
    }

    pub(super) fn quantized(&mut self, ctx: &StepContext, observer: &mut dyn Observer) -> Result<Tensor, ModelError> {
        let Some(placed) = &mut self.quantizer else { return Ok(self.value.shallow_clone()) };
        observer.see(placed, &self.value, &self.value)?;
        placed.forward(&self.value, ctx)
    }

    /// `product` of `x`, the quantized weights and the bias, its gradient quantized.
    pub(super) fn apply(
        &mut self,
        x: &Tensor,
        pass: &mut Pass<'_>,
        product: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, tch::TchError>,
    ) -> Result<Tensor, ModelError> {
        if let Some(placed) = self.quantizer.as_mut().filter(|_| pass.observer.watches()) {
            pass.observer.product(placed, &self.value, x, &product)?;
        }
        let value = self.quantized(pass.ctx, pass.observer)?;
        let y = pass.narrowed(x, &value, self.bias.as_ref(), product)?;
        self.with_gradient(y, pass.ctx)
    }

    pub(super) fn with_gradient(&mut self, y: Tensor, ctx: &StepContext) -> Result<Tensor, ModelError> {
        match &mut self.gradient {
            Some(placed) if ctx.training => placed.forward(&y, ctx),
            _ => Ok(y),
        }
    }

    /// Lets the method hold the weights where they must be.
    pub(super) fn after_step(&self) -> Result<(), ModelError> {
        let Some(placed) = &self.quantizer else { return Ok(()) };
        tch::no_grad(|| placed.quantizer.after_step(&self.value))
            .map_err(|source| ModelError::Site { layer: placed.layer(), source })
    }
}
