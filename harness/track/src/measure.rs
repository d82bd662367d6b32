//! What is compared: the one number that stands for an entry, on a scale on which differences mean the same everywhere.

use serde::Serialize;

use crate::history::Entry;

/// The smallest differences of interest. Anything within them is no change worth a warning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margins {
    /// Of accuracies, in points (hundredths).
    pub points: f64,
    /// Of perplexities, in percent.
    pub perplexity: f64,
    /// Of kernel speeds, in percent.
    pub speed: f64,
}

impl Default for Margins {
    fn default() -> Margins {
        Margins { points: 0.5, perplexity: 1.0, speed: 5.0 }
    }
}

/// A number that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Fraction of test samples right.
    Top1,
    /// Perplexity, of language models.
    Perplexity,
    /// Speed of a kernel as a ratio to something measured in the same run.
    Ratio,
}

impl Measure {
    /// The measure of an entry: perplexity where there is one.
    pub(crate) fn of(entry: &Entry) -> Option<Measure> {
        [Measure::Perplexity, Measure::Top1, Measure::Ratio].into_iter().find(|measure| measure.value(entry).is_some())
    }

    /// Its value on the scale of comparison: accuracy in points, the others as 100 times the logarithm, of which a
    /// difference is a percentage (to first order).
    pub(crate) fn value(self, entry: &Entry) -> Option<f64> {
        let value = *entry.metrics.get(self.name())?;
        let value = match self {
            Measure::Top1 => 100.0 * value,
            Measure::Perplexity | Measure::Ratio => 100.0 * value.ln(),
        };
        value.is_finite().then_some(value)
    }

    /// Back from the scale of comparison: percent right, or the value itself.
    #[must_use]
    pub fn shown(self, value: f64) -> f64 {
        match self {
            Measure::Top1 => value,
            Measure::Perplexity | Measure::Ratio => (value / 100.0).exp(),
        }
    }

    /// In the history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Measure::Top1 => "top1",
            Measure::Perplexity => "perplexity",
            Measure::Ratio => "ratio",
        }
    }

    /// Unit of differences.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Top1 => "points",
            Measure::Perplexity | Measure::Ratio => "%",
        }
    }

    /// 1 where more is better, -1 where less is.
    pub(crate) fn sign(self) -> f64 {
        match self {
            Measure::Top1 | Measure::Ratio => 1.0,
            Measure::Perplexity => -1.0,
        }
    }

    /// The smallest difference of interest.
    pub(crate) fn margin(self, margins: Margins) -> f64 {
        match self {
            Measure::Top1 => margins.points,
            Measure::Perplexity => margins.perplexity,
            Measure::Ratio => margins.speed,
        }
    }

    /// How finely the measure resolves: a test set of n samples knows accuracies in steps of 1/n.
    pub(crate) fn step(self, entry: &Entry) -> Option<f64> {
        let samples = entry.correct_samples.as_ref()?.samples();
        (self == Measure::Top1 && samples > 0).then(|| 100.0 / samples as f64)
    }
}
