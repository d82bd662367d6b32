//! Timing of several candidates in one process: every round times each of them once, so that a change of the machine's
//! speed meets all alike.

use std::time::{Duration, Instant};

use harness_records::bench_report::Quartiles;

use crate::quiet::wait_for_other_threads;

/// Work that can be repeated and timed.
pub trait Candidate {
    /// Does the work once.
    ///
    /// # Errors
    /// When libtorch fails.
    fn call(&mut self) -> Result<(), tch::TchError>;
}

/// Duration in seconds that one measurement is meant to have: long compared with the resolution of the clock, short
/// compared with the intervals at which the machine does something else.
const MEASUREMENT_SECONDS: f64 = 0.004;

/// A measurement of fewer calls than this follows a call that is not measured.
const FEW_CALLS: u32 = 4;

/// A monotonic clock: the time since some fixed moment.
type Clock<'a> = &'a dyn Fn() -> Duration;

/// Seconds per call, the mean over `calls` calls, once no other thread of the process runs: threads that still spin for
/// another candidate would take its cores.
fn measure(candidate: &mut dyn Candidate, calls: u32, clock: Clock<'_>) -> Result<f64, tch::TchError> {
    wait_for_other_threads();
    let began = clock();
    for _ in 0..calls {
        candidate.call()?;
    }
    Ok((clock() - began).as_secs_f64() / f64::from(calls))
}

/// Seconds per call, `[candidates][rounds]`. All candidates are called once first to warm up, then every round times
/// each of them once, in the order of the list, on caches that hold what they hold after a call of its own.
///
/// # Errors
/// When a candidate fails.
pub fn in_turn(candidates: &mut [Box<dyn Candidate + '_>], rounds: usize) -> Result<Vec<Vec<f64>>, tch::TchError> {
    let start = Instant::now();
    in_turn_by(&|| start.elapsed(), candidates, rounds)
}

/// [`in_turn`] by a given clock.
fn in_turn_by(
    clock: Clock<'_>,
    candidates: &mut [Box<dyn Candidate + '_>],
    rounds: usize,
) -> Result<Vec<Vec<f64>>, tch::TchError> {
    let mut calls = Vec::with_capacity(candidates.len());
    for candidate in candidates.iter_mut() {
        candidate.call()?;
        let once = measure(&mut **candidate, 1, clock)?.min(measure(&mut **candidate, 1, clock)?);
        calls.push((MEASUREMENT_SECONDS / once).ceil().clamp(1.0, 1e5) as u32);
    }
    let mut seconds = vec![Vec::with_capacity(rounds); candidates.len()];
    for _ in 0..rounds {
        for ((candidate, &calls), seconds) in candidates.iter_mut().zip(&calls).zip(&mut seconds) {
            // Otherwise most of what is measured would be how long its operands take to come into the caches, from which the
            // candidates before have driven them, unless these have the same ones.
            if calls < FEW_CALLS {
                candidate.call()?;
            }
            seconds.push(measure(&mut **candidate, calls, clock)?);
        }
    }
    Ok(seconds)
}

/// Median and quartiles of `values`, linearly interpolated; `None` if there are none.
#[must_use]
pub fn quartiles(values: impl IntoIterator<Item = f64>) -> Option<Quartiles> {
    let [low, median, high] = harness_stats::quartiles(values)?;
    Some(Quartiles { median, low, high })
}

/// Interquartile range over the median.
#[must_use]
pub fn spread(quartiles: Quartiles) -> f64 {
    (quartiles.high - quartiles.low) / quartiles.median
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn medians_and_quartiles() {
        let four = quartiles([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((four.low, four.median, four.high), (1.75, 2.5, 3.25));
        assert_eq!(spread(quartiles([7.0]).unwrap()), 0.0);
        assert!(quartiles([]).is_none());
    }

    /// A candidate whose call takes a given time on a clock that only such calls move.
    struct Timed<'a> {
        clock: &'a Cell<Duration>,
        takes: Duration,
        calls: &'a Cell<u32>,
    }

    impl Candidate for Timed<'_> {
        fn call(&mut self) -> Result<(), tch::TchError> {
            self.calls.set(self.calls.get() + 1);
            self.clock.set(self.clock.get() + self.takes);
            Ok(())
        }
    }

    #[test]
    fn every_round_times_every_candidate() {
        let (clock, slow, fast) = (Cell::new(Duration::ZERO), Cell::new(0), Cell::new(0));
        let candidate = |takes, calls| -> Box<dyn Candidate + '_> { Box::new(Timed { clock: &clock, takes, calls }) };
        let mut candidates = [candidate(Duration::from_millis(5), &slow), candidate(Duration::from_millis(1), &fast)];
        let seconds = in_turn_by(&|| clock.get(), &mut candidates, 4).unwrap();
        assert_eq!(seconds, [[0.005; 4], [0.001; 4]]);
        // One call to warm up and two to see how long a call takes; then as many as fill a measurement, in every round, after one
        // to warm up where these are few.
        assert_eq!((slow.get(), fast.get()), (3 + 4 * 2, 3 + 4 * 4));
    }
}
