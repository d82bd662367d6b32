//! Numbers that papers published, and which of our trials repeat them.

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
            choice.options.iter().any(|(known, value)| known == name && value.to_string() == *expected)
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

    /// True for a trial whose result this number can stand beside: the same data, network, methods and bit widths.
    /// Training and everything else may differ; the ledger names it.
    pub(crate) fn matches(&self, config: &TrialConfig) -> bool {
        self.dataset == config.dataset.name
            && self.models.contains(&config.model.name)
            && self.weights.matches(&config.quant.weights)
            && self.activations.matches(&config.quant.activations)
            && width(&config.quant.gradients) == self.gradient_bits
    }
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
}
