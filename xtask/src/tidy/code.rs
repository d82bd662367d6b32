//! Rules about Rust code.

use super::Violation;
use super::graph::Owner;
use super::source::{Source, words};

/// The crates that may hold `unsafe`: the vector kernels and the foreign calls into libtorch.
const MAY_BE_UNSAFE: [&str; 2] = ["harness-kernels", "harness-torch"];
/// The programs: everything else reports to its caller.
const MAY_PRINT: [&str; 2] = ["harness", "xtask"];

const PRINTING: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

/// Unsafe code, printing and exiting where they do not belong.
pub(super) fn violations(file: &str, owner: Owner<'_>, source: &Source) -> Vec<Violation> {
    let may_be_unsafe = MAY_BE_UNSAFE.contains(&owner.package);
    let may_print = MAY_PRINT.contains(&owner.package) || owner.is_build_script || is_test_file(file, &owner);
    let mut found = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let mut report =
            |rule, message| found.push(Violation { file: file.to_owned(), line: index + 1, rule, message });
        let words: Vec<&str> = words(line).into_iter().map(|(_, word)| word).collect();
        if !may_be_unsafe && words.iter().enumerate().any(|(at, word)| *word == "unsafe" && !is_raw(&words, at)) {
            report("unsafe", format!("only {} may hold unsafe code", MAY_BE_UNSAFE.join(" and ")));
        }
        if may_be_unsafe && wants_reason(&words, source, index) && !has_reason(source, index) {
            report("safety", "say above it, after `SAFETY:`, why this is sound".to_owned());
        }
        if !may_print && !source.is_test[index] {
            if let Some(word) = printing(&words) {
                report(
                    "printing",
                    format!("`{word}`: only {} may print; return it to the caller", MAY_PRINT.join(" and ")),
                );
            }
            if let Some(word) = exiting(&words) {
                report("exiting", format!("`process::{word}`: only {} may end the process", MAY_PRINT.join(" and ")));
            }
        }
    }
    found
}

/// Tests, benchmarks and examples may print: a skipped test has to be loud.
fn is_test_file(file: &str, owner: &Owner<'_>) -> bool {
    let inside = file.strip_prefix(owner.folder).unwrap_or(file).trim_start_matches('/');
    ["tests/", "benches/", "examples/", "src/tests/"].iter().any(|folder| inside.starts_with(folder))
        || inside.ends_with("/tests.rs")
}

/// `r#unsafe` is an ordinary name.
fn is_raw(words: &[&str], at: usize) -> bool {
    at >= 2 && words[at - 1] == "#" && words[at - 2] == "r"
}

fn printing<'a>(words: &[&'a str]) -> Option<&'a str> {
    let macros = words.windows(2).find(|pair| PRINTING.contains(&pair[0]) && pair[1] == "!").map(|pair| pair[0]);
    let streams =
        words.windows(4).find(|four| matches!(four, ["io", ":", ":", "stdout" | "stderr"])).map(|four| four[3]);
    macros.or(streams)
}

fn exiting<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.windows(4).find(|four| matches!(four, ["process", ":", ":", "exit" | "abort"])).map(|four| four[3])
}

/// Whether a line opens an unsafe block, implementation or foreign block. An unsafe function or trait states what it
/// asks of its callers in its documentation instead, and clippy sees to that.
fn wants_reason(words: &[&str], source: &Source, line: usize) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let next_line = || source.code[line + 1..].iter().flat_map(|line| super::source::words(line)).next();
        let next = words.get(at + 1).copied().or_else(|| next_line().map(|(_, word)| word));
        *word == "unsafe"
            && !is_raw(words, at)
            && match next {
                Some("{" | "impl") => true,
                // `unsafe extern "C" {` is a block, `unsafe extern "C" fn` is a function.
                Some("extern") => !words[at..].contains(&"fn"),
                _ => false,
            }
    })
}

