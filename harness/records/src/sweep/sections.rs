//! What the sections of a sweep file mean: a document made into a plan that can be expanded.

use std::collections::HashMap;
use std::path::Path;

use crate::config::catalog::Catalog;
use crate::sweep::document::Document;
use crate::sweep::expand::{Axis, AxisValue, Included, Plan};
use crate::sweep::filter::{self, Filter};
use crate::sweep::overlay::{self, Assignment, SECTIONS};
use crate::sweep::paper::PaperLayout;
use crate::sweep::slurm::SlurmOptions;
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Key, Node, Value};

/// Key of the name that reports use, in the values of an axis and in `include`.
pub(crate) const LABEL: &str = "label";

/// What to report; `None`: nothing was said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportSpec {
    /// Names of tables.
    pub tables: Option<Vec<String>>,
    /// Names of figures.
    pub figures: Option<Vec<String>>,
    /// Rows and columns of the table `paper`.
    pub paper: Option<PaperLayout>,
}

/// A document whose sections have the right shape.
pub(crate) struct Checked {
    pub(crate) plan: Plan,
    pub(crate) report: ReportSpec,
    pub(crate) slurm: SlurmOptions,
    pub(crate) notes: Vec<String>,
}

impl Checked {
    /// `None` when there is no usable name; all other mistakes only go into `problems`.
    pub(crate) fn new(
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
        let slurm = SlurmOptions::read(&document.slurm, problems);
        let name = name(document, path).map_err(|problem| problems.push(problem)).ok()?;
        let base = document.base.clone();
        let mut include = Vec::new();
        for entry in &document.include {
            match without_label(entry) {
                Ok((node, name)) => include.push(Included { node, name }),
                Err(problem) => problems.push(problem),
            }
        }
        let plan = Plan { name, base, axes, exclude, include, sets };
        Some(Checked { plan, report: report?, slurm, notes })
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
            "paper" => {
                report.paper = Some(PaperLayout::from_node(node, catalog)?);
                continue;
            }
            other => {
                let problem = Problem::new(key.origin.clone(), format!("unknown key `report.{other}`"));
                return Err(problem.hint(suggest(other, ["tables", "figures", "paper"])));
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
    let items: Vec<(Node, Option<String>)> = items.iter().map(without_label).collect::<Result<_, _>>()?;
    let mut seen: HashMap<String, &Node> = HashMap::new();
    for (item, _) in &items {
        if let Some(first) = seen.insert(item.canonical_text(), item) {
            let message = format!("the axis `{}` has this value twice", key.name);
            return Err(Problem::new(item.origin.clone(), message).hint(format!("first at {}", first.origin)));
        }
    }
    let is_key = SECTIONS.contains(&key.name.split('.').next().unwrap_or_default());
    if !is_key && (key.name.contains('.') || items.iter().any(|(item, _)| item.pairs().is_none())) {
        return Err(filter::unknown_key(key, &filter::known_keys(catalog)));
    }
    let path = if is_key { overlay::split(key) } else { Vec::new() };
    let mut values = Vec::new();
    for (item, name) in items {
        let mut assignments = Vec::new();
        overlay::assignments(&path, &item, &mut assignments);
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
        values.push(AxisValue { shown: item.to_string(), assignments, name });
    }
    Ok(Axis { key: key.clone(), values })
}

/// Longest `label`, in letters: it has to fit into a legend.
const LONGEST_LABEL: usize = 60;

/// A map without its `label`, and the label: what reports call the trials that the map is about. It is no part of the
/// configuration, so it changes no id.
fn without_label(node: &Node) -> Result<(Node, Option<String>), Problem> {
    let Value::Map(pairs) = &node.value else { return Ok((node.clone(), None)) };
    let Some((_, label)) = pairs.iter().find(|(key, _)| key.name == LABEL) else { return Ok((node.clone(), None)) };
    let fits = |text: &&str| !text.trim().is_empty() && text.chars().count() <= LONGEST_LABEL;
    let Some(text) = label.text().filter(fits) else {
        let message = format!("`label` is {}, expected up to {LONGEST_LABEL} letters of text", label.value.describe());
        return Err(Problem::new(label.origin.clone(), message));
    };
    let rest = pairs.iter().filter(|(key, _)| key.name != LABEL).cloned().collect();
    Ok((Node { value: Value::Map(rest), origin: node.origin.clone() }, Some(text.to_owned())))
}

/// Two axes that assign the same key would hide each other's values.
fn varied_twice(before: &[Axis], axis: &Axis) -> Option<Problem> {
    let mine = axis.keys();
    before.iter().find_map(|other| {
        let key = other.keys().into_iter().find(|key| mine.contains(key))?;
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
