//! Number, mean and standard deviation of a sample, and the confidence interval of its mean.

use crate::student::quantile;

/// Number of values, mean and standard deviation of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of values, at least 1.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor `n - 1`); `None` for a single value, which has no spread.
    pub sd: Option<f64>,
}

/// Both ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Summary {
    /// The summary of finite values; `None` when there are none.
    ///
    /// Sums are taken of differences from the first value, so that equal values have exactly their own mean and a
    /// standard deviation of exactly 0.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Summary> {
        let n = values.len();
        let origin = *values.first()?;
        let mean = origin + values.iter().map(|v| v - origin).sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Some(Summary { n, mean, sd: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()) })
    }

    /// The same sample in another unit: mean and standard deviation times `factor`, which is positive.
    #[must_use]
    pub fn times(self, factor: f64) -> Summary {
        Summary { n: self.n, mean: self.mean * factor, sd: self.sd.map(|sd| sd * factor) }
    }

    /// Half the width of [`Summary::interval_95`].
    #[must_use]
    pub fn half_interval_95(self) -> Option<f64> {
        self.interval_95().map(|interval| (interval.high - interval.low) / 2.0)
    }

    /// The two-sided 95 % confidence interval of the mean by Student's t; `None` for a single value.
    #[must_use]
    pub fn interval_95(self) -> Option<Interval> {
        let error = self.sd? / (self.n as f64).sqrt();
        let half = quantile(0.05, self.n.checked_sub(1)?) * error;
        Some(Interval { low: self.mean - half, high: self.mean + half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn summary_equals_the_textbook(values in prop::collection::vec(0.0f64..1.0, 1..20)) {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let summary = Summary::of(&values).unwrap();
            prop_assert_eq!(summary.n, values.len());
            prop_assert!((summary.mean - mean).abs() < 1e-12);
            if values.len() == 1 {
                prop_assert_eq!(summary.sd, None);
            } else {
                // The other textbook form, over all pairs: sum of squared differences / (2 n (n - 1)).
                let pairs: f64 = values.iter().flat_map(|a| values.iter().map(move |b| (a - b) * (a - b))).sum();
                prop_assert!((summary.sd.unwrap() - (pairs / (2.0 * n * (n - 1.0))).sqrt()).abs() < 1e-12);
            }
        }

        #[test]
        fn equal_values_have_no_spread(value in -1e3f64..1e3, n in 2usize..50) {
            let summary = Summary::of(&vec![value; n]).unwrap();
            prop_assert_eq!(summary, Summary { n, mean: value, sd: Some(0.0) });
        }
    }

    #[test]
    fn no_values_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn michelsons_speed_of_light() {
        // NIST's statistical reference data set Michelso: certified mean and standard deviation.
        let summary = Summary::of(&MICHELSON.map(|v| 299.0 + f64::from(v) / 1000.0)).unwrap();
        assert!((summary.mean - 299.852_4).abs() < 1e-10, "{summary:?}");
        assert!((summary.sd.unwrap() - 0.079_010_547_819_051_8).abs() < 1e-10, "{summary:?}");
    }

    /// Measured speeds of light, in km/s above 299,000 km/s.
    const MICHELSON: [u16; 100] = [
        850, 740, 900, 1070, 930, 850, 950, 980, 980, 880, 1000, 980, 930, 650, 760, 810, 1000, 1000, 960, 960, 960,
        940, 960, 940, 880, 800, 850, 880, 900, 840, 830, 790, 810, 880, 880, 830, 800, 790, 760, 800, 880, 880, 880,
        860, 720, 720, 620, 860, 970, 950, 880, 910, 850, 870, 840, 840, 850, 840, 840, 840, 890, 810, 810, 820, 800,
        770, 760, 740, 750, 760, 910, 920, 890, 860, 880, 720, 840, 850, 850, 780, 890, 840, 780, 810, 760, 810, 790,
        810, 820, 850, 870, 870, 810, 740, 810, 940, 950, 800, 810, 870,
    ];

    #[test]
    fn intervals_of_the_mean() {
        let of = |values: &[f64]| Summary::of(values).unwrap().interval_95();
        assert_eq!(of(&[3.0]), None);
        assert_eq!(of(&[3.0, 3.0, 3.0]), Some(Interval { low: 3.0, high: 3.0 }));
        // Student's own sleep data (1908, the differences of ten patients): R prints 0.7001142 to 2.4598858.
        let sleep = of(&[1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]).unwrap();
        assert!((sleep.low - 0.700_114_2).abs() < 1e-7 && (sleep.high - 2.459_885_8).abs() < 1e-7, "{sleep:?}");
    }
}
