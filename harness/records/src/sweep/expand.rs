//! Axes made into trials: a pure function of the plan.

use std::collections::{BTreeMap, HashSet};

use crate::config::catalog::Catalog;
use crate::config::trial::{self, Trial};
use crate::config::trial_config::TrialConfig;
use crate::sweep::dependency::{self, Unlinked};
use crate::sweep::filter::Filter;
use crate::sweep::outside::Outside;
use crate::sweep::overlay::{self, Assignment};
use crate::sweep::resolve;
use crate::yaml::diagnostics::Problem;
use crate::yaml::node::{Key, Node};

/// More combinations than this are a mistake in the file.
pub const MAX_TRIALS: usize = 100_000;
/// A mistake in a large grid is not worth being found in every trial.
const MAX_PROBLEMS: usize = 1000;

/// A sweep file, read and merged, before its axes are multiplied out.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) base: Node,
    pub(crate) axes: Vec<Axis>,
    pub(crate) exclude: Vec<(Node, Filter)>,
    pub(crate) include: Vec<Included>,
    pub(crate) sets: Vec<Assignment>,
}

/// One axis.
pub(crate) struct Axis {
    pub(crate) key: Key,
    pub(crate) values: Vec<AxisValue>,
}

impl Axis {
    /// The dotted keys it assigns.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.values.iter().flat_map(|value| &value.assignments).map(Assignment::dotted).fold(Vec::new(), push_new)
    }
}

/// One value of an axis.
pub(crate) struct AxisValue {
    pub(crate) shown: String,
    pub(crate) assignments: Vec<Assignment>,
    /// What reports call trials with this value.
    pub(crate) name: Option<String>,
}

/// A trial of `include`.
pub(crate) struct Included {
    pub(crate) node: Node,
    /// What reports call it.
    pub(crate) name: Option<String>,
}

/// What became of a plan.
#[derive(Default)]
pub(crate) struct Expansion {
    /// Every trial once, in the order of the plan, with the tree it was resolved from.
    pub(crate) trials: Vec<(Trial, Node)>,
    /// What reports call a trial, by id, where the file says so.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) notes: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// All index tuples of a grid in order, the last index fastest. One empty tuple for no axes.
pub(crate) fn grid(lengths: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let count = lengths.iter().product::<usize>();
    (0..count).map(move |mut flat| {
        let mut indices = vec![0; lengths.len()];
        for (index, length) in indices.iter_mut().zip(lengths).rev() {
            *index = flat % length;
            flat /= length;
        }
        indices
    })
}

/// Every combination of the axes but the excluded ones, then the included ones. `change` is applied to each resolved
/// configuration before its id is taken.
pub(crate) fn expand(
    plan: &Plan,
    catalog: &Catalog,
    outside: &Outside<'_>,
    change: &dyn Fn(&mut TrialConfig),
) -> Expansion {
    let lengths: Vec<usize> = plan.axes.iter().map(|axis| axis.values.len()).collect();
    if let Some(problem) = too_many(plan, &lengths) {
        return Expansion { problems: vec![problem], ..Expansion::default() };
    }
    let varied = plan.axes.iter().filter(|axis| axis.values.len() > 1).flat_map(Axis::keys).fold(Vec::new(), push_new);
    let mut work = Work {
        plan,
        catalog,
        outside,
        change,
        out: Expansion::default(),
        found: Vec::new(),
        rest: Vec::new(),
        used: vec![false; plan.exclude.len()],
    };
    for indices in grid(&lengths) {
        if work.out.problems.len() >= MAX_PROBLEMS {
            break;
        }
        let values: Vec<(&Axis, &AxisValue)> =
            plan.axes.iter().zip(&indices).map(|(axis, &index)| (axis, &axis.values[index])).collect();
        let layer: Vec<Assignment> = values.iter().flat_map(|(_, value)| value.assignments.iter().cloned()).collect();
        let mut tree = plan.base.clone();
        if let Err(problem) = overlay::assign(&mut tree, &layer, catalog) {
            work.out.problems.push(problem);
            continue;
        }
        let axes = values.iter().map(|(axis, value)| (axis.key.name.clone(), value.shown.clone())).collect();
        let names: Vec<&str> = values.iter().filter_map(|(_, value)| value.name.as_deref()).collect();
        let name = (!names.is_empty()).then(|| names.join(", "));
        work.add(tree, Origins { axes, name }, &varied, true);
    }
    for entry in &plan.include {
        let mut tree = plan.base.clone();
        overlay::merge(&mut tree, &entry.node, "");
        let mut assignments = Vec::new();
        overlay::assignments(&[], &entry.node, &mut assignments);
        let varied = assignments.iter().map(Assignment::dotted).fold(varied.clone(), push_new);
        work.add(tree, Origins { axes: Vec::new(), name: entry.name.clone() }, &varied, false);
    }
    work.finish()
}

fn too_many(plan: &Plan, lengths: &[usize]) -> Option<Problem> {
    let count = lengths.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    let axis = plan.axes.first().filter(|_| count.is_none_or(|count| count > MAX_TRIALS))?;
    let lengths: Vec<String> = lengths.iter().map(usize::to_string).collect();
    let message = format!("the axes make {} trials, at most {MAX_TRIALS} are allowed", lengths.join(" x "));
    Some(Problem::new(axis.key.origin.clone(), message))
}

/// Where a trial came from.
struct Origins {
    /// Each axis with the value it has here.
    axes: Vec<(String, String)>,
    /// What reports call it.
    name: Option<String>,
}

/// An expansion under way.
struct Work<'a> {
    plan: &'a Plan,
    catalog: &'a Catalog,
    outside: &'a Outside<'a>,
    change: &'a dyn Fn(&mut TrialConfig),
    out: Expansion,
    /// Trials without problems, what they refer to still open.
    found: Vec<Unlinked>,
    /// The tree of each of them, and where it came from.
    rest: Vec<(Node, Origins)>,
    /// Which entries of `exclude` have matched.
    used: Vec<bool>,
}

