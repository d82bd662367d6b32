//! One training, from its first weights (or its last checkpoint) to its last epoch.

mod batch;
mod calibrate;
mod ema;
mod forward;
mod learner;
mod look;
mod loss;
mod sums;
mod teacher;

use std::time::{Duration, Instant};

use harness_datasets::JpegDecoder;
use harness_methods::core::StepContext;
use harness_models::Plan;
use harness_models::network::SiteStatistics;
use harness_records::record::{CorrectSamples, EpochRecord, FORMAT, Losses, Metrics};
use harness_records::resume::{Resumable, ResumeState};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::checkpoint::{self, TensorGroup};
use crate::contents;
use crate::data::DeviceImages;
use crate::event::Event;
use crate::failure::EngineError;
use crate::job::{Job, TrialProgress};
use crate::metrics::EvalSplit;
use crate::run_record::site_record;
use crate::schedule::ScheduleLength;
use batch::TrainingData;
use learner::Learner;
use look::{Look, Looks};
use sums::EpochSums;
use teacher::Teacher;

/// Minimum time between two reports of steps.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// How many files one message names.
const NAMES: usize = 5;

/// Everything that learns, and what it learns from.
#[derive(Debug)]
pub(crate) struct Training {
    learner: Learner,
    train: TrainingData,
    validation: Option<EvalSplit>,
    test: EvalSplit,
    length: ScheduleLength,
    sums: EpochSums,
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
    /// TrainingData seen.
    samples: u64,
    /// Learning rate of the last step.
    lr: f64,
    /// Seconds of training.
    seconds: f64,
}

impl Training {
    /// A training at its start.
    pub(crate) fn new(job: &Job<'_>, progress: &mut TrialProgress) -> Result<Training, EngineError> {
        let (config, device) = (&job.trial.config, job.device);
        let contents = contents::contents(config)?;
        let (input, classes) = contents::input(contents);
        let plan = Plan::new(&config.model, &config.quant, input, classes)?;
        progress.model = plan.size.clone();
        let train = TrainingData::load(config, device)?;
        let teacher = Teacher::new(&config.train, job.dir, contents, device)?;
        let streams = matches!(train, TrainingData::Text(_)).then(|| i64::from(config.train.batch));
        let steps_per_epoch = train.steps(&config.train);
        Ok(Training {
            learner: Learner::new(config, job.dir, &plan, streams, teacher, device)?,
            validation: EvalSplit::validation(config, contents, device)?,
            test: EvalSplit::test(config, contents, device)?,
            length: ScheduleLength { steps_per_epoch, total: steps_per_epoch * u64::from(config.train.epochs) },
            train,
            sums: EpochSums::new(device)?,
            epoch_progress: None,
            left_out: 0,
        })
    }

