//! Timing in turn.

use std::time::Instant;

use serde::Serialize;

/// Something that can be called again and again.
pub trait Contender {
    /// One call of the work that is timed.
    ///
    /// # Errors
    /// When libtorch fails.
    fn call(&mut self) -> Result<(), tch::TchError>;
}

/// Least time of one measurement, seconds: long against the clock, short against what else happens on a machine.
const LEAST_SECONDS: f64 = 0.004;

/// Seconds of one call, over as many as fill [`LEAST_SECONDS`].
fn measure(contender: &mut dyn Contender, calls: u32) -> Result<f64, tch::TchError> {
    let began = Instant::now();
    for _ in 0..calls {
        contender.call()?;
    }
    Ok(began.elapsed().as_secs_f64() / f64::from(calls))
}

/// Seconds of one call of each contender: a row a contender, a column a round. All are called once first, and every
/// round times all of them in turn.
///
/// # Errors
/// When a contender fails.
pub fn in_turn(contenders: &mut [Box<dyn Contender + '_>], rounds: usize) -> Result<Vec<Vec<f64>>, tch::TchError> {
    let mut calls = Vec::with_capacity(contenders.len());
    for contender in contenders.iter_mut() {
        contender.call()?;
        let once = measure(&mut **contender, 1)?.min(measure(&mut **contender, 1)?);
        calls.push((LEAST_SECONDS / once).ceil().clamp(1.0, 1e5) as u32);
    }
    let mut seconds = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for ((contender, &calls), seconds) in contenders.iter_mut().zip(&calls).zip(&mut seconds) {
            seconds.push(measure(&mut **contender, calls)?);
        }
    }
    Ok(seconds)
}

/// A number that was measured several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// The middle one.
    pub median: f64,
    /// A quarter of them are below.
    pub low: f64,
    /// A quarter of them are above.
    pub high: f64,
}

impl Measured {
    /// Median and quartiles; `None` of nothing.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Measured> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, part) = (place.floor() as usize, place.fract());
            sorted[below] + part * (sorted[(below + 1).min(last)] - sorted[below])
        };
        Some(Measured { median: at(0.5), low: at(0.25), high: at(0.75) })
    }

    /// Distance of the quartiles over the median.
    #[must_use]
    pub fn spread(self) -> f64 {
        (self.high - self.low) / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        let five = Measured::of([5.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        assert_eq!((five.low, five.median, five.high), (2.0, 3.0, 4.0));
        let four = Measured::of([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((four.low, four.median, four.high), (1.75, 2.5, 3.25));
        assert_eq!(Measured::of([7.0]).unwrap().spread(), 0.0);
        assert!(Measured::of([]).is_none());
    }

    #[test]
    fn everyone_has_every_turn() {
        struct Count<'a>(&'a std::cell::Cell<u32>);
        impl Contender for Count<'_> {
            fn call(&mut self) -> Result<(), tch::TchError> {
                self.0.set(self.0.get() + 1);
                std::thread::sleep(std::time::Duration::from_millis(5));
                Ok(())
            }
        }
        let (a, b) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let seconds = in_turn(&mut [Box::new(Count(&a)), Box::new(Count(&b))], 4).unwrap();
        assert_eq!(seconds.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
        // Three calls to warm up and to see how long one takes, then one a round.
        assert_eq!((a.get(), b.get()), (7, 7));
    }
}
