//! The section `quant.layers`.
//!
//! What a layer gets in the end depends on the layers of the model, which this crate does not know. Checked here is that
//! every entry fits the setting of the network, or what entries before it may have made of that.

use crate::config::catalog::Catalog;
use crate::config::key::node_value;
use crate::config::keys::ROLES;
use crate::config::layers::{ChangeError, LayerRule, MethodChange, MethodFacts};
use crate::config::options::{OptionError, OptionValue};
use crate::config::trial_config::MethodChoice;
use crate::sweep::resolve::plugs::names;
use crate::sweep::resolve::resolver::{Resolver, join};
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Key, Node, Origin, Value};

const PATH: &str = "quant.layers";
const EXPECTED: &str = "a map of layers such as `{first: {weights: {bits: 8}}}`";

/// The settings that layers may have after some entries, by role; one for each method is enough, because what an entry
/// may say depends on the method alone.
type Candidates = [Vec<MethodChoice>; 3];

impl<'a> Resolver<'a> {
    /// `network` is the setting of each role, where it is right. `None`: wrong, and said so.
    pub(super) fn layers(
        &mut self,
        node: Option<&'a Node>,
        network: &[Option<MethodChoice>; 3],
    ) -> Option<Vec<LayerRule>> {
        let Some(node) = node.filter(|node| node.value != Value::Null) else { return Some(Vec::new()) };
        let entries = self.entries(node)?;
        let mut candidates: Candidates = network.clone().map(|choice| choice.into_iter().collect());
        let mut rules: Vec<Option<LayerRule>> = Vec::new();
        for (pattern, entry) in entries {
            let rule = self.rule(pattern, entry, &mut candidates);
            if let Some(rule) = &rule
                && rules.iter().flatten().any(|known| known.pattern == rule.pattern)
            {
                self.wrong(&entry.origin, format!("`{PATH}` names `{}` twice", rule.pattern));
            }
            rules.push(rule);
        }
        rules.into_iter().collect()
    }

    /// Names of layers with their settings: a map in a sweep file, a list in a configuration that was written down.
    fn entries(&mut self, node: &'a Node) -> Option<Vec<(String, &'a Node)>> {
        match &node.value {
            Value::Map(pairs) => Some(pairs.iter().map(|(key, entry)| (key.name.clone(), entry)).collect()),
            Value::List(items) => {
                let named = items.iter().map(|item| match item.get("layer").and_then(Node::text) {
                    Some(name) => Some((name.to_owned(), item)),
                    None => {
                        self.wrong(
                            &item.origin,
                            format!("an entry of the list `{PATH}` has no `layer`, expected the name of one"),
                        );
                        None
                    }
                });
                named.collect()
            }
            other => {
                self.wrong(&node.origin, format!("`{PATH}` is {}, expected {EXPECTED}", other.describe()));
                None
            }
        }
    }

    fn rule(&mut self, pattern: String, entry: &'a Node, candidates: &mut Candidates) -> Option<LayerRule> {
        let path = join(PATH, &pattern);
        let Value::Map(pairs) = &entry.value else {
            let found = entry.value.describe();
            self.wrong(
                &entry.origin,
                format!("`{path}` is {found}, expected a map such as `{{weights: {{bits: 8}}}}`"),
            );
            return None;
        };
        let known: Vec<&str> = ROLES.into_iter().chain(["layer"]).collect();
        self.known_keys(pairs, &path, &known);
        if !pairs.iter().any(|(key, _)| ROLES.contains(&key.name.as_str())) {
            self.wrong(
                &entry.origin,
                format!("`{path}` changes nothing, expected `weights`, `activations` or `gradients`"),
            );
            return None;
        }
        let mut changes = [None, None, None];
        let mut fine = true;
        for ((role, change), candidates) in ROLES.into_iter().zip(&mut changes).zip(candidates) {
            if let Some(node) = entry.get(role) {
                *change = self.change(role, &join(&path, role), node, candidates);
                fine &= change.is_some();
            }
        }
        let [weights, activations, gradients] = changes;
        fine.then_some(LayerRule { pattern, weights, activations, gradients })
    }

