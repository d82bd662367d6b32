//! A trained network with its batch normalizations in integers.
//!
//! Between a convolution (or linear layer) whose weights and input are evenly spaced codes and an activation that is
//! quantized on an even grid from zero, batch normalization is a map from an integer accumulator to a code.
//!
//! [`Network::fold_batch_norms`] passes one sample through the network, notes every such normalization, and has a
//! folder choose the integers of all of them together: nothing that the folder sees depends on the sample.
//! [`Network::integer_forward`] then computes the accumulators exactly (integers in f64), applies the integers, and
//! passes the codes on. Each code is compared with what batch normalization in f64 and in f32 gives for the same
//! accumulator.

use harness_methods::core::{
    BatchNormChannel, BatchNormFolder, Codes, Dependence, IntegerBatchNorm, LevelTable, MethodError, NormLayer,
    Options, StepContext,
};
use tch::{Kind, Tensor};

use super::module::{Module, max_pool};
use super::norm::BatchNorm;
use super::placed::PlacedQuantizer;
use super::weight::Weight;
use super::{Blind, Network, Pass};
use crate::ModelError;
use crate::plan::Input;

/// The batch normalizations of a network as integers.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerNorms {
    /// Batch normalizations that are replaced, in the order in which the data meets them.
    pub layers: Vec<NormLayer>,
    /// The integers of each of [`IntegerNorms::layers`].
    pub integers: Vec<IntegerBatchNorm>,
    /// Batch normalizations that stay as they are, each with the reason.
    pub kept: Vec<String>,
}

/// Result of a pass with integer batch normalization.
#[derive(Debug)]
pub struct IntegerPass {
    /// Logits, f32 `[n, classes]`.
    pub logits: Tensor,
    /// One entry for each batch normalization that was replaced.
    pub norms: Vec<IntegerNorm>,
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
    /// The integers that `folder` chooses for every batch normalization that can be replaced. `sample` is any input,
    /// `[n, channels, height, width]`; the result does not depend on its values.
    ///
    /// # Errors
    /// When the folder cannot fold a normalization, or libtorch or a quantizer fails.
    pub fn fold_batch_norms(
        &mut self,
        sample: &Tensor,
        ctx: &StepContext,
        folder: &dyn BatchNormFolder,
        options: &Options,
    ) -> Result<IntegerNorms, ModelError> {
        let mut norms = IntegerNorms { layers: Vec::new(), integers: Vec::new(), kept: Vec::new() };
        let _ = self.walk(sample, ctx, Norms::Noted(&mut norms))?;
        norms.integers = folder.fold(&norms.layers, options).map_err(ModelError::Fold)?;
        if norms.integers.len() != norms.layers.len() {
            let (found, expected) = (norms.integers.len(), norms.layers.len());
            return Err(ModelError::FoldedLayers { found, expected });
        }
        Ok(norms)
    }

    /// Logits of `images` with batch normalization replaced by `norms`, which [`Network::fold_batch_norms`] gave.
    ///
    /// # Errors
    /// When libtorch or a quantizer fails.
    pub fn integer_forward(
        &mut self,
        images: &Tensor,
        ctx: &StepContext,
        norms: &IntegerNorms,
    ) -> Result<IntegerPass, ModelError> {
        let mut found = Vec::new();
        let logits = self.walk(images, ctx, Norms::Applied { integers: norms.integers.iter(), found: &mut found })?;
        Ok(IntegerPass { logits, norms: found })
    }

    fn walk(&mut self, images: &Tensor, ctx: &StepContext, norms: Norms<'_>) -> Result<Tensor, ModelError> {
        let ctx = StepContext { training: false, ..*ctx };
        if self.input == Input::Tokens {
            return self.forward(images, &ctx);
        }
        let flow = Flow::Real(images.shallow_clone());
        Walk { ctx: &ctx, norms }.list(&mut self.modules, flow, "it ends the network")?.real()
    }
}

/// What happens to a batch normalization that can be replaced.
enum Norms<'a> {
    /// It is noted, and the codes that the network itself gives go on.
    Noted(&'a mut IntegerNorms),
    /// The next integers are applied, compared with the network's own codes, and their codes go on.
    Applied { integers: std::slice::Iter<'a, IntegerBatchNorm>, found: &'a mut Vec<IntegerNorm> },
}

impl Norms<'_> {
    fn keep(&mut self, reason: String) {
        if let Norms::Noted(norms) = self {
            norms.kept.push(reason);
        }
    }
}

/// The way through the modules.
struct Walk<'a> {
    ctx: &'a StepContext,
    norms: Norms<'a>,
}

