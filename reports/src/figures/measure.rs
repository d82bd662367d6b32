//! What a figure of results shows: which metric, how uncertain each mean is, and which values lie so far off that they
//! would squash all others.

use std::collections::BTreeMap;

use harness_stats::Summary;

use crate::accuracy::Row;
use crate::plot::axes::Scale;
use crate::published::Metric;

/// Fractions are shown in percent.
pub(crate) const PERCENT: f64 = 100.0;

/// A metric on the test set with all that an axis needs to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    Top1,
    Perplexity,
}

impl Measure {
    /// The metric of some rows: perplexity where no row has an accuracy.
    pub(crate) fn of<'a>(mut rows: impl Iterator<Item = &'a Row> + Clone) -> Option<Measure> {
        if rows.clone().any(|row| row.top1.summary.is_some()) {
            return Some(Measure::Top1);
        }
        rows.any(|row| row.perplexity.summary.is_some()).then_some(Measure::Perplexity)
    }

    /// The metric of one row.
    pub(crate) fn of_row(row: &Row) -> Option<Measure> {
        Measure::of([row].into_iter())
    }

    /// Results of the trials that ended well, by seed, in the unit of the axis.
    pub(crate) fn by_seed(self, row: &Row) -> BTreeMap<u64, f64> {
        match self {
            Measure::Top1 => row.top1.by_seed.iter().map(|(seed, top1)| (*seed, PERCENT * top1)).collect(),
            Measure::Perplexity => row.perplexity.by_seed.clone(),
        }
    }

    /// Mean and spread in the unit of the axis.
    pub(crate) fn summary(self, row: &Row) -> Option<Summary> {
        match self {
            Measure::Top1 => row.top1.summary.map(|summary| summary.times(PERCENT)),
            Measure::Perplexity => row.perplexity.summary,
        }
    }

    /// What a paper reports, in the unit of the axis.
    pub(crate) fn published(self, row: &Row) -> Option<f64> {
        let number = row.published.as_ref()?;
        let same = match self {
            Measure::Top1 => number.metric == Metric::Top1,
            Measure::Perplexity => number.metric == Metric::Perplexity,
        };
        same.then_some(number.value)
    }

    /// Words for the axis.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Measure::Top1 => "Top-1 accuracy (%)",
            Measure::Perplexity => "Perplexity",
        }
    }

    /// Words for sentences.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measure::Top1 => "top-1 accuracy",
            Measure::Perplexity => "perplexity",
        }
    }

    /// Unit behind a number.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Measure::Top1 => " %",
            Measure::Perplexity => "",
        }
    }

    /// Values that can occur.
    pub(crate) fn bounds(self) -> (f64, f64) {
        match self {
            Measure::Top1 => (0.0, PERCENT),
            Measure::Perplexity => (1.0, f64::MAX),
        }
    }

    /// True where more is better.
    pub(crate) fn rises(self) -> bool {
        self == Measure::Top1
    }

    /// An axis around values.
    pub(crate) fn scale(self, values: impl IntoIterator<Item = f64>) -> Scale {
        Scale::linear(values, 1.0, self.bounds())
    }
}

/// What bars and bands show, the same in a whole figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// The sample standard deviation over seeds.
    Deviation,
    /// The 95 % confidence interval of the mean by Student's t.
    Interval,
}

/// Seeds from which on an interval is shown rather than the standard deviation.
const INTERVAL_SEEDS: usize = 5;

impl Spread {
    /// What suits these means: the interval where some have five seeds or more.
    pub(crate) fn of(summaries: impl Iterator<Item = Summary>) -> Spread {
        match summaries.map(|summary| summary.n).max() {
            Some(n) if n >= INTERVAL_SEEDS => Spread::Interval,
            _ => Spread::Deviation,
        }
    }

    /// How far a bar reaches to either side of the mean; `None` for a single seed.
    pub(crate) fn half(self, summary: Summary) -> Option<f64> {
        match self {
            Spread::Deviation => summary.sd,
            Spread::Interval => summary.half_interval_95(),
        }
    }

