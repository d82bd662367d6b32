//! The approximate solver of the authors' code, for comparison.
//!
//! It looks for a fixed point of the optimality condition among the data: a sorted magnitude `a_i`, neither the first
//! nor the last, with `a_i <= m <= a_{i+1}`, where `m` is half the mean above, or for LS-2 also half the sum of the
//! means below and above, and keeps the candidate of least squared error. `v_1` is then the data point, not `m`. Only
//! every `skip`-th number of the row, in its own order, takes part in the search; `v_2` is fitted to all.
//!
//! Departures from that code, whose results depend on the other rows of the batch: a row with fewer candidates than
//! another also tries `v_1 = 0` there, and without any candidate in any row it stops with an error. Here `v_1 = 0` is
//! for rows without candidates, and for all of them. What it leads to is that code's: one bit, or zeros for LS-T.

use crate::exact::LevelCount;

/// `v_1` and `v_2` of a row of magnitudes. The second can be greater than the first.
pub(crate) fn scales(magnitudes: &[f32], levels: LevelCount, skip: usize) -> [f64; 2] {
    let all = || magnitudes.iter().map(|&a| f64::from(a));
    let mut searched: Vec<f64> = all().step_by(skip.max(1)).collect();
    searched.sort_unstable_by(f64::total_cmp);
    let mut candidates: Vec<f64> = candidates(&searched, levels).collect();
    // Equal magnitudes are one candidate: a constant row has hundreds.
    candidates.dedup();
    let first = candidates
        .into_iter()
        .min_by(|&a, &b| error(&searched, levels, a).total_cmp(&error(&searched, levels, b)))
        .unwrap_or(0.0);
    match levels {
        LevelCount::Three => [first; 2],
        // The one sign that is left, with the same levels and gradient, where a single sign is expected.
        LevelCount::Four if first == 0.0 => [mean(all()), 0.0],
        LevelCount::Four => [first, rest(all(), first)],
    }
}

/// `v_2` for a given `v_1`: the mean of what is left.
fn rest(magnitudes: impl Iterator<Item = f64>, first: f64) -> f64 {
    mean(magnitudes.map(|a| (a - first).abs()))
}

fn candidates(sorted: &[f64], levels: LevelCount) -> impl Iterator<Item = f64> {
    let total: f64 = sorted.iter().sum();
    let n = sorted.len();
    let mut sum_below = 0.0;
    let fixed = sorted.windows(2).enumerate().filter_map(move |(i, pair)| {
        sum_below += pair[0];
        let above = (total - sum_below) / (n - i - 1) as f64;
        let below = sum_below / (i + 1) as f64;
        let between = |m: f64| pair[0] <= m && m <= pair[1];
        let is_fixed = between(above / 2.0) || (levels == LevelCount::Four && between((below + above) / 2.0));
        (i > 0 && is_fixed).then_some(pair[0])
    });
    // Everything far from zero: LS-T then uses its outer levels alone.
    let average = total / n.max(1) as f64;
    let outer = levels == LevelCount::Three && sorted.first().is_some_and(|&min| min > average / 2.0);
    fixed.chain(outer.then_some(average / 2.0))
}

fn error(searched: &[f64], levels: LevelCount, first: f64) -> f64 {
    let second = if levels == LevelCount::Four { rest(searched.iter().copied(), first) } else { first };
    let level = |a: f64| if a >= first { first + second } else { first - second };
    searched.iter().map(|&a| (a - level(a)) * (a - level(a))).sum()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the text says, candidate by candidate, from prefix and suffix means taken afresh.
    fn naive(row: &[f32], levels: LevelCount, skip: usize) -> Option<f64> {
        let mut a: Vec<f64> = row.iter().step_by(skip).map(|&v| f64::from(v)).collect();
        a.sort_by(f64::total_cmp);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let mut found = Vec::new();
        for i in 1..a.len().saturating_sub(1) {
            let (low, high) = (mean(&a[..=i]), mean(&a[i + 1..]));
            let conditions =
                if levels == LevelCount::Four { vec![high / 2.0, (low + high) / 2.0] } else { vec![high / 2.0] };
            if conditions.iter().any(|&m| a[i] <= m && m <= a[i + 1]) {
                found.push(a[i]);
            }
        }
        if levels == LevelCount::Three && a[0] > mean(&a) / 2.0 {
            found.push(mean(&a) / 2.0);
        }
        let cost = |v: f64| -> f64 {
            let left: Vec<f64> = a.iter().map(|a| a - v).collect();
            let w =
                if levels == LevelCount::Four { left.iter().map(|r| r.abs()).sum::<f64>() / a.len() as f64 } else { v };
            left.iter().map(|r| (r.abs() - w) * (r.abs() - w)).sum()
        };
        found.into_iter().min_by(|x, y| cost(*x).total_cmp(&cost(*y)))
    }

    proptest! {
        #[test]
        fn is_the_text(
            row in prop::collection::vec((0u32..40_000).prop_map(|v| v as f32 / 8192.0), 1..60), skip in 1usize..5,
        ) {
            for levels in [LevelCount::Four, LevelCount::Three] {
                let [first, second] = scales(&row, levels, skip);
                let expected = naive(&row, levels, skip).unwrap_or(0.0);
                if levels == LevelCount::Four && expected == 0.0 {
                    let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
                    prop_assert!((first - mean).abs() < 1e-9 && second == 0.0);
                } else {
                    prop_assert!((first - expected).abs() < 1e-9, "{levels:?}: {first} against {expected}");
                }
            }
        }
    }

    #[test]
    fn rows_without_candidates_fall_back() {
        assert_eq!(scales(&[1.0, 3.0], LevelCount::Four, 1), [2.0, 0.0]);
        assert_eq!(scales(&[0.1, 3.0], LevelCount::Three, 1), [0.0, 0.0]);
        assert_eq!(scales(&[2.0, 2.0], LevelCount::Three, 1), [1.0, 1.0]);
        assert_eq!(scales(&[5.0], LevelCount::Four, 3), [5.0, 0.0]);
    }
}
