//! Stochastic Quantization (Dong et al. 2017, arXiv:1708.01001): in every step a fraction `r` of the filters, drawn by
//! their quantization error, is binary or ternary, and the others stay real; `r` grows to 1 over the training.
//!
//! One step, for a layer of `m` filters `W_i`:
//! ```text
//! Q_i = base(W_i)                                     base: bwn, or twn as in the official code
//! e_i = |W_i - Q_i|_1 / |W_i|_1                       0 for a filter of zeros
//! f_i = 1/(e_i + 1e-7)
//! p_i = 1 (constant), f_i (linear), exp f_i (softmax), 1/(1 + exp -f_i) (sigmoid), up to a common factor
//! draw floor(r m) filters without replacement by p_i; these are quantized, the others real
//! ```
//! * `draw: real` is the official code: the floor((1 - r) m) filters that stay *real* are drawn, by the same functions
//!   of `e_i` instead of `f_i` (the code knows `linear` only).
//! * `selection`: `roulette` draws anew in every step; `sorted` quantizes the least errors; `fixed` draws at the first
//!   step of a stage and keeps the choice as long as the stage lasts.
//! * `granularity: element` lets single weights take the place of filters. Scales stay those of filters.
//! * `schedule`: `exponential` 50, 75, 87.5, 100%; `average` 20, 40, 60, 80, 100%; `finetune` 0 (full precision), then
//!   as `exponential`. Stages share the training equally. `portions` and `lengths` give others, `portion` a constant.
//!   The paper starts every stage at the base learning rate: that is `restarts` of the training's schedule.
//!
//! Backward: the identity for all filters.
//!
//! The draw is an exponential race: with independent `E_i ~ Exp(1)`, the order of the `E_i/p_i` is the order in which
//! roulette without replacement would draw, so the least N are its first N, without a loop. Times are compared as
//! logarithms in f64: `softmax` of f up to 1e7 neither overflows nor leaves filters without a chance, and filters of
//! weight 0 (`draw: real`, no error) come after all others, in random order.
//! Numbers are keyed by trial, layer and step (for `fixed`, stage), so a resumed training draws the same.
//!
//! Evaluation draws as training does at that step, with the fraction of that step: only at fraction 1, and so after the
//! last step, is the network fully quantized. At fraction 1 the method is its base quantizer exactly.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod quantizer;
mod schedule;
mod select;

use harness_method_core::{
    About, KeyDefault, KeyDoc, KeyKind, Method, MethodAbout, MethodError, Options, Quantizer, Site, Support,
};
use tch::nn;

use quantizer::{Base, Hybrid};
use schedule::Schedule;
use select::Rule;

/// Stochastic Quantization.
#[derive(Debug)]
pub struct Stochastic;

harness_method_core::methods! {
    stochastic: crate::Stochastic,
}

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "stochastic",
        summary: "a growing fraction of the filters, drawn by their error, is binary or ternary; the rest stays real",
        source: "Dong et al., Learning Accurate Low-Bit Deep Neural Networks with Stochastic Quantization, \
                 BMVC 2017, arXiv:1708.01001",
        options: &[
            KeyDoc {
                name: "base",
                kind: KeyKind::Choice(&["bwn", "twn"]),
                default: KeyDefault::Text("bwn"),
                doc: "what drawn filters become: binary (1 bit) or ternary (2 bits)",
            },
            KeyDoc {
                name: "portion",
                kind: KeyKind::Float { min: 0.0, max: 1.0 },
                default: KeyDefault::Absent,
                doc: "quantized fraction throughout; absent: by the schedule",
            },
            KeyDoc {
                name: "granularity",
                kind: KeyKind::Choice(&["filter", "element"]),
                default: KeyDefault::Text("filter"),
                doc: "draw output channels, or single weights",
            },
            KeyDoc {
                name: "selection",
                kind: KeyKind::Choice(&["roulette", "sorted", "fixed"]),
                default: KeyDefault::Text("roulette"),
                doc: "draw in every step, take the least errors, or draw once at the start of a stage",
            },
            KeyDoc {
                name: "probability",
                kind: KeyKind::Choice(&["linear", "constant", "softmax", "sigmoid"]),
                default: KeyDefault::Text("linear"),
                doc: "chance of a filter as a function of its inverse error",
            },
            KeyDoc {
                name: "draw",
                kind: KeyKind::Choice(&["quantized", "real"]),
                default: KeyDefault::Text("quantized"),
                doc: "draw what is quantized (the paper), or by the error itself what stays real (the official code)",
            },
            KeyDoc {
                name: "schedule",
                kind: KeyKind::Choice(&["exponential", "average", "finetune"]),
                default: KeyDefault::Text("exponential"),
                doc: "portions of the stages: 50, 75, 87.5, 100%, or 20, 40, 60, 80, 100%, or a stage of full precision \
                      and then the first",
            },
            KeyDoc {
                name: "portions",
                kind: KeyKind::Text,
                default: KeyDefault::Absent,
                doc: "portions of the stages, `0.5, 0.75, 1`, in the place of the schedule's",
            },
            KeyDoc {
                name: "lengths",
                kind: KeyKind::Text,
                default: KeyDefault::Absent,
                doc: "lengths of the stages relative to each other, `1, 1, 2`; absent: all the same",
            },
        ],
    },
    bits: Some((1, 2)),
    weights: Support::Yes,
    activations: Support::No("the method draws filters, and activations have none"),
    gradients: Support::No("the method draws filters, and gradients have none"),
};

impl Stochastic {
    fn build(&self, site: &Site, options: &Options) -> Result<(Base, Schedule), MethodError> {
        if let Support::No(reason) = ABOUT.support(site.role) {
            return Err(self.unsupported(&format!("{} quantization: {reason}", site.role)));
        }
        let base = if options.text("base") == "twn" { Base::Twn } else { Base::Bwn };
        if site.bits.get() != base.width() {
            let (given, name, width) = (site.bits, options.text("base"), base.width());
            return Err(self.unsupported(&format!("{given} bits with `base: {name}`; that one has {width}")));
        }
        Ok((base, Schedule::new(options).map_err(|reason| self.unsupported(&reason))?))
    }
}

impl Method for Stochastic {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn check(&self, site: &Site, options: &Options) -> Result<(), MethodError> {
        self.build(site, options).map(drop)
    }

    fn quantizer(
        &self,
        site: &Site,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Box<dyn Quantizer>, MethodError> {
        let (base, schedule) = self.build(site, options)?;
        Ok(Box::new(Hybrid::new(site, base, schedule, Rule::new(options), vars)?))
    }
}

#[cfg(test)]
mod tests;