    /// In few words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Spread::Deviation => "standard deviation",
            Spread::Interval => "95 % interval",
        }
    }

    /// A sentence for the caption, given the numbers of seeds that occur.
    pub(crate) fn sentence(self, counts: impl Iterator<Item = usize>) -> String {
        let counts: Vec<usize> = counts.collect();
        let (Some(low), Some(high)) = (counts.iter().min(), counts.iter().max()) else { return String::new() };
        let seeds = if low == high { format!("{low} seeds") } else { format!("{low} to {high} seeds") };
        match (self, high) {
            (_, 1) => "One seed each.".to_owned(),
            (Spread::Deviation, _) => format!("Means over {seeds}; bars: sample standard deviation."),
            (Spread::Interval, _) => format!("Means over {seeds}; bars: 95 % confidence interval of the mean."),
        }
    }
}

/// A value with its spread and the number of seeds in words.
pub(crate) fn in_words(measure: Measure, spread: Spread, summary: Summary) -> String {
    let seeds = if summary.n == 1 { "1 seed".to_owned() } else { format!("{} seeds", summary.n) };
    let what = spread.name();
    match spread.half(summary) {
        Some(half) => format!("{:.2} ± {half:.2}{} ({what}, {seeds})", summary.mean, measure.unit()),
        None => format!("{:.2}{} ({seeds})", summary.mean, measure.unit()),
    }
}

/// Gap before an outlier on an axis, in ranges of the other values: these would have less than a third of the axis.
pub(crate) const AXIS_GAP: f64 = 2.0;

/// Beyond which value a few on the bad side lie so far off that the gap before them is more than `gap` times the range
/// of all others; `None` where that does not happen. At most a third of the values lie beyond it.
pub(crate) fn outlier_limit(values: impl IntoIterator<Item = f64>, rises: bool, gap: f64) -> Option<f64> {
    let sign = if rises { 1.0 } else { -1.0 };
    let mut values: Vec<f64> = values.into_iter().map(|value| value * sign).collect();
    values.sort_by(f64::total_cmp);
    let most = values.len() / 3;
    let best = *values.last()?;
    (1..=most).find_map(|count| {
        let (outside, inside) = (values[count - 1], values[count]);
        let rest = (best - inside).max(1.0);
        (inside - outside > gap * rest).then(|| sign * f64::midpoint(outside, inside))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_squashes_the_rest_is_an_outlier() {
        let cut = |values: &[f64]| outlier_limit(values.iter().copied(), true, AXIS_GAP);
        assert_eq!(cut(&[10.0, 97.0, 98.0, 98.5]), Some(53.5));
        assert_eq!(cut(&[90.0, 97.0, 98.0, 98.5]), Some(93.5));
        assert_eq!(cut(&[96.0, 97.0, 98.0, 98.5]), None);
        // Two of four are not outliers.
        assert_eq!(cut(&[10.0, 11.0, 98.0, 98.5]), None);
        assert_eq!(cut(&[10.0, 50.0, 98.0, 98.5, 98.6, 99.0]), Some(74.0));
        assert_eq!(cut(&[]), None);
        assert_eq!(outlier_limit([100.0, 101.0, 102.0, 900.0], false, AXIS_GAP), Some(501.0));
    }

    #[test]
    fn five_seeds_have_an_interval() {
        let of = |n: usize| Summary { n, mean: 90.0, sd: (n > 1).then_some(1.0) };
        assert_eq!(Spread::of([of(1), of(4)].into_iter()), Spread::Deviation);
        assert_eq!(Spread::of([of(1), of(5)].into_iter()), Spread::Interval);
        assert_eq!(Spread::Deviation.half(of(4)), Some(1.0));
        assert_eq!(Spread::Interval.half(of(1)), None);
        // t(0.975, 4) / sqrt(5)
        assert!((Spread::Interval.half(of(5)).unwrap() - 2.776_445 / 5f64.sqrt()).abs() < 1e-5);
    }
}
