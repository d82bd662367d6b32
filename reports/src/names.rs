//! The shortest names that tell apart what is quantized how.
//!
//! A figure draws one line for a combination of methods, and its points are bit widths. So a name needs no more than
//! what tells two combinations *of the same bit widths* apart: the methods, and of their options only those that do.
//! Options that change along a line (a variant that a method has from 3 bits upward, for example) are not part of the
//! name; [`Names::remarks`] puts them in sentences. An option at its default is never shown.
//!
//! Two trials that differ in a quantizer never have the same name and the same bit widths.

use std::collections::{BTreeMap, BTreeSet};

use harness_records::catalog::Catalog;
use harness_records::config::{LayerRule, MethodChoice, QuantConfig};
use harness_records::options::{About, OptionValue, Options};
use harness_records::record::RunRecord;

use crate::bit_widths::width;
use crate::encode::plain_or_quoted;

/// What one line of a figure is about: a combination of methods without bit widths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesName {
    /// The methods without options; a colour stands for it.
    pub(crate) family: String,
    /// The whole name.
    pub(crate) name: String,
}

/// Names of all combinations of methods in a report.
#[derive(Debug, Default)]
pub(crate) struct Names {
    series: BTreeMap<String, SeriesName>,
    remarks: Vec<String>,
}

/// What methods of one role are called in sentences.
const ROLES: [&str; 3] = ["weights", "activations", "gradients"];

/// The choice of one role, reduced to what matters for its name.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    method: String,
    width: u32,
    float: bool,
    /// Options that differ from their defaults.
    options: BTreeMap<String, OptionValue>,
    /// Defaults of all options that have one.
    defaults: BTreeMap<String, OptionValue>,
}

/// One distinct combination.
#[derive(Debug, Clone)]
struct Combination {
    parts: [Part; 3],
    /// What differs in some layers, in words; empty where nothing does.
    layers: String,
    /// Methods that only the settings of some layers name.
    layer_methods: Vec<String>,
    /// The sweep file's own name for it.
    label: Option<String>,
}

impl Combination {
    fn widths(&self) -> [u32; 3] {
        [0, 1, 2].map(|role| self.parts[role].width)
    }

    fn methods(&self) -> [String; 3] {
        [0, 1, 2].map(|role| {
            let part = &self.parts[role];
            if part.float { String::new() } else { part.method.clone() }
        })
    }

    /// True where the setting of the network quantizes nothing.
    fn is_float_but_for_layers(&self) -> bool {
        self.parts.iter().all(|part| part.float)
    }
}

/// An option of the method of one role.
type OptionPlace = (usize, String);

impl Names {
    /// Names for what is quantized in `records`. `catalog` knows the defaults of options; `labels` holds names that a
    /// sweep file gives, by trial.
    pub(crate) fn new(records: &[RunRecord], catalog: &Catalog, labels: &BTreeMap<String, String>) -> Names {
        let mut combinations: BTreeMap<String, Combination> = BTreeMap::new();
        for record in records {
            let quant = &record.config.quant;
            let combination = combinations.entry(key(quant)).or_insert_with(|| Combination {
                parts: roles(quant).map(|choice| part(choice, catalog)),
                layers: quant.layers_label(),
                layer_methods: layer_methods(quant),
                label: None,
            });
            if combination.label.is_none() {
                combination.label = labels.get(&record.id).cloned();
            }
        }
        let shared = shared_roles(combinations.values());
        let mut alike: BTreeMap<[String; 3], Vec<&Combination>> = BTreeMap::new();
        for combination in combinations.values() {
            alike.entry(combination.methods()).or_default().push(combination);
        }
        // By methods: the options that are told, and the values that do not say which option they are of.
        let told: BTreeMap<[String; 3], (BTreeSet<OptionPlace>, BTreeSet<String>)> =
            alike.into_iter().map(|(methods, alike)| (methods, (telling(&alike), ambiguous(&alike)))).collect();
        let mut series: BTreeMap<String, SeriesName> = BTreeMap::new();
        for (key, combination) in &combinations {
            let (places, ambiguous) = &told[&combination.methods()];
            let name = combination
                .label
                .clone()
                .unwrap_or_else(|| with_layers(combination, short(combination, places, ambiguous, &shared)));
            series.insert(key.clone(), SeriesName { family: family(combination, &shared), name });
        }
        lengthen(&mut series, &combinations);
        let remarks = remarks(&series, &combinations, &shared);
        Names { series, remarks }
    }

