//! The approximate solver of the authors' code, for comparison.
//!
//! It looks for a fixed point of the optimality condition among the data: a sorted magnitude `a_i`, neither the first
//! nor the last, with `a_i <= m <= a_{i+1}`, where `m` is half the sum of the means below and above (LS-2) or half the
//! mean above (LS-T), and keeps the candidate of least squared error. `v_1` is then the data point, not `m`. Only
//! every `skip`-th magnitude takes part in the search; `v_2` is fitted to all. Where nothing qualifies, one bit is left.

use crate::exact::Levels;

/// `v_1` and `v_2` of a row of magnitudes.
pub(crate) fn scales(magnitudes: &[f32], levels: Levels, skip: usize) -> [f64; 2] {
    let mut sorted: Vec<f64> = magnitudes.iter().map(|&a| f64::from(a)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let searched: Vec<f64> = sorted.iter().copied().step_by(skip.max(1)).collect();
    let first = candidates(&searched, levels)
        .min_by(|&a, &b| error(&searched, levels, a).total_cmp(&error(&searched, levels, b)))
        .unwrap_or(0.0);
    match levels {
        // Without a candidate one sign does all: v_1 = 0 and v_2 the mean, written in descending order.
        Levels::Three if first == 0.0 => [mean(&sorted) / 2.0; 2],
        Levels::Four if first == 0.0 => [mean(&sorted), 0.0],
        Levels::Three => [first; 2],
        // Folding needs v_2 <= v_1, which a far-off v_1 does not give by itself.
        Levels::Four => [first, rest(&sorted, first).min(first)],
    }
}

/// `v_2` for a given `v_1`: the mean of what is left.
fn rest(sorted: &[f64], first: f64) -> f64 {
    let left: Vec<f64> = sorted.iter().map(|a| (a - first).abs()).collect();
    mean(&left)
}

fn candidates(sorted: &[f64], levels: Levels) -> impl Iterator<Item = f64> {
    let total: f64 = sorted.iter().sum();
    let n = sorted.len();
    let mut below = 0.0;
    let fixed = sorted.windows(2).enumerate().filter_map(move |(i, pair)| {
        below += pair[0];
        let above = (total - below) / (n - i - 1) as f64;
        let middle = match levels {
            Levels::Four => (below / (i + 1) as f64 + above) / 2.0,
            Levels::Three => above / 2.0,
        };
        (i >= 1 && i + 1 < n && pair[0] <= middle && middle <= pair[1]).then_some(pair[0])
    });
    // Everything far from zero: the ternary form then uses its outer levels alone.
    let average = total / n.max(1) as f64;
    let outer = levels == Levels::Three && sorted.first().is_some_and(|&least| least > average / 2.0);
    fixed.chain(outer.then_some(average / 2.0))
}

fn error(sorted: &[f64], levels: Levels, first: f64) -> f64 {
    let second = if levels == Levels::Four { rest(sorted, first) } else { first };
    let level = |a: f64| if a >= first { first + second } else { first - second };
    sorted.iter().map(|&a| (a - level(a)) * (a - level(a))).sum()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