/// Whether a comment with the reason stands on the line or above the statement that the line is part of.
fn has_reason(source: &Source, line: usize) -> bool {
    let says = |line: usize| source.comments[line].contains("SAFETY");
    if says(line) {
        return true;
    }
    let mut in_comment = false;
    for above in (0..line).rev() {
        let code = source.code[above].trim();
        let is_comment = code.is_empty() && !source.comments[above].trim().is_empty();
        if is_comment {
            in_comment = true;
            if says(above) {
                return true;
            }
            continue;
        }
        // The comment above the statement ends the search, and so does whatever ends the statement before.
        let is_attribute = code.starts_with("#[");
        if in_comment || code.is_empty() || (!is_attribute && code.ends_with([';', '{', '}'])) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::split;

    /// Lines and rules found in `text` as a file of a crate.
    fn rules(package: &str, file: &str, text: &str) -> Vec<(usize, &'static str)> {
        let owner = Owner { package, folder: "a", is_build_script: file == "a/build.rs" };
        violations(file, owner, &split(text)).into_iter().map(|found| (found.line, found.rule)).collect()
    }

    #[test]
    fn unsafe_is_for_two_crates() {
        let text = "// unsafe\nlet s = \"unsafe\";\nunsafe { f() }\n#![deny(unsafe_code)]\nunsafe fn g() {}\nr#unsafe";
        assert_eq!(rules("harness-records", "a/src/lib.rs", text), [(3, "unsafe"), (5, "unsafe")]);
    }

    #[test]
    fn unsafe_blocks_have_a_reason() {
        let check = |text: &str, expected: &[usize]| {
            let found: Vec<usize> =
                rules("harness-torch", "a/src/lib.rs", text).iter().map(|(line, _)| *line).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("unsafe { f() }", &[1]);
        check("// SAFETY: because.\nunsafe { f() }", &[]);
        check("// SAFETY: a long\n// reason.\nunsafe { f() }", &[]);
        check("// Not a reason.\nunsafe { f() }", &[2]);
        check("// SAFETY: because.\nlet x =\n    unsafe { f() };", &[]);
        check("// SAFETY: because.\n#[inline]\nunsafe impl A for B {}", &[]);
        check("unsafe { f() } // SAFETY: because.", &[]);
        check("// SAFETY: of another.\nf();\nunsafe { f() }", &[3]);
        check("// SAFETY: of another.\n\nunsafe { f() }", &[3]);
        check("// SAFETY: of another.\nunsafe { f() }\nunsafe { f() }", &[3]);
        check("if a { // SAFETY: of another.\n  unsafe { f() }", &[2]);
        check("unsafe {\n  // SAFETY: too late.\n  f() }", &[1]);
        check("let x = unsafe\n{ f() };", &[1]);
        check("unsafe extern \"C\" { fn f(); }", &[]);
        check("unsafe extern \"C\" {\n fn f(); }", &[1]);
        check("unsafe extern \"C\" fn f() {}\nunsafe fn g() {}\nunsafe trait T {}\ntype F = unsafe fn();", &[]);
        check("unsafe impl Send for A {}", &[1]);
    }

    #[test]
    fn libraries_do_not_print_or_exit() {
        let text = "println!(\"a\");\nstd::process::exit(1);\nwriteln!(out, \"b\");\nlet print = 1; // println!()\n\
                    io::stdout().lock();\ncommand.stdout(p);\nstd::process::Command::new(\"x\");\ndbg!(x)";
        let expected = [(1, "printing"), (2, "exiting"), (5, "printing"), (8, "printing")];
        assert_eq!(rules("harness-engine", "a/src/lib.rs", text), expected);
        for package in MAY_PRINT {
            assert_eq!(rules(package, "a/src/lib.rs", text), []);
        }
        for file in ["a/tests/x.rs", "a/benches/x.rs", "a/src/tests/x.rs", "a/src/y/tests.rs", "a/build.rs"] {
            assert_eq!(rules("harness-engine", file, text), [], "{file}");
        }
        assert_eq!(rules("harness-engine", "a/src/x.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}\n}}")), []);
    }
}