impl Work<'_> {
    /// Puts the `--set` arguments over a tree and adds its trial, unless it is excluded or already there.
    fn add(&mut self, mut tree: Node, origins: Origins, varied: &[String], excludable: bool) {
        if let Err(problem) = overlay::assign(&mut tree, &self.plan.sets, self.catalog) {
            self.out.problems.push(problem);
            return;
        }
        let resolved = resolve::resolve(&tree, self.catalog, Some(self.outside));
        if let Some(config) = resolved.config.as_ref().filter(|_| excludable)
            && self.is_excluded(config)
        {
            return;
        }
        let fine = resolved.problems.is_empty() && resolved.unset.is_empty();
        self.out.problems.extend(resolved.problems);
        self.out.problems.extend(resolved.unset);
        let Some(mut config) = resolved.config.filter(|_| fine) else { return };
        (self.change)(&mut config);
        let label = trial::label(&config, varied, self.catalog);
        self.found.push(Unlinked { config, references: resolved.references, label });
        self.rest.push((tree, origins));
    }

    fn is_excluded(&mut self, config: &TrialConfig) -> bool {
        if self.plan.exclude.is_empty() {
            return false;
        }
        let json = serde_json::to_value(config).unwrap_or_default();
        let mut excluded = false;
        for ((_, filter), used) in self.plan.exclude.iter().zip(&mut self.used) {
            if filter.matches_json(&json) {
                *used = true;
                excluded = true;
            }
        }
        excluded
    }

    fn finish(mut self) -> Expansion {
        let mut out = self.out;
        let id_of = |config: &TrialConfig| trial::trial_id(config, self.catalog);
        // A trial that others may refer to can be one of those with a problem.
        if !out.problems.is_empty() {
            return out;
        }
        let ids = dependency::link(&mut self.found, &id_of, &mut out.problems);
        let mut seen = HashSet::new();
        let mut merged = Vec::new();
        for ((Unlinked { config, label, .. }, (tree, origins)), id) in self.found.into_iter().zip(self.rest).zip(ids) {
            let Some(id) = id else { continue };
            if seen.insert(id.clone()) {
                let sweep = self.plan.name.clone();
                let Origins { axes, name } = origins;
                out.names.extend(name.map(|name| (id.clone(), name)));
                out.trials.push((Trial { id, sweep, label, config, axes }, tree));
            } else {
                merged.push(label);
            }
        }
        if let Some(first) = merged.first() {
            out.notes.push(format!(
                "{} of the combinations are the same trial as another one and run once, for example `{first}`",
                merged.len()
            ));
        }
        for ((entry, _), _) in self.plan.exclude.iter().zip(&self.used).filter(|(_, used)| !**used) {
            out.notes.push(format!("{}: this entry of `exclude` matches no trial", entry.origin));
        }
        out
    }
}

fn push_new(mut list: Vec<String>, item: String) -> Vec<String> {
    if !list.contains(&item) {
        list.push(item);
    }
    list
}
