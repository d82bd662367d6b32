//! The optimum of LS-2 and LS-T.
//!
//! With magnitudes sorted ascending, the best approximation splits them in two: LS-2 takes the mean of each part, LS-T
//! gives zero to the lower part and the mean to the upper one. With `m` magnitudes of sum `s` in the lower part, of
//! `n` with sum `t`, the squared error is a constant minus
//!
//! ```text
//! LS-2: f(m, s) = s^2/m + (t - s)^2/(n - m)        LS-T: f(m, s) = (t - s)^2/(n - m)
//! ```
//!
//! so the largest `f` over all splits wins. Sorting every activation is what makes this slow. Instead, one pass sorts
//! magnitudes into buckets of equal width with their counts and sums, which gives `f` at every boundary exactly. `f` is
//! jointly convex, and the splits inside a bucket, of `c` magnitudes between `l` and `u` with sum `b`, lie in the
//! triangle of (0, 0), (c, b) and the point where `s = l m` meets `s = b - u (c - m)`. A convex function is largest at
//! a corner: unless the third corner beats the best boundary, nothing inside the bucket does, and only the few buckets
//! where it does are sorted.

/// Which `f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Levels {
    /// LS-2: two means.
    Four,
    /// LS-T: zero and a mean.
    Three,
}

/// A split: how many magnitudes are in the lower part, and their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Split {
    pub(crate) lower: usize,
    pub(crate) lower_sum: f64,
}

const BUCKETS: usize = 1024;

/// Rows shorter than this are sorted: buckets would cost more.
const SORTED_BELOW: usize = 512;

/// Whole row: how many, and their sum.
#[derive(Debug, Clone, Copy)]
struct Row {
    count: f64,
    sum: f64,
}

impl Levels {
    /// What a split takes off the squared error; see the head of this file.
    fn gain(self, row: Row, lower: f64, lower_sum: f64) -> f64 {
        let (upper, upper_sum) = (row.count - lower, row.sum - lower_sum);
        let above = if upper > 0.0 { upper_sum * upper_sum / upper } else { 0.0 };
        match self {
            Levels::Four if lower > 0.0 => lower_sum * lower_sum / lower + above,
            Levels::Four | Levels::Three => above,
        }
    }
}

/// The best split of a row of finite magnitudes, and the row's sum. Of equally good ones, the one with the shortest
/// lower part among those compared.
pub(crate) fn best_split(magnitudes: &[f32], levels: Levels) -> (Split, f64) {
    if magnitudes.len() < SORTED_BELOW {
        return best_of_sorted(magnitudes, levels);
    }
    let greatest = magnitudes.iter().fold(0.0f32, |greatest, &a| greatest.max(a));
    let width = f64::from(greatest) / BUCKETS as f64;
    let inverse = (1.0 / width) as f32;
    if !(inverse.is_finite() && inverse > 0.0) {
        // All zero, or so small that buckets of equal width cannot be told apart.
        return best_of_sorted(magnitudes, levels);
    }
    Buckets::new(magnitudes, inverse).best_split(magnitudes, levels)
}

/// All splits of the sorted row, one after the other.
pub(crate) fn best_of_sorted(magnitudes: &[f32], levels: Levels) -> (Split, f64) {
    let mut sorted = magnitudes.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let sum = sorted.iter().map(|&a| f64::from(a)).sum();
    let row = Row { count: sorted.len() as f64, sum };
    let mut search = Search::new(row, levels);
    search.inside(Split { lower: 0, lower_sum: 0.0 }, &sorted);
    (search.best, sum)
}

/// The best split seen so far.
struct Search {
    row: Row,
    levels: Levels,
    best: Split,
    gain: f64,
}

impl Search {
    /// Begins with everything in the upper part.
    fn new(row: Row, levels: Levels) -> Search {
        let best = Split { lower: 0, lower_sum: 0.0 };
        Search { row, levels, best, gain: levels.gain(row, 0.0, 0.0) }
    }

    fn consider(&mut self, split: Split) {
        // The upper part must not be empty.
        if split.lower as f64 >= self.row.count {
            return;
        }
        let gain = self.levels.gain(self.row, split.lower as f64, split.lower_sum);
        if gain > self.gain {
            (self.best, self.gain) = (split, gain);
        }
    }

    /// Every split after `before` within `sorted`, the magnitudes that follow.
    fn inside(&mut self, before: Split, sorted: &[f32]) {
        let mut split = before;
        for &a in sorted {
            split.lower += 1;
            split.lower_sum += f64::from(a);
            self.consider(split);
        }
    }
}

/// Counts and sums of magnitudes by bucket.
struct Buckets {
    inverse: f32,
    counts: Vec<u32>,
    sums: Vec<f64>,
    least: Vec<f32>,
    greatest: Vec<f32>,
}

impl Buckets {
    fn new(magnitudes: &[f32], inverse: f32) -> Buckets {
        let mut buckets = Buckets {
            inverse,
            counts: vec![0; BUCKETS],
            sums: vec![0.0; BUCKETS],
            least: vec![f32::INFINITY; BUCKETS],
            greatest: vec![0.0; BUCKETS],
        };
        for &a in magnitudes {
            let i = buckets.index(a);
            buckets.counts[i] += 1;
            buckets.sums[i] += f64::from(a);
            buckets.least[i] = buckets.least[i].min(a);
            buckets.greatest[i] = buckets.greatest[i].max(a);
        }
        buckets
    }

    /// Never decreases with `a`, which is all that the search asks of it.
    fn index(&self, a: f32) -> usize {
        ((a * self.inverse) as usize).min(BUCKETS - 1)
    }

    fn best_split(&self, magnitudes: &[f32], levels: Levels) -> (Split, f64) {
        let sum: f64 = self.sums.iter().sum();
        let row = Row { count: magnitudes.len() as f64, sum };
        let mut search = Search::new(row, levels);
        let mut starts = Vec::with_capacity(BUCKETS);
        let mut split = Split { lower: 0, lower_sum: 0.0 };
        for (&count, &sum) in self.counts.iter().zip(&self.sums) {
            starts.push(split);
            split.lower += count as usize;
            split.lower_sum += sum;
            search.consider(split);
        }
        let promising: Vec<bool> = (0..BUCKETS).map(|i| self.corner(i, starts[i], &search) > search.gain).collect();
        let mut members: Vec<Vec<f32>> = vec![Vec::new(); BUCKETS];
        for &a in magnitudes {
            let i = self.index(a);
            if promising[i] {
                members[i].push(a);
            }
        }
        for (i, mut members) in members.into_iter().enumerate() {
            members.sort_unstable_by(f32::total_cmp);
            // The last split of a bucket is its boundary, which has been considered, summed in another order.
            members.pop();
            search.inside(starts[i], &members);
        }
        (search.best, sum)
    }

    /// `f` at the third corner of the bucket's triangle; no gain where there is no split inside.
    fn corner(&self, i: usize, start: Split, search: &Search) -> f64 {
        let (l, u) = (f64::from(self.least[i]), f64::from(self.greatest[i]));
        if self.counts[i] < 2 || u <= l {
            // Equal magnitudes lie on the straight line between two boundaries, where a convex f is not larger.
            return f64::NEG_INFINITY;
        }
        let count = f64::from(self.counts[i]);
        let lower = (count * u - self.sums[i]) / (u - l);
        search.levels.gain(search.row, start.lower as f64 + lower, start.lower_sum + lower * l)
    }
}
