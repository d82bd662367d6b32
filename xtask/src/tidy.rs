//! The workspace's rules that no compiler checks; ARCHITECTURE.md says why each holds.
//!
//! ```text
//! cargo metadata ──▶ members and who depends on whom ──▶ rules about dependencies       (graph)
//! git ls-files   ──▶ text of every file              ──▶ rules about any text           (text)
//!                    Rust code without comments and strings ──▶ rules about code        (code, source)
//!                                                               rules about where files stand, what they are called
//!                                                               and how they use each other          (layout, circles)
//! ```
//! A rule is a function from such a view to violations, and each names the file, the line and what would be right.

mod allowed;
mod circles;
mod code;
mod graph;
mod layout;
mod source;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use self::graph::{Graph, Owner};
use self::source::Source;
use crate::cargo;

/// Something that a rule forbids.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Path below the workspace's root.
    file: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    rule: &'static str,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { file, line, rule, message } = self;
        match line {
            0 => write!(f, "{file}: {rule}: {message}"),
            line => write!(f, "{file}:{line}: {rule}: {message}"),
        }
    }
}

/// Checks every rule and says what breaks one; the code is 1 when something does.
///
/// # Errors
/// When the workspace cannot be read at all.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let graph = Graph::of_workspace(root)?;
    let files = tracked(root)?;

    let mut violations = graph.violations();
    let mut sources = Vec::new();
    for file in &files {
        // What is not text holds nothing that these rules are about.
        let Ok(content) = fs::read_to_string(root.join(file)) else { continue };
        violations.extend(text::violations(file, &content));
        if file.ends_with(".rs") {
            let (owner, source) = (graph.owner(file), source::split(&content));
            violations.extend(code::violations(file, owner, &source));
            violations.extend(layout::violations(file, owner, &source));
            violations.extend(text::too_long(file, &content));
            sources.push((file.as_str(), owner, source));
        }
    }
    violations.extend(of_crates(&sources));
    // Where there is no map every crate is missing from it.
    let map = fs::read_to_string(root.join(text::CODE_MAP)).unwrap_or_default();
    let members = graph.members.iter();
    violations.extend(members.filter_map(|member| text::unmapped(&member.name, &member.folder, &map)));
    violations.extend(text::missing_paths(&map, |path| root.join(path).exists()));

    let mut violations = allowed::apply(violations);
    violations.sort();
    for violation in &violations {
        eprintln!("{violation}");
    }
    eprintln!("tidy: {} files, {} violations", files.len(), violations.len());
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the files of a crate break together.
fn of_crates(sources: &[(&str, Owner<'_>, Source)]) -> Vec<Violation> {
    let files: Vec<_> = sources.iter().map(|(file, owner, _)| (*file, *owner)).collect();
    let mut found = layout::several_programs(&files);
    let mut types: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    let mut modules: BTreeMap<&str, circles::Modules<'_>> = BTreeMap::new();
    for (file, owner, source) in sources {
        let inside = file.strip_prefix(owner.folder).unwrap_or(file).trim_start_matches('/');
        let Some(below) = inside.strip_prefix("src/") else { continue };
        let here = layout::public_types(source).into_iter().map(|(line, name)| (*file, line, name));
        types.entry(owner.package).or_default().extend(here);
        if !inside.ends_with("tests.rs") && !inside.contains("/tests/") {
            modules.entry(owner.package).or_default().insert(circles::module(below), (file, source));
        }
    }
    found.extend(types.values().flat_map(|types| layout::taken_twice(types)));
    found.extend(modules.values().flat_map(circles::violations));
    found
}

/// Every file that is or could be committed, as paths below the root with `/`.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git, which knows the workspace's files")?;
    if !output.status.success() {
        bail!("git cannot list the workspace's files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file has a name that is not UTF-8")?;
    let mut files: Vec<String> = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    // A file in conflict is listed more than once, one deleted but not yet committed still is.
    files.sort();
    files.dedup();
    files.retain(|file| root.join(file).is_file());
    Ok(files)
}

/// What `cargo metadata` prints for this machine.
fn metadata(root: &Path) -> Result<serde_json::Value> {
    // Without the filter cargo would first download what only other systems need.
    let host = host().context("rustc does not say for which system it compiles")?;
    let output = cargo::command(root)
        .args(["metadata", "--format-version", "1", "--filter-platform", &host])
        .output()
        .context("cannot start `cargo metadata`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` prints")
}

fn host() -> Option<String> {
    let output = Command::new("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}
