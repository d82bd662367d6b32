//! What changed between two commits, and how surely.
//!
//! A configuration is compared on one kind of hardware, seed by seed where both commits have the same seeds. The test is
//! Student's t of the differences: with three to five seeds nothing without a distribution can ever be sure (all signs
//! alike have a probability of 1/4 for three pairs, and of 1/16 for five), while t knows how little three differences
//! say of their own spread. Other seeds on the two sides are compared as two samples with a common variance, which is
//! exact where nothing changed. Two guards stand beside it: the spread is never taken as smaller than what the steps of
//! the test set hide, and where both sides know which test samples were right, McNemar's test over all seeds has to
//! agree, so that a few samples that flip are no regression.
//!
//! *Regressed* and *improved* need all of: p at most `alpha` after Holm's correction for all configurations of the check,
//! a mean difference of at least the margin (the smallest effect of interest), and McNemar's agreement. *Equivalent*
//! needs the 90 % interval within the margin (two one-sided tests at 5 %) or results that are the same to the bit.
//! Everything else is *inconclusive*, with the number of seeds that would find a difference as large as the margin. A
//! trial that ended well before and cannot any more is a regression without any test.

use std::collections::{BTreeMap, BTreeSet};

use harness_stats::holm;
use serde::Serialize;

use crate::compare::{Comparison, Side, Sight};
pub use crate::compare::{Design, Samples};
use crate::error::TrackError;
use crate::git::{Commit, Repository, short};
use crate::history::{Entry, History};
use crate::measure::Margins;
pub use crate::measure::Measure;

/// How a check decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Fraction of checks without any change that may call something changed.
    pub alpha: f64,
    /// Probability with which the differences that are called detectable would be found.
    pub power: f64,
    /// Smallest effects of interest.
    pub margins: Margins,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { alpha: 0.05, power: 0.8, margins: Margins::default() }
    }
}

/// What is known of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worse, by more than chance and more than the margin.
    Regressed,
    /// Better, likewise.
    Improved,
    /// The same, within the margin.
    Equivalent,
    /// The seeds do not say.
    Inconclusive,
}

impl Verdict {
    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Regressed => "regressed",
            Verdict::Improved => "improved",
            Verdict::Equivalent => "equivalent",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// One configuration on one kind of hardware. Values are on the scale of [`Measure`]: percent right, or the measured
/// value; differences in points or percent, after less before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Sweep it belongs to.
    pub sweep: String,
    /// Configuration without seed.
    pub config: String,
    /// In words.
    pub label: String,
    /// What both sides ran on.
    pub hardware: String,
    /// What is compared.
    pub measure: Measure,
    /// Whether seeds are compared in pairs, or all with all.
    pub design: Design,
    /// Seeds before and after.
    pub seeds: (usize, usize),
    /// Mean before; `None` where no trial ended well.
    pub before: Option<f64>,
    /// Mean after.
    pub after: Option<f64>,
    /// Mean difference.
    pub difference: Option<f64>,
    /// 95 % interval of it.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value by itself.
    pub p: Option<f64>,
    /// Corrected for all configurations of the check.
    pub p_corrected: Option<f64>,
    /// The smallest true difference that this check would have found with the power asked for.
    pub detectable: Option<f64>,
    /// The margin that applies.
    pub margin: f64,
    /// McNemar's test.
    pub samples: Option<Samples>,
    /// What is concluded.
    pub verdict: Verdict,
    /// Of an inconclusive comparison: seeds that each side needs more; `None` also where more than a thousand.
    pub seeds_needed: Option<usize>,
    /// What else the reader must know.
    pub remarks: Vec<String>,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// One row a configuration and kind of hardware, worst first.
    pub rows: Vec<Row>,
    /// What could not be compared, a sentence each.
    pub missing: Vec<String>,
}

impl Check {
    /// Rows with a verdict.
    pub fn of(&self, verdict: Verdict) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.verdict == verdict)
    }
}

