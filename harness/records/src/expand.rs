//! Axes made into trials: a pure function of the plan.

use crate::catalog::Catalog;
use crate::filter::Filter;
use crate::node::{Key, Node};
use crate::overlay::{self, Assignment};
use crate::problem::Problem;
use crate::resolve::{self, Lookup};
use crate::trial::{self, Trial};

/// More combinations than this are a mistake in the file.
pub const MAX_TRIALS: usize = 100_000;

/// A sweep file, read and merged, before its axes are multiplied out.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) base: Node,
    pub(crate) axes: Vec<Axis>,
    pub(crate) exclude: Vec<(Node, Filter)>,
    pub(crate) include: Vec<Node>,
    pub(crate) sets: Vec<Assignment>,
}

/// One axis.
pub(crate) struct Axis {
    pub(crate) key: Key,
    pub(crate) values: Vec<AxisValue>,
}

/// One value of an axis.
pub(crate) struct AxisValue {
    pub(crate) shown: String,
    pub(crate) assignments: Vec<Assignment>,
}

/// What became of a plan.
#[derive(Default)]
pub(crate) struct Expansion {
    /// Every trial once, in the order of the plan, with the tree it was resolved from.
    pub(crate) trials: Vec<(Trial, Node)>,
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

/// Every combination of the axes but the excluded ones, then the included ones.
pub(crate) fn expand(plan: &Plan, catalog: &Catalog, env: Lookup<'_>) -> Expansion {
    let mut out = Expansion::default();
    let lengths: Vec<usize> = plan.axes.iter().map(|axis| axis.values.len()).collect();
    let count = lengths.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    if count.is_none_or(|count| count > MAX_TRIALS) {
        if let Some(axis) = plan.axes.first() {
            let lengths: Vec<String> = lengths.iter().map(usize::to_string).collect();
            let message = format!("the axes make {} trials, at most {MAX_TRIALS} are allowed", lengths.join(" x "));
            out.problems.push(Problem::new(axis.key.origin.clone(), message));
        }
        return out;
    }
    let varied: Vec<String> =
        plan.axes.iter().filter(|axis| axis.values.len() > 1).flat_map(keys_of).fold(Vec::new(), push_new);
    let mut used = vec![false; plan.exclude.len()];
    let mut merged = Vec::new();
    for indices in grid(&lengths) {
        let values: Vec<(&Axis, &AxisValue)> =
            plan.axes.iter().zip(&indices).map(|(axis, &index)| (axis, &axis.values[index])).collect();
        let layer: Vec<Assignment> = values.iter().flat_map(|(_, value)| value.assignments.iter().cloned()).collect();
        let mut tree = plan.base.clone();
        let applied =
            overlay::assign(&mut tree, &layer, catalog).and_then(|()| overlay::assign(&mut tree, &plan.sets, catalog));
        if let Err(problem) = applied {
            out.problems.push(problem);
            continue;
        }
        let axes = values.iter().map(|(axis, value)| (axis.key.name.clone(), value.shown.clone())).collect();
        finish(plan, catalog, env, tree, axes, &varied, Some(&mut used), &mut merged, &mut out);
    }
    for entry in &plan.include {
        let mut tree = plan.base.clone();
        overlay::merge(&mut tree, entry, "");
        if let Err(problem) = overlay::assign(&mut tree, &plan.sets, catalog) {
            out.problems.push(problem);
            continue;
        }
        let mut assignments = Vec::new();
        overlay::assignments(&[], entry, &mut assignments);
        let varied = assignments.iter().map(Assignment::dotted).fold(varied.clone(), push_new);
        finish(plan, catalog, env, tree, Vec::new(), &varied, None, &mut merged, &mut out);
    }
    if let Some(first) = merged.first() {
        out.notes.push(format!(
            "{} of the combinations are the same trial as another one and run once, for example `{first}`",
            merged.len()
        ));
    }
    for (i, (entry, _)) in plan.exclude.iter().enumerate().filter(|(i, _)| !used[*i]) {
        if out.problems.is_empty() {
            out.notes.push(format!("{}: entry {} of `exclude` matches no trial", entry.origin, i + 1));
        }
    }
    out
}

/// Resolves one tree and adds the trial, unless it is excluded or already there.
#[expect(clippy::too_many_arguments, reason = "one step of `expand`, which owns all of these")]
fn finish(
    plan: &Plan,
    catalog: &Catalog,
    env: Lookup<'_>,
    tree: Node,
    axes: Vec<(String, String)>,
    varied: &[String],
    used: Option<&mut Vec<bool>>,
    merged: &mut Vec<String>,
    out: &mut Expansion,
) {
    let resolved = resolve::resolve(&tree, catalog, Some(env));
    if let (Some(used), Some(config)) = (used, &resolved.config) {
        let json = serde_json::to_value(config).unwrap_or_default();
        let mut excluded = false;
        for ((_, filter), used) in plan.exclude.iter().zip(used) {
            if filter.matches_json(&json) {
                *used = true;
                excluded = true;
            }
        }
        if excluded {
            return;
        }
    }
    let fine = resolved.problems.is_empty() && resolved.unset.is_empty();
    out.problems.extend(resolved.problems);
    out.problems.extend(resolved.unset);
    let Some(config) = resolved.config.filter(|_| fine) else { return };
    let trial = Trial {
        id: trial::trial_id(&config, catalog),
        sweep: plan.name.clone(),
        label: trial::label(&config, varied, catalog),
        config,
        axes,
    };
    if out.trials.iter().any(|(known, _)| known.id == trial.id) {
        merged.push(trial.label);
    } else {
        out.trials.push((trial, tree));
    }
}

fn keys_of(axis: &Axis) -> Vec<String> {
    axis.values.iter().flat_map(|value| value.assignments.iter().map(Assignment::dotted)).fold(Vec::new(), push_new)
}

fn push_new(mut list: Vec<String>, item: String) -> Vec<String> {
    if !list.contains(&item) {
        list.push(item);
    }
    list
}
