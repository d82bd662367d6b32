//! Rules about who may depend on whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Violation, metadata};

/// Crates that have to build, and to be read, without libtorch.
const WITHOUT_LIBTORCH: [&str; 5] =
    ["harness-kernels", "harness-records", "harness-reports", "harness-stats", "harness-track"];
const LIBTORCH: [&str; 2] = ["tch", "torch-sys"];
/// The one crate that may use the slowest dependency.
const WITH_POLARS: &str = "harness-reports";
const POLARS: &str = "polars";
/// The crate that tells the others where libtorch is, and the build script that writes it into their binaries.
const TORCH: &str = "harness-torch";
const RPATH: &str = "harness/torch/rpath.rs";

/// A crate of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Below the workspace's root, with `/`.
    pub(super) folder: String,
    /// Below the workspace's root, where there is one.
    build_script: Option<String>,
}

/// The crate a file belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) package: &'a str,
    pub(super) folder: &'a str,
    pub(super) is_build_script: bool,
}

/// The workspace's crates and all that they depend on, for builds and for tests.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) members: Vec<Member>,
    /// Package names to the names of what they depend on. Versions play no part in the rules.
    dependencies: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Asks cargo.
    ///
    /// # Errors
    /// When cargo does not answer, or not in the form it documents.
    pub(super) fn of_workspace(root: &Path) -> Result<Graph> {
        Graph::parse(&metadata(root)?).context("`cargo metadata` is not in the form that was expected")
    }

    fn parse(metadata: &Value) -> Option<Graph> {
        let root = Path::new(metadata["workspace_root"].as_str()?);
        let below = |path: &str| below(root, Path::new(path));
        let ids: BTreeSet<&str> = metadata["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let mut names = BTreeMap::new();
        let mut members = Vec::new();
        for package in metadata["packages"].as_array()? {
            let (id, name) = (package["id"].as_str()?, package["name"].as_str()?);
            names.insert(id, name);
            if ids.contains(id) {
                let manifest = below(package["manifest_path"].as_str()?)?;
                let targets = package["targets"].as_array()?.iter();
                let script =
                    targets.filter(|target| target["kind"][0] == "custom-build").find_map(|t| t["src_path"].as_str());
                members.push(Member {
                    name: name.to_owned(),
                    folder: manifest.strip_suffix("/Cargo.toml")?.to_owned(),
                    build_script: script.and_then(below),
                });
            }
        }
        let mut dependencies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array()? {
            let of = dependencies.entry((*names.get(node["id"].as_str()?)?).to_owned()).or_default();
            for dependency in node["deps"].as_array()? {
                of.insert((*names.get(dependency["pkg"].as_str()?)?).to_owned());
            }
        }
        Some(Graph { members, dependencies })
    }

    /// The crate that `file` (below the root) is part of: the one whose folder is the deepest around it, or that has
    /// it as its build script.
    pub(super) fn owner(&self, file: &str) -> Owner<'_> {
        let around = self
            .members
            .iter()
            .filter(|member| file.strip_prefix(&member.folder).is_some_and(|rest| rest.starts_with('/')));
        let is_build_script = self.members.iter().any(|member| member.build_script.as_deref() == Some(file));
        match around.max_by_key(|member| member.folder.len()) {
            Some(member) => Owner { package: &member.name, folder: &member.folder, is_build_script },
            None => Owner { package: "", folder: "", is_build_script },
        }
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.members.iter().flat_map(|member| self.of_member(member)).collect()
    }

    fn of_member(&self, member: &Member) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut report = |rule, message| {
            found.push(Violation { file: format!("{}/Cargo.toml", member.folder), line: 0, rule, message });
        };
        let libtorch = self.path(&member.name, &LIBTORCH, None);
        if let Some(path) = libtorch.as_ref().filter(|_| WITHOUT_LIBTORCH.contains(&member.name.as_str())) {
            report("libtorch", format!("this crate has to do without it, but {path}"));
        }
        if let Some(path) = self.path(&member.name, &[POLARS], Some(WITH_POLARS)) {
            report("polars", format!("only {WITH_POLARS} may use it, but {path}"));
        }
        if libtorch.is_some() && member.name != TORCH {
            let names_torch = self.dependencies.get(&member.name).is_some_and(|direct| direct.contains(TORCH));
            if member.build_script.as_deref() != Some(RPATH) || !names_torch {
                report(
                    "run path",
                    format!(
                        "it links libtorch, so its binaries and tests find that only with `build` naming {RPATH} and \
                         a direct dependency on {TORCH}"
                    ),
                );
            }
        }
        found
    }

    /// The shortest way from a crate to one of `targets` that does not pass through `except`, in words.
    fn path(&self, from: &str, targets: &[&str], except: Option<&str>) -> Option<String> {
        let mut came_from = BTreeMap::from([(from, None)]);
        let mut next = VecDeque::from([from]);
        while let Some(name) = next.pop_front() {
            if Some(name) == except {
                continue;
            }
            if targets.contains(&name) {
                let mut path = vec![name];
                while let Some(&Some(before)) = came_from.get(path[path.len() - 1]) {
                    path.push(before);
                }
                path.reverse();
                return Some(path.join(" -> "));
            }
            for dependency in self.dependencies.get(name).into_iter().flatten() {
                if !came_from.contains_key(dependency.as_str()) {
                    came_from.insert(dependency, Some(name));
                    next.push_back(dependency);
                }
            }
        }
        None
    }
}