/// A configuration on one kind of hardware: sweep, config, hardware.
pub(crate) type Place<'a> = (&'a str, &'a str, &'a str);

/// Entries by place and seed.
pub(crate) fn places<'a>(entries: impl Iterator<Item = (&'a str, &'a Entry)>) -> BTreeMap<Place<'a>, Side<'a>> {
    let mut places: BTreeMap<Place<'a>, Side<'a>> = BTreeMap::new();
    for (sweep, entry) in entries {
        places.entry((sweep, &entry.config, &entry.hardware)).or_default().insert(entry.seed, entry);
    }
    places
}

/// Compares what is recorded of two commits.
#[must_use]
pub fn compare(history: &History, before: &str, after: &str, settings: &Settings) -> Check {
    let (old, new) = (places(history.of(before)), places(history.of(after)));
    let mut missing = Vec::new();
    let mut compared = Vec::new();
    for (place, new_side) in &new {
        let label = new_side.values().next().map_or("", |entry| entry.label.as_str());
        let Some(old_side) = old.get(place) else {
            let elsewhere = old.keys().any(|(sweep, config, _)| (*sweep, *config) == (place.0, place.1));
            missing.push(match elsewhere {
                true => format!("{label} was not run on {} at {}", place.2, short(before)),
                false => format!("{label} has no result at {}", short(before)),
            });
            continue;
        };
        match Comparison::of(old_side, new_side) {
            Ok(comparison) => compared.push((*place, label.to_owned(), comparison)),
            Err(why) => missing.push(format!("{label}: {why}")),
        }
    }
    let configs: BTreeSet<(&str, &str)> = new.keys().map(|(sweep, config, _)| (*sweep, *config)).collect();
    for (place, side) in old.iter().filter(|(place, _)| !configs.contains(&(place.0, place.1))) {
        let label = side.values().next().map_or("", |entry| entry.label.as_str());
        missing.push(format!("{label} ({}) has no result at {}", place.0, short(after)));
    }
    let tested: Vec<usize> = (0..compared.len()).filter(|&i| compared[i].2.p.is_some()).collect();
    let corrected = holm(&tested.iter().filter_map(|&i| compared[i].2.p).collect::<Vec<_>>());
    let corrected: BTreeMap<usize, f64> = tested.iter().copied().zip(corrected).collect();
    // The first step of Holm's correction: what is found at it is found whatever the other rows say.
    let sight = Sight::new(settings.alpha / tested.len().max(1) as f64, settings.power);
    let mut rows: Vec<Row> = compared
        .into_iter()
        .enumerate()
        .map(|(i, (place, label, comparison))| {
            row(place, label, comparison, corrected.get(&i).copied(), &sight, settings)
        })
        .collect();
    let rank = |verdict: Verdict| match verdict {
        Verdict::Regressed => 0,
        Verdict::Improved => 1,
        Verdict::Inconclusive => 2,
        Verdict::Equivalent => 3,
    };
    rows.sort_by(|a, b| (rank(a.verdict), &a.sweep, &a.label).cmp(&(rank(b.verdict), &b.sweep, &b.label)));
    Check { rows, missing }
}

fn row(
    (sweep, config, hardware): Place<'_>,
    label: String,
    comparison: Comparison,
    p_corrected: Option<f64>,
    sight: &Sight,
    settings: &Settings,
) -> Row {
    let measure = comparison.measure;
    let margin = measure.margin(settings.margins);
    let (verdict, mut remarks) = decide(&comparison, p_corrected, margin, settings.alpha);
    remarks.extend(comparison.remarks.iter().cloned());
    let finite = |value: f64| value.is_finite().then_some(value);
    let difference = finite(comparison.difference);
    let half = comparison.half_width(0.05).filter(|_| comparison.p.is_some());
    Row {
        sweep: sweep.to_owned(),
        config: config.to_owned(),
        label,
        hardware: hardware.to_owned(),
        measure,
        design: comparison.design,
        seeds: comparison.counts,
        before: finite(comparison.means.0).map(|mean| measure.shown(mean)),
        after: finite(comparison.means.1).map(|mean| measure.shown(mean)),
        difference,
        interval: difference.zip(half).map(|(mean, half)| (mean - half, mean + half)),
        p: comparison.p,
        p_corrected,
        detectable: comparison.detectable(sight).filter(|_| comparison.p.is_some()),
        margin,
        samples: comparison.samples,
        seeds_needed: (verdict == Verdict::Inconclusive).then(|| comparison.seeds_needed(margin, sight)).flatten(),
        verdict,
        remarks,
    }
}

