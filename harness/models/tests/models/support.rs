//! Configurations in few words.

use harness_methods::core::StepContext;
use harness_models::{Network, Plan};
use harness_records::config::{MethodChoice, ModelChoice, QuantConfig};
use harness_records::options::{OptionValue, Options};
use tch::{Device, Tensor, nn};

pub(crate) const TRAINING: StepContext = StepContext { step: 0, total: 10, seed: 5, training: true };
pub(crate) const EVALUATION: StepContext = StepContext { training: false, ..TRAINING };

/// A model with these options and the defaults of all others.
pub(crate) fn model(name: &str, options: &[(&str, OptionValue)]) -> ModelChoice {
    let given = options.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let known = harness_models::find(name).map_or(&[][..], |model| model.about().options);
    ModelChoice { name: name.to_owned(), options: Options::resolve(known, &given).unwrap() }
}

pub(crate) fn method(name: &str, bits: u8, options: &[(&str, &str)]) -> MethodChoice {
    let given = options.iter().map(|&(key, value)| (key.to_owned(), OptionValue::Text(value.to_owned())));
    let about = harness_methods::find(name).unwrap().about();
    let options = Options::resolve(about.about.options, &given.collect()).unwrap();
    MethodChoice { method: name.to_owned(), bits: Some(bits), options }
}

pub(crate) fn quant(
    weights: MethodChoice,
    activations: MethodChoice,
    gradients: MethodChoice,
    keep: &[&str],
) -> QuantConfig {
    QuantConfig::of(weights, activations, gradients, keep.iter().map(|&name| name.to_owned()).collect())
}

pub(crate) fn float() -> QuantConfig {
    quant(MethodChoice::float(), MethodChoice::float(), MethodChoice::float(), &["first", "last"])
}

/// The network of a plan, with its variables.
pub(crate) fn network(plan: &Plan) -> (nn::VarStore, Network) {
    // Small tensors: a second thread would only be waited for.
    tch::set_num_threads(1);
    let store = nn::VarStore::new(Device::Cpu);
    let network = Network::new(plan, &store.root()).unwrap();
    (store, network)
}

/// Uniform numbers in [-2, 2).
pub(crate) fn noise(shape: &[i64], seed: u64) -> Tensor {
    harness_torch::random::uniform(shape, seed, Device::Cpu).unwrap() * 4.0 - 2.0
}