    /// The name of a combination; of one that no record has, its methods.
    pub(crate) fn series(&self, quant: &QuantConfig) -> SeriesName {
        self.series.get(&key(quant)).cloned().unwrap_or_else(|| {
            let name = joined(&roles(quant).map(|choice| choice.method.clone()));
            SeriesName { family: name.clone(), name }
        })
    }

    /// Families of methods that quantize something, in order; the place of each decides its colour in every figure.
    pub(crate) fn families(&self) -> Vec<&str> {
        let mut families: Vec<&str> = Vec::new();
        for series in self.series.values().filter(|series| series.family != FLOAT) {
            if !families.contains(&series.family.as_str()) {
                families.push(&series.family);
            }
        }
        families.sort_unstable();
        families
    }

    /// Names of one family, in order.
    pub(crate) fn variants(&self, family: &str) -> Vec<&str> {
        let names: BTreeSet<&str> =
            self.series.values().filter(|series| series.family == family).map(|series| series.name.as_str()).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_by_key(|name| (*name != family, *name));
        names
    }

    /// Sentences on what the names leave out.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

/// Name of the family of networks in full precision.
pub(crate) const FLOAT: &str = "float";

fn roles(quant: &QuantConfig) -> [&MethodChoice; 3] {
    [&quant.weights, &quant.activations, &quant.gradients]
}

/// What is quantized how, bit widths included, in one text.
pub(crate) fn key(quant: &QuantConfig) -> String {
    // Plain numbers and words always have a JSON form.
    let mut key = serde_json::to_string(&roles(quant)).unwrap_or_default();
    // Without settings of single layers the key is what it was before there were any: it decides an order.
    if !quant.layers.is_empty() {
        key += &serde_json::to_string(&quant.layers).unwrap_or_default();
    }
    key
}

/// Settings of single layers longer than this are counted and not spelled out in a name.
const LONGEST_LAYERS: usize = 60;

fn layer_methods(quant: &QuantConfig) -> Vec<String> {
    let changes = quant.layers.iter().flat_map(LayerRule::changes);
    let mut methods: Vec<String> = Vec::new();
    for method in changes.filter_map(|change| change.method.clone()).filter(|method| method != FLOAT) {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods
}

/// A name with what differs in some layers behind it.
fn with_layers(combination: &Combination, name: String) -> String {
    match combination.layers.as_str() {
        "" => name,
        layers if layers.chars().count() <= LONGEST_LAYERS => format!("{name}, {layers}"),
        layers => format!("{name}, {} settings of layers", layers.split("; ").count()),
    }
}

fn part(choice: &MethodChoice, catalog: &Catalog) -> Part {
    let about = catalog.methods.iter().map(|entry| entry.about).find(|about| about.name == choice.method);
    let options: &Options =
        &about.map_or_else(|| choice.options.clone(), |about| without_defaults(&choice.options, about));
    Part {
        method: choice.method.clone(),
        width: width(choice),
        float: choice.is_float(),
        options: owned(options),
        defaults: about.map_or_else(BTreeMap::new, |about| owned(&Options::defaults(about.options))),
    }
}

fn owned(options: &Options) -> BTreeMap<String, OptionValue> {
    options.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

fn without_defaults(options: &Options, about: &About) -> Options {
    options.non_default(about.options)
}

/// Roles beside the weights whose quantizer is the same wherever there is one: naming it tells nothing apart.
fn shared_roles<'a>(combinations: impl Iterator<Item = &'a Combination> + Clone) -> BTreeMap<usize, String> {
    let mut shared = BTreeMap::new();
    let weights: BTreeSet<&str> =
        combinations.clone().filter(|c| !c.parts[0].float).map(|c| c.parts[0].method.as_str()).collect();
    // Where all weights have one method as well, the pair is named by both.
    if weights.len() < 2 {
        return shared;
    }
    for role in [1, 2] {
        let mut parts = combinations.clone().map(|c| &c.parts[role]).filter(|part| !part.float);
        let Some(first) = parts.next() else { continue };
        if parts.all(|part| (&part.method, &part.options) == (&first.method, &first.options)) {
            shared.insert(role, first.method.clone());
        }
    }
    shared
}

/// The fewest options that tell apart every two combinations of the same bit widths, all of them of the same methods.
/// Options are added one at a time, the one that tells most pairs apart first.
fn telling(alike: &[&Combination]) -> BTreeSet<OptionPlace> {
    let mut chosen = BTreeSet::new();
    let mut pairs: Vec<BTreeSet<OptionPlace>> = Vec::new();
    for (i, one) in alike.iter().enumerate() {
        for other in &alike[i + 1..] {
            if one.widths() == other.widths() && one.label == other.label && one.layers == other.layers {
                pairs.push(differing(one, other));
            }
        }
    }
    pairs.retain(|pair| !pair.is_empty());
    while !pairs.is_empty() {
        let mut counts: BTreeMap<&OptionPlace, usize> = BTreeMap::new();
        for place in pairs.iter().flatten() {
            *counts.entry(place).or_default() += 1;
        }
        let Some(best) = counts.iter().max_by_key(|(place, count)| (**count, std::cmp::Reverse(*place))) else { break };
        let best = (*best.0).clone();
        pairs.retain(|pair| !pair.contains(&best));
        chosen.insert(best);
    }
    chosen
}

fn differing(one: &Combination, other: &Combination) -> BTreeSet<OptionPlace> {
    let mut places = BTreeSet::new();
    for role in 0..3 {
        let (a, b) = (&one.parts[role].options, &other.parts[role].options);
        for name in a.keys().chain(b.keys()) {
            if a.get(name) != b.get(name) {
                places.insert((role, name.clone()));
            }
        }
    }
    places
}

/// Method names with what joins them; equal ones once, and those of full precision not at all.
fn joined(parts: &[String; 3]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !names.contains(&part.as_str()) {
            names.push(part);
        }
    }
    if names.is_empty() { FLOAT.to_owned() } else { names.join(" + ") }
}

/// Which roles a name speaks of.
fn spoken(combination: &Combination, role: usize, shared: &BTreeMap<usize, String>) -> bool {
    let left_out = shared.contains_key(&role) && !combination.parts[0].float;
    !combination.parts[role].float && !left_out
}

fn family(combination: &Combination, shared: &BTreeMap<usize, String>) -> String {
    if combination.is_float_but_for_layers() && !combination.layer_methods.is_empty() {
        return combination.layer_methods.join(" + ");
    }
    joined(&[0, 1, 2].map(|role| match spoken(combination, role, shared) {
        true => combination.parts[role].method.clone(),
        false => String::new(),
    }))
}

fn short(
    combination: &Combination,
    places: &BTreeSet<OptionPlace>,
    ambiguous: &BTreeSet<String>,
    shared: &BTreeMap<usize, String>,
) -> String {
    if combination.is_float_but_for_layers() {
        return combination.parts[0].method.clone();
    }
    let mut names = [0, 1, 2].map(|role| {
        if !spoken(combination, role, shared) {
            return String::new();
        }
        let part = &combination.parts[role];
        let shown = part.options.iter().filter(|(name, _)| places.contains(&(role, (*name).clone())));
        let words = shown.map(|(name, value)| {
            let same =
                |other: &OptionPlace| other.0 == role && other.1 != *name && ambiguous.contains(&value.to_string());
            format!(", {}", in_words(name, value, places.iter().any(same)))
        });
        format!("{}{}", part.method, words.collect::<String>())
    });
    // A method that the weights have too is named once, with the options of the weights.
    let of_weights = combination.parts[0].method.clone();
    for name in names.iter_mut().skip(1).filter(|name| !combination.parts[0].float && **name == of_weights) {
        name.clear();
    }
    joined(&names)
}

/// Values that more than one option of these combinations has: such a value does not say which option it is of.
fn ambiguous(alike: &[&Combination]) -> BTreeSet<String> {
    let mut options: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in alike.iter().flat_map(|combination| &combination.parts).flat_map(|part| &part.options) {
        options.entry(value.to_string()).or_default().insert(name);
    }
    options.into_iter().filter(|(_, names)| names.len() > 1).map(|(value, _)| value).collect()
}

/// An option in few words: a value that is a word speaks for itself, a number does not.
fn in_words(name: &str, value: &OptionValue, with_key: bool) -> String {
    match value {
        OptionValue::Text(text) if with_key => format!("{name} {}", plain_or_quoted(text)),
        OptionValue::Bool(true) => name.to_owned(),
        OptionValue::Bool(false) => format!("no {name}"),
        OptionValue::Text(text) if text.chars().any(char::is_alphabetic) && text != "none" => plain_or_quoted(text),
        OptionValue::Text(text) => format!("{name} {}", plain_or_quoted(text)),
        number => format!("{name} {number}"),
    }
}

/// A name with everything in it.
fn full(combination: &Combination) -> String {
    let parts = combination.parts.iter().zip(ROLES).filter(|(part, _)| !part.float).map(|(part, role)| {
        let options: Vec<String> =
            part.options.iter().map(|(name, value)| format!("{name}={}", quoted_value(value))).collect();
        let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(", ")) };
        format!("{role} {}{options}", part.method)
    });
    let mut all: Vec<String> = parts.collect();
    if !combination.layers.is_empty() {
        all.push(format!("layers {}", combination.layers));
    }
    all.join(" + ")
}

