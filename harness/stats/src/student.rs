//! Student's t distribution, for whole degrees of freedom.

use std::f64::consts::FRAC_2_PI;

/// Probability that |t| with `degrees` degrees of freedom (at least 1) exceeds |`t`|.
///
/// For whole degrees of freedom the distribution is a finite sum of powers of a cosine (Abramowitz and Stegun 26.7.3
/// and 26.7.4). Where that sum would cancel, far out, the leading terms of its complement are summed instead.
#[must_use]
pub fn two_sided(t: f64, degrees: usize) -> f64 {
    let t = t.abs();
    if t.is_infinite() {
        return 0.0;
    }
    let n = degrees as f64;
    let cos2 = n / (n + t * t);
    if cos2 < 0.2 {
        return tail(cos2, n);
    }
    let theta = (t / n.sqrt()).atan();
    let odd = degrees % 2 == 1;
    let mut term = if odd { theta.cos() } else { 1.0 };
    let mut sum = 0.0;
    let mut power = if odd { 1 } else { 0 };
    while power + 2 <= degrees {
        sum += term;
        term *= cos2 * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    let within = if odd { (theta + theta.sin() * sum) * FRAC_2_PI } else { theta.sin() * sum };
    (1.0 - within).clamp(0.0, 1.0)
}

/// The incomplete beta function `I_x(n/2, 1/2)` by its series, for small `x`: every term is positive, so that small
/// probabilities keep all their digits.
fn tail(x: f64, n: f64) -> f64 {
    let a = n / 2.0;
    let log_beta = libm::lgamma(a) + libm::lgamma(0.5) - libm::lgamma(a + 0.5);
    let front = (a * x.ln() - log_beta).exp();
    let (mut term, mut sum, mut k) = (1.0 / a, 0.0, 0.0);
    while term > sum * 1e-17 {
        sum += term;
        // (1/2)_k / k! * a / (a + k), from one k to the next.
        term *= (k + 0.5) / (k + 1.0) * x * (a + k) / (a + k + 1.0);
        k += 1.0;
    }
    (front * sum).clamp(0.0, 1.0)
}

/// The `t` that |t| exceeds with probability `p` (above 0, at most 1).
#[must_use]
pub fn quantile(p: f64, degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, degrees) > p {
        high *= 2.0;
    }
    // Bisection down to neighbouring numbers.
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return high;
        }
        if two_sided(middle, degrees) > p { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_tables() {
        // Two-sided 5 % and 1 %.
        let rows = [
            (1, 12.706_205, 63.656_741),
            (2, 4.302_653, 9.924_843),
            (4, 2.776_445, 4.604_095),
            (30, 2.042_272, 2.749_996),
        ];
        for (degrees, five, one) in rows {
            assert!((quantile(0.05, degrees) - five).abs() < 1e-6, "{degrees}");
            assert!((quantile(0.01, degrees) - one).abs() < 1e-6, "{degrees}");
        }
    }

    #[test]
    fn both_forms_of_the_distribution_agree() {
        for degrees in 1..40 {
            // Where one form takes over from the other.
            let n = degrees as f64;
            let t = (n / 0.2 - n).sqrt();
            let (before, after) = (two_sided(t * (1.0 - 1e-10), degrees), two_sided(t * (1.0 + 1e-10), degrees));
            assert!((before - after).abs() < 1e-7 * before + 1e-14, "{degrees}: {before} {after}");
        }
        // With one degree of freedom it is Cauchy's, with two an algebraic function.
        for t in [0.1, 1.0, 30.0, 1e6] {
            assert!((two_sided(t, 1) / (1.0 - FRAC_2_PI * f64::atan(t)) - 1.0).abs() < 1e-4, "{t}");
            let exact = 2.0 / ((2.0 + t * t) * (1.0 + t / (2.0 + t * t).sqrt()));
            assert!((two_sided(t, 2) / exact - 1.0).abs() < 1e-9, "{t}");
        }
        assert_eq!(two_sided(f64::INFINITY, 3), 0.0);
        assert!((two_sided(0.0, 3) - 1.0).abs() < 1e-12);
    }
}
