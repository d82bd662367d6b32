//! Batch normalization and the quantizer after it as integers: `clip((A*x + B) >> s, 0, 2^k - 1)` with one shift s
//! for each layer or for all layers of the network, equal to the reference at *every* accumulator value x.
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
    About, BatchNormFolder, FolderAbout, IntegerBatchNorm, KeyDefault, KeyDoc, KeyKind, MethodError, NormLayer, Options,
};

/// Exact integer batch normalization.
#[derive(Debug)]
pub struct BnOptimal;

static ABOUT: FolderAbout = FolderAbout {
    about: About {
        name: "bn-optimal",
        summary: "batch normalization as integers with the smallest shared shift and identical outputs",
        source: "Lin, Sun, Xie, Zhou and Zhang, Optimal Quantization for Batch Normalization in Neural Network \
                 Deployments and Beyond, 2020, arXiv:2008.13128",
        options: &[
            KeyDoc {
                name: "share",
                kind: KeyKind::Choice(&["layer", "network"]),
                default: KeyDefault::Text("layer"),
                doc: "one shift for each layer, or one for all layers of the network",
            },
            KeyDoc {
                name: "mode",
                kind: KeyKind::Choice(&["exact", "round", "power-of-two"]),
                default: KeyDefault::Text("exact"),
                doc: "identical outputs, naive rounding of the constants, or slopes that are powers of two",
            },
            KeyDoc {
                name: "shift",
                kind: KeyKind::Int { min: 0, max: solve::GREATEST_SHIFT as i64 },
                default: KeyDefault::Absent,
                doc: "the shift to use; the smallest exact one when absent",
            },
        ],
    },
    bits: (1, 8),
};

impl BatchNormFolder for BnOptimal {
    fn about(&self) -> &'static FolderAbout {
        &ABOUT
    }

    /// Without the option `shift`, every layer has the smallest shift at which all its channels have exact integers;
    /// with `share: network`, every layer has the largest of these.
    fn fold(&self, layers: &[NormLayer], options: &Options) -> Result<Vec<IntegerBatchNorm>, MethodError> {
        let shifts = match options.optional_int("shift").and_then(|shift| u32::try_from(shift).ok()) {
            Some(shift) => vec![shift; layers.len()],
            None => {
                let smallest = layers.iter().map(|layer| named(layer, smallest_shift(layer)));
                let smallest = smallest.collect::<Result<Vec<_>, _>>()?;
                match (options.text("share"), smallest.iter().max()) {
                    ("network", Some(&max)) => vec![max; layers.len()],
                    _ => smallest,
                }
            }
        };
        let fold = |layer: &NormLayer, shift| match options.text("mode") {
            "round" => alternatives::rounded(layer, shift),
            "power-of-two" => alternatives::power_of_two(layer, shift),
            _ => solve::at_shift(&solve::steps(layer)?, shift),
        };
        layers.iter().zip(shifts).map(|(layer, shift)| named(layer, fold(layer, shift))).collect()
    }
}

/// The smallest shift at which every channel of a layer has exact integers.
///
/// # Errors
/// [`MethodError::Fold`] when a channel cannot be folded or needs more than an i64 holds.
pub fn smallest_shift(layer: &NormLayer) -> Result<u32, MethodError> {
    Ok(solve::smallest_shifts(&solve::steps(layer)?)?.into_iter().max().unwrap_or(0))
}

/// The result with the layer's name in its error, where the layer has one.
fn named<T>(layer: &NormLayer, result: Result<T, MethodError>) -> Result<T, MethodError> {
    result.map_err(|source| match layer.name.as_str() {
        "" => source,
        name => MethodError::Layer { layer: name.to_owned(), source: Box::new(source) },
    })
}
