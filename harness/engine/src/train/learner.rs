//! A network with everything that makes it learn.

use harness_methods::core::StepContext;
use harness_models::recurrent::State;
use harness_models::{Network, Plan};
use harness_records::config::{Init, Precision, TrialConfig};
use harness_records::store::TrialDir;
use harness_torch::random;
use tch::{Device, Kind, Tensor, nn};

use super::batch::Batch;
use super::ema::Average;
use super::forward::forward;
use super::loss::loss;
use super::sums::EpochSums;
use super::teacher::Teacher;
use crate::checkpoint::{self, TensorGroup};
use crate::failure::EngineError;
use crate::optimizer::Optimizer;
use crate::schedule::{ScheduleLength, factor};

/// Keys the initial weights apart from every other random number of the trial.
const INITIAL_WEIGHTS: u64 = 0;

/// A network that learns.
#[derive(Debug)]
pub(crate) struct Learner {
    pub(crate) network: Network,
    pub(crate) store: nn::VarStore,
    optimizer: Optimizer,
    average: Option<Average>,
    teacher: Option<Teacher>,
    /// Hidden state of a recurrent network between two windows of a text; none for images.
    hidden_state: Option<State>,
    /// Parallel streams of a text; none for images.
    streams: Option<i64>,
}

impl Learner {
    /// A network with its first weights, its optimizer at step 0.
    pub(crate) fn new(
        config: &TrialConfig,
        dir: &TrialDir,
        plan: &Plan,
        streams: Option<i64>,
        teacher: Option<Teacher>,
        device: Device,
    ) -> Result<Learner, EngineError> {
        tch::manual_seed(random::key(&[config.train.seed, INITIAL_WEIGHTS]).cast_signed());
        let store = nn::VarStore::new(device);
        let mut network = Network::new(plan, &store.root())?;
        if let Some(Precision::Bf16) = config.train.amp {
            network.narrow_products(Kind::BFloat16);
        }
        initialise(config, dir, plan, &store)?;
        let optimizer = Optimizer::new(&config.train.optimizer, &store)?;
        let average = config.train.ema.map(|decay| Average::new(decay, &store)).transpose()?;
        let mut learner = Learner { network, store, optimizer, average, teacher, hidden_state: None, streams };
        learner.reset_hidden_state(&StepContext { step: 0, total: 1, seed: config.train.seed, training: true })?;
        Ok(learner)
    }

    /// Sets the hidden states to their initial values. To be called before each epoch, in which a text begins again.
    pub(crate) fn reset_hidden_state(&mut self, ctx: &StepContext) -> Result<(), EngineError> {
        self.hidden_state = self.streams.map(|streams| self.network.initial_state(streams, ctx)).transpose()?;
        self.teacher.as_mut().map_or(Ok(()), |teacher| teacher.reset_hidden_state(self.streams))
    }

    /// One update; its learning rate and the mean loss, which stays on the device. Nothing here waits for the device.
    ///
    /// Gradients are accumulated over the micro-batches of the batch (`train.accumulate` of them), which all see the
    /// random draws of this one step.
    pub(crate) fn step(
        &mut self,
        config: &TrialConfig,
        batch: Batch,
        ctx: &StepContext,
        length: ScheduleLength,
        sums: &mut EpochSums,
    ) -> Result<(f64, Tensor), EngineError> {
        let config = &config.train;
        self.optimizer.zero_grad();
        let count = batch.count;
        let mut mean: Option<Tensor> = None;
        for micro_batch in batch.split_micro_batches(config.accumulate)? {
            let teacher = self.teacher.as_mut().map(|teacher| teacher.logits(&micro_batch)).transpose()?;
            let logits = forward(&mut self.network, &micro_batch.input, &mut self.hidden_state, ctx)?;
            let loss = loss(&logits, &micro_batch.targets, teacher.as_ref(), config)?;
            sums.add_loss(&loss, micro_batch.count)?;
            if self.streams.is_none() {
                sums.add_predictions(&logits, &micro_batch.targets)?;
            }
            let share = if micro_batch.count == count {
                loss
            } else {
                loss.f_mul_scalar(micro_batch.count as f64 / count as f64)?
            };
            share.f_backward()?;
            let share = share.f_detach()?;
            mean = Some(match mean {
                None => share,
                Some(before) => before.f_add(&share)?,
            });
        }
        if let Some(max) = config.clip_norm {
            self.optimizer.clip_norm(max)?;
        }
        // Warm restarts: each cycle begins with a fresh optimizer and its own schedule.
        let (step_of_cycle, cycle) = length.cycle(ctx.step, config.restarts);
        if step_of_cycle == 0 {
            self.optimizer.reset_state()?;
        }
        let lr = config.optimizer.lr() * factor(&config.schedule, step_of_cycle, cycle);
        self.optimizer.step(lr)?;
        self.network.after_step()?;
        if let Some(average) = &mut self.average {
            average.update(ctx.step)?;
        }
        Ok((lr, mean.unwrap_or_default()))
    }

    /// Does something with the network as it is evaluated and kept: with averaged weights, if they are averaged.
    pub(crate) fn evaluated<T>(
        &mut self,
        f: impl FnOnce(&mut Network, &nn::VarStore) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let Learner { network, store, average, .. } = self;
        Average::instead(average.as_mut(), || f(network, store))
    }

    /// All tensors that a checkpoint holds, to be saved and restored in place.
    pub(crate) fn tensor_groups(&self) -> Vec<TensorGroup> {
        let numbered = |state: &State| -> Vec<(String, Tensor)> {
            state.tensors().into_iter().enumerate().map(|(i, t)| (i.to_string(), t.shallow_clone())).collect()
        };
        let hidden_states =
            [("state", self.hidden_state.as_ref()), ("teacher", self.teacher.as_ref().and_then(Teacher::hidden_state))];
        let mut groups = vec![
            TensorGroup { name: "model", tensors: checkpoint::sorted(&self.store) },
            TensorGroup { name: "optimizer", tensors: self.optimizer.state() },
        ];
        groups.extend(self.average.iter().map(|average| TensorGroup { name: "average", tensors: average.state() }));
        groups.extend(
            hidden_states.into_iter().filter_map(|(name, state)| Some(TensorGroup { name, tensors: numbered(state?) })),
        );
        groups
    }
}

/// Replaces random first weights by those that the trial names.
fn initialise(config: &TrialConfig, dir: &TrialDir, plan: &Plan, store: &nn::VarStore) -> Result<(), EngineError> {
    match &config.train.init {
        None => Ok(()),
        Some(Init::File { path, .. }) => Ok(harness_models::weights::load(path, plan.ignored, store)?),
        Some(Init::Trial(id)) => {
            let dir = dir.sibling(id);
            let finished = dir.record()?.is_some_and(|record| record.metrics.is_some());
            if !finished {
                return Err(EngineError::Unfinished { id: id.clone() });
            }
            checkpoint::load_init(&dir.model_path(), store)
        }
    }
}
