//! Balanced Quantization (Zhou et al. 2017, arXiv:1706.07145): every code of the weights is equally frequent.
//!
//! Weights (algorithms 1 and 2): the values are split in two at their median, each half again, k times. The number
//! of a value's leaf, left to right, is its code `g`, and its level is `2 s (g/(2^k - 1) - 1/2)`.
//! * `threshold`: `median` splits exactly; `mean` replaces it by the mean of the node, k passes without a sort.
//! * `scale`: `max` is `s = max|W|`; `mean` is `s = 2.5 mean|W|`, with the values clipped to `[-s, s]` first.
//!   `mean_form: tanh` is the form without a partition, of the authors' code for recurrent networks:
//!   `X = tanh W`, `m = 2.5 mean|X|`, `m (round((2^k - 1) u)/(2^k - 1) - 1/2)` with `u = clip(X/m, -1/2, 1/2) + 1/2`.
//!   For two bits its thresholds are 0 and `m/3`, the quartiles of a Gaussian but for 1.3%.
//! * `rounding`: the text gives the code as `rtz(2^k W_e - 1/2)`, ties toward zero, with `W_e` the equalized value.
//!   That is `g` but for the least value of a leaf, which falls one level (and a leaf of equal values falls as a
//!   whole). `leaf` is `g` itself; `literal` is the text.
//!
//! Activations: `Q_k(clip(x, 0, 1))`, `Q_k(x) = rtz((2^k - 1) x)/(2^k - 1)`.
//! Backward: the identity for weights, with every statistic a constant (through the tanh in its form); 1 inside
//! [0, 1] for activations, 0 outside.
//!
//! Where the text says nothing: equal values share a code, whatever that does to the populations. A constant tensor
//! is kept as it is (the text would send a negative one to `+s`), zeros stay zeros. With one bit and `scale: max` all
//! weights become `max|W|` or its negative, which hardly trains.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activation;
mod cpu_loops;
mod partition;
#[cfg(test)]
mod reference;
mod tanh_grid;
mod weight;

use harness_method_core::{
    About, KeyDefault, KeyDoc, KeyKind, Method, MethodAbout, MethodError, Nonlinearity, Options, Quantizer, Role, Site,
    Support,
};
use tch::nn;

use activation::Activation;
use partition::Split;
use tanh_grid::TanhGrid;
use weight::{Scale, Weight};

/// Balanced Quantization.
#[derive(Debug)]
pub struct Balanced;

harness_method_core::methods! {
    balanced: crate::Balanced,
}

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "balanced",
        summary: "weights split recursively so that all codes are equally frequent; activations on a uniform grid",
        source: "Zhou et al., Balanced Quantization: An Effective and Efficient Approach to Quantized Neural \
                 Networks, JCST 32(4), 2017, arXiv:1706.07145",
        options: &[
            KeyDoc {
                name: "threshold",
                kind: KeyKind::Choice(&["median", "mean"]),
                default: KeyDefault::Text("median"),
                doc: "split weights at the median of each part (exact quantiles) or at its mean (no sort)",
            },
            KeyDoc {
                name: "scale",
                kind: KeyKind::Choice(&["max", "mean"]),
                default: KeyDefault::Text("max"),
                doc: "levels of weights reach to the largest magnitude, or to 2.5 times the mean magnitude",
            },
            KeyDoc {
                name: "rounding",
                kind: KeyKind::Choice(&["leaf", "literal"]),
                default: KeyDefault::Text("leaf"),
                doc: "the code is the part's number, or the paper's formula, where the least of a part falls one level",
            },
            KeyDoc {
                name: "mean_form",
                kind: KeyKind::Choice(&["clip", "tanh"]),
                default: KeyDefault::Text("clip"),
                doc: "with `scale: mean`: clip and split, or a uniform grid over half that range on tanh of the \
                      weights, without a split (threshold and rounding have no effect)",
            },
        ],
    },
    bits: Some((1, 8)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("the paper keeps them in full precision; use dorefa"),
};

impl Method for Balanced {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn check(&self, site: &Site, options: &Options) -> Result<(), MethodError> {
        if let Support::No(reason) = ABOUT.support(site.role) {
            return Err(self.unsupported(&format!("{} quantization: {reason}", site.role)));
        }
        if options.text("mean_form") == "tanh" && options.text("scale") != "mean" {
            return Err(self.unsupported("`mean_form: tanh` with `scale: max`; it goes with `scale: mean`"));
        }
        Ok(())
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        let site = site.clone();
        if site.role == Role::Activation {
            return Ok(Box::new(Activation { site }));
        }
        if options.text("mean_form") == "tanh" {
            return Ok(Box::new(TanhGrid { site }));
        }
        let split = if options.text("threshold") == "mean" { Split::Mean } else { Split::Median };
        let scale = if options.text("scale") == "mean" { Scale::Mean } else { Scale::Max };
        let literal = options.text("rounding") == "literal";
        Ok(Box::new(Weight { site, split, scale, literal }))
    }

    fn nonlinearity(&self) -> Nonlinearity {
        Nonlinearity::Clip { low: 0.0, high: 1.0 }
    }
}

#[cfg(test)]
mod tests;