    /// Goes back to the last checkpoint, if there is one that fits.
    pub(crate) fn resume(&mut self, job: &mut Job<'_>, progress: &mut TrialProgress) -> Result<(), EngineError> {
        progress.losses = Some(Losses::new(self.length.total));
        self.tell_of_decoder(job);
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

    /// Sets what `train.calibrate` asks for, unless the training has gone on from a checkpoint.
    pub(crate) fn calibrate(&mut self, job: &mut Job<'_>, progress: &TrialProgress) -> Result<(), EngineError> {
        let Some(calibrate) = job.trial.config.train.calibrate.clone().filter(|_| progress.steps == 0) else {
            return Ok(());
        };
        let ctx = StepContext { step: 0, total: self.length.total, seed: job.trial.config.train.seed, training: false };
        let images = self.train.images().ok_or(EngineError::CalibratedText)?;
        calibrate::calibrate(job, &mut self.learner.network, images, &calibrate, &ctx)
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
        checkpoint::load(&path, self.tensor_groups(), job.device)?;
        Ok(Some(state))
    }

    fn tensor_groups(&self) -> Vec<TensorGroup> {
        tensor_groups(&self.learner, &self.sums)
    }

    /// One pass over the training set, or what a checkpoint has left of it, with the evaluation after it.
    pub(crate) fn epoch(
        &mut self,
        job: &mut Job<'_>,
        epoch: u32,
        progress: &mut TrialProgress,
    ) -> Result<(EpochRecord, Evaluation), EngineError> {
        let learned = self.learn(job, epoch, progress)?;
        let at = Instant::now();
        let evaluation = self.evaluate(job, progress);
        if let Err(EngineError::Stopped { .. } | EngineError::TimedOut { .. }) = evaluation {
            save(job, progress, Some(&learned), self.tensor_groups())?;
        }
        let evaluation = evaluation?;
        self.tell_of_left_out(job);
        let samples = learned.samples as f64;
        let record = EpochRecord {
            epoch,
            lr: learned.lr,
            train_loss: self.sums.total_loss()? / samples,
            train_top1: learned.fraction_correct(&self.sums, &self.train)?,
            validation: evaluation.validation.clone(),
            test: evaluation.test.clone(),
            train_seconds: learned.seconds,
            test_seconds: at.elapsed().as_secs_f64(),
            samples_per_second: samples / learned.seconds,
            sites: evaluation.sites.iter().map(site_record).collect(),
        };
        progress.epochs.push(record.clone());
        if epoch < job.trial.config.train.epochs {
            save(job, progress, None, self.tensor_groups())?;
        }
        Ok((record, evaluation))
    }

    /// Says that JPEG files are decoded in another way than usual: the pixels, and so the metrics, are others.
    fn tell_of_decoder(&self, job: &mut Job<'_>) {
        if let Some(decoder @ JpegDecoder::Zune) = self.train.images().and_then(DeviceImages::jpeg_decoder) {
            let message = format!("decodes JPEG files by {decoder}");
            (job.report)(Event::Note { id: job.trial.id.clone(), message });
        }
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

    /// The steps of an epoch. The host waits for the device only where [`Looks`] says so.
    fn learn(
        &mut self,
        job: &mut Job<'_>,
        epoch: u32,
        progress: &mut TrialProgress,
    ) -> Result<EpochProgress, EngineError> {
        let config = &job.trial.config;
        let mut done = self.begin_epoch(job, progress)?;
        let ScheduleLength { steps_per_epoch, total } = self.length;
        let looks = Looks::new(job.device, config.train.checkpoint_every, steps_per_epoch);
        let (seconds_before, began) = (done.seconds, Instant::now());
        let mut reported = began;
        let Training { learner, train, sums, length, .. } = self;
        for batch in train.epoch(&config.train, epoch, done.steps) {
            if let Some(end) = job.interrupted(progress, total) {
                // After the lease is lost, nothing may be written: the files belong to another process.
                if !matches!(end, EngineError::LeaseLost) {
                    save(job, progress, Some(&done), tensor_groups(learner, sums))?;
                }
                return Err(end);
            }
            let batch = batch?;
            let ctx = StepContext { step: progress.steps, total, seed: config.train.seed, training: true };
            done.samples += batch.count;
            let (lr, loss) = learner.step(config, batch, &ctx, *length, sums)?;
            done.lr = lr;
            done.steps += 1;
            progress.steps += 1;
            done.seconds = seconds_before + began.elapsed().as_secs_f64();
            let keep_loss = progress.losses.as_ref().is_some_and(|losses| losses.wants(progress.steps));
            let Some(look) = looks.after(done.steps, progress.steps, keep_loss) else { continue };
            let loss = check_loss(&loss, sums, look, epoch, progress)?;
            if look.checkpoint {
                save(job, progress, Some(&done), tensor_groups(learner, sums))?;
            }
            if look.epoch_ends || reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                (job.report)(Event::Step {
                    id: job.trial.id.clone(),
                    epoch,
                    done: progress.steps,
                    total,
                    loss,
                    top1: done.fraction_correct(sums, train)?,
                    samples_per_second: done.samples as f64 / done.seconds,
                });
            }
        }
        Ok(done)
    }

    /// What a checkpoint says of the epoch that it was taken in, or an epoch before its first step.
    fn begin_epoch(&mut self, job: &Job<'_>, progress: &TrialProgress) -> Result<EpochProgress, EngineError> {
        if let Some(epoch_progress) = self.epoch_progress.take() {
            return Ok(epoch_progress);
        }
        self.sums = EpochSums::new(job.device)?;
        let seed = job.trial.config.train.seed;
        let ctx = StepContext { step: progress.steps, total: self.length.total, seed, training: true };
        self.learner.reset_hidden_state(&ctx)?;
        Ok(EpochProgress::default())
    }

    /// Metrics on the validation and the test split, and the statistics of every quantized site.
    ///
    /// This is where quantization is measured: after every epoch, or once where there is none, with the weights as they are evaluated, activations
    /// on the first test samples only ([`EvalSplit::first`]).
    pub(crate) fn evaluate(&mut self, job: &Job<'_>, progress: &TrialProgress) -> Result<Evaluation, EngineError> {
        let total = self.length.total;
        let ctx = StepContext { step: progress.steps, total, seed: job.trial.config.train.seed, training: false };
        let between = || job.interrupted(progress, total).map_or(Ok(()), Err);
        let Training { learner, validation, test, .. } = self;
        learner.evaluated(|network, _| {
            let validation = validation.as_ref().map(|split| split.evaluate(network, &ctx, between)).transpose()?;
            let (metrics, correct_samples) = test.evaluate(network, &ctx, between)?;
            let sites = network.statistics(&test.first()?, &ctx)?;
            let validation = validation.map(|(metrics, _)| metrics);
            Ok(Evaluation { validation, test: metrics, sites, correct_samples })
        })
    }

    /// Writes the network as it is evaluated.
    pub(crate) fn write_model(&mut self, job: &Job<'_>) -> Result<(), EngineError> {
        self.learner
            .evaluated(|_, store| job.dir.write_with("model.safetensors", |path| checkpoint::save_model(path, store)))
    }
}

/// The results of the evaluation after an epoch.
#[derive(Debug)]
pub(crate) struct Evaluation {
    /// Of a text; images have no validation split.
    validation: Option<Metrics>,
    pub(crate) test: Metrics,
    /// Statistics of every quantized site.
    pub(crate) sites: Vec<SiteStatistics>,
    /// Which test images are classified correctly; none for a text.
    pub(crate) correct_samples: Option<CorrectSamples>,
}

/// Reads the loss of a step from the device, keeps it where the record wants it, and ends a training that has diverged.
fn check_loss(
    loss: &Tensor,
    sums: &EpochSums,
    look: Look,
    epoch: u32,
    progress: &mut TrialProgress,
) -> Result<f64, EngineError> {
    let (loss, sum) = (f64::try_from(loss)?, sums.total_loss()?);
    if let Some(losses) = progress.losses.as_mut().filter(|_| look.keep_loss) {
        losses.push(loss as f32);
    }
    // The sum is not finite if the loss of any step since the last look was not.
    if sum.is_finite() { Ok(loss) } else { Err(EngineError::Diverged { loss, epoch, step: progress.steps }) }
}

impl EpochProgress {
    /// Fraction of the training samples so far that were right; none for a text.
    fn fraction_correct(&self, sums: &EpochSums, train: &TrainingData) -> Result<Option<f64>, EngineError> {
        Ok(match train {
            TrainingData::Images(_) => Some(sums.total_correct()? as f64 / self.samples as f64),
            TrainingData::Text(_) => None,
        })
    }
}

/// Everything that a checkpoint holds.
fn tensor_groups(learner: &Learner, sums: &EpochSums) -> Vec<TensorGroup> {
    let mut groups = learner.tensor_groups();
    groups.push(TensorGroup { name: "sums", tensors: sums.state() });
    groups
}

/// Writes a checkpoint: at the end of an epoch, or in the middle of the one that `epoch_progress` describes.
fn save(
    job: &Job<'_>,
    progress: &TrialProgress,
    epoch_progress: Option<&EpochProgress>,
    groups: Vec<TensorGroup>,
) -> Result<(), EngineError> {
    let engine = serde_json::to_value(epoch_progress).map_err(EngineError::EpochProgress)?;
    let state = ResumeState {
        format: FORMAT,
        id: job.trial.id.clone(),
        epoch: progress.epochs_done(),
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
    job.dir.save_checkpoint(&state, |path| checkpoint::save(path, &groups, job.device))
}
