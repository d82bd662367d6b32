//! What is common to all networks.

use harness_methods::core::{Role, StepContext};
use harness_models::{ModelError, Network, Plan};
use harness_records::config::{InputKind, LayerRule, MethodChoice, ModelChoice, QuantConfig};
use harness_records::options::OptionValue;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, nn};

use crate::support::{EVALUATION, TRAINING, float, model, quant};

fn method(name: &str, bits: u8) -> MethodChoice {
    crate::support::method(name, bits, &[])
}

fn small() -> OptionValue {
    OptionValue::Text("small".to_owned())
}

#[test]
fn sizes_are_those_counted_by_hand() {
    // (model, input, parameters, multiply-accumulates)
    let lenet = model("lenet", &[]);
    let lenet_small = model("lenet", &[("variant", small())]);
    let vgg = model("vgg9", &[]);
    let mlp = model("mlp", &[("hidden", OptionValue::Int(100)), ("depth", OptionValue::Int(1))]);
    let rows = [
        // 500 + 25,000 + 400,000 + 5,010 and 2 x (20 + 50 + 500) of normalization; 288,000 + 1,600,000 + 405,000.
        (&lenet, [1, 28, 28], 431_650, 2_293_000),
        // Padded: 200 + 3,200 + 4,096 + 650 and 176; 12,800 + 51,200 + 4,736.
        (&lenet_small, [1, 8, 8], 8_322, 68_736),
        // Convolutions 1,728 + 36,864 + 73,728 + 147,456 + 294,912 + 589,824, linear 4096 x 512 + 512 x 512 + 5,130,
        // normalization 2 x (64 + 64 + 128 + 128 + 256 + 256 + 512 + 512).
        (&vgg, [3, 32, 32], 3_512_778, 155_128_832),
        (&mlp, [1, 28, 28], 79_610, 79_400),
    ];
    for (model, input, parameters, macs) in rows {
        let plan = Plan::new(model, &float(), input, 10).unwrap();
        assert_eq!((plan.size.parameters, plan.size.macs), (parameters, macs), "{}", model.name);
        let store = nn::VarStore::new(Device::Cpu);
        Network::new(&plan, &store.root()).unwrap();
        let trained: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(trained as u64, parameters, "{}: the network has what the plan counts", model.name);
        assert_eq!(plan.size.bit_ops, macs * 32 * 32);
    }
}

#[test]
fn every_layer_but_the_kept_ones_is_a_site() {
    let all = |keep: &[&str]| quant(method("dorefa", 2), method("uniform", 4), method("dorefa", 6), keep);
    let sites = |keep: &[&str]| {
        let plan = Plan::new(&model("lenet", &[]), &all(keep), [1, 28, 28], 10).unwrap();
        let name = |role: Role, layer: &str| format!("{layer} {role}");
        (plan.sites().map(|p| name(p.site.role, &p.site.layer)).collect::<Vec<_>>(), plan.size.bit_ops)
    };
    let (kept, bit_ops) = sites(&["first", "last"]);
    let expected =
        ["conv2 activation", "conv2 weight", "conv2 gradient", "fc1 activation", "fc1 weight", "fc1 gradient"];
    assert_eq!(kept, expected);
    assert_eq!(bit_ops, 288_000 * 1024 + 2_000_000 * 8 + 5_000 * 1024);
    // The image itself is never quantized.
    let (every, _) = sites(&[]);
    assert_eq!(every.len(), 11);
    assert!(!every.contains(&"conv1 activation".to_owned()));
    let (named, _) = sites(&["conv2", "fc1", "fc2", "conv1"]);
    assert!(named.is_empty());
}

#[test]
fn what_cannot_be_built_says_why() {
    let plan = |model: &ModelChoice, quant: &QuantConfig, input| Plan::new(model, quant, input, 10).unwrap_err();
    let error = plan(&model("resnet1", &[]), &float(), [1, 8, 8]);
    assert!(matches!(error, ModelError::UnknownModel(name) if name == "resnet1"));
    let error = plan(&model("vgg9", &[]), &float(), [3, 6, 32]);
    assert!(matches!(&error, ModelError::TooSmall { height: 1, width: 8, min: 2, .. }), "{error}");
    let keep = quant(MethodChoice::float(), MethodChoice::float(), MethodChoice::float(), &["conv3"]);
    let error = plan(&model("lenet", &[]), &keep, [1, 28, 28]).to_string();
    assert_eq!(error, "`keep_float` names `conv3`, expected `first`, `last` or one of `conv1`, `conv2`, `fc1`, `fc2`");
}

