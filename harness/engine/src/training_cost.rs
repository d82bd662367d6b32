//! What a quantized training step costs: forward pass, backward pass and update of the same network, quantized and in
//! full precision. Both are timed alternately in one process, so that a change of the machine's speed affects both.

use std::time::Instant;

use harness_methods::core::StepContext;
use harness_models::layer::Layer;
use harness_models::{ModelError, Network, Plan};
use harness_records::config::{MethodChoice, OptimizerConfig, QuantConfig};
use harness_records::options::{OptionValue, Options};
use serde::Serialize;
use tch::{Device, Kind, Reduction, Tensor, nn};

use crate::failure::EngineError;
use crate::optimizer::Optimizer;

/// Minimum time of one measurement, seconds.
const LEAST_SECONDS: f64 = 0.3;

const CLASSES: i64 = 10;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// LeNet on 1x28x28 and VGG-9 of width 16 on 3x32x32, in full precision and with DoReFa at 2 bits.
    Networks,
    /// Every method on the layer shapes of ResNet-20 on 3x32x32.
    Methods,
}

/// A network and how it is quantized.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the network in the result.
    pub network: &'static str,
    /// Name of the quantization in the result.
    pub quantization: &'static str,
    layers: Vec<Layer>,
    quant: QuantConfig,
    input: [i64; 3],
}

/// What came out for one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Network.
    pub network: &'static str,
    /// Quantization.
    pub quantization: &'static str,
    /// Training images a second, median over the rounds.
    pub images_per_second: f64,
    /// Time of a step over the float step of the same network and round: median over the rounds.
    pub ratio_to_float: f64,
    /// Minimum and maximum of these ratios.
    pub ratio_range: (f64, f64),
}

/// The cases of a suite.
///
/// # Errors
/// A model of the suite does not exist, or an option of it has no value.
pub fn cases(suite: Suite) -> Result<Vec<Case>, EngineError> {
    match suite {
        Suite::Networks => {
            let mut cases = Vec::new();
            for (network, layers, input) in [
                ("lenet", layers("lenet", &[], [1, 28, 28])?, [1, 28, 28]),
                ("vgg9 width 16", layers("vgg9", &[("width", 16)], [3, 32, 32])?, [3, 32, 32]),
            ] {
                for (quantization, choice) in [("float", None), ("dorefa w2a2", Some(("dorefa", 2, &[][..])))] {
                    cases.push(Case {
                        network,
                        quantization,
                        layers: layers.clone(),
                        quant: quant(choice, choice),
                        input,
                    });
                }
            }
            Ok(cases)
        }
        Suite::Methods => {
            let case = |&(quantization, weights, activations): &(&'static str, Choice, Choice)| Case {
                network: "resnet20 shapes",
                quantization,
                layers: resnet20_shapes(),
                quant: quant(weights, activations),
                input: [3, 32, 32],
            };
            Ok(METHODS.iter().map(case).collect())
        }
    }
}

/// The layers of a model with these options, every other one at its default.
fn layers(name: &str, options: &[(&str, i64)], input: [i64; 3]) -> Result<Vec<Layer>, ModelError> {
    let model = harness_models::find(name).ok_or_else(|| ModelError::UnknownModel(name.to_owned()))?;
    let given = options.iter().map(|&(key, value)| (key.to_owned(), OptionValue::Int(value)));
    let options = given.collect::<Options>().with_defaults(model.about().options);
    Ok(model.layers(input, CLASSES, &options)?)
}

/// Method, bits, options.
type Choice = Option<(&'static str, u8, &'static [(&'static str, &'static str)])>;

/// Weights and activations of the suite of methods; each follows what it is compared with.
const METHODS: &[(&str, Choice, Choice)] = &[
    ("float", None, None),
    ("uniform w2a2", Some(("uniform", 2, &[])), Some(("uniform", 2, &[]))),
    ("dorefa w2a2", Some(("dorefa", 2, &[])), Some(("dorefa", 2, &[]))),
    ("balanced by mean w2, uniform a2", Some(("balanced", 2, &[("threshold", "mean")])), Some(("uniform", 2, &[]))),
    ("balanced by median w2, uniform a2", Some(("balanced", 2, &[])), Some(("uniform", 2, &[]))),
    ("least-squares LS-1 w1a1", Some(("least-squares", 1, &[])), Some(("least-squares", 1, &[]))),
    (
        "least-squares GF-2 w2a2",
        Some(("least-squares", 2, &[("variant", "greedy")])),
        Some(("least-squares", 2, &[("variant", "greedy")])),
    ),
    ("least-squares LS-2 w2a2", Some(("least-squares", 2, &[])), Some(("least-squares", 2, &[]))),
    ("bwn w1", Some(("bwn", 1, &[])), None),
    ("stochastic bwn w1", Some(("stochastic", 1, &[])), None),
    ("twn w2", Some(("twn", 2, &[])), None),
    ("stochastic twn w2", Some(("stochastic", 2, &[("base", "twn")])), None),
    ("xnor w1a1", Some(("xnor", 1, &[])), Some(("xnor", 1, &[]))),
    ("pact w2a2", Some(("pact", 2, &[])), Some(("pact", 2, &[]))),
    ("lsq w2a2", Some(("lsq", 2, &[])), Some(("lsq", 2, &[]))),
];

