//! A network with everything that makes it learn.

use harness_methods::core::StepContext;
use harness_models::recurrent::State;
use harness_models::{Network, Plan};
use harness_records::config::{Init, Precision, TrialConfig};
use harness_records::store::TrialDir;
use harness_torch::random;
use tch::{Device, Kind, Tensor, nn};

use super::average::Average;
use super::loss::loss;
use super::samples::Sample;
use super::sums::Sums;
use super::teacher::Teacher;
use crate::checkpoint::{self, Part};
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
    /// What the network remembers of a text; none for images.
    state: Option<State>,
    /// Parallel streams of a text; none for images.
    streams: Option<i64>,
}

/// Logits, f32 `[count, classes]`. What the network remembers goes on where the last call left it, without the graph.
pub(crate) fn forward(
    network: &mut Network,
    input: &Tensor,
    state: &mut Option<State>,
    step: &StepContext,
) -> Result<Tensor, EngineError> {
    let Some(before) = state else {
        // The order of memory that tensor cores read; on a CPU it changes nothing but the time.
        let last = input.device().is_cuda() && input.dim() == 4;
        return Ok(if last {
            network.forward(&harness_torch::channels_last(input, true)?, step)?
        } else {
            network.forward(input, step)?
        });
    };
    let (logits, after) = network.forward_tokens(input, before, step)?;
    *before = after.detached()?;
    let classes = logits.size().last().copied().unwrap_or(1);
    Ok(logits.f_reshape([-1, classes])?)
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
        let mut learner = Learner { network, store, optimizer, average, teacher, state: None, streams };
        learner.begin(&StepContext { step: 0, total: 1, seed: config.train.seed, training: true })?;
        Ok(learner)
    }

    /// To be called before each epoch: a text begins again.
    pub(crate) fn begin(&mut self, step: &StepContext) -> Result<(), EngineError> {
        self.state = self.streams.map(|streams| self.network.initial_state(streams, step)).transpose()?;
        self.teacher.as_mut().map_or(Ok(()), |teacher| teacher.begin(self.streams))
    }

    /// One update; its learning rate and the mean loss, which stays on the device. Nothing here waits for the device.
    ///
    /// The parts of a batch (`train.accumulate`) see the same random draws, those of the step.
    pub(crate) fn step(
        &mut self,
        config: &TrialConfig,
        sample: Sample,
        step: &StepContext,
        length: ScheduleLength,
        sums: &mut Sums,
    ) -> Result<(f64, Tensor), EngineError> {
        let config = &config.train;
        self.optimizer.zero_grad();
        let count = sample.count;
        let mut mean: Option<Tensor> = None;
        for part in sample.parts(config.accumulate)? {
            let teacher = self.teacher.as_mut().map(|teacher| teacher.logits(&part)).transpose()?;
            let logits = forward(&mut self.network, &part.input, &mut self.state, step)?;
            let loss = loss(&logits, &part.targets, teacher.as_ref(), config)?;
            sums.add_loss(&loss, part.count)?;
            if self.streams.is_none() {
                sums.add_predictions(&logits, &part.targets)?;
            }
            let share = if part.count == count { loss } else { loss.f_mul_scalar(part.count as f64 / count as f64)? };
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
        let (step_of_part, part) = length.part(step.step, config.restarts);
        if step_of_part == 0 {
            self.optimizer.forget()?;
        }
        let lr = config.optimizer.lr() * factor(&config.schedule, step_of_part, part);
        self.optimizer.step(lr)?;
        self.network.after_step()?;
        if let Some(average) = &mut self.average {
            average.update(step.step)?;
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
    pub(crate) fn parts(&self) -> Vec<Part> {
        let numbered = |state: &State| -> Vec<(String, Tensor)> {
            state.tensors().into_iter().enumerate().map(|(i, t)| (i.to_string(), t.shallow_clone())).collect()
        };
        let memories = [("state", self.state.as_ref()), ("teacher", self.teacher.as_ref().and_then(Teacher::memory))];
        let mut parts = vec![
            Part { name: "model", tensors: checkpoint::sorted(&self.store) },
            Part { name: "optimizer", tensors: self.optimizer.state() },
        ];
        parts.extend(self.average.iter().map(|average| Part { name: "average", tensors: average.state() }));
        parts.extend(memories.into_iter().filter_map(|(name, state)| Some(Part { name, tensors: numbered(state?) })));
        parts
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
