//! Differences between two samples over seeds.

use std::collections::BTreeMap;

use harness_stats::Summary;

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

    /// Mean and spread of `sample - reference`: of the differences seed by seed where the seeds are the same, otherwise of
    /// the sample against the mean of the reference. `None` when either is empty.
    pub(crate) fn summary(sample: &BTreeMap<u64, f64>, reference: &BTreeMap<u64, f64>) -> Option<Summary> {
        match Difference::between(sample, reference)? {
            Difference::Paired(summary) => Some(summary),
            Difference::Unpaired(_) => {
                let mean = Summary::of(&reference.values().copied().collect::<Vec<_>>())?.mean;
                Summary::of(&sample.values().map(|value| value - mean).collect::<Vec<_>>())
            }
        }
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
}