fn quant(weights: Choice, activations: Choice) -> QuantConfig {
    let choice = |choice: Choice| {
        let Some((name, bits, options)) = choice else { return MethodChoice::float() };
        let given = options.iter().map(|(key, value)| ((*key).to_owned(), OptionValue::Text((*value).to_owned())));
        let docs = harness_methods::find(name).map_or(&[][..], |method| method.about().about.options);
        // A test runs every case, so a name or an option that does not exist cannot stay unnoticed.
        let options = Options::resolve(docs, &given.collect()).unwrap_or_default();
        MethodChoice { method: name.to_owned(), bits: Some(bits), options }
    };
    let kept = vec!["first".to_owned(), "last".to_owned()];
    QuantConfig::of(choice(weights), choice(activations), MethodChoice::float(), kept)
}

/// The layers of ResNet-20 (He et al. 2016, section 4.2) in a row, without its shortcuts: 16 channels at 32x32, 32 at
/// 16x16, 64 at 8x8, six convolutions each.
fn resnet20_shapes() -> Vec<Layer> {
    let mut layers = vec![Layer::conv("conv1", 16, 3, 1), Layer::norm("bn1")];
    for number in 2..=19 {
        let stage = (number - 2) / 6;
        let name = format!("conv{number}");
        let stride = if stage > 0 && (number - 2) % 6 == 0 { 2 } else { 1 };
        layers.push(Layer::activation(&name));
        layers.push(Layer::Conv { name, out: 16 << stage, kernel: 3, stride, padding: 1, bias: false });
        layers.push(Layer::norm(&format!("bn{number}")));
    }
    layers.extend([Layer::activation("fc"), Layer::max_pool(8), Layer::Flatten, Layer::classifier("fc", CLASSES)]);
    layers
}

/// A case, ready to step.
struct Bench {
    network: Network,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    _store: nn::VarStore,
}

impl Bench {
    fn new(case: &Case, batch: i64) -> Result<Bench, EngineError> {
        let plan = Plan::of_layers(case.layers.clone(), &case.quant, case.input)?;
        let store = nn::VarStore::new(Device::Cpu);
        let network = Network::new(&plan, &store.root())?;
        let sgd = OptimizerConfig::Sgd { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        let optimizer = Optimizer::new(&sgd, &store)?;
        let [c, h, w] = case.input;
        Ok(Bench {
            network,
            optimizer,
            images: Tensor::f_randn([batch, c, h, w], (Kind::Float, Device::Cpu))?,
            labels: Tensor::f_randint(CLASSES, [batch], (Kind::Int64, Device::Cpu))?,
            _store: store,
        })
    }

    fn step(&mut self) -> Result<(), EngineError> {
        let step = StepContext { step: 0, total: 1, seed: 0, training: true };
        let logits = self.network.forward(&self.images, &step)?;
        let loss = logits.f_cross_entropy_loss(&self.labels, None::<Tensor>, Reduction::Mean, -100, 0.0)?;
        self.optimizer.zero_grad();
        loss.f_backward()?;
        Ok(self.optimizer.step(0.01)?)
    }

    /// Seconds of one step, over `steps` of them.
    fn time(&mut self, steps: u32) -> Result<f64, EngineError> {
        let began = Instant::now();
        for _ in 0..steps {
            self.step()?;
        }
        Ok(began.elapsed().as_secs_f64() / f64::from(steps))
    }

    /// Steps that take long enough to be timed; warms everything up on the way.
    fn calibrate(&mut self) -> Result<u32, EngineError> {
        let once = self.time(3)?.min(self.time(3)?);
        Ok((LEAST_SECONDS / once).ceil().clamp(1.0, 1000.0) as u32)
    }
}

/// Times every case once in each of `rounds` rounds, with batches of `batch` images on `threads` threads.
///
/// # Errors
/// When a network cannot be built or stepped.
pub fn run(cases: &[Case], batch: i64, threads: i32, rounds: u32) -> Result<Vec<Row>, EngineError> {
    tch::set_num_threads(threads);
    let mut benches = cases.iter().map(|case| Bench::new(case, batch)).collect::<Result<Vec<_>, _>>()?;
    let steps = benches.iter_mut().map(Bench::calibrate).collect::<Result<Vec<_>, _>>()?;
    let mut seconds = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (i, bench) in benches.iter_mut().enumerate() {
            seconds[i].push(bench.time(steps[i])?);
        }
    }
    let row = |(i, case): (usize, &Case)| {
        let float = cases.iter().position(|c| c.network == case.network && c.quantization == "float").unwrap_or(i);
        let ratios: Vec<f64> = seconds[i].iter().zip(&seconds[float]).map(|(a, b)| a / b).collect();
        Row {
            network: case.network,
            quantization: case.quantization,
            images_per_second: batch as f64 / median(&seconds[i]),
            ratio_to_float: median(&ratios),
            ratio_range: (
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
            ),
        }
    };
    Ok(cases.iter().enumerate().map(row).collect())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_and_float_is_its_own_measure() {
        let rows = run(&cases(Suite::Networks).unwrap(), 2, 1, 3).unwrap();
        assert_eq!(rows.len(), 4);
        for row in rows {
            assert!(row.images_per_second > 0.0 && row.ratio_to_float > 0.0, "{row:?}");
            if row.quantization == "float" {
                assert_eq!((row.ratio_to_float, row.ratio_range), (1.0, (1.0, 1.0)));
            }
        }
    }

    #[test]
    fn every_method_of_the_suite_exists_and_steps() {
        for case in cases(Suite::Methods).unwrap() {
            let MethodChoice { method, options, .. } = &case.quant.weights;
            let about = harness_methods::find(method).unwrap().about().about;
            assert!(
                about
                    .options
                    .iter()
                    .all(|doc| doc.default.value().is_none() || options.iter().any(|(n, _)| n == doc.name))
            );
            Bench::new(&case, 2).unwrap().step().unwrap_or_else(|e| panic!("{}: {e}", case.quantization));
        }
    }

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
