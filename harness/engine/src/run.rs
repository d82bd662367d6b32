//! One trial, from its configuration to its record.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness_models::network::SiteStatistics;
use harness_records::attempt::{AttemptEnd, Ended};
use harness_records::config::TrialConfig;
use harness_records::lease::Lease;
use harness_records::record::{
    CorrectSamples, EpochRecord, FORMAT, FailureClass, LayerRecord, Losses, ModelRecord, RunRecord, SiteRecord, Split,
    Status, TimeRecord, TrialError, ValuesRecord,
};
use harness_records::store::{ResumeState, StoreError, TrialDir};
use harness_records::trial::Trial;
use tch::Device;

use crate::device;
use crate::environment::{Revision, environment};
use crate::event::Event;
use crate::failure::EngineError;
use crate::stop;
use crate::training::samples;
use crate::training::{After, Training};

/// What is done about trials that fail or take long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Run failed trials again whose class says that trying again will not help.
    pub retry_failed: bool,
    /// Time an attempt may take.
    pub time_limit: Option<Duration>,
    /// When a batch does not fit the memory, compute it in twice as many parts.
    pub split: bool,
}

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
    /// What is done when it fails or takes long.
    pub rules: Rules,
    /// Who listens.
    pub report: &'a mut dyn FnMut(Event),
}

impl Job<'_> {
    /// Why a training has to end before it is done. Asked at every step.
    pub(crate) fn interrupted(&self, progress: &Progress, total: u64) -> Option<EngineError> {
        if self.lease.is_lost() {
            return Some(EngineError::LeaseLost);
        }
        let steps = progress.steps;
        if stop::requested() {
            return Some(EngineError::Stopped { epochs: progress.resumed_epochs(), steps });
        }
        let limit = self.rules.time_limit.filter(|limit| progress.began.elapsed() >= *limit);
        limit.map(|limit| EngineError::TimedOut { seconds: limit.as_secs(), steps, total })
    }

    /// What to do about a batch that did not fit in so many parts: compute it in twice as many, where that can be.
    fn finer(&self, split: Option<&Split>) -> Option<Split> {
        let train = &self.trial.config.train;
        let accumulate = 2 * split.map_or(train.accumulate, |split| split.accumulate);
        let images = samples::contents(&self.trial.config).is_ok_and(|contents| contents.text().is_none());
        if !self.rules.split || accumulate > train.batch || !images {
            return None;
        }
        let since_step = self.dir.resume_state().ok().flatten().map_or(0, |state| state.step);
        Some(Split { accumulate, since_step })
    }
}

/// Runs a trial to its end, well or not, and writes its record.
///
/// # Errors
/// When the record cannot be written, the trial was taken over by another process, or it was stopped.
pub fn run(mut job: Job<'_>) -> Result<RunRecord, EngineError> {
    // Attempts after the first, with a batch in more parts, begin below.
    let mut begun = Some(begin(job.dir, &job.trial.config)?);
    let mut split = job.dir.resume_state().ok().flatten().and_then(|state| state.split);
    let (attempt, training, outcome) = loop {
        let attempt = begun.take().map_or_else(|| job.dir.begin_attempt(), Ok)?;
        let (training, outcome) = train_in_parts(&mut job, attempt, split.as_ref());
        let error = outcome.as_ref().err().filter(|error| error.class() == FailureClass::Oom);
        let Some((error, finer)) = error.and_then(|error| Some((error, job.finer(split.as_ref())?))) else {
            break (attempt, training, outcome);
        };
        let error = error.to_trial_error();
        let message = format!("{}; each batch is now computed in {} parts", error.message, finer.accumulate);
        (job.report)(Event::Note { id: job.trial.id.clone(), message });
        job.dir.end_attempt(attempt, AttemptEnd::now(Ended::Failed, Some(error), training.resumed_epochs()))?;
        split = Some(finer);
    };
    let epochs = training.resumed_epochs();
    let (status, error, finish) = match outcome {
        Ok(finish) => (Status::Ok, None, Some(finish)),
        // Not ours to record any more.
        Err(EngineError::LeaseLost) => return Err(EngineError::LeaseLost),
        Err(error @ EngineError::Stopped { .. }) => {
            let end = AttemptEnd::now(Ended::Stopped, Some(error.to_trial_error()), epochs);
            job.dir.end_attempt(attempt, end)?;
            return Err(error);
        }
        Err(error @ EngineError::Diverged { .. }) => (Status::Diverged, Some(error.to_trial_error()), None),
        Err(error) => (Status::Failed, Some(error.to_trial_error()), None),
    };
    let end = AttemptEnd::now(status.into(), error.clone(), epochs);
    let config = &job.trial.config;
    let metrics = finish.as_ref().and(training.epochs.last()).map(|epoch| epoch.test.clone());
    let (layers, correct_samples) = finish.map_or((Vec::new(), None), |finish| (finish.layers, finish.correct_samples));
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
            seconds: training.seconds(),
            resumed: training.resumed,
        },
        environment: environment(job.revision, job.device, config.train.threads),
        epochs: training.epochs,
        attempt,
        losses: training.losses,
        split,
        correct_samples,
    };
    let dir = job.dir;
    both(|| dir.end_attempt(attempt, end), || dir.write_record(&record))?;
    if status == Status::Ok {
        job.dir.remove_checkpoint()?;
    }
    (job.report)(Event::Finished { id: record.id.clone(), status, metrics, error });
    Ok(record)
}

