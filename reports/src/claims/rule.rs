//! What a measured difference says about a claim.

use harness_stats::Interval;
use harness_stats::Summary;

/// The least number of seeds that decides anything.
pub(crate) const LEAST_SEEDS: usize = 3;

/// When a comparison supports its claim: fixed with the claim, before any trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// The mean lies above this.
    Above(f64),
    /// The mean lies below this.
    Below(f64),
    /// The mean lies at most this far from zero.
    Within(f64),
    /// The mean lies at most one standard deviation over the seeds of an arm (root mean square of the arms') from
    /// zero.
    WithinSpread,
    /// Every difference is exactly zero.
    Zero,
}

/// What is known of a claim or of one of its comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The interval lies wholly where the rule wants it.
    Supported,
    /// The interval lies wholly elsewhere.
    Refuted,
    /// Neither.
    Undecided,
    /// There are no trials for it.
    NotRun,
    /// A test proves it, no trial is needed.
    Tested,
    /// No trial can decide it today.
    Open,
}

impl Verdict {
    /// The word in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Supported => "supported",
            Verdict::Refuted => "refuted",
            Verdict::Undecided => "undecided",
            Verdict::NotRun => "not run",
            Verdict::Tested => "tested",
            Verdict::Open => "open",
        }
    }

    /// Of a claim that is all of these together: one that fails makes it fail, and it holds when all hold.
    pub(crate) fn of_all(verdicts: impl Iterator<Item = Verdict> + Clone) -> Verdict {
        let mut each = verdicts.clone();
        if each.any(|verdict| verdict == Verdict::Refuted) {
            return Verdict::Refuted;
        }
        if verdicts.clone().all(|verdict| verdict == Verdict::Supported) {
            return Verdict::Supported;
        }
        let mut each = verdicts;
        if each.all(|verdict| verdict == Verdict::NotRun) { Verdict::NotRun } else { Verdict::Undecided }
    }
}

impl Rule {
    /// Decides by the differences (one a seed), with `spread` the standard deviation over the seeds of an arm.
    pub(crate) fn decide(self, differences: &[f64], spread: Option<f64>) -> Verdict {
        let Some(summary) = Summary::of(differences) else { return Verdict::Undecided };
        let Some(Interval { low, high }) = summary.interval_95() else { return Verdict::Undecided };
        if summary.n < LEAST_SEEDS {
            return Verdict::Undecided;
        }
        let within = |margin: f64| (low >= -margin && high <= margin, low > margin || high < -margin);
        let (supported, refuted) = match self {
            Rule::Above(min) => (low > min, high < min),
            Rule::Below(most) => (high < most, low > most),
            Rule::Within(margin) => within(margin),
            Rule::WithinSpread => spread.map_or((false, false), within),
            Rule::Zero => {
                let zero = differences.iter().all(|difference| *difference == 0.0);
                (zero, !zero)
            }
        };
        match (supported, refuted) {
            (true, _) => Verdict::Supported,
            (_, true) => Verdict::Refuted,
            _ => Verdict::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_each_verdict() {
        use Rule::{Above, Below, Within, WithinSpread, Zero};
        use Verdict::{Refuted, Supported, Undecided};
        // Mean 2, interval 2 -+ 4.303/sqrt(3) = [-0.48, 4.48]; narrow: [1.75, 2.25].
        let (wide, narrow, same) = ([1.0, 2.0, 3.0], [1.9, 2.0, 2.1], [0.0; 3]);
        let rows: [(Rule, &[f64], Option<f64>, Verdict); 23] = [
            (Above(0.0), &narrow, None, Supported),
            (Above(0.0), &wide, None, Undecided),
            (Above(3.0), &narrow, None, Refuted),
            (Above(2.0), &narrow, None, Undecided),
            (Above(0.0), &same, None, Undecided),
            (Above(-0.01), &same, None, Supported),
            (Below(3.0), &narrow, None, Supported),
            (Below(3.0), &wide, None, Undecided),
            (Below(0.0), &narrow, None, Refuted),
            (Within(3.0), &narrow, None, Supported),
            (Within(3.0), &wide, None, Undecided),
            (Within(2.0), &narrow, None, Undecided),
            (Within(1.0), &narrow, None, Refuted),
            (Within(0.0), &same, None, Supported),
            (WithinSpread, &narrow, Some(3.0), Supported),
            (WithinSpread, &wide, Some(3.0), Undecided),
            (WithinSpread, &narrow, Some(1.0), Refuted),
            (WithinSpread, &narrow, None, Undecided),
            (Zero, &same, None, Supported),
            (Zero, &[0.0, 0.0, 1e-9], None, Refuted),
            (Above(0.0), &[2.0, 2.0], None, Undecided),
            (Zero, &[0.0, 0.0], None, Undecided),
            (Above(0.0), &[], None, Undecided),
        ];
        for (rule, differences, spread, expected) in rows {
            assert_eq!(rule.decide(differences, spread), expected, "{rule:?} {differences:?} {spread:?}");
        }
    }

    #[test]
    fn a_claim_is_all_of_its_comparisons() {
        use Verdict::{NotRun, Refuted, Supported, Undecided};
        let rows: [(&[Verdict], Verdict); 7] = [
            (&[Supported, Supported], Supported),
            (&[Supported, Undecided], Undecided),
            (&[Undecided, Refuted, Supported], Refuted),
            (&[Supported, NotRun], Undecided),
            (&[Refuted, NotRun], Refuted),
            (&[NotRun, NotRun], NotRun),
            (&[Undecided], Undecided),
        ];
        for (verdicts, expected) in rows {
            assert_eq!(Verdict::of_all(verdicts.iter().copied()), expected, "{verdicts:?}");
        }
    }
}
