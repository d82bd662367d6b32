//! Tests that stop, kill or time out a training need it to be at a known step, on a machine of any speed.
//!
//! Where the environment has `HARNESS_TEST_HOLD="STEP FILE"`, a training that has done STEP optimizer steps creates FILE
//! and waits there: until it is interrupted (stopped, out of time, without its lease), until the process is killed, or
//! until somebody writes into FILE. Where FILE exists already, it goes past. Nobody but a test sets the variable.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// Where to hold, and the file that says so.
#[derive(Debug, PartialEq, Eq)]
struct Hold {
    step: u64,
    file: PathBuf,
}

impl Hold {
    fn parse(text: &str) -> Option<Hold> {
        let (step, file) = text.split_once(' ')?;
        Some(Hold { step: step.parse().ok()?, file: file.into() })
    }

    fn wait(&self, is_interrupted: impl Fn() -> bool) {
        if OpenOptions::new().write(true).create_new(true).open(&self.file).is_err() {
            return;
        }
        let is_released = || !fs::metadata(&self.file).is_ok_and(|file| file.len() == 0);
        while !is_interrupted() && !is_released() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits if a test wants a training that has done `steps` steps to wait.
pub(crate) fn at(steps: u64, is_interrupted: impl Fn() -> bool) {
    static HOLD: OnceLock<Option<Hold>> = OnceLock::new();
    let hold = HOLD.get_or_init(|| Hold::parse(&std::env::var("HARNESS_TEST_HOLD").ok()?));
    if let Some(hold) = hold.as_ref().filter(|hold| hold.step == steps) {
        hold.wait(is_interrupted);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_waits_once_until_interrupted_or_released() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("held");
        let hold = Hold::parse(&format!("3 {}", file.display())).unwrap();
        assert_eq!(hold, Hold { step: 3, file: file.clone() });
        let asked = Cell::new(0);
        hold.wait(|| asked.replace(asked.get() + 1) == 2);
        assert_eq!(asked.get(), 3, "it waited until it was interrupted");
        hold.wait(|| panic!("the file is there: it goes past"));
        fs::remove_file(&file).unwrap();
        hold.wait(|| {
            fs::write(&file, "go on").unwrap();
            false
        });
        assert!(Hold::parse("three held").is_none() && Hold::parse("3").is_none());
    }
}
