//! Numbers that papers published, and which of our trials repeat them.

use std::collections::BTreeSet;

use harness_records::config::{MethodChoice, TrialConfig};

use crate::bit_widths::width;
use crate::error::ReportError;

/// All of them, see the head of the file.
static FILE: &str = include_str!("published.csv");

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    Top1,
    Top5,
    Perplexity,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Published {
    pub(crate) paper: String,
    pub(crate) dataset: String,
    models: Vec<String>,
    weights: Pick,
    activations: Pick,
    gradient_bits: u32,
    pub(crate) metric: Metric,
    /// Percent right, or perplexity.
    pub(crate) value: f64,
    /// The same in full precision.
    pub(crate) float: Option<f64>,
    pub(crate) epochs: Option<u32>,
    pub(crate) keep_float: Option<String>,
    pub(crate) source: String,
    /// Nobody looked it up.
    pub(crate) from_memory: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Pick {
    method: String,
    options: Vec<(String, String)>,
    bits: u32,
}

impl Pick {
    fn matches(&self, choice: &MethodChoice) -> bool {
        let has = |(name, expected): &(String, String)| {
            let found = choice.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_string());
            found.unwrap_or_default() == *expected
        };
        choice.method == self.method && width(choice) == self.bits && self.options.iter().all(has)
    }
}

impl Published {
    /// Paper and source in words, with what kind of knowledge it is.
    pub(crate) fn cited(&self) -> String {
        let memory = if self.from_memory { ", from memory" } else { "" };
        format!("{} ({}{memory})", self.paper, self.source)
    }

    /// True for a trial on the same data by the same network.
    fn same_place(&self, config: &TrialConfig) -> bool {
        self.dataset == config.dataset.name && self.models.contains(&config.model.name)
    }

    /// True for a trial whose result this number can stand beside: the same data, network, methods and bit widths.
    /// Training and everything else may differ; the ledger names it.
    pub(crate) fn matches(&self, config: &TrialConfig) -> bool {
        self.same_place(config)
            && self.weights.matches(&config.quant.weights)
            && self.activations.matches(&config.quant.activations)
            && width(&config.quant.gradients) == self.gradient_bits
    }
}

/// The number that `source` (any paper where it is `None`) published for a trial. What a paper says of full precision is
/// known where it is named, and says one thing alone.
pub(crate) fn beside(
    numbers: &[Published],
    source: Option<&str>,
    metric: Metric,
    config: &TrialConfig,
) -> Option<Published> {
    // The papers' networks are trained, and have one setting for all quantized layers.
    if config.train.epochs == 0 || !config.quant.layers.is_empty() {
        return None;
    }
    let mut known = numbers.iter().filter(|n| n.metric == metric && source.is_none_or(|source| n.paper == source));
    if !config.quant.is_float() {
        return known.find(|number| number.matches(config)).cloned();
    }
    source?;
    let float = |number: &Published| number.float.filter(|_| number.same_place(config));
    let (first, value) = known.clone().find_map(|number| Some((number, float(number)?)))?;
    known
        .filter_map(float)
        .all(|other| (other - value).abs() < f64::EPSILON)
        .then(|| Published { value, ..first.clone() })
}

/// The papers, in order. Where the embedded file is wrong, which a test finds, there are none, and a report says why.
pub(crate) fn papers() -> Vec<String> {
    let papers: BTreeSet<String> = all().unwrap_or_default().into_iter().map(|number| number.paper).collect();
    papers.into_iter().collect()
}

