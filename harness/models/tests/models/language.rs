//! Language models: the state goes on where the last segment ended.

use harness_methods::core::{Role, StepContext};
use harness_models::{Input, ModelError, Plan};
use harness_records::config::{MethodChoice, QuantConfig};
use harness_records::options::OptionValue;
use proptest::prelude::*;
use tch::nn::{self, OptimizerConfig};
use tch::{Kind, Tensor};

use crate::support::{EVALUATION, TRAINING, float, method, model, network, quant};

const VOCABULARY: i64 = 11;

fn plan(name: &str, layers: i64, config: &QuantConfig) -> Plan {
    let options = [("hidden", OptionValue::Int(6)), ("layers", OptionValue::Int(layers))];
    Plan::new(&model(name, &options), config, Input::Tokens, VOCABULARY).unwrap()
}

fn tokens(time: i64, batch: i64, seed: i64) -> Tensor {
    tch::manual_seed(seed);
    Tensor::randint(VOCABULARY, [time, batch], (Kind::Int64, tch::Device::Cpu))
}

fn quantized() -> QuantConfig {
    quant(method("balanced", 2, &[]), method("dorefa", 3, &[]), MethodChoice::float(), &[])
}

fn matrix(x: &Tensor) -> Vec<Vec<f64>> {
    Vec::<Vec<f64>>::try_from(x.to_kind(Kind::Double)).unwrap()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `W [x, h] + b` in plain loops.
fn affine(weight: &Tensor, bias: &Tensor, x: &[f64], h: &[f64]) -> Vec<f64> {
    let bias = Vec::<f64>::try_from(bias.to_kind(Kind::Double)).unwrap();
    let both: Vec<f64> = x.iter().chain(h).copied().collect();
    let row = |(row, b): (&Vec<f64>, &f64)| b + row.iter().zip(&both).map(|(w, v)| w * v).sum::<f64>();
    matrix(weight).iter().zip(&bias).map(row).collect()
}

#[test]
fn both_cells_are_their_equations() {
    for name in ["lstm", "gru"] {
        let (store, mut network) = network(&plan(name, 1, &float()));
        let text = tokens(4, 1, 3);
        let logits = tch::no_grad(|| network.forward(&text, &EVALUATION)).unwrap();
        let v = store.variables();
        let vectors = matrix(&v["embedding.weight"]);
        let (mut h, mut cell) = (vec![0.5; 6], vec![0.0; 6]);
        for time in 0..4 {
            let x = &vectors[text.int64_value(&[time, 0]) as usize];
            if name == "lstm" {
                let gates = affine(&v["lstm1.weight"], &v["lstm1.bias"], x, &h);
                for k in 0..6 {
                    let [i, j, f, o] = [0, 1, 2, 3].map(|part| gates[6 * part + k]);
                    cell[k] = cell[k] * sigmoid(f + 1.0) + sigmoid(i) * sigmoid(j);
                    h[k] = sigmoid(cell[k]) * sigmoid(o);
                }
            } else {
                let gates = affine(&v["gru1.gates.weight"], &v["gru1.gates.bias"], x, &h);
                let kept: Vec<f64> = (0..6).map(|k| sigmoid(gates[k]) * h[k]).collect();
                let new = affine(&v["gru1.candidate.weight"], &v["gru1.candidate.bias"], x, &kept);
                for k in 0..6 {
                    let update = sigmoid(gates[6 + k]);
                    h[k] = update * h[k] + (1.0 - update) * sigmoid(new[k]);
                }
            }
            let expected = affine(&v["decoder.weight"], &v["decoder.bias"], &h, &[]);
            for (k, expected) in expected.iter().enumerate() {
                let found = logits.double_value(&[time, 0, k as i64]);
                assert!((found - expected).abs() < 1e-5, "{name}, token {time}: {found}, expected {expected}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A text in two segments is the text in one, to the last bit but those that sums in another order cost.
    #[test]
    fn the_state_goes_on(
        name in prop::sample::select(vec!["lstm", "gru"]),
        layers in 1i64..3,
        quantize: bool,
        time in 2i64..7,
        batch in 1i64..4,
        cut in 1i64..6,
    ) {
        prop_assume!(cut < time);
        let config = if quantize { quantized() } else { float() };
        let (_store, mut network) = network(&plan(name, layers, &config));
        let text = tokens(time, batch, 17);
        tch::no_grad(|| {
            let whole = network.forward(&text, &EVALUATION).unwrap();
            let start = network.initial_state(batch, &EVALUATION).unwrap();
            let (first, state) = network.forward_tokens(&text.narrow(0, 0, cut), &start, &EVALUATION).unwrap();
            let rest = text.narrow(0, cut, time - cut);
            let (second, _) = network.forward_tokens(&rest, &state.detached().unwrap(), &EVALUATION).unwrap();
            let difference = (Tensor::cat(&[first, second], 0) - whole).abs().max();
            assert!(f64::try_from(difference).unwrap() < 1e-5);
        });
    }
}

#[test]
fn detaching_cuts_the_gradient() {
    let (store, mut network) = network(&plan("gru", 1, &float()));
    let evaluation = StepContext { training: false, ..TRAINING };
    let start = network.initial_state(2, &evaluation).unwrap();
    let (_, state) =
        network.forward_tokens(&Tensor::zeros([3, 2], (Kind::Int64, tch::Device::Cpu)), &start, &evaluation).unwrap();
    assert!(state.tensors().iter().all(|tensor| tensor.requires_grad()));
    let detached = state.detached().unwrap();
    assert!(detached.tensors().iter().all(|tensor| !tensor.requires_grad()));
    assert_eq!(state.tensors(), detached.tensors());
    // Token 5 was never read before: only what comes after the cut moves its vector, and token 0 none at all.
    let (logits, _) =
        network.forward_tokens(&Tensor::from_slice(&[5i64, 5]).view([1, 2]), &detached, &evaluation).unwrap();
    logits.square().sum(Kind::Float).backward();
    let rows = store.variables()["embedding.weight"].grad().abs().sum_dim_intlist(1i64, false, Kind::Float);
    assert_eq!(rows.double_value(&[0]), 0.0);
    assert!(rows.double_value(&[5]) > 0.0);
}

#[test]
fn what_came_before_is_learned_across_segments() {
    // After 3 comes 1 or 2, whichever did not come last time: only a state that outlives segments of three can tell.
    let text: Vec<i64> = [0, 3, 1, 4, 3, 2].repeat(40);
    for name in ["lstm", "gru"] {
        for config in [float(), quantized()] {
            tch::manual_seed(4);
            let options = [("hidden", OptionValue::Int(16)), ("dropout", OptionValue::Float(0.0))];
            let plan = Plan::new(&model(name, &options), &config, Input::Tokens, 5).unwrap();
            let (store, mut network) = network(&plan);
            let mut adam = nn::Adam::default().build(&store, 0.03).unwrap();
            let mut losses = Vec::new();
            for epoch in 0..6u64 {
                let mut state = network.initial_state(1, &TRAINING).unwrap();
                for (number, start) in (0..text.len() - 4).step_by(3).enumerate() {
                    let step = StepContext { step: 80 * epoch + number as u64, total: 480, ..TRAINING };
                    let tokens = Tensor::from_slice(&text[start..start + 3]).view([3, 1]);
                    let (logits, next) = network.forward_tokens(&tokens, &state, &step).unwrap();
                    let loss =
                        logits.view([3, 5]).cross_entropy_for_logits(&Tensor::from_slice(&text[start + 1..start + 4]));
                    adam.backward_step(&loss);
                    network.after_step().unwrap();
                    state = next.detached().unwrap();
                    losses.push(f64::try_from(&loss).unwrap());
                }
            }
            let last = losses.iter().rev().take(40).sum::<f64>() / 40.0;
            // Without memory one of six tokens is a coin's toss twice in six: ln 2 / 3 = 0.23 at best.
            assert!(last < 0.1, "{name}, {:?}: {last}", config.weights.method);
        }
    }
}

#[test]
fn states_are_sites_with_names() {
    let names = |name: &str, config: &QuantConfig| -> Vec<String> {
        plan(name, 1, config).sites().map(|p| format!("{} {}", p.site.layer, p.site.role)).collect()
    };
    let lstm = ["lstm1 activation", "lstm1.hidden activation", "lstm1 weight", "decoder weight"];
    assert_eq!(names("lstm", &quantized()), lstm);
    let gru = [
        "gru1.gates activation",
        "gru1.reset activation",
        "gru1.candidate activation",
        "gru1.hidden activation",
        "gru1.gates weight",
        "gru1.candidate weight",
        "decoder weight",
    ];
    assert_eq!(names("gru", &quantized())[1..], gru[1..]);
    let kept = QuantConfig { keep_float: vec!["first".to_owned()], ..quantized() };
    assert_eq!(names("gru", &kept), ["decoder weight"]);
    let costs = plan("lstm", 1, &quantized()).costs;
    let bits: Vec<_> = costs.iter().map(|c| (c.layer.as_str(), c.weight_bits, c.activation_bits)).collect();
    assert_eq!(bits, [("lstm1", 2, 3), ("decoder", 2, 3)]);
}

#[test]
fn quantized_states_are_on_the_grid_of_their_method() {
    let (_store, mut network) = network(&plan("lstm", 1, &quantized()));
    let start = network.initial_state(2, &EVALUATION).unwrap();
    let (_, state) = tch::no_grad(|| network.forward_tokens(&tokens(5, 2, 1), &start, &EVALUATION)).unwrap();
    for state in [start, state] {
        let levels = state.tensors()[0] * 7.0;
        assert!(f64::try_from((&levels - levels.round()).abs().max()).unwrap() < 1e-5);
    }
    let sites = network.statistics(&tokens(5, 2, 1), &EVALUATION).unwrap();
    let hidden = sites.iter().find(|site| site.layer == "lstm1.hidden" && site.role == Role::Activation).unwrap();
    assert_eq!(hidden.shape, [10, 6]);
}

#[test]
fn wrong_input_is_refused() {
    let error = |name: &str, input: Input| Plan::new(&model(name, &[]), &float(), input, 5).unwrap_err().to_string();
    assert_eq!(error("lstm", Input::Image([3, 8, 8])), "model `lstm` reads tokens, which the data set does not give");
    assert_eq!(error("lenet", Input::Tokens), "model `lenet` reads images, which the data set does not give");
    let tanh = model("gru", &[("squash", OptionValue::Text("tanh".to_owned()))]);
    assert!(Plan::new(&tanh, &float(), Input::Tokens, 5).is_ok());
    let error = Plan::new(&tanh, &quantized(), Input::Tokens, 5).unwrap_err();
    assert!(matches!(error, ModelError::SignedStates { .. }), "{error}");
    let (_store, mut network) = network(&plan("lstm", 1, &float()));
    let mut refused = |tokens: &Tensor, batch: i64| {
        let state = network.initial_state(batch, &EVALUATION).unwrap();
        assert!(matches!(network.forward_tokens(tokens, &state, &EVALUATION), Err(ModelError::Sequence { .. })));
    };
    refused(&tokens(3, 2, 1), 3);
    refused(&tokens(3, 2, 1).view([6]), 2);
    refused(&tokens(3, 2, 1).to_kind(Kind::Float), 2);
}
