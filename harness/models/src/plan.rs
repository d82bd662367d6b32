//! What stands where: shapes, sites and cost of a model under a quantization configuration. Pure; nothing is
//! allocated, so that a sweep can be checked and estimated before it runs.

use harness_methods::core::{Bits, Method, Nonlinearity, Options, Role, Site};
use harness_records::config::{MethodChoice, ModelChoice, QuantConfig};
use harness_records::record::ModelRecord;
use tch::Device;

use crate::ModelError;
use crate::layer::Layer;
use crate::zoo;

/// Multiply-accumulates in full precision count as 32 x 32 bits.
const FLOAT_BITS: u64 = 32;

/// A model with everything decided.
#[derive(Debug)]
pub struct Plan {
    /// Layers in order, each with the shape that reaches it.
    pub steps: Vec<PlanStep>,
    /// Size and cost.
    pub size: ModelRecord,
}

/// One layer of a plan.
#[derive(Debug)]
pub struct PlanStep {
    /// The layer.
    pub layer: Layer,
    /// Shape of one sample before it, `[c, h, w]` or `[c]`.
    pub input: Vec<i64>,
    /// Number in the list; keys random draws.
    pub index: u64,
    /// Quantizers that stand here.
    pub quant: LayerQuant,
    /// What stands at an activation in full precision.
    pub nonlinearity: Nonlinearity,
}

/// Quantizers of one layer: weights and output gradient of a convolution or linear layer, or an activation.
#[derive(Debug, Default)]
pub struct LayerQuant {
    /// Weights.
    pub weights: Option<Planned>,
    /// Output gradient.
    pub gradients: Option<Planned>,
    /// Activation.
    pub activations: Option<Planned>,
}

impl LayerQuant {
    /// All that stand here.
    pub fn iter(&self) -> impl Iterator<Item = &Planned> {
        [&self.weights, &self.gradients, &self.activations].into_iter().flatten()
    }
}

/// A method at a site.
#[derive(Clone)]
pub struct Planned {
    /// The method.
    pub method: &'static dyn Method,
    /// Where.
    pub site: Site,
    /// With these options.
    pub options: Options,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} {}", self.method.about().about.name, self.site.layer, self.site.role)
    }
}

/// One of the three method choices, resolved.
struct Choice<'a> {
    method: &'static dyn Method,
    bits: Option<Bits>,
    options: &'a Options,
}

impl<'a> Choice<'a> {
    fn new(choice: &'a MethodChoice) -> Result<Choice<'a>, ModelError> {
        let method =
            harness_methods::find(&choice.method).ok_or_else(|| ModelError::UnknownMethod(choice.method.clone()))?;
        let bits = method.about().bits.and(choice.bits).and_then(Bits::new);
        Ok(Choice { method, bits, options: &choice.options })
    }

    fn at(&self, layer: &str, index: u64, role: Role, shape: Vec<i64>) -> Result<Option<Planned>, ModelError> {
        let Some(bits) = self.bits else { return Ok(None) };
        let site = Site { layer: layer.to_owned(), index, role, shape, bits, device: Device::Cpu };
        self.method
            .check(&site, self.options)
            .map_err(|source| ModelError::Site { layer: layer.to_owned(), source })?;
        Ok(Some(Planned { method: self.method, site, options: self.options.clone() }))
    }
}

impl Plan {
    /// Plans a model for images of `input` = `[channels, height, width]`.
    ///
    /// # Errors
    /// An unknown model, method or layer name; images too small for the network; a method that cannot stand at one
    /// of its sites.
    pub fn new(model: &ModelChoice, quant: &QuantConfig, input: [i64; 3], classes: i64) -> Result<Plan, ModelError> {
        let found = zoo::find(&model.name).ok_or_else(|| ModelError::UnknownModel(model.name.clone()))?;
        Plan::of_layers(found.layers(input, classes, &model.options), quant, input)
    }

