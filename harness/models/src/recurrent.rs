//! Language models: how they are called, and what is quantized in a recurrent layer.
//!
//! A language model is a layer list like any other, in which one sample is one token:
//! embedding, activation, [`crate::layer::Layer::Recurrent`], linear layer. What is special is its input and its
//! state:
//!
//! ```text
//! let plan = Plan::new(&model, &quant, Input::Tokens, vocabulary)?;
//! let mut network = Network::new(&plan, &store.root())?;
//! let mut state = network.initial_state(batch, &step)?;          // every layer's states, [batch, hidden] each
//! for tokens in segments {                                       // i64 [time, batch], on the network's device
//!     let (logits, next) = network.forward_tokens(&tokens, &state, &step)?;   // f32 [time, batch, vocabulary]
//!     // ... loss, backward, optimizer step ...
//!     state = next.detached()?;                                  // truncated back-propagation through time ends here
//! }
//! ```
//!
//! `tokens[t][b]` continues `tokens[t - 1][b]`, and the next segment goes on where this one ends. [`State::detached`]
//! cuts the graph; without it gradients flow through the segments. [`crate::Network::forward`] on tokens starts from
//! the initial state and forgets the last one.
//!
//! The equations are those of the authors' predecessor paper (He et al. 2016, arXiv:1611.10176), `W` the quantized
//! weights, `Q` the activation quantizer, `s` the logistic function in all places, so that states are in [0, 1]:
//!
//! ```text
//! GRU   (r, u) = s(W_gates [x, h] + b),  c = Q(s(W_candidate [x, Q(r h)] + b)),  h' = Q(u h + (1 - u) c)
//! LSTM  (i, j, f, o) = W [x, h] + b,  cell' = cell s(f + 1) + s(i) s(j),  h' = Q(s(cell') s(o))
//! start h = Q(s(0)), cell = 0
//! ```
//!
//! The cell of the LSTM and all biases stay in full precision. With `squash: tanh` candidates and outputs go through
//! the hyperbolic tangent, as is usual elsewhere, and the state starts at zero; for full precision activations only.
//!
//! Sites of a layer `lstm1`: weights `lstm1`, states `lstm1.hidden`. Of a layer `gru1`: weights `gru1.gates` and
//! `gru1.candidate`, states `gru1.reset`, `gru1.candidate` and `gru1.hidden`. `keep_float` names `lstm1` or `gru1`.

use tch::Tensor;

use crate::ModelError;
use crate::layer::Cell;

/// States of all recurrent layers between two segments of text.
#[derive(Debug)]
pub struct State {
    /// In the order of the layers.
    pub(crate) layers: Vec<LayerState>,
}

/// State of one recurrent layer, f32 `[batch, hidden]`.
#[derive(Debug)]
pub(crate) struct LayerState {
    /// What other layers see.
    pub(crate) hidden: Tensor,
    /// The cell of an LSTM.
    pub(crate) cell: Option<Tensor>,
}

impl LayerState {
    fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor, tch::TchError>) -> Result<LayerState, tch::TchError> {
        Ok(LayerState { hidden: f(&self.hidden)?, cell: self.cell.as_ref().map(f).transpose()? })
    }

    pub(crate) fn share(&self) -> LayerState {
        LayerState { hidden: self.hidden.shallow_clone(), cell: self.cell.as_ref().map(Tensor::shallow_clone) }
    }
}

impl State {
    /// The same numbers without the graph that they came from.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn detached(&self) -> Result<State, ModelError> {
        let layers = self.layers.iter().map(|layer| layer.map(Tensor::f_detach));
        Ok(State { layers: layers.collect::<Result<_, _>>()? })
    }

    /// All tensors, f32 `[batch, hidden]`, in a fixed order.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        self.layers.iter().flat_map(|layer| [Some(&layer.hidden), layer.cell.as_ref()]).flatten().collect()
    }
}

/// A matrix of weights of a recurrent layer, with a bias.
pub(crate) struct Matrix {
    /// Name of its site, and folder of its variables.
    pub(crate) site: String,
    /// `[out, in]`: over the input first, then over the hidden state.
    pub(crate) shape: [i64; 2],
}

/// The matrices of a layer for inputs of this length.
pub(crate) fn matrices(name: &str, cell: Cell, input: i64, hidden: i64) -> Vec<Matrix> {
    let matrix = |site: String, parts: i64| Matrix { site, shape: [parts * hidden, input + hidden] };
    match cell {
        Cell::Lstm => vec![matrix(name.to_owned(), 4)],
        Cell::Gru => vec![matrix(format!("{name}.gates"), 2), matrix(format!("{name}.candidate"), 1)],
    }
}

/// Names of the sites of a layer's states, the hidden state last.
pub(crate) fn states(name: &str, cell: Cell) -> Vec<String> {
    let parts: &[&str] = match cell {
        Cell::Lstm => &["hidden"],
        Cell::Gru => &["reset", "candidate", "hidden"],
    };
    parts.iter().map(|part| format!("{name}.{part}")).collect()
}
