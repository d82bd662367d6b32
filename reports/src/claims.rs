//! Claims of the papers, decided by trials: which trials belong to a comparison, what they say, and how surely.
//!
//! A claim is fixed data (`catalog`): its comparisons, the number each compares, and the rule that decides. Its
//! trials are found in any set of records by their configurations. Trials are compared only where everything but the
//! quantizers (and the parts of the training, where the claim is about them) is the same, which is called a *place*,
//! and only seed by seed.

mod arm;
mod catalog;
mod rule;
mod statistic;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use harness_records::config::MethodChoice;
use harness_records::record::{RunRecord, Status};

pub(crate) use arm::Arm;
pub(crate) use catalog::CLAIMS;
pub(crate) use rule::{LEAST_SEEDS, Rule, Verdict};
pub(crate) use statistic::Statistic;

use harness_stats::Interval;
use harness_stats::Summary;

/// A claim.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Short name.
    pub(crate) id: &'static str,
    /// What is claimed.
    pub(crate) sentence: &'static str,
    /// Who says so.
    pub(crate) source: &'static str,
    /// How it is decided.
    pub(crate) proof: Proof,
}

impl Claim {
    /// True where the parts of the training are what the claim is about.
    pub(crate) fn varies_restarts(&self) -> bool {
        match self.proof {
            Proof::Trials(comparisons) => arms(comparisons).any(|arm| arm.restarts.is_some()),
            Proof::Test { .. } | Proof::Open(_) => false,
        }
    }
}

/// What decides a claim.
#[derive(Debug)]
pub(crate) enum Proof {
    /// All of these comparisons.
    Trials(&'static [Comparison]),
    /// A test, which holds for more than any set of trials.
    Test {
        /// From the root of the repository.
        file: &'static str,
        /// The test in it.
        function: &'static str,
    },
    /// Nothing yet; the reason.
    Open(&'static str),
}

/// A number that is measured and judged.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Summed with these signs, seed by seed: first arm less second arm, or one arm alone.
    pub(crate) terms: &'static [(f64, Arm)],
    /// The number.
    pub(crate) statistic: Statistic,
    /// The judgement.
    pub(crate) rule: Rule,
}

/// What the records say of a claim in one place.
#[derive(Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) claim: &'static Claim,
    /// One of the trials there, which stands for all; `None` where no comparison has all its arms anywhere.
    pub(crate) example: Option<&'a RunRecord>,
    pub(crate) comparisons: Vec<(&'static Comparison, Outcome)>,
    pub(crate) verdict: Verdict,
}

impl Finding<'_> {
    /// True where a time was measured.
    pub(crate) fn is_of_time(&self) -> bool {
        let measured = self.comparisons.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Measured(_)));
        measured.into_iter().any(|(comparison, _)| comparison.statistic.is_of_the_device())
    }
}

/// What became of a comparison.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All arms have trials.
    Measured(Measured),
    /// What is missing, in words.
    NotRun(Vec<String>),
}

/// A comparison with its numbers.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Over the seeds that all arms finished.
    pub(crate) summary: Option<Summary>,
    pub(crate) interval: Option<Interval>,
    /// What [`Rule::WithinSpread`] compares with.
    pub(crate) spread: Option<f64>,
    pub(crate) verdict: Verdict,
    /// What the reader must know of lost trials.
    pub(crate) remarks: Vec<String>,
}

impl Outcome {
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Outcome::Measured(measured) => measured.verdict,
            Outcome::NotRun(_) => Verdict::NotRun,
        }
    }
}

/// All claims of the catalogue, each once for every place that has trials for it, and once without where none has.
pub(crate) fn findings(records: &[RunRecord]) -> Vec<Finding<'_>> {
    CLAIMS.iter().flat_map(|claim| of_claim(claim, records)).collect()
}

