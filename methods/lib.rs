//! Every quantization method and every folder of batch normalization, found by name. To add a method: a file in
//! `baseline` and one line in the list of its `lib.rs`, which also makes the test that holds the method to the
//! conformance suite; or a crate of its own beside this file, whose list is named below.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub use harness_method_core as core;
use harness_method_core::{BatchNormFolder, Method};

/// The lists of all crates.
const LISTS: &[&[&dyn Method]] = &[
    harness_method_baseline::METHODS,
    harness_method_balanced::METHODS,
    harness_method_stochastic::METHODS,
    harness_method_least_squares::METHODS,
];

/// How many methods there are.
const COUNT: usize = {
    let (mut count, mut list) = (0, 0);
    while list < LISTS.len() {
        count += LISTS[list].len();
        list += 1;
    }
    count
};

/// All methods, in the order `harness methods` shows them.
pub static METHODS: [&dyn Method; COUNT] = harness_method_core::joined(LISTS);

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

    /// Folders see whole networks: an option that is read for one layer only would change nothing here.
    #[test]
    fn every_option_of_a_folder_has_an_effect() {
        let channel = |gamma: f64| harness_method_core::BatchNormChannel {
            gamma,
            beta: 0.3,
            mean: 0.1,
            var: 1.0,
            input_scale: 0.01,
            output_scale: 0.1,
        };
        let layer = |gamma: f64, reach: i64| harness_method_core::NormLayer {
            name: "layer".to_owned(),
            channels: vec![channel(gamma), channel(-0.7 * gamma)],
            eps: 1e-5,
            range: (-reach, reach),
            bits: harness_method_core::Bits::new(3).unwrap(),
        };
        let layers = [layer(1.3, 1000), layer(0.9, 12)];
        for folder in BATCH_NORM_FOLDERS {
            let about = folder.about().about;
            let idle = harness_records::config::effects::without_effect(about.options, |options| {
                format!("{:?}", folder.fold(&layers, options))
            });
            assert!(idle.is_empty(), "{}: no value of {idle:?} changes anything", about.name);
        }
    }

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
