//! Worker processes on this machine.
//!
//! Every trial runs in a process of its own making: an abort inside libtorch, a fatal CUDA error or the kernel's
//! out-of-memory killer takes one attempt of one trial, never the sweep. A worker is this same program with other
//! arguments. It reads its trials from standard input, which is then held open: a worker that reads the end of it
//! knows that the sweep has died, and ends too.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use harness_records::record::{FailureClass, Status, TrialError};
use harness_records::trial::Trial;
use tch::Device;

use super::placement::{Placement, Places};
use super::{Control, End, ExecuteError, Executor, Outcome};
use crate::device;
use crate::event::Event;
use crate::stop;

/// The line that asks a worker to stop, in the place of a trial.
pub const STOP: &str = "\"stop\"";

/// Time between two looks whether the sweep is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lines of a worker's standard error that are kept to explain its death.
const STDERR_TAIL: usize = 20;

/// Worker processes on this machine.
#[derive(Debug)]
pub struct Local {
    /// Program and arguments that start a worker, but for its device.
    pub command: Vec<PathBuf>,
    /// How many workers, and where.
    pub placement: Placement,
}

enum Message {
    Event(usize, Event),
    Ended(usize, io::Result<ExitStatus>, String),
}

/// A worker that lives.
struct Running {
    /// Held open for as long as the worker shall live.
    stdin: Option<ChildStdin>,
    trial: Option<String>,
    /// When it was given its trial.
    since: Instant,
}

impl Executor for Local {
    fn execute(
        &self,
        trials: &[Trial],
        watch: &mut dyn FnMut(&Event) -> Control,
    ) -> Result<Vec<Outcome>, ExecuteError> {
        let mut pool = Pool::new(self, trials);
        pool.grow(watch)?;
        while !pool.running.is_empty() {
            if stop::requested() && !pool.stopping {
                pool.ask_to_stop();
            }
            match pool.messages.recv_timeout(LOOK_EVERY) {
                Ok(message) => pool.handle(message, watch)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(pool.outcomes(trials))
    }
}

/// What the queue has for a worker.
enum Next<'a> {
    Trial(&'a Trial),
    /// Nothing yet: what is left builds on trials that run.
    Wait,
    Nothing,
}

/// All workers of one execution.
struct Pool<'a> {
    local: &'a Local,
    trials: &'a [Trial],
    queue: VecDeque<&'a Trial>,
    running: HashMap<usize, Running>,
    ends: HashMap<String, End>,
    sender: Sender<Message>,
    messages: Receiver<Message>,
    started: usize,
    stopping: bool,
    places: Places,
}

impl<'a> Pool<'a> {
    fn new(local: &'a Local, trials: &'a [Trial]) -> Pool<'a> {
        let (sender, messages) = channel();
        Pool {
            local,
            trials,
            queue: trials.iter().collect(),
            running: HashMap::new(),
            ends: HashMap::new(),
            sender,
            messages,
            started: 0,
            stopping: false,
            places: Places::new(&local.placement),
        }
    }

    /// Starts as many workers as there are places and trials for; none while one waits for a trial.
    fn grow(&mut self, watch: &mut dyn FnMut(&Event) -> Control) -> Result<(), ExecuteError> {
        let waits = |worker: &Running| worker.trial.is_none() && worker.stdin.is_some();
        while !self.stopping && !self.queue.is_empty() && !self.running.values().any(waits) {
            let Some(device) = self.places.free(self.queue.len()) else { return Ok(()) };
            self.start(device, watch)?;
        }
        Ok(())
    }

