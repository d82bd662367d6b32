//! A plan as libtorch modules.

mod integer;

use harness_methods::core::statistics::Statistics;
use harness_methods::core::{MethodError, Nonlinearity, Quantizer, Role, Step};
use harness_torch::random;
use tch::nn::{self, Init, init};
use tch::{Kind, Tensor};

use crate::ModelError;
use crate::layer::Layer;
pub use integer::{IntegerNorm, IntegerPass};

use crate::plan::{LayerQuant, Plan, PlanStep, Planned, weight_shape};

/// A network that can be trained. All its state is variables of the store it was built under.
#[derive(Debug)]
pub struct Network {
    modules: Vec<Module>,
}

/// Statistics of one site of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteStatistics {
    /// Layer name.
    pub layer: String,
    /// Weight or activation.
    pub role: Role,
    /// Method name.
    pub method: &'static str,
    /// Bit width.
    pub bits: u8,
    /// Shape of the tensor that was measured.
    pub shape: Vec<i64>,
    /// What was measured.
    pub statistics: Statistics,
}

/// A quantizer with the name of its method.
#[derive(Debug)]
struct Occupied {
    method: &'static str,
    quantizer: Box<dyn Quantizer>,
}

#[derive(Debug)]
enum Module {
    Conv { weight: Weight, stride: i64, padding: i64 },
    Linear { weight: Weight },
    BatchNorm(BatchNorm),
    Activation { quantizer: Option<Occupied>, nonlinearity: Nonlinearity },
    MaxPool { size: i64 },
    Flatten,
    Dropout { index: u64, portion: f64 },
}

#[derive(Debug)]
struct Weight {
    value: Tensor,
    bias: Option<Tensor>,
    quantizer: Option<Occupied>,
    gradient: Option<Occupied>,
}

#[derive(Debug)]
struct BatchNorm {
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    var: Tensor,
}

impl BatchNorm {
    /// Weight of the newest batch in the running statistics, and what is added to the variance (PyTorch's).
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    fn new(path: &nn::Path<'_>, channels: i64) -> Result<BatchNorm, ModelError> {
        Ok(BatchNorm {
            scale: path.f_var("weight", &[channels], Init::Const(1.0))?,
            shift: path.f_var("bias", &[channels], Init::Const(0.0))?,
            mean: path.f_zeros_no_train("running_mean", &[channels])?,
            var: path.f_ones_no_train("running_var", &[channels])?,
        })
    }

    fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor, ModelError> {
        let (scale, shift, mean, var) = (Some(&self.scale), Some(&self.shift), Some(&self.mean), Some(&self.var));
        Ok(x.f_batch_norm(scale, shift, mean, var, training, Self::MOMENTUM, Self::EPS, true)?)
    }
}

/// Watches what goes into the quantizers of a forward pass.
trait Observer {
    fn see(&mut self, occupied: &mut Occupied, x: &Tensor, full_precision: &Tensor) -> Result<(), ModelError>;
}

/// Sees nothing.
struct Blind;

impl Observer for Blind {
    fn see(&mut self, _: &mut Occupied, _: &Tensor, _: &Tensor) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Keeps the statistics of every site.
struct Measure {
    step: Step,
    sites: Vec<SiteStatistics>,
}

impl Observer for Measure {
    fn see(&mut self, occupied: &mut Occupied, x: &Tensor, full_precision: &Tensor) -> Result<(), ModelError> {
        let site = occupied.quantizer.site().clone();
        let wrap = |source: MethodError| ModelError::Site { layer: site.layer.clone(), source };
        let codes = occupied.quantizer.quantize(x, &self.step).map_err(wrap)?;
        let statistics = Statistics::of(full_precision, &codes).map_err(wrap)?;
        self.sites.push(SiteStatistics {
            layer: site.layer.clone(),
            role: site.role,
            method: occupied.method,
            bits: site.bits.get(),
            shape: x.size(),
            statistics,
        });
        Ok(())
    }
}

impl Network {
    /// Builds `plan` with variables under `root`, initialised from the default generator of the device. The names
    /// of variables are those of PyTorch: `conv1.weight`, `bn1.running_mean`.
    ///
    /// # Errors
    /// When a quantizer cannot be built or memory is short.
    pub fn new(plan: &Plan, root: &nn::Path<'_>) -> Result<Network, ModelError> {
        let modules = plan.steps.iter().map(|step| Module::new(step, root)).collect::<Result<_, _>>()?;
        Ok(Network { modules })
    }

    /// Scores `[n, classes]` of images `[n, c, h, w]`.
    ///
    /// # Errors
    /// When libtorch or a quantizer fails.
    pub fn forward(&mut self, images: &Tensor, step: &Step) -> Result<Tensor, ModelError> {
        self.run(images, step, &mut Blind)
    }

    /// Statistics of every weight and activation site in an evaluation pass over `images`.
    ///
    /// # Errors
    /// As [`Network::forward`], and when a value is not finite.
    pub fn statistics(&mut self, images: &Tensor, step: &Step) -> Result<Vec<SiteStatistics>, ModelError> {
        let step = Step { training: false, ..*step };
        let mut measure = Measure { step, sites: Vec::new() };
        let _scores = tch::no_grad(|| self.run(images, &step, &mut measure))?;
        Ok(measure.sites)
    }

