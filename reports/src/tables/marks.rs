//! Which results are the best of their setting and which cannot be told from them, and the sentences that explain a
//! table of results.

use std::collections::BTreeMap;

use harness_stats::{holm, p_of_means};

use crate::accuracy::Row;
use crate::figures::measure::Measure;
use crate::sheet::Value;
use crate::tables::published::FROM_MEMORY;

/// Marks results that cannot be told from the best.
pub(super) const ALIKE: char = '≈';
/// Level at which two results differ.
const LEVEL: f64 = 0.05;

/// Where a result stands in its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The best of several, or one of those that are equally good.
    Best,
    /// Not to be told from the best.
    Alike,
    /// Worse, or there is nothing to compare it with.
    Plain,
}

impl Mark {
    /// For machines.
    pub(super) fn value(self) -> Value {
        match self {
            Mark::Best => "best".into(),
            Mark::Alike => "alike".into(),
            Mark::Plain => Value::Absent,
        }
    }
}

/// The mark of each row. Only rows of one `group` are compared, and only where there are several; without two seeds each,
/// nothing can be told from the best.
pub(super) fn marks<'a, G: Ord>(rows: &'a [Row], group: impl Fn(&'a Row) -> Option<G>) -> Vec<Mark> {
    let mut marks = vec![Mark::Plain; rows.len()];
    let mut groups: BTreeMap<G, Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_float) {
        if let Some(group) = group(row) {
            groups.entry(group).or_default().push(i);
        }
    }
    for members in groups.values() {
        let Some(measure) = Measure::of(members.iter().map(|&i| &rows[i])) else { continue };
        let mean = |i: usize| measure.summary(&rows[i]).map(|summary| summary.mean);
        let known: Vec<usize> = members.iter().copied().filter(|&i| mean(i).is_some()).collect();
        let sign = if measure.rises() { 1.0 } else { -1.0 };
        let by_mean = |a: &&usize, b: &&usize| {
            let of = |i: usize| sign * mean(i).unwrap_or(f64::NEG_INFINITY);
            of(**a).total_cmp(&of(**b))
        };
        // Others are tested against the first of the best ones.
        let Some(&best) = known.iter().rev().max_by(by_mean).filter(|_| known.len() > 1) else { continue };
        let (equal, others): (Vec<usize>, Vec<usize>) = known.iter().partition(|&&i| mean(i) == mean(best));
        equal.into_iter().for_each(|i| marks[i] = Mark::Best);
        let top = measure.by_seed(&rows[best]);
        let tested: Vec<(usize, f64)> =
            others.iter().filter_map(|&i| Some((i, p_of_means(&top, &measure.by_seed(&rows[i]))?))).collect();
        let adjusted = holm(&tested.iter().map(|(_, p)| *p).collect::<Vec<_>>());
        for ((i, _), p) in tested.iter().zip(adjusted) {
            if p >= LEVEL {
                marks[*i] = Mark::Alike;
            }
        }
    }
    marks
}

/// How many seeds are behind the results of a table, from their numbers.
pub(super) fn seeds_in_words(seeds: impl Iterator<Item = usize> + Clone) -> String {
    match (seeds.clone().min(), seeds.max()) {
        (Some(1), Some(1)) => "one seed each".to_owned(),
        (Some(low), Some(high)) if low == high => format!("mean ± sample standard deviation over {low} seeds"),
        (Some(low), Some(high)) => format!("mean ± sample standard deviation over {low} to {high} seeds"),
        _ => "no trial finished".to_owned(),
    }
}

/// What marks mean, where a table has any; `among` says of what the best is the best.
pub(super) fn sentence(marks: impl Iterator<Item = Mark> + Clone, among: &str) -> Option<String> {
    marks.clone().find(|mark| *mark == Mark::Best)?;
    let alike = match marks.into_iter().any(|mark| mark == Mark::Alike) {
        true => format!(
            " {ALIKE}: cannot be told from the best (5 % level, t test paired by seed, or Welch's where the seeds differ, \
             Holm's correction over them)."
        ),
        false => String::new(),
    };
    Some(format!("Bold: the best {among}.{alike}"))
}

/// What the mark of unverified numbers means.
pub(super) fn from_memory() -> String {
    format!("{FROM_MEMORY} Quoted from memory, not verified against the paper.")
}

/// Where all results of a table are from; nothing where no part of the place has a name.
pub(super) fn all_on(place: [&str; 3]) -> Option<String> {
    let parts: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| format!("All on {}.", parts.join(", ")))
}
