//! Batch normalization and the quantizer after it as integers: `clip((A*x + B) >> s, 0, 2^k - 1)` with one shift s
//! for a layer or a network, equal to the reference at *every* accumulator value x.
//!
//! The goal is that of Lin et al. 2020 (arXiv:2008.13128); the formulation and the proof are given in [`solve`] and
//! [`reference`] and are not theirs.
//!
//! | module | what |
//! | --- | --- |
//! | [`reference`] | what must be reproduced: the folded line, decided exactly; the table of thresholds |
//! | [`solve`] | the smallest shift, then the least A and B |
//! | [`alternatives`] | naive rounding, powers of two, f32, and how often each errs |
//! | [`json`] | the command `harness batchnorm` |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod alternatives;
mod exact;
pub mod json;
pub mod reference;
pub mod solve;

use harness_method_core::{
    About, Fold, IntegerBatchNorm, Method, MethodAbout, MethodError, OptionDefault, OptionDoc, OptionKind, OptionValue,
    Options, Quantizer, Site, Support,
};
use tch::nn;

/// Exact integer batch normalization.
#[derive(Debug)]
pub struct BnOptimal;

const FOLDS: Support = Support::No("it rewrites batch normalization; combine it with a method that quantizes");

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "bn-optimal",
        summary: "batch normalization as integers with the smallest shared shift and identical outputs",
        source: "Lin, Sun, Xie, Zhou and Zhang, Optimal Quantization for Batch Normalization in Neural Network \
                 Deployments and Beyond, 2020, arXiv:2008.13128",
        options: &[
            OptionDoc {
                name: "share",
                kind: OptionKind::Choice(&["layer", "network"]),
                default: OptionDefault::Text("layer"),
                doc: "one shift for each layer, or one for all layers of the network",
            },
            OptionDoc {
                name: "mode",
                kind: OptionKind::Choice(&["exact", "round", "power-of-two"]),
                default: OptionDefault::Text("exact"),
                doc: "identical outputs, naive rounding of the constants, or slopes that are powers of two",
            },
            OptionDoc {
                name: "shift",
                kind: OptionKind::Int { min: 0, max: solve::GREATEST_SHIFT as i64 },
                default: OptionDefault::Absent,
                doc: "the shift to use; the smallest exact one when absent",
            },
        ],
    },
    bits: Some((1, 8)),
    weights: FOLDS,
    activations: FOLDS,
    gradients: FOLDS,
};

impl Method for BnOptimal {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        Err(self.unsupported("quantizer"))
    }

    /// One layer. `share: network` takes all layers to know the shift: see [`fold_network`].
    fn fold(&self, fold: &Fold<'_>, options: &Options) -> Result<IntegerBatchNorm, MethodError> {
        let shift = match options.int("shift").and_then(|shift| u32::try_from(shift).ok()) {
            Some(shift) => shift,
            None => smallest_shift(fold)?,
        };
        match options.text("mode") {
            "round" => alternatives::rounded(fold, shift),
            "power-of-two" => alternatives::power_of_two(fold, shift),
            _ => solve::at_shift(&solve::steps(fold)?, shift),
        }
    }
}

/// The smallest shift at which every channel of a layer has exact integers.
///
/// # Errors
/// [`MethodError::Fold`] when a channel cannot be folded or needs more than an i64 holds.
pub fn smallest_shift(fold: &Fold<'_>) -> Result<u32, MethodError> {
    Ok(solve::smallest_shifts(&solve::steps(fold)?)?.into_iter().max().unwrap_or(0))
}

/// All layers of a network, in order. With `share: network` and no `shift` given, the shift of all is the least at
/// which every channel of every layer has exact integers.
///
/// # Errors
/// [`MethodError::Fold`] for the first layer that has no such integers, with its number in the reason.
pub fn fold_network(folds: &[Fold<'_>], options: &Options) -> Result<Vec<IntegerBatchNorm>, MethodError> {
    let numbered = |layer: usize, error: MethodError| match error {
        MethodError::Fold { channel, reason } => {
            MethodError::Fold { channel, reason: format!("layer {layer}: {reason}") }
        }
        other => other,
    };
    let mut options = options.clone();
    if options.text("share") == "network" && options.int("shift").is_none() {
        let mut max = 0;
        for (layer, fold) in folds.iter().enumerate() {
            max = max.max(smallest_shift(fold).map_err(|error| numbered(layer, error))?);
        }
        let shift = ("shift".to_owned(), OptionValue::Int(max.into()));
        options = options.iter().map(|(name, value)| (name.to_owned(), value.clone())).chain([shift]).collect();
    }
    let fold = |(layer, fold)| BnOptimal.fold(fold, &options).map_err(|error| numbered(layer, error));
    folds.iter().enumerate().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // It has no quantizers, so what the suite asks of them does not apply.
    harness_method_core::conformance!(@ BnOptimal => documentation_is_complete unsupported_roles_are_refused);
}
