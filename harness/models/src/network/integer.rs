//! A trained network with its batch normalizations in integers.
//!
//! Between a convolution (or linear layer) whose weights and input are evenly spaced codes and an activation that is
//! quantized on an even grid from zero, batch normalization is a map from an integer accumulator to a code. Here the
//! accumulator is computed exactly (integers in f64), a method folds the normalization into integers, and its codes
//! go on through the network. On the way each code is compared with what batch normalization in f64 and in f32
//! gives for the same accumulator.

use harness_methods::core::{
    BatchNormChannel, Codes, Dependence, Fold, IntegerBatchNorm, LevelTable, Method, MethodError, Options, StepContext,
};
use tch::{Kind, Tensor};

use super::module::{Module, max_pool};
use super::norm::BatchNorm;
use super::placed::PlacedQuantizer;
use super::weight::Weight;
use super::{Blind, Network, Pass};
use crate::ModelError;
use crate::plan::Input;

/// Result of a pass with integer batch normalization.
#[derive(Debug)]
pub struct IntegerPass {
    /// Scores, f32 `[n, classes]`.
    pub logits: Tensor,
    /// One entry for each batch normalization that was replaced.
    pub norms: Vec<IntegerNorm>,
    /// Batch normalizations that stayed, each with the reason.
    pub kept: Vec<String>,
}

/// One replaced batch normalization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerNorm {
    /// The layer that its codes feed.
    pub layer: String,
    /// Width of the codes.
    pub bits: u8,
    /// Channels.
    pub channels: usize,
    /// Range that the accumulator can reach, inclusive.
    pub range: (i64, i64),
    /// Shared shift.
    pub shift: u32,
    /// Codes compared.
    pub compared: u64,
    /// Codes that differ from batch normalization in f64 with rounding half up.
    pub different: u64,
    /// Codes that differ from the network's own batch normalization in f32.
    pub different_f32: u64,
}

/// What flows between two modules.
enum Flow {
    Real(Tensor),
    /// u8 codes of evenly spaced levels, one scale for the tensor.
    Coded(Tensor, Grid),
    /// Integers in f64 with the real value of one unit for each channel, and the range they can reach.
    Accumulated(Tensor, Vec<f64>, (i64, i64)),
}

/// `value = (step * code - zero) * scale`.
#[derive(Debug, Clone, Copy)]
struct Grid {
    step: i32,
    zero: i32,
    scale: f32,
    max_code: u8,
}

impl Grid {
    fn of(table: &LevelTable) -> Option<Grid> {
        match table {
            LevelTable::Affine { bits, step, zero, scale } if scale.len() == 1 => {
                Some(Grid { step: *step, zero: zero[0], scale: scale[0], max_code: bits.max_code() })
            }
            _ => None,
        }
    }

    fn integers(self, codes: &Tensor) -> Result<Tensor, ModelError> {
        let codes = codes.f_to_kind(Kind::Double)?;
        Ok(codes.f_mul_scalar(f64::from(self.step))?.f_sub_scalar(f64::from(self.zero))?)
    }

    /// Least and largest integer.
    fn range(self) -> (f64, f64) {
        let ends = [-self.zero, self.step * i32::from(self.max_code) - self.zero].map(f64::from);
        (ends[0].min(ends[1]), ends[0].max(ends[1]))
    }
}

impl Flow {
    /// The same tensors once more.
    fn share(&self) -> Flow {
        match self {
            Flow::Real(x) => Flow::Real(x.shallow_clone()),
            Flow::Coded(codes, grid) => Flow::Coded(codes.shallow_clone(), *grid),
            Flow::Accumulated(x, scales, range) => Flow::Accumulated(x.shallow_clone(), scales.clone(), *range),
        }
    }

    fn real(self) -> Result<Tensor, ModelError> {
        Ok(match self {
            Flow::Real(x) => x,
            Flow::Coded(codes, grid) => {
                grid.integers(&codes)?.f_to_kind(Kind::Float)?.f_mul_scalar(f64::from(grid.scale))?
            }
            Flow::Accumulated(x, scales, _) => x.f_mul(&channelwise(&scales, &x)?)?.f_to_kind(Kind::Float)?,
        })
    }
}