/// Writes down what is going to run, and that it begins; the number of the attempt.
fn begin(dir: &TrialDir, config: &TrialConfig) -> Result<u32, StoreError> {
    let mut attempt = 0;
    both(|| dir.write_config(config), || dir.begin_attempt().map(|number| attempt = number))?;
    Ok(attempt)
}

/// Writes two files at the same time, because a short trial spends a good part of its time waiting for the disk.
fn both(
    one: impl FnOnce() -> Result<(), StoreError> + Send,
    other: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        one.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        other
    })
}

/// What is known of a training so far, also when it ends badly.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) model: ModelRecord,
    pub(crate) started: u64,
    /// Seconds of work of earlier attempts that contributed.
    seconds_before: f64,
    began: Instant,
    pub(crate) resumed: u32,
    pub(crate) steps: u64,
    pub(crate) split: Option<Split>,
    pub(crate) losses: Option<Losses>,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            epochs: Vec::new(),
            model: ModelRecord { parameters: 0, macs: 0, weight_bits: 0, bit_ops: 0 },
            started: now(),
            seconds_before: 0.0,
            began: Instant::now(),
            resumed: 0,
            steps: 0,
            split: None,
            losses: None,
        }
    }

    pub(crate) fn go_on_from(&mut self, state: ResumeState) {
        self.epochs = state.epochs;
        self.steps = state.step;
        self.started = state.started;
        self.seconds_before = state.seconds;
        self.resumed = state.resumed;
        self.split = state.split;
        self.losses = state.losses;
    }

    pub(crate) fn resumed_epochs(&self) -> u32 {
        u32::try_from(self.epochs.len()).unwrap_or(u32::MAX)
    }

    /// Seconds of work so far, over all attempts that contributed.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }
}

/// What only a training that ended well has.
struct Finish {
    layers: Vec<LayerRecord>,
    /// Of the last evaluation.
    correct_samples: Option<CorrectSamples>,
}

/// An attempt, in as many parts of a batch as `split` says.
fn train_in_parts(job: &mut Job<'_>, attempt: u32, split: Option<&Split>) -> (Progress, Result<Finish, EngineError>) {
    let mut progress = Progress::new();
    let mut trial = job.trial.clone();
    if let Some(split) = split {
        trial.config.train.accumulate = split.accumulate;
    }
    let mut job = Job { trial: &trial, report: &mut *job.report, ..*job };
    let outcome = train(&mut job, attempt, split, &mut progress);
    (progress, outcome)
}

fn train(
    job: &mut Job<'_>,
    attempt: u32,
    split: Option<&Split>,
    progress: &mut Progress,
) -> Result<Finish, EngineError> {
    let config = &job.trial.config;
    tch::set_num_threads(i32::try_from(config.train.threads).unwrap_or(1));
    harness_torch::set_deterministic(config.train.deterministic)?;
    let mut training = Training::new(job, progress)?;
    training.resume(job, progress)?;
    progress.split = split.cloned();
    (job.report)(Event::Started {
        id: job.trial.id.clone(),
        attempt,
        resumed_epochs: progress.resumed_epochs(),
        device: device::name(job.device),
    });
    let mut after = After::default();
    for epoch in progress.resumed_epochs() + 1..=config.train.epochs {
        let (record, measured) = training.epoch(job, epoch, progress)?;
        after = measured;
        (job.report)(Event::Epoch { id: job.trial.id.clone(), record });
    }
    training.write_model(job)?;
    Ok(Finish { layers: after.sites.into_iter().map(layer_record).collect(), correct_samples: after.correct_samples })
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
    if let Ok(Some(state)) = dir.resume_state() {
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
        losses: progress.losses,
        split: progress.split,
        correct_samples: None,
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
        fraction: site.statistics.fraction,
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

pub(crate) fn site_record(site: &SiteStatistics) -> SiteRecord {
    SiteRecord {
        layer: site.layer.clone(),
        role: site.role.to_string(),
        relative_mse: site.statistics.relative_mse,
        effective_bits: site.statistics.effective_bits,
        fraction: site.statistics.fraction,
        code_counts: if site.bits <= COUNTED_BITS { site.statistics.code_counts.clone() } else { Vec::new() },
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