fn of_claim<'a>(claim: &'static Claim, records: &'a [RunRecord]) -> Vec<Finding<'a>> {
    let comparisons = match &claim.proof {
        Proof::Trials(comparisons) => *comparisons,
        Proof::Test { .. } => {
            return vec![Finding { claim, example: None, comparisons: Vec::new(), verdict: Verdict::Tested }];
        }
        Proof::Open(_) => {
            return vec![Finding { claim, example: None, comparisons: Vec::new(), verdict: Verdict::Open }];
        }
    };
    let mut places: BTreeMap<String, Vec<&RunRecord>> = BTreeMap::new();
    for record in records {
        if arms(comparisons).any(|arm| arm.matches(&record.config)) {
            places.entry(place(record, claim, comparisons)).or_default().push(record);
        }
    }
    let found: Vec<Finding<'_>> =
        places.into_values().filter_map(|there| at_place(claim, comparisons, &there)).collect();
    if found.is_empty() { vec![nowhere(claim, comparisons, records)] } else { found }
}

fn arms(comparisons: &'static [Comparison]) -> impl Iterator<Item = &'static Arm> {
    comparisons.iter().flat_map(|comparison| comparison.terms.iter().map(|(_, arm)| arm))
}

/// Everything that must be equal among the trials of a claim.
fn place(record: &RunRecord, claim: &Claim, comparisons: &'static [Comparison]) -> String {
    let mut config = record.config.clone();
    config.dataset.root = None;
    config.train.seed = 0;
    if claim.varies_restarts() {
        config.train.restarts = 1;
    }
    config.quant.weights = MethodChoice::float();
    config.quant.activations = MethodChoice::float();
    config.quant.keep_float.sort();
    let device = match comparisons.iter().any(|comparison| comparison.statistic.is_of_the_device()) {
        true => record.environment.device_name.as_str(),
        false => "",
    };
    // The text form of a configuration names all of it, whatever it holds.
    format!("{config:?}{device}")
}

fn at_place<'a>(
    claim: &'static Claim,
    comparisons: &'static [Comparison],
    there: &[&'a RunRecord],
) -> Option<Finding<'a>> {
    let outcomes: Vec<_> = comparisons.iter().map(|comparison| (comparison, compare(comparison, there))).collect();
    let verdict = Verdict::of_all(outcomes.iter().map(|(_, outcome)| outcome.verdict()));
    let ran = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Measured(_)));
    ran.then(|| Finding { claim, example: there.first().copied(), comparisons: outcomes, verdict })
}

/// A claim no comparison of which has all its arms in one place.
fn nowhere<'a>(claim: &'static Claim, comparisons: &'static [Comparison], records: &[RunRecord]) -> Finding<'a> {
    let outcome = |comparison: &'static Comparison| {
        let ran = |arm: &Arm| records.iter().any(|record| arm.matches(&record.config));
        let mut missing: Vec<String> =
            comparison.terms.iter().filter(|(_, arm)| !ran(arm)).map(|(_, arm)| arm.name.to_owned()).collect();
        if missing.is_empty() {
            missing.push(match comparison.terms {
                [_] => comparison.statistic.needs(),
                _ => format!("arms under equal settings, each with {}", comparison.statistic.needs()),
            });
        }
        (comparison, Outcome::NotRun(missing))
    };
    let comparisons = comparisons.iter().map(outcome).collect();
    Finding { claim, example: None, comparisons, verdict: Verdict::NotRun }
}

/// One arm in one place, by seed.
struct Ran<'a> {
    arm: &'static Arm,
    by_seed: BTreeMap<u64, &'a RunRecord>,
    /// Seeds with more than one trial: two of its settings that the arm does not tell apart.
    twice: BTreeSet<u64>,
}

impl<'a> Ran<'a> {
    fn new(arm: &'static Arm, there: &[&'a RunRecord]) -> Ran<'a> {
        let mut ran = Ran { arm, by_seed: BTreeMap::new(), twice: BTreeSet::new() };
        for &record in there.iter().filter(|record| arm.matches(&record.config)) {
            if ran.by_seed.insert(record.seed, record).is_some() {
                ran.twice.insert(record.seed);
            }
        }
        ran
    }
}

