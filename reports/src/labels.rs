//! Short names for long configurations.
//!
//! A report shows what differs among its trials and says once what is the same everywhere. An option of a method,
//! model or data set belongs to its label only when it differs among the records that use that name; the rest of the
//! configuration (training, layers kept in full precision) makes up the *setting*, again only where it differs.
//!
//! A method may come with a setting of its own: where every combination of quantizers has one value of a key, that key
//! tells nothing apart that the quantizers do not tell apart already. It is then no part of the setting, and
//! [`Labels::own_settings`] says it in a sentence. Two configurations that differ in anything but the seed and places
//! on disk never share all their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use harness_records::catalog::Catalog;
use harness_records::config::{Calibrate, InputKind, MethodChoice, QuantConfig, RangeChoice, TrainConfig, TrialConfig};
use harness_records::options::{OptionValue, Options};
use harness_records::record::RunRecord;
use serde_json::Value;

use crate::bit_widths::width;
use crate::encode::plain_or_quoted;
use crate::names::{self, Names};

/// What differs among the configurations of a report, and what does not.
#[derive(Debug)]
pub(crate) struct Labels {
    /// By kind and name of what is chosen: options that differ, with the others' common value.
    options: BTreeMap<(Kind, String), Seen>,
    /// Keys outside the choices, `train.epochs`.
    setting: Seen,
    /// Keys that differ, but only together with the quantizers.
    own: BTreeMap<String, Own>,
    /// Short names of combinations of methods.
    pub(crate) names: Names,
    /// By id, what trials are that others build on.
    families: Families,
}

/// Values of a key that a combination of quantizers has to itself: by value, names of the combinations.
type Own = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Dataset,
    Model,
    Method,
}

/// Values seen of each key.
#[derive(Debug, Default)]
struct Seen {
    values: BTreeMap<String, BTreeSet<String>>,
    /// How often each key was there, and how often it could have been: a key that is sometimes absent differs.
    present: BTreeMap<String, usize>,
    total: usize,
}

impl Seen {
    fn add(&mut self, pairs: Vec<(String, String)>) {
        self.total += 1;
        for (key, value) in pairs {
            *self.present.entry(key.clone()).or_default() += 1;
            self.values.entry(key).or_default().insert(value);
        }
    }

    fn differs(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|values| values.len() > 1) || self.present.get(key) != Some(&self.total)
    }

    fn common(&self) -> impl Iterator<Item = (&str, &str)> {
        let common = self.values.iter().filter(|(key, _)| !self.differs(key));
        common.filter_map(|(key, values)| Some((key.as_str(), values.first()?.as_str())))
    }
}

impl Labels {
    /// Labels for these records; `catalog` and `names_given` as in [`Names::new`].
    pub(crate) fn new(records: &[RunRecord], catalog: &Catalog, names_given: &BTreeMap<String, String>) -> Labels {
        let families = Families::new(records);
        let names = Names::new(records, catalog, names_given);
        let (options, setting) = (BTreeMap::new(), Seen::default());
        let mut labels = Labels { options, setting, own: BTreeMap::new(), names, families };
        for record in records {
            let TrialConfig { dataset, model, quant, .. } = &record.config;
            labels.add(Kind::Dataset, &dataset.name, &dataset.options);
            labels.add(Kind::Model, &model.name, &model.options);
            for choice in [&quant.weights, &quant.activations, &quant.gradients] {
                labels.add(Kind::Method, &choice.method, &choice.options);
            }
            let pairs = setting_pairs(&record.config, &labels.families);
            labels.setting.add(pairs);
        }
        labels.own = labels.find_own(records);
        labels
    }

    /// Keys of the setting that differ between combinations of quantizers and never within one. Networks in full
    /// precision count as one more combination. A key that is all that differs among the trials is no such key.
    fn find_own(&self, records: &[RunRecord]) -> BTreeMap<String, Own> {
        let mut values: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for record in records {
            let config = &record.config;
            let combination = names::key(&config.quant);
            let place = format!("{}\n{}\n{combination}", self.dataset(config), self.model(config));
            names.entry(place.clone()).or_insert_with(|| self.names.series(&config.quant).name);
            let pairs: BTreeMap<String, String> = setting_pairs(config, &self.families).into_iter().collect();
            for key in self.setting.values.keys().filter(|key| self.setting.differs(key)) {
                // Which layers stay in full precision is nothing to a network that is wholly so.
                if key == KEEP_FLOAT && config.quant.is_float() {
                    continue;
                }
                // A key that is left out where it has its default is a value like any other.
                let value = pairs.get(key).map_or(NOT_SET, String::as_str).to_owned();
                values.entry(key.clone()).or_default().entry(place.clone()).or_default().insert(value);
            }
        }
        // Where there is one combination of quantizers alone, settings are what the trials are about.
        if names.values().collect::<BTreeSet<_>>().len() < 2 {
            return BTreeMap::new();
        }
        let mut own = BTreeMap::new();
        for (key, places) in values {
            if places.values().all(|values| values.len() == 1) {
                let mut by_value = Own::new();
                for (place, value) in places.iter().flat_map(|(place, values)| values.iter().map(move |v| (place, v))) {
                    by_value.entry(value.clone()).or_default().insert(names[place].clone());
                }
                own.insert(key, by_value);
            }
        }
        own
    }

