//! Rules about any text file.

use super::Violation;

/// The file that has to mention every crate.
pub(super) const CODE_MAP: &str = "ARCHITECTURE.md";

/// Longest Rust file that still has one role, in lines.
const LONGEST: usize = 500;

/// Folders of somebody's machine. In two parts, so that this file keeps its own rule.
const MACHINE: [&str; 3] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];

/// Marks of unfinished work.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!"), concat!("unimple", "mented!")];

/// Paths of somebody's machine and marks of unfinished work.
pub(super) fn violations(file: &str, content: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let mut report =
            |rule, message| found.push(Violation { file: file.to_owned(), line: index + 1, rule, message });
        if let Some(path) = MACHINE.iter().find(|path| begins_path(line, path)) {
            report("machine path", format!("`{path}` exists on one machine; name the path by what it is relative to"));
        }
        if let Some(mark) = UNFINISHED.iter().find(|mark| has_word(line, mark)) {
            report(
                "unfinished",
                format!("`{mark}`: finish it, or open an issue and say in a sentence what is not done"),
            );
        }
    }
    found
}

/// Whether an absolute path begins with `prefix`; the same letters within a longer path or an address do not count.
fn begins_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '/' | '}' | ')' | '>' | '*'))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back().is_some_and(inside);
        let after = line[at + word.len()..].chars().next().is_some_and(inside) && !word.ends_with('!');
        !before && !after
    })
}

/// A file that is too long to have one role.
pub(super) fn too_long(file: &str, content: &str) -> Option<Violation> {
    let lines = content.lines().count();
    (lines > LONGEST).then(|| Violation {
        file: file.to_owned(),
        line: 0,
        rule: "length",
        message: format!("{lines} lines, more than {LONGEST}; take it apart by role"),
    })
}

/// A crate that the code map names neither by its name nor by its folder.
pub(super) fn unmapped(name: &str, folder: &str, map: &str) -> Option<Violation> {
    let is_named = has_whole(map, name) || has_whole(map, folder);
    (!is_named).then(|| Violation {
        file: CODE_MAP.to_owned(),
        line: 0,
        rule: "code map",
        message: format!("the crate {name} ({folder}) is not in it"),
    })
}

/// What the code map names and a working tree need not hold: what runs leave behind.
const PRODUCTS: [&str; 2] = ["runs/", "history/"];

/// Paths between backticks in the code map that `exists` does not know. A path is what holds a slash and nothing that
/// stands for something else.
pub(super) fn missing_paths(map: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in map.lines().enumerate() {
        for path in line.split('`').skip(1).step_by(2) {
            let is_path = path.contains('/')
                && path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'))
                && !PRODUCTS.iter().any(|product| path.starts_with(product));
            if is_path && !exists(path) {
                found.push(Violation {
                    file: CODE_MAP.to_owned(),
                    line: index + 1,
                    rule: "code map",
                    message: format!("`{path}` does not exist; write the path from the root of the repository"),
                });
            }
        }
    }
    found
}

/// Whether `map` holds `name` not as a part of a longer name or path.
fn has_whole(map: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/');
    map.match_indices(name).any(|(at, _)| {
        let before = map[..at].chars().next_back().is_some_and(inside);
        let mut after = map[at + name.len()..].chars();
        // A folder may be written with a slash at its end.
        let next = match after.next() {
            Some('/') => after.next(),
            next => next,
        };
        !before && !next.is_some_and(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(content: &str) -> Vec<(usize, &'static str)> {
        violations("f.md", content).into_iter().map(|found| (found.line, found.rule)).collect()
    }

    #[test]
    fn machine_paths() {
        let [root, home, work] = MACHINE;
        assert_eq!(rules(&format!("see\n`{root}x` and {home}me")), [(2, "machine path")]);
        assert_eq!(rules(&format!("--runs={work}a")), [(1, "machine path")]);
        assert_eq!(rules(&format!("\"{home}me\"\n({root}a)")), [(1, "machine path"), (2, "machine path")]);
        for fine in [format!("https://example.org{work}x"), format!("target{work}x"), format!("${{ROOT}}{home}x")] {
            assert_eq!(rules(&fine), [], "{fine}");
        }
        assert_eq!(rules("the root of the work at home"), []);
    }

    #[test]
    fn unfinished_work() {
        for mark in UNFINISHED {
            assert_eq!(rules(&format!("fine\n// {mark}(\"x\") and more")), [(2, "unfinished")], "{mark}");
            assert_eq!(rules(&format!("x{mark}")), [], "x{mark}");
        }
        assert_eq!(rules(&format!("{}S", UNFINISHED[0])), []);
    }

    #[test]
    fn long_files() {
        assert_eq!(too_long("a.rs", &"x\n".repeat(LONGEST)), None);
        assert!(too_long("a.rs", &"x\n".repeat(LONGEST + 1)).unwrap().message.contains("501 lines"));
    }

    #[test]
    fn paths_in_the_map() {
        let check = |map: &str, expected: &[usize]| {
            let found = missing_paths(map, |path| path == "harness/a.rs" || path == "methods/");
            assert_eq!(found.iter().map(|found| found.line).collect::<Vec<_>>(), expected, "{map}");
        };
        check("see `harness/a.rs` and `methods/`", &[]);
        check("one\nsee `harness/b.rs`, `harness/a.rs`, `a.rs`", &[2]);
        check("`src/a.rs`", &[1]);
        check("harness/b.rs, `runs/<x>/y`, `runs/x`, `a / b`, `(2 * c - 3)/3`", &[]);
    }

    #[test]
    fn crates_in_the_map() {
        let check = |map: &str, expected: bool| {
            assert_eq!(unmapped("harness-torch", "harness/torch", map).is_none(), expected, "{map}");
        };
        check("| `harness-torch` | the only C++ |", true);
        check("- harness/torch/: the only C++", true);
        check("[torch](harness/torch)", true);
        check("harness/torch/rpath.rs", false);
        check("harness-torch-extra and my-harness-torch", false);
        check("", false);
    }
}