fn compare(comparison: &'static Comparison, there: &[&RunRecord]) -> Outcome {
    let arms: Vec<Ran<'_>> = comparison.terms.iter().map(|(_, arm)| Ran::new(arm, there)).collect();
    let missing: Vec<String> =
        arms.iter().filter(|ran| ran.by_seed.is_empty()).map(|ran| ran.arm.name.to_owned()).collect();
    if !missing.is_empty() {
        return Outcome::NotRun(missing);
    }
    let seeds: BTreeSet<u64> = arms.iter().flat_map(|ran| ran.by_seed.keys().copied()).collect();
    let mut by_arm = vec![Vec::new(); arms.len()];
    let mut differences = Vec::new();
    for &seed in &seeds {
        let records: Option<Vec<&RunRecord>> = arms.iter().map(|ran| ran.by_seed.get(&seed).copied()).collect();
        let Some(records) = records else { continue };
        if let Some((difference, values)) = at_seed(comparison, &records) {
            differences.push(difference);
            by_arm.iter_mut().zip(values).for_each(|(of_arm, value)| of_arm.push(value));
        }
    }
    let well = |ran: &Ran<'_>| ran.by_seed.values().all(|record| record.status == Status::Ok);
    if differences.is_empty() && arms.iter().all(well) {
        return Outcome::NotRun(vec![format!("trials of the same seeds with {}", comparison.statistic.needs())]);
    }
    let (remarks, unsafe_to_judge) = remarks(&arms, seeds.len() - differences.len());
    let spread = spread(&by_arm);
    let summary = Summary::of(&differences);
    Outcome::Measured(Measured {
        summary,
        interval: summary.and_then(Summary::interval_95),
        spread: spread.filter(|_| comparison.rule == Rule::WithinSpread),
        verdict: if unsafe_to_judge { Verdict::Undecided } else { comparison.rule.decide(&differences, spread) },
        remarks,
    })
}

/// The difference of one seed and the value of each arm, in the layer that speaks most against the claim; `None` where
/// an arm has no value.
fn at_seed(comparison: &Comparison, records: &[&RunRecord]) -> Option<(f64, Vec<f64>)> {
    let values: Vec<_> = records.iter().map(|record| comparison.statistic.of(record)).collect();
    let layers = values.first()?.keys();
    let in_layer = |layer: &String| {
        let here: Vec<f64> = values.iter().map(|of_arm| of_arm.get(layer).copied()).collect::<Option<_>>()?;
        let difference = comparison.terms.iter().zip(&here).map(|((sign, _), value)| sign * value).sum();
        Some((difference, here))
    };
    let against = |difference: f64| match comparison.rule {
        Rule::Above(_) => -difference,
        Rule::Below(_) => difference,
        Rule::Within(_) | Rule::WithinSpread | Rule::Zero => difference.abs(),
    };
    layers.filter_map(in_layer).max_by(|(a, _), (b, _)| against(*a).total_cmp(&against(*b)))
}

/// Root mean square of the standard deviations over the seeds.
fn spread(by_arm: &[Vec<f64>]) -> Option<f64> {
    let deviations = by_arm.iter().map(|values| Summary::of(values)?.sd).collect::<Option<Vec<f64>>>()?;
    let squares: f64 = deviations.iter().map(|sd| sd * sd).sum();
    (!deviations.is_empty()).then(|| (squares / deviations.len() as f64).sqrt())
}

/// What happened to trials that are not among the differences, and whether that forbids a judgement: seeds that
/// diverged are missing because of what they would have shown.
fn remarks(arms: &[Ran<'_>], lost: usize) -> (Vec<String>, bool) {
    let mut remarks = Vec::new();
    let mut forbids = false;
    for ran in arms {
        let ended = |status: Status| ran.by_seed.values().filter(|record| record.status == status).count();
        for (status, word) in [(Status::Diverged, "diverged"), (Status::Failed, "failed")] {
            if ended(status) > 0 {
                remarks.push(format!("{} of {} trials of {} {word}", ended(status), ran.by_seed.len(), ran.arm.name));
            }
        }
        if let Some(seed) = ran.twice.first() {
            remarks.push(format!("more than one trial of {} with seed {seed}", ran.arm.name));
        }
        forbids |= ended(Status::Diverged) > 0 || !ran.twice.is_empty();
    }
    if remarks.is_empty() && lost > 0 {
        remarks.push(format!("{lost} seeds without a value in every arm"));
    }
    (remarks, forbids)
}
