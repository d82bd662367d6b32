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
//! magnitudes into buckets of equal width with their counts and sums, which gives `f` at every boundary. `f` is
//! jointly convex, and the splits inside a bucket, of `c` magnitudes between `l` and `u` with sum `b`, lie in the
//! triangle of (0, 0), (c, b) and the point where `s = l m` meets `s = b - u (c - m)`: the `m` least of them have a sum
//! of at least `l m` and at most `m b/c`, and leave at most `u` for each of the others. A convex function is largest at
//! a corner: unless the third corner beats the best boundary, nothing inside the bucket does, and only the few buckets
//! where it does are sorted.
//!
//! Sums are in f64 and in the order of the row, whatever the number of threads.

/// Which `f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LevelCount {
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

impl Split {
    /// Everything in the upper part.
    const NONE: Split = Split { lower: 0, lower_sum: 0.0 };
}

/// Most buckets.
const BUCKETS: usize = 1024;

/// Magnitudes for each bucket of a row, where that makes fewer buckets.
const SHARE: usize = 16;

/// Rows shorter than this are sorted: buckets would cost more.
const SORTED_BELOW: usize = 96;

/// Whole row: how many, and their sum.
#[derive(Debug, Clone, Copy)]
struct Row {
    count: f64,
    sum: f64,
}

impl LevelCount {
    /// What a split takes off the squared error; see the head of this file.
    fn gain(self, row: Row, lower: f64, lower_sum: f64) -> f64 {
        let (upper, upper_sum) = (row.count - lower, row.sum - lower_sum);
        let above = if upper > 0.0 { upper_sum * upper_sum / upper } else { 0.0 };
        match self {
            LevelCount::Four if lower > 0.0 => lower_sum * lower_sum / lower + above,
            LevelCount::Four | LevelCount::Three => above,
        }
    }
}

/// The best split of a row of finite magnitudes, and the row's sum. Of equally good ones, the one with the shortest
/// lower part among those compared. With a number that is not finite, some split.
pub(crate) fn best_split(magnitudes: &[f32], levels: LevelCount) -> (Split, f64) {
    if magnitudes.len() < SORTED_BELOW {
        return best_of_sorted(magnitudes, levels);
    }
    let last = (magnitudes.len() / SHARE).min(BUCKETS - 1);
    let inverse = last as f32 / max(magnitudes);
    if !inverse.is_normal() {
        // All zero, or so small or so large that buckets of equal width cannot be told apart.
        return best_of_sorted(magnitudes, levels);
    }
    Buckets::new(magnitudes, inverse, last).best_split(magnitudes, levels)
}

/// The largest of magnitudes; a NaN is passed over.
fn max(magnitudes: &[f32]) -> f32 {
    // As many at a time as keep the comparisons from waiting for each other.
    let mut lanes = [0.0f32; 16];
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    for chunk in magnitudes.chunks(lanes.len()) {
        for (lane, &a) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, a);
        }
    }
    lanes.into_iter().fold(0.0, larger)
}

/// All splits of the sorted row, one after the other.
pub(crate) fn best_of_sorted(magnitudes: &[f32], levels: LevelCount) -> (Split, f64) {
    let mut sorted = magnitudes.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let sum = sorted.iter().map(|&a| f64::from(a)).sum();
    let row = Row { count: sorted.len() as f64, sum };
    let mut search = Search::new(row, levels);
    search.inside(Split::NONE, &sorted);
    (search.best, sum)
}

/// The best split seen so far.
struct Search {
    row: Row,
    levels: LevelCount,
    best: Split,
    gain: f64,
}

impl Search {
    fn new(row: Row, levels: LevelCount) -> Search {
        Search { row, levels, best: Split::NONE, gain: levels.gain(row, 0.0, 0.0) }
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

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    sum: f64,
    count: u64,
}

/// Counts and sums of magnitudes by bucket.
struct Buckets {
    inverse: f32,
    /// Bucket of each magnitude of the row.
    indices: Vec<u16>,
    buckets: Vec<Bucket>,
}

/// The bucket of `a`: the nearest integer to `a * inverse`. It never decreases with `a`.
fn index(a: f32, inverse: f32) -> u16 {
    // 2^23: a float from there on holds integers only, in its low bits.
    const INTEGERS: f32 = 8_388_608.0;
    (a * inverse + INTEGERS).to_bits() as u16
}

impl Buckets {
    fn new(magnitudes: &[f32], inverse: f32, last: usize) -> Buckets {
        // What is not finite may go anywhere.
        let indices: Vec<u16> = magnitudes.iter().map(|&a| index(a, inverse).min(last as u16)).collect();
        // Two sets in turn, so that an addition seldom waits for the one before.
        let mut sets = vec![[Bucket::default(); 2]; last + 1];
        for (magnitudes, indices) in magnitudes.chunks(2).zip(indices.chunks(2)) {
            for (set, (&a, &i)) in magnitudes.iter().zip(indices).enumerate() {
                let bucket = &mut sets[usize::from(i)][set];
                bucket.sum += f64::from(a);
                bucket.count += 1;
            }
        }
        let both = |[a, b]: [Bucket; 2]| Bucket { sum: a.sum + b.sum, count: a.count + b.count };
        Buckets { inverse, indices, buckets: sets.into_iter().map(both).collect() }
    }

    fn best_split(&self, magnitudes: &[f32], levels: LevelCount) -> (Split, f64) {
        let sum: f64 = self.buckets.iter().map(|bucket| bucket.sum).sum();
        let row = Row { count: magnitudes.len() as f64, sum };
        let mut search = Search::new(row, levels);
        let mut starts = Vec::new();
        let mut split = Split::NONE;
        for bucket in self.buckets.iter().filter(|bucket| bucket.count > 0) {
            split.lower += bucket.count as usize;
            split.lower_sum += bucket.sum;
            search.consider(split);
        }
        split = Split::NONE;
        // 0 where there is nothing to find, else one more than the place in `starts`.
        let mut places = vec![0u16; self.buckets.len()];
        for (i, bucket) in self.buckets.iter().enumerate() {
            // Rounding moves a gain by less than this.
            if bucket.count > 1 && self.corner(i, split, &search) * (1.0 + 1e-9) > search.gain {
                starts.push(split);
                places[i] = starts.len() as u16;
            }
            split.lower += bucket.count as usize;
            split.lower_sum += bucket.sum;
        }
        let mut members: Vec<Vec<f32>> = vec![Vec::new(); starts.len()];
        for (&a, &i) in magnitudes.iter().zip(&self.indices) {
            let place = places[usize::from(i)];
            if place > 0 {
                members[usize::from(place) - 1].push(a);
            }
        }
        for (start, mut members) in starts.into_iter().zip(members) {
            members.sort_unstable_by(f32::total_cmp);
            // The last split of a bucket is its boundary, which has been considered, summed in another order.
            members.pop();
            search.inside(start, &members);
        }
        (search.best, sum)
    }

    /// `f` at the third corner of the triangle of bucket `i`, made a little larger than rounding could make it.
    fn corner(&self, i: usize, start: Split, search: &Search) -> f64 {
        let Bucket { sum, count } = self.buckets[i];
        let (count, width) = (count as f64, 1.0 / f64::from(self.inverse));
        let (l, u) = ((i as f64 - 0.5).max(0.0) * width * (1.0 - 1e-6), (i as f64 + 0.5) * width * (1.0 + 1e-6));
        let lower = ((count * u - sum) / (u - l)).clamp(0.0, count);
        search.levels.gain(search.row, start.lower as f64 + lower, start.lower_sum + lower * l)
    }
}
