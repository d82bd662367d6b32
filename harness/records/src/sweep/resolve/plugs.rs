//! Data set, model and methods, with their options.

use std::collections::BTreeMap;

use crate::config::catalog::Entry;
use crate::config::key::{KeyDoc, KeyKind, node_value};
use crate::config::keys::{self, ROLES};
use crate::config::options::{OptionValue, Options};
use crate::config::trial_config::{DatasetChoice, InputKind, MethodChoice, ModelChoice, QuantConfig};
use crate::sweep::resolve::resolver::{Chosen, Resolver, join};
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Key, Node, Origin, Value};

impl<'a> Resolver<'a> {
    pub(super) fn dataset(&mut self, tree: &'a Node) -> Option<DatasetChoice> {
        let catalog = self.catalog;
        let find = |name: &str| catalog.dataset(name);
        let Chosen { what, rest, origin } =
            self.choose(tree, "dataset", "data set", find, &names(&catalog.datasets))?;
        let mut root = None;
        for (key, value) in &rest {
            if key.name == "root" && value.value != Value::Null {
                let before = self.unset.len();
                root = self.text(value, "dataset.root", "a path");
                let name = what.about.name;
                for problem in &mut self.unset[before..] {
                    problem.hint = problem.hint.take().map(|hint| {
                        format!(
                            "{hint}, or `--set dataset.root=FOLDER`: the folder that holds the data set `{name}`; \
                             `--smoke` tries the sweep without it"
                        )
                    });
                }
                if root.as_deref() == Some("") {
                    self.wrong(&value.origin, "`dataset.root` is empty, expected a path".to_owned());
                }
            }
        }
        let options = self.options(what, "dataset", &rest, &["name", "root"], origin, &catalog.datasets)?;
        Some(DatasetChoice { name: what.about.name.to_owned(), root: root.map(Into::into), options })
    }

    pub(super) fn model(&mut self, tree: &'a Node) -> Option<ModelChoice> {
        let catalog = self.catalog;
        let find = |name: &str| catalog.model(name);
        let Chosen { what, rest, origin } = self.choose(tree, "model", "model", find, &names(&catalog.models))?;
        let options = self.options(what, "model", &rest, &["name"], origin, &catalog.models)?;
        Some(ModelChoice { name: what.about.name.to_owned(), options })
    }

    pub(super) fn quant(&mut self, tree: &'a Node) -> Option<QuantConfig> {
        let Some(quant) = tree.get("quant") else {
            let float = MethodChoice::float;
            let keep_float = keys::KEEP_FLOAT.map(str::to_owned).to_vec();
            return Some(QuantConfig::of(float(), float(), float(), keep_float));
        };
        let pairs = self.map(quant, "quant", "a map with `weights` and `activations`")?;
        self.known_keys(pairs, "quant", &["weights", "activations", "gradients", "keep_float", "input", "layers"]);
        let [weights, activations, gradients] = ROLES.map(|role| self.method(quant, role));
        let keep_float = self.keep_float(quant.get("keep_float"));
        let input = self.input(quant.get("input"));
        let layers = quant.get("layers");
        let [weights, activations, gradients] = match [weights, activations, gradients] {
            [Some(weights), Some(activations), Some(gradients)] => [weights, activations, gradients],
            // Mistakes in the setting of layers that stand for themselves are told with those of the network.
            given => {
                self.layers(layers, &given);
                return None;
            }
        };
        let given = [weights, activations, gradients].map(Some);
        let layers = self.layers(layers, &given);
        let [Some(weights), Some(activations), Some(gradients)] = given else { return None };
        Some(QuantConfig { weights, activations, gradients, keep_float: keep_float?, input: input?, layers: layers? })
    }

    fn input(&mut self, node: Option<&'a Node>) -> Option<InputKind> {
        const WORDS: [(&str, InputKind); 2] = [("float", InputKind::Float), ("bytes", InputKind::Bytes)];
        let Some(node) = node else { return Some(InputKind::default()) };
        let found = node.text().and_then(|text| WORDS.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let message = format!("`quant.input` is {}, expected `float` or `bytes`", node.value.describe());
            self.wrong(&node.origin, message);
        }
        found.map(|(_, kind)| *kind)
    }

    fn keep_float(&mut self, node: Option<&'a Node>) -> Option<Vec<String>> {
        const EXPECTED: &str = "a list of layer names, such as [first, last]";
        let Some(node) = node else { return Some(keys::KEEP_FLOAT.map(str::to_owned).to_vec()) };
        let Value::List(items) = &node.value else {
            let found = node.value.describe();
            self.wrong(&node.origin, format!("`quant.keep_float` is {found}, expected {EXPECTED}"));
            return None;
        };
        let layers: Vec<Option<String>> =
            items.iter().map(|item| self.text(item, "quant.keep_float", "a layer name")).collect();
        layers.into_iter().collect()
    }

    fn method(&mut self, quant: &'a Node, role: &str) -> Option<MethodChoice> {
        let catalog = self.catalog;
        let path = format!("quant.{role}");
        let find = |name: &str| catalog.method(name);
        let Chosen { what, rest, origin } = self.choose(quant, &path, "method", find, &names(&catalog.methods))?;
        let name = what.about.name;
        self.quantizes(what, role, origin);
        let given = rest.iter().find(|(key, node)| key.name == "bits" && node.value != Value::Null);
        let bits = self.bits(what, &path, given.map(|(key, node)| (key, node)), origin);
        let options = self.options(what, &path, &rest, &["method", "bits"], origin, &catalog.methods)?;
        Some(MethodChoice { method: name.to_owned(), bits: bits?, options })
    }