impl Network {
    /// Scores of `images` with batch normalization in integers, as `method` folds it, wherever that is possible.
    ///
    /// # Errors
    /// When the method cannot fold a normalization, or libtorch or a quantizer fails.
    pub fn integer_forward(
        &mut self,
        images: &Tensor,
        step: &StepContext,
        method: &dyn Method,
        options: &Options,
    ) -> Result<IntegerPass, ModelError> {
        let step = StepContext { training: false, ..*step };
        let mut pass = IntegerPass { logits: Tensor::new(), norms: Vec::new(), kept: Vec::new() };
        if self.input == Input::Tokens {
            pass.logits = self.forward(images, &step)?;
            return Ok(pass);
        }
        let mut folding = Folding { step: &step, method, options, pass: &mut pass };
        let flow = folding.list(&mut self.modules, Flow::Real(images.shallow_clone()), "it ends the network")?;
        pass.logits = flow.real()?;
        Ok(pass)
    }
}

/// The way through the modules, and what has been replaced so far.
struct Folding<'a> {
    step: &'a StepContext,
    method: &'a dyn Method,
    options: &'a Options,
    pass: &'a mut IntegerPass,
}

impl Folding<'_> {
    /// Passes the flow through modules in a row; `at_end` says why a normalization at their end cannot be folded.
    fn list(&mut self, modules: &mut [Module], mut flow: Flow, at_end: &'static str) -> Result<Flow, ModelError> {
        let mut rest = modules;
        while let Some((module, after)) = rest.split_first_mut() {
            if let Module::BatchNorm(norm) = &*module {
                if let Some(Module::Quantizer { placed, .. }) = after.first_mut() {
                    match try_fold(flow, norm, placed, self.step, self.method, self.options)? {
                        Ok((codes, grid, found)) => {
                            self.pass.norms.push(found);
                            flow = Flow::Coded(codes, grid);
                            rest = &mut after[1..];
                            continue;
                        }
                        Err((back, reason)) => {
                            self.pass.kept.push(format!("before `{}`: {reason}", placed.layer()));
                            flow = back;
                        }
                    }
                } else if let Flow::Accumulated(..) = flow {
                    let reason = if after.is_empty() { at_end } else { "what follows it is not quantized" };
                    self.pass.kept.push(format!("`{}`: {reason}", norm.name));
                }
            }
            flow = self.one(module, flow)?;
            rest = after;
        }
        Ok(flow)
    }

    fn one(&mut self, module: &mut Module, flow: Flow) -> Result<Flow, ModelError> {
        match (module, flow) {
            (Module::Conv { weight, stride, padding }, Flow::Coded(codes, grid)) => {
                accumulate(weight, self.step, codes, grid, |x, w| {
                    Ok(x.f_conv2d(w, None::<Tensor>, [*stride; 2], [*padding; 2], [1; 2], 1)?)
                })
            }
            (Module::Linear { weight }, Flow::Coded(codes, grid)) => {
                accumulate(weight, self.step, codes, grid, |x, w| Ok(x.f_linear(w, None::<Tensor>)?))
            }
            // Levels grow with codes and scales are not negative: the maximum may be taken before decoding.
            (Module::MaxPool(window), Flow::Coded(codes, grid)) => {
                let pooled = max_pool(&codes.f_to_kind(Kind::Float)?, *window)?;
                Ok(Flow::Coded(pooled.f_to_kind(Kind::Uint8)?, grid))
            }
            (Module::MaxPool(window), Flow::Accumulated(x, scales, range)) => {
                Ok(Flow::Accumulated(max_pool(&x, *window)?, scales, range))
            }
            (Module::AveragePool { side }, Flow::Coded(codes, grid)) if codes.size()[2..] == [*side; 2] => {
                Ok(Flow::Coded(codes, grid))
            }
            (Module::Flatten, Flow::Coded(codes, grid)) => Ok(Flow::Coded(codes.f_flatten(1, -1)?, grid)),
            (Module::Dropout { .. }, flow) => Ok(flow),
            (Module::Quantizer { placed, .. }, flow) => {
                let x = flow.real()?;
                let codes = placed.quantize(&x, self.step)?;
                match grid_of(placed, &codes)? {
                    Some(grid) => Ok(Flow::Coded(codes.codes, grid)),
                    None => Ok(Flow::Real(placed.forward(&x, self.step)?)),
                }
            }
            (Module::Sum(ways), flow) => {
                let ends = self.ways(ways, &flow, "it is added to another way before anything is quantized")?;
                let mut ends = ends.into_iter();
                let first = ends.next().map_or_else(|| flow.share().real(), Ok)?;
                Ok(Flow::Real(ends.try_fold(first, |sum, end| sum.f_add(&end))?))
            }
            (Module::Concat(ways), flow) => {
                let ends = self.ways(ways, &flow, "it is joined with other ways before anything is quantized")?;
                Ok(Flow::Real(Tensor::f_cat(&ends, 1)?))
            }
            (module, flow) => {
                let none = [].iter();
                let mut pass = Pass {
                    step: self.step,
                    observer: &mut Blind,
                    batch: 0,
                    before: none,
                    after: Vec::new(),
                    products: None,
                };
                Ok(Flow::Real(module.forward(&flow.real()?, &mut pass)?))
            }
        }
    }

    /// Real values at the end of each way.
    fn ways(&mut self, ways: &mut [Vec<Module>], flow: &Flow, at_end: &'static str) -> Result<Vec<Tensor>, ModelError> {
        ways.iter_mut().map(|way| self.list(way, flow.share(), at_end)?.real()).collect()
    }
}

