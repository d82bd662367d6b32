//! Records for tests: one sound trial, and words to change it.

use harness_records::config::{
    DatasetChoice, MethodChoice, ModelChoice, QuantConfig, ScheduleConfig, TrainConfig, TrialConfig,
};
use harness_records::options::{OptionValue, Options};
use harness_records::record::{
    Environment, FORMAT, FailureClass, LayerRecord, Metrics, ModelRecord, RecordedDevice, Role, RunRecord, Status,
    TimeRecord, TrialError,
};

pub(crate) fn options(pairs: &[(&str, &str)]) -> Options {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), OptionValue::Text((*value).to_owned()))).collect()
}

pub(crate) fn method(name: &str, bits: u8, pairs: &[(&str, &str)]) -> MethodChoice {
    MethodChoice { method: name.to_owned(), bits: Some(bits), options: options(pairs) }
}

#[derive(Debug, Clone)]
pub(crate) struct Builder(RunRecord);

/// LeNet in full precision on digits, seed 0, 97.5 % right.
pub(crate) fn record() -> Builder {
    let config = TrialConfig {
        dataset: DatasetChoice { name: "digits".to_owned(), root: None, options: Options::default() },
        model: ModelChoice { name: "lenet".to_owned(), options: Options::default() },
        train: TrainConfig { schedule: ScheduleConfig::Cosine { end: 0.0, warmup: 0.0 }, ..TrainConfig::default() },
        quant: QuantConfig::of(
            MethodChoice::float(),
            MethodChoice::float(),
            MethodChoice::float(),
            vec!["first".to_owned(), "last".to_owned()],
        ),
    };
    Builder(RunRecord {
        format: FORMAT,
        id: String::new(),
        sweep: "quickstart".to_owned(),
        status: Status::Ok,
        error: None,
        config,
        seed: 0,
        metrics: Some(Metrics { loss: 0.1, top1: Some(0.975), top5: None, perplexity: None }),
        epochs: Vec::new(),
        layers: Vec::new(),
        model: ModelRecord { parameters: 1000, macs: 5000, weight_bits: 32_000, bit_ops: 5_120_000 },
        time: TimeRecord { started: 1_700_000_000, finished: 1_700_000_002, seconds: 2.0, resumed: 0 },
        environment: Environment {
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            dirty: Some(false),
            harness: "0.1.0".to_owned(),
            libtorch: "2.11.0".to_owned(),
            device: RecordedDevice::Cpu,
            device_name: "Example CPU".to_owned(),
            cpu: "Example CPU".to_owned(),
            cpu_capability: "AVX2".to_owned(),
            threads: 1,
            host: "example".to_owned(),
            platform: "linux-x86_64".to_owned(),
        },
        attempt: 1,
        losses: None,
        split: None,
        correct_samples: None,
    })
}

impl Builder {
    pub(crate) fn quant(mut self, weights: MethodChoice, activations: MethodChoice, gradients: MethodChoice) -> Self {
        let quant = &mut self.0.config.quant;
        (quant.weights, quant.activations, quant.gradients) = (weights, activations, gradients);
        self
    }

    pub(crate) fn weights(mut self, choice: MethodChoice) -> Self {
        self.0.config.quant.weights = choice;
        self
    }

    pub(crate) fn activations(mut self, choice: MethodChoice) -> Self {
        self.0.config.quant.activations = choice;
        self
    }

    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self.0.config.train.seed = seed;
        self
    }

    pub(crate) fn dataset(mut self, name: &str) -> Self {
        self.0.config.dataset.name = name.to_owned();
        self
    }

    pub(crate) fn top1(mut self, top1: f64) -> Self {
        self.0.metrics = Some(Metrics { loss: 1.0 - top1, top1: Some(top1), top5: None, perplexity: None });
        self
    }

    pub(crate) fn effective_bits(mut self, layers: &[(Role, f64)]) -> Self {
        let layer = |(index, &(role, effective_bits)): (usize, &(Role, f64))| LayerRecord {
            layer: format!("layer{index}"),
            role,
            method: self.0.config.quant.weights.method.clone(),
            bits: 8,
            shape: vec![10],
            relative_mse: 0.1,
            effective_bits,
            code_counts: Vec::new(),
            fraction: 1.0,
            values: None,
        };
        self.0.layers = layers.iter().enumerate().map(layer).collect();
        self
    }

    pub(crate) fn ended(mut self, status: Status, class: FailureClass, message: &str) -> Self {
        self.0.status = status;
        self.0.error = Some(TrialError { class, message: message.to_owned() });
        self.0.metrics = None;
        self
    }

    pub(crate) fn edit(mut self, change: impl FnOnce(&mut RunRecord)) -> Self {
        change(&mut self.0);
        self
    }

    /// The record; unless set, its id is made from the configuration, so that different trials have different ids.
    pub(crate) fn build(mut self) -> RunRecord {
        if self.0.id.is_empty() {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(&self.0.config).unwrap().hash(&mut hasher);
            self.0.id = format!("{:016x}", hasher.finish());
        }
        self.0
    }
}
