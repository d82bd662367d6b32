//! The list of methods that a crate offers.

/// From the methods of a crate: its list `METHODS`, and one test for each of them that runs the whole conformance suite on
/// both paths. There is no other way into the list, so no method can be offered without passing.
///
/// Each line is the name of the test and the method, by a path that begins with `crate`.
#[macro_export]
macro_rules! methods {
    ($($test:ident: $method:path,)*) => {
        /// The methods of this crate, in the order in which `harness methods` shows them.
        pub const METHODS: &[&dyn $crate::Method] = &[$(&$method),*];

        #[cfg(test)]
        mod conformance {
            $(
                #[test]
                fn $test() {
                    $crate::conformance::everything_on_both_paths(&$method);
                    $crate::conformance::every_option_has_an_effect(&$method);
                }
            )*
        }
    };
}

/// One list from those of several crates; `N` is the sum of their lengths.
///
/// # Panics
/// When `N` is not that sum: at compile time where the result is a constant.
#[must_use]
pub const fn joined<const N: usize>(lists: &[&[&'static dyn crate::Method]]) -> [&'static dyn crate::Method; N] {
    let mut all = [lists[0][0]; N];
    let (mut list, mut index) = (0, 0);
    while list < lists.len() {
        let mut place = 0;
        while place < lists[list].len() {
            all[index] = lists[list][place];
            place += 1;
            index += 1;
        }
        list += 1;
    }
    assert!(index == N, "N is not the number of methods");
    all
}
