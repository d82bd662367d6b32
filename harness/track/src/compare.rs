//! One configuration before and after: the numbers of the comparison, and what they say.

use std::cell::RefCell;
use std::collections::BTreeMap;

use harness_records::record::{FailureClass, Status};
use harness_stats::{Summary, detectable, mcnemar, quantile, two_sided};
use serde::Serialize;

use crate::history::Entry;
use crate::measure::Measure;

/// Level of the equivalence test, and of McNemar's where it joins in.
const LEVEL: f64 = 0.05;
/// Nobody runs more seeds than this.
const MOST_SEEDS: usize = 1000;

/// How the two sides were put against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Design {
    /// The same seeds on both sides: Student's t of the differences seed by seed.
    Paired,
    /// Other seeds: Student's t of two samples with a common variance.
    Unpaired,
    /// Every trial gave the same numbers, to the last bit.
    Identical,
    /// Too few seeds for any test.
    Single,
}

/// The numbers of one configuration before and after, before anything is decided.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) measure: Measure,
    pub(crate) design: Design,
    /// Trials with a value, before and after.
    pub(crate) counts: (usize, usize),
    /// Means on the scale of comparison.
    pub(crate) means: (f64, f64),
    /// After less before.
    pub(crate) difference: f64,
    /// Standard error of the difference; `None` where there is no test.
    pub(crate) error: Option<f64>,
    pub(crate) degrees: usize,
    /// Two-sided p-value against no difference.
    pub(crate) p: Option<f64>,
    pub(crate) samples: Option<Samples>,
    /// Trials that ended well before and no longer do, in words.
    pub(crate) broken: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

/// What the test samples say, where both sides know which were right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Samples {
    /// Test samples.
    pub samples: usize,
    /// Right before and not after, summed over seeds.
    pub lost: usize,
    /// Right after and not before, summed over seeds.
    pub gained: usize,
    /// McNemar's test.
    pub p: f64,
}

/// What tests at one level find with one probability. Every row of a check asks for the same few numbers.
#[derive(Debug)]
pub(crate) struct Sight {
    alpha: f64,
    power: f64,
    /// Smallest difference in standard errors, by degrees of freedom.
    known: RefCell<BTreeMap<usize, f64>>,
}

impl Sight {
    pub(crate) fn new(alpha: f64, power: f64) -> Sight {
        Sight { alpha, power, known: RefCell::default() }
    }

    fn detectable(&self, degrees: usize) -> f64 {
        *self.known.borrow_mut().entry(degrees).or_insert_with(|| detectable(self.alpha, self.power, degrees))
    }
}

/// Entries of one configuration on one kind of hardware, by seed.
pub(crate) type Side<'a> = BTreeMap<u64, &'a Entry>;