    /// To be called after each optimizer step: lets the methods of weights hold them where they must be.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn after_step(&self) -> Result<(), ModelError> {
        let weights = self.modules.iter().filter_map(|module| match module {
            Module::Conv { weight, .. } | Module::Linear { weight } => Some(weight),
            _ => None,
        });
        for Weight { value, quantizer, .. } in weights {
            let Some(Occupied { quantizer, .. }) = quantizer else { continue };
            tch::no_grad(|| quantizer.after_step(value))
                .map_err(|source| ModelError::Site { layer: quantizer.site().layer.clone(), source })?;
        }
        Ok(())
    }

    fn run(&mut self, images: &Tensor, step: &Step, observer: &mut dyn Observer) -> Result<Tensor, ModelError> {
        let mut x = images.shallow_clone();
        for module in &mut self.modules {
            x = module.forward(&x, step, observer)?;
        }
        Ok(x)
    }
}

impl Module {
    fn new(step: &PlanStep, root: &nn::Path<'_>) -> Result<Module, ModelError> {
        Ok(match &step.layer {
            Layer::Conv { name, stride, padding, bias, .. } => {
                Module::Conv { weight: Weight::new(step, *bias, &(root / name))?, stride: *stride, padding: *padding }
            }
            Layer::Linear { name, bias, .. } => Module::Linear { weight: Weight::new(step, *bias, &(root / name))? },
            Layer::BatchNorm { name } => Module::BatchNorm(BatchNorm::new(&(root / name), step.input[0])?),
            Layer::Activation { of } => Module::Activation {
                quantizer: occupy(step.quant.activations.as_ref(), &(root / of / "activation"))?,
                nonlinearity: step.nonlinearity,
            },
            Layer::MaxPool { size } => Module::MaxPool { size: *size },
            Layer::Flatten => Module::Flatten,
            Layer::Dropout { portion, .. } => Module::Dropout { index: step.index, portion: *portion },
        })
    }

    fn forward(&mut self, x: &Tensor, step: &Step, observer: &mut dyn Observer) -> Result<Tensor, ModelError> {
        Ok(match self {
            Module::Conv { weight, stride, padding } => {
                let value = weight.quantized(step, observer)?;
                let y = x.f_conv2d(&value, weight.bias.as_ref(), [*stride; 2], [*padding; 2], [1; 2], 1)?;
                weight.with_gradient(y, step)?
            }
            Module::Linear { weight } => {
                let value = weight.quantized(step, observer)?;
                let y = x.f_linear(&value, weight.bias.as_ref())?;
                weight.with_gradient(y, step)?
            }
            Module::BatchNorm(norm) => norm.forward(x, step.training)?,
            Module::Activation { quantizer: Some(occupied), nonlinearity } => {
                observer.see(occupied, x, &nonlinearity.apply(x)?)?;
                occupied.forward(x, step)?
            }
            Module::Activation { quantizer: None, nonlinearity } => nonlinearity.apply(x)?,
            Module::MaxPool { size } => x.f_max_pool2d([*size; 2], [*size; 2], [0; 2], [1; 2], false)?,
            Module::Flatten => x.f_flatten(1, -1)?,
            Module::Dropout { index, portion } if step.training => {
                let key = random::key(&[step.seed, *index, step.step]);
                let keep = random::uniform(&x.size(), key, x.device())?.f_ge(*portion)?;
                x.f_mul(&keep.f_to_kind(Kind::Float)?.f_div_scalar(1.0 - *portion)?)?
            }
            Module::Dropout { .. } => x.shallow_clone(),
        })
    }
}

impl Weight {
    fn new(step: &PlanStep, bias: bool, path: &nn::Path<'_>) -> Result<Weight, ModelError> {
        let shape = weight_shape(&step.layer, &step.input);
        let fan_in: i64 = shape[1..].iter().product();
        let bound = 1.0 / (fan_in as f64).sqrt();
        let bias =
            if bias { Some(path.f_var("bias", &shape[..1], Init::Uniform { lo: -bound, up: bound })?) } else { None };
        let LayerQuant { weights, gradients, .. } = &step.quant;
        Ok(Weight {
            value: path.f_var("weight", &shape, init::DEFAULT_KAIMING_UNIFORM)?,
            bias,
            quantizer: occupy(weights.as_ref(), &(path / "quantizer"))?,
            gradient: occupy(gradients.as_ref(), &(path / "gradient"))?,
        })
    }

    fn quantized(&mut self, step: &Step, observer: &mut dyn Observer) -> Result<Tensor, ModelError> {
        let Some(occupied) = &mut self.quantizer else { return Ok(self.value.shallow_clone()) };
        observer.see(occupied, &self.value, &self.value)?;
        occupied.forward(&self.value, step)
    }

    fn with_gradient(&mut self, y: Tensor, step: &Step) -> Result<Tensor, ModelError> {
        match &mut self.gradient {
            Some(occupied) if step.training => occupied.forward(&y, step),
            _ => Ok(y),
        }
    }
}

impl Occupied {
    fn forward(&mut self, x: &Tensor, step: &Step) -> Result<Tensor, ModelError> {
        let result = self.quantizer.forward(x, step);
        result.map_err(|source| ModelError::Site { layer: self.quantizer.site().layer.clone(), source })
    }
}

fn occupy(planned: Option<&Planned>, path: &nn::Path<'_>) -> Result<Option<Occupied>, ModelError> {
    let Some(Planned { method, site, options }) = planned else { return Ok(None) };
    let site = harness_methods::core::Site { device: path.device(), ..site.clone() };
    let built = method.quantizer(&site, options, path);
    let quantizer = built.map_err(|source| ModelError::Site { layer: site.layer.clone(), source })?;
    Ok(Some(Occupied { method: method.about().about.name, quantizer }))
}
