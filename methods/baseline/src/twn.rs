//! Ternary Weight Networks (Li et al. 2016, arXiv:1605.04711).
//!
//! `+alpha` above `delta`, `-alpha` below `-delta`, 0 between; `delta = 0.7 mean |W|` (eq. 6), `alpha` the mean of
//! `|W|` beyond it (eq. 5). Backward: straight through, to the full precision weights.

use harness_method_core::base::Twn as Ternary;
use harness_method_core::rows::Rows;
use harness_method_core::{
    About, Codes, KeyDefault, KeyDoc, KeyKind, Method, MethodAbout, MethodError, Options, Quantizer, Site, StepContext,
    Support,
};
use tch::{Tensor, nn};

/// Ternary Weight Networks.
#[derive(Debug)]
pub struct Twn;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "twn",
        summary: "weights of -alpha, 0 and +alpha",
        source: "Li, Zhang and Liu, Ternary Weight Networks, 2016, arXiv:1605.04711",
        options: &[KeyDoc {
            name: "delta",
            kind: KeyKind::Choice(&["layer", "filter"]),
            default: KeyDefault::Text("layer"),
            doc: "one threshold and one scale for the layer, or for each filter",
        }],
    },
    bits: Some((2, 2)),
    weights: Support::Yes,
    activations: Support::No("the paper keeps them in full precision; least-squares has a ternary variant for both"),
    gradients: Support::No("the paper keeps them in full precision"),
};

impl Method for Twn {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        let rows = if options.text("delta") == "filter" { Rows::Each } else { Rows::Tensor };
        Ok(Box::new(Weight { site: site.clone(), form: Ternary { threshold: rows, scale: rows, centred: false } }))
    }
}

#[derive(Debug)]
struct Weight {
    site: Site,
    form: Ternary,
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        self.form.quantize(x, self.site.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::conformance::{Variant, everything};
    use harness_method_core::{OptionValue, Role};
    use std::collections::BTreeMap;
    use tch::Kind;

    #[test]
    fn by_filter_conforms_too() {
        everything(&Variant::new(&Twn, None, &[("delta", OptionValue::Text("filter".to_owned()))]));
    }

    fn build(delta: &str, x: &Tensor) -> (Box<dyn Quantizer>, nn::VarStore) {
        let given = BTreeMap::from([("delta".to_owned(), OptionValue::Text(delta.to_owned()))]);
        quantizer(&Twn, &site(Role::Weight, 2, &x.size()), &Options::resolve(ABOUT.about.options, &given).unwrap())
    }

    #[test]
    fn threshold_and_scale_of_the_layer_or_of_each_filter() {
        let x = Tensor::from_slice(&[1.0f32, -0.8, 0.1, -0.1, 0.1, -0.08, 0.01, -0.01]).view([2, 4]);
        // Layer: mean |W| = 0.275, delta = 0.1925; the whole second filter lies below.
        assert_eq!(
            floats(&build("layer", &x).0.forward(&x, &STEP).unwrap()),
            [0.9, -0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        );
        // Filters: delta = 0.35 and 0.035.
        let found = floats(&build("filter", &x).0.forward(&x, &STEP).unwrap());
        for (found, expected) in found.iter().zip([0.9, -0.9, 0.0, 0.0, 0.09, -0.09, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} against {expected}");
        }
    }

    #[test]
    fn gradients_pass_unchanged_and_awkward_weights_have_values() {
        for delta in ["layer", "filter"] {
            for values in [vec![0.0f32; 4], vec![0.3; 4], vec![-0.3; 4], vec![0.5], vec![0.5, -0.1]] {
                let x = Tensor::from_slice(&values).view([-1, 1]).set_requires_grad(true);
                let y = build(delta, &x).0.forward(&x, &STEP).unwrap();
                assert!(floats(&y).iter().all(|v| v.is_finite()), "{delta} {values:?}");
                if values.iter().all(|v| *v == values[0]) {
                    assert_eq!(floats(&y), values, "{delta}: a constant is its own scale");
                }
                (y * 3.0).sum(Kind::Float).backward();
                assert!(floats(&x.grad()).iter().all(|&g| g == 3.0));
            }
        }
    }
}