impl Comparison {
    /// `None` where neither side has a value to compare, which the remark then says.
    pub(crate) fn of(before: &Side<'_>, after: &Side<'_>) -> Result<Comparison, String> {
        let broken = broken(before, after);
        let mut remarks = lost(before, after);
        let measure = before.values().chain(after.values()).find_map(|entry| Measure::of(entry));
        let values = |side: &Side<'_>| -> BTreeMap<u64, f64> {
            let value = |entry: &Entry| measure?.value(entry).filter(|_| entry.status == Status::Ok);
            side.iter().filter_map(|(seed, entry)| Some((*seed, value(entry)?))).collect()
        };
        let (mut old, mut new) = (values(before), values(after));
        let Some(measure) = measure.filter(|_| !(old.is_empty() || new.is_empty()) || !broken.is_empty()) else {
            return Err("no trial ended with a result on both sides".to_owned());
        };
        let common: Vec<u64> = old.keys().copied().filter(|seed| new.contains_key(seed)).collect();
        let all_common = common.len() == old.len() && common.len() == new.len();
        let paired = common.len() >= 2 || (all_common && !common.is_empty());
        if paired && !all_common {
            remarks.push(format!("only the {} seeds that both sides have are compared", common.len()));
        }
        if paired {
            old.retain(|seed, _| common.contains(seed));
            new.retain(|seed, _| common.contains(seed));
        }
        let identical = paired && broken.is_empty() && common.iter().all(|seed| before[seed].same_result(after[seed]));
        let steps = before.values().chain(after.values()).filter_map(|entry| measure.step(entry));
        let floor = steps.reduce(f64::max);
        let (difference, error, degrees) = if paired {
            let differences: Vec<f64> = common.iter().map(|seed| new[seed] - old[seed]).collect();
            let sd = Summary::of(&differences).and_then(|summary| summary.sd);
            (mean(&differences), sd.map(|sd| spread(sd, floor) / (differences.len() as f64).sqrt()), common.len())
        } else {
            unpaired(&old, &new, floor)
        };
        let design = match (identical, paired) {
            (true, _) => Design::Identical,
            _ if degrees < 2 => Design::Single,
            (_, true) => Design::Paired,
            (_, false) => Design::Unpaired,
        };
        let degrees = if paired { degrees.saturating_sub(1) } else { degrees };
        Ok(Comparison {
            measure,
            design,
            counts: (old.len(), new.len()),
            means: (mean(&in_order(&old)), mean(&in_order(&new))),
            difference,
            error,
            degrees,
            p: error.filter(|_| design != Design::Identical).map(|error| two_sided(difference / error, degrees)),
            samples: samples(before, after, &old, &new),
            broken,
            remarks,
        })
    }

    /// Half the width of the interval that covers the difference with probability `1 - alpha`.
    pub(crate) fn half_width(&self, alpha: f64) -> Option<f64> {
        Some(quantile(alpha, self.degrees) * self.error?)
    }

    /// The smallest true difference that the test would have found.
    pub(crate) fn detectable(&self, sight: &Sight) -> Option<f64> {
        Some(sight.detectable(self.degrees) * self.error?)
    }

    /// True where the whole interval of the equivalence test (two one-sided tests) lies within the margin.
    pub(crate) fn is_equivalent(&self, margin: f64) -> bool {
        self.design == Design::Identical
            || self.half_width(2.0 * LEVEL).is_some_and(|half| self.difference.abs() + half < margin)
    }

    /// False where the difference may be due to which samples the test set happens to hold.
    pub(crate) fn holds_for_samples(&self) -> bool {
        self.samples.is_none_or(|samples| samples.p <= LEVEL)
    }

    /// How many seeds each side needs more, for a true difference of `margin` to be found; `None` beyond
    /// [`MOST_SEEDS`].
    pub(crate) fn seeds_needed(&self, margin: f64, sight: &Sight) -> Option<usize> {
        let have = self.counts.0.min(self.counts.1);
        let Some(error) = self.error else { return Some(3usize.saturating_sub(have).max(1)) };
        let of_pairs = self.design == Design::Paired;
        // Standard error of one seed more or less falls with the root of their number.
        let one = error * (have as f64).sqrt();
        let enough = |n: usize| {
            let degrees = if of_pairs { n - 1 } else { 2 * n - 2 };
            sight.detectable(degrees) * one / (n as f64).sqrt() <= margin
        };
        // More seeds always help: halving finds the first number that is enough.
        let (mut low, mut high) = (have.max(2), MOST_SEEDS);
        if !enough(high) {
            return None;
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            if enough(middle) { high = middle } else { low = middle + 1 }
        }
        Some(low.saturating_sub(have).max(1))
    }
}

impl Entry {
    /// The same metrics to the bit, and the same answers.
    fn same_result(&self, other: &Entry) -> bool {
        let bits = |entry: &Entry| entry.metrics.iter().map(|(k, v)| (k.clone(), v.to_bits())).collect::<Vec<_>>();
        self.status == other.status && bits(self) == bits(other) && self.correct_samples == other.correct_samples
    }

    /// True where trying again would end the same way.
    fn is_broken(&self) -> bool {
        self.status != Status::Ok && !self.error.is_some_and(FailureClass::is_transient)
    }
}

/// Trials that ended well before and cannot any more.
fn broken(before: &Side<'_>, after: &Side<'_>) -> Vec<String> {
    let worked = |seed: &u64| before.get(seed).is_some_and(|entry| entry.status == Status::Ok);
    let now = after.iter().filter(|(seed, entry)| entry.is_broken() && worked(seed));
    now.map(|(seed, entry)| format!("seed {seed} {}", ending(entry))).collect()
}

