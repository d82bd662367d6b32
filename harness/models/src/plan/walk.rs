//! The walk through a layer list that makes the plan.

use harness_methods::core::{Nonlinearity, Role};
use harness_records::config::{InputKind, QuantConfig};
use harness_records::record::ModelRecord;

use super::settings::Settings;
use super::shape::{joined, output, parameters, size, summed, weight_shape};
use super::{Input, LayerCost, Plan, PlanStep, QuantizerPlan};
use crate::ModelError;
use crate::layer::{Layer, Squash};
use crate::recurrent;

/// Multiply-accumulates in full precision count as 32 x 32 bits.
const FLOAT_BITS: u64 = 32;

/// Plans a network given layer by layer.
pub(super) fn plan(layers: Vec<Layer>, quant: &QuantConfig, input: Input) -> Result<Plan, ModelError> {
    let mut walk = Walk { settings: Settings::new(&layers, quant)?, index: 0, parameters: 0, costs: Vec::new() };
    let bits = match (quant.input, input) {
        (InputKind::Float, _) => FLOAT_BITS,
        (InputKind::Bytes, Input::Image(_)) => 8,
        (InputKind::Bytes, Input::Tokens) => return Err(ModelError::BytesOfTokens),
    };
    let mut flow = Flow {
        shape: match input {
            Input::Image(image) => image.to_vec(),
            Input::Tokens => Vec::new(),
        },
        bits,
    };
    let steps = walk.list(layers, &mut flow)?;
    let sum = |of: fn(&LayerCost) -> u64| walk.costs.iter().map(of).sum();
    let size = ModelRecord {
        parameters: walk.parameters,
        macs: sum(|cost| cost.macs),
        weight_bits: sum(|cost| cost.weights * cost.weight_bits),
        bit_ops: sum(LayerCost::bit_ops),
    };
    Ok(Plan { input, steps, size, costs: walk.costs, ignored: &[] })
}

/// What reaches a layer: the shape of one sample and the width of its elements.
#[derive(Debug, Clone)]
struct Flow {
    shape: Vec<i64>,
    bits: u64,
}

struct Walk {
    settings: Settings,
    index: u64,
    parameters: u64,
    costs: Vec<LayerCost>,
}

impl Walk {
    fn list(&mut self, layers: Vec<Layer>, flow: &mut Flow) -> Result<Vec<PlanStep>, ModelError> {
        layers.into_iter().map(|layer| self.step(layer, flow)).collect()
    }

    fn step(&mut self, mut layer: Layer, flow: &mut Flow) -> Result<PlanStep, ModelError> {
        let index = self.index;
        self.index += 1;
        let before = flow.clone();
        let (mut ways, mut ends) = (Vec::new(), Vec::new());
        for list in layer.take_ways() {
            let mut end = before.clone();
            ways.push(self.list(list, &mut end)?);
            ends.push(end);
        }
        let input = before.shape;
        let shapes: Vec<&[i64]> = ends.iter().map(|end| &*end.shape).collect();
        let output = match &layer {
            Layer::Residual { .. } => summed(&shapes)?,
            Layer::Concat { .. } => joined(&shapes)?,
            _ => output(&layer, &input)?,
        };
        let mut quant = Vec::new();
        let of = if let Layer::Activation { of, .. } = &layer { of.as_str() } else { "" };
        let mut nonlinearity = self.settings.get(of).of(Role::Activation).method.nonlinearity();
        match &layer {
            Layer::Conv { name, .. } | Layer::Linear { name, .. } => {
                let weight = weight_shape(&layer, &input);
                let bits = self.matrix(name, name, index, &weight, &output, &mut quant)?;
                // Every weight is used once for each place of its output channel.
                let macs = size(&weight) * size(output.get(1..).unwrap_or(&[]));
                self.cost(name, macs, size(&weight), bits, flow.bits);
                flow.bits = FLOAT_BITS;
            }
            Layer::Recurrent { name, cell, hidden, squash } => {
                let mut states = FLOAT_BITS;
                let setting = self.settings.get(name);
                if !setting.is_kept {
                    let activations = setting.of(Role::Activation);
                    for site in recurrent::states(name, *cell) {
                        quant.extend(activations.at(&site, index, Role::Activation, &[*hidden])?);
                    }
                    states = activations.bits.map_or(FLOAT_BITS, |bits| u64::from(bits.get()));
                }
                if *squash == Squash::Tanh && !quant.is_empty() {
                    return Err(ModelError::SignedStates { layer: name.clone() });
                }
                for recurrent::Matrix { site, shape } in recurrent::matrices(name, *cell, input[0], *hidden) {
                    let bits = self.matrix(name, &site, index, &shape, &shape[..1], &mut quant)?;
                    self.cost(&site, size(&shape), size(&shape), bits, flow.bits.max(states));
                }
                flow.bits = states;
            }
            Layer::Activation { of, float } => {
                nonlinearity = float.unwrap_or(nonlinearity);
                let setting = self.settings.get(of);
                if !setting.is_kept {
                    quant.extend(setting.of(Role::Activation).at(of, index, Role::Activation, &input)?);
                }
                if let Some(planned) = quant.first() {
                    flow.bits = u64::from(planned.site.bits.get());
                }
            }
            Layer::Relu => nonlinearity = Nonlinearity::Relu,
            Layer::Residual { .. } | Layer::Prelu { .. } | Layer::Embedding { .. } => flow.bits = FLOAT_BITS,
            Layer::Concat { .. } => flow.bits = ends.iter().map(|end| end.bits).max().unwrap_or(FLOAT_BITS),
            Layer::AveragePool { .. } if input != output => flow.bits = FLOAT_BITS,
            _ => {}
        }
        self.parameters += parameters(&layer, &input);
        flow.shape.clone_from(&output);
        Ok(PlanStep { layer, ways, input, output, index, quant, nonlinearity })
    }

    /// Plans the quantizers of one matrix of weights of layer `name` and gives the width of its weights.
    fn matrix(
        &self,
        name: &str,
        site: &str,
        index: u64,
        weight: &[i64],
        output: &[i64],
        quant: &mut Vec<QuantizerPlan>,
    ) -> Result<u64, ModelError> {
        let setting = self.settings.get(name);
        if setting.is_kept {
            return Ok(FLOAT_BITS);
        }
        let weights = setting.of(Role::Weight).at(site, index, Role::Weight, weight)?;
        let bits = weights.as_ref().map_or(FLOAT_BITS, |planned| u64::from(planned.site.bits.get()));
        quant.extend(weights);
        quant.extend(setting.of(Role::Gradient).at(site, index, Role::Gradient, output)?);
        Ok(bits)
    }

    fn cost(&mut self, layer: &str, macs: u64, weights: u64, weight_bits: u64, activation_bits: u64) {
        self.costs.push(LayerCost { layer: layer.to_owned(), macs, weights, weight_bits, activation_bits });
    }
}
