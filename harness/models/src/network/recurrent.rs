//! A recurrent layer, unrolled over time. Its equations stand in [`crate::recurrent`].

use harness_methods::core::{Role, StepContext};
use harness_torch::random;
use tch::nn::{self, Init};
use tch::{Device, Kind, Tensor};

use super::Pass;
use super::placed::{PlacedQuantizer, folder};
use super::weight::Weight;
use crate::ModelError;
use crate::layer::{Cell, Squash};
use crate::plan::PlanStep;
use crate::recurrent::{LayerState, Matrix, matrices, states};

#[derive(Debug)]
pub(super) struct Recurrent {
    cell: Cell,
    squash: Squash,
    hidden: i64,
    weights: Vec<Weight>,
    states: Vec<States>,
}

/// A state that is quantized at every token.
#[derive(Debug)]
struct States {
    placed: Option<PlacedQuantizer>,
    /// What went into the quantizer, while somebody observes.
    seen: Option<Vec<Tensor>>,
}

impl States {
    fn quantized(&mut self, x: Tensor, ctx: &StepContext) -> Result<Tensor, ModelError> {
        let Some(placed) = &mut self.placed else { return Ok(x) };
        let y = placed.forward(&x, ctx)?;
        self.seen.iter_mut().for_each(|seen| seen.push(x.shallow_clone()));
        Ok(y)
    }
}

/// The quantized matrix of a layer, cut in two.
struct Parts {
    /// Over the input.
    input: Tensor,
    /// Over the hidden state.
    state: Tensor,
}

impl Recurrent {
    pub(super) fn new(
        step: &PlanStep,
        name: &str,
        cell: Cell,
        hidden: i64,
        squash: Squash,
        root: &nn::Path<'_>,
    ) -> Result<Recurrent, ModelError> {
        let weight = |(number, Matrix { site, shape }): (usize, Matrix)| {
            // Unit variance of what a matrix gives; the gates of a GRU start open.
            let bound = (3.0 / shape[1] as f64).sqrt();
            let bias = if cell == Cell::Gru && number == 0 { 1.0 } else { 0.0 };
            let (init, bias) = (Init::Uniform { lo: -bound, up: bound }, Init::Const(bias));
            Weight::with(step, &site, &shape, init, Some(bias), root)
        };
        let state = |site: String| {
            let planned = step.planned(Role::Activation, &site);
            let placed = PlacedQuantizer::new(planned, &(folder(root, &site) / "activation"))?;
            Ok(States { placed, seen: None })
        };
        let matrices = matrices(name, cell, step.input[0], hidden).into_iter().enumerate();
        Ok(Recurrent {
            cell,
            squash,
            hidden,
            weights: matrices.map(weight).collect::<Result<_, _>>()?,
            states: states(name, cell).into_iter().map(state).collect::<Result<_, ModelError>>()?,
        })
    }

    /// Length of the state.
    pub(super) fn hidden(&self) -> i64 {
        self.hidden
    }

    /// The state before the first token.
    pub(super) fn initial(&mut self, batch: i64, device: Device, ctx: &StepContext) -> Result<LayerState, ModelError> {
        let zeros = Tensor::f_zeros([batch, self.hidden], (Kind::Float, device))?;
        let hidden = self.squash(&zeros)?;
        let hidden = match self.states.last_mut() {
            Some(States { placed: Some(placed), .. }) => placed.forward(&hidden, ctx)?,
            _ => hidden,
        };
        let cell = (self.cell == Cell::Lstm).then_some(zeros);
        Ok(LayerState { hidden, cell })
    }

