//! A data set, a model or a method chosen by name, with its options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::{self, Deserializer};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::config::options::{OptionValue, Options};

/// A data set by name: `{name: mnist, root: /data/mnist}`, its options beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetChoice {
    /// Registered name.
    pub name: String,
    /// Folder of the files; not part of the trial id.
    pub root: Option<PathBuf>,
    /// Checked options.
    pub options: Options,
}

/// A model by name: `{name: lenet}`, its options beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// Registered name.
    pub name: String,
    /// Checked options.
    pub options: Options,
}

/// A quantization method by name: `{method: uniform, bits: 2, per: channel}`.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodChoice {
    /// Registered name; `float` means full precision.
    pub method: String,
    /// Bit width, 1..=8; `None` for `float`.
    pub bits: Option<u8>,
    /// Checked options.
    pub options: Options,
}

impl MethodChoice {
    /// Full precision: the absence of a quantizer.
    #[must_use]
    pub fn float() -> MethodChoice {
        MethodChoice { method: "float".to_owned(), bits: None, options: Options::default() }
    }

    /// True for full precision.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.method == "float"
    }
}

/// A map of scalars in which some keys have a meaning of their own and the rest are options.
pub(crate) type Scalars = BTreeMap<String, OptionValue>;

pub(crate) fn take_text<E: de::Error>(map: &mut Scalars, key: &'static str) -> Result<Option<String>, E> {
    match map.remove(key) {
        None => Ok(None),
        Some(OptionValue::Text(v)) => Ok(Some(v)),
        Some(other) => Err(E::custom(format!("`{key}` is `{other}`, expected text"))),
    }
}

/// Bits in 1..=8; `None` where there are none.
pub(crate) fn take_bits<E: de::Error>(map: &mut Scalars) -> Result<Option<u8>, E> {
    match map.remove("bits") {
        None => Ok(None),
        Some(OptionValue::Int(b)) if (1..=8).contains(&b) => Ok(u8::try_from(b).ok()),
        Some(other) => Err(E::custom(format!("`bits` is `{other}`, expected 1 to 8"))),
    }
}

pub(crate) fn serialize_choice<'a, S: Serializer>(
    s: S,
    head: &[(&str, Option<OptionValue>)],
    rest: impl Iterator<Item = (&'a str, &'a OptionValue)>,
) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(None)?;
    for (key, value) in head {
        if let Some(value) = value {
            map.serialize_entry(key, value)?;
        }
    }
    for (key, value) in rest {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

impl Serialize for DatasetChoice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let root = self.root.as_ref().map(|r| OptionValue::Text(r.to_string_lossy().into_owned()));
        serialize_choice(
            s,
            &[("name", Some(OptionValue::Text(self.name.clone()))), ("root", root)],
            self.options.iter(),
        )
    }
}

impl<'de> Deserialize<'de> for DatasetChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<DatasetChoice, D::Error> {
        let mut map = Scalars::deserialize(d)?;
        let name = take_text(&mut map, "name")?.ok_or_else(|| de::Error::missing_field("name"))?;
        let root = take_text(&mut map, "root")?.map(PathBuf::from);
        Ok(DatasetChoice { name, root, options: map.into_iter().collect() })
    }
}

impl Serialize for ModelChoice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_choice(s, &[("name", Some(OptionValue::Text(self.name.clone())))], self.options.iter())
    }
}

impl<'de> Deserialize<'de> for ModelChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ModelChoice, D::Error> {
        let mut map = Scalars::deserialize(d)?;
        let name = take_text(&mut map, "name")?.ok_or_else(|| de::Error::missing_field("name"))?;
        Ok(ModelChoice { name, options: map.into_iter().collect() })
    }
}

impl Serialize for MethodChoice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let bits = self.bits.map(|b| OptionValue::Int(i64::from(b)));
        serialize_choice(
            s,
            &[("method", Some(OptionValue::Text(self.method.clone()))), ("bits", bits)],
            self.options.iter(),
        )
    }
}

impl<'de> Deserialize<'de> for MethodChoice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<MethodChoice, D::Error> {
        let mut map = Scalars::deserialize(d)?;
        let method = take_text(&mut map, "method")?.ok_or_else(|| de::Error::missing_field("method"))?;
        let bits = take_bits(&mut map)?;
        Ok(MethodChoice { method, bits, options: map.into_iter().collect() })
    }
}
