//! A tree of keys and values made into a [`TrialConfig`]: every key known, every type and range right, every
//! default filled in. All mistakes are collected, not only the first.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use serde_json::json;

use crate::catalog::{Catalog, Entry};
use crate::config::{DatasetChoice, MethodChoice, ModelChoice, QuantConfig, TrainConfig, TrialConfig};
use crate::dependency::{Place, Reference};
use crate::fields::{self, Fallback, Field, Kind, ROLES, Variant};
use crate::filter::Filter;
use crate::node::{Key, Node, Origin, Value};
use crate::options::{OptionDefault, OptionDoc, OptionKind, OptionValue, Options};
use crate::problem::{Problem, suggest};

/// Looks a variable of the environment up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a sweep file refers to outside itself.
pub(crate) struct Outside<'a> {
    pub(crate) env: Lookup<'a>,
    /// Whether an `init` file that cannot be read is left out instead of refused.
    pub(crate) lenient: bool,
    /// Hashes of the files that were read, so that each is read once.
    hashes: RefCell<HashMap<String, Result<String, String>>>,
}

impl<'a> Outside<'a> {
    pub(crate) fn new(env: Lookup<'a>, lenient: bool) -> Outside<'a> {
        Outside { env, lenient, hashes: RefCell::default() }
    }

    /// First 16 hex digits of the hash of a file, or why it cannot be read.
    fn hash(&self, path: &str) -> Result<String, String> {
        let hash = || {
            let mut hasher = blake3::Hasher::new();
            let read = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
            read.map_err(|error| error.to_string())?;
            Ok(hasher.finalize().to_hex()[..16].to_owned())
        };
        self.hashes.borrow_mut().entry(path.to_owned()).or_insert_with(hash).clone()
    }
}

/// What became of one tree.
pub(crate) struct Resolved {
    /// The configuration; `None` when there are problems, or an unset variable hides what is meant. To be used only
    /// to match `exclude` as long as `unset` is not empty.
    pub(crate) config: Option<TrialConfig>,
    /// Mistakes.
    pub(crate) problems: Vec<Problem>,
    /// Unset variables: a mistake only if the trial is really to run.
    pub(crate) unset: Vec<Problem>,
    /// Other trials of the sweep that this one builds on; until they are found, the configuration has an empty id or
    /// nothing in their places.
    pub(crate) references: Vec<Reference>,
}

/// Resolves a complete tree. `outside` expands `${VAR}` in text and reads files; without it the tree is a resolved
/// configuration that was written down: text stays as it is, and other trials are named by their ids.
pub(crate) fn resolve(tree: &Node, catalog: &Catalog, outside: Option<&Outside<'_>>) -> Resolved {
    let mut resolver = Resolver::new(catalog, outside, false);
    let config = resolver.config(tree).filter(|_| resolver.problems.is_empty());
    let Resolver { problems, unset, references, .. } = resolver;
    Resolved { config, problems, unset, references }
}

/// The mistakes of a tree that axes will still complete: what is absent is not one of them.
pub(crate) fn check_partial(tree: &Node, catalog: &Catalog, outside: &Outside<'_>) -> Vec<Problem> {
    let mut resolver = Resolver::new(catalog, Some(outside), true);
    resolver.config(tree);
    resolver.problems
}

struct Resolver<'a> {
    catalog: &'a Catalog,
    outside: Option<&'a Outside<'a>>,
    partial: bool,
    problems: Vec<Problem>,
    unset: Vec<Problem>,
    references: Vec<Reference>,
}

/// A choice that names something that exists.
struct Chosen<'a, T> {
    what: T,
    /// Its keys, the tag left out.
    rest: Vec<&'a (Key, Node)>,
    /// Where to point when something is absent.
    origin: &'a Origin,
}

