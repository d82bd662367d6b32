//! YAML as a tree that remembers where every key and every value stood.
//!
//! Everything a sweep file says passes through [`Node`]: merging, overriding and checking happen on the tree, so
//! that any mistake found later can still be shown at its line and column.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Location, Spanned};

use crate::yaml::diagnostics::Problem;
pub use crate::yaml::origin::{Origin, Source};

/// Largest text that is parsed, in bytes; sweep files are a few kilobytes.
pub const MAX_BYTES: usize = 4 << 20;
const MAX_DEPTH: usize = 48;
const MAX_NODES: usize = 100_000;

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it stood.
    pub origin: Origin,
}

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stood.
    pub origin: Origin,
}

/// What a YAML value can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; `yes`, `on` and their like are text.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number, NaN and infinities included.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// What it is, with the value where that is short: for "found ..." in messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Bool(v) => format!("`{v}`"),
            Value::Int(v) => format!("`{v}`"),
            Value::Float(v) if v.is_nan() => "NaN".to_owned(),
            Value::Float(v) if v.is_infinite() => "infinity".to_owned(),
            Value::Float(v) => format!("`{v}`"),
            Value::Text(v) => format!("the text `{}`", shorten(v)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}

impl Node {
    /// The pairs of a map.
    #[must_use]
    pub fn pairs(&self) -> Option<&[(Key, Node)]> {
        match &self.value {
            Value::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The value under a key of a map.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.pairs()?.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// The value under a dotted path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, name| node.get(name))
    }

    /// The text of a text value.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that two values share exactly when they say the same, wherever they stood: the order of keys does not
    /// matter, and `1` is `1.0`.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Float(v) if v.fract() == 0.0 && v.abs() < 1e18 => (*v as i128).to_string(),
            Value::List(items) => format!("[{}]", items.iter().map(Node::canonical_text).collect::<Vec<_>>().join(",")),
            Value::Map(pairs) => {
                let mut pairs: Vec<String> =
                    pairs.iter().map(|(key, value)| format!("{:?}:{}", key.name, value.canonical_text())).collect();
                pairs.sort();
                format!("{{{}}}", pairs.join(","))
            }
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Node {
    /// On one line, `{method: uniform, bits: 2}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v:?}"),
            Value::Text(v) => f.write_str(v),
            Value::List(nodes) => {
                f.write_str("[")?;
                for (i, node) in nodes.iter().enumerate() {
                    write!(f, "{}{node}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Value::Map(pairs) => {
                f.write_str("{")?;
                for (i, (key, node)) in pairs.iter().enumerate() {
                    write!(f, "{}{}: {node}", if i == 0 { "" } else { ", " }, key.name)?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Parses one YAML document.
///
/// # Errors
/// Bytes that are not UTF-8, text that is not YAML, a key given twice, several documents, nesting or aliases
/// beyond any sensible sweep; each with its position.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Node, Problem> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => return Err(not_utf8(name, bytes, error.valid_up_to())),
    };
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned(), is_file: true });
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has more than {} MiB, which is not a sweep file", MAX_BYTES >> 20);
        return Err(Problem::new(Origin::whole(&source), message));
    }
    parse_source(&source, 0, text)
}

/// Parses the value of a `--set key=value` argument, `source` being the whole argument and `value` its end.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_argument(source: &Arc<Source>, value: &str) -> Result<Node, Problem> {
    let skipped = source.text.chars().count() - value.chars().count();
    parse_source(source, skipped, value)
}

fn not_utf8(name: &str, bytes: &[u8], valid: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..valid]).into_owned();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    let byte = bytes[valid];
    let source = Arc::new(Source { name: name.to_owned(), text: before, is_file: true });
    Problem::new(Origin::at(&source, line, column), format!("the file is not UTF-8 text: byte 0x{byte:02x}"))
        .hint("save it as UTF-8")
}

