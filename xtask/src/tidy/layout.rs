//! Rules about where files stand and what they are called.

use std::collections::BTreeMap;

use super::Violation;
use super::graph::Owner;
use super::source::{Source, words};

/// Modules under `#[cfg(test)]` with a file of their own: the tests, and what they share.
const TEST_MODULES: [&str; 4] = ["tests", "testing", "reference", "samples"];

/// What the path and the module declarations of one Rust file break.
pub(super) fn violations(file: &str, owner: Owner<'_>, source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |line, rule, message: String| found.push(Violation { file: file.to_owned(), line, rule, message });
    if let Some(folder) = file.strip_suffix("/mod.rs") {
        report(0, "module file", format!("name it {folder}.rs, beside the folder of the module"));
    }
    let inside = file.strip_prefix(owner.folder).unwrap_or(file).trim_start_matches('/');
    if inside.strip_prefix("tests/").is_some_and(|rest| !rest.contains('/')) {
        report(
            0,
            "test program",
            "each file in `tests/` links a program of its own; make it a module of `tests/<crate>/main.rs`".to_owned(),
        );
    }
    for (index, line) in source.code.iter().enumerate() {
        let words: Vec<&str> = words(line).into_iter().map(|(_, word)| word).collect();
        if words.starts_with(&["#", "[", "path", "="]) {
            report(index + 1, "path attribute", "put the file where the module's name leads to".to_owned());
        }
        if let ["mod", name, ";"] = words[..]
            && source.is_test[index]
            && !TEST_MODULES.contains(&name)
        {
            report(index + 1, "test module", format!("call it {}, not `{name}`", TEST_MODULES.join(" or ")));
        }
    }
    found
}

/// More than one integration test program in a crate.
pub(super) fn several_programs(files: &[(&str, Owner<'_>)]) -> Vec<Violation> {
    let mut programs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (file, owner) in files {
        let inside = file.strip_prefix(owner.folder).unwrap_or(file).trim_start_matches('/');
        if let ["tests", _, "main.rs"] = inside.split('/').collect::<Vec<_>>()[..] {
            programs.entry(owner.folder).or_default().push(file);
        }
    }
    programs
        .into_values()
        .flat_map(|files| files.into_iter().skip(1))
        .map(|file| Violation {
            file: file.to_owned(),
            line: 0,
            rule: "test program",
            message: "the crate has a test program already; make this a module of that one".to_owned(),
        })
        .collect()
}

/// The public types that a file of a crate's sources defines: line and name.
pub(super) fn public_types(source: &Source) -> Vec<(usize, String)> {
    let mut types = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let words: Vec<&str> = words(line).into_iter().map(|(_, word)| word).collect();
        let name = match words[..] {
            ["pub", "struct" | "enum" | "trait" | "type" | "union", name, ..]
            | ["pub", "unsafe", "trait", name, ..] => name,
            _ => continue,
        };
        if !source.is_test[index] {
            types.push((index + 1, name.to_owned()));
        }
    }
    types
}

/// Names in `types` (file, line, name; of one crate) that are taken twice, reported where they come again.
pub(super) fn taken_twice(types: &[(&str, usize, String)]) -> Vec<Violation> {
    let mut first: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    let mut found = Vec::new();
    for (file, line, name) in types {
        match first.get(name.as_str()) {
            Some((before, at)) => found.push(Violation {
                file: (*file).to_owned(),
                line: *line,
                rule: "type name",
                message: format!("`{name}` is a public type in {before}:{at} too; one crate, one meaning"),
            }),
            None => drop(first.insert(name, (file, *line))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::split;

    const OWNER: Owner<'_> = Owner { package: "a", folder: "x/a", is_build_script: false };

    fn rules(file: &str, text: &str) -> Vec<(usize, &'static str)> {
        violations(file, OWNER, &split(text)).into_iter().map(|found| (found.line, found.rule)).collect()
    }

    #[test]
    fn module_files_stand_beside_their_folder() {
        assert_eq!(rules("x/a/src/b/mod.rs", ""), [(0, "module file")]);
        assert_eq!(rules("x/a/src/b.rs", ""), []);
        assert_eq!(rules("x/a/src/b/my_mod.rs", ""), []);
    }

    #[test]
    fn integration_tests_are_one_program() {
        assert_eq!(rules("x/a/tests/b.rs", ""), [(0, "test program")]);
        assert_eq!(rules("x/a/tests/a/b.rs", ""), []);
        let check = |files: &[&str], expected: &[&str]| {
            let files: Vec<_> = files.iter().map(|file| (*file, OWNER)).collect();
            let found: Vec<String> = several_programs(&files).into_iter().map(|found| found.file).collect();
            assert_eq!(found, expected);
        };
        check(&["x/a/tests/a/main.rs", "x/a/src/main.rs", "x/a/tests/a/b/main.rs"], &[]);
        check(&["x/a/tests/a/main.rs", "x/a/tests/b/main.rs"], &["x/a/tests/b/main.rs"]);
    }

    #[test]
    fn test_modules_have_one_name_and_no_path() {
        assert_eq!(rules("x/a/src/b.rs", "#[cfg(test)]\nmod tests;\nmod c;"), []);
        assert_eq!(rules("x/a/src/b.rs", "#[cfg(test)]\nmod checks;"), [(2, "test module")]);
        assert_eq!(
            rules("x/a/src/b.rs", "#[cfg(test)]\n#[path = \"b/t.rs\"]\nmod tests;\n// #[path = \"x\"]"),
            [(2, "path attribute")]
        );
    }

    #[test]
    fn a_public_type_has_a_name_of_its_own() {
        let types = |file, text| -> Vec<_> {
            public_types(&split(text)).into_iter().map(|(line, name)| (file, line, name)).collect()
        };
        let one = types("b.rs", "pub struct A;\nstruct B;\npub(crate) struct C;\n#[cfg(test)]\npub struct D;");
        let other = types("c.rs", "pub struct B;\npub enum A {}\npub struct C;\npub struct D;");
        let found: Vec<String> = taken_twice(&[one, other].concat()).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["c.rs:2: type name: `A` is a public type in b.rs:1 too; one crate, one meaning"]);
    }
}
