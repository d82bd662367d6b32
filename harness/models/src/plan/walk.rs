//! The walk through a layer list that makes the plan.

use harness_methods::core::{Bits, Method, Nonlinearity, Options, Role, Site};
use harness_records::config::{MethodChoice, QuantConfig};
use harness_records::record::ModelRecord;
use tch::Device;

use super::shape::{joined, output, parameters, size, summed, weight_shape};
use super::{Input, LayerCost, Plan, PlanStep, QuantizerPlan};
use crate::ModelError;
use crate::layer::{Layer, Squash};
use crate::recurrent;

/// Multiply-accumulates in full precision count as 32 x 32 bits.
const FLOAT_BITS: u64 = 32;

/// Plans a network given layer by layer.
pub(super) fn plan(layers: Vec<Layer>, quant: &QuantConfig, input: Input) -> Result<Plan, ModelError> {
    let float = kept_in_float(&layers, &quant.keep_float)?;
    let mut walk = Walk {
        weights: Choice::new(&quant.weights)?,
        activations: Choice::new(&quant.activations)?,
        gradients: Choice::new(&quant.gradients)?,
        float,
        index: 0,
        parameters: 0,
        costs: Vec::new(),
    };
    let mut flow = Flow {
        shape: match input {
            Input::Image(image) => image.to_vec(),
            Input::Tokens => Vec::new(),
        },
        bits: FLOAT_BITS,
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

/// One of the three method choices, resolved.
struct Choice {
    method: &'static dyn Method,
    bits: Option<Bits>,
    options: Options,
}

impl Choice {
    fn new(choice: &MethodChoice) -> Result<Choice, ModelError> {
        let method =
            harness_methods::find(&choice.method).ok_or_else(|| ModelError::UnknownMethod(choice.method.clone()))?;
        let bits = method.about().bits.and(choice.bits).and_then(Bits::new);
        let options = choice.options.with_defaults(method.about().about.options);
        Ok(Choice { method, bits, options })
    }

    fn at(&self, layer: &str, index: u64, role: Role, shape: &[i64]) -> Result<Option<QuantizerPlan>, ModelError> {
        let Some(bits) = self.bits else { return Ok(None) };
        let site = Site { layer: layer.to_owned(), index, role, shape: shape.to_vec(), bits, device: Device::Cpu };
        self.method
            .check(&site, &self.options)
            .map_err(|source| ModelError::Site { layer: layer.to_owned(), source })?;
        Ok(Some(QuantizerPlan { method: self.method, site, options: self.options.clone() }))
    }
}

/// What reaches a layer: the shape of one sample and the width of its elements.
#[derive(Debug, Clone)]
struct Flow {
    shape: Vec<i64>,
    bits: u64,
}

struct Walk {
    weights: Choice,
    activations: Choice,
    gradients: Choice,
    /// Layers that stay in full precision.
    float: Vec<String>,
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
        let mut nonlinearity = self.activations.method.nonlinearity();
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
                if !self.float.contains(name) {
                    for site in recurrent::states(name, *cell) {
                        quant.extend(self.activations.at(&site, index, Role::Activation, &[*hidden])?);
                    }
                    states = self.activations.bits.map_or(FLOAT_BITS, |bits| u64::from(bits.get()));
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
                if !self.float.contains(of) {
                    quant.extend(self.activations.at(of, index, Role::Activation, &input)?);
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
        if self.float.iter().any(|float| float == name) {
            return Ok(FLOAT_BITS);
        }
        let weights = self.weights.at(site, index, Role::Weight, weight)?;
        let bits = weights.as_ref().map_or(FLOAT_BITS, |planned| u64::from(planned.site.bits.get()));
        quant.extend(weights);
        quant.extend(self.gradients.at(site, index, Role::Gradient, output)?);
        Ok(bits)
    }

    fn cost(&mut self, layer: &str, macs: u64, weights: u64, weight_bits: u64, activation_bits: u64) {
        self.costs.push(LayerCost { layer: layer.to_owned(), macs, weights, weight_bits, activation_bits });
    }
}

/// Names of the layers that stay in full precision: each a layer, the `first`, the `last`, or all on `shortcuts`.
fn kept_in_float(layers: &[Layer], names: &[String]) -> Result<Vec<String>, ModelError> {
    let (mut sites, mut shortcuts) = (Vec::new(), Vec::new());
    for layer in layers {
        layer.each(&mut |layer| {
            sites.extend(layer.weighted());
            if let Layer::Residual { shortcut, .. } = layer {
                shortcuts.extend(shortcut.iter().filter_map(Layer::weighted));
            }
        });
    }
    let all = (!shortcuts.is_empty()).then_some("shortcuts");
    let listed = || all.iter().chain(&sites).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut kept = Vec::new();
    for name in names {
        let found = match name.as_str() {
            "first" => sites.first().map(std::slice::from_ref),
            "last" => sites.last().map(std::slice::from_ref),
            "shortcuts" if !shortcuts.is_empty() => Some(shortcuts.as_slice()),
            _ => sites.iter().find(|site| *site == name).map(std::slice::from_ref),
        };
        let found = found.ok_or_else(|| ModelError::UnknownLayer { name: name.clone(), layers: listed() })?;
        kept.extend(found.iter().map(|&site| site.to_owned()));
    }
    Ok(kept)
}