    /// Sentences on what names and settings leave out, for captions and notes.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.names.remarks().to_vec();
        remarks.extend(self.own_settings());
        remarks
    }

    /// Sentences on settings that methods have to themselves.
    fn own_settings(&self) -> Vec<String> {
        let sentence = |(key, values): (&String, &Own)| {
            let most = values.iter().max_by_key(|(_, names)| names.len()).map(|(value, _)| value);
            let others = values.iter().filter(|(value, _)| Some(*value) != most).map(|(value, names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{value} for {}", names.join(", "))
            });
            let others: Vec<String> = others.collect();
            let most = most.map(String::as_str).unwrap_or_default();
            match others.is_empty() {
                true => format!("{key} is {most} where it matters."),
                false => format!("{key} is {}, otherwise {most}.", others.join(" and ")),
            }
        };
        self.own.iter().map(sentence).collect()
    }

    fn add(&mut self, kind: Kind, name: &str, options: &Options) {
        self.options.entry((kind, name.to_owned())).or_default().add(option_pairs(options));
    }

    fn choice(&self, kind: Kind, name: &str, options: &Options) -> String {
        let Some(seen) = self.options.get(&(kind, name.to_owned())) else { return name.to_owned() };
        let shown: Vec<String> = option_pairs(options)
            .into_iter()
            .filter(|(key, _)| seen.differs(key))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if shown.is_empty() { name.to_owned() } else { format!("{name} ({})", shown.join(", ")) }
    }

    /// The data set with the options that differ.
    pub(crate) fn dataset(&self, config: &TrialConfig) -> String {
        self.choice(Kind::Dataset, &config.dataset.name, &config.dataset.options)
    }

    /// The model with the options that differ.
    pub(crate) fn model(&self, config: &TrialConfig) -> String {
        self.choice(Kind::Model, &config.model.name, &config.model.options)
    }

    /// One method with the options that differ, without its bit width.
    pub(crate) fn method(&self, choice: &MethodChoice) -> String {
        self.choice(Kind::Method, &choice.method, &choice.options)
    }

    /// All methods of a trial in one short name, see [`Names`].
    pub(crate) fn quant(&self, quant: &QuantConfig) -> String {
        self.names.series(quant).name
    }

    /// Whatever else differs, `train.epochs=5, train.optimizer.lr=0.01`; empty when nothing does.
    pub(crate) fn setting(&self, config: &TrialConfig) -> String {
        self.differing_setting(config, |_| true)
    }

    /// As [`Labels::setting`], without what cannot matter to a network in full precision.
    pub(crate) fn float_setting(&self, config: &TrialConfig) -> String {
        self.differing_setting(config, |key| key != KEEP_FLOAT)
    }

    /// As [`Labels::setting`], only of the keys that are wanted.
    pub(crate) fn differing_setting(&self, config: &TrialConfig, wanted: impl Fn(&str) -> bool) -> String {
        if !self.setting.values.keys().any(|key| self.setting.differs(key)) {
            return String::new();
        }
        let mut text = String::new();
        for (key, value) in setting_pairs(config, &self.families)
            .into_iter()
            .filter(|(key, _)| wanted(key) && self.setting.differs(key) && !self.own.contains_key(key))
        {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{key}={value}");
        }
        text
    }

    /// What is the same in every trial: settings, then options by the name they belong to.
    pub(crate) fn common(&self) -> Vec<(String, String)> {
        let mut common: Vec<(String, String)> =
            self.setting.common().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        for ((kind, name), seen) in &self.options {
            let kind = match kind {
                Kind::Dataset => "dataset",
                Kind::Model => "model",
                Kind::Method => "method",
            };
            common.extend(seen.common().map(|(key, value)| (format!("{kind} {name}: {key}"), value.to_owned())));
        }
        common
    }
}

const KEEP_FLOAT: &str = "quant.keep_float";

