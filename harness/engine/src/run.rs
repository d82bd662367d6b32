//! One trial, from its configuration to its record.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness_datasets::Split;
use harness_methods::core::Step;
use harness_models::network::SiteStatistics;
use harness_models::{Network, Plan};
use harness_records::config::TrialConfig;
use harness_records::lease::Lease;
use harness_records::record::{
    Answers, EpochRecord, FORMAT, LayerRecord, Metrics, ModelRecord, RunRecord, SiteRecord, Status, TimeRecord,
    TrialError, ValuesRecord,
};
use harness_records::store::{ResumeState, TrialDir};
use harness_records::trial::Trial;
use harness_torch::random;
use tch::{Device, Kind, Reduction, Tensor, nn};

use crate::data::{self, Batch, DeviceImages};
use crate::environment::{Revision, environment};
use crate::evaluate::{BATCH, evaluate};
use crate::event::Event;
use crate::failure::EngineError;
use crate::optimizer::Optimizer;
use crate::schedule::{Horizon, factor};
use crate::{checkpoint, device};

/// Least time between two reports of steps.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Steps between two looks at the loss on a GPU, where each look waits for the device.
const LOOK_EVERY_ON_GPU: u64 = 50;

/// Keys the initial weights apart from every other random number of the trial.
const INITIAL_WEIGHTS: u64 = 0;

/// A trial and everything that running it needs.
pub struct Job<'a> {
    /// What to run.
    pub trial: &'a Trial,
    /// Where to keep it.
    pub dir: &'a TrialDir,
    /// The right to do so.
    pub lease: &'a Lease,
    /// Where to compute.
    pub device: Device,
    /// Commit of the working directory.
    pub revision: &'a Revision,
    /// Who listens.
    pub report: &'a mut dyn FnMut(Event),
}

/// Runs a trial to its end, well or not, and writes its record.
///
/// # Errors
/// When the record cannot be written, or the trial was taken over by another process.
pub fn run(mut job: Job<'_>) -> Result<RunRecord, EngineError> {
    let began = Instant::now();
    let attempt = job.dir.begin_attempt()?;
    job.dir.write_config(&job.trial.config)?;
    let mut training = Progress::new();
    let outcome = train(&mut job, attempt, &mut training);
    let (status, error, finish) = match outcome {
        Ok(finish) => (Status::Ok, None, Some(finish)),
        // Not ours to record any more.
        Err(EngineError::LeaseLost) => return Err(EngineError::LeaseLost),
        Err(error @ EngineError::Diverged { .. }) => (Status::Diverged, Some(error.to_trial_error()), None),
        Err(error) => (Status::Failed, Some(error.to_trial_error()), None),
    };
    let config = &job.trial.config;
    let metrics = finish.as_ref().and(training.epochs.last()).map(|epoch| epoch.test.clone());
    let (layers, answers) = finish.map_or((Vec::new(), None), |finish| (finish.layers, finish.answers));
    let record = RunRecord {
        format: FORMAT,
        id: job.trial.id.clone(),
        sweep: job.trial.sweep.clone(),
        status,
        error: error.clone(),
        config: config.clone(),
        seed: config.train.seed,
        metrics: metrics.clone(),
        layers,
        model: training.model.clone(),
        time: TimeRecord {
            started: training.started,
            finished: now(),
            seconds: training.seconds_before + began.elapsed().as_secs_f64(),
            resumed: training.resumed,
        },
        environment: environment(job.revision, job.device, config.train.threads),
        epochs: training.epochs,
        attempt,
        answers,
    };
    job.dir.write_record(&record)?;
    if status == Status::Ok {
        job.dir.remove_checkpoint()?;
    }
    (job.report)(Event::Finished { id: record.id.clone(), status, metrics, error });
    Ok(record)
}

/// What is known of a training so far, also when it ends badly.
struct Progress {
    epochs: Vec<EpochRecord>,
    model: ModelRecord,
    started: u64,
    seconds_before: f64,
    resumed: u32,
    steps: u64,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            epochs: Vec::new(),
            model: ModelRecord { parameters: 0, macs: 0, weight_bits: 0, bit_ops: 0 },
            started: now(),
            seconds_before: 0.0,
            resumed: 0,
            steps: 0,
        }
    }
}

/// What only a training that ended well has.
struct Finish {
    layers: Vec<LayerRecord>,
    /// Of the last evaluation.
    answers: Option<Answers>,
}