fn quoted_value(value: &OptionValue) -> String {
    match value {
        OptionValue::Text(text) => plain_or_quoted(text),
        other => other.to_string(),
    }
}

/// Gives combinations of the same name and bit widths longer names, until none are left.
fn lengthen(series: &mut BTreeMap<String, SeriesName>, combinations: &BTreeMap<String, Combination>) {
    for attempt in 0..2 {
        let mut taken: BTreeMap<(String, [u32; 3]), Vec<&String>> = BTreeMap::new();
        for (key, combination) in combinations {
            taken.entry((series[key].name.clone(), combination.widths())).or_default().push(key);
        }
        for ((name, _), keys) in taken.into_iter().filter(|(_, keys)| keys.len() > 1) {
            for (number, key) in (1..).zip(keys) {
                let longer = match (attempt, &combinations[key].label) {
                    (0, Some(label)) => format!("{label}: {}", full(&combinations[key])),
                    (0, None) => full(&combinations[key]),
                    // The same even so: options that the tables do not know as different. Numbers tell them apart.
                    _ => format!("{name} #{number}"),
                };
                if let Some(found) = series.get_mut(key) {
                    found.name = longer;
                }
            }
        }
    }
}

/// What names leave out: a quantizer that all combinations share, and options that change along a line.
fn remarks(
    series: &BTreeMap<String, SeriesName>,
    combinations: &BTreeMap<String, Combination>,
    shared: &BTreeMap<usize, String>,
) -> Vec<String> {
    let mut remarks: Vec<String> =
        shared.iter().map(|(role, method)| format!("Quantized {} are by {method}.", ROLES[*role])).collect();
    let mut by_name: BTreeMap<&str, Vec<&Combination>> = BTreeMap::new();
    for (key, series) in series {
        by_name.entry(&series.name).or_default().push(&combinations[key]);
    }
    for (name, members) in by_name {
        let places: BTreeSet<OptionPlace> = members.iter().flat_map(|one| differing(members[0], one)).collect();
        for (role, option) in places {
            let mut values: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
            for part in members.iter().map(|member| &member.parts[role]).filter(|part| !part.float) {
                let value = part.options.get(&option).or_else(|| part.defaults.get(&option));
                let value = value.map_or_else(|| "its default".to_owned(), quoted_value);
                values.entry(value).or_default().insert(part.width);
            }
            if values.len() > 1 {
                let said = values.iter().map(|(value, widths)| {
                    let widths: Vec<String> = widths.iter().map(u32::to_string).collect();
                    format!("{value} at {}", widths.join(", "))
                });
                let said = said.collect::<Vec<_>>().join(" and ");
                remarks.push(format!("{name}: {option} of the {} is {said} bits.", ROLES[role]));
            }
        }
    }
    if combinations.values().any(|combination| !combination.layers.is_empty()) {
        remarks.push("Bit widths are those of the network; layers with a setting of their own are named.".to_owned());
    }
    remarks
}

#[cfg(test)]
mod tests;
