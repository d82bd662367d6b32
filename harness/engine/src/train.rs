//! One training, from its first weights (or its last checkpoint) to its last epoch.

mod average;
mod learner;
mod loss;
pub(crate) mod samples;
mod sums;
mod teacher;

use std::time::{Duration, Instant};

use harness_methods::core::StepContext;
use harness_models::Plan;
use harness_models::network::SiteStatistics;
use harness_records::config::TrialConfig;
use harness_records::record::{CorrectSamples, EpochRecord, FORMAT, Losses, Metrics};
use harness_records::resume::{Resumable, ResumeState};
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::checkpoint::{self, Part};
use crate::data::DeviceImages;
use crate::evaluate::EvalSplit;
use crate::event::Event;
use crate::failure::EngineError;
use crate::run::{Job, Progress, site_record};
use crate::schedule::ScheduleLength;
use learner::Learner;
use samples::Samples;
use sums::Sums;
use teacher::Teacher;

/// Least time between two reports of steps.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Steps between two looks at the loss on a GPU, where each look waits for the device.
const LOOK_EVERY_ON_GPU: u64 = 50;

/// Names in one message about files.
const NAMES: usize = 5;

/// Everything that learns, and what it learns from.
#[derive(Debug)]
pub(crate) struct Training {
    learner: Learner,
    train: Samples,
    validation: Option<EvalSplit>,
    test: EvalSplit,
    length: ScheduleLength,
    sums: Sums,
    /// An epoch that a checkpoint was taken in.
    epoch_progress: Option<EpochProgress>,
    /// Files that were left out and told of.
    left_out: usize,
}

/// How far an epoch is, beside what its sums say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct EpochProgress {
    /// Steps done.
    steps: u64,
    /// Samples seen.
    samples: u64,
    /// Learning rate of the last step.
    lr: f64,
    /// Seconds of training.
    seconds: f64,
}

impl Training {
    /// A training at its start.
    pub(crate) fn new(job: &Job<'_>, progress: &mut Progress) -> Result<Training, EngineError> {
        let (config, device) = (&job.trial.config, job.device);
        let contents = samples::contents(config)?;
        let (input, classes) = samples::input(contents);
        let plan = Plan::new(&config.model, &config.quant, input, classes)?;
        progress.model = plan.size.clone();
        let train = Samples::load(config, device)?;
        let teacher = Teacher::new(&config.train, job.dir, contents, device)?;
        let streams = matches!(train, Samples::Text(_)).then(|| i64::from(config.train.batch));
        let steps_per_epoch = train.steps(&config.train);
        Ok(Training {
            learner: Learner::new(config, job.dir, &plan, streams, teacher, device)?,
            validation: EvalSplit::validation(config, contents, device)?,
            test: EvalSplit::test(config, contents, device)?,
            length: ScheduleLength { steps_per_epoch, total: steps_per_epoch * u64::from(config.train.epochs) },
            train,
            sums: Sums::new(device)?,
            epoch_progress: None,
            left_out: 0,
        })
    }

    /// Goes back to the last checkpoint, if there is one that fits.
    pub(crate) fn resume(&mut self, job: &mut Job<'_>, progress: &mut Progress) -> Result<(), EngineError> {
        progress.losses = Some(Losses::new(self.length.total));
        match self.try_resume(job) {
            Ok(None) => {}
            Ok(Some(state)) => {
                progress.go_on_from(state);
                progress.resumed += 1;
            }
            Err(error) => {
                // Half of it may have been copied: everything is built again.
                let message = format!("starts over: {error}");
                (job.report)(Event::Note { id: job.trial.id.clone(), message });
                job.dir.remove_checkpoint()?;
                *self = Training::new(job, progress)?;
                progress.losses = Some(Losses::new(self.length.total));
            }
        }
        Ok(())
    }

    fn try_resume(&mut self, job: &mut Job<'_>) -> Result<Option<ResumeState>, EngineError> {
        let Some(Resumable { state, checkpoint: path, passed_over }) = job.dir.load_checkpoint()? else {
            return Ok(None);
        };
        for damage in passed_over {
            let message = format!("goes on from the checkpoint before its last: {damage}");
            (job.report)(Event::Note { id: job.trial.id.clone(), message });
        }
        let unfit = |error: serde_json::Error| EngineError::Checkpoint(error.to_string());
        self.epoch_progress = serde_json::from_value(state.engine.clone()).map_err(unfit)?;
        checkpoint::load(&path, self.parts(), job.device)?;
        Ok(Some(state))
    }