    /// Starts a worker and gives it its first trial.
    fn start(&mut self, device: Device, watch: &mut dyn FnMut(&Event) -> Control) -> Result<(), ExecuteError> {
        let (program, arguments) = self.local.command.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--device", &device::recorded(device).to_string()])
            // So that a GPU has the same number for libtorch as for the driver.
            .env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            // What CUDA needs for deterministic matrix products; harmless without a GPU.
            .env("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let number = self.started;
        self.started += 1;
        let running = Running { stdin: child.stdin.take(), trial: None, since: Instant::now() };
        listen(number, child, &self.sender);
        self.running.insert(number, running);
        self.places.begin(number, device);
        self.feed(number, watch);
        Ok(())
    }

    /// Why a trial cannot begin yet (`Err(None)`) or at all.
    fn ready(&self, trial: &Trial) -> Result<(), Option<End>> {
        for id in trial.config.train.needs() {
            let Some(other) = self.trials.iter().find(|other| other.id == id) else { continue };
            let builds = |how: &str| format!("it builds on `{}`, which {how}", other.label);
            return Err(match self.ends.get(id) {
                Some(End::Recorded { status: Status::Ok, .. }) => continue,
                None => None,
                Some(End::Passed(reason)) => Some(End::Passed(builds(&format!("was passed over: {reason}")))),
                Some(End::Recorded { error, .. }) => {
                    let class = error.as_ref().map_or("error", |error| error.class.name());
                    Some(End::Blocked(builds(&format!("failed ({class})"))))
                }
                Some(End::Broken(error)) => Some(End::Blocked(builds(&format!("failed ({})", error.class.name())))),
                Some(End::Blocked(_)) => Some(End::Blocked(builds("is blocked itself"))),
                Some(End::Stopped) => Some(End::Stopped),
            });
        }
        Ok(())
    }

    /// Takes the first trial that can begin out of the queue, and with it those before it that never can.
    fn next(&mut self, watch: &mut dyn FnMut(&Event) -> Control) -> Next<'a> {
        if self.stopping {
            return Next::Nothing;
        }
        let mut index = 0;
        while let Some(&trial) = self.queue.get(index) {
            match self.ready(trial) {
                Ok(()) => {
                    self.queue.remove(index);
                    return Next::Trial(trial);
                }
                Err(None) => index += 1,
                Err(Some(end)) => {
                    self.queue.remove(index);
                    let id = trial.id.clone();
                    match &end {
                        End::Passed(reason) => {
                            watch(&Event::Passed { id: id.clone(), reason: reason.clone() });
                        }
                        End::Blocked(reason) => {
                            watch(&Event::Blocked { id: id.clone(), reason: reason.clone() });
                        }
                        _ => {}
                    }
                    self.ends.insert(id, end);
                    // Trials before it may build on it.
                    index = 0;
                }
            }
        }
        if self.queue.is_empty() { Next::Nothing } else { Next::Wait }
    }

    /// Gives every worker that waits its next trial, or lets it end.
    fn feed_all(&mut self, watch: &mut dyn FnMut(&Event) -> Control) {
        let waits = |running: &Running| running.trial.is_none() && running.stdin.is_some();
        let mut numbers: Vec<usize> =
            self.running.iter().filter(|(_, running)| waits(running)).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.feed(number, watch);
        }
    }

    fn feed(&mut self, number: usize, watch: &mut dyn FnMut(&Event) -> Control) {
        let next = self.next(watch);
        let Some(running) = self.running.get_mut(&number) else { return };
        running.trial = None;
        let trial = match next {
            Next::Trial(trial) => trial,
            Next::Wait => return,
            Next::Nothing => {
                running.stdin = None;
                return;
            }
        };
        running.trial = Some(trial.id.clone());
        running.since = Instant::now();
        let sent = running.stdin.as_mut().is_some_and(|stdin| {
            serde_json::to_writer(&mut *stdin, trial).is_ok()
                && stdin.write_all(b"\n").and_then(|()| stdin.flush()).is_ok()
        });
        if !sent {
            // The worker is dead; its end is on the way and will explain the trial.
            running.stdin = None;
        }
    }

    fn handle(&mut self, message: Message, watch: &mut dyn FnMut(&Event) -> Control) -> Result<(), ExecuteError> {
        match message {
            Message::Event(number, event) => {
                match watch(&event) {
                    Control::Continue => {}
                    Control::Drain => self.stopping = true,
                    Control::Stop => self.stop(),
                }
                if matches!(event, Event::Step { .. } | Event::Epoch { .. } | Event::Finished { .. }) {
                    self.places.settle(number);
                }
                if let Some((id, end)) = end_of(&event) {
                    if let (End::Recorded { .. }, Some(running)) = (&end, self.running.get(&number)) {
                        self.places.note(running.since.elapsed());
                    }
                    self.ends.insert(id, end);
                    self.feed(number, watch);
                    self.feed_all(watch);
                }
                self.grow(watch)?;
            }
            Message::Ended(number, status, last_words) => {
                let Some(running) = self.running.remove(&number) else { return Ok(()) };
                self.places.end(number);
                let Some(id) = running.trial.filter(|id| !self.ends.contains_key(id)) else { return Ok(()) };
                if self.stopping {
                    self.ends.insert(id, End::Stopped);
                    return Ok(());
                }
                let error = crash(status, &last_words);
                watch(&Event::Broken { id: id.clone(), error: error.clone() });
                self.ends.insert(id, End::Broken(error));
                self.feed_all(watch);
                self.grow(watch)?;
            }
        }
        Ok(())
    }

    /// Asks every worker to write a checkpoint and end. One that has no trial ends when it is fed nothing.
    fn ask_to_stop(&mut self) {
        self.stopping = true;
        for running in self.running.values_mut() {
            let asked = running.stdin.as_mut().is_some_and(|stdin| writeln!(stdin, "{STOP}").is_ok());
            if running.trial.is_none() || !asked {
                running.stdin = None;
            }
        }
    }

    /// Lets every worker end now: each reads the end of its standard input.
    fn stop(&mut self) {
        self.stopping = true;
        for running in self.running.values_mut() {
            running.stdin = None;
        }
    }

    fn outcomes(mut self, trials: &[Trial]) -> Vec<Outcome> {
        let mut end = |id: &str| self.ends.remove(id).unwrap_or(End::Stopped);
        trials.iter().map(|trial| Outcome { id: trial.id.clone(), end: end(&trial.id) }).collect()
    }
}

