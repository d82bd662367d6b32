//! Least-Squares Binary Quantization (Pouransari, Tu and Tuzel 2020, arXiv:2001.02786).
//!
//! A tensor is approximated by `sum_i v_i s_i` with signs `s_i` and scales `v_1 >= ... >= v_k >= 0` of least squared
//! error, per output filter for weights and per sample for activations. Each sign is that of what is left:
//! `s_i = sign(x - sum_{j<i} v_j s_j)`, with `sign(0) = +1`.
//!
//! Activations take the place of the nonlinearity: batch normalization, clamp to `[-clamp, clamp]`, quantize. The paper
//! clamps at 2 (3 for LS-2 and GF-2 on ImageNet, not at all on MNIST) and has a ReLU after the convolution in networks
//! that keep activations in full precision, which is what stands at such an activation here.
//!
//! Running averages of the scales (`average`) follow the mean over a batch with momentum 0.99, the first batch copied;
//! the published results use none. With greedy scales, and with those of the official LS-2, a level can fall where its
//! input rises (just above zero, when `v_1` is less than what the other signs then add), so that even with an average
//! no thresholds can stand for them: such a quantizer says that it depends on the sample.
//!
//! | module | what |
//! | --- | --- |
//! | `scales` | which scales: variants, solvers, rows |
//! | `exact` | the optimum of LS-2 and LS-T, by sorting or by narrowing (section 3 of the paper gives the conditions) |
//! | `official` | the approximate solver of the authors' code, for comparison |
//! | `signs` | codes and gradients from given scales: `host` in one pass each way, `device` by tensor operations |
//! | `levels` | the clamp of the input, and the levels that scales give |
//! | `weight`, `activation` | the quantizers |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activation;
mod exact;
mod levels;
mod official;
mod rows;
mod scales;
mod signs;
#[cfg(test)]
mod tests;
mod weight;

use harness_method_core::{
    About, KeyDefault, KeyDoc, KeyKind, Method, MethodAbout, MethodError, Options, Quantizer, Role, Site, Support,
};
use tch::nn;

use crate::activation::Activation;
use crate::scales::Solver;
use crate::weight::Weight;

/// Least-Squares Binary Quantization.
#[derive(Debug)]
pub struct LeastSquares;

harness_method_core::methods! {
    least_squares: crate::LeastSquares,
}

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "least-squares",
        summary: "sums of scaled signs of least squared error, per filter and per sample",
        source: "Pouransari, Tu and Tuzel, Least Squares Binary Quantization of Neural Networks, CVPR Workshops 2020, \
                 arXiv:2001.02786",
        options: &[
            KeyDoc {
                name: "variant",
                kind: KeyKind::Choice(&["optimal", "ternary", "greedy"]),
                default: KeyDefault::Text("optimal"),
                doc: "LS-1 or LS-2 (1 or 2 bits), LS-T (2 bits, three levels), or GF-k (1 to 8 bits, one sign at a time)",
            },
            KeyDoc {
                name: "solver",
                kind: KeyKind::Choice(&["exact", "official"]),
                default: KeyDefault::Text("exact"),
                doc: "the optimum, or the approximate search of the authors' code (LS-2 and LS-T)",
            },
            scales::SKIP,
            KeyDoc {
                name: "average",
                kind: KeyKind::Choice(&["off", "eval", "always"]),
                default: KeyDefault::Text("off"),
                doc: "scales of activations: of each sample, or their running average in evaluation, or always",
            },
            KeyDoc {
                name: "clamp",
                kind: KeyKind::Float { min: 0.0, max: 1e6 },
                default: KeyDefault::Float(2.0),
                doc: "activations are clamped to [-clamp, clamp] first; 0: not at all (the paper: 2, or 3 for LS-2 and GF-2 \
                      on ImageNet, or 0 on MNIST)",
            },
        ],
    },
    bits: Some((1, 8)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("the paper trains with full-precision gradients"),
};

impl Method for LeastSquares {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn check(&self, site: &Site, options: &Options) -> Result<(), MethodError> {
        if let Support::No(reason) = self.about().support(site.role) {
            return Err(self.unsupported(&format!("{} quantization: {reason}", site.role)));
        }
        match (options.text("variant"), site.bits.get()) {
            ("ternary", 2) | ("greedy", _) | ("optimal", 1 | 2) => Ok(()),
            ("ternary", bits) => Err(self.unsupported(&format!("ternary variant at {bits} bits, expected 2"))),
            (_, bits) => {
                Err(self.unsupported(&format!("optimum at {bits} bits, expected 1 or 2, or `variant: greedy`")))
            }
        }
    }

    fn quantizer(
        &self,
        site: &Site,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        let solver = Solver::new(options, site.bits);
        match site.role {
            Role::Activation => Ok(Box::new(Activation::new(site, solver, options, vars)?)),
            Role::Weight | Role::Gradient => Ok(Box::new(Weight::new(site, solver))),
        }
    }

    /// The loops for the CPU add the terms of a slope one by one, tensor operations add and multiply in one step: the
    /// gradients differ in the last bits.
    fn gradient_tolerance(&self) -> f64 {
        1e-6
    }
}