fn parse_source(source: &Arc<Source>, skipped: usize, text: &str) -> Result<Node, Problem> {
    let place = Place { source, skipped };
    let raw: Spanned<Raw> =
        serde_yaml::from_str_with_options(text, options()).map_err(|error| syntax(&place, &error))?;
    Ok(place.node(raw))
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_aliases: 1_000,
        },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 10_000 },
        duplicate_keys: serde_yaml::options::DuplicateKeyPolicy::Error,
        // `off` is a word of ours (`average: off`), not a truth value.
        strict_booleans: true,
        // NaN is refused where it stands, with the name of the key.
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

fn syntax(place: &Place<'_>, error: &serde_yaml::Error) -> Problem {
    use serde_yaml::Error;
    use serde_yaml::budget::BudgetBreach;
    let origin = error.location().map_or_else(|| Origin::whole(place.source), |location| place.origin(location, 1));
    let mut cause = error;
    while let Error::AliasError { error, .. } | Error::WithSnippet { error, .. } = cause {
        cause = error;
    }
    match cause {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            let length = key.chars().count().max(1);
            Problem::new(Origin { length, ..origin }, format!("the key `{key}` is given twice in this map"))
        }
        Error::DuplicateMappingKey { key: None, .. } => Problem::new(origin, "a key is given twice in this map"),
        Error::MultipleDocuments { .. } => {
            Problem::new(origin, "a second document starts here, expected one").hint("remove the `---`")
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            Problem::new(origin, "the aliases (`*name`) of this file expand to far too much")
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            Problem::new(origin, format!("maps and lists are nested more than {MAX_DEPTH} deep"))
        }
        Error::Budget { breach, .. } => Problem::new(origin, format!("this is beyond any sensible sweep: {breach:?}")),
        other => Problem::new(origin, plain(other)),
    }
}

/// The parser's own message without the position it appends, which ours gives already.
fn plain(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("YAML parse error: ").unwrap_or(&text);
    let text = text.split(" at line ").next().unwrap_or(text).trim();
    match text {
        "recursion limit exceeded" => format!("lists and maps are nested more than {MAX_DEPTH} deep"),
        _ => text.to_owned(),
    }
}

/// Turns the parser's locations into ours.
struct Place<'a> {
    source: &'a Arc<Source>,
    /// Characters of the source before the parsed text.
    skipped: usize,
}

impl Place<'_> {
    fn origin(&self, location: Location, length: usize) -> Origin {
        let line = usize::try_from(location.line()).unwrap_or(0);
        let column = usize::try_from(location.column()).unwrap_or(0);
        let column = if line == 1 { column + self.skipped } else { column };
        Origin { source: Arc::clone(self.source), line, column, length }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let location = if raw.defined == Location::UNKNOWN { raw.referenced } else { raw.defined };
        let length = match &raw.value {
            Raw::List(_) | Raw::Map(_) => 1,
            _ => usize::try_from(location.span().len()).unwrap_or(1).max(1),
        };
        let origin = self.origin(location, length);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(v) => Value::Bool(v),
            Raw::Int(v) => Value::Int(v),
            Raw::Float(v) => Value::Float(v),
            Raw::Text(v) => Value::Text(v),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(pairs) => Value::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| {
                        let location = if key.defined == Location::UNKNOWN { key.referenced } else { key.defined };
                        let length = key.value.chars().count().max(1);
                        (Key { origin: self.origin(location, length), name: key.value }, self.node(value))
                    })
                    .collect(),
            ),
        };
        Node { value, origin }
    }
}

enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Raw, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Raw, E> {
                Ok(Raw::Int(v.into()))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Raw, E> {
                Ok(Raw::Int(v.into()))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Raw, E> {
                Ok(Raw::Float(v))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Raw, E> {
                Ok(Raw::Text(v.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Raw::Map(pairs))
            }
        }
        d.deserialize_any(Any)
    }
}
