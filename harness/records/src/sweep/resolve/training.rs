//! The section `train`.

use serde_json::json;

use crate::config::key::{KeyDoc, KeyKind};
use crate::config::keys::{self, Variant};
use crate::config::trial_config::TrainConfig;
use crate::sweep::dependency::{Place, Reference};
use crate::sweep::filter::Filter;
use crate::sweep::overlay;
use crate::sweep::resolve::resolver::{Chosen, Resolver, join};
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Key, Node, Origin, Value};

impl<'a> Resolver<'a> {
    pub(super) fn train(&mut self, tree: &'a Node) -> Option<TrainConfig> {
        const EXPECTED: &str = "a map such as `{epochs: 10, batch: 128}`";
        let train = tree.get("train");
        let pairs = match train {
            Some(node) => self.map(node, "train", EXPECTED)?,
            None => &[],
        };
        let choices = ["optimizer", "schedule", "init", "distill", "calibrate"];
        let known: Vec<&str> = keys::TRAIN.iter().map(|f| f.name).chain(choices).collect();
        self.known_keys(pairs, "train", &known);
        let rest: Vec<&(Key, Node)> = pairs.iter().collect();
        let origin = train.map_or(&tree.origin, |node| &node.origin);
        let fields = self.fields(keys::TRAIN, "train", &rest, origin);
        let optimizer = self.variant(train.unwrap_or(tree), train.is_some(), "optimizer", keys::OPTIMIZERS);
        let schedule = self.variant(train.unwrap_or(tree), train.is_some(), "schedule", keys::SCHEDULES);
        let init = self.init(train.and_then(|node| node.get("init")));
        let distill = self.distill(train.and_then(|node| node.get("distill")));
        let calibrate = self.calibrate(train.and_then(|node| node.get("calibrate")));
        let mut fields = fields?;
        if fields.get("epochs") == Some(&json!(0))
            && init.as_ref().is_some_and(serde_json::Value::is_null)
            && !self.partial
        {
            let at = train.and_then(|node| node.get("epochs")).map_or(origin, |node| &node.origin);
            let message = "`train.epochs` is 0, which trains nothing, and there is no `train.init` to evaluate";
            let hint = "write `init: {file: weights.safetensors}` or `init: {trial: {...}}`, or give `epochs`";
            self.problems.push(Problem::new(at.clone(), message).hint(hint));
        }
        fields.insert("optimizer".to_owned(), optimizer?.into());
        fields.insert("schedule".to_owned(), schedule?.into());
        fields.insert("init".to_owned(), init?);
        fields.insert("distill".to_owned(), distill?);
        fields.insert("calibrate".to_owned(), calibrate?);
        // The tables admit nothing that these types do not.
        serde_json::from_value(fields.into()).map_err(|error| self.wrong(origin, format!("`train`: {error}"))).ok()
    }

    /// `train.init`: null, `{trial: ...}` or `{file: PATH}`. `None`: wrong, and said so.
    fn init(&mut self, node: Option<&'a Node>) -> Option<serde_json::Value> {
        const EXPECTED: &str = "`{trial: {quant.weights.method: float}}`, `{file: PATH}` or null";
        let Some(node) = node.filter(|node| node.value != Value::Null) else { return Some(json!(null)) };
        let pairs = self.map(node, "train.init", EXPECTED)?;
        // Only a resolved configuration knows the hash before the file is read.
        let known: &[&str] = if self.outside.is_none() { &["trial", "file", "blake3"] } else { &["trial", "file"] };
        self.known_keys(pairs, "train.init", known);
        match (node.get("trial"), node.get("file")) {
            (Some(trial), None) => self.reference(trial, Place::Init).map(|id| json!({"trial": id})),
            (None, Some(file)) => self.init_file(file, node.get("blake3")),
            _ => {
                self.wrong(&node.origin, format!("`train.init` is {}, expected {EXPECTED}", node.value.describe()));
                None
            }
        }
    }

    fn init_file(&mut self, file: &'a Node, hash: Option<&'a Node>) -> Option<serde_json::Value> {
        let path = self.text(file, "train.init.file", "a path")?;
        let hash = match self.outside {
            None => self.text(hash?, "train.init.blake3", "the hash of the file")?,
            Some(outside) => match outside.hash(&path) {
                Ok(hash) => hash,
                Err(_) if outside.lenient || self.partial => return Some(json!(null)),
                Err(error) => {
                    self.wrong(&file.origin, format!("cannot read `{path}`: {error}"));
                    return None;
                }
            },
        };
        Some(json!({"file": path, "blake3": hash}))
    }

    /// `train.distill`: null or `{teacher: ..., alpha: ..., temperature: ...}`. `None`: wrong, and said so.
    fn distill(&mut self, node: Option<&'a Node>) -> Option<serde_json::Value> {
        const PATH: &str = "train.distill";
        let Some(node) = node.filter(|node| node.value != Value::Null) else { return Some(json!(null)) };
        let pairs = self.map(node, PATH, "a map such as `{teacher: {quant.weights.method: float}}` or null")?;
        let known: Vec<&str> = ["teacher"].into_iter().chain(keys::DISTILL.iter().map(|f| f.name)).collect();
        self.known_keys(pairs, PATH, &known);
        let rest: Vec<&(Key, Node)> = pairs.iter().collect();
        let fields = self.fields(keys::DISTILL, PATH, &rest, &node.origin);
        let teacher = match node.get("teacher") {
            Some(teacher) => self.reference(teacher, Place::Teacher),
            None if self.partial => None,
            None => {
                let message = "`train.distill.teacher` is missing, expected what its trial has, such as \
                               `{quant.weights.method: float, train.seed: same}`";
                self.wrong(&node.origin, message.to_owned());
                None
            }
        };
        let mut fields = fields?;
        fields.insert("teacher".to_owned(), teacher?.into());
        Some(fields.into())
    }

