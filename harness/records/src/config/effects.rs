//! That every option in a table is read: what the tests of methods, models and data sets share.

use std::collections::BTreeMap;

use crate::config::key::{KeyDoc, KeyKind};
use crate::config::options::Options;
use crate::config::value::OptionValue;

/// The options of `docs` that never change `behaviour`.
///
/// `behaviour` is called with options that `docs` accept and gives whatever can be seen of what they do, as text. For each
/// option there must be two values that make a difference, alone or with one other option away from its default; an
/// option that nobody reads makes none.
pub fn without_effect(docs: &[KeyDoc], behaviour: impl Fn(&Options) -> String) -> Vec<&'static str> {
    let resolved = |given: &BTreeMap<String, OptionValue>| Options::resolve(docs, given).ok();
    let changes = |doc: &KeyDoc| {
        let others = docs.iter().filter(|other| other.name != doc.name);
        let others = others.flat_map(|other| values(other.kind).into_iter().map(|value| (other.name, value)));
        let contexts = std::iter::once(BTreeMap::new())
            .chain(others.map(|(name, value)| BTreeMap::from([(name.to_owned(), value)])));
        contexts.into_iter().any(|context| {
            let Some(base) = resolved(&context).map(|options| behaviour(&options)) else { return false };
            values(doc.kind).into_iter().any(|value| {
                let mut given = context.clone();
                given.insert(doc.name.to_owned(), value);
                resolved(&given).is_some_and(|options| behaviour(&options) != base)
            })
        })
    };
    docs.iter().filter(|doc| !changes(doc)).map(|doc| doc.name).collect()
}

/// Values to try: all where they are few.
fn values(kind: KeyKind) -> Vec<OptionValue> {
    match kind {
        KeyKind::Bool => [false, true].map(OptionValue::Bool).to_vec(),
        KeyKind::Int { min, max } => [min, min.saturating_add(1), max].map(OptionValue::Int).to_vec(),
        KeyKind::Float { min, max } => [min, min.midpoint(max), max].map(OptionValue::Float).to_vec(),
        KeyKind::Choice(words) => words.iter().map(|word| OptionValue::Text((*word).to_owned())).collect(),
        KeyKind::Text | KeyKind::Path => {
            ["0.5, 1", "5, 1, 1, 1"].map(|text| OptionValue::Text(text.to_owned())).to_vec()
        }
        KeyKind::Unsigned { min } => i64::try_from(min)
            .map_or_else(|_| Vec::new(), |min| [min, min.saturating_add(1)].map(OptionValue::Int).to_vec()),
        KeyKind::PositiveFloat => [0.5, 1.0, 2.0].map(OptionValue::Float).to_vec(),
        KeyKind::FractionBelowOne => [0.0, 0.5, 0.9].map(OptionValue::Float).to_vec(),
        // No option is a list.
        KeyKind::FractionPair | KeyKind::AscendingInts => Vec::new(),
    }
}
