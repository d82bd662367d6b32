//! What is done about trials that fail or take long, as `sweep` is told and hands on to its workers.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use harness_engine::job::Rules;

#[derive(Debug, Clone, Args)]
pub(crate) struct RuleArguments {
    /// Run trials again that failed for a reason of their own (diverged, out of memory, out of time, an error)
    #[arg(long)]
    retry_failed: bool,
    /// When a batch does not fit the memory, compute it in twice as many parts and add up their gradients; the record
    /// says so
    #[arg(long)]
    split_on_oom: bool,
    /// Time an attempt at a trial may take, 90s, 30m or 2h; then it is checkpointed and counts as failed (timeout)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    attempt_limit: Option<Duration>,
}

impl RuleArguments {
    pub(crate) fn rules(&self) -> Rules {
        let RuleArguments { retry_failed, split_on_oom, attempt_limit } = *self;
        Rules { retry_failed, time_limit: attempt_limit, split: split_on_oom }
    }

    pub(crate) fn retry_failed(&self) -> bool {
        self.retry_failed
    }

    /// The arguments that tell a worker the same.
    pub(crate) fn for_worker(&self) -> Vec<OsString> {
        let flags = [("--retry-failed", self.retry_failed), ("--split-on-oom", self.split_on_oom)];
        let mut arguments: Vec<OsString> = flags.iter().filter(|(_, on)| *on).map(|(flag, _)| (*flag).into()).collect();
        if let Some(limit) = self.attempt_limit {
            arguments.extend(["--attempt-limit".into(), format!("{}s", limit.as_secs()).into()]);
        }
        arguments
    }
}

/// A time such as `90s`, `30m` or `2h`; a number alone is seconds.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is no time, expected a whole number with s, m or h such as 90s, 30m or 2h");
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("0", 0), ("7", 7), ("90s", 90), ("30m", 1800), ("2h", 7200)] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "1.5h", "-1s", "2d", "18446744073709551615h", "1é"] {
            assert!(parse_time(text).unwrap_err().contains("such as 90s"), "{text}");
        }
    }
}
