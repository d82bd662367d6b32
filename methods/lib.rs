//! Every quantization method, found by name. To add one: a crate beside this file (or a file in `baseline`), one
//! line in [`METHODS`], and `conformance!` in its tests.

pub use harness_method_core as core;
use harness_method_core::{BatchNormFolder, Method};

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
];

/// All folders of batch normalization, listed by `harness methods` after the methods.
pub static BATCH_NORM_FOLDERS: &[&dyn BatchNormFolder] = &[&harness_method_bn_optimal::BnOptimal];

/// The method of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Method> {
    METHODS.iter().copied().find(|method| method.about().about.name == name)
}

/// The folder of batch normalization of this name.
#[must_use]
pub fn find_folder(name: &str) -> Option<&'static dyn BatchNormFolder> {
    BATCH_NORM_FOLDERS.iter().copied().find(|folder| folder.about().about.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let methods = METHODS.iter().map(|method| method.about().about.name);
        let mut names: Vec<&str> =
            methods.chain(BATCH_NORM_FOLDERS.iter().map(|folder| folder.about().about.name)).collect();
        let found = |name: &&str| find(name).is_some() != find_folder(name).is_some();
        assert!(names.iter().all(found), "each name is a method's or a folder's");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "no name is taken twice");
        assert!(find("no such method").is_none() && find_folder("no such folder").is_none());
    }
}
