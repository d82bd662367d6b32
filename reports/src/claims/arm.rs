//! The arms of a comparison: which trials belong to it, told by their configuration alone.

use harness_records::config::{MethodChoice, TrialConfig};

/// An option with the value it must have; [`ABSENT`] where it must not be given.
pub(crate) type Given = (&'static str, &'static str);

/// Value of an option that has none.
pub(crate) const ABSENT: &str = "";

/// Trials that differ in nothing the claim speaks of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arm {
    /// In tables, `balanced w2`.
    pub(crate) name: &'static str,
    /// Quantizer of the weights.
    pub(crate) weights: Pick,
    /// Quantizer of the activations.
    pub(crate) activations: Pick,
    /// Parts of the training, where the claim is about them.
    pub(crate) restarts: Option<u32>,
}

/// A method with all the options that matter. Options not named may have any value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick {
    pub(crate) method: &'static str,
    pub(crate) bits: Option<u8>,
    /// Lists, so that arms can share what they have in common.
    pub(crate) options: &'static [&'static [Given]],
}

/// Full precision.
pub(crate) const FLOAT: Pick = Pick { method: "float", bits: None, options: &[] };

impl Pick {
    pub(crate) const fn new(method: &'static str, bits: u8, options: &'static [&'static [Given]]) -> Pick {
        Pick { method, bits: Some(bits), options }
    }

    fn matches(&self, choice: &MethodChoice) -> bool {
        let value = |name: &str| {
            let found = choice.options.iter().find(|(known, _)| *known == name);
            found.map_or_else(|| ABSENT.to_owned(), |(_, value)| value.to_string())
        };
        let mut options = self.options.iter().copied().flatten();
        choice.method == self.method
            && choice.bits == self.bits
            && options.all(|(name, expected)| value(name) == *expected)
    }
}

impl Arm {
    /// Full-precision activations.
    pub(crate) const fn weights(name: &'static str, weights: Pick) -> Arm {
        Arm { name, weights, activations: FLOAT, restarts: None }
    }

    /// Both quantized.
    pub(crate) const fn both(name: &'static str, weights: Pick, activations: Pick) -> Arm {
        Arm { name, weights, activations, restarts: None }
    }

    /// The same, trained in so many parts.
    pub(crate) const fn in_parts(self, restarts: u32) -> Arm {
        Arm { restarts: Some(restarts), ..self }
    }

    /// True for a trial of this arm.
    pub(crate) fn matches(&self, config: &TrialConfig) -> bool {
        self.weights.matches(&config.quant.weights)
            && self.activations.matches(&config.quant.activations)
            && self.restarts.is_none_or(|restarts| config.train.restarts == restarts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};

    #[test]
    fn a_trial_belongs_to_an_arm_by_everything_named() {
        let pick = Pick::new("balanced", 2, &[&[("threshold", "mean")], &[("extra", ABSENT)]]);
        let arm = Arm::weights("balanced w2", pick);
        let check = |weights: MethodChoice, activations: MethodChoice, expected: bool| {
            let record = record().quant(weights, activations, MethodChoice::float()).build();
            assert_eq!(arm.matches(&record.config), expected, "{:?}", record.config.quant);
        };
        let float = MethodChoice::float;
        check(method("balanced", 2, &[("threshold", "mean")]), float(), true);
        check(method("balanced", 2, &[("threshold", "mean"), ("scale", "max")]), float(), true);
        check(method("balanced", 2, &[("threshold", "median")]), float(), false);
        check(method("balanced", 2, &[]), float(), false);
        check(method("balanced", 2, &[("threshold", "mean"), ("extra", "x")]), float(), false);
        check(method("balanced", 3, &[("threshold", "mean")]), float(), false);
        check(method("uniform", 2, &[("threshold", "mean")]), float(), false);
        check(method("balanced", 2, &[("threshold", "mean")]), method("balanced", 2, &[]), false);
        check(float(), float(), false);
    }

    #[test]
    fn parts_of_the_training_matter_where_named() {
        let whole = record().build();
        let parts = record().edit(|r| r.config.train.restarts = 4).build();
        let arm = Arm::weights("float", FLOAT);
        assert!(arm.matches(&whole.config) && arm.matches(&parts.config));
        assert!(!arm.in_parts(4).matches(&whole.config) && arm.in_parts(4).matches(&parts.config));
    }
}
