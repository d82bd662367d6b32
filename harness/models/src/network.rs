//! A plan as libtorch modules.

mod calibrate;
mod integer;
mod module;
mod norm;
mod placed;
mod recurrent;
mod weight;

use harness_methods::core::statistics::Statistics;
use harness_methods::core::{MethodError, Role, StepContext};
use tch::{Device, Kind, TchError, Tensor, nn};

use crate::ModelError;
use crate::plan::{Input, Plan};
use crate::recurrent::{LayerState, State};
pub use calibrate::Calibrated;
pub use integer::{IntegerNorm, IntegerNorms, IntegerPass};
use module::Module;
use placed::PlacedQuantizer;

/// A network that can be trained. All its state is variables of the store it was built under.
#[derive(Debug)]
pub struct Network {
    modules: Vec<Module>,
    input: Input,
    device: Device,
    products: Option<Kind>,
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

/// `product(input, weights, bias)` of a layer.
type Product<'a> = &'a dyn Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, TchError>;

/// Watches what goes into the quantizers of a forward pass.
trait Observer {
    /// Whether [`Observer::see`] does anything.
    fn watches(&self) -> bool;

    fn see(&mut self, placed: &mut PlacedQuantizer, x: &Tensor, full_precision: &Tensor) -> Result<(), ModelError>;

    /// What is multiplied in a layer with quantized weights: its master weights, its input and the product.
    fn product(
        &mut self,
        _placed: &mut PlacedQuantizer,
        _weights: &Tensor,
        _x: &Tensor,
        _product: Product<'_>,
    ) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Sees nothing.
struct Blind;

impl Observer for Blind {
    fn watches(&self) -> bool {
        false
    }

    fn see(&mut self, _: &mut PlacedQuantizer, _: &Tensor, _: &Tensor) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Keeps the statistics of every site.
struct Measure {
    ctx: StepContext,
    sites: Vec<SiteStatistics>,
}

impl Observer for Measure {
    fn watches(&self) -> bool {
        true
    }

    fn see(&mut self, placed: &mut PlacedQuantizer, x: &Tensor, full_precision: &Tensor) -> Result<(), ModelError> {
        let site = placed.quantizer.site().clone();
        let wrap = |source: MethodError| ModelError::Site { layer: site.layer.clone(), source };
        let codes = placed.quantizer.quantize(x, &self.ctx).map_err(wrap)?;
        let statistics = Statistics::of(full_precision, &codes).map_err(wrap)?;
        self.sites.push(SiteStatistics {
            layer: site.layer.clone(),
            role: site.role,
            method: placed.method,
            bits: site.bits.get(),
            shape: x.size(),
            statistics,
        });
        Ok(())
    }
}

/// What goes with the data through the modules.
struct Pass<'a> {
    ctx: &'a StepContext,
    observer: &'a mut dyn Observer,
    /// Sequences processed side by side; 0 for images.
    batch: i64,
    /// States that recurrent layers start from, the next layer's first; empty: their initial states.
    before: std::slice::Iter<'a, LayerState>,
    /// States that they end with.
    after: Vec<LayerState>,
    /// Numbers that products are computed in; none: those of their factors.
    products: Option<Kind>,
    /// Set where batch normalization uses and keeps the statistics of the batch: how many batches came before it.
    estimating: Option<usize>,
}

impl Pass<'_> {
    /// A product of a whole batch with weights and a bias, computed in narrower numbers if so asked; its result is of
    /// the kind of `x` again.
    fn narrowed(
        &self,
        x: &Tensor,
        weights: &Tensor,
        bias: Option<&Tensor>,
        product: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, tch::TchError>,
    ) -> Result<Tensor, tch::TchError> {
        let Some(kind) = self.products else { return product(x, weights, bias) };
        let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
        product(&x.f_to_kind(kind)?, &weights.f_to_kind(kind)?, bias.as_ref())?.f_to_kind(x.kind())
    }
}

impl Network {
    /// Builds `plan` with variables under `root`, initialised from the default generator of the device. The names
    /// of variables are those of PyTorch: `conv1.weight`, `layer1.0.bn1.running_mean`.
    ///
    /// # Errors
    /// When a quantizer cannot be built or memory is short.
    pub fn new(plan: &Plan, root: &nn::Path<'_>) -> Result<Network, ModelError> {
        Ok(Network {
            modules: Module::list(&plan.steps, root)?,
            input: plan.input,
            device: root.device(),
            products: None,
        })
    }

    /// Lets convolutions and matrix products of whole batches compute in `kind` while training: faster on devices made
    /// for it. Normalization, quantizers, sums and the steps of recurrent layers stay in f32, and so does evaluation.
    pub fn narrow_products(&mut self, kind: Kind) {
        self.products = Some(kind);
    }

