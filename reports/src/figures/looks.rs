//! What the methods of a report look like: the same in every figure.

use std::collections::{BTreeMap, BTreeSet};

use crate::encode::one_line;
use crate::names::Names;
use crate::plot::legend::Key;
use crate::plot::style::{FLOAT_LOOK, Look, look};

/// The look of every combination of methods, by its name.
pub(crate) struct Looks {
    by_name: BTreeMap<String, Look>,
    /// Names in the order of the legend: family by family.
    order: Vec<String>,
}

impl Looks {
    /// Looks for all names of a report.
    pub(crate) fn new(names: &Names) -> Looks {
        let (mut by_name, mut order) = (BTreeMap::new(), Vec::new());
        for (place, family) in names.families().into_iter().enumerate() {
            for (variant, name) in names.variants(family).into_iter().enumerate() {
                by_name.insert(name.to_owned(), look(place, variant, order.len()));
                order.push(name.to_owned());
            }
        }
        Looks { by_name, order }
    }

    /// The look of a name; full precision has its own.
    pub(crate) fn get(&self, name: &str) -> Look {
        self.by_name.get(name).copied().unwrap_or(FLOAT_LOOK)
    }

    /// Entries of a legend for the names that are used, in order, each look as `key` shows it.
    pub(crate) fn key(&self, used: &BTreeSet<&str>, key: fn(Look) -> Key) -> Vec<(Key, String)> {
        let known = self.order.iter().filter(|name| used.contains(name.as_str()));
        known.map(|name| (key(self.get(name)), one_line(name))).collect()
    }

    /// The place of a name in the order of the legend; full precision comes first.
    pub(crate) fn place(&self, name: &str) -> usize {
        self.order.iter().position(|known| known == name).map_or(0, |place| place + 1)
    }
}
