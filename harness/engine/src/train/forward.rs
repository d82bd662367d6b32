//! The forward pass that a learner and a teacher have in common.

use harness_methods::core::StepContext;
use harness_models::Network;
use harness_models::recurrent::State;
use tch::Tensor;

use crate::failure::EngineError;

/// Logits, f32 `[count, classes]`. The hidden state of a recurrent network goes on where the last call left it, detached
/// from the graph; `None` for images.
pub(crate) fn forward(
    network: &mut Network,
    input: &Tensor,
    hidden_state: &mut Option<State>,
    ctx: &StepContext,
) -> Result<Tensor, EngineError> {
    let Some(before) = hidden_state else {
        // The order of memory that tensor cores read; on a CPU it changes nothing but the time.
        let last = input.device().is_cuda() && input.dim() == 4;
        return Ok(if last {
            network.forward(&harness_torch::channels_last(input, true)?, ctx)?
        } else {
            network.forward(input, ctx)?
        });
    };
    let (logits, after) = network.forward_tokens(input, before, ctx)?;
    *before = after.detached()?;
    let classes = logits.size().last().copied().unwrap_or(1);
    Ok(logits.f_reshape([-1, classes])?)
}
