//! How one part of a sweep file goes over another.
//!
//! Some maps are *choices*: `dataset`, `model`, `train.optimizer`, `train.schedule` and the three places in `quant`
//! name a thing (`name:` or `method:`, the tag) and give its options. Options of one thing mean nothing to another,
//! hence these rules:
//! - Merging (`extends`, `include`): maps merge key by key; a choice whose tag differs replaces what was there.
//! - Assigning (axis values, `--set`): a map with a tag for a choice replaces what was there; any other map assigns
//!   its keys one by one; a tag alone (`quant.weights.method: dorefa`) changes the choice, dropping its options and
//!   keeping only the bit width, and that only where the new method has a width to choose.
//! - `train.init` and `train.distill.teacher` say where to find one thing, and the entries of `quant.layers` apply in
//!   their order: each of the three replaces what was there as a whole. Names of layers may contain dots, so nothing
//!   inside `quant.layers` is a dotted key.
//!
//! Assignments of one layer (all axes of a trial, or all `--set`) do not depend on their order, except that the
//! last one of the same key wins: whole choices come first, then tags, then everything else.

use crate::config::catalog::Catalog;
use crate::config::keys;
use crate::yaml::diagnostics::Problem;
use crate::yaml::node::{Key, Node, Origin, Value};

/// First parts of the paths that belong to a configuration.
pub(crate) const SECTIONS: [&str; 4] = ["dataset", "model", "train", "quant"];

/// Tag key and default tag of the choice at a dotted path, if there is one.
pub(crate) fn choice(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "dataset" => Some(("name", keys::DATASET)),
        "model" => Some(("name", keys::MODEL)),
        "train.optimizer" => Some(("name", keys::OPTIMIZER)),
        "train.schedule" => Some(("name", keys::SCHEDULE)),
        "quant.weights" | "quant.activations" | "quant.gradients" => Some(("method", keys::METHOD)),
        _ => None,
    }
}

/// True for a map that means something only as a whole: one that is given replaces what was there, null included.
fn is_whole(path: &str) -> bool {
    matches!(path, "train.init" | "train.distill.teacher" | LAYERS)
}

/// The settings of single layers.
const LAYERS: &str = "quant.layers";

/// True where null is a value and not an empty section.
fn is_optional(path: &str) -> bool {
    is_whole(path) || matches!(path, "train.distill" | "train.calibrate")
}

/// One dotted key and the value it gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) path: Vec<Key>,
    pub(crate) value: Node,
}

impl Assignment {
    pub(crate) fn dotted(&self) -> String {
        dotted(&self.path)
    }

    /// Whole choices first, tags second, the rest last.
    fn rank(&self) -> u8 {
        let path = self.dotted();
        if choice(&path).is_some() || is_optional(&path) {
            return 0;
        }
        let is_tag = path.rsplit_once('.').is_some_and(|(parent, last)| choice(parent).is_some_and(|(t, _)| t == last));
        if is_tag { 1 } else { 2 }
    }

    /// True when nothing that `other` assigns is left once this is assigned after it.
    pub(crate) fn covers(&self, other: &Assignment) -> bool {
        let (mine, theirs) = (self.dotted(), other.dotted());
        mine == theirs || theirs.strip_prefix(&mine).is_some_and(|rest| rest.starts_with('.'))
    }
}

fn dotted(path: &[Key]) -> String {
    path.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(".")
}

/// Splits a dotted key; every part keeps the position of the whole.
pub(crate) fn split(key: &Key) -> Vec<Key> {
    key.name.split('.').map(|name| Key { name: name.to_owned(), origin: key.origin.clone() }).collect()
}

/// The assignments that `path: value` stands for.
pub(crate) fn assignments(path: &[Key], value: &Node, out: &mut Vec<Assignment>) {
    let dotted = dotted(path);
    let replaces = is_whole(&dotted) || choice(&dotted).is_some_and(|(tag, _)| value.get(tag).is_some());
    match value.pairs() {
        Some(pairs) if !replaces => {
            for (key, value) in pairs {
                let mut path = path.to_vec();
                path.extend(split(key));
                assignments(&path, value, out);
            }
        }
        _ => out.push(Assignment { path: path.to_vec(), value: value.clone() }),
    }
}