    /// `train.calibrate`: null or `{images: ..., batch_norm: ..., activations: ...}`. `None`: wrong, and said so.
    fn calibrate(&mut self, node: Option<&'a Node>) -> Option<serde_json::Value> {
        const PATH: &str = "train.calibrate";
        let Some(node) = node.filter(|node| node.value != Value::Null) else { return Some(json!(null)) };
        let pairs = self.map(node, PATH, "a map such as `{images: 1024, activations: mse}` or null")?;
        let known: Vec<&str> = keys::CALIBRATE.iter().map(|field| field.name).collect();
        self.known_keys(pairs, PATH, &known);
        let rest: Vec<&(Key, Node)> = pairs.iter().collect();
        let fields = self.fields(keys::CALIBRATE, PATH, &rest, &node.origin)?;
        Some(fields.into())
    }

    /// Another trial: its id in a resolved configuration; in a sweep file what its configuration has, and the id is
    /// found once all trials are known.
    fn reference(&mut self, node: &'a Node, place: Place) -> Option<String> {
        if self.outside.is_none() {
            return self.text(node, place.key(), "the id of a trial");
        }
        match Filter::from_node(node, self.catalog) {
            Ok(wanted) => {
                self.references.push(Reference { place, wanted, origin: node.origin.clone() });
                Some(String::new())
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// Optimizer or schedule.
    fn variant(
        &mut self,
        train: &'a Node,
        given: bool,
        name: &str,
        table: &'static [Variant],
    ) -> Option<serde_json::Map<String, serde_json::Value>> {
        let path = format!("train.{name}");
        let names: Vec<&str> = table.iter().map(|v| v.name).collect();
        let chosen = if given {
            self.choose(train, &path, name, |wanted| keys::variant(table, wanted), &names)?
        } else {
            let default = overlay::choice(&path).map_or("", |(_, default)| default);
            Chosen { what: keys::variant(table, default)?, rest: Vec::new(), origin: &train.origin }
        };
        let Chosen { what, rest, origin } = chosen;
        let known: Vec<&str> = ["name"].into_iter().chain(what.fields.iter().map(|f| f.name)).collect();
        for (key, _) in &rest {
            if !known.contains(&key.name.as_str()) {
                self.unknown_field(table, what, &path, key, &known);
            }
        }
        let mut fields = self.fields(what.fields, &path, &rest, origin)?;
        if fields.get("nesterov") == Some(&json!(true)) && fields.get("momentum") == Some(&json!(0.0)) {
            let at = rest.iter().find(|(key, _)| key.name == "nesterov").map_or(origin, |(_, node)| &node.origin);
            self.wrong(at, format!("`{path}.nesterov` needs a momentum, but `{path}.momentum` is 0"));
        }
        fields.insert("name".to_owned(), what.name.into());
        Some(fields)
    }

    fn unknown_field(&mut self, table: &[Variant], what: &Variant, path: &str, key: &Key, known: &[&str]) {
        let owner = table.iter().find(|v| v.fields.iter().any(|f| f.name == key.name));
        let hint = match owner {
            Some(owner) => format!("`{}` belongs to `{}`", key.name, owner.name),
            None => suggest(&key.name, known.iter().copied()),
        };
        let message = format!("unknown key `{}`: `{}` has no such key", join(path, &key.name), what.name);
        self.problems.push(Problem::new(key.origin.clone(), message).hint(hint));
    }

    fn fields(
        &mut self,
        table: &[KeyDoc],
        path: &str,
        rest: &[&'a (Key, Node)],
        origin: &Origin,
    ) -> Option<serde_json::Map<String, serde_json::Value>> {
        let mut values = serde_json::Map::new();
        let mut fine = true;
        for field in table {
            let given = rest.iter().find(|(key, _)| key.name == field.name).map(|(_, node)| node);
            let value = match given {
                Some(node) if node.value == Value::Null && field.is_optional() => field.default.json(),
                Some(node) => field.kind.accept_node(node),
                None => field.default.json(),
            };
            match (value, given) {
                (Some(value), _) => drop(values.insert(field.name.to_owned(), value)),
                (None, Some(node)) => {
                    let null = if field.is_optional() { " or null" } else { "" };
                    let (path, found) = (join(path, field.name), node.value.describe());
                    let message = format!("`{path}` is {found}, expected {}{null}", field.kind);
                    let problem = Problem::new(node.origin.clone(), message);
                    self.problems.push(match (&node.value, field.kind) {
                        (Value::List(_), KeyKind::FractionPair | KeyKind::AscendingInts) => problem,
                        (Value::List(_), _) => {
                            problem.hint(format!("several values of a key go under `axes:`, `{path}: {node}`"))
                        }
                        _ => problem,
                    });
                    fine = false;
                }
                (None, None) => {
                    if !self.partial {
                        let message = format!("`{}` is missing, expected {}", join(path, field.name), field.kind);
                        self.wrong(origin, message);
                    }
                    fine = false;
                }
            }
        }
        fine.then_some(values)
    }
}