/// Everything that learns, and what it learns from.
struct Training {
    network: Network,
    store: nn::VarStore,
    optimizer: Optimizer,
    train: DeviceImages,
    test: DeviceImages,
    classes: i64,
    horizon: Horizon,
}

fn train(job: &mut Job<'_>, attempt: u32, progress: &mut Progress) -> Result<Finish, EngineError> {
    let config = &job.trial.config;
    tch::set_num_threads(i32::try_from(config.train.threads).unwrap_or(1));
    harness_torch::set_deterministic(config.train.deterministic)?;
    let began = Instant::now();
    let mut training = Training::new(config, job.device, progress)?;
    training.resume(job, progress)?;
    (job.report)(Event::Started {
        id: job.trial.id.clone(),
        attempt,
        resumed_epochs: progress.resumed_epochs(),
        device: device::name(job.device),
    });
    let mut answers = None;
    for epoch in progress.resumed_epochs() + 1..=config.train.epochs {
        let learned = training.epoch(job, epoch, progress)?;
        let at = Instant::now();
        let (test, right) = training.evaluate(job, progress.steps)?;
        answers = Some(right);
        let sites = training.sites(config, progress.steps)?;
        let record = learned.record(epoch, test, at.elapsed(), sites.iter().map(site_record).collect());
        progress.epochs.push(record.clone());
        if epoch < config.train.epochs {
            training.save(job, progress, began.elapsed())?;
        }
        (job.report)(Event::Epoch { id: job.trial.id.clone(), record });
    }
    let layers = training.sites(config, progress.steps)?.into_iter().map(layer_record).collect();
    job.dir.write_with("model.safetensors", |path| checkpoint::save_model(path, &training.store))?;
    Ok(Finish { layers, answers })
}

impl Progress {
    fn go_on_from(&mut self, state: ResumeState) {
        self.epochs = state.epochs;
        self.steps = state.step;
        self.started = state.started;
        self.seconds_before = state.seconds;
        self.resumed = state.resumed;
    }

    fn resumed_epochs(&self) -> u32 {
        u32::try_from(self.epochs.len()).unwrap_or(u32::MAX)
    }
}

impl Training {
    fn new(config: &TrialConfig, device: Device, progress: &mut Progress) -> Result<Training, EngineError> {
        let (input, classes) = shape(config)?;
        let plan = Plan::new(&config.model, &config.quant, input, classes)?;
        progress.model = plan.size.clone();
        let train = data::load(&config.dataset, Split::Train, config.train.limit, device)?;
        let test = data::load(&config.dataset, Split::Test, None, device)?;
        tch::manual_seed(random::key(&[config.train.seed, INITIAL_WEIGHTS]).cast_signed());
        let store = nn::VarStore::new(device);
        let network = Network::new(&plan, &store.root())?;
        let optimizer = Optimizer::new(&config.train.optimizer, &store)?;
        let horizon = horizon(config, train.len());
        Ok(Training { network, store, optimizer, train, test, classes, horizon })
    }

    /// Goes back to the last checkpoint, if there is one that fits.
    fn resume(&mut self, job: &mut Job<'_>, progress: &mut Progress) -> Result<(), EngineError> {
        let loaded = match job.dir.load_checkpoint() {
            Ok(None) => return Ok(()),
            Ok(Some((state, path))) => {
                let loaded = checkpoint::load(&path, &self.store, &mut self.optimizer, job.device);
                loaded.map(|()| state)
            }
            Err(error) => Err(error.into()),
        };
        match loaded {
            Ok(state) => {
                progress.go_on_from(state);
                progress.resumed += 1;
                Ok(())
            }
            Err(error) => {
                // Half of it may have been copied: everything is built again.
                let message = format!("starts over: {error}");
                (job.report)(Event::Note { id: job.trial.id.clone(), message });
                job.dir.remove_checkpoint()?;
                *self = Training::new(&job.trial.config, job.device, progress)?;
                Ok(())
            }
        }
    }

    fn save(&self, job: &Job<'_>, progress: &Progress, elapsed: Duration) -> Result<(), EngineError> {
        let state = ResumeState {
            format: FORMAT,
            id: job.trial.id.clone(),
            epoch: progress.resumed_epochs(),
            step: progress.steps,
            epochs: progress.epochs.clone(),
            started: progress.started,
            seconds: progress.seconds_before + elapsed.as_secs_f64(),
            resumed: progress.resumed,
            engine: serde_json::Value::Null,
            checkpoint: String::new(),
        };
        job.dir.save_checkpoint(&state, |path| checkpoint::save(path, &self.store, &self.optimizer, job.device))
    }