impl<'a> Resolver<'a> {
    fn new(catalog: &'a Catalog, outside: Option<&'a Outside<'a>>, partial: bool) -> Resolver<'a> {
        Resolver { catalog, outside, partial, problems: Vec::new(), unset: Vec::new(), references: Vec::new() }
    }

    fn config(&mut self, tree: &'a Node) -> Option<TrialConfig> {
        let pairs = self.map(tree, "", "a map with `dataset`, `model`, `train` and `quant`")?;
        self.known_keys(pairs, "", &["dataset", "model", "train", "quant"]);
        let dataset = self.dataset(tree);
        let model = self.model(tree);
        let train = self.train(tree);
        let quant = self.quant(tree);
        Some(TrialConfig { dataset: dataset?, model: model?, train: train?, quant: quant? })
    }

    /// The pairs of a map; nothing counts as an empty one.
    fn map(&mut self, node: &'a Node, path: &str, expected: &str) -> Option<&'a [(Key, Node)]> {
        match &node.value {
            Value::Map(pairs) => Some(pairs),
            Value::Null => Some(&[]),
            other => {
                let name = if path.is_empty() { "the configuration".to_owned() } else { format!("`{path}`") };
                self.wrong(&node.origin, format!("{name} is {}, expected {expected}", other.describe()));
                None
            }
        }
    }

    fn wrong(&mut self, origin: &Origin, message: String) {
        self.problems.push(Problem::new(origin.clone(), message));
    }

    fn unknown(&mut self, key: &Key, path: &str, known: &[&str]) {
        let full = join(path, &key.name);
        let problem = Problem::new(key.origin.clone(), format!("unknown key `{full}`"));
        self.problems.push(problem.hint(suggest(&key.name, known.iter().copied())));
    }

    fn known_keys(&mut self, pairs: &'a [(Key, Node)], path: &str, known: &[&str]) {
        for (key, _) in pairs {
            if !known.contains(&key.name.as_str()) {
                self.unknown(key, path, known);
            }
        }
    }

    /// Which thing a choice names. `None`: wrong and said so, or unclear as long as the tree is partial.
    fn choose<T>(
        &mut self,
        parent: &'a Node,
        path: &str,
        kind: &str,
        find: impl Fn(&str) -> Option<T>,
        names: &[&'static str],
    ) -> Option<Chosen<'a, T>> {
        let (tag, default) = crate::overlay::choice(path)?;
        let last = path.rsplit('.').next().unwrap_or(path);
        let node = parent.get(last);
        let pairs = match node {
            Some(node) => self.map(node, path, &format!("a map such as `{{{tag}: {default}}}`"))?,
            None => &[],
        };
        let origin = node.map_or(&parent.origin, |node| &node.origin);
        let rest = pairs.iter().filter(|(key, _)| key.name != tag).collect();
        let given = pairs.iter().find(|(key, _)| key.name == tag).map(|(_, value)| value);
        let (name, origin) = match given {
            Some(value) => (self.text(value, &join(path, tag), &format!("the name of a {kind}"))?, &value.origin),
            None if self.partial => return None,
            None => (default.to_owned(), origin),
        };
        if let Some(what) = find(&name) {
            return Some(Chosen { what, rest, origin });
        }
        let hint = suggest(&name, names.iter().copied());
        self.problems.push(Problem::new(origin.clone(), format!("unknown {kind} `{name}`")).hint(hint));
        None
    }

    fn dataset(&mut self, tree: &'a Node) -> Option<DatasetChoice> {
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

    fn model(&mut self, tree: &'a Node) -> Option<ModelChoice> {
        let catalog = self.catalog;
        let find = |name: &str| catalog.model(name);
        let Chosen { what, rest, origin } = self.choose(tree, "model", "model", find, &names(&catalog.models))?;
        let options = self.options(what, "model", &rest, &["name"], origin, &catalog.models)?;
        Some(ModelChoice { name: what.about.name.to_owned(), options })
    }

    fn quant(&mut self, tree: &'a Node) -> Option<QuantConfig> {
        let Some(quant) = tree.get("quant") else {
            let float = MethodChoice::float;
            let keep_float = fields::KEEP_FLOAT.map(str::to_owned).to_vec();
            return Some(QuantConfig { weights: float(), activations: float(), gradients: float(), keep_float });
        };
        let pairs = self.map(quant, "quant", "a map with `weights` and `activations`")?;
        self.known_keys(pairs, "quant", &["weights", "activations", "gradients", "keep_float"]);
        let [weights, activations, gradients] = ROLES.map(|role| self.method(quant, role));
        let keep_float = self.keep_float(quant.get("keep_float"));
        Some(QuantConfig {
            weights: weights?,
            activations: activations?,
            gradients: gradients?,
            keep_float: keep_float?,
        })
    }

    fn keep_float(&mut self, node: Option<&'a Node>) -> Option<Vec<String>> {
        const EXPECTED: &str = "a list of layer names, such as [first, last]";
        let Some(node) = node else { return Some(fields::KEEP_FLOAT.map(str::to_owned).to_vec()) };
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
        if !what.roles.has(role) && name != fields::METHOD {
            let able: Vec<&str> = catalog.methods.iter().filter(|m| m.roles.has(role)).map(|m| m.about.name).collect();
            let hint = format!("methods for {role} are {}", quoted(&able));
            self.problems.push(Problem::new(origin.clone(), format!("`{name}` cannot quantize {role}")).hint(hint));
        }
        let given = rest.iter().find(|(key, node)| key.name == "bits" && node.value != Value::Null);
        let bits = self.bits(what, &path, given.map(|(key, node)| (key, node)), origin);
        let options = self.options(what, &path, &rest, &["method", "bits"], origin, &catalog.methods)?;
        Some(MethodChoice { method: name.to_owned(), bits: bits?, options })
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
    fn option(&mut self, doc: &OptionDoc, path: &str, node: &'a Node) -> Result<Option<OptionValue>, ()> {
        let found = match &node.value {
            Value::Null if doc.default == OptionDefault::Absent => return Ok(None),
            Value::Bool(v) => Some(OptionValue::Bool(*v)),
            Value::Int(v) => i64::try_from(*v).ok().map(OptionValue::Int),
            Value::Float(v) => Some(OptionValue::Float(*v)),
            Value::Text(text) => match self.expand(text, &node.origin) {
                Some(text) => Some(OptionValue::Text(text)),
                None => return Ok(None),
            },
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        if let Some(value) = found.as_ref().and_then(|value| doc.kind.accept(value)) {
            return Ok(Some(value));
        }
        let message = format!("`{}` is {}, expected {}", join(path, doc.name), node.value.describe(), doc.kind);
        let problem = Problem::new(node.origin.clone(), message);
        self.problems.push(match (doc.kind, node.text()) {
            (OptionKind::Choice(words), Some(word)) => problem.hint(suggest(word, words.iter().copied())),
            _ => problem,
        });
        Err(())
    }

    fn train(&mut self, tree: &'a Node) -> Option<TrainConfig> {
        const EXPECTED: &str = "a map such as `{epochs: 10, batch: 128}`";
        let train = tree.get("train");
        let pairs = match train {
            Some(node) => self.map(node, "train", EXPECTED)?,
            None => &[],
        };
        let choices = ["optimizer", "schedule", "init", "distill"];
        let known: Vec<&str> = fields::TRAIN.iter().map(|f| f.name).chain(choices).collect();
        self.known_keys(pairs, "train", &known);
        let rest: Vec<&(Key, Node)> = pairs.iter().collect();
        let origin = train.map_or(&tree.origin, |node| &node.origin);
        let fields = self.fields(fields::TRAIN, "train", &rest, origin);
        let optimizer = self.variant(train.unwrap_or(tree), train.is_some(), "optimizer", fields::OPTIMIZERS);
        let schedule = self.variant(train.unwrap_or(tree), train.is_some(), "schedule", fields::SCHEDULES);
        let init = self.init(train.and_then(|node| node.get("init")));
        let distill = self.distill(train.and_then(|node| node.get("distill")));
        let mut fields = fields?;
        fields.insert("optimizer".to_owned(), optimizer?.into());
        fields.insert("schedule".to_owned(), schedule?.into());
        fields.insert("init".to_owned(), init?);
        fields.insert("distill".to_owned(), distill?);
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
        let known: Vec<&str> = ["teacher"].into_iter().chain(fields::DISTILL.iter().map(|f| f.name)).collect();
        self.known_keys(pairs, PATH, &known);
        let rest: Vec<&(Key, Node)> = pairs.iter().collect();
        let fields = self.fields(fields::DISTILL, PATH, &rest, &node.origin);
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
            self.choose(train, &path, name, |wanted| fields::variant(table, wanted), &names)?
        } else {
            let default = crate::overlay::choice(&path).map_or("", |(_, default)| default);
            Chosen { what: fields::variant(table, default)?, rest: Vec::new(), origin: &train.origin }
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
        table: &[Field],
        path: &str,
        rest: &[&'a (Key, Node)],
        origin: &Origin,
    ) -> Option<serde_json::Map<String, serde_json::Value>> {
        let mut values = serde_json::Map::new();
        let mut fine = true;
        for field in table {
            let given = rest.iter().find(|(key, _)| key.name == field.name).map(|(_, node)| node);
            let value = match given {
                Some(node) if node.value == Value::Null && field.default == Fallback::Null => field.default.json(),
                Some(node) => field.kind.accept(node),
                None => field.default.json(),
            };
            match (value, given) {
                (Some(value), _) => drop(values.insert(field.name.to_owned(), value)),
                (None, Some(node)) => {
                    let null = if field.default == Fallback::Null { " or null" } else { "" };
                    let (path, found) = (join(path, field.name), node.value.describe());
                    let message = format!("`{path}` is {found}, expected {}{null}", field.kind);
                    let problem = Problem::new(node.origin.clone(), message);
                    self.problems.push(match (&node.value, field.kind) {
                        (Value::List(_), Kind::Portions | Kind::Epochs) => problem,
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

    /// A text value with its variables expanded; `None`: not text, or a variable is unset.
    fn text(&mut self, node: &'a Node, path: &str, expected: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => self.expand(text, &node.origin),
            other => {
                self.wrong(&node.origin, format!("`{path}` is {}, expected {expected}", other.describe()));
                None
            }
        }
    }

    /// `${VAR}` becomes the variable's value, `$${` becomes `${`; any other `$` stays.
    fn expand(&mut self, text: &str, origin: &Origin) -> Option<String> {
        let Some(Outside { env, .. }) = self.outside else { return Some(text.to_owned()) };
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let name = rest[at + 2..].split('}').next().unwrap_or("");
            let closed = rest[at + 2 + name.len()..].starts_with('}');
            let fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !closed || !fine {
                let problem = Problem::new(origin.clone(), "`${` is not followed by the name of a variable and `}`");
                self.problems.push(problem.hint("write `$${` for the characters themselves"));
                return None;
            }
            match env(name) {
                Some(value) => out.push_str(&value),
                None => {
                    let problem = Problem::new(origin.clone(), format!("the environment variable `{name}` is not set"));
                    self.unset.push(problem.hint(format!("set it: `export {name}=...`")));
                    return None;
                }
            }
            rest = &rest[at + 2 + name.len() + 1..];
        }
        out.push_str(rest);
        Some(out)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn names(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.about.name).collect()
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