/// Applies one layer of assignments.
pub(crate) fn assign(tree: &mut Node, layer: &[Assignment], catalog: &Catalog) -> Result<(), Problem> {
    let mut layer: Vec<&Assignment> = layer.iter().collect();
    layer.sort_by_key(|assignment| assignment.rank());
    for assignment in layer {
        match assignment.rank() {
            1 => assign_tag(tree, assignment, catalog)?,
            _ => *slot(tree, &assignment.path)? = assignment.value.clone(),
        }
    }
    Ok(())
}

fn assign_tag(tree: &mut Node, assignment: &Assignment, catalog: &Catalog) -> Result<(), Problem> {
    let Some((last, parents)) = assignment.path.split_last() else { return Ok(()) };
    let parent = slot(tree, parents)?;
    let default = choice(&dotted(parents)).map_or("", |(_, default)| default);
    let before = parent.get(&last.name).map_or(Some(default), Node::text);
    if before != assignment.value.text() {
        let takes_bits = |name: &str| matches!(catalog.method(name).and_then(|e| e.bits), Some((lo, hi)) if lo < hi);
        let bits = (last.name == "method" && assignment.value.text().is_some_and(takes_bits))
            .then(|| parent.pairs().and_then(|pairs| pairs.iter().find(|(key, _)| key.name == "bits")).cloned())
            .flatten();
        parent.value = Value::Map(bits.into_iter().collect());
    }
    *slot(tree, &assignment.path)? = assignment.value.clone();
    Ok(())
}

/// The place at a path, made when it does not exist.
fn slot<'a>(tree: &'a mut Node, path: &[Key]) -> Result<&'a mut Node, Problem> {
    let Some((first, rest)) = path.split_first() else { return Ok(tree) };
    if tree.value == Value::Null {
        tree.value = Value::Map(Vec::new());
    }
    let Value::Map(pairs) = &mut tree.value else {
        let message = format!("there is no key `{}` here: the value it would belong to is not a map", first.name);
        return Err(Problem::new(first.origin.clone(), message));
    };
    let index = pairs.iter().position(|(key, _)| key.name == first.name).unwrap_or_else(|| {
        pairs.push((first.clone(), Node { value: Value::Null, origin: first.origin.clone() }));
        pairs.len() - 1
    });
    if rest.is_empty() {
        // The message about a wrong key must show where it was written last.
        pairs[index].0 = first.clone();
    }
    slot(&mut pairs[index].1, rest)
}

/// Merges `over` over `tree`, `path` being where both stand.
pub(crate) fn merge(tree: &mut Node, over: &Node, path: &str) {
    if let Some((tag, default)) = choice(path) {
        let before = tree.get(tag).map_or(Some(default), Node::text);
        if over.get(tag).is_some_and(|after| after.text() != before) {
            *tree = over.clone();
            return;
        }
    }
    match (&mut tree.value, &over.value) {
        (Value::Map(pairs), Value::Map(others)) if !is_whole(path) => {
            for (key, other) in others {
                let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
                match pairs.iter_mut().find(|(known, _)| known.name == key.name) {
                    Some((_, node)) => merge(node, other, &path),
                    None => pairs.push((key.clone(), other.clone())),
                }
            }
        }
        // An empty section says nothing.
        (Value::Map(_), Value::Null) if !is_optional(path) => {}
        _ => *tree = over.clone(),
    }
}

/// The same map with dotted keys written as nested maps: `{train.seed: 1}` is `{train: {seed: 1}}`.
pub(crate) fn nest(node: &Node) -> Result<Node, Problem> {
    nest_at(node, "")
}

fn nest_at(node: &Node, path: &str) -> Result<Node, Problem> {
    let Value::Map(pairs) = &node.value else { return Ok(node.clone()) };
    if path == LAYERS {
        return Ok(node.clone());
    }
    let mut nested = Node { value: Value::Map(Vec::new()), origin: node.origin.clone() };
    for (key, value) in pairs {
        let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
        insert(&mut nested, &split(key), nest_at(value, &path)?, &key.origin)?;
    }
    Ok(nested)
}

fn insert(tree: &mut Node, path: &[Key], value: Node, origin: &Origin) -> Result<(), Problem> {
    let place = slot(tree, path)?;
    match (&mut place.value, value.value) {
        (Value::Null, new) => *place = Node { value: new, origin: value.origin },
        (Value::Map(_), Value::Map(pairs)) => {
            for (key, value) in pairs {
                insert(place, std::slice::from_ref(&key), value, &key.origin)?;
            }
        }
        _ => return Err(Problem::new(origin.clone(), format!("the key `{}` is given twice", dotted(path)))),
    }
    Ok(())
}