/// Reads the file.
///
/// # Errors
/// Only if the embedded file is wrong, which a test finds.
pub(crate) fn all() -> Result<Vec<Published>, ReportError> {
    let wrong = |reason: String| ReportError::Build { what: "the published numbers", reason };
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(FILE.as_bytes());
    let headers = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let mut numbers = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| wrong(error.to_string()))?;
        let text = |name: &str| {
            let place = headers.iter().position(|header| header == name);
            place.and_then(|place| row.get(place)).map(str::trim).unwrap_or_default()
        };
        let number = |name: &str| text(name).parse::<f64>().map_err(|_| wrong(format!("`{name}` of {row:?}")));
        let bits = |name: &str| text(name).parse::<u32>().map_err(|_| wrong(format!("`{name}` of {row:?}")));
        let pick = |role: &str, options: &str, width: &str| {
            let pairs = text(options).split_whitespace().filter_map(|pair| pair.split_once('='));
            Ok::<_, ReportError>(Pick {
                method: text(role).to_owned(),
                options: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                bits: bits(width)?,
            })
        };
        numbers.push(Published {
            paper: text("paper").to_owned(),
            dataset: text("dataset").to_owned(),
            models: text("model").split('|').map(str::to_owned).collect(),
            weights: pick("weights", "weight_options", "weight_bits")?,
            activations: pick("activations", "activation_options", "activation_bits")?,
            gradient_bits: bits("gradient_bits")?,
            metric: match text("metric") {
                "top1" => Metric::Top1,
                "top5" => Metric::Top5,
                "perplexity" => Metric::Perplexity,
                other => return Err(wrong(format!("unknown metric `{other}`"))),
            },
            value: number("value")?,
            float: (!text("float").is_empty()).then(|| number("float")).transpose()?,
            epochs: text("epochs").parse().ok(),
            keep_float: Some(text("keep_float").to_owned()).filter(|text| !text.is_empty()),
            source: text("source").to_owned(),
            from_memory: text("known") == "memory",
        });
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};

    #[test]
    fn the_file_is_sound() {
        let all = all().unwrap();
        assert!(all.len() > 100);
        for number in &all {
            let sane = match number.metric {
                Metric::Perplexity => (50.0..300.0).contains(&number.value),
                _ => (40.0..100.0).contains(&number.value),
            };
            assert!(sane && !number.source.is_empty() && !number.paper.is_empty(), "{number:?}");
            assert!((1..=32).contains(&number.weights.bits) && (1..=32).contains(&number.activations.bits));
            assert_eq!(number.weights.method == "float", number.weights.bits == 32, "{number:?}");
            assert_eq!(number.activations.method == "float", number.activations.bits == 32, "{number:?}");
        }
        // All numbers of stochastic quantization are from memory.
        assert!(all.iter().filter(|number| number.weights.method == "stochastic").all(|number| number.from_memory));
        for (i, number) in all.iter().enumerate() {
            let twin = |other: &&Published| {
                (&other.paper, &other.dataset, &other.models, &other.weights, &other.activations, other.metric)
                    == (
                        &number.paper,
                        &number.dataset,
                        &number.models,
                        &number.weights,
                        &number.activations,
                        number.metric,
                    )
                    && other.gradient_bits == number.gradient_bits
            };
            assert!(!all[i + 1..].iter().any(|other| twin(&other)), "{number:?}");
        }
    }

    #[test]
    fn a_number_stands_beside_the_trials_it_is_about() {
        let all = all().unwrap();
        let of = |weights: MethodChoice, activations: MethodChoice| {
            let record = record().quant(weights, activations, MethodChoice::float()).dataset("cifar100");
            let config = record.edit(|r| r.config.model.name = "resnet18".to_owned()).build().config;
            let found = all.iter().filter(|n| n.metric == Metric::Top1 && n.matches(&config));
            found.map(|n| n.value).collect::<Vec<_>>()
        };
        let ls = |bits, variant: &str| method("least-squares", bits, &[("variant", variant), ("skip", "1")]);
        assert_eq!(of(ls(1, "optimal"), ls(2, "optimal")), [74.4]);
        assert_eq!(of(ls(1, "optimal"), ls(2, "greedy")), [74.3]);
        assert_eq!(of(ls(1, "optimal"), MethodChoice::float()), [76.2]);
        assert_eq!(of(ls(2, "optimal"), ls(2, "optimal")), [0.0; 0]);
        assert_eq!(of(MethodChoice::float(), MethodChoice::float()), [0.0; 0]);
    }

    #[test]
    fn a_base_is_not_taken_for_what_is_built_on_it() {
        let all = all().unwrap();
        let of = |options: &[(&str, &str)]| {
            let paper = [("granularity", "filter"), ("selection", "roulette"), ("probability", "linear")];
            let options = [&paper[..], &[("schedule", "exponential")], options].concat();
            let record = record().weights(method("stochastic", 1, &options)).dataset("cifar10");
            let config = record.edit(|r| r.config.model.name = "vgg9".to_owned()).build().config;
            beside(&all, None, Metric::Top1, &config).map(|number| number.value)
        };
        assert_eq!(of(&[("base", "bwn")]), Some(90.6));
        assert_eq!(of(&[("base", "bwn"), ("portion", "1")]), Some(89.33));
        assert_eq!(of(&[("base", "bwn"), ("portion", "0.5")]), None);
    }

    #[test]
    fn full_precision_is_that_of_the_paper() {
        let all = all().unwrap();
        let of = |source: Option<&str>, model: &str| {
            let record = record().dataset("imagenet").edit(|r| r.config.model.name = model.to_owned()).build();
            beside(&all, source, Metric::Top1, &record.config).map(|number| number.value)
        };
        assert_eq!(of(Some("Zhou et al. 2017 (arXiv:1706.07145)"), "alexnet-bn"), Some(57.1));
        assert_eq!(of(Some("Pouransari et al. 2020 (arXiv:2001.02786)"), "resnet18"), Some(69.8));
        assert_eq!(of(None, "resnet18"), None);
        // Two sources of the paper say two things.
        assert_eq!(of(Some("Zhou et al. 2016 (arXiv:1606.06160)"), "alexnet-bn"), None);
    }
}