fn decide(comparison: &Comparison, p: Option<f64>, margin: f64, alpha: f64) -> (Verdict, Vec<String>) {
    if !comparison.broken.is_empty() {
        let what = format!("ended well before and cannot any more: {}", comparison.broken.join(", "));
        return (Verdict::Regressed, vec![what]);
    }
    if comparison.design == Design::Identical {
        return (Verdict::Equivalent, vec!["the same to the last bit".to_owned()]);
    }
    let better = comparison.difference * comparison.measure.sign();
    if p.is_some_and(|p| p <= alpha) && better.abs() >= margin {
        if comparison.holds_for_samples() {
            return (if better < 0.0 { Verdict::Regressed } else { Verdict::Improved }, Vec::new());
        }
        let what = "seeds agree on the difference, and it may still lie in which samples the test set has";
        return (Verdict::Inconclusive, vec![what.to_owned()]);
    }
    if comparison.is_equivalent(margin) {
        return (Verdict::Equivalent, Vec::new());
    }
    let alone = comparison.design == Design::Single && comparison.samples.is_some_and(|samples| samples.p <= 0.001);
    let what = alone.then(|| "McNemar: these networks differ; more seeds would say whether the code does".to_owned());
    (Verdict::Inconclusive, what.into_iter().collect())
}

/// A revision together with the commit whose records stand for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What was asked for.
    pub asked: Commit,
    /// The commit that has records: itself, or the nearest ancestor that will do.
    pub commit: Commit,
}

/// The commit whose records stand for the state before: `revision`, or its nearest recorded ancestor (the commit that
/// adds lines to the history comes after the one they are about).
///
/// # Errors
/// A revision that git does not know, or no recorded commit among its ancestors.
pub fn baseline(repository: &Repository, history: &History, revision: &str) -> Result<Recorded, TrackError> {
    let asked = repository.commit(revision)?;
    let recorded: BTreeSet<&str> = history.sweeps.values().flatten().map(|entry| entry.commit.as_str()).collect();
    let chain = repository.ancestors(&asked.id, false)?;
    match chain.into_iter().find(|commit| recorded.contains(commit.id.as_str())) {
        Some(commit) => Ok(Recorded { asked, commit }),
        None => {
            let what = format!("neither `{revision}` nor a commit before it has records");
            if repository.is_shallow()? {
                return Err(TrackError::Shallow { what });
            }
            Err(TrackError::Nothing(format!(
                "{what}: check it out, run the sweep there, and `harness track record` its results"
            )))
        }
    }
}

/// The commit whose records stand for the state after: `revision`, or an ancestor from which nothing but the history
/// in `folder` differs.
///
/// # Errors
/// A revision that git does not know, or one without records.
pub fn candidate(
    repository: &Repository,
    history: &History,
    revision: &str,
    folder: &str,
) -> Result<Recorded, TrackError> {
    let found = baseline(repository, history, revision);
    if let Ok(recorded) = &found
        && (recorded.asked.id == recorded.commit.id
            || repository.same_but_for(&recorded.asked.id, &recorded.commit.id, folder)?)
    {
        return found;
    }
    let asked = repository.commit(revision)?;
    Err(TrackError::Nothing(format!(
        "{} ({revision}) has no records: run the sweep there into a fresh folder and record it, \
         `harness sweep FILE --runs DIR && harness track record DIR`",
        asked.short()
    )))
}
