//! Waiting until no other thread of this process runs.
//!
//! libtorch's OpenMP threads go on spinning for a while after their call has returned, and so do the threads of a
//! [`harness_kernels::Pool`]. Whatever is timed next with several threads would share its cores with them, so that its time would
//! depend on what was timed before. Stopping them from spinning at all would slow down the very calls that are compared; so each
//! measurement waits until they sleep.

use std::path::Path;
use std::time::{Duration, Instant};

/// The longest wait: ten times what libgomp spins by default.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where Linux lists the threads of this process.
const TASKS: &str = "/proc/self/task";

/// Waits until every other thread of this process sleeps. `false` if one still ran after 100 ms, and where the system does not
/// tell which threads run; the latter waits for 20 ms.
pub(crate) fn wait_for_other_threads() -> bool {
    wait_for_at_most(PATIENCE)
}

fn wait_for_at_most(patience: Duration) -> bool {
    let began = Instant::now();
    loop {
        match others_running(Path::new(TASKS)) {
            None => {
                std::thread::sleep(Duration::from_millis(20));
                return false;
            }
            Some(0) => return true,
            Some(_) if began.elapsed() > patience => return false,
            Some(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// Number of threads that run or wait for a core, besides the one that asks; `None` where the system does not say.
fn others_running(tasks: &Path) -> Option<usize> {
    let mut running = 0;
    for task in std::fs::read_dir(tasks).ok()?.flatten() {
        // A thread may have ended since it was listed.
        if let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) {
            // The name of the thread, in brackets, may hold anything; the state comes after it.
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            running += usize::from(state == Some('R'));
        }
    }
    // The thread that asks is one of them.
    Some(running.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_spinning_thread_is_waited_for() {
        let (spin, seen) = (AtomicBool::new(true), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while spin.load(Ordering::Relaxed) {
                    seen.store(true, Ordering::Relaxed);
                    std::hint::spin_loop();
                }
                // Sleeping is not running.
                std::thread::park_timeout(Duration::from_secs(60));
            });
            while !seen.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            assert!(!wait_for_at_most(Duration::from_millis(5)));
            spin.store(false, Ordering::Relaxed);
            let began = Instant::now();
            // Threads of other tests may run meanwhile.
            while !wait_for_at_most(Duration::from_secs(1)) {
                assert!(began.elapsed() < Duration::from_secs(300), "a thread never slept");
            }
        });
    }

    #[test]
    fn a_system_that_does_not_tell_is_no_quiet_one() {
        assert_eq!(others_running(Path::new("/nowhere/at/all")), None);
    }
}