/// The grid of codes that stand for evenly spaced levels whatever the sample.
fn grid_of(placed: &PlacedQuantizer, codes: &Codes) -> Result<Option<Grid>, ModelError> {
    if placed.quantizer.dependence() != Dependence::Element || codes.kept.is_some() {
        return Ok(None);
    }
    let table = codes.levels.to_table().map_err(at(&placed.layer()))?;
    Ok(table.as_ref().and_then(Grid::of))
}

fn at(layer: &str) -> impl Fn(MethodError) -> ModelError + use<> {
    let layer = layer.to_owned();
    move |source| ModelError::Site { layer: layer.clone(), source }
}

/// A convolution or linear layer on integers; on real numbers where its weights are not evenly spaced.
fn accumulate(
    weight: &mut Weight,
    step: &StepContext,
    codes: Tensor,
    grid: Grid,
    product: impl Fn(&Tensor, &Tensor) -> Result<Tensor, ModelError>,
) -> Result<Flow, ModelError> {
    if let (Some(placed), None) = (&mut weight.quantizer, &weight.bias) {
        let quantized = placed.quantize(&weight.value, step)?;
        let table = quantized.levels.to_table().map_err(at(&placed.layer()))?;
        if let (Some(LevelTable::Affine { step: distance, zero, scale, .. }), None) = (table, &quantized.kept) {
            let zeros: Vec<f64> = zero.iter().map(|&z| f64::from(z)).collect();
            let dimensions = weight.value.dim();
            let zeros = harness_methods::core::rows::column(&Tensor::from_slice(&zeros), dimensions)?;
            let integers = quantized.codes.f_to_kind(Kind::Double)?.f_mul_scalar(f64::from(distance))?.f_sub(&zeros)?;
            let channels = usize::try_from(weight.value.size()[0]).unwrap_or(0);
            let scales = (0..channels)
                .map(|c| f64::from(scale[if scale.len() == 1 { 0 } else { c }]) * f64::from(grid.scale))
                .collect();
            let range = reach(&integers, grid)?;
            return Ok(Flow::Accumulated(product(&grid.integers(&codes)?, &integers)?, scales, range));
        }
    }
    let value = weight.quantized(step, &mut Blind)?;
    let y = product(&Flow::Coded(codes, grid).real()?, &value)?;
    Ok(Flow::Real(match &weight.bias {
        Some(bias) => {
            let mut shape = vec![1; y.dim()];
            shape[1] = -1;
            y.f_add(&bias.f_view(shape.as_slice())?)?
        }
        None => y,
    }))
}

/// Least and largest accumulator over all channels, whatever the input codes; padding adds zeros.
fn reach(weights: &Tensor, grid: Grid) -> Result<(i64, i64), ModelError> {
    let (min, max) = grid.range();
    let rows = weights.f_flatten(1, -1)?;
    let (low, high) = (rows.f_mul_scalar(min.min(0.0))?, rows.f_mul_scalar(max.max(0.0))?);
    let bound = |t: Tensor, min: bool| -> Result<i64, ModelError> {
        let sums = t.f_sum_dim_intlist(1i64, false, Kind::Double)?;
        Ok(f64::try_from(&if min { sums.f_min()? } else { sums.f_max()? })? as i64)
    };
    Ok((bound(low.f_minimum(&high)?, true)?, bound(low.f_maximum(&high)?, false)?))
}

type Folded = (Tensor, Grid, IntegerNorm);

