//! One trial, from its configuration to its record.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use harness_models::network::SiteStatistics;
use harness_records::lease::Lease;
use harness_records::record::{
    Answers, EpochRecord, FORMAT, LayerRecord, ModelRecord, RunRecord, SiteRecord, Status, TimeRecord, TrialError,
    ValuesRecord,
};
use harness_records::store::{ResumeState, TrialDir};
use harness_records::trial::Trial;
use tch::Device;

use crate::device;
use crate::environment::{Revision, environment};
use crate::event::Event;
use crate::failure::EngineError;
use crate::training::{After, Training};

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
            seconds: training.seconds(),
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
        }
    }

    pub(crate) fn go_on_from(&mut self, state: ResumeState) {
        self.epochs = state.epochs;
        self.steps = state.step;
        self.started = state.started;
        self.seconds_before = state.seconds;
        self.resumed = state.resumed;
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
    answers: Option<Answers>,
}

fn train(job: &mut Job<'_>, attempt: u32, progress: &mut Progress) -> Result<Finish, EngineError> {
    let config = &job.trial.config;
    tch::set_num_threads(i32::try_from(config.train.threads).unwrap_or(1));
    harness_torch::set_deterministic(config.train.deterministic)?;
    let mut training = Training::new(job, progress)?;
    training.resume(job, progress)?;
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
    Ok(Finish { layers: after.sites.into_iter().map(layer_record).collect(), answers: after.answers })
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

pub(crate) fn site_record(site: &SiteStatistics) -> SiteRecord {
    SiteRecord {
        layer: site.layer.clone(),
        role: site.role.to_string(),
        relative_mse: site.statistics.relative_mse,
        effective_bits: site.statistics.effective_bits,
        portion: site.statistics.portion,
        code_counts: if site.bits <= COUNTED_BITS { site.statistics.code_counts.clone() } else { Vec::new() },
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
