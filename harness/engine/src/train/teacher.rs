//! A finished trial's network that is learned from, beside the labels.

use harness_datasets::Contents;
use harness_methods::core::StepContext;
use harness_models::recurrent::State;
use harness_models::{Network, Plan};
use harness_records::config::TrainConfig;
use harness_records::store::TrialDir;
use tch::{Device, Tensor, nn};

use super::batch::Batch;
use super::forward::forward;
use crate::failure::EngineError;
use crate::{checkpoint, contents};

/// A trained network whose logits are learned from and which does not change.
#[derive(Debug)]
pub(crate) struct Teacher {
    network: Network,
    ctx: StepContext,
    hidden_state: Option<State>,
    _store: nn::VarStore,
}

impl Teacher {
    /// The teacher of a trial, if it has one, from the folder beside its own.
    pub(crate) fn new(
        config: &TrainConfig,
        dir: &TrialDir,
        contents: Contents,
        device: Device,
    ) -> Result<Option<Teacher>, EngineError> {
        let Some(distill) = &config.distill else { return Ok(None) };
        let dir = dir.sibling(&distill.teacher);
        let absent = || EngineError::Unfinished { id: distill.teacher.clone() };
        let record = dir.record()?.filter(|record| record.metrics.is_some()).ok_or_else(absent)?;
        let (input, classes) = contents::input(contents);
        let plan = Plan::new(&record.config.model, &record.config.quant, input, classes)?;
        let store = nn::VarStore::new(device);
        let network = Network::new(&plan, &store.root())?;
        checkpoint::load_model(&dir.model_path(), &store)?;
        let ctx = contents::last_step(contents, &record.config.train);
        Ok(Some(Teacher { network, ctx, hidden_state: None, _store: store }))
    }

    /// Sets the hidden state to its initial value, for this many streams of a text. To be called before each epoch.
    pub(crate) fn reset_hidden_state(&mut self, streams: Option<i64>) -> Result<(), EngineError> {
        self.hidden_state = streams.map(|streams| self.network.initial_state(streams, &self.ctx)).transpose()?;
        Ok(())
    }

    /// Its logits, f32 `[count, classes]`.
    pub(crate) fn logits(&mut self, batch: &Batch) -> Result<Tensor, EngineError> {
        tch::no_grad(|| forward(&mut self.network, &batch.input, &mut self.hidden_state, &self.ctx))
    }

    /// Hidden state of a recurrent teacher, which a checkpoint saves and restores in place; none for images.
    pub(crate) fn hidden_state(&self) -> Option<&State> {
        self.hidden_state.as_ref()
    }
}