/// `path` from `root` on, with `/`, and with what goes up taken out: cargo joins the two parts of a build script's path.
fn below(root: &Path, path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.strip_prefix(root).ok()?.components() {
        match part {
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir => {}
            other => parts.push(other.as_os_str().to_str()?),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Crates with their build script and dependencies; those with a folder are members.
    fn graph(packages: &[(&str, &str, Option<&str>, &[&str])]) -> Graph {
        let package = |(name, folder, script, _): &(&str, &str, Option<&str>, &[&str])| {
            let script = script.map(|path| json!({"kind": ["custom-build"], "src_path": format!("/w/{path}")}));
            let library = json!({"kind": ["lib"], "src_path": "/w/x.rs"});
            let targets: Vec<Value> = [library].into_iter().chain(script).collect();
            json!({
                "id": name, "name": name, "manifest_path": format!("/w/{folder}/Cargo.toml"),
                "targets": targets,
            })
        };
        let node = |(name, _, _, deps): &(&str, &str, Option<&str>, &[&str])| json!({"id": name, "deps": deps.iter().map(|dep| json!({"pkg": dep})).collect::<Vec<_>>()});
        let members = packages.iter().filter(|(_, folder, ..)| !folder.is_empty()).map(|(name, ..)| json!(name));
        Graph::parse(&json!({
            "workspace_root": "/w",
            "workspace_members": members.collect::<Vec<_>>(),
            "packages": packages.iter().map(package).collect::<Vec<_>>(),
            "resolve": {"nodes": packages.iter().map(node).collect::<Vec<_>>()},
        }))
        .unwrap()
    }

    fn found(packages: &[(&str, &str, Option<&str>, &[&str])]) -> Vec<String> {
        graph(packages).violations().iter().map(ToString::to_string).collect()
    }

    const TCH: (&str, &str, Option<&str>, &[&str]) = ("tch", "", None, &["torch-sys"]);
    const TORCH_SYS: (&str, &str, Option<&str>, &[&str]) = ("torch-sys", "", None, &[]);
    const TORCH_CRATE: (&str, &str, Option<&str>, &[&str]) =
        (TORCH, "harness/torch", Some("harness/torch/build.rs"), &["tch"]);

    #[test]
    fn the_path_to_libtorch_is_shown() {
        let records = ("harness-records", "harness/records", None, ["helper"].as_slice());
        let helper = ("helper", "", None, ["tch"].as_slice());
        let found = found(&[records, helper, TCH, TORCH_SYS]);
        assert!(found[0].starts_with("harness/records/Cargo.toml: libtorch"), "{found:?}");
        assert!(found[0].ends_with("harness-records -> helper -> tch"), "{found:?}");
    }

    #[test]
    fn polars_is_reached_through_reports_only() {
        let polars = (POLARS, "", None, [].as_slice());
        let reports = (WITH_POLARS, "reports", None, [POLARS].as_slice());
        let fine = ("harness", "harness/cli", None, [WITH_POLARS].as_slice());
        assert_eq!(found(&[polars, reports, fine]), Vec::<String>::new());
        let bad = ("harness", "harness/cli", None, [WITH_POLARS, POLARS].as_slice());
        let found = found(&[polars, reports, bad]);
        assert!(found.len() == 1 && found[0].ends_with("harness -> polars"), "{found:?}");
    }

    #[test]
    fn what_links_libtorch_has_the_run_path() {
        let check = |script, direct: &[&str], expected: bool| {
            let member = ("harness-engine", "harness/engine", script, direct);
            let found = found(&[member, TORCH_CRATE, TCH, TORCH_SYS]);
            assert_eq!(found.is_empty(), expected, "{found:?}");
            assert!(found.iter().all(|text| text.contains("run path")), "{found:?}");
        };
        check(Some(RPATH), &[TORCH, "tch"], true);
        check(Some("harness/engine/../torch/rpath.rs"), &[TORCH], true);
        check(Some(RPATH), &["tch"], false);
        check(None, &[TORCH], false);
        check(Some("harness/engine/build.rs"), &[TORCH], false);
        check(None, &[], true);
    }

    #[test]
    fn a_file_belongs_to_the_deepest_crate() {
        let graph = graph(&[
            ("harness-methods", "methods", Some(RPATH), &[]),
            ("harness-method-core", "methods/core", None, &[]),
            TORCH_CRATE,
            TCH,
            TORCH_SYS,
        ]);
        let check = |file, package, is_build_script| {
            let owner = graph.owner(file);
            assert_eq!((owner.package, owner.is_build_script), (package, is_build_script), "{file}");
        };
        check("methods/src/lib.rs", "harness-methods", false);
        check("methods/core/src/lib.rs", "harness-method-core", false);
        check("methods/corex.rs", "harness-methods", false);
        check("README.md", "", false);
        check(RPATH, TORCH, true);
    }
}