    fn step(&self, config: &TrialConfig, step: u64, training: bool) -> Step {
        Step { step, total: self.horizon.total, seed: config.train.seed, training }
    }

    /// One pass over the training set.
    fn epoch(&mut self, job: &mut Job<'_>, epoch: u32, progress: &mut Progress) -> Result<Learned, EngineError> {
        let config = &job.trial.config.train;
        let look_every = if job.device == Device::Cpu { 1 } else { LOOK_EVERY_ON_GPU };
        let mut sums = Sums::new(job.device)?;
        let began = Instant::now();
        let mut reported = began;
        let mut learned = Learned::default();
        let mut batches = self.train.epoch(config.seed, u64::from(epoch), config.batch, 0);
        while let Some(batch) = batches.next() {
            if job.lease.is_lost() {
                return Err(EngineError::LeaseLost);
            }
            let step = self.step(&job.trial.config, progress.steps, true);
            let Batch { images, labels } = batch?;
            let scores = self.network.forward(&images, &step)?;
            let loss =
                scores.f_cross_entropy_loss(&labels, None::<Tensor>, Reduction::Mean, -100, config.label_smoothing)?;
            self.optimizer.zero_grad();
            loss.f_backward()?;
            if let Some(greatest) = config.clip_norm {
                self.optimizer.clip_norm(greatest)?;
            }
            let (step_of_part, part) = self.horizon.part(progress.steps, config.restarts);
            if step_of_part == 0 {
                self.optimizer.forget()?;
            }
            learned.lr = config.optimizer.lr() * factor(&config.schedule, step_of_part, part);
            self.optimizer.step(learned.lr)?;
            self.network.after_step()?;
            sums.add(&loss, &scores, &labels)?;
            progress.steps += 1;
            learned.samples += labels.size()[0].unsigned_abs();
            let last = batches.len() == 0;
            if last || progress.steps.is_multiple_of(look_every) {
                // The sum keeps a NaN of any step in between.
                let (value, total) = (f64::try_from(&loss)?, f64::try_from(&sums.loss)?);
                if !total.is_finite() {
                    return Err(EngineError::Diverged { loss: value, epoch, step: progress.steps });
                }
                if last || reported.elapsed() >= REPORT_EVERY {
                    reported = Instant::now();
                    (job.report)(Event::Step {
                        id: job.trial.id.clone(),
                        epoch,
                        done: progress.steps,
                        total: self.horizon.total,
                        loss: value,
                        top1: i64::try_from(&sums.right)? as f64 / learned.samples as f64,
                        samples_per_second: learned.samples as f64 / began.elapsed().as_secs_f64(),
                    });
                }
            }
        }
        learned.loss = f64::try_from(&sums.loss)? / learned.samples as f64;
        learned.top1 = i64::try_from(&sums.right)? as f64 / learned.samples as f64;
        learned.seconds = began.elapsed().as_secs_f64();
        Ok(learned)
    }

    fn evaluate(&mut self, job: &Job<'_>, steps: u64) -> Result<(Metrics, Answers), EngineError> {
        let step = self.step(&job.trial.config, steps, false);
        let lease = job.lease;
        evaluate(&mut self.network, &self.test, self.classes, &step, || {
            if lease.is_lost() { Err(EngineError::LeaseLost) } else { Ok(()) }
        })
    }

    /// Statistics of every quantized site, activations on the first test images.
    fn sites(&mut self, config: &TrialConfig, steps: u64) -> Result<Vec<SiteStatistics>, EngineError> {
        let step = self.step(config, steps, false);
        Ok(self.network.statistics(&self.test.first(BATCH)?.images, &step)?)
    }
}

/// `[channels, height, width]` of the images and the number of classes.
pub(crate) fn shape(config: &TrialConfig) -> Result<([i64; 3], i64), EngineError> {
    let dataset = data::dataset(&config.dataset)?;
    let contents = dataset.probe(config.dataset.root.as_deref(), &config.dataset.options)?;
    let shape = data::shape(&config.dataset, contents)?;
    let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    Ok(([int(shape.channels), int(shape.height), int(shape.width)], int(shape.classes)))
}

/// Length of the training on this many images.
fn horizon(config: &TrialConfig, images: u32) -> Horizon {
    let steps_per_epoch = data::steps(images, config.train.batch);
    Horizon { steps_per_epoch, total: steps_per_epoch * u64::from(config.train.epochs) }
}