/// Reads a worker's events and, at its end, how it ended.
fn listen(number: usize, mut child: Child, sender: &Sender<Message>) {
    let sender = sender.clone();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let words = thread::spawn(move || stderr.map_or_else(String::new, last_words));
        for line in stdout.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            // Anything else on standard output comes from a library and is no report.
            if let Ok(event) = serde_json::from_str(&line) {
                // The receiver is gone only when nobody wants to know any more.
                let _ = sender.send(Message::Event(number, event));
            }
        }
        let status = child.wait();
        let words = words.join().unwrap_or_default();
        let _ = sender.send(Message::Ended(number, status, words));
    });
}

fn last_words(stderr: impl Read) -> String {
    let mut lines = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if lines.len() == STDERR_TAIL {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    Vec::from(lines).join("\n")
}

fn end_of(event: &Event) -> Option<(String, End)> {
    match event.clone() {
        Event::Finished { id, status, metrics, error } => Some((id, End::Recorded { status, metrics, error })),
        Event::Passed { id, reason } => Some((id, End::Passed(reason))),
        Event::Broken { id, error } => Some((id, End::Broken(error))),
        Event::Blocked { id, reason } => Some((id, End::Blocked(reason))),
        Event::Stopped { id, .. } => Some((id, End::Stopped)),
        Event::Started { .. } | Event::Step { .. } | Event::Epoch { .. } | Event::Note { .. } | Event::Again { .. } => {
            None
        }
    }
}

fn crash(status: io::Result<ExitStatus>, last_words: &str) -> TrialError {
    let class = if status.as_ref().is_ok_and(was_killed) { FailureClass::Killed } else { FailureClass::Crash };
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let last = last_words.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map_or_else(String::new, |line| format!("; its last words: {line}"));
    TrialError { class, message: format!("the worker process ended with {how}{last}") }
}

/// SIGKILL and SIGTERM come from outside; all else a process brings upon itself.
#[cfg(unix)]
fn was_killed(status: &ExitStatus) -> bool {
    use signal_hook::consts::{SIGKILL, SIGTERM};
    use std::os::unix::process::ExitStatusExt;
    matches!(status.signal(), Some(SIGKILL | SIGTERM))
}

#[cfg(not(unix))]
fn was_killed(_: &ExitStatus) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;

    use harness_records::spec::SweepSpec;

    use crate::catalog::catalog;

    /// A worker that notes where it was told to compute and says that every trial ended well, but is killed at one of them.
    const WORKER: &str = r#"
    while read -r line; do
        id=$(printf %s "$line" | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
        echo "$2" >> "$0"
        case $line in *'"seed":5'*) kill -KILL $$ ;; esac
        echo '{"event":"finished","id":"'$id'","status":"ok","metrics":null,"error":null}'
    done"#;

    #[test]
    fn every_place_is_used_and_a_death_costs_one_trial() {
        let root = tempfile::tempdir().unwrap();
        let (file, log) = (root.path().join("sweep.yaml"), root.path().join("log"));
        fs::write(&file, "{name: s, axes: {train.seed: [0, 1, 2, 3, 4, 5, 6, 7]}}").unwrap();
        let spec = SweepSpec::read(&file, &[], &catalog()).unwrap();
        let placement = Placement {
            devices: vec![Device::Cuda(0), Device::Cuda(1)],
            per_device: 1,
            jobs: 2,
            spare: false,
            memory: |_| None,
        };
        let command = ["sh", "-c", WORKER].map(PathBuf::from).into_iter().chain([log.clone()]).collect();
        let local = Local { command, placement };
        let outcomes = local.execute(spec.trials(), &mut |_| Control::Continue).unwrap();
        let well = |outcome: &Outcome| matches!(outcome.end, End::Recorded { status: Status::Ok, .. });
        let not: Vec<&Outcome> = outcomes.iter().filter(|outcome| !well(outcome)).collect();
        assert_eq!(not.len(), 1, "{not:?}");
        assert_eq!(not[0].id, spec.trials()[5].id);
        assert!(matches!(&not[0].end, End::Broken(error) if error.class == FailureClass::Killed), "{not:?}");
        let used = fs::read_to_string(log).unwrap();
        assert_eq!(used.lines().count(), 8, "{used}");
        assert!(used.contains("cuda:0") && used.contains("cuda:1"), "{used}");
    }
}