    fn change(
        &mut self,
        role: &str,
        path: &str,
        node: &'a Node,
        candidates: &mut Vec<MethodChoice>,
    ) -> Option<MethodChange> {
        let pairs = self.map(node, path, "a map such as `{bits: 8}`")?;
        if pairs.is_empty() {
            self.wrong(&node.origin, format!("`{path}` is empty, expected a map such as `{{bits: 8}}`"));
            return None;
        }
        let mut change = MethodChange::default();
        for (key, value) in pairs {
            match key.name.as_str() {
                "method" => change.method = Some(self.method_name(role, path, value)?),
                "bits" => change.bits = Some(self.width(path, value)?),
                _ => {
                    let text = if let Value::Text(text) = &value.value {
                        Some(self.expand(text, &value.origin)?)
                    } else {
                        None
                    };
                    let found = text.map(OptionValue::Text).or_else(|| node_value(value));
                    let Some(found) = found else {
                        let found = value.value.describe();
                        self.wrong(
                            &value.origin,
                            format!("`{}` is {found}, expected one value", join(path, &key.name)),
                        );
                        return None;
                    };
                    change.options.insert(key.name.clone(), found);
                }
            }
        }
        let catalog = self.catalog;
        let mut errors = Vec::new();
        let mut after = Vec::new();
        for candidate in candidates.iter() {
            match change.apply(candidate, |name| facts(catalog, name)) {
                Ok(choice) => after.push(choice),
                Err(error) => errors.push(error),
            }
        }
        // An axis may still give the network another setting.
        if after.is_empty() && !self.partial {
            let error = errors.into_iter().next()?;
            self.refuse(path, node, pairs, error);
            return None;
        }
        for choice in &after {
            // Numbers as the option's type has them, so that 1 and 1.0 are one value.
            for (name, value) in &mut change.options {
                if let Some((_, typed)) = choice.options.iter().find(|(known, _)| known == name) {
                    *value = typed.clone();
                }
            }
        }
        for choice in after {
            if !candidates.iter().any(|known| known.method == choice.method) {
                candidates.push(choice);
            }
        }
        Some(change)
    }

    fn method_name(&mut self, role: &str, path: &str, node: &'a Node) -> Option<String> {
        let name = self.text(node, &join(path, "method"), "the name of a method")?;
        let catalog = self.catalog;
        let Some(found) = catalog.method(&name) else {
            let hint = suggest(&name, names(&catalog.methods));
            self.problems.push(Problem::new(node.origin.clone(), format!("unknown method `{name}`")).hint(hint));
            return None;
        };
        self.quantizes(found, role, &node.origin).then_some(name)
    }

    fn width(&mut self, path: &str, node: &'a Node) -> Option<u8> {
        let bits = match node.value {
            Value::Int(bits) => u8::try_from(bits).ok().filter(|bits| (1..=8).contains(bits)),
            _ => None,
        };
        if bits.is_none() {
            let found = node.value.describe();
            self.wrong(&node.origin, format!("`{path}.bits` is {found}, expected a whole number from 1 to 8"));
        }
        bits
    }

    /// Says why no setting can be changed like this, at the key that is to blame.
    fn refuse(&mut self, path: &str, node: &'a Node, pairs: &'a [(Key, Node)], error: ChangeError) {
        let at = |name: &str| -> Option<(&Origin, &Origin)> {
            pairs.iter().find(|(key, _)| key.name == name).map(|(key, value)| (&key.origin, &value.origin))
        };
        let (origin, message, hint) = match &error {
            ChangeError::TakesNoBits(_) => (
                at("bits").map(|at| at.0),
                format!("`{path}`: {error}"),
                Some("name a `method` that takes bits, or set one in `quant` for the whole network".to_owned()),
            ),
            ChangeError::Bits { .. } => (at("bits").map(|at| at.1), format!("`{path}`: {error}"), None),
            ChangeError::Option { method, source: OptionError::Unknown { name, expected } } => (
                at(name).map(|at| at.0),
                format!("unknown key `{}`: `{method}` has no such option", join(path, name)),
                Some(suggest(name, expected.iter().copied().chain(["method", "bits"]))),
            ),
            ChangeError::Option { source, .. } => {
                let name = if let OptionError::Value { name, .. } = source { *name } else { "" };
                (at(name).map(|at| at.1), format!("`{path}`: {source}"), None)
            }
            ChangeError::UnknownMethod(_) => (at("method").map(|at| at.1), format!("`{path}`: {error}"), None),
        };
        let problem = Problem::new(origin.unwrap_or(&node.origin).clone(), message);
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }
}

fn facts(catalog: &Catalog, name: &str) -> Option<MethodFacts> {
    catalog.method(name).map(|entry| MethodFacts { bits: entry.bits, options: entry.about.options })
}
