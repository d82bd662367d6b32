//! The power of a t test: which differences it finds, and with what probability.

use std::f64::consts::SQRT_2;

use crate::student::quantile;

/// The test at one level with certain degrees of freedom: what it finds.
struct Power {
    critical: f64,
    /// The estimated over the true standard error, and its weight in the integral below.
    errors: Vec<(f64, f64)>,
}

/// Intervals of Simpson's rule.
const STEPS: u32 = 120;

impl Power {
    /// Of a two-sided test at level `alpha`.
    fn new(alpha: f64, degrees: usize) -> Power {
        let n = degrees as f64;
        // The estimated over the true standard error, u, has the density of chi over the root of n.
        let log_scale = 2f64.ln() + n / 2.0 * (n / 2.0).ln() - libm::lgamma(n / 2.0);
        let density = |u: f64| match degrees {
            1 => (log_scale - u * u / 2.0).exp(),
            _ if u <= 0.0 => 0.0,
            _ => (log_scale + (n - 1.0) * u.ln() - n * u * u / 2.0).exp(),
        };
        let (start, end) = ((1.0 - 8.0 / n.sqrt()).max(0.0), 1.0 + 8.0 / n.sqrt());
        let width = (end - start) / f64::from(STEPS);
        let error = |i: u32| {
            let u = start + f64::from(i) * width;
            let weight = if i == 0 || i == STEPS { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            (u, weight * density(u) * width / 3.0)
        };
        Power { critical: quantile(alpha, degrees), errors: (0..=STEPS).map(error).collect() }
    }

    /// Probability of finding a mean `shift` standard errors from zero, on its own side. Given the estimate of the
    /// standard error, what remains is normal.
    fn at(&self, shift: f64) -> f64 {
        self.errors.iter().map(|(u, weight)| weight * normal(shift - self.critical * u)).sum()
    }
}

/// The standard normal distribution function.
fn normal(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// The smallest mean, in standard errors, that a two-sided test at level `alpha` finds with probability `wanted`.
#[must_use]
pub fn detectable(alpha: f64, wanted: f64, degrees: usize) -> f64 {
    let power = Power::new(alpha, degrees);
    let (mut low, mut high) = (0.0, 4.0);
    while power.at(high) < wanted {
        (low, high) = (high, high * 2.0);
    }
    while high - low > 1e-6 * high {
        let middle = f64::midpoint(low, high);
        if power.at(middle) < wanted { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_the_level_at_no_difference_and_follows_the_tables() {
        for degrees in [1, 2, 5, 29] {
            let level = Power::new(0.05, degrees).at(0.0);
            // One degree of freedom has tails that the sum cuts off last.
            let tolerance = if degrees == 1 { 3e-4 } else { 1e-4 };
            assert!((level - 0.025).abs() < tolerance, "{degrees}: {level}");
        }
        // Cohen: a paired test of 34 finds an effect of half a standard deviation with 80 %.
        assert!((Power::new(0.05, 33).at(0.5 * 34f64.sqrt()) - 0.807_78).abs() < 1e-3);
        let shift = detectable(0.05, 0.8, 2);
        assert!((Power::new(0.05, 2).at(shift) - 0.8).abs() < 1e-6 && (5.0..7.0).contains(&shift), "{shift}");
    }
}
