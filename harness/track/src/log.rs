//! Results over the commits of a line, each compared with the recorded commit before it.

use std::collections::BTreeMap;

use harness_stats::Summary;
use serde::Serialize;

use crate::check::{self, Check, Measure, Place, Settings, Verdict, places};
use crate::error::TrackError;
use crate::git::{Commit, Repository};
use crate::history::History;

/// One configuration on one kind of hardware over commits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Sweep it belongs to.
    pub sweep: String,
    /// Configuration without seed.
    pub config: String,
    /// In words.
    pub label: String,
    /// What it ran on.
    pub hardware: String,
    /// What is shown.
    pub measure: Measure,
    /// Oldest first; only commits with a result.
    pub points: Vec<Point>,
}

/// One configuration at one commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The commit.
    pub commit: String,
    /// First line of its message.
    pub subject: String,
    /// When it was made, seconds since 1970.
    pub committed: i64,
    /// Trials that ended well.
    pub seeds: usize,
    /// Mean over seeds: percent right, or the measured value (its geometric mean).
    pub mean: f64,
    /// Least and largest over seeds.
    pub range: (f64, f64),
    /// Against the commit before that has this configuration; `None` for the first.
    pub verdict: Option<Verdict>,
    /// Mean difference to it, in points or percent.
    pub difference: Option<f64>,
}

/// Every series of the history along the ancestors of `revision`, sorted by sweep and label.
///
/// # Errors
/// A revision that git does not know, or a history without any of its ancestors.
pub fn series(
    repository: &Repository,
    history: &History,
    revision: &str,
    settings: &Settings,
) -> Result<Vec<Series>, TrackError> {
    let head = repository.commit(revision)?;
    let mut commits = repository.ancestors(&head.id, false)?;
    commits.retain(|commit| history.of(&commit.id).next().is_some());
    commits.reverse();
    if commits.is_empty() {
        let what = format!("no ancestor of `{revision}` has records");
        if repository.is_shallow()? {
            return Err(TrackError::Shallow { what });
        }
        return Err(TrackError::Nothing(format!("{what}: `harness track record` adds those of a commit")));
    }
    let mut series: BTreeMap<Place<'_>, Series> = BTreeMap::new();
    let mut checks: BTreeMap<(String, String), Check> = BTreeMap::new();
    for commit in &commits {
        for (place, side) in places(history.of(&commit.id)) {
            let Some(entry) = side.values().next() else { continue };
            let Some(measure) = side.values().find_map(|entry| Measure::of(entry)) else { continue };
            let values: Vec<f64> = side.values().filter_map(|entry| measure.value(entry)).collect();
            let Some(summary) = Summary::of(&values) else { continue };
            let of_place = series.entry(place).or_insert_with(|| Series {
                sweep: place.0.to_owned(),
                config: place.1.to_owned(),
                label: entry.label.clone(),
                hardware: place.2.to_owned(),
                measure,
                points: Vec::new(),
            });
            let row = of_place.points.last().and_then(|previous| {
                let pair = (previous.commit.clone(), commit.id.clone());
                let check = checks
                    .entry(pair)
                    .or_insert_with_key(|(before, after)| check::compare(history, before, after, settings));
                check.rows.iter().find(|row| (&*row.sweep, &*row.config, &*row.hardware) == place)
            });
            let (verdict, difference) = (row.map(|row| row.verdict), row.and_then(|row| row.difference));
            of_place.points.push(point(commit, measure, summary, &values, verdict, difference));
        }
    }
    let mut series: Vec<Series> = series.into_values().collect();
    series.sort_by(|a, b| (&a.sweep, &a.label, &a.hardware).cmp(&(&b.sweep, &b.label, &b.hardware)));
    Ok(series)
}

fn point(
    commit: &Commit,
    measure: Measure,
    summary: Summary,
    values: &[f64],
    verdict: Option<Verdict>,
    difference: Option<f64>,
) -> Point {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Point {
        commit: commit.id.clone(),
        subject: commit.subject.clone(),
        committed: commit.time,
        seeds: summary.n,
        mean: measure.shown(summary.mean),
        range: (measure.shown(min), measure.shown(max)),
        verdict,
        difference,
    }
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Means as bars of eight heights, the least and the largest of the series at its ends; one height where all are
/// within `margin` of each other, so that noise does not look like a landscape.
#[must_use]
pub fn sparkline(series: &Series, margin: f64) -> String {
    let means = || series.points.iter().map(|point| point.mean);
    let (low, high) = (means().fold(f64::INFINITY, f64::min), means().fold(f64::NEG_INFINITY, f64::max));
    let flat = high - low <= margin;
    let bar = |mean: f64| {
        let place = if flat { 0.5 } else { (mean - low) / (high - low) };
        BARS[((place * 8.0) as usize).min(BARS.len() - 1)]
    };
    means().map(bar).collect()
}
