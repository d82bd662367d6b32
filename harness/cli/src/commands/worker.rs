//! `harness worker`: one worker process of a sweep.
//!
//! Trials come in on standard input, one JSON object a line; events go out on standard output, likewise. The end of
//! standard input means that whoever started the worker is done with it, or dead: in the middle of a trial it aborts,
//! and the trial's lease falls to the next process that looks at it. A line that says stop, or a signal, makes it write
//! a checkpoint and end in good order.

use std::io::BufRead;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use clap::Args;
use harness_engine::device::DeviceChoice;
use harness_engine::event::Event;
use harness_engine::execute::STOP;
use harness_engine::stop;
use harness_engine::worker::Worker;
use harness_records::store::Store;
use harness_records::trial::Trial;

use crate::exit::{Outcome, refuse};
use crate::output;
use crate::rules::RuleArguments;

#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// Folder of the runs
    #[arg(long)]
    runs: PathBuf,
    /// Where to compute
    #[arg(long)]
    device: DeviceChoice,
    #[command(flatten)]
    rules: RuleArguments,
}

pub(crate) fn run(arguments: &WorkerArguments) -> Outcome {
    harness_torch::keep_freed_memory();
    stop::listen(false)?;
    let device = arguments.device.resolve().map_err(refuse)?;
    let store = Store::open(&arguments.runs);
    let worker = Worker { store: &store, device, rules: arguments.rules.rules() };
    let (sender, trials) = mpsc::channel::<Trial>();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line == STOP {
                stop::request();
            }
            let Ok(trial) = serde_json::from_str(&line) else { continue };
            BUSY.store(true, Ordering::SeqCst);
            if sender.send(trial).is_err() {
                return;
            }
        }
        // An orderly exit would run libtorch's destructors under the feet of the thread that trains, and hang.
        if BUSY.load(Ordering::SeqCst) {
            process::abort();
        }
    });
    for trial in trials {
        worker.run(&[trial], &mut report);
    }
    Ok(())
}

/// True from the moment a trial is taken in until its end has been reported.
static BUSY: AtomicBool = AtomicBool::new(false);

fn report(event: Event) {
    let is_end = matches!(
        event,
        Event::Finished { .. }
            | Event::Passed { .. }
            | Event::Blocked { .. }
            | Event::Broken { .. }
            | Event::Stopped { .. }
    );
    if is_end {
        BUSY.store(false, Ordering::SeqCst);
    }
    let Ok(line) = serde_json::to_string(&event) else { return };
    if output::print(line).is_err() && BUSY.load(Ordering::SeqCst) {
        // Nobody listens any more: the sweep is dead.
        process::abort();
    }
}
