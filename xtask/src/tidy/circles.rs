//! No circle of files within a crate: the modules of a crate use each other in one direction.
//!
//! An edge leads from a file to the file of each module that one of its `use` declarations names through `crate`, `super`
//! or `self`. A module that uses its own children, to hand their items on, is no edge: it is what a module is for.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::source::{Source, words};

/// The files of one crate's sources, by the path of their module; the root's is empty.
pub(super) type Modules<'a> = BTreeMap<Vec<String>, (&'a str, &'a Source)>;

/// The path of the module that a file is, from its path below `src`: `a/b.rs` is `a::b`, `lib.rs` the root.
pub(super) fn module(below_src: &str) -> Vec<String> {
    let path = below_src.strip_suffix(".rs").unwrap_or(below_src);
    match path {
        "lib" | "main" => Vec::new(),
        path => path.split('/').filter(|part| *part != "mod").map(str::to_owned).collect(),
    }
}

/// Each circle once, reported at the first of its files.
pub(super) fn violations(modules: &Modules<'_>) -> Vec<Violation> {
    let edges: BTreeMap<&[String], BTreeSet<&[String]>> =
        modules.iter().map(|(path, (_, source))| (path.as_slice(), targets(modules, path, source))).collect();
    let reach: BTreeMap<&[String], BTreeSet<&[String]>> =
        edges.keys().map(|&from| (from, reachable(&edges, from))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (&from, to) in &reach {
        if !to.contains(from) || seen.contains(from) {
            continue;
        }
        let circle: Vec<&[String]> =
            to.iter().copied().filter(|other| reach.get(other).is_some_and(|back| back.contains(from))).collect();
        seen.extend(circle.iter().copied());
        let files: Vec<&str> = circle.iter().filter_map(|path| modules.get(*path)).map(|(file, _)| *file).collect();
        found.push(Violation {
            file: files.first().copied().unwrap_or_default().to_owned(),
            line: 0,
            rule: "circle",
            message: format!("these files use each other: {}; let them do so in one direction", files.join(", ")),
        });
    }
    found
}

/// Everything that can be reached from `from` by at least one edge.
fn reachable<'a>(edges: &BTreeMap<&'a [String], BTreeSet<&'a [String]>>, from: &[String]) -> BTreeSet<&'a [String]> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&[String]> = edges[from].iter().copied().collect();
    while let Some(path) = next.pop() {
        if reached.insert(path) {
            next.extend(edges[path].iter().copied());
        }
    }
    reached
}

/// The modules with files that `source`, the module `path`, uses, without itself and its descendants.
fn targets<'a>(modules: &'a Modules<'_>, path: &[String], source: &Source) -> BTreeSet<&'a [String]> {
    let mut targets = BTreeSet::new();
    for used in uses(source) {
        let (first, rest) = match used.split_first() {
            Some((first, rest)) => (first.as_str(), rest),
            None => continue,
        };
        let mut target = match first {
            "crate" => Vec::new(),
            "self" => path.to_vec(),
            "super" => path[..path.len().saturating_sub(1)].to_vec(),
            _ => continue,
        };
        for part in rest {
            match part.as_str() {
                "super" => drop(target.pop()),
                part => target.push(part.to_owned()),
            }
        }
        // The path ends with an item or goes through inline modules: its file is that of the longest part with one.
        let file = (0..=target.len()).rev().find_map(|length| modules.get_key_value(&target[..length]));
        if let Some((target, _)) = file.filter(|(target, _)| !target.starts_with(path)) {
            targets.insert(target.as_slice());
        }
    }
    targets
}

/// The paths that the `use` declarations outside tests name, groups taken apart.
fn uses(source: &Source) -> Vec<Vec<String>> {
    let lines = source.code.iter().zip(&source.is_test).filter(|(_, is_test)| !**is_test);
    let code: Vec<&str> = lines.flat_map(|(line, _)| words(line)).map(|(_, word)| word).collect();
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(found) = code[at..].iter().position(|word| *word == "use") {
        let start = at + found + 1;
        let end = start + code[start..].iter().position(|word| *word == ";").unwrap_or(code.len() - start);
        tree(&code[start..end], &mut 0, &[], &mut paths);
        at = end;
    }
    paths
}

/// Adds every path of the `use` tree that begins at `at`, each behind `prefix`, and leaves `at` behind the tree.
fn tree(code: &[&str], at: &mut usize, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    while let Some(word) = code.get(*at) {
        match *word {
            "{" => {
                *at += 1;
                while code.get(*at).is_some_and(|word| *word != "}") {
                    tree(code, at, &path, paths);
                    if code.get(*at) == Some(&",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "," | "}" => break,
            // A new name plays no part.
            "as" => *at += 1,
            ":" | "*" => {}
            word => path.push(word.to_owned()),
        }
        *at += 1;
    }
    paths.push(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::split;

    /// The files of the circles found among files with these contents.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<(&str, Source)> = files.iter().map(|(file, text)| (*file, split(text))).collect();
        let modules = sources.iter().map(|(file, source)| (module(file), (*file, source))).collect();
        violations(&modules).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn two_files_that_use_each_other() {
        let found =
            circles(&[("lib.rs", ""), ("a.rs", "use crate::b::B;"), ("b.rs", "use super::{a::A, c};"), ("c.rs", "")]);
        assert_eq!(found, ["these files use each other: a.rs, b.rs; let them do so in one direction"]);
    }

    #[test]
    fn a_longer_circle_is_one() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "use crate::b as x;"),
            ("b.rs", "pub use crate::{x, c::{D, E}};"),
            ("c.rs", "use crate::a;"),
        ];
        assert_eq!(circles(&files).len(), 1);
        assert!(circles(&files)[0].contains("a.rs, b.rs, c.rs"));
    }

    #[test]
    fn one_direction_is_none() {
        assert!(
            circles(&[
                ("lib.rs", "use crate::a::A;"),
                ("a.rs", "use crate::{b::B, Error};"),
                ("b.rs", "use crate::Error;")
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_module_may_use_its_children_and_they_it() {
        let parent = "mod b;\nuse self::b::B;\npub use crate::a::b::C;";
        assert!(circles(&[("lib.rs", ""), ("a.rs", parent), ("a/b.rs", "use super::A;")]).is_empty());
    }

    #[test]
    fn tests_comments_and_other_crates_play_no_part() {
        let tests = "// use crate::b;\nuse b::B;\n#[cfg(test)]\nmod tests {\n use crate::b;\n}";
        assert!(circles(&[("lib.rs", ""), ("a.rs", tests), ("b.rs", "use crate::a;")]).is_empty());
    }

    #[test]
    fn modules_are_named_after_their_files() {
        assert_eq!(module("lib.rs"), Vec::<String>::new());
        assert_eq!(module("a/b.rs"), ["a", "b"]);
        assert_eq!(module("a/mod.rs"), ["a"]);
    }
}