    fn parts(&self) -> Vec<Part> {
        parts(&self.learner, &self.sums)
    }

    fn key(&self, config: &TrialConfig, step: u64, training: bool) -> StepContext {
        StepContext { step, total: self.length.total, seed: config.train.seed, training }
    }

    /// One pass over the training set, or what a checkpoint has left of it, with the evaluation after it.
    pub(crate) fn epoch(
        &mut self,
        job: &mut Job<'_>,
        epoch: u32,
        progress: &mut Progress,
    ) -> Result<(EpochRecord, After), EngineError> {
        let learned = self.learn(job, epoch, progress)?;
        let at = Instant::now();
        let evaluated = self.evaluate(job, progress);
        if let Err(EngineError::Stopped { .. } | EngineError::TimedOut { .. }) = evaluated {
            save(job, progress, Some(&learned), self.parts())?;
        }
        let Evaluated { validation, test, after } = evaluated?;
        self.tell_of_left_out(job);
        let samples = learned.samples as f64;
        let record = EpochRecord {
            epoch,
            lr: learned.lr,
            train_loss: self.sums.total_loss()? / samples,
            train_top1: learned.fraction_correct(&self.sums, &self.train)?,
            validation,
            test,
            train_seconds: learned.seconds,
            test_seconds: at.elapsed().as_secs_f64(),
            samples_per_second: samples / learned.seconds,
            sites: after.sites.iter().map(site_record).collect(),
        };
        progress.epochs.push(record.clone());
        if epoch < job.trial.config.train.epochs {
            save(job, progress, None, self.parts())?;
        }
        Ok((record, after))
    }

    /// Says which files did not decode and were left out, when there are more of them than before.
    fn tell_of_left_out(&mut self, job: &mut Job<'_>) {
        let broken: Vec<_> =
            self.train.images().into_iter().chain(self.test.images()).flat_map(DeviceImages::broken).collect();
        if broken.len() > self.left_out {
            self.left_out = broken.len();
            let names = broken.iter().take(NAMES).map(|(path, damage)| format!("{} ({damage})", path.display()));
            let more = if broken.len() > NAMES { ", ..." } else { "" };
            let names = names.collect::<Vec<_>>().join(", ");
            let message = format!("{} files do not decode and were left out: {names}{more}", broken.len());
            (job.report)(Event::Note { id: job.trial.id.clone(), message });
        }
    }