    /// Plans a network given layer by layer.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of_layers(layers: Vec<Layer>, quant: &QuantConfig, input: [i64; 3]) -> Result<Plan, ModelError> {
        let float = kept_in_float(&layers, &quant.keep_float)?;
        let choices = (Choice::new(&quant.weights)?, Choice::new(&quant.activations)?, Choice::new(&quant.gradients)?);
        let mut plan = Plan {
            steps: Vec::with_capacity(layers.len()),
            size: ModelRecord { parameters: 0, macs: 0, weight_bits: 0, bit_ops: 0 },
        };
        let mut shape = input.to_vec();
        let mut activation_bits = FLOAT_BITS;
        for (index, layer) in (0u64..).zip(layers) {
            let after = output(&layer, &shape)?;
            let mut quant = LayerQuant::default();
            match &layer {
                Layer::Conv { name, .. } | Layer::Linear { name, .. } => {
                    let weight = weight_shape(&layer, &shape);
                    if !float.contains(name) {
                        quant.weights = choices.0.at(name, index, Role::Weight, weight.clone())?;
                        quant.gradients = choices.2.at(name, index, Role::Gradient, after.clone())?;
                    }
                    let bits = quant.weights.as_ref().map_or(FLOAT_BITS, |w| u64::from(w.site.bits.get()));
                    plan.size.count(&weight, &after, bits, activation_bits);
                    activation_bits = FLOAT_BITS;
                }
                Layer::Activation { of } if !float.contains(of) => {
                    quant.activations = choices.1.at(of, index, Role::Activation, shape.clone())?;
                    if let Some(planned) = &quant.activations {
                        activation_bits = u64::from(planned.site.bits.get());
                    }
                }
                _ => {}
            }
            plan.size.parameters += parameters(&layer, &shape);
            let nonlinearity = choices.1.method.nonlinearity();
            plan.steps.push(PlanStep { layer, input: shape, index, quant, nonlinearity });
            shape = after;
        }
        Ok(plan)
    }

    /// Every quantizer, in order.
    pub fn sites(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().flat_map(|step| step.quant.iter())
    }
}

/// Adds the multiplications of one layer.
trait Count {
    fn count(&mut self, weight: &[i64], output: &[i64], weight_bits: u64, activation_bits: u64);
}

impl Count for ModelRecord {
    fn count(&mut self, weight: &[i64], output: &[i64], weight_bits: u64, activation_bits: u64) {
        let weights = size(weight);
        // Every weight is used once for each place of its output channel.
        let macs = weights * size(output.get(1..).unwrap_or(&[]));
        self.macs += macs;
        self.weight_bits += weights * weight_bits;
        self.bit_ops += macs * weight_bits * activation_bits;
    }
}

fn size(shape: &[i64]) -> u64 {
    shape.iter().map(|&n| u64::try_from(n).unwrap_or(0)).product()
}

/// Names of the layers that stay in full precision.
fn kept_in_float(layers: &[Layer], names: &[String]) -> Result<Vec<String>, ModelError> {
    let sites: Vec<&String> = layers
        .iter()
        .filter_map(|layer| match layer {
            Layer::Conv { name, .. } | Layer::Linear { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    let find = |name: &String| match name.as_str() {
        "first" => sites.first().copied(),
        "last" => sites.last().copied(),
        _ => sites.iter().copied().find(|site| *site == name),
    };
    let listed = || sites.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let resolve = |name: &String| {
        find(name).cloned().ok_or_else(|| ModelError::UnknownLayer { name: name.clone(), layers: listed() })
    };
    names.iter().map(resolve).collect()
}

/// `[out, in, kernel, kernel]` or `[out, in]`; empty for a layer without weights.
pub(crate) fn weight_shape(layer: &Layer, input: &[i64]) -> Vec<i64> {
    let channels = input.first().copied().unwrap_or(1);
    match *layer {
        Layer::Conv { out, kernel, .. } => vec![out, channels, kernel, kernel],
        Layer::Linear { out, .. } => vec![out, channels],
        _ => Vec::new(),
    }
}

fn parameters(layer: &Layer, input: &[i64]) -> u64 {
    let weights = size(&weight_shape(layer, input));
    match layer {
        Layer::Conv { out, bias, .. } | Layer::Linear { out, bias, .. } => {
            weights + if *bias { size(&[*out]) } else { 0 }
        }
        Layer::BatchNorm { .. } => 2 * size(&input[..1]),
        _ => 0,
    }
}

/// Shape of one sample after a layer.
fn output(layer: &Layer, input: &[i64]) -> Result<Vec<i64>, ModelError> {
    let window = |name: &str, kernel: i64, stride: i64, padding: i64, out: i64| {
        let &[_, height, width] = input else {
            return Err(ModelError::TooSmall { layer: name.to_owned(), height: 1, width: 1, least: kernel });
        };
        let least = kernel - 2 * padding;
        if height < least || width < least {
            return Err(ModelError::TooSmall { layer: name.to_owned(), height, width, least });
        }
        let side = |n: i64| (n + 2 * padding - kernel) / stride + 1;
        Ok(vec![out, side(height), side(width)])
    };
    match layer {
        Layer::Conv { name, out, kernel, stride, padding, .. } => window(name, *kernel, *stride, *padding, *out),
        Layer::MaxPool { size } => window("pool", *size, *size, 0, input[0]),
        Layer::Linear { out, .. } => Ok(vec![*out]),
        Layer::Flatten => Ok(vec![input.iter().product()]),
        Layer::BatchNorm { .. } | Layer::Activation { .. } | Layer::Dropout { .. } => Ok(input.to_vec()),
    }
}
