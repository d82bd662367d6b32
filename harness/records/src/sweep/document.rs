//! A sweep file as it is written: its sections, with the file that it extends underneath and the `--set` arguments
//! that concern a section on top. What the sections mean is not looked at here.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::catalog::Catalog;
use crate::sweep::filter;
use crate::sweep::overlay::{self, Assignment, SECTIONS};
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{self, Key, Node, Origin, Source, Value};

const KEYS: [&str; 8] = ["name", "extends", "base", "axes", "exclude", "include", "report", "slurm"];

pub(crate) fn file_origin(path: &Path) -> Origin {
    let source = Source { name: path.display().to_string(), text: String::new(), is_file: true };
    Origin::whole(&Arc::new(source))
}

/// The bytes of a file; `origin` is what asked for it.
pub(crate) fn load(path: &Path, origin: &Origin) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let limit = node::MAX_BYTES as u64 + 1;
    // The limit keeps a device or a wrongly named archive from filling the memory.
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Problem::new(origin.clone(), format!("cannot read `{}`: {error}", path.display()))),
    }
}

/// The sections of a sweep file, `extends` already worked in.
pub(crate) struct Document {
    pub(crate) origin: Origin,
    pub(crate) name: Option<Node>,
    pub(crate) base: Node,
    pub(crate) axes: Vec<(Key, Node)>,
    pub(crate) exclude: Vec<Node>,
    pub(crate) include: Vec<Node>,
    pub(crate) report: Vec<(Key, Node)>,
    pub(crate) slurm: Vec<(Key, Node)>,
}

impl Document {
    /// Reads a file and those it extends. Mistakes that leave the rest readable go into `problems`.
    pub(crate) fn read(path: &Path, problems: &mut Vec<Problem>) -> Result<Document, Problem> {
        Document::read_over(path, &mut Vec::new(), problems)
    }

    /// `above` are the files that extend this one.
    fn read_over(path: &Path, above: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) -> Result<Document, Problem> {
        let bytes = load(path, &file_origin(path))?;
        above.push(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let root = node::parse(&path.display().to_string(), &bytes)?;
        let pairs = match &root.value {
            Value::Map(pairs) => pairs.as_slice(),
            Value::Null => {
                let problem =
                    Problem::new(Origin::at(&root.origin.source, 1, 1), "the file is empty, expected a sweep");
                return Err(problem.hint("a sweep has the sections `base:` and `axes:`"));
            }
            other => {
                let message = format!("the file holds {}, expected a map with `base:` and `axes:`", other.describe());
                return Err(Problem::new(root.origin.clone(), message));
            }
        };
        let empty = || Node { value: Value::Map(Vec::new()), origin: root.origin.clone() };
        let mut document = Document {
            origin: root.origin.clone(),
            name: None,
            base: empty(),
            axes: Vec::new(),
            exclude: Vec::new(),
            include: Vec::new(),
            report: Vec::new(),
            slurm: Vec::new(),
        };
        // The file below comes first, wherever `extends` stands in this one.
        if let Some((_, below)) = pairs.iter().find(|(key, _)| key.name == "extends") {
            document = Document { origin: root.origin.clone(), name: None, ..extended(path, below, above, problems)? };
        }
        for (key, value) in pairs {
            let section = Key { name: key.name.clone(), origin: key.origin.clone() };
            if let Err(problem) = document.section(&section, value.clone()) {
                problems.push(problem);
            }
        }
        Ok(document)
    }

    /// Puts one section over what is there.
    fn section(&mut self, key: &Key, value: Node) -> Result<(), Problem> {
        match key.name.as_str() {
            "extends" => {}
            "name" => self.name = Some(value),
            "base" => {
                map(&value, "base", "a map such as `{train: {epochs: 10}}`")?;
                overlay::merge(&mut self.base, &overlay::nest(&value)?, "");
            }
            "axes" => {
                for (key, value) in map(&value, "axes", "a map such as `{train.seed: [0, 1, 2]}`")? {
                    put(&mut self.axes, key, value);
                }
            }
            "exclude" => self.exclude = list(&value, "exclude", "a list of maps such as `[{train.seed: 1}]`")?,
            "include" => {
                let entries = list(&value, "include", "a list of maps such as `[{train.seed: 1}]`")?;
                self.include = entries.iter().map(overlay::nest).collect::<Result<_, _>>()?;
            }
            "report" => {
                for (key, value) in map(&value, "report", "a map such as `{tables: [accuracy]}`")? {
                    put(&mut self.report, key, value);
                }
            }
            "slurm" => {
                for (key, value) in map(&value, "slurm", "a map such as `{partition: gpu, time: 240}`")? {
                    put(&mut self.slurm, key, value);
                }
            }
            other => {
                let message = format!("unknown key `{other}`");
                let hint = if SECTIONS.contains(&other) {
                    format!("`{other}` belongs under `base:`")
                } else {
                    suggest(other, KEYS)
                };
                return Err(Problem::new(key.origin.clone(), message).hint(hint));
            }
        }
        Ok(())
    }
}

fn extended(
    path: &Path,
    below: &Node,
    above: &mut Vec<PathBuf>,
    problems: &mut Vec<Problem>,
) -> Result<Document, Problem> {
    let Some(name) = below.text() else {
        let message = format!("`extends` is {}, expected the path of another sweep file", below.value.describe());
        return Err(Problem::new(below.origin.clone(), message));
    };
    let file = path.parent().unwrap_or(Path::new("")).join(name);
    let real = file.canonicalize().map_err(|error| {
        let problem = Problem::new(below.origin.clone(), format!("cannot read `{}`: {error}", file.display()));
        problem.hint("the path is relative to the file that says `extends`")
    })?;
    if above.contains(&real) {
        return Err(Problem::new(below.origin.clone(), format!("`{name}` extends this file in turn: a circle")));
    }
    load(&file, &below.origin)?;
    Document::read_over(&file, above, problems)
}

fn map<'a>(node: &'a Node, name: &str, expected: &str) -> Result<&'a [(Key, Node)], Problem> {
    match &node.value {
        Value::Map(pairs) => Ok(pairs),
        Value::Null => Ok(&[]),
        other => {
            let message = format!("`{name}` is {}, expected {expected}", other.describe());
            Err(Problem::new(node.origin.clone(), message))
        }
    }
}