/// The value of a key that a trial has not.
const NOT_SET: &str = "not set";

fn option_pairs(options: &Options) -> Vec<(String, String)> {
    options.iter().map(|(key, value)| (key.to_owned(), option_text(value))).collect()
}

/// A plain word as it is; other text between quotes, so that no value can look like the next option.
fn option_text(value: &OptionValue) -> String {
    match value {
        OptionValue::Text(text) => plain_or_quoted(text),
        other => other.to_string(),
    }
}

/// Keys that mean nothing to most trials: left out where they have their defaults.
const SELDOM: [&str; 7] = ["accumulate", "ema", "amp", "bptt", "limit_test", "init", "distill"];

/// Every key of a configuration that is neither a choice by name nor the seed, in dotted form. How often a trial was
/// checkpointed changes nothing.
fn setting_pairs(config: &TrialConfig, families: &Families) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    // A configuration of plain numbers and words always has a JSON form.
    let defaults = serde_json::to_value(TrainConfig::default()).unwrap_or_default();
    if let Ok(Value::Object(mut train)) = serde_json::to_value(&config.train) {
        train.retain(|name, value| !SELDOM.contains(&name.as_str()) || defaults.get(name) != Some(value));
        train.remove("seed");
        train.remove("checkpoint_every");
        if let (Some(place), Some(calibrate)) = (train.get_mut("calibrate"), &config.train.calibrate) {
            *place = calibration(calibrate).into();
        }
        flatten("train", &Value::Object(train), &mut pairs);
    }
    for (_, value) in pairs.iter_mut().filter(|(key, _)| BUILT_ON.contains(&key.as_str())) {
        *value = families.name(value).to_owned();
    }
    let kept: Vec<String> = config.quant.keep_float.iter().map(|name| plain_or_quoted(name)).collect();
    pairs.push((KEEP_FLOAT.to_owned(), format!("[{}]", kept.join(", "))));
    if config.quant.input == InputKind::Bytes {
        pairs.push(("quant.input".to_owned(), "bytes".to_owned()));
    }
    pairs
}

/// A calibration in a few words: `1000 images, mse, batch norm`.
fn calibration(calibrate: &Calibrate) -> String {
    let range = match calibrate.activations {
        RangeChoice::Max => "max".to_owned(),
        RangeChoice::Percentile => format!("percentile {}", calibrate.percentile),
        RangeChoice::Mse => "mse".to_owned(),
    };
    let norm = if calibrate.batch_norm { ", batch norm" } else { "" };
    format!("{} images, {range}{norm}", calibrate.images)
}

/// Keys whose values are ids of other trials.
const BUILT_ON: [&str; 2] = ["train.init.trial", "train.distill.teacher"];

/// What the trials are that others build on. Their ids differ from seed to seed, which must not tell the settings of
/// two seeds apart: trials that differ in nothing but the seed are one family.
#[derive(Debug, Default)]
struct Families {
    names: BTreeMap<String, String>,
}

impl Families {
    fn new(records: &[RunRecord]) -> Families {
        let needed: BTreeSet<&str> = records.iter().flat_map(|record| record.config.train.needs()).collect();
        let mut families = Families::default();
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in records.iter().filter(|record| needed.contains(record.id.as_str())) {
            let mut config = record.config.clone();
            config.train.seed = 0;
            let json = serde_json::to_value(&config).unwrap_or_default().to_string();
            let short = short(&config.quant);
            let known = members.entry(short.clone()).or_default();
            let number = known.iter().position(|other| *other == json).unwrap_or_else(|| {
                known.push(json);
                known.len() - 1
            });
            let name = if number == 0 { short } else { format!("{short}-{}", number + 1) };
            families.names.insert(record.id.clone(), name);
        }
        families
    }

