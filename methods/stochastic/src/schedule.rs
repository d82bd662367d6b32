//! Which fraction is quantized when.

use harness_method_core::Options;

/// Stages of constant fraction, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schedule(Vec<Stage>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Stage {
    /// Fraction of the training after which it ends.
    end: f64,
    fraction: f64,
}

impl Schedule {
    /// The stages that the options give, or what is wrong with them.
    pub(crate) fn new(options: &Options) -> Result<Schedule, String> {
        let fractions = options.text("portions");
        let lengths = options.text("lengths");
        if let Some(fraction) = options.optional_float("portion") {
            if !fractions.is_empty() || !lengths.is_empty() {
                return Err("stages with a constant `portion`; give one or the other".to_owned());
            }
            return Ok(Schedule(vec![Stage { end: 1.0, fraction }]));
        }
        let fractions = match (fractions, options.text("schedule")) {
            ("", "average") => vec![0.2, 0.4, 0.6, 0.8, 1.0],
            ("", "finetune") => vec![0.0, 0.5, 0.75, 0.875, 1.0],
            ("", _) => vec![0.5, 0.75, 0.875, 1.0],
            (given, _) => numbers("portions", given, |v| (0.0..=1.0).contains(&v), "from 0 to 1")?,
        };
        let lengths = match lengths {
            "" => vec![1.0; fractions.len()],
            given => numbers("lengths", given, |v| v > 0.0 && v.is_finite(), "above 0")?,
        };
        if lengths.len() != fractions.len() {
            return Err(format!("{} `lengths` for {} fractions; give as many", lengths.len(), fractions.len()));
        }
        let whole: f64 = lengths.iter().sum();
        let mut elapsed = 0.0;
        let stage = |(fraction, length)| {
            elapsed += length;
            Stage { end: elapsed / whole, fraction }
        };
        Ok(Schedule(fractions.into_iter().zip(lengths).map(stage).collect()))
    }

    /// Number of the stage and its fraction when `progress` (0..=1) of the training is done. A stage begins where the
    /// one before ends; the end of the training belongs to the last.
    pub(crate) fn at(&self, progress: f64) -> (u64, f64) {
        let last = self.0.len().saturating_sub(1);
        let stage = self.0.iter().position(|stage| progress < stage.end).unwrap_or(last);
        (stage as u64, self.0.get(stage).map_or(1.0, |stage| stage.fraction))
    }
}

fn numbers(option: &str, given: &str, right: impl Fn(f64) -> bool, range: &str) -> Result<Vec<f64>, String> {
    let number = |text: &str| text.trim().parse().ok().filter(|v| right(*v));
    let wrong = || format!("`{option}: {given}`; it takes numbers {range}, separated by commas");
    given.split(',').map(number).collect::<Option<Vec<f64>>>().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_method_core::{OptionValue, StepContext};

    type Given<'a> = &'a [(&'a str, &'a str)];

    fn schedule(given: Given<'_>) -> Result<Schedule, String> {
        let value = |v: &str| v.parse().map_or_else(|_| OptionValue::Text(v.to_owned()), OptionValue::Float);
        Schedule::new(&given.iter().map(|(k, v)| ((*k).to_owned(), value(v))).collect())
    }

    fn fractions(given: Given<'_>, total: u64) -> Vec<f64> {
        let schedule = schedule(given).unwrap();
        (0..=total).map(|step| schedule.at(StepContext { step, total, seed: 0, training: true }.progress()).1).collect()
    }

    #[test]
    fn tables() {
        let rows: [(Given<'_>, &[f64]); 7] = [
            (&[], &[0.5, 0.5, 0.75, 0.75, 0.875, 0.875, 1.0, 1.0, 1.0]),
            (&[("schedule", "average")], &[0.2, 0.4, 0.6, 0.8, 1.0, 1.0]),
            (&[("schedule", "finetune")], &[0.0, 0.5, 0.75, 0.875, 1.0, 1.0]),
            (&[("portions", "0.5, 1.0")], &[0.5, 0.5, 0.5, 1.0, 1.0, 1.0]),
            (&[("portions", "0.1,0.2"), ("lengths", "1, 3")], &[0.1, 0.2, 0.2, 0.2, 0.2]),
            (&[("lengths", "3,3,3,1")], &[0.5, 0.5, 0.5, 0.75, 0.75, 0.75, 0.875, 0.875, 0.875, 1.0, 1.0]),
            (&[("portion", "0.3")], &[0.3, 0.3]),
        ];
        for (given, expected) in rows {
            assert_eq!(fractions(given, expected.len() as u64 - 1), expected, "{given:?}");
        }
    }

    #[test]
    fn a_finished_network_has_the_last_portion() {
        for (given, expected) in [("exponential", 1.0), ("average", 1.0), ("finetune", 1.0)] {
            let (_, fraction) = schedule(&[("schedule", given)]).unwrap().at(StepContext::evaluation(0).progress());
            assert_eq!(fraction, expected);
        }
    }

    #[test]
    fn every_stage_starts_at_its_step() {
        // Boundaries are quotients of whole numbers like the progress itself, so that rounding cannot part them.
        let average = schedule(&[("schedule", "average")]).unwrap();
        for total in (5..3000).step_by(5) {
            for stage in 0..5 {
                let first = stage * total / 5;
                let at = |step: u64| average.at(step as f64 / total as f64).0;
                assert_eq!(at(first), stage, "{first} of {total}");
                assert!(first == 0 || at(first - 1) == stage - 1, "{first} of {total}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let rows: [(Given<'_>, &str); 6] = [
            (&[("portions", "0.5, x")], "0.5, x"),
            (&[("portions", "0.5, 1.5")], "from 0 to 1"),
            (&[("portions", "0.5,,1")], "separated by commas"),
            (&[("lengths", "1,1,0,1")], "above 0"),
            (&[("lengths", "1,1")], "2 `lengths` for 4 fractions"),
            (&[("portion", "0.5"), ("portions", "0.5,1")], "one or the other"),
        ];
        for (given, expected) in rows {
            let error = schedule(given).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
