//! Whether the means of two samples over seeds differ.

use std::collections::BTreeMap;

use crate::student::two_sided;
use crate::summary::Summary;

/// Two-sided p-value of a difference between the means of two samples, each a value by seed: Student's t test of the
/// differences where both have the same seeds, Welch's t test (1947) otherwise, with its degrees of freedom rounded
/// down. `None` where a sample has fewer than two values, of which nothing can be said.
///
/// Samples without any spread differ surely (0) or not at all (1).
#[must_use]
pub fn p_of_means(one: &BTreeMap<u64, f64>, other: &BTreeMap<u64, f64>) -> Option<f64> {
    if one.len() < 2 || other.len() < 2 {
        return None;
    }
    if one.keys().eq(other.keys()) {
        let differences: Vec<f64> = one.values().zip(other.values()).map(|(a, b)| a - b).collect();
        let summary = Summary::of(&differences)?;
        let error = summary.sd? / (summary.n as f64).sqrt();
        return Some(p_value(summary.mean, error, summary.n - 1));
    }
    let of = |values: &BTreeMap<u64, f64>| Summary::of(&values.values().copied().collect::<Vec<_>>());
    let (a, b) = (of(one)?, of(other)?);
    let square = |summary: Summary| Some(summary.sd? * summary.sd? / summary.n as f64);
    let (va, vb) = (square(a)?, square(b)?);
    let degrees = (va + vb).powi(2) / (va * va / (a.n - 1) as f64 + vb * vb / (b.n - 1) as f64);
    // Without any spread the degrees are no number, and do not matter.
    let degrees = if degrees.is_finite() { degrees.floor().max(1.0) as usize } else { 1 };
    Some(p_value(a.mean - b.mean, (va + vb).sqrt(), degrees))
}

fn p_value(difference: f64, error: f64, degrees: usize) -> f64 {
    if error > 0.0 {
        return two_sided(difference / error, degrees);
    }
    if difference.abs() > 0.0 { 0.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pairs: &[(u64, f64)]) -> BTreeMap<u64, f64> {
        pairs.iter().copied().collect()
    }

    #[test]
    fn the_same_seeds_are_paired() {
        // Differences 1, 2, 3: t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom, p = 0.0742 (scipy.stats).
        let p = p_of_means(&sample(&[(0, 2.0), (1, 4.0), (2, 6.0)]), &sample(&[(0, 1.0), (1, 2.0), (2, 3.0)]));
        assert!((p.unwrap() - 0.074_179_900).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn other_seeds_are_tested_as_welch_did() {
        // Variances 1 and 4, three values each: t = -3 / sqrt(5 / 3), degrees 2.94, rounded down to 2.
        let p = p_of_means(&sample(&[(0, 1.0), (1, 2.0), (2, 3.0)]), &sample(&[(3, 3.0), (4, 5.0), (5, 7.0)]));
        assert!((p.unwrap() - two_sided(-3.0 / (5f64 / 3.0).sqrt(), 2)).abs() < 1e-12, "{p:?}");
    }

    #[test]
    fn no_spread_is_sure_and_one_value_says_nothing() {
        assert_eq!(p_of_means(&sample(&[(0, 1.0), (1, 1.0)]), &sample(&[(0, 1.0), (1, 1.0)])), Some(1.0));
        assert_eq!(p_of_means(&sample(&[(0, 1.0), (1, 1.0)]), &sample(&[(0, 2.0), (1, 2.0)])), Some(0.0));
        assert_eq!(p_of_means(&sample(&[(0, 1.0), (1, 1.0)]), &sample(&[(2, 2.0), (3, 2.0)])), Some(0.0));
        assert_eq!(p_of_means(&sample(&[(0, 1.0)]), &sample(&[(0, 2.0), (1, 2.0)])), None);
    }
}