#[test]
fn variables_have_pytorchs_names() {
    let plan = Plan::new(&model("lenet", &[]), &float(), [1, 28, 28], 10).unwrap();
    let store = nn::VarStore::new(Device::Cpu);
    Network::new(&plan, &store.root()).unwrap();
    let mut names: Vec<String> = store.variables().into_keys().collect();
    names.sort();
    let norm = |i: u32| ["bias", "running_mean", "running_var", "weight"].map(|n| format!("bn{i}.{n}"));
    let mut expected = [norm(1), norm(2), norm(3)].concat();
    expected.extend(["conv1.weight", "conv2.weight", "fc1.weight", "fc2.bias", "fc2.weight"].map(str::to_owned));
    assert_eq!(names, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever stands at the sites: logits of the right shape, a gradient for every weight, no NaN.
    #[test]
    fn any_mixture_of_methods_trains(
        weights in prop::sample::select(vec![("uniform", 1u8), ("uniform", 3), ("dorefa", 1), ("dorefa", 2), ("dorefa", 8)]),
        activations in prop::sample::select(vec![("uniform", 2u8), ("dorefa", 1), ("dorefa", 4)]),
        gradient in prop::option::of(2u8..=8),
        net in 0usize..3,
        keep in prop::sample::subsequence(vec!["first", "last"], 0..=2),
    ) {
        let gradients = gradient.map_or_else(MethodChoice::float, |bits| method("dorefa", bits));
        let quant = quant(method(weights.0, weights.1), method(activations.0, activations.1), gradients, &keep);
        let models = [
            model("lenet", &[("variant", small())]),
            model("vgg9", &[("width", OptionValue::Int(2)), ("dropout", OptionValue::Float(0.3))]),
            model("mlp", &[("hidden", OptionValue::Int(9))]),
        ];
        let plan = Plan::new(&models[net], &quant, [2, 8, 8], 7).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let mut network = Network::new(&plan, &store.root()).unwrap();
        let images = harness_torch::random::uniform(&[6, 2, 8, 8], 3, Device::Cpu).unwrap() * 4.0 - 2.0;
        let logits = network.forward(&images, &TRAINING).unwrap();
        prop_assert_eq!(logits.size(), [6, 7]);
        logits.square().mean(Kind::Float).backward();
        for (name, variable) in store.variables() {
            if variable.requires_grad() {
                let gradient = variable.grad();
                prop_assert!(gradient.defined(), "{} has no gradient", name);
                prop_assert!(bool::try_from(gradient.isfinite().all()).unwrap(), "{}", name);
            }
        }
        let again = StepContext { training: false, ..TRAINING };
        let one = network.forward(&images, &again).unwrap();
        prop_assert_eq!(&one, &network.forward(&images, &again).unwrap(), "evaluation is a function");
        let sites = network.statistics(&images, &TRAINING).unwrap();
        prop_assert_eq!(sites.len(), plan.sites().filter(|p| p.site.role != Role::Gradient).count());
        for site in sites {
            prop_assert!(site.statistics.effective_bits <= f64::from(site.bits) + 1e-9, "{:?}", site);
            prop_assert_eq!(site.statistics.code_counts.iter().sum::<u64>(), site.shape.iter().product::<i64>() as u64);
        }
    }
}

#[test]
fn methods_hold_their_weights_after_a_step() {
    let quant = quant(method("binaryconnect", 1), MethodChoice::float(), MethodChoice::float(), &["first", "last"]);
    let plan = Plan::new(&model("mlp", &[("hidden", OptionValue::Int(4))]), &quant, [1, 2, 2], 3).unwrap();
    let store = nn::VarStore::new(Device::Cpu);
    let network = Network::new(&plan, &store.root()).unwrap();
    let max = |name: &str| store.variables()[name].abs().max().double_value(&[]);
    for name in ["fc1.weight", "fc2.weight"] {
        let _filled = tch::no_grad(|| store.variables()[name].shallow_clone().fill_(3.0));
    }
    network.after_step().unwrap();
    assert_eq!((max("fc1.weight"), max("fc2.weight")), (3.0, 1.0), "only fc2 is quantized");
}

#[test]
fn dropout_is_a_function_of_the_step() {
    let options = [("width", OptionValue::Int(2)), ("dropout", OptionValue::Float(0.5))];
    let plan = Plan::new(&model("vgg9", &options), &float(), [1, 8, 8], 4).unwrap();
    let store = nn::VarStore::new(Device::Cpu);
    let mut network = Network::new(&plan, &store.root()).unwrap();
    let images = harness_torch::random::uniform(&[5, 1, 8, 8], 3, Device::Cpu).unwrap();
    let mut at = |step| network.forward(&images, &StepContext { step, ..TRAINING }).unwrap();
    let (one, two, other) = (at(1), at(1), at(2));
    assert_eq!(one, two);
    assert_ne!(one, other);
}

#[test]
fn narrow_products_are_near_and_only_for_training() {
    let dorefa = quant(method("dorefa", 2), method("dorefa", 4), MethodChoice::float(), &["first", "last"]);
    for (name, quant) in [("lenet", dorefa), ("resnet20", float())] {
        let plan = Plan::new(&model(name, &[]), &quant, [3, 32, 32], 10).unwrap();
        let (store, mut network) = crate::support::network(&plan);
        let x = crate::support::noise(&[4, 3, 32, 32], 1);
        let evaluated = network.forward(&x, &EVALUATION).unwrap();
        let exact = network.forward(&x, &TRAINING).unwrap();
        // Only running statistics have moved since.
        let evaluated_later = network.forward(&x, &EVALUATION).unwrap();
        assert_ne!(evaluated, evaluated_later);
        network.narrow_products(Kind::BFloat16);
        assert_eq!(network.forward(&x, &EVALUATION).unwrap(), evaluated_later, "{name}");
        let narrow = network.forward(&x, &TRAINING).unwrap();
        assert_eq!(narrow.kind(), Kind::Float);
        let error = (&narrow - &exact).norm().double_value(&[]) / exact.norm().double_value(&[]);
        assert!(error > 0.0 && error < 0.2, "{name}: {error}");
        narrow.square().sum(Kind::Float).backward();
        let gradients = store.trainable_variables().into_iter().map(|tensor| tensor.grad());
        assert!(gradients.filter(Tensor::defined).all(|gradient| gradient.kind() == Kind::Float));
    }
}

/// In a network as it trains, what reaches a layer from behind is quantized sample by sample: the gradient of the
/// classifier's bias is the sum of quantized rows, each on its own range (DoReFa-Net, eq. 12, without the noise).
#[test]
fn gradients_are_quantized_sample_by_sample_on_their_way_back() {
    let dorefa = crate::support::method("dorefa", 2, &[]);
    let options = [("noise".to_owned(), OptionValue::Bool(false))].into_iter().collect();
    let quiet = MethodChoice { options, ..dorefa };
    let quant = quant(MethodChoice::float(), MethodChoice::float(), quiet, &[]);
    for (name, bias) in [("mlp", "fc3.bias"), ("resnet18", "fc.bias")] {
        let size = if name == "mlp" { 8 } else { 32 };
        let plan = Plan::new(&model(name, &[]), &quant, [3, size, size], 7).unwrap();
        let (store, mut network) = crate::support::network(&plan);
        let x = crate::support::noise(&[5, 3, size, size], 2);
        // Rows of very different size: one range for all of them would round most to nothing.
        let behind =
            crate::support::noise(&[5, 7], 3) * Tensor::from_slice(&[1.0f32, 10.0, 100.0, 0.01, 3.0]).view([5, 1]);
        let logits = network.forward(&x, &TRAINING).unwrap();
        (logits * &behind).sum(Kind::Float).backward();
        let found = Vec::<f32>::try_from(&store.variables()[bias].grad()).unwrap();
        let mut expected = [0.0f64; 7];
        for sample in 0..5 {
            let row: Vec<f64> = (0..7).map(|class| behind.double_value(&[sample, class])).collect();
            let m = row.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            for (sum, g) in expected.iter_mut().zip(&row) {
                *sum += 2.0 * m * ((3.0 * (g / (2.0 * m) + 0.5)).round_ties_even() / 3.0 - 0.5);
            }
        }
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{name}: {found} {expected}");
        }
    }
}