/// Trials that are missing from the comparison for other reasons.
fn lost(before: &Side<'_>, after: &Side<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    for (side, word) in [(before, "before"), (after, "after")] {
        let ended: Vec<String> = side
            .iter()
            .filter(|(_, entry)| entry.status != Status::Ok)
            .map(|(seed, entry)| format!("seed {seed} {}", ending(entry)))
            .collect();
        if !ended.is_empty() {
            remarks.push(format!("{word}: {}", ended.join(", ")));
        }
    }
    let missing: Vec<String> = before.keys().filter(|seed| !after.contains_key(seed)).map(u64::to_string).collect();
    if !missing.is_empty() && after.keys().any(|seed| before.contains_key(seed)) {
        remarks.push(format!("not run after: seed {}", missing.join(", ")));
    }
    remarks
}

fn ending(entry: &Entry) -> String {
    let word = if entry.status == Status::Diverged { "diverged" } else { "failed" };
    entry.error.map_or_else(|| word.to_owned(), |class| format!("{word} ({})", class.name()))
}

/// The values without their seeds, in the order of the seeds.
fn in_order(values: &BTreeMap<u64, f64>) -> Vec<f64> {
    values.values().copied().collect()
}

/// Mean; not a number where there are no values.
fn mean(values: &[f64]) -> f64 {
    Summary::of(values).map_or(f64::NAN, |summary| summary.mean)
}

/// Step of a test set of a hundred samples, for differences without any spread of which nothing better is known.
const UNKNOWN_STEP: f64 = 1.0;
/// A spread below this is rounding.
const NO_SPREAD: f64 = 1e-9;

/// Standard deviation of a difference of two rounded values: at least what rounding to the steps of the test set
/// leaves unseen (step / sqrt 12 of each). A few seeds that happen to move by equally many samples are no proof.
fn spread(sd: f64, step: Option<f64>) -> f64 {
    let step = step.unwrap_or(if sd < NO_SPREAD { UNKNOWN_STEP } else { 0.0 });
    sd.max(step / 6f64.sqrt())
}

/// Difference of the means, its standard error with a common variance, and the degrees of freedom.
fn unpaired(old: &BTreeMap<u64, f64>, new: &BTreeMap<u64, f64>, step: Option<f64>) -> (f64, Option<f64>, usize) {
    let (old, new) = (in_order(old), in_order(new));
    let difference = mean(&new) - mean(&old);
    let degrees = (old.len() + new.len()).saturating_sub(2);
    let squares = |values: &[f64]| {
        let sd = Summary::of(values).and_then(|summary| summary.sd).unwrap_or(0.0);
        sd * sd * (values.len() as f64 - 1.0).max(0.0)
    };
    // One seed on a side says nothing of its spread: the other side alone would have to be believed.
    let enough = old.len() >= 2 && new.len() >= 2;
    let variance = (squares(&old) + squares(&new)) / degrees.max(1) as f64;
    let scale = (1.0 / old.len() as f64 + 1.0 / new.len() as f64).sqrt();
    // The floor is that of a difference of two, so half of its variance for each.
    let error = spread((2.0 * variance).sqrt(), step) / 2f64.sqrt() * scale;
    (difference, enough.then_some(error), if enough { degrees } else { 0 })
}

/// Gains and losses of every test sample, over the trials that are compared; needs as many seeds on both sides.
fn samples(before: &Side<'_>, after: &Side<'_>, old: &BTreeMap<u64, f64>, new: &BTreeMap<u64, f64>) -> Option<Samples> {
    if old.len() != new.len() || old.is_empty() {
        return None;
    }
    let mut changes: Vec<i32> = Vec::new();
    let (mut lost, mut gained) = (0, 0);
    for (old_seed, new_seed) in old.keys().zip(new.keys()) {
        let (one, two) = (before[old_seed].correct_samples.as_ref()?, after[new_seed].correct_samples.as_ref()?);
        if one.samples() != two.samples() || (!changes.is_empty() && changes.len() != one.samples()) {
            return None;
        }
        changes.resize(one.samples(), 0);
        for (change, (was, is)) in changes.iter_mut().zip(one.iter().zip(two.iter())) {
            *change += i32::from(is) - i32::from(was);
            lost += usize::from(was && !is);
            gained += usize::from(is && !was);
        }
    }
    Some(Samples { samples: changes.len(), lost, gained, p: mcnemar(&changes) })
}
