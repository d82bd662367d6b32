//! McNemar's test, over several seeds at once.

/// Test samples beyond which the distribution is taken as normal: the exact one takes the square of their number.
const MOST_EXACT: usize = 4000;

/// Two-sided p-value of the hypothesis that a test sample is as likely to be gained as to be lost.
///
/// `changes`: for every test sample, how many seeds got it right after the change and not before, less how many the
/// other way round. Under the hypothesis the sign of each change is a fair coin, and answers of different seeds to one
/// sample may depend on each other as they like. The sum of the changes is compared with its distribution over all
/// signs, summed exactly. With one seed this is McNemar's exact test (1947).
#[must_use]
pub fn mcnemar(changes: &[i32]) -> f64 {
    let sizes: Vec<usize> = changes.iter().filter(|c| **c != 0).map(|c| c.unsigned_abs() as usize).collect();
    let sum: i64 = changes.iter().map(|change| i64::from(*change)).sum();
    let total: usize = sizes.iter().sum();
    if sum == 0 {
        return 1.0;
    }
    if sizes.len() > MOST_EXACT {
        let squares: f64 = sizes.iter().map(|size| (size * size) as f64).sum();
        // Half a step towards zero, as the sum moves in steps of two.
        let z = ((sum.abs() - 1).max(0)) as f64 / squares.sqrt();
        return libm::erfc(z / std::f64::consts::SQRT_2);
    }
    // distribution[j]: probability that the positive changes add up to j.
    let mut distribution = vec![0.0; total + 1];
    distribution[0] = 1.0;
    let mut reached = 0;
    for size in sizes {
        for j in (0..=reached + size).rev() {
            let stays = if j <= reached { distribution[j] } else { 0.0 };
            let rises = if j >= size { distribution[j - size] } else { 0.0 };
            distribution[j] = 0.5 * (stays + rises);
        }
        reached += size;
    }
    // sum = positive - negative = 2 * positive - total.
    let min = (total + sum.unsigned_abs() as usize) / 2;
    (2.0 * distribution[min..].iter().sum::<f64>()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same over all signs, one by one.
    fn by_enumeration(changes: &[i32]) -> f64 {
        let sum: i32 = changes.iter().sum();
        let all = 1u32 << changes.len();
        let as_far = (0..all).filter(|signs| {
            let drawn: i32 = changes.iter().enumerate().map(|(i, c)| if signs >> i & 1 == 1 { *c } else { -c }).sum();
            drawn.abs() >= sum.abs()
        });
        as_far.count() as f64 / f64::from(all)
    }

    proptest! {
        #[test]
        fn is_what_enumeration_gives(changes in prop::collection::vec(-3i32..=3, 0..12)) {
            prop_assert!((mcnemar(&changes) - by_enumeration(&changes)).abs() < 1e-12);
        }
    }

    #[test]
    fn one_seed_is_the_exact_binomial_test() {
        // 1 gained and 9 lost: 2 * (1 + 10) / 1024.
        let changes = [vec![1], vec![-1; 9], vec![0; 90]].concat();
        assert!((mcnemar(&changes) - 22.0 / 1024.0).abs() < 1e-12);
        assert_eq!(mcnemar(&[0; 10]), 1.0);
        assert_eq!(mcnemar(&[1, -1]), 1.0);
    }

    #[test]
    fn many_samples_are_nearly_normal() {
        let changes = |lost: usize| [vec![1; 2000], vec![-1; lost]].concat();
        let (exact, normal) = (mcnemar(&changes(2000 - 1)), mcnemar(&changes(2100)));
        assert!(exact > 0.97 && (0.1..0.13).contains(&normal), "{exact} {normal}");
    }
}
