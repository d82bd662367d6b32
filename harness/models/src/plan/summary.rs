//! The layers of a network as a table: what `quant.layers` and `keep_float` can name.

use serde::Serialize;

use super::shape::{parameters, weight_shape};
use super::{Plan, PlanStep};
use crate::layer::Layer;
use crate::recurrent;

/// A layer with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Its name.
    pub layer: String,
    /// `conv`, `linear` or `recurrent`.
    pub kind: &'static str,
    /// True where it stands on the shortcut of a residual network.
    pub downsample: bool,
    /// Shapes of its matrices of weights: one, `[out, in, kernel, kernel]` or `[out, in]`, or those of a recurrent cell.
    pub weights: Vec<Vec<i64>>,
    /// Shape of one sample before it.
    pub input: Vec<i64>,
    /// Shape of one sample after it.
    pub output: Vec<i64>,
    /// Multiply-accumulates for one image or token.
    pub macs: u64,
    /// Learned numbers, biases included.
    pub parameters: u64,
}

impl Plan {
    /// Every layer with weights, in the order of the data.
    #[must_use]
    pub fn layer_summaries(&self) -> Vec<LayerSummary> {
        let mut all = Vec::new();
        collect(&self.steps, false, self, &mut all);
        all
    }
}

fn collect(steps: &[PlanStep], downsample: bool, plan: &Plan, all: &mut Vec<LayerSummary>) {
    for step in steps {
        let (name, kind, weights) = match &step.layer {
            Layer::Conv { name, .. } => (name, "conv", vec![weight_shape(&step.layer, &step.input)]),
            Layer::Linear { name, .. } => (name, "linear", vec![weight_shape(&step.layer, &step.input)]),
            Layer::Recurrent { name, cell, hidden, .. } => {
                let matrices = recurrent::matrices(name, *cell, step.input[0], *hidden).into_iter();
                (name, "recurrent", matrices.map(|matrix| matrix.shape.to_vec()).collect())
            }
            _ => {
                let is_residual = matches!(step.layer, Layer::Residual { .. });
                for (place, way) in step.ways.iter().enumerate() {
                    collect(way, downsample || (is_residual && place == 1), plan, all);
                }
                continue;
            }
        };
        let belongs = |layer: &str| layer == name || layer.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        all.push(LayerSummary {
            layer: name.clone(),
            kind,
            downsample,
            weights,
            input: step.input.clone(),
            output: step.output.clone(),
            macs: plan.costs.iter().filter(|cost| belongs(&cost.layer)).map(|cost| cost.macs).sum(),
            parameters: parameters(&step.layer, &step.input),
        });
    }
}