    /// `x` is `[time batch, input]`, the result `[time batch, hidden]`.
    pub(super) fn forward(&mut self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, ModelError> {
        let mut state = match pass.before.next() {
            Some(state) => state.share(),
            None => self.initial(pass.batch, x.device(), pass.ctx)?,
        };
        let mut parts = Vec::with_capacity(self.weights.len());
        let mut inputs = Vec::with_capacity(self.weights.len());
        for weight in &mut self.weights {
            let value = weight.quantized(pass.ctx, pass.observer)?;
            let width = x.size()[1];
            let part = Parts {
                input: value.f_narrow(1, 0, width)?,
                state: value.f_narrow(1, width, self.hidden)?.f_transpose(0, 1)?,
            };
            // The input's share of all tokens at once.
            let rows = pass.narrowed(x, &part.input, weight.bias.as_ref(), |x, w, bias| x.f_linear(w, bias))?;
            inputs.push(rows.f_view([-1, pass.batch, rows.size()[1]])?.f_unbind(0)?);
            parts.push(part);
        }
        let watched = pass.observer.watches();
        self.states.iter_mut().for_each(|states| states.seen = watched.then(Vec::new));
        let mut outputs = Vec::with_capacity(inputs[0].len());
        for time in 0..inputs[0].len() {
            // Each token draws its own noise.
            let seed = random::key(&[pass.ctx.seed, time as u64]);
            let ctx = StepContext { seed, ..*pass.ctx };
            let rows: Vec<&Tensor> = inputs.iter().map(|rows| &rows[time]).collect();
            state = match self.cell {
                Cell::Lstm => self.lstm(&rows, &parts, &state, &ctx)?,
                Cell::Gru => self.gru(&rows, &parts, &state, &ctx)?,
            };
            outputs.push(state.hidden.shallow_clone());
        }
        for States { placed, seen } in &mut self.states {
            if let (Some(placed), Some(seen)) = (placed, seen.take()) {
                let seen = Tensor::f_cat(&seen, 0)?;
                pass.observer.see(placed, &seen, &seen)?;
            }
        }
        pass.after.push(state);
        Ok(Tensor::f_cat(&outputs, 0)?)
    }

    fn lstm(
        &mut self,
        rows: &[&Tensor],
        parts: &[Parts],
        state: &LayerState,
        ctx: &StepContext,
    ) -> Result<LayerState, ModelError> {
        let gates = self.weights[0].with_gradient(rows[0].f_addmm(&state.hidden, &parts[0].state)?, ctx)?;
        let part = |number: i64| gates.f_narrow(1, number * self.hidden, self.hidden);
        let (input, candidate, forget, output) = (part(0)?, part(1)?, part(2)?, part(3)?);
        let new = input.f_sigmoid()?.f_mul(&self.squash(&candidate)?)?;
        let forget = forget.f_add_scalar(1.0)?.f_sigmoid()?;
        let cell = match &state.cell {
            Some(cell) => cell.f_mul(&forget)?.f_add(&new)?,
            None => new,
        };
        let hidden = self.squash(&cell)?.f_mul(&output.f_sigmoid()?)?;
        Ok(LayerState { hidden: self.states[0].quantized(hidden, ctx)?, cell: Some(cell) })
    }

    fn gru(
        &mut self,
        rows: &[&Tensor],
        parts: &[Parts],
        state: &LayerState,
        ctx: &StepContext,
    ) -> Result<LayerState, ModelError> {
        let gates = self.weights[0].with_gradient(rows[0].f_addmm(&state.hidden, &parts[0].state)?, ctx)?;
        let open = gates.f_sigmoid()?;
        let (reset, update) = (open.f_narrow(1, 0, self.hidden)?, open.f_narrow(1, self.hidden, self.hidden)?);
        let kept = self.states[0].quantized(reset.f_mul(&state.hidden)?, ctx)?;
        let new = self.weights[1].with_gradient(rows[1].f_addmm(&kept, &parts[1].state)?, ctx)?;
        let new = self.squash(&new)?;
        let new = self.states[1].quantized(new, ctx)?;
        // u h + (1 - u) c
        let hidden = new.f_lerp_tensor(&state.hidden, &update)?;
        Ok(LayerState { hidden: self.states[2].quantized(hidden, ctx)?, cell: None })
    }

    fn squash(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(match self.squash {
            Squash::Sigmoid => x.f_sigmoid()?,
            Squash::Tanh => x.f_tanh()?,
        })
    }

    pub(super) fn after_step(&self) -> Result<(), ModelError> {
        self.weights.iter().try_for_each(Weight::after_step)
    }
}
