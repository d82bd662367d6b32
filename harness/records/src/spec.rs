//! Sweep files: YAML in, checked trials out.
//!
//! ```yaml
//! name: quickstart            # folder under runs/; absent: the file's stem
//! extends: other.yaml         # this file goes over that one
//! base:                       # every trial starts from this
//!   train: {epochs: 10}
//! axes:                       # grid: every combination, the last axis fastest
//!   quant.weights:            # a dotted key of the configuration
//!     - {method: float}
//!     - {method: uniform, bits: 2}
//!   cell:                     # any other name: its values are maps that vary several keys together
//!     - {quant.activations.method: float}
//!     - {quant.activations: {method: uniform, bits: 2}, train.epochs: 20}
//! exclude: [{quant.weights.method: float, train.epochs: 20}]
//! include: [{train.seed: 7}]  # extra trials, merged over base; `exclude` does not concern them
//! report: {tables: [accuracy], figures: [accuracy_vs_bits]}
//! ```
//!
//! How the parts go over each other is said in `overlay`: in short, a choice given as a map with its `method:` or
//! `name:` replaces what was there, and options of one method never reach another.
//!
//! `extends` merges `base` and `report` key by key and axes by name; `exclude` and `include` replace those of the
//! file below, and `name` is never inherited.
//!
//! `--set key=value` goes over everything else in every trial: an axis whose keys are all set is left with that one
//! value, and a key inside an axis's maps is set in each of them. It also takes `name`, `report.tables`,
//! `report.figures`, `exclude`, `include` and `axes.KEY` (a list, which replaces or adds that axis).
//!
//! `${VAR}` in a text is the environment variable, wherever a trial that is to run uses it; `$${` stands for `${`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::config::TrialConfig;
use crate::expand::{self, Axis, AxisValue, Plan};
use crate::filter::{self, Filter};
use crate::node::{self, Key, Node, Origin, Source, Value};
use crate::overlay::{self, Assignment, SECTIONS};
pub use crate::problem::SpecError;
use crate::problem::{Problem, suggest};
use crate::resolve;
use crate::trial::Trial;

const KEYS: [&str; 7] = ["name", "extends", "base", "axes", "exclude", "include", "report"];

/// A sweep file that was found to be right.
#[derive(Debug, Clone)]
pub struct SweepSpec {
    /// Name: the folder under `runs/`.
    pub name: String,
    /// The axes with their values as shown in tables, in the order of the file.
    pub axes: Vec<(String, Vec<String>)>,
    /// What to report.
    pub report: ReportSpec,
    /// What the user may want to know although nothing is wrong.
    pub notes: Vec<String>,
    trials: Vec<Trial>,
    trees: Vec<Node>,
}

/// What to report; `None`: nothing was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportSpec {
    /// Names of tables.
    pub tables: Option<Vec<String>>,
    /// Names of figures.
    pub figures: Option<Vec<String>>,
}

impl SweepSpec {
    /// Reads a sweep file, applies `sets` (`key=value`), checks everything and expands the axes.
    ///
    /// # Errors
    /// Every mistake that can be found without running anything, with its place and what would be right.
    pub fn read(path: &Path, sets: &[String], catalog: &Catalog) -> Result<SweepSpec, SpecError> {
        SweepSpec::read_with(path, sets, catalog, &|name| std::env::var(name).ok())
    }