    /// The family of a trial; its id where its record is not there.
    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

/// `float`, or `dorefa-w2a32`.
fn short(quant: &QuantConfig) -> String {
    if quant.is_float() {
        return quant.weights.method.clone();
    }
    let named = [&quant.weights, &quant.activations, &quant.gradients].into_iter().find(|choice| !choice.is_float());
    let method = named.map_or("layers", |choice| choice.method.as_str());
    format!("{method}-w{}a{}", width(&quant.weights), width(&quant.activations))
}

fn flatten(key: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&format!("{key}.{name}"), value, pairs)),
        Value::Null => pairs.push((key.to_owned(), "none".to_owned())),
        Value::String(text) => pairs.push((key.to_owned(), plain_or_quoted(text))),
        other => pairs.push((key.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use harness_records::config::Init;

    fn labels(records: &[RunRecord]) -> Labels {
        Labels::new(records, &Catalog::default(), &BTreeMap::new())
    }

    #[test]
    fn only_what_differs_is_shown() {
        let mut records = vec![
            record().weights(method("uniform", 2, &[("per", "channel"), ("range", "symmetric")])).seed(0).build(),
            record().weights(method("uniform", 2, &[("per", "tensor"), ("range", "symmetric")])).seed(1).build(),
            record().weights(method("dorefa", 2, &[("per", "tensor")])).seed(2).build(),
        ];
        let again = {
            let mut again = records[2].clone();
            again.config.train.epochs = 7;
            again
        };
        records.push(again);
        let labels = labels(&records);
        let settings: Vec<String> = records.iter().map(|r| labels.setting(&r.config)).collect();
        assert_eq!(settings[2..], ["train.epochs=10", "train.epochs=7"]);
        let common = labels.common();
        assert!(common.contains(&("method uniform: range".to_owned(), "symmetric".to_owned())), "{common:?}");
        assert!(common.contains(&("train.batch".to_owned(), "128".to_owned())), "{common:?}");
        assert!(!common.iter().any(|(key, _)| key.contains("seed") || key.contains("root")), "{common:?}");
    }

    #[test]
    fn a_setting_that_a_method_has_to_itself_does_not_part_it_from_the_others() {
        let restarted = record().weights(method("stochastic", 2, &[])).edit(|r| r.config.train.restarts = 4);
        let records = [record().build(), record().weights(method("dorefa", 2, &[])).build(), restarted.build()];
        let of = labels(&records);
        assert!(records.iter().all(|record| of.setting(&record.config).is_empty()));
        assert_eq!(of.remarks(), ["train.restarts is 4 for stochastic, otherwise 1."]);
        // Where one method has both values, they are what tells the trials apart.
        let mut records = records.to_vec();
        records.push(record().weights(method("stochastic", 2, &[])).build());
        let of = labels(&records);
        assert_eq!(of.setting(&records[2].config), "train.restarts=4");
        assert!(of.remarks().is_empty());
        // And so are they where there is one combination of methods alone.
        let alone = [1, 4].map(|restarts| record().edit(|r| r.config.train.restarts = restarts).build());
        assert_eq!(labels(&alone).setting(&alone[1].config), "train.restarts=4");
    }

    /// A key that one trial has and another of the same methods has not tells the two apart.
    #[test]
    fn a_key_that_only_some_trials_have_parts_them() {
        let calibrate = Calibrate { images: 100, batch_norm: true, activations: RangeChoice::Mse, percentile: 99.9 };
        let plain = record().weights(method("dorefa", 2, &[])).build();
        let calibrated =
            record().weights(method("dorefa", 2, &[])).edit(|r| r.config.train.calibrate = Some(calibrate));
        let averaged = record().weights(method("dorefa", 2, &[])).edit(|r| r.config.train.ema = Some(0.9)).build();
        let records = [record().build(), plain, calibrated.build(), averaged];
        let of = labels(&records);
        let settings: Vec<String> = records.iter().map(|record| of.setting(&record.config)).collect();
        assert_eq!(settings, ["", "", "train.calibrate=\"100 images, mse, batch norm\"", "train.ema=0.9"]);
        assert!(of.remarks().is_empty(), "{:?}", of.remarks());
    }

    #[test]
    fn what_a_trial_builds_on_is_named_alike_for_all_seeds() {
        let float = |seed: u64, epochs: u32, id: &str| {
            let mut record = record().seed(seed).build();
            (record.id, record.config.train.epochs) = (id.to_owned(), epochs);
            record
        };
        let student = |seed: u64, id: &str| {
            let mut record = record().weights(method("uniform", 2, &[])).seed(seed).build();
            record.config.train.init = Some(Init::Trial(id.to_owned()));
            record
        };
        let records = [
            float(0, 10, "a"),
            float(1, 10, "b"),
            float(0, 90, "c"),
            student(0, "a"),
            student(1, "b"),
            student(0, "c"),
            student(1, "absent"),
        ];
        let labels = labels(&records);
        let settings: Vec<String> = records.iter().map(|r| labels.setting(&r.config)).collect();
        assert_eq!(settings[3], "train.epochs=10, train.init.trial=float");
        assert_eq!(settings[4], settings[3]);
        assert_eq!(settings[5], "train.epochs=10, train.init.trial=float-2");
        assert_eq!(settings[6], "train.epochs=10, train.init.trial=absent");
        assert_eq!(settings[0], "train.epochs=10");
    }
}