    /// Whether a method can stand at a role; says so where it cannot.
    pub(super) fn quantizes(&mut self, method: &Entry, role: &str, origin: &Origin) -> bool {
        let name = method.about.name;
        if method.roles.has(role) || name == keys::METHOD {
            return true;
        }
        let able = self.catalog.methods.iter().filter(|m| m.roles.has(role)).map(|m| format!("`{}`", m.about.name));
        let hint = format!("methods for {role} are {}", able.collect::<Vec<_>>().join(", "));
        self.problems.push(Problem::new(origin.clone(), format!("`{name}` cannot quantize {role}")).hint(hint));
        false
    }

    /// `None`: wrong, and said so.
    fn bits(
        &mut self,
        method: &Entry,
        path: &str,
        given: Option<(&'a Key, &'a Node)>,
        origin: &Origin,
    ) -> Option<Option<u8>> {
        let name = method.about.name;
        match (method.bits, given) {
            (None, None) => Some(None),
            (None, Some((key, _))) => {
                let problem =
                    Problem::new(key.origin.clone(), format!("`{name}` takes no bits, but `{path}.bits` is given"));
                self.problems.push(problem.hint("remove `bits`, or choose another method"));
                None
            }
            (Some((lo, hi)), None) if lo == hi => Some(Some(lo)),
            (Some(_), None) if self.partial => None,
            (Some((lo, hi)), None) => {
                let problem =
                    Problem::new(origin.clone(), format!("`{path}.bits` is missing: `{name}` takes {lo} to {hi} bits"));
                self.problems.push(problem.hint(format!("write `{{method: {name}, bits: {hi}}}`")));
                None
            }
            (Some((lo, hi)), Some((_, node))) => {
                let bits = match node.value {
                    Value::Int(v) => u8::try_from(v).ok().filter(|v| (lo..=hi).contains(v)),
                    _ => None,
                };
                if bits.is_none() {
                    let expected = if lo == hi { format!("{lo}") } else { format!("a whole number from {lo} to {hi}") };
                    let found = node.value.describe();
                    self.wrong(&node.origin, format!("`{path}.bits` is {found}, expected {expected} for `{name}`"));
                }
                bits.map(Some)
            }
        }
    }

    /// The options of a plug, checked one by one so that each mistake has its place.
    fn options(
        &mut self,
        entry: &Entry,
        path: &str,
        rest: &[&'a (Key, Node)],
        own: &[&str],
        origin: &Origin,
        all: &[Entry],
    ) -> Option<Options> {
        let docs = entry.about.options;
        let mut given = BTreeMap::new();
        let mut fine = true;
        for (key, node) in rest.iter().filter(|(key, _)| !own.contains(&key.name.as_str())) {
            let Some(doc) = docs.iter().find(|doc| doc.name == key.name) else {
                self.unknown_option(entry, path, key, own, all);
                fine = false;
                continue;
            };
            match self.option(doc, path, node) {
                Ok(Some(value)) => drop(given.insert(key.name.clone(), value)),
                Ok(None) => {}
                Err(()) => fine = false,
            }
        }
        if !fine {
            return None;
        }
        Options::resolve(docs, &given).map_err(|error| self.wrong(origin, format!("`{path}`: {error}"))).ok()
    }

    fn unknown_option(&mut self, entry: &Entry, path: &str, key: &Key, own: &[&str], all: &[Entry]) {
        let known: Vec<&str> = own.iter().copied().chain(entry.about.options.iter().map(|doc| doc.name)).collect();
        let owner = all.iter().find(|e| e.about.options.iter().any(|doc| doc.name == key.name));
        let hint = match owner {
            Some(owner) => format!("`{}` is an option of `{}`", key.name, owner.about.name),
            None => suggest(&key.name, known),
        };
        let message = format!("unknown key `{}`: `{}` has no such option", join(path, &key.name), entry.about.name);
        self.problems.push(Problem::new(key.origin.clone(), message).hint(hint));
    }

    /// `Ok(None)`: left out, or an unset variable; `Err`: wrong, and said so.
    fn option(&mut self, doc: &KeyDoc, path: &str, node: &'a Node) -> Result<Option<OptionValue>, ()> {
        let found = match &node.value {
            Value::Null if doc.is_optional() => return Ok(None),
            Value::Text(text) => match self.expand(text, &node.origin) {
                Some(text) => Some(OptionValue::Text(text)),
                None => return Ok(None),
            },
            _ => node_value(node),
        };
        if let Some(value) = found.as_ref().and_then(|value| doc.kind.accept(value)) {
            return Ok(Some(value));
        }
        let message = format!("`{}` is {}, expected {}", join(path, doc.name), node.value.describe(), doc.kind);
        let problem = Problem::new(node.origin.clone(), message);
        self.problems.push(match (doc.kind, node.text()) {
            (KeyKind::Choice(words), Some(word)) => problem.hint(suggest(word, words.iter().copied())),
            _ => problem,
        });
        Err(())
    }
}

pub(super) fn names(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.about.name).collect()
}
