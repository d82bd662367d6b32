//! The places that still break a rule, each with the reason. The list may only shrink: an entry that nothing needs is
//! itself a violation.

use super::Violation;

/// A rule, the file that may break it, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("module file", "harness/kernels/benches/common/mod.rs", "cargo would take benches/common.rs for a benchmark"),
    (
        "circle",
        "harness/models/src/plan/shape.rs",
        "shapes of recurrent layers are computed by the walk over the layers",
    ),
    ("circle", "harness/records/src/attempt.rs", "the files of the store still have to be put in an order"),
    ("circle", "harness/records/src/node.rs", "a problem shows the node it is at, and reading a node gives problems"),
    ("circle", "harness/records/src/plan.rs", "a plan is made from a sweep file and is a part of it"),
    ("length", "harness/records/src/resolve.rs", "still has to be taken apart"),
    ("length", "harness/records/tests/records/sweeps.rs", "still has to be taken apart"),
    ("circle", "reports/src/accuracy.rs", "the frame of trials still has to be separated from what is computed of it"),
    ("circle", "reports/src/labels.rs", "labels and names still have to be put in an order"),
    ("path attribute", "reports/src/lib.rs", "the tests of opened results still have to be moved to their module"),
    ("test module", "reports/src/lib.rs", "the tests of opened results still have to be moved to their module"),
];

/// `found` without what is allowed, and with a violation for each entry that allowed nothing.
pub(super) fn apply(found: Vec<Violation>) -> Vec<Violation> {
    apply_list(ALLOWED, found)
}

fn apply_list(allowed: &[(&str, &str, &str)], found: Vec<Violation>) -> Vec<Violation> {
    let matches =
        |&(rule, file, _): &(&str, &str, &str), violation: &Violation| violation.rule == rule && violation.file == file;
    let stale = allowed.iter().filter(|entry| !found.iter().any(|violation| matches(entry, violation)));
    let mut left: Vec<Violation> = stale
        .map(|(rule, file, _)| Violation {
            file: "xtask/src/tidy/allowed.rs".to_owned(),
            line: 0,
            rule: "allowed",
            message: format!("{file} no longer breaks the rule `{rule}`; remove its entry"),
        })
        .collect();
    left.extend(found.into_iter().filter(|violation| !allowed.iter().any(|entry| matches(entry, violation))));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(rule: &'static str, file: &str) -> Violation {
        Violation { file: file.to_owned(), line: 1, rule, message: String::new() }
    }

    #[test]
    fn an_entry_covers_one_rule_in_one_file() {
        let allowed = [("length", "a.rs", "reason")];
        let check = |found, expected: &[&str]| {
            let left: Vec<String> = apply_list(&allowed, found).into_iter().map(|v| v.file).collect();
            assert_eq!(left, expected);
        };
        check(vec![violation("length", "a.rs")], &[]);
        check(vec![violation("length", "a.rs"), violation("length", "b.rs")], &["b.rs"]);
        check(vec![violation("length", "a.rs"), violation("module file", "a.rs")], &["a.rs"]);
        check(vec![], &["xtask/src/tidy/allowed.rs"]);
    }
}