impl Walk<'_> {
    /// Passes the flow through modules in a row; `at_end` says why a normalization at their end cannot be folded.
    fn list(&mut self, modules: &mut [Module], mut flow: Flow, at_end: &'static str) -> Result<Flow, ModelError> {
        let mut rest = modules;
        while let Some((module, after)) = rest.split_first_mut() {
            if let Module::BatchNorm(norm) = &*module {
                if let Some(Module::Quantizer { placed, .. }) = after.first_mut() {
                    match self.normalized(flow, norm, placed)? {
                        Ok((codes, grid)) => {
                            flow = Flow::Coded(codes, grid);
                            rest = &mut after[1..];
                            continue;
                        }
                        Err((back, reason)) => {
                            self.norms.keep(format!("before `{}`: {reason}", placed.layer()));
                            flow = back;
                        }
                    }
                } else if let Flow::Accumulated(..) = flow {
                    let reason = if after.is_empty() { at_end } else { "what follows it is not quantized" };
                    self.norms.keep(format!("`{}`: {reason}", norm.name));
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
                accumulate(weight, self.ctx, codes, grid, |x, w| {
                    Ok(x.f_conv2d(w, None::<Tensor>, [*stride; 2], [*padding; 2], [1; 2], 1)?)
                })
            }
            (Module::Linear { weight }, Flow::Coded(codes, grid)) => {
                accumulate(weight, self.ctx, codes, grid, |x, w| Ok(x.f_linear(w, None::<Tensor>)?))
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
                let codes = placed.quantize(&x, self.ctx)?;
                match grid_of(placed, &codes)? {
                    Some(grid) => Ok(Flow::Coded(codes.codes, grid)),
                    None => Ok(Flow::Real(placed.forward(&x, self.ctx)?)),
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
                    ctx: self.ctx,
                    observer: &mut Blind,
                    batch: 0,
                    before: none,
                    after: Vec::new(),
                    products: None,
                    estimating: None,
                };
                Ok(Flow::Real(module.forward(&flow.real()?, &mut pass)?))
            }
        }
    }

    /// The codes behind one normalization and the quantizer after it, or the flow again with the reason why that
    /// normalization stays.
    fn normalized(
        &mut self,
        flow: Flow,
        norm: &BatchNorm,
        placed: &mut PlacedQuantizer,
    ) -> Result<Normalized, ModelError> {
        let Flow::Accumulated(x, scales, range) = flow else {
            return Ok(Err((flow, "its input is no integer accumulator")));
        };
        // What the network itself would do, for the grid of the codes and to compare with.
        let real = x.f_mul(&channelwise(&scales, &x)?)?.f_to_kind(Kind::Float)?;
        let own = placed.quantize(&norm.forward(&real, false)?, self.ctx)?;
        let Some(grid) = grid_of(placed, &own)?.filter(|grid| grid.step == 1 && grid.zero == 0) else {
            return Ok(Err((Flow::Accumulated(x, scales, range), "its activation is not on an even grid from zero")));
        };
        if grid.scale <= 0.0 {
            return Ok(Err((Flow::Accumulated(x, scales, range), "its activation has never seen a positive value")));
        }
        let site = placed.quantizer.site();
        let layer = NormLayer {
            name: site.layer.clone(),
            channels: norm.channels(&scales, f64::from(grid.scale))?,
            eps: norm.eps,
            range,
            bits: site.bits,
        };
        let codes = match &mut self.norms {
            Norms::Noted(norms) => {
                norms.layers.push(layer);
                own.codes
            }
            Norms::Applied { integers, found } => {
                let missing = "the integers belong to another network";
                let Some(integers) = integers.next().filter(|found| found.channels.len() == layer.channels.len())
                else {
                    return Ok(Err((Flow::Accumulated(x, scales, range), missing)));
                };
                let codes = apply(integers, &x, grid.max_code)?;
                found.push(compared(
                    &layer,
                    integers,
                    &codes,
                    &own.codes,
                    &norm.in_f64(&x, &layer.channels, grid.max_code)?,
                )?);
                codes
            }
        };
        Ok(Ok((codes, grid)))
    }

    /// Real values at the end of each way.
    fn ways(&mut self, ways: &mut [Vec<Module>], flow: &Flow, at_end: &'static str) -> Result<Vec<Tensor>, ModelError> {
        ways.iter_mut().map(|way| self.list(way, flow.share(), at_end)?.real()).collect()
    }
}

/// Codes and their grid, or the flow as it was with the reason why a normalization stays.
type Normalized = Result<(Tensor, Grid), (Flow, &'static str)>;

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
    ctx: &StepContext,
    codes: Tensor,
    grid: Grid,
    product: impl Fn(&Tensor, &Tensor) -> Result<Tensor, ModelError>,
) -> Result<Flow, ModelError> {
    if let (Some(placed), None) = (&mut weight.quantizer, &weight.bias) {
        let quantized = placed.quantize(&weight.value, ctx)?;
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
    let value = weight.quantized(ctx, &mut Blind)?;
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

/// What one replacement changed: `codes` beside the network's `own` and those of batch normalization in f64, all u8.
fn compared(
    layer: &NormLayer,
    integers: &IntegerBatchNorm,
    codes: &Tensor,
    own: &Tensor,
    in_f64: &Tensor,
) -> Result<IntegerNorm, ModelError> {
    let different = |other: &Tensor| -> Result<u64, ModelError> {
        let count = i64::try_from(&codes.f_ne_tensor(other)?.f_sum(Kind::Int64)?)?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    Ok(IntegerNorm {
        layer: layer.name.clone(),
        bits: layer.bits.get(),
        channels: layer.channels.len(),
        range: layer.range,
        shift: integers.shift,
        compared: codes.numel() as u64,
        different: different(in_f64)?,
        different_f32: different(own)?,
    })
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
