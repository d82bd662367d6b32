//! A finished trial's network that is learned from, beside the labels.

use harness_datasets::Contents;
use harness_methods::core::StepContext;
use harness_models::recurrent::State;
use harness_models::{Network, Plan};
use harness_records::config::TrainConfig;
use harness_records::store::TrialDir;
use tch::{Device, Tensor, nn};

use super::learner::forward;
use super::samples::{self, Sample};
use crate::checkpoint;
use crate::failure::EngineError;

/// A network that only answers.
#[derive(Debug)]
pub(crate) struct Teacher {
    network: Network,
    step: StepContext,
    state: Option<State>,
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
        let (input, classes) = samples::input(contents);
        let plan = Plan::new(&record.config.model, &record.config.quant, input, classes)?;
        let store = nn::VarStore::new(device);
        let network = Network::new(&plan, &store.root())?;
        checkpoint::load_model(&dir.model_path(), &store)?;
        let step = samples::last_step(contents, &record.config.train);
        Ok(Some(Teacher { network, step, state: None, _store: store }))
    }

    /// To be called before each epoch: a text begins again.
    pub(crate) fn begin(&mut self, batch: Option<i64>) -> Result<(), EngineError> {
        self.state = batch.map(|batch| self.network.initial_state(batch, &self.step)).transpose()?;
        Ok(())
    }

    /// Its logits, f32 `[count, classes]`.
    pub(crate) fn logits(&mut self, sample: &Sample) -> Result<Tensor, EngineError> {
        tch::no_grad(|| forward(&mut self.network, &sample.input, &mut self.state, &self.step))
    }

    /// What it remembers of a text, to be saved and restored in place.
    pub(crate) fn memory(&self) -> Option<&State> {
        self.state.as_ref()
    }
}
