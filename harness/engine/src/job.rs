//! A trial with everything that running it needs, and what is known of it while it runs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness_records::lease::Lease;
use harness_records::record::{EpochRecord, Losses, ModelRecord, Split};
use harness_records::store::{ResumeState, TrialDir};
use harness_records::trial::Trial;
use tch::Device;

use crate::environment::Revision;
use crate::event::Event;
use crate::failure::EngineError;
use crate::{hold, stop};

/// What is done about trials that fail or take long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Run failed trials again whose class says that trying again will not help.
    pub retry_failed: bool,
    /// Time an attempt may take.
    pub time_limit: Option<Duration>,
    /// When a batch does not fit the memory, compute it in twice as many micro-batches.
    pub split: bool,
}

/// A trial and everything that running it needs.
pub struct Job<'a> {
    /// What to run.
    pub trial: &'a Trial,
    /// The folder of its files.
    pub dir: &'a TrialDir,
    /// The right to write there, which other processes respect.
    pub lease: &'a Lease,
    /// Where to compute.
    pub device: Device,
    /// Commit of the working directory.
    pub revision: &'a Revision,
    /// What is done when it fails or takes long.
    pub rules: Rules,
    /// Receives every report.
    pub report: &'a mut dyn FnMut(Event),
}

impl Job<'_> {
    /// Why a training of `total` steps has to end before it is done. Asked at every step.
    pub(crate) fn interrupted(&self, progress: &TrialProgress, total: u64) -> Option<EngineError> {
        let interruption = || {
            let (lease_lost, stop) = (self.lease.is_lost(), stop::requested());
            let signals = Signals { lease_lost, stop, elapsed: progress.began.elapsed() };
            signals.interruption(self.rules.time_limit, progress, total)
        };
        hold::at(progress.steps, || interruption().is_some());
        interruption()
    }
}

/// What can end a training early, as it is at one moment.
struct Signals {
    lease_lost: bool,
    stop: bool,
    /// Time since the attempt began.
    elapsed: Duration,
}

impl Signals {
    /// A lost lease comes first, because nothing may be written then; a request to stop comes before the time limit,
    /// because a trial that ran out of time counts as failed.
    fn interruption(&self, limit: Option<Duration>, progress: &TrialProgress, total: u64) -> Option<EngineError> {
        let steps = progress.steps;
        if self.lease_lost {
            return Some(EngineError::LeaseLost);
        }
        if self.stop {
            return Some(EngineError::Stopped { epochs: progress.epochs_done(), steps });
        }
        let limit = limit.filter(|limit| self.elapsed >= *limit);
        limit.map(|limit| EngineError::TimedOut { seconds: limit.as_secs(), steps, total })
    }
}

/// What is known of a training so far, also when it ends badly.
#[derive(Debug)]
pub(crate) struct TrialProgress {
    /// Records of the epochs that are done.
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) model: ModelRecord,
    /// When the first attempt began, in seconds since 1970.
    pub(crate) started: u64,
    /// Seconds of work of earlier attempts that contributed.
    pub(crate) seconds_before: f64,
    /// When this attempt began.
    began: Instant,
    /// How often the training was resumed from a checkpoint.
    pub(crate) resumed: u32,
    /// Optimizer steps done.
    pub(crate) steps: u64,
    pub(crate) split: Option<Split>,
    pub(crate) losses: Option<Losses>,
}

impl TrialProgress {
    pub(crate) fn new() -> TrialProgress {
        TrialProgress {
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

    /// Takes over what a checkpoint says.
    pub(crate) fn go_on_from(&mut self, state: ResumeState) {
        self.epochs = state.epochs;
        self.steps = state.step;
        self.started = state.started;
        self.seconds_before = state.seconds;
        self.resumed = state.resumed;
        self.split = state.split;
        self.losses = state.losses;
    }

    pub(crate) fn epochs_done(&self) -> u32 {
        u32::try_from(self.epochs.len()).unwrap_or(u32::MAX)
    }

    /// Seconds of work so far, over all attempts that contributed.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of what ends the training, if anything does.
    fn ended_by(lease_lost: bool, stop: bool, elapsed: u64, limit: Option<u64>) -> Option<&'static str> {
        let signals = Signals { lease_lost, stop, elapsed: Duration::from_secs(elapsed) };
        let mut progress = TrialProgress::new();
        progress.steps = 7;
        signals.interruption(limit.map(Duration::from_secs), &progress, 20).map(|error| match error {
            EngineError::LeaseLost => "lease",
            EngineError::Stopped { epochs: 0, steps: 7 } => "stop",
            EngineError::TimedOut { seconds: 5, steps: 7, total: 20 } => "time",
            _ => "something else",
        })
    }

    #[test]
    fn a_training_ends_early_for_the_gravest_reason() {
        assert_eq!(ended_by(false, false, 100, None), None);
        assert_eq!(ended_by(false, false, 4, Some(5)), None);
        assert_eq!(ended_by(false, false, 5, Some(5)), Some("time"));
        assert_eq!(ended_by(false, true, 5, Some(5)), Some("stop"));
        assert_eq!(ended_by(true, true, 5, Some(5)), Some("lease"));
    }
}