/// Folds one normalization and applies it, or gives the flow back with the reason why that cannot be.
fn try_fold(
    flow: Flow,
    norm: &BatchNorm,
    placed: &mut PlacedQuantizer,
    step: &StepContext,
    method: &dyn Method,
    options: &Options,
) -> Result<Result<Folded, (Flow, &'static str)>, ModelError> {
    let Flow::Accumulated(x, scales, range) = flow else {
        return Ok(Err((flow, "its input is no integer accumulator")));
    };
    // What the network itself would do, for the grid of the codes and to compare with.
    let real = x.f_mul(&channelwise(&scales, &x)?)?.f_to_kind(Kind::Float)?;
    let own = placed.quantize(&norm.forward(&real, false)?, step)?;
    let Some(grid) = grid_of(placed, &own)?.filter(|grid| grid.step == 1 && grid.zero == 0) else {
        return Ok(Err((Flow::Accumulated(x, scales, range), "its activation is not on an even grid from zero")));
    };
    if grid.scale <= 0.0 {
        return Ok(Err((Flow::Accumulated(x, scales, range), "its activation has never seen a positive value")));
    }
    let channels = norm.channels(&scales, f64::from(grid.scale))?;
    let site = placed.quantizer.site();
    let fold = Fold { channels: &channels, eps: norm.eps, range, bits: site.bits };
    let integers = method.fold(&fold, options).map_err(at(&site.layer))?;
    let codes = apply(&integers, &x, grid.max_code)?;
    let wide = norm.in_f64(&x, &channels, grid.max_code)?;
    let different = |other: &Tensor| -> Result<u64, ModelError> {
        let count = i64::try_from(&codes.f_ne_tensor(other)?.f_sum(Kind::Int64)?)?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    let found = IntegerNorm {
        layer: site.layer.clone(),
        bits: site.bits.get(),
        channels: channels.len(),
        range,
        shift: integers.shift,
        compared: codes.numel() as u64,
        different: different(&wide)?,
        different_f32: different(&own.codes)?,
    };
    Ok(Ok((codes, grid, found)))
}

/// `clip((a x + b) >> shift, 0, max)`, u8.
fn apply(integers: &IntegerBatchNorm, x: &Tensor, max_code: u8) -> Result<Tensor, ModelError> {
    let (a, b): (Vec<i64>, Vec<i64>) = integers.channels.iter().copied().unzip();
    let mut shape = vec![1; x.dim()];
    shape[1] = -1;
    let column = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_view(shape.as_slice());
    let line = x.f_to_kind(Kind::Int64)?.f_mul(&column(&a)?)?.f_add(&column(&b)?)?;
    let shifted = line.f_bitwise_right_shift_tensor_scalar(i64::from(integers.shift))?;
    Ok(shifted.f_clamp(0, i64::from(max_code))?.f_to_kind(Kind::Uint8)?)
}

impl BatchNorm {
    fn channels(&self, input: &[f64], output: f64) -> Result<Vec<BatchNormChannel>, ModelError> {
        let host = |t: &Tensor| Vec::<f64>::try_from(&t.f_detach()?.f_to_kind(Kind::Double)?);
        let (gamma, beta, mean, var) = (host(&self.scale)?, host(&self.shift)?, host(&self.mean)?, host(&self.var)?);
        let channel = |c: usize| BatchNormChannel {
            gamma: gamma[c],
            beta: beta[c],
            mean: mean[c],
            var: var[c],
            input_scale: input[c],
            output_scale: output,
        };
        Ok((0..input.len()).map(channel).collect())
    }

    /// Codes by batch normalization in f64, rounding half up.
    fn in_f64(&self, x: &Tensor, channels: &[BatchNormChannel], max_code: u8) -> Result<Tensor, ModelError> {
        let lines = channels.iter().map(|c| {
            let spread = (c.var + self.eps).sqrt();
            let slope = c.gamma * c.input_scale / (c.output_scale * spread);
            (slope, (c.beta - c.gamma * c.mean / spread) / c.output_scale + 0.5)
        });
        let (a, b): (Vec<f64>, Vec<f64>) = lines.unzip();
        let line = x.f_mul(&channelwise(&a, x)?)?.f_add(&channelwise(&b, x)?)?;
        Ok(line.f_floor()?.f_clamp(0.0, f64::from(max_code))?.f_to_kind(Kind::Uint8)?)
    }
}

/// A number a channel, shaped for `[n, c]` or `[n, c, h, w]`, f64.
fn channelwise(numbers: &[f64], x: &Tensor) -> Result<Tensor, ModelError> {
    let mut shape = vec![1; x.dim()];
    shape[1] = -1;
    Ok(Tensor::f_from_slice(numbers)?.f_view(shape.as_slice())?)
}
