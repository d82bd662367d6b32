//! Means, spreads and differences over seeds.

use std::collections::BTreeMap;

/// Mean and spread of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// Number of values, at least 1.
    pub(crate) n: usize,
    /// Arithmetic mean.
    pub(crate) mean: f64,
    /// Sample standard deviation (divisor `n - 1`); `None` for a single value, which has no spread.
    pub(crate) sd: Option<f64>,
}

impl Summary {
    /// Of finite values; `None` when there are none.
    ///
    /// Sums are taken of differences from the first value, so that equal values have exactly their own mean and a
    /// spread of exactly 0.
    pub(crate) fn of(values: &[f64]) -> Option<Summary> {
        let n = values.len();
        let origin = *values.first()?;
        let mean = origin + values.iter().map(|v| v - origin).sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Some(Summary { n, mean, sd: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()) })
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Summary {
        Summary { n: self.n, mean: self.mean * factor, sd: self.sd.map(|sd| sd * factor) }
    }
}

/// How far a sample lies from its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Difference {
    /// Both have the same seeds: mean and spread of the differences seed by seed.
    Paired(Summary),
    /// Seeds differ: difference of the means only.
    Unpaired(f64),
}

impl Difference {
    /// `sample - reference`, both by seed; `None` when either is empty.
    pub(crate) fn between(sample: &BTreeMap<u64, f64>, reference: &BTreeMap<u64, f64>) -> Option<Difference> {
        if sample.keys().eq(reference.keys()) {
            let differences: Vec<f64> = sample.values().zip(reference.values()).map(|(a, b)| a - b).collect();
            return Summary::of(&differences).map(Difference::Paired);
        }
        let mean = |values: &BTreeMap<u64, f64>| Summary::of(&values.values().copied().collect::<Vec<_>>());
        Some(Difference::Unpaired(mean(sample)?.mean - mean(reference)?.mean))
    }

    /// Difference of the means.
    pub(crate) fn mean(self) -> f64 {
        match self {
            Difference::Paired(summary) => summary.mean,
            Difference::Unpaired(mean) => mean,
        }
    }

    /// Spread of the differences, where they are paired and more than one.
    pub(crate) fn sd(self) -> Option<f64> {
        match self {
            Difference::Paired(summary) => summary.sd,
            Difference::Unpaired(_) => None,
        }
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

        #[test]
        fn a_constant_shift_is_a_paired_difference_without_spread(
            reference in prop::collection::btree_map(0u64..9, -4i32..4, 2..6), shift in -8i32..8,
        ) {
            // Whole numbers: the differences are exact.
            let reference: BTreeMap<u64, f64> = reference.into_iter().map(|(s, v)| (s, f64::from(v))).collect();
            let sample = reference.iter().map(|(&s, &v)| (s, v + f64::from(shift))).collect();
            let difference = Difference::between(&sample, &reference).unwrap();
            prop_assert_eq!((difference.mean(), difference.sd()), (f64::from(shift), Some(0.0)));
        }
    }

    #[test]
    fn differing_seeds_are_not_paired() {
        let of = |pairs: &[(u64, f64)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        let reference = of(&[(0, 0.5), (1, 1.0)]);
        assert_eq!(Difference::between(&of(&[(0, 0.5), (2, 0.5)]), &reference), Some(Difference::Unpaired(-0.25)));
        assert_eq!(Difference::between(&of(&[]), &reference), None);
        assert_eq!(Difference::between(&reference, &of(&[])), None);
        assert_eq!(Difference::between(&of(&[]), &of(&[])), None);
    }

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }
}
