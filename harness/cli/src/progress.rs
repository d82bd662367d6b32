//! What a sweep shows while it runs: bars on a terminal, plain lines elsewhere.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use harness_engine::event::Event;
use harness_records::record::{EpochRecord, Metrics, RecordedDevice, Status, TrialError};
use harness_records::trial::Trial;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::talk;
use crate::shared_arguments::Volume;

/// A trial that is silent for longer says how far it is, where there are no bars.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Shows the events of a sweep.
pub(crate) struct Progress {
    labels: HashMap<String, Label>,
    total: usize,
    ended: HashSet<String>,
    volume: Volume,
    bars: Option<Bars>,
    spoken: HashMap<String, Instant>,
}

struct Label {
    name: String,
    epochs: u32,
}

struct Bars {
    all: MultiProgress,
    sweep: ProgressBar,
    trials: HashMap<String, ProgressBar>,
}

impl Progress {
    /// For these trials, all of which are going to run, and others that may.
    pub(crate) fn new(trials: &[Trial], others: &[Trial], volume: Volume) -> Progress {
        let label = |trial: &Trial| Label { name: trial.label.clone(), epochs: trial.config.train.epochs };
        Progress {
            labels: trials.iter().chain(others).map(|trial| (trial.id.clone(), label(trial))).collect(),
            total: trials.len(),
            ended: HashSet::new(),
            volume,
            bars: (io::stderr().is_terminal() && !volume.quiet).then(|| Bars::new(trials.len())),
            spoken: HashMap::new(),
        }
    }

    /// Shows one event.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::Started { id, resumed_epochs, device, .. } => self.started(id, *resumed_epochs, *device),
            Event::Step { id, epoch, done, total, loss, top1, samples_per_second } => {
                let learned = match top1 {
                    Some(top1) => {
                        format!("loss {loss:.4}, {:.1}% right, {samples_per_second:.0} images/s", 100.0 * top1)
                    }
                    None => format!("loss {loss:.4}, {samples_per_second:.0} words/s"),
                };
                self.step(id, *epoch, (*done, *total), &learned);
            }
            Event::Epoch { id, record } => self.epoch(id, record),
            Event::Finished { id, status, metrics, error } => {
                self.ended(id, &finished_text(*status, metrics.as_ref(), error.as_ref()), *status != Status::Ok);
            }
            Event::Passed { id, reason } => self.ended(id, &format!("passed over: {reason}"), false),
            Event::Blocked { id, reason } => self.ended(id, &format!("blocked: {reason}"), true),
            Event::Broken { id, error } => self.ended(id, &failure_text("failed", error), true),
            Event::Stopped { id, reason } => self.ended(id, reason, false),
            Event::Again { id, reason } => self.again(id, reason),
            Event::Note { id, message } => self.say(&format!("{}: {message}", self.name(id))),
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(self) {
        if let Some(bars) = self.bars {
            bars.sweep.finish_and_clear();
        }
    }

    fn name(&self, id: &str) -> String {
        self.labels.get(id).map_or_else(|| id.to_owned(), |label| label.name.clone())
    }

    /// A line that stays, above the bars.
    fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| talk(line)),
            None => talk(line),
        }
    }

    fn started(&mut self, id: &str, resumed: u32, device: RecordedDevice) {
        let name = self.name(id);
        if let Some(bars) = &mut self.bars {
            bars.add(id, &name);
        }
        self.spoken.insert(id.to_owned(), Instant::now());
        if self.volume.verbose || resumed > 0 {
            let resumed = if resumed > 0 { format!(", goes on after epoch {resumed}") } else { String::new() };
            self.say(&format!("{name}: started on {device}{resumed}"));
        }
    }

    fn step(&mut self, id: &str, epoch: u32, (done, total): (u64, u64), learned: &str) {
        let epochs = self.labels.get(id).map_or(0, |label| label.epochs);
        let text = format!("epoch {epoch}/{epochs}, {learned}");
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.trials.get(id)) {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(text);
        } else if !self.volume.quiet && self.spoken.get(id).is_none_or(|at| at.elapsed() >= PLAIN_EVERY) {
            self.spoken.insert(id.to_owned(), Instant::now());
            self.say(&format!("{}: {text}, step {done} of {total}", self.name(id)));
        }
    }

    fn epoch(&mut self, id: &str, record: &EpochRecord) {
        if self.volume.verbose {
            let validation = record.validation.as_ref().and_then(|metrics| metrics.perplexity);
            let validation = validation.map_or_else(String::new, |p| format!("validation perplexity {p:.2}, "));
            let unit = if record.train_top1.is_some() { "images" } else { "words" };
            let line = format!(
                "{}: epoch {}, training loss {:.4}, {validation}{}, {:.0} {unit}/s",
                self.name(id),
                record.epoch,
                record.train_loss,
                metrics_text(&record.test),
                record.samples_per_second
            );
            self.say(&line);
        }
    }

    /// A trial that ended has not ended after all.
    fn again(&mut self, id: &str, reason: &str) {
        if !self.ended.remove(id) {
            self.total += 1;
        }
        self.say(&format!("{}: {reason}", self.name(id)));
    }

    fn ended(&mut self, id: &str, text: &str, bad: bool) {
        self.ended.insert(id.to_owned());
        if let Some(bars) = &mut self.bars {
            bars.remove(id);
            bars.sweep.set_position(self.ended.len() as u64);
        }
        if bad || !self.volume.quiet {
            self.say(&format!("[{}/{}] {}: {text}", self.ended.len(), self.total, self.name(id)));
        }
    }
}

fn finished_text(status: Status, metrics: Option<&Metrics>, error: Option<&TrialError>) -> String {
    match (status, error) {
        (Status::Ok, _) => metrics.map_or_else(String::new, metrics_text),
        (Status::Diverged, Some(error)) => failure_text("diverged", error),
        (_, Some(error)) => failure_text("failed", error),
        (_, None) => "failed".to_owned(),
    }
}

/// What a test came to.
fn metrics_text(metrics: &Metrics) -> String {
    match (metrics.top1, metrics.perplexity) {
        (Some(top1), _) => format!("top-1 {:.2}%, loss {:.4}", 100.0 * top1, metrics.loss),
        (None, Some(perplexity)) => format!("perplexity {perplexity:.2}, loss {:.4}", metrics.loss),
        (None, None) => format!("loss {:.4}", metrics.loss),
    }
}

fn failure_text(how: &str, error: &TrialError) -> String {
    format!("{how} ({}): {}", error.class.name(), error.message)
}

impl Bars {
    fn new(total: usize) -> Bars {
        let all = MultiProgress::new();
        let sweep = all.add(ProgressBar::new(total as u64));
        sweep.set_style(style("{bar:30.cyan/dim} {pos}/{len} trials, {elapsed} gone, {eta} to go"));
        sweep.enable_steady_tick(Duration::from_millis(250));
        Bars { all, sweep, trials: HashMap::new() }
    }

    fn add(&mut self, id: &str, name: &str) {
        let bar = self.all.add(ProgressBar::new(1));
        bar.set_style(style("{bar:30.green/dim} {prefix}: {wide_msg} {eta}"));
        bar.set_prefix(name.to_owned());
        self.trials.insert(id.to_owned(), bar);
    }

    fn remove(&mut self, id: &str) {
        if let Some(bar) = self.trials.remove(id) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

/// A style from one of the templates above; the plain bar should one of them be wrong.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