    /// Logits `[n, classes]` of images `[n, c, h, w]`; of a language model, logits `[time, batch, vocabulary]` of
    /// tokens `[time, batch]` from the initial state.
    ///
    /// # Errors
    /// When libtorch or a quantizer fails.
    pub fn forward(&mut self, input: &Tensor, ctx: &StepContext) -> Result<Tensor, ModelError> {
        Ok(self.run(input, &[], ctx, &mut Blind)?.0)
    }

    /// Logits `[time, batch, vocabulary]`, f32, of tokens `[time, batch]`, i64, that follow `state`, and the state
    /// after them. See [`crate::recurrent`].
    ///
    /// # Errors
    /// When the state is of another batch or network, and when libtorch or a quantizer fails.
    pub fn forward_tokens(
        &mut self,
        tokens: &Tensor,
        state: &State,
        ctx: &StepContext,
    ) -> Result<(Tensor, State), ModelError> {
        self.check_state(tokens, state)?;
        self.run(tokens, &state.layers, ctx, &mut Blind)
    }

    /// The state before the first token of `batch` texts. Without recurrent layers it is empty.
    ///
    /// # Errors
    /// When libtorch or a quantizer fails.
    pub fn initial_state(&mut self, batch: i64, ctx: &StepContext) -> Result<State, ModelError> {
        let device = self.device;
        let start = |module: &mut Module| match module {
            Module::Recurrent(layer) => Some(layer.initial(batch, device, ctx)),
            _ => None,
        };
        let layers = tch::no_grad(|| self.modules.iter_mut().filter_map(start).collect::<Result<_, _>>())?;
        Ok(State { layers })
    }

    /// Statistics of every weight and activation site in an evaluation pass over `input`, as for
    /// [`Network::forward`].
    ///
    /// # Errors
    /// As [`Network::forward`], and when a value is not finite.
    pub fn statistics(&mut self, input: &Tensor, ctx: &StepContext) -> Result<Vec<SiteStatistics>, ModelError> {
        let ctx = StepContext { training: false, ..*ctx };
        let mut measure = Measure { ctx, sites: Vec::new() };
        let _scores = tch::no_grad(|| self.run(input, &[], &ctx, &mut measure))?;
        Ok(measure.sites)
    }

    /// To be called after each optimizer step: lets the methods of weights hold them where they must be.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn after_step(&self) -> Result<(), ModelError> {
        self.modules.iter().try_for_each(|module| module.after_step())
    }

    fn run(
        &mut self,
        input: &Tensor,
        states: &[LayerState],
        ctx: &StepContext,
        observer: &mut dyn Observer,
    ) -> Result<(Tensor, State), ModelError> {
        self.run_as(input, states, ctx, observer, None)
    }

    /// A pass that estimates the statistics of batch normalization; `before` batches came before this one.
    fn run_estimating(&mut self, input: &Tensor, ctx: &StepContext, before: usize) -> Result<(), ModelError> {
        self.run_as(input, &[], ctx, &mut Blind, Some(before)).map(drop)
    }

    fn run_as(
        &mut self,
        input: &Tensor,
        states: &[LayerState],
        ctx: &StepContext,
        observer: &mut dyn Observer,
        estimating: Option<usize>,
    ) -> Result<(Tensor, State), ModelError> {
        let (x, batch) = match self.input {
            Input::Image(_) => (input.shallow_clone(), 0),
            Input::Tokens => (input.f_reshape([-1])?, columns(input)?),
        };
        let products = self.products.filter(|_| ctx.training);
        let mut pass = Pass { ctx, observer, batch, before: states.iter(), after: Vec::new(), products, estimating };
        let mut logits = module::forward_all(&mut self.modules, x, &mut pass)?;
        if self.input == Input::Tokens {
            logits = logits.f_view([-1, batch, logits.size()[1]])?;
        }
        Ok((logits, State { layers: pass.after }))
    }

    fn check_state(&self, tokens: &Tensor, state: &State) -> Result<(), ModelError> {
        let batch = columns(tokens)?;
        let hidden = self.modules.iter().filter_map(|module| match module {
            Module::Recurrent(layer) => Some(layer.hidden()),
            _ => None,
        });
        let expected: Vec<Vec<i64>> = hidden.map(|hidden| vec![batch, hidden]).collect();
        let found: Vec<Vec<i64>> = state.layers.iter().map(|layer| layer.hidden.size()).collect();
        if found == expected {
            return Ok(());
        }
        let found = found.concat();
        Err(ModelError::Sequence { what: "a state", found, expected: format!("{:?}", expected.concat()) })
    }
}

/// Number of sequences in `[time, batch]` tokens.
fn columns(tokens: &Tensor) -> Result<i64, ModelError> {
    match (tokens.size().as_slice(), tokens.kind()) {
        (&[time, batch], Kind::Int64) if time > 0 && batch > 0 => Ok(batch),
        (size, _) => Err(ModelError::Sequence {
            what: "tokens",
            found: size.to_vec(),
            expected: "i64 of `[time, batch]`, neither of them 0".to_owned(),
        }),
    }
}
