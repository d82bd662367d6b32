//! Every quantization method, found by name. To add one: a crate beside this file (or a file in `baseline`), one
//! line in [`METHODS`], and `conformance!` in its tests.

pub use harness_method_core as core;
use harness_method_core::Method;

/// All methods, in the order `harness methods` shows them.
pub static METHODS: &[&dyn Method] = &[
    &harness_method_baseline::Float,
    &harness_method_baseline::Uniform,
    &harness_method_baseline::DoReFa,
    &harness_method_baseline::BinaryConnect,
    &harness_method_baseline::Bnn,
    &harness_method_baseline::Xnor,
    &harness_method_baseline::Bwn,
    &harness_method_baseline::Twn,
    &harness_method_baseline::Pact,
    &harness_method_baseline::Lsq,
    &harness_method_balanced::Balanced,
    &harness_method_stochastic::Stochastic,
    &harness_method_least_squares::LeastSquares,
    &harness_method_bn_optimal::BnOptimal,
];

/// The method of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Method> {
    METHODS.iter().copied().find(|method| method.about().about.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for method in METHODS {
            let name = method.about().about.name;
            assert!(
                find(name).is_some_and(|found| std::ptr::eq(found.about(), method.about())),
                "{name} is taken twice"
            );
        }
        assert!(find("no such method").is_none());
    }
}