fn list(node: &Node, name: &str, expected: &str) -> Result<Vec<Node>, Problem> {
    let wrong = |node: &Node| {
        let message = format!("`{name}` holds {}, expected {expected}", node.value.describe());
        Problem::new(node.origin.clone(), message)
    };
    match &node.value {
        Value::List(items) => match items.iter().find(|item| item.pairs().is_none()) {
            Some(item) => Err(wrong(item)),
            None => Ok(items.clone()),
        },
        Value::Null => Ok(Vec::new()),
        _ => Err(wrong(node)),
    }
}

/// Replaces the value of a key in place, or appends it.
fn put(pairs: &mut Vec<(Key, Node)>, key: &Key, value: &Node) {
    match pairs.iter_mut().find(|(known, _)| known.name == key.name) {
        Some(pair) => *pair = (key.clone(), value.clone()),
        None => pairs.push((key.clone(), value.clone())),
    }
}

/// Works one `--set` into the document, or returns the assignments it makes in every trial.
pub(crate) fn set(
    document: &mut Document,
    key: &Key,
    value: Node,
    catalog: &Catalog,
) -> Result<Vec<Assignment>, Problem> {
    let (first, rest) = key.name.split_once('.').unwrap_or((&key.name, ""));
    let inner = |name: &str| Key { name: name.to_owned(), origin: key.origin.clone() };
    match (first, rest) {
        ("name" | "exclude" | "include", "") => document.section(key, value)?,
        ("axes", axis) if !axis.is_empty() => put(&mut document.axes, &inner(axis), &value),
        ("report", name) if !name.is_empty() => put(&mut document.report, &inner(name), &value),
        ("slurm", name) if !name.is_empty() => put(&mut document.slurm, &inner(name), &value),
        ("base", path) if !path.is_empty() => {
            let problem = Problem::new(key.origin.clone(), format!("unknown key `{}`", key.name));
            return Err(problem.hint(format!("leave out `base.`: `--set {path}=...`")));
        }
        (section, _) if SECTIONS.contains(&section) => {
            let mut assignments = Vec::new();
            overlay::assignments(&overlay::split(key), &value, &mut assignments);
            return Ok(assignments);
        }
        _ => return Err(filter::unknown_key(key, &filter::known_keys(catalog))),
    }
    Ok(Vec::new())
}