fn rules(text: &str) -> Vec<LayerRule> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn later_settings_of_layers_go_over_earlier_ones() {
    let config = QuantConfig {
        layers: rules(
            r#"[{"layer": "conv", "weights": {"bits": 4, "per": "channel"}},
                {"layer": "conv2", "weights": {"bits": 3}},
                {"layer": "last", "weights": {"method": "dorefa"}, "activations": {"method": "float"}}]"#,
        ),
        ..quant(method("uniform", 2), method("pact", 5), MethodChoice::float(), &[])
    };
    let plan = Plan::new(&model("lenet", &[]), &config, [1, 28, 28], 10).unwrap();
    let site = |layer: &str, role: Role| {
        let planned = plan.sites().find(|p| p.site.layer == layer && p.site.role == role)?;
        let per = planned.options.text("per").to_owned();
        Some((planned.method.about().about.name, planned.site.bits.get(), per, planned.rules.clone()))
    };
    let channel = "channel".to_owned();
    assert_eq!(site("conv1", Role::Weight), Some(("uniform", 4, channel.clone(), vec![0])));
    assert_eq!(site("conv2", Role::Weight), Some(("uniform", 3, channel, vec![0, 1])));
    assert_eq!(site("fc1", Role::Weight), Some(("uniform", 2, "tensor".to_owned(), vec![])));
    assert_eq!(site("fc2", Role::Weight), Some(("dorefa", 2, String::new(), vec![2])));
    assert_eq!(site("fc1", Role::Activation), Some(("pact", 5, String::new(), vec![])));
    assert_eq!(site("fc2", Role::Activation), None);
    let of =
        |layer: &str| plan.costs.iter().find(|cost| cost.layer == layer).map(|c| (c.weight_bits, c.activation_bits));
    assert_eq!([of("conv1"), of("fc2")], [Some((4, 32)), Some((2, 32))]);
    let bytes = QuantConfig { input: InputKind::Bytes, ..config };
    let plan = Plan::new(&model("lenet", &[]), &bytes, [1, 28, 28], 10).unwrap();
    assert_eq!(plan.costs[0].activation_bits, 8, "the image's own values");
    let error = Plan::new(&model("lstm", &[]), &bytes, harness_models::Input::Tokens, 10).unwrap_err();
    assert!(matches!(error, ModelError::BytesOfTokens | ModelError::UnknownPattern { .. }), "{error}");
}

/// Settings of single layers that say the same as one of the whole network give the same network, to the bit.
#[test]
fn the_same_setting_layer_by_layer_is_the_same_network() {
    let whole = quant(method("dorefa", 2), method("pact", 3), MethodChoice::float(), &["first"]);
    let apart = QuantConfig {
        layers: rules(
            r#"[{"layer": "*", "weights": {"method": "dorefa", "bits": 2}},
                {"layer": "conv2", "activations": {"method": "pact", "bits": 3}},
                {"layer": "fc?", "activations": {"method": "pact", "bits": 3}}]"#,
        ),
        ..quant(method("uniform", 8), MethodChoice::float(), MethodChoice::float(), &["first"])
    };
    let output = |config: &QuantConfig| {
        tch::manual_seed(3);
        let plan = Plan::new(&model("lenet", &[("variant", small())]), config, [1, 8, 8], 10).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let mut network = Network::new(&plan, &store.root()).unwrap();
        let x = Tensor::randn([4, 1, 8, 8], (Kind::Float, Device::Cpu));
        Vec::<f32>::try_from(network.forward(&x, &TRAINING).unwrap().view(-1)).unwrap()
    };
    assert_eq!(output(&whole), output(&apart));
}
