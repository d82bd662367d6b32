//! One trial, from its configuration to its record.

use std::panic::resume_unwind;
use std::thread;

use harness_records::attempt::{AttemptEnd, Ended};
use harness_records::config::TrialConfig;
use harness_records::record::{FailureClass, RunRecord, Split, Status, TrialError};
use harness_records::store::{StoreError, TrialDir};
use harness_records::trial::Trial;
use tch::Device;

use crate::contents::contents;
use crate::device;
use crate::environment::{Revision, environment};
use crate::event::Event;
use crate::failure::EngineError;
use crate::job::{Job, TrialProgress};
use crate::run_record::{Ending, TrialResult, layer_record, run_record};
use crate::train::Training;

/// Runs a trial to its end, well or not, and writes its record.
///
/// # Errors
/// When the record cannot be written, the trial was taken over by another process, or it was stopped.
pub fn run(mut job: Job<'_>) -> Result<RunRecord, EngineError> {
    // Attempts after the first, with more micro-batches, begin in the loop.
    let mut begun = Some(begin(job.dir, &job.trial.config)?);
    let mut split = job.dir.resume_state().ok().flatten().and_then(|state| state.split);
    let (attempt, mut progress, outcome) = loop {
        let attempt = begun.take().map_or_else(|| job.dir.begin_attempt(), Ok)?;
        let (progress, outcome) = train_split(&mut job, attempt, split.as_ref());
        let error = outcome.as_ref().err().filter(|error| error.class() == FailureClass::Oom);
        let Some((error, finer)) = error.and_then(|error| Some((error, finer(&job, split.as_ref())?))) else {
            break (attempt, progress, outcome);
        };
        let error = error.to_trial_error();
        let message = format!("{}; each batch is now computed in {} micro-batches", error.message, finer.accumulate);
        (job.report)(Event::Note { id: job.trial.id.clone(), message });
        job.dir.end_attempt(attempt, AttemptEnd::now(Ended::Failed, Some(error), progress.epochs_done()))?;
        split = Some(finer);
    };
    let epochs = progress.epochs_done();
    let ending = match outcome {
        Ok(result) => Ending::Well(result),
        // Another process has the trial now and writes its record.
        Err(EngineError::LeaseLost) => return Err(EngineError::LeaseLost),
        Err(error @ EngineError::Stopped { .. }) => {
            let end = AttemptEnd::now(Ended::Stopped, Some(error.to_trial_error()), epochs);
            job.dir.end_attempt(attempt, end)?;
            return Err(error);
        }
        Err(error @ EngineError::Diverged { .. }) => Ending::Badly(Status::Diverged, error.to_trial_error()),
        Err(error) => Ending::Badly(Status::Failed, error.to_trial_error()),
    };
    let environment = environment(job.revision, job.device, job.trial.config.train.threads);
    let seconds = progress.seconds();
    // Set here too, because an attempt may end before it has read its checkpoint.
    progress.split = split;
    let record = run_record(job.trial, progress, ending, attempt, seconds, environment);
    let (status, error, metrics) = (record.status, record.error.clone(), record.metrics.clone());
    let end = AttemptEnd::now(status.into(), error.clone(), epochs);
    let dir = job.dir;
    both(|| dir.end_attempt(attempt, end), || dir.write_record(&record))?;
    if status == Status::Ok {
        job.dir.remove_checkpoint()?;
    }
    (job.report)(Event::Finished { id: record.id.clone(), status, metrics, error });
    Ok(record)
}

/// How a batch that did not fit into memory as `split` says is computed in the next attempt: in twice as many
/// micro-batches. `None` where that cannot help: for a text, for single images, or when it is not wanted.
fn finer(job: &Job<'_>, split: Option<&Split>) -> Option<Split> {
    let train = &job.trial.config.train;
    let accumulate = 2 * split.map_or(train.accumulate, |split| split.accumulate);
    let images = contents(&job.trial.config).is_ok_and(|contents| contents.text().is_none());
    if !job.rules.split || accumulate > train.batch || !images {
        return None;
    }
    let since_step = job.dir.resume_state().ok().flatten().map_or(0, |state| state.step);
    Some(Split { accumulate, since_step })
}

/// Writes the configuration of what is going to run, and that an attempt begins. Gives the number of the attempt.
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

/// An attempt with as many micro-batches as `split` says.
fn train_split(
    job: &mut Job<'_>,
    attempt: u32,
    split: Option<&Split>,
) -> (TrialProgress, Result<TrialResult, EngineError>) {
    let mut progress = TrialProgress::new();
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
    progress: &mut TrialProgress,
) -> Result<TrialResult, EngineError> {
    let config = &job.trial.config;
    tch::set_num_threads(i32::try_from(config.train.threads).unwrap_or(1));
    harness_torch::set_deterministic(config.train.deterministic)?;
    let mut training = Training::new(job, progress)?;
    training.resume(job, progress)?;
    progress.split = split.cloned();
    (job.report)(Event::Started {
        id: job.trial.id.clone(),
        attempt,
        resumed_epochs: progress.epochs_done(),
        device: device::recorded(job.device),
    });
    training.calibrate(job, progress)?;
    let mut last = None;
    if config.train.epochs == 0 {
        last = Some(training.evaluate(job, progress)?);
    }
    for epoch in progress.epochs_done() + 1..=config.train.epochs {
        let (record, evaluation) = training.epoch(job, epoch, progress)?;
        last = Some(evaluation);
        (job.report)(Event::Epoch { id: job.trial.id.clone(), record });
    }
    training.write_model(job)?;
    let (metrics, sites, correct_samples) =
        last.map_or((None, Vec::new(), None), |last| (Some(last.test), last.sites, last.correct_samples));
    Ok(TrialResult { metrics, layers: sites.into_iter().map(layer_record).collect(), correct_samples })
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
    let mut progress = TrialProgress::new();
    if let Ok(Some(state)) = dir.resume_state() {
        progress.go_on_from(state);
    }
    let environment = environment(&Revision::here(), device, trial.config.train.threads);
    // Nobody knows how long the process worked after its last checkpoint.
    let seconds = progress.seconds_before;
    let ending = Ending::Badly(Status::Failed, error.clone());
    Ok(run_record(trial, progress, ending, dir.attempts()?, seconds, environment))
}
