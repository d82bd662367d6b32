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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use harness_records::record::{FailureClass, TrialError};
use harness_records::trial::Trial;

use super::{End, ExecuteError, Executor, Flow, Outcome};
use crate::event::Event;

/// Lines of a worker's standard error that are kept to explain its death.
const LAST_WORDS: usize = 20;

/// Worker processes on this machine.
#[derive(Debug)]
pub struct Local {
    /// Program and arguments that start a worker.
    pub command: Vec<PathBuf>,
    /// Workers at the same time, at least 1.
    pub jobs: usize,
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
}

impl Executor for Local {
    fn execute(&self, trials: &[Trial], watch: &mut dyn FnMut(&Event) -> Flow) -> Result<Vec<Outcome>, ExecuteError> {
        let mut pool = Pool::new(self, trials);
        let workers = self.jobs.min(trials.len());
        for _ in 0..workers {
            pool.start()?;
        }
        while !pool.running.is_empty() {
            let Ok(message) = pool.messages.recv() else { break };
            pool.handle(message, watch)?;
        }
        Ok(pool.outcomes(trials))
    }
}

/// All workers of one execution.
struct Pool<'a> {
    local: &'a Local,
    queue: VecDeque<&'a Trial>,
    running: HashMap<usize, Running>,
    ends: HashMap<String, End>,
    sender: Sender<Message>,
    messages: Receiver<Message>,
    started: usize,
    stopping: bool,
}

impl<'a> Pool<'a> {
    fn new(local: &'a Local, trials: &'a [Trial]) -> Pool<'a> {
        let (sender, messages) = channel();
        Pool {
            local,
            queue: trials.iter().collect(),
            running: HashMap::new(),
            ends: HashMap::new(),
            sender,
            messages,
            started: 0,
            stopping: false,
        }
    }

    /// Starts a worker and gives it its first trial.
    fn start(&mut self) -> Result<(), ExecuteError> {
        let (program, arguments) = self.local.command.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            // What CUDA needs for deterministic matrix products; harmless without a GPU.
            .env("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let number = self.started;
        self.started += 1;
        let running = Running { stdin: child.stdin.take(), trial: None };
        listen(number, child, &self.sender);
        self.running.insert(number, running);
        self.feed(number);
        Ok(())
    }

    /// Gives a worker the next trial, or lets it end.
    fn feed(&mut self, number: usize) {
        let next = if self.stopping { None } else { self.queue.pop_front() };
        let Some(running) = self.running.get_mut(&number) else { return };
        running.trial = next.map(|trial| trial.id.clone());
        let Some(trial) = next else {
            running.stdin = None;
            return;
        };
        let sent = running.stdin.as_mut().is_some_and(|stdin| {
            serde_json::to_writer(&mut *stdin, trial).is_ok()
                && stdin.write_all(b"\n").and_then(|()| stdin.flush()).is_ok()
        });
        if !sent {
            // The worker is dead; its end is on the way and will explain the trial.
            running.stdin = None;
        }
    }

    fn handle(&mut self, message: Message, watch: &mut dyn FnMut(&Event) -> Flow) -> Result<(), ExecuteError> {
        match message {
            Message::Event(number, event) => {
                if watch(&event) == Flow::Stop {
                    self.stop();
                }
                if let Some((id, end)) = end_of(&event) {
                    self.ends.insert(id, end);
                    self.feed(number);
                }
            }
            Message::Ended(number, status, last_words) => {
                let Some(running) = self.running.remove(&number) else { return Ok(()) };
                let Some(id) = running.trial.filter(|id| !self.ends.contains_key(id)) else { return Ok(()) };
                if self.stopping {
                    self.ends.insert(id, End::Stopped);
                    return Ok(());
                }
                let error = crash(status, &last_words);
                watch(&Event::Broken { id: id.clone(), error: error.clone() });
                self.ends.insert(id, End::Broken(error));
                if !self.queue.is_empty() {
                    self.start()?;
                }
            }
        }
        Ok(())
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
        if lines.len() == LAST_WORDS {
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
        Event::Started { .. } | Event::Step { .. } | Event::Epoch { .. } | Event::Note { .. } => None,
    }
}

fn crash(status: io::Result<ExitStatus>, last_words: &str) -> TrialError {
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let last = last_words.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map_or_else(String::new, |line| format!("; its last words: {line}"));
    TrialError { class: FailureClass::Crash, message: format!("the worker process ended with {how}{last}") }
}