    /// The steps of an epoch. The host waits for the device only where it looks at the loss: at every step on the CPU;
    /// on a GPU every [`LOOK_EVERY_ON_GPU`] steps, at a checkpoint and at the end.
    fn learn(&mut self, job: &mut Job<'_>, epoch: u32, progress: &mut Progress) -> Result<EpochProgress, EngineError> {
        let config = &job.trial.config;
        let mut done = match self.epoch_progress.take() {
            Some(epoch_progress) => epoch_progress,
            None => {
                self.sums = Sums::new(job.device)?;
                self.learner.begin(&self.key(config, progress.steps, true))?;
                EpochProgress::default()
            }
        };
        let ScheduleLength { steps_per_epoch, total } = self.length;
        let look_every = if job.device == Device::Cpu { 1 } else { LOOK_EVERY_ON_GPU };
        let (seconds_before, began) = (done.seconds, Instant::now());
        let mut reported = began;
        let Training { learner, train, sums, length, .. } = self;
        for sample in train.epoch(&config.train, epoch, done.steps) {
            if let Some(end) = job.interrupted(progress, total) {
                // Nobody else may have the trial when its files are written.
                if !matches!(end, EngineError::LeaseLost) {
                    save(job, progress, Some(&done), parts(learner, sums))?;
                }
                return Err(end);
            }
            let sample = sample?;
            let key = StepContext { step: progress.steps, total, seed: config.train.seed, training: true };
            done.samples += sample.count;
            let (lr, loss) = learner.step(config, sample, &key, *length, sums)?;
            done.lr = lr;
            done.steps += 1;
            progress.steps += 1;
            done.seconds = seconds_before + began.elapsed().as_secs_f64();
            let last = done.steps == steps_per_epoch;
            let checkpoint = !last && config.train.checkpoint_every.is_some_and(|n| progress.steps.is_multiple_of(n));
            let kept = progress.losses.as_ref().is_some_and(|losses| losses.wants(progress.steps));
            if !(last || checkpoint || kept || progress.steps.is_multiple_of(look_every)) {
                continue;
            }
            // The sum keeps a NaN of any step in between.
            let (value, sum) = (f64::try_from(&loss)?, sums.total_loss()?);
            if let Some(losses) = progress.losses.as_mut().filter(|_| kept) {
                losses.push(value as f32);
            }
            if !sum.is_finite() {
                return Err(EngineError::Diverged { loss: value, epoch, step: progress.steps });
            }
            if checkpoint {
                save(job, progress, Some(&done), parts(learner, sums))?;
            }
            if last || reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                (job.report)(Event::Step {
                    id: job.trial.id.clone(),
                    epoch,
                    done: progress.steps,
                    total,
                    loss: value,
                    top1: done.fraction_correct(sums, train)?,
                    samples_per_second: done.samples as f64 / done.seconds,
                });
            }
        }
        Ok(done)
    }

    /// Metrics, answers and statistics of every quantized site, activations on the first test samples.
    fn evaluate(&mut self, job: &Job<'_>, progress: &Progress) -> Result<Evaluated, EngineError> {
        let key = self.key(&job.trial.config, progress.steps, false);
        let total = self.length.total;
        let between = || job.interrupted(progress, total).map_or(Ok(()), Err);
        let Training { learner, validation, test, .. } = self;
        learner.evaluated(|network, _| {
            let validation = validation.as_ref().map(|held| held.evaluate(network, &key, between)).transpose()?;
            let (metrics, correct_samples) = test.evaluate(network, &key, between)?;
            let sites = network.statistics(&test.first()?, &key)?;
            let after = After { sites, correct_samples };
            Ok(Evaluated { validation: validation.map(|(metrics, _)| metrics), test: metrics, after })
        })
    }

    /// Writes the network as it is evaluated.
    pub(crate) fn write_model(&mut self, job: &Job<'_>) -> Result<(), EngineError> {
        self.learner
            .evaluated(|_, store| job.dir.write_with("model.safetensors", |path| checkpoint::save_model(path, store)))
    }
}

/// What an evaluation came to.
struct Evaluated {
    validation: Option<Metrics>,
    test: Metrics,
    after: After,
}

/// What the record keeps of the last evaluation only.
#[derive(Debug, Default)]
pub(crate) struct After {
    /// Statistics of every quantized site.
    pub(crate) sites: Vec<SiteStatistics>,
    /// Which test images were right.
    pub(crate) correct_samples: Option<CorrectSamples>,
}

impl EpochProgress {
    /// Fraction of the training samples so far that were right; none for a text.
    fn fraction_correct(&self, sums: &Sums, train: &Samples) -> Result<Option<f64>, EngineError> {
        Ok(match train {
            Samples::Images(_) => Some(sums.total_correct()? as f64 / self.samples as f64),
            Samples::Text(_) => None,
        })
    }
}

fn parts(learner: &Learner, sums: &Sums) -> Vec<Part> {
    let mut parts = learner.parts();
    parts.push(Part { name: "sums", tensors: sums.state() });
    parts
}

/// Writes a checkpoint: at the end of an epoch, or in the middle of the one that is `underway`.
fn save(
    job: &Job<'_>,
    progress: &Progress,
    epoch_progress: Option<&EpochProgress>,
    parts: Vec<Part>,
) -> Result<(), EngineError> {
    let engine = serde_json::to_value(epoch_progress).map_err(|error| EngineError::Checkpoint(error.to_string()))?;
    let state = ResumeState {
        format: FORMAT,
        id: job.trial.id.clone(),
        epoch: progress.resumed_epochs(),
        step: progress.steps,
        epochs: progress.epochs.clone(),
        started: progress.started,
        seconds: progress.seconds(),
        resumed: progress.resumed,
        split: progress.split.clone(),
        losses: progress.losses.clone(),
        engine,
        checkpoint: String::new(),
        seal: String::new(),
    };
    job.dir.save_checkpoint(&state, |path| checkpoint::save(path, &parts, job.device))
}
