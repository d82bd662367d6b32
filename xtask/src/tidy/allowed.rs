//! The places that still break a rule, each with the reason. The list may only shrink: an entry that nothing needs is
//! itself a violation.

use super::Violation;

/// A rule, the file that may break it, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("module file", "harness/kernels/benches/common/mod.rs", "cargo would take benches/common.rs for a benchmark"),
    (
        "circle",
        "harness/kernels/src/activations.rs",
        "a plan times products of its own shape, and products are made from plans",
    ),
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