    /// As [`SweepSpec::read`], with another environment for `${VAR}`.
    ///
    /// # Errors
    /// As [`SweepSpec::read`].
    pub fn read_with(
        path: &Path,
        sets: &[String],
        catalog: &Catalog,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SweepSpec, SpecError> {
        let mut problems = Vec::new();
        let mut document = Document::read(path, &mut Vec::new(), &mut problems)?;
        let mut assignments = Vec::new();
        for argument in sets {
            let (key, value) = filter::split_argument("--set", argument)?;
            match set(&mut document, &key, value, catalog) {
                Ok(new) => assignments.extend(new),
                Err(problem) => problems.push(problem),
            }
        }
        let checked = Checked::new(&document, assignments, path, catalog, &mut problems);
        problems.extend(resolve::check_partial(&document.base, catalog, env));
        let Some(checked) = checked.filter(|_| problems.is_empty()) else {
            return Err(SpecError { problems: unique(problems) });
        };
        let Checked { plan, report, notes } = checked;
        let expansion = expand::expand(&plan, catalog, env);
        if !expansion.problems.is_empty() {
            return Err(SpecError { problems: unique(expansion.problems) });
        }
        if expansion.trials.is_empty() {
            let origin = plan.exclude.first().map_or(&document.origin, |(entry, _)| &entry.origin);
            return Err(Problem::new(origin.clone(), "no trial is left: `exclude` removes every combination").into());
        }
        let axes = plan.axes.iter();
        let axes = axes.map(|axis| (axis.key.name.clone(), axis.values.iter().map(|v| v.shown.clone()).collect()));
        let (trials, trees) = expansion.trials.into_iter().unzip();
        let notes = notes.into_iter().chain(expansion.notes).collect();
        Ok(SweepSpec { axes: axes.collect(), name: plan.name, report, notes, trials, trees })
    }

    /// Every trial once, in the order of the file: axes in their order, the last one fastest, then `include`.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// An error at the place where a dotted key of a trial was given, for mistakes that only others can find (a
    /// folder that does not exist, a model too small for a data set). Falls back to the nearest enclosing key.
    #[must_use]
    pub fn error_at(&self, trial: &Trial, key: &str, message: &str, hint: Option<&str>) -> SpecError {
        let tree = self.trials.iter().position(|t| t.id == trial.id).and_then(|index| self.trees.get(index));
        let Some(tree) = tree else {
            let source = Source { name: self.name.clone(), text: String::new(), is_file: true };
            return Problem::new(Origin::whole(&Arc::new(source)), message).into();
        };
        let mut node = tree;
        for name in key.split('.') {
            match node.get(name) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        let problem = Problem::new(node.origin.clone(), message);
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
        .into()
    }
}

/// Reads a resolved configuration back, as the store writes it (`config.yaml`). Nothing is expanded in it.
///
/// # Errors
/// As [`SweepSpec::read`].
pub fn read_config(path: &Path, catalog: &Catalog) -> Result<TrialConfig, SpecError> {
    let name = path.display().to_string();
    parse_config(&name, &load(path, &file_origin(path))?, catalog)
}

/// As [`read_config`], from memory; `name` is what errors call the text.
///
/// # Errors
/// As [`SweepSpec::read`].
pub fn parse_config(name: &str, bytes: &[u8], catalog: &Catalog) -> Result<TrialConfig, SpecError> {
    let tree = node::parse(name, bytes)?;
    let resolved = resolve::resolve(&tree, catalog, None);
    match resolved.config {
        Some(config) => Ok(config),
        None => Err(SpecError { problems: resolved.problems }),
    }
}

/// A resolved configuration as YAML, which [`read_config`] reads back to the same.
///
/// # Errors
/// Text that YAML cannot hold.
pub fn config_yaml(config: &TrialConfig) -> Result<String, serde_yaml::SerializeError> {
    serde_yaml::to_string(config)
}

fn unique(problems: Vec<Problem>) -> Vec<Problem> {
    let mut unique: Vec<Problem> = Vec::new();
    for problem in problems {
        if !unique.iter().any(|known| known.origin == problem.origin && known.message == problem.message) {
            unique.push(problem);
        }
    }
    unique
}

fn file_origin(path: &Path) -> Origin {
    let source = Source { name: path.display().to_string(), text: String::new(), is_file: true };
    Origin::whole(&Arc::new(source))
}

/// The bytes of a file; `origin` is what asked for it.
fn load(path: &Path, origin: &Origin) -> Result<Vec<u8>, Problem> {
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
struct Document {
    origin: Origin,
    name: Option<Node>,
    base: Node,
    axes: Vec<(Key, Node)>,
    exclude: Vec<Node>,
    include: Vec<Node>,
    report: Vec<(Key, Node)>,
}

impl Document {
    /// `above` are the files that extend this one.
    fn read(path: &Path, above: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) -> Result<Document, Problem> {
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
    Document::read(&file, above, problems)
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
fn set(document: &mut Document, key: &Key, value: Node, catalog: &Catalog) -> Result<Vec<Assignment>, Problem> {
    let (first, rest) = key.name.split_once('.').unwrap_or((&key.name, ""));
    let inner = |name: &str| Key { name: name.to_owned(), origin: key.origin.clone() };
    match (first, rest) {
        ("name" | "exclude" | "include", "") => document.section(key, value)?,
        ("axes", axis) if !axis.is_empty() => put(&mut document.axes, &inner(axis), &value),
        ("report", name) if !name.is_empty() => put(&mut document.report, &inner(name), &value),
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

/// A document whose sections have the right shape.
struct Checked {
    plan: Plan,
    report: ReportSpec,
    notes: Vec<String>,
}

impl Checked {
    /// `None` when there is no usable name; all other mistakes only go into `problems`.
    fn new(
        document: &Document,
        sets: Vec<Assignment>,
        path: &Path,
        catalog: &Catalog,
        problems: &mut Vec<Problem>,
    ) -> Option<Checked> {
        let mut notes = Vec::new();
        let mut axes: Vec<Axis> = Vec::new();
        for (key, value) in &document.axes {
            match axis(key, value, catalog) {
                Ok(axis) => {
                    problems.extend(varied_twice(&axes, &axis));
                    axes.push(axis);
                }
                Err(problem) => problems.push(problem),
            }
        }
        axes.retain(|axis| {
            let overridden = is_overridden(axis, &sets);
            if overridden {
                notes.push(format!("the axis `{}` is replaced by `--set`", axis.key.name));
            }
            !overridden
        });
        let mut exclude = Vec::new();
        for entry in &document.exclude {
            match Filter::from_node(entry, catalog) {
                Ok(filter) => exclude.push((entry.clone(), filter)),
                Err(problem) => problems.push(problem),
            }
        }
        let report = report(&document.report, catalog).map_err(|problem| problems.push(problem)).ok();
        let name = name(document, path).map_err(|problem| problems.push(problem)).ok()?;
        let base = document.base.clone();
        let plan = Plan { name, base, axes, exclude, include: document.include.clone(), sets };
        Some(Checked { plan, report: report?, notes })
    }
}

fn name(document: &Document, path: &Path) -> Result<String, Problem> {
    const LONGEST: usize = 100;
    const EXPECTED: &str = "expected up to 100 letters, digits, `-`, `_` and `.`, the first one no `.`";
    let valid = |name: &str| {
        !name.is_empty()
            && name.len() <= LONGEST
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match &document.name {
        Some(node) => match node.text() {
            Some(name) if valid(name) => Ok(name.to_owned()),
            _ => {
                let message = format!("`name` is {}, {EXPECTED}", node.value.describe());
                let problem = Problem::new(node.origin.clone(), message);
                Err(problem.hint("it becomes the name of a folder; quote it if it looks like a number"))
            }
        },
        None => {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if valid(&stem) {
                return Ok(stem);
            }
            let message = format!("the file's name `{stem}` cannot be the name of the sweep, {EXPECTED}");
            Err(Problem::new(document.origin.clone(), message).hint("give it a `name:`"))
        }
    }
}

fn report(pairs: &[(Key, Node)], catalog: &Catalog) -> Result<ReportSpec, Problem> {
    let mut report = ReportSpec::default();
    for (key, node) in pairs {
        let (place, known) = match key.name.as_str() {
            "tables" => (&mut report.tables, &catalog.tables),
            "figures" => (&mut report.figures, &catalog.figures),
            other => {
                let problem = Problem::new(key.origin.clone(), format!("unknown key `report.{other}`"));
                return Err(problem.hint(suggest(other, ["tables", "figures"])));
            }
        };
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            other => {
                let message = format!("`report.{}` is {}, expected a list of names", key.name, other.describe());
                return Err(Problem::new(node.origin.clone(), message));
            }
        };
        let mut names = Vec::new();
        for item in items {
            let name = item.text().ok_or_else(|| {
                let message = format!("`report.{}` holds {}, expected names", key.name, item.value.describe());
                Problem::new(item.origin.clone(), message)
            })?;
            if !known.is_empty() && !known.contains(&name) {
                let what = key.name.trim_end_matches('s');
                let problem = Problem::new(item.origin.clone(), format!("unknown {what} `{name}`"));
                return Err(problem.hint(suggest(name, known.iter().copied())));
            }
            names.push(name.to_owned());
        }
        *place = Some(names);
    }
    Ok(report)
}

fn axis(key: &Key, node: &Node, catalog: &Catalog) -> Result<Axis, Problem> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        other => {
            let message = format!("the axis `{}` is {}, expected a list of values", key.name, other.describe());
            let problem = Problem::new(node.origin.clone(), message);
            return Err(match other {
                Value::Map(_) | Value::Null => problem,
                _ => problem.hint(format!("`[{node}]` is a list of one value")),
            });
        }
    };
    if items.is_empty() {
        let problem = Problem::new(node.origin.clone(), format!("the axis `{}` is empty", key.name));
        return Err(problem.hint("give it at least one value, or remove it"));
    }
    for (i, item) in items.iter().enumerate() {
        if let Some(first) = items[..i].iter().find(|first| first.says_the_same(item)) {
            let message = format!("the axis `{}` has this value twice", key.name);
            return Err(Problem::new(item.origin.clone(), message).hint(format!("first at {}", first.origin)));
        }
    }
    let is_key = SECTIONS.contains(&key.name.split('.').next().unwrap_or_default());
    if !is_key && (key.name.contains('.') || items.iter().any(|item| item.pairs().is_none())) {
        return Err(filter::unknown_key(key, &filter::known_keys(catalog)));
    }
    let path = if is_key { overlay::split(key) } else { Vec::new() };
    let mut values = Vec::new();
    for item in items {
        let mut assignments = Vec::new();
        overlay::assignments(&path, item, &mut assignments);
        if let Some(wrong) =
            assignments.iter().find_map(|a| a.path.first()).filter(|k| !SECTIONS.contains(&k.name.as_str()))
        {
            let message = format!("`{}` is no key of the configuration", wrong.name);
            let hint = format!(
                "the axis `{}` is no key itself, so each of its values is a map of keys such as `train.seed`",
                key.name
            );
            return Err(Problem::new(wrong.origin.clone(), message).hint(hint));
        }
        values.push(AxisValue { shown: item.to_string(), assignments });
    }
    Ok(Axis { key: key.clone(), values })
}

/// Two axes that assign the same key would hide each other's values.
fn varied_twice(before: &[Axis], axis: &Axis) -> Option<Problem> {
    let keys = |axis: &Axis| -> Vec<String> {
        axis.values.iter().flat_map(|value| value.assignments.iter().map(Assignment::dotted)).collect()
    };
    let mine = keys(axis);
    before.iter().find_map(|other| {
        let key = keys(other).into_iter().find(|key| mine.contains(key))?;
        let message = format!("`{key}` is varied by this axis and by `{}`", other.key.name);
        let problem = Problem::new(axis.key.origin.clone(), message);
        Some(problem.hint("one axis with a list of maps varies several keys together"))
    })
}

/// True when nothing an axis assigns is left after the `--set` arguments.
fn is_overridden(axis: &Axis, sets: &[Assignment]) -> bool {
    let mut assigned = axis.values.iter().flat_map(|value| &value.assignments).peekable();
    assigned.peek().is_some() && assigned.all(|theirs| sets.iter().any(|set| set.covers(theirs)))
}
