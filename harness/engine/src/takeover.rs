//! Trials of processes on other machines that have died.
//!
//! Whether a process elsewhere lives, only its heartbeat tells, and that takes time to watch. The sweep does so once
//! everything else is done: an owner that beats keeps its trial, one that stays silent loses it.

use std::thread;
use std::time::Duration;

use harness_records::lease::Holder;
use harness_records::store::{Claim, Store, StoreError};
use harness_records::trial::Trial;

use crate::stop;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until it is known of every one of `trials` whether its owner lives, and takes those of the dead away from
/// them. Gives the trials that are nobody's now. `tell` hears what is waited for.
///
/// # Errors
/// The store cannot be read or written.
pub fn take_over_dead(
    store: &Store,
    trials: &[Trial],
    tell: &mut dyn FnMut(&Trial, String),
) -> Result<Vec<Trial>, StoreError> {
    let mut silent: Vec<&Trial> = trials.iter().collect();
    let (mut free, mut told) = (Vec::new(), false);
    loop {
        let mut still = Vec::new();
        for trial in silent {
            let dir = store.trial(&trial.sweep, &trial.id);
            match dir.holder()? {
                Holder::Lives(_) => {}
                // The tombstone that this leaves is what tells every other process.
                Holder::Nobody => match dir.claim()? {
                    Claim::Ours(_lease) => free.push(trial.clone()),
                    Claim::Held(_) | Claim::Finished => {}
                },
                Holder::Silent { owner, left } => {
                    if !told {
                        told = true;
                        let owner = owner.map_or_else(String::new, |o| format!(" of {} (process {})", o.host, o.pid));
                        let patience = left.as_secs();
                        tell(trial, format!("waits up to {patience} s for a sign of life{owner}, which holds it"));
                    }
                    still.push(trial);
                }
            }
        }
        if still.is_empty() || stop::requested() {
            return Ok(free);
        }
        silent = still;
        thread::sleep(LOOK_EVERY);
    }
}
