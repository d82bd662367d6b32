//! Correction for many comparisons.

/// Holm's step-down adjustment (1979): each p-value becomes the smallest family-wise error rate at which it would still
/// be called significant. Valid whatever the dependence among the tests.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut max: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        max = max.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = max;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn done_by_hand() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    proptest! {
        #[test]
        fn is_between_the_value_and_bonferroni(p in prop::collection::vec(0.0f64..=1.0, 1..20)) {
            for (p_value, adjusted) in p.iter().zip(holm(&p)) {
                prop_assert!(*p_value <= adjusted && adjusted <= (p.len() as f64 * p_value.max(adjusted)).min(1.0));
            }
            let min = p.iter().copied().fold(1.0, f64::min);
            let adjusted = holm(&p).into_iter().fold(1.0, f64::min);
            prop_assert!((adjusted - (p.len() as f64 * min).min(1.0)).abs() < 1e-12);
        }
    }
}