/// The step after the last one of a training: what evaluation of the finished network is keyed by.
pub(crate) fn last_step(config: &TrialConfig) -> Result<Step, EngineError> {
    let dataset = data::dataset(&config.dataset)?;
    let contents = dataset.probe(config.dataset.root.as_deref(), &config.dataset.options)?;
    let shape = data::shape(&config.dataset, contents)?;
    let images = (shape.train as u64).min(config.train.limit.unwrap_or(u64::MAX));
    let total = horizon(config, u32::try_from(images).unwrap_or(u32::MAX)).total;
    Ok(Step { step: total, total, seed: config.train.seed, training: false })
}

/// The record of a trial whose process died: what its last checkpoint says, and why.
///
/// # Errors
/// When the number of attempts cannot be read.
pub(crate) fn record_of_death(
    trial: &Trial,
    dir: &TrialDir,
    device: Device,
    error: &TrialError,
) -> Result<RunRecord, EngineError> {
    let mut progress = Progress::new();
    if let Ok(Some((state, _))) = dir.load_checkpoint() {
        progress.go_on_from(state);
    }
    Ok(RunRecord {
        format: FORMAT,
        id: trial.id.clone(),
        sweep: trial.sweep.clone(),
        status: Status::Failed,
        error: Some(error.clone()),
        config: trial.config.clone(),
        seed: trial.config.train.seed,
        metrics: None,
        layers: Vec::new(),
        model: progress.model,
        time: TimeRecord {
            started: progress.started,
            finished: now(),
            seconds: progress.seconds_before,
            resumed: progress.resumed,
        },
        environment: environment(&Revision::here(), device, trial.config.train.threads),
        epochs: progress.epochs,
        attempt: dir.attempts()?,
        answers: None,
    })
}

fn layer_record(site: SiteStatistics) -> LayerRecord {
    LayerRecord {
        layer: site.layer,
        role: site.role.to_string(),
        method: site.method.to_owned(),
        bits: site.bits,
        shape: site.shape,
        relative_mse: site.statistics.relative_mse,
        effective_bits: site.statistics.effective_bits,
        code_counts: site.statistics.code_counts,
        portion: site.statistics.portion,
        values: Some(ValuesRecord {
            cosine: site.statistics.values.cosine,
            low: site.statistics.values.low,
            high: site.statistics.values.high,
            before: site.statistics.values.before,
            after: site.statistics.values.after,
            levels: site.statistics.values.levels,
        }),
    }
}

/// Wider codes are not counted after every epoch: their populations would be most of the record.
const COUNTED_BITS: u8 = 4;

fn site_record(site: &SiteStatistics) -> SiteRecord {
    SiteRecord {
        layer: site.layer.clone(),
        role: site.role.to_string(),
        relative_mse: site.statistics.relative_mse,
        effective_bits: site.statistics.effective_bits,
        portion: site.statistics.portion,
        code_counts: if site.bits <= COUNTED_BITS { site.statistics.code_counts.clone() } else { Vec::new() },
    }
}

/// Sums over an epoch that stay on the device.
struct Sums {
    /// Summed loss, f64.
    loss: Tensor,
    /// Right first guesses, i64.
    right: Tensor,
}

impl Sums {
    fn new(device: Device) -> Result<Sums, EngineError> {
        Ok(Sums {
            loss: Tensor::f_zeros([], (Kind::Double, device))?,
            right: Tensor::f_zeros([], (Kind::Int64, device))?,
        })
    }

    fn add(&mut self, loss: &Tensor, scores: &Tensor, labels: &Tensor) -> Result<(), EngineError> {
        tch::no_grad(|| {
            let count = labels.size()[0] as f64;
            let _ = self.loss.f_add_(&loss.f_to_kind(Kind::Double)?.f_mul_scalar(count)?)?;
            let right = scores.f_argmax(1, false)?.f_eq_tensor(labels)?.f_sum(Kind::Int64)?;
            let _ = self.right.f_add_(&right)?;
            Ok(())
        })
    }
}

/// What one epoch of training came to.
#[derive(Debug, Default)]
struct Learned {
    samples: u64,
    loss: f64,
    top1: f64,
    lr: f64,
    seconds: f64,
}

impl Learned {
    fn record(&self, epoch: u32, test: Metrics, test_time: Duration, sites: Vec<SiteRecord>) -> EpochRecord {
        EpochRecord {
            epoch,
            lr: self.lr,
            train_loss: self.loss,
            train_top1: Some(self.top1),
            test,
            train_seconds: self.seconds,
            test_seconds: test_time.as_secs_f64(),
            samples_per_second: self.samples as f64 / self.seconds,
            sites,
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
