//! The modules of a network.

use harness_methods::core::{Nonlinearity, Role};
use harness_torch::random;
use tch::nn::{self, Init};
use tch::{Kind, Tensor};

use super::Pass;
use super::norm::BatchNorm;
use super::placed::{PlacedQuantizer, folder};
use super::recurrent::Recurrent;
use super::weight::Weight;
use crate::ModelError;
use crate::layer::{Layer, Window};
use crate::plan::PlanStep;

#[derive(Debug)]
pub(super) enum Module {
    Conv { weight: Weight, stride: i64, padding: i64 },
    Linear { weight: Weight },
    BatchNorm(BatchNorm),
    Quantizer { placed: PlacedQuantizer, nonlinearity: Nonlinearity },
    Nonlinearity(Nonlinearity),
    Prelu { slope: Tensor },
    MaxPool(Window),
    AveragePool { side: i64 },
    Flatten,
    Dropout { index: u64, fraction: f64 },
    Subsample { before: i64, after: i64, stride: i64 },
    Embedding { vectors: Tensor },
    Recurrent(Box<Recurrent>),
    Sum(Vec<Vec<Module>>),
    Concat(Vec<Vec<Module>>),
}

/// Passes `x` through all modules.
pub(super) fn forward_all(modules: &mut [Module], x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, ModelError> {
    modules.iter_mut().try_fold(x, |x, module| module.forward(&x, pass))
}

/// What all ways make of the same `x`.
fn forward_ways(ways: &mut [Vec<Module>], x: &Tensor, pass: &mut Pass<'_>) -> Result<Vec<Tensor>, ModelError> {
    ways.iter_mut().map(|way| forward_all(way, x.shallow_clone(), pass)).collect()
}

impl Module {
    pub(super) fn list(steps: &[PlanStep], root: &nn::Path<'_>) -> Result<Vec<Module>, ModelError> {
        let mut modules = Vec::with_capacity(steps.len());
        for step in steps {
            let (common, ways) = hoisted(&step.ways);
            modules.extend(common.map(Module::Nonlinearity));
            let ways = ways.into_iter().map(|way| Module::list(way, root)).collect::<Result<_, _>>()?;
            modules.push(Module::new(step, ways, root)?);
        }
        Ok(modules)
    }

    fn new(step: &PlanStep, ways: Vec<Vec<Module>>, root: &nn::Path<'_>) -> Result<Module, ModelError> {
        Ok(match &step.layer {
            Layer::Conv { name, stride, padding, bias, .. } => {
                Module::Conv { weight: Weight::new(step, name, *bias, root)?, stride: *stride, padding: *padding }
            }
            Layer::Linear { name, bias, .. } => Module::Linear { weight: Weight::new(step, name, *bias, root)? },
            Layer::BatchNorm { name, eps } => Module::BatchNorm(BatchNorm::new(name, *eps, step.input[0], root)?),
            Layer::Activation { of, .. } => {
                let planned = step.planned(Role::Activation, of);
                match PlacedQuantizer::new(planned, &(folder(root, of) / "activation"))? {
                    Some(placed) => Module::Quantizer { placed, nonlinearity: step.nonlinearity },
                    None => Module::Nonlinearity(step.nonlinearity),
                }
            }
            Layer::Relu => Module::Nonlinearity(Nonlinearity::Relu),
            Layer::Prelu { name } => {
                let slope = folder(root, name).f_var("weight", &step.input[..1], Init::Const(0.25))?;
                Module::Prelu { slope }
            }
            Layer::MaxPool(window) => Module::MaxPool(*window),
            Layer::AveragePool { side } => Module::AveragePool { side: *side },
            Layer::Flatten => Module::Flatten,
            Layer::Dropout { fraction, .. } => Module::Dropout { index: step.index, fraction: *fraction },
            Layer::Subsample { out, stride } => {
                let added = out - step.input[0];
                Module::Subsample { before: added / 2, after: added - added / 2, stride: *stride }
            }
            Layer::Embedding { name, tokens, size } => {
                let shape = [*tokens, *size];
                let vectors = folder(root, name).f_var("weight", &shape, Init::Uniform { lo: 0.0, up: 1.0 })?;
                Module::Embedding { vectors }
            }
            Layer::Recurrent { name, cell, hidden, squash } => {
                Module::Recurrent(Box::new(Recurrent::new(step, name, *cell, *hidden, *squash, root)?))
            }
            Layer::Residual { .. } => Module::Sum(ways),
            Layer::Concat { .. } => Module::Concat(ways),
        })
    }

    pub(super) fn forward(&mut self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, ModelError> {
        Ok(match self {
            Module::Conv { weight, stride, padding } => {
                weight.apply(x, pass, |x, w, bias| x.f_conv2d(w, bias, [*stride; 2], [*padding; 2], [1; 2], 1))?
            }
            Module::Linear { weight } => weight.apply(x, pass, |x, w, bias| x.f_linear(w, bias))?,
            Module::BatchNorm(norm) => match pass.estimating {
                Some(before) => norm.estimate(x, before)?,
                None => norm.forward(x, pass.ctx.training)?,
            },
            Module::Quantizer { placed, nonlinearity } => {
                if pass.observer.watches() {
                    pass.observer.see(placed, x, &nonlinearity.apply(x)?)?;
                }
                placed.forward(x, pass.ctx)?
            }
            Module::Nonlinearity(nonlinearity) => nonlinearity.apply(x)?,
            Module::Prelu { slope } => x.f_prelu(slope)?,
            Module::MaxPool(window) => max_pool(x, *window)?,
            Module::AveragePool { side } if x.size()[2..] == [*side; 2] => x.shallow_clone(),
            Module::AveragePool { side } => x.f_adaptive_avg_pool2d([*side; 2])?,
            Module::Flatten => x.f_flatten(1, -1)?,
            Module::Dropout { index, fraction } if pass.ctx.training => {
                let key = random::key(&[pass.ctx.seed, *index, pass.ctx.step]);
                let keep = random::uniform(&x.size(), key, x.device())?.f_ge(*fraction)?;
                x.f_mul(&keep.f_to_kind(Kind::Float)?.f_div_scalar(1.0 - *fraction)?)?
            }
            Module::Dropout { .. } => x.shallow_clone(),
            Module::Subsample { before, after, stride } => {
                let pixels = x.f_slice(2, None, None, *stride)?.f_slice(3, None, None, *stride)?;
                pixels.f_constant_pad_nd([0, 0, 0, 0, *before, *after])?
            }
            Module::Embedding { vectors } => Tensor::f_embedding(vectors, x, -1, false, false)?,
            Module::Recurrent(layer) => layer.forward(x, pass)?,
            Module::Sum(ways) => {
                let mut ends = forward_ways(ways, x, pass)?.into_iter();
                let first = ends.next().unwrap_or_else(|| x.shallow_clone());
                ends.try_fold(first, |sum, end| sum.f_add(&end))?
            }
            Module::Concat(ways) => Tensor::f_cat(&forward_ways(ways, x, pass)?, 1)?,
        })
    }

    pub(super) fn after_step(&self) -> Result<(), ModelError> {
        match self {
            Module::Conv { weight, .. } | Module::Linear { weight } => weight.after_step(),
            Module::Recurrent(layer) => layer.after_step(),
            Module::Sum(ways) | Module::Concat(ways) => ways.iter().flatten().try_for_each(Module::after_step),
            _ => Ok(()),
        }
    }
}

pub(super) fn max_pool(x: &Tensor, window: Window) -> Result<Tensor, tch::TchError> {
    let Window { size, stride, padding, ceil } = window;
    x.f_max_pool2d([size; 2], [stride; 2], [padding; 2], [1; 2], ceil)
}

/// The non-linearity that all ways begin with, and the ways without it: computed once, values and gradients are the
/// same to the bit.
fn hoisted(ways: &[Vec<PlanStep>]) -> (Option<Nonlinearity>, Vec<&[PlanStep]>) {
    let mut heads = ways.iter().map(|way| way.first().and_then(plain));
    let common = heads.next().flatten();
    let skipped = usize::from(common.is_some() && heads.all(|head| head == common));
    (common.filter(|_| skipped == 1), ways.iter().map(|way| &way[skipped..]).collect())
}

/// The non-linearity in full precision that a layer is.
fn plain(step: &PlanStep) -> Option<Nonlinearity> {
    match step.layer {
        Layer::Relu | Layer::Activation { .. } if step.quant.is_empty() => Some(step.nonlinearity),
        _ => None,
    }
}
