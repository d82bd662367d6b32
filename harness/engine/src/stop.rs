//! Being asked to stop: by Ctrl-C, by SIGTERM, or by whoever started this worker.
//!
//! A trial that is asked to stop writes a checkpoint and ends its attempt; the next start goes on from there.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Shared with the signal handlers.
static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Set by the signal that announces a time limit.
static TIME_IS_UP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

fn announced() -> &'static Arc<AtomicBool> {
    TIME_IS_UP.get_or_init(Arc::default)
}

/// True once SIGUSR2 has said that a time limit is near, or that somebody else needs the machine.
#[must_use]
pub fn time_is_up() -> bool {
    announced().load(Ordering::Relaxed)
}

fn asked() -> &'static Arc<AtomicBool> {
    ASKED.get_or_init(Arc::default)
}

/// True once this process was asked to stop.
#[must_use]
pub fn requested() -> bool {
    asked().load(Ordering::Relaxed)
}

/// Asks this process to stop.
pub fn request() {
    asked().store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C, SIGTERM and SIGUSR2 (which schedulers send ahead of a time limit) only ask. Where this process
/// talks to a person, a second Ctrl-C ends it at once, with exit code 1; schedulers may well send more than one signal.
///
/// # Errors
/// The system refuses a handler.
#[cfg(unix)]
pub fn listen(talks_to_a_person: bool) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR2};
    use signal_hook::flag;
    if talks_to_a_person {
        let interrupted = Arc::new(AtomicBool::new(false));
        // In this order: what ends the process looks at what an earlier signal has set.
        flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&interrupted))?;
        flag::register(SIGINT, interrupted)?;
    }
    flag::register(SIGUSR2, Arc::clone(announced()))?;
    for signal in [SIGINT, SIGTERM, SIGUSR2] {
        flag::register(signal, Arc::clone(asked()))?;
    }
    Ok(())
}

/// Other systems stop a process without asking.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn listen(_: bool) -> io::Result<()> {
    Ok(())
}
