//! Confidence intervals of means.

use crate::stats::Summary;

/// Both ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    /// The two-sided 95 % interval of the mean by Student's t; `None` for a single value, which has no spread.
    pub(crate) fn of_mean(summary: Summary) -> Option<Interval> {
        let half = t(summary.n.checked_sub(1)?) * summary.sd? / (summary.n as f64).sqrt();
        Some(Interval { low: summary.mean - half, high: summary.mean + half })
    }
}

/// 97.5 % quantiles of Student's t with 1 to 30 degrees of freedom.
const QUANTILES: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157, 2.228_139,
    2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905, 2.109_816, 2.100_922, 2.093_024, 2.085_963,
    2.079_614, 2.073_873, 2.068_658, 2.063_899, 2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
];

/// The same of the normal distribution.
const NORMAL: f64 = 1.959_963_985;

/// The 97.5 % quantile; infinite with no degree of freedom.
fn t(degrees: usize) -> f64 {
    let Some(index) = degrees.checked_sub(1) else { return f64::INFINITY };
    QUANTILES.get(index).copied().unwrap_or_else(|| {
        // Fisher's expansion about the normal quantile, right to six digits from 30 degrees on.
        let (n, z) = (degrees as f64, NORMAL);
        let first = (z.powi(3) + z) / 4.0;
        let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
        let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
        z + first / n + second / n.powi(2) + third / n.powi(3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    /// Probability that |t| stays below `x`, by the finite series for whole degrees of freedom.
    fn within(x: f64, degrees: usize) -> f64 {
        let n = degrees as f64;
        let theta = (x / n.sqrt()).atan();
        let cos2 = theta.cos().powi(2);
        let mut term = if degrees % 2 == 1 { theta.cos() } else { 1.0 };
        let mut sum = 0.0;
        let mut k = if degrees % 2 == 1 { 1.0 } else { 0.0 };
        // Powers of the cosine up to n - 2, each with the ratio of products that belongs to it.
        while k <= n - 2.0 {
            sum += term;
            term *= cos2 * (k + 1.0) / (k + 2.0);
            k += 2.0;
        }
        if degrees % 2 == 1 { (theta + theta.sin() * sum) * 2.0 / PI } else { theta.sin() * sum }
    }

    #[test]
    fn the_series_is_the_known_closed_forms() {
        for x in [0.1f64, 1.0, 3.0, 12.7] {
            assert!((within(x, 1) - x.atan() / FRAC_PI_2).abs() < 1e-12);
            assert!((within(x, 2) - x / (2.0 + x * x).sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn quantiles_hold_95_percent() {
        for degrees in 1..400 {
            let inside = within(t(degrees), degrees);
            assert!((inside - 0.95).abs() < 2e-7, "{degrees}: {inside}");
        }
        assert_eq!(t(0), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn equals_the_textbook(values in prop::collection::vec(-50.0f64..50.0, 2..9)) {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            let half = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646][values.len() - 2] * sd / n.sqrt();
            let interval = Interval::of_mean(Summary::of(&values).unwrap()).unwrap();
            prop_assert!((interval.low - (mean - half)).abs() < 1e-2);
            prop_assert!((interval.high - (mean + half)).abs() < 1e-2);
        }
    }

    #[test]
    fn one_value_has_none_and_equal_values_have_a_point() {
        let of = |values: &[f64]| Interval::of_mean(Summary::of(values).unwrap());
        assert_eq!(of(&[3.0]), None);
        assert_eq!(of(&[3.0, 3.0, 3.0]), Some(Interval { low: 3.0, high: 3.0 }));
    }
}
