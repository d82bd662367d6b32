//! What every part of the resolver uses: the tables, the mistakes found so far, choices by name and text with
//! variables of the environment.

use crate::config::catalog::Catalog;
use crate::sweep::dependency::Reference;
use crate::sweep::outside::Outside;
use crate::sweep::overlay;
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Key, Node, Origin, Value};

pub(super) struct Resolver<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) outside: Option<&'a Outside<'a>>,
    pub(super) partial: bool,
    pub(super) problems: Vec<Problem>,
    pub(super) unset: Vec<Problem>,
    pub(super) references: Vec<Reference>,
}

/// A choice that names something that exists.
pub(super) struct Chosen<'a, T> {
    pub(super) what: T,
    /// Its keys, the tag left out.
    pub(super) rest: Vec<&'a (Key, Node)>,
    /// Where to point when something is absent.
    pub(super) origin: &'a Origin,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(catalog: &'a Catalog, outside: Option<&'a Outside<'a>>, partial: bool) -> Resolver<'a> {
        Resolver { catalog, outside, partial, problems: Vec::new(), unset: Vec::new(), references: Vec::new() }
    }

    /// The pairs of a map; nothing counts as an empty one.
    pub(super) fn map(&mut self, node: &'a Node, path: &str, expected: &str) -> Option<&'a [(Key, Node)]> {
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

    pub(super) fn wrong(&mut self, origin: &Origin, message: String) {
        self.problems.push(Problem::new(origin.clone(), message));
    }

    pub(super) fn unknown(&mut self, key: &Key, path: &str, known: &[&str]) {
        let full = join(path, &key.name);
        let problem = Problem::new(key.origin.clone(), format!("unknown key `{full}`"));
        self.problems.push(problem.hint(suggest(&key.name, known.iter().copied())));
    }

    pub(super) fn known_keys(&mut self, pairs: &'a [(Key, Node)], path: &str, known: &[&str]) {
        for (key, _) in pairs {
            if !known.contains(&key.name.as_str()) {
                self.unknown(key, path, known);
            }
        }
    }

    /// Which thing a choice names. `None`: wrong and said so, or unclear as long as the tree is partial.
    pub(super) fn choose<T>(
        &mut self,
        parent: &'a Node,
        path: &str,
        kind: &str,
        find: impl Fn(&str) -> Option<T>,
        names: &[&'static str],
    ) -> Option<Chosen<'a, T>> {
        let (tag, default) = overlay::choice(path)?;
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

    /// A text value with its variables expanded; `None`: not text, or a variable is unset.
    pub(super) fn text(&mut self, node: &'a Node, path: &str, expected: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => self.expand(text, &node.origin),
            other => {
                self.wrong(&node.origin, format!("`{path}` is {}, expected {expected}", other.describe()));
                None
            }
        }
    }

    /// `${VAR}` becomes the variable's value, `$${` becomes `${`; any other `$` stays.
    pub(super) fn expand(&mut self, text: &str, origin: &Origin) -> Option<String> {
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

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
