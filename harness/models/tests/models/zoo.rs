//! Every model of the zoo: published sizes, shapes, and a step of training under each kind of method.

use std::collections::BTreeSet;

use harness_methods::core::Role;
use harness_models::layer::Layer;
use harness_models::{Input, MODELS, Plan};
use harness_records::config::{MethodChoice, ModelChoice, QuantConfig};
use harness_records::options::{OptionValue, Options};
use tch::{Kind, Tensor};

use crate::support::{EVALUATION, TRAINING, float, method, model, network, noise, quant};

const IMAGENET: [i64; 3] = [3, 224, 224];
const CIFAR: [i64; 3] = [3, 32, 32];

#[test]
fn every_option_of_every_model_changes_its_layers() {
    for known in MODELS {
        let layers = |options: &Options| format!("{:?}", known.layers(CIFAR, 10, options).unwrap());
        let idle = harness_records::config::effects::without_effect(known.about().options, layers);
        assert!(idle.is_empty(), "{}: no value of {idle:?} changes a layer", known.about().name);
    }
}

#[test]
fn options_that_a_record_lacks_have_the_defaults_of_the_tables() {
    let bare = |name: &str| MethodChoice { method: name.to_owned(), bits: Some(2), options: Options::default() };
    for known in MODELS.iter().filter(|known| !known.reads_tokens()) {
        let name = known.about().name;
        let model_choice = ModelChoice { name: name.to_owned(), options: Options::default() };
        let quantized = quant(bare("least-squares"), bare("uniform"), MethodChoice::float(), &[]);
        let (Ok(found), Ok(expected)) = (
            Plan::new(&model_choice, &quantized, IMAGENET, 10),
            Plan::new(
                &model(name, &[]),
                &quant(method("least-squares", 2, &[]), method("uniform", 2, &[]), MethodChoice::float(), &[]),
                IMAGENET,
                10,
            ),
        ) else {
            panic!("{name} has no plan");
        };
        assert_eq!(format!("{:?}", found.steps), format!("{:?}", expected.steps), "{name}");
        let options = |plan: &Plan| {
            plan.steps.iter().flat_map(|step| step.quant.iter().map(|q| q.options.clone())).collect::<Vec<_>>()
        };
        assert_eq!(options(&found), options(&expected), "{name}");
    }
}

#[test]
fn sizes_are_the_published_ones() {
    // Parameters as torchvision prints them for ImageNet's models, as He et al. 2016 (table 6: 0.27M, 0.46M, 0.85M)
    // round them for CIFAR's. Multiply-accumulates of convolutions and linear layers, which torchvision rounds to
    // 1.81, 3.66, 4.09, 0.71 and 1.50 G.
    let rows = [
        ("resnet18", IMAGENET, 1000, 11_689_512, 1_814_073_344),
        ("resnet34", IMAGENET, 1000, 21_797_672, 3_663_761_408),
        ("resnet50", IMAGENET, 1000, 25_557_032, 4_089_184_256),
        ("alexnet", IMAGENET, 1000, 61_100_840, 714_188_480),
        ("googlenet", IMAGENET, 1000, 6_624_904, 1_498_376_192),
        ("resnet20", CIFAR, 10, 269_722, 40_551_040),
        ("resnet32", CIFAR, 10, 464_154, 68_862_592),
        ("resnet56", CIFAR, 10, 853_018, 125_485_696),
        // 4.57M in convolutions, 3,584 in normalization, 81,930 in the classifier.
        ("vgg-small", CIFAR, 10, 4_660_106, 607_600_640),
    ];
    for (name, input, classes, parameters, macs) in rows {
        let plan = Plan::new(&model(name, &[]), &float(), input, classes).unwrap();
        assert_eq!((plan.size.parameters, plan.size.macs), (parameters, macs), "{name}");
        assert_eq!(plan.costs.iter().map(|cost| cost.macs).sum::<u64>(), macs);
    }
    // Embedding and decoder 3,000,000 each and 10,000 biases; 4 (or 2 and 1) matrices of 300 x 600 with biases.
    for (name, parameters, macs) in [("lstm", 6_731_200, 3_720_000), ("gru", 6_550_900, 3_540_000)] {
        let plan = Plan::new(&model(name, &[]), &float(), Input::Tokens, 10_000).unwrap();
        assert_eq!((plan.size.parameters, plan.size.macs), (parameters, macs), "{name}");
    }
}

#[test]
fn with_normalization_first_every_quantizer_follows_one() {
    let order = [("order", OptionValue::Text("pre".to_owned()))];
    // Each normalization moves from after a convolution to before it, and those of shortcuts go; the last one is new,
    // and CIFAR's first one is gone.
    for (name, input, classes, parameters) in [
        ("resnet20", CIFAR, 10, 269_722 - 2 * 16 - 2 * (32 - 16) - 2 * (64 - 32) + 2 * 64),
        ("resnet18", IMAGENET, 1000, 11_689_512 - 2 * (128 + 256 + 512) - 2 * (64 + 128 + 256) + 2 * 512),
    ] {
        let both = quant(method("dorefa", 2, &[]), method("dorefa", 2, &[]), MethodChoice::float(), &[]);
        let plan = Plan::new(&model(name, &order), &both, input, classes).unwrap();
        assert_eq!(plan.size.parameters, parameters, "{name}");
        let choice = model(name, &order);
        let layers = harness_models::find(name).unwrap().layers([0; 3], classes, &choice.options).unwrap();
        let activations = layers_after_norm(&layers, false);
        let expected = plan.sites().filter(|planned| planned.site.role == Role::Activation).count() - 1;
        assert_eq!(activations, expected, "{name}: all but the classifier's");
    }
}

/// Number of activations that take what a normalization gives.
fn layers_after_norm(layers: &[Layer], mut after_norm: bool) -> usize {
    let mut count = 0;
    for layer in layers {
        match layer {
            Layer::Activation { .. } => count += usize::from(after_norm),
            Layer::Residual { body, shortcut } => {
                count += layers_after_norm(body, after_norm) + layers_after_norm(shortcut, after_norm);
            }
            _ => {}
        }
        after_norm = matches!(layer, Layer::BatchNorm { .. });
    }
    count
}

#[test]
fn layers_have_torchvisions_names_and_costs_of_their_own() {
    let dorefa = |bits| method("dorefa", bits, &[]);
    let all = |keep: &[&str]| quant(dorefa(1), dorefa(2), MethodChoice::float(), keep);
    let plan = Plan::new(&model("resnet18", &[]), &all(&["first", "last"]), IMAGENET, 1000).unwrap();
    let cost = |name: &str| plan.costs.iter().find(|cost| cost.layer == name).unwrap().clone();
    let block = cost("layer3.0.conv1");
    assert_eq!((block.weights, block.macs), (256 * 128 * 9, 256 * 128 * 9 * 14 * 14));
    assert_eq!((block.weight_bits, block.activation_bits, block.bit_ops()), (1, 2, 2 * block.macs));
    assert_eq!((cost("conv1").weight_bits, cost("conv1").activation_bits), (32, 32));
    assert_eq!(cost("layer2.0.downsample.0").bit_ops(), 2 * 128 * 64 * 28 * 28);
    assert_eq!(plan.costs.len(), 21);
    assert_eq!(plan.sites().count(), 2 * 19);
    let without = Plan::new(&model("resnet18", &[]), &all(&["first", "last", "shortcuts"]), IMAGENET, 1000).unwrap();
    assert_eq!(without.sites().count(), 2 * 16);
    assert!(without.sites().all(|planned| !planned.site.layer.contains("downsample")));
    let error = Plan::new(&model("resnet18", &[]), &all(&["layer5"]), IMAGENET, 1000).unwrap_err().to_string();
    assert!(error.contains("`last` or one of `shortcuts`, `conv1`, `layer1.0.conv1`, "), "{error}");
    // Without a convolution on a shortcut there is nothing to keep.
    let error = Plan::new(&model("resnet20", &[]), &all(&["shortcuts"]), CIFAR, 10).unwrap_err().to_string();
    assert!(error.contains("`keep_float` names `shortcuts`"), "{error}");
}

/// Each model at a size that a test can train, and what it reads.
fn tiny(name: &str) -> (ModelChoice, Input) {
    let (int, none) = (OptionValue::Int, &[][..]);
    let image = |side| Input::Image([3, side, side]);
    match name {
        "mlp" => (model(name, &[("hidden", int(6))]), image(8)),
        "lenet" | "vgg9" | "vgg-small" => {
            let width = [("width", int(2))];
            (model(name, if name == "lenet" { none } else { &width }), image(8))
        }
        "resnet32" => {
            let order = OptionValue::Text("pre".to_owned());
            (model(name, &[("width", int(2)), ("order", order)]), image(8))
        }
        "resnet20" | "resnet56" => (model(name, &[("width", int(2))]), image(8)),
        "resnet18" | "resnet34" | "resnet50" | "resnet18-double" => (model(name, &[("width", int(2))]), image(32)),
        "alexnet" | "alexnet-bn" => (model(name, &[("width", int(1))]), image(63)),
        "googlenet" => (model(name, &[("width", int(4))]), image(32)),
        _ => (model(name, &[("hidden", int(5)), ("layers", int(2))]), Input::Tokens),
    }
}

fn methods() -> [(&'static str, QuantConfig); 5] {
    let none = MethodChoice::float;
    let pair = |weights, activations| quant(weights, activations, none(), &[]);
    let keep = |mut config: QuantConfig| {
        config.keep_float = vec!["first".to_owned(), "last".to_owned()];
        config
    };
    [
        ("float", float()),
        ("dorefa", quant(method("dorefa", 2, &[]), method("dorefa", 2, &[]), method("dorefa", 6, &[]), &[])),
        ("balanced", pair(method("balanced", 2, &[("threshold", "mean")]), method("balanced", 2, &[]))),
        ("least-squares", keep(pair(method("least-squares", 1, &[]), method("least-squares", 2, &[])))),
        ("stochastic", pair(method("stochastic", 1, &[]), none())),
    ]
}

/// One step: logits of the right shape, a finite gradient for everything that learns, evaluation without change.
fn train(name: &str, config: &QuantConfig, label: &str) {
    let (choice, input) = tiny(name);
    let plan = Plan::new(&choice, config, input, 7).unwrap_or_else(|e| panic!("{name}, {label}: {e}"));
    tch::manual_seed(1);
    let (store, mut network) = network(&plan);
    let (x, expected) = match input {
        Input::Image([c, h, w]) => (noise(&[3, c, h, w], 3), vec![3, 7]),
        Input::Tokens => (Tensor::from_slice(&[0i64, 3, 6, 1, 1, 2]).view([3, 2]), vec![3, 2, 7]),
    };
    let logits = network.forward(&x, &TRAINING).unwrap();
    assert_eq!(logits.size(), expected, "{name}, {label}");
    logits.square().mean(Kind::Float).backward();
    let mut learns = 0;
    for (variable, value) in store.variables().iter().filter(|(_, value)| value.requires_grad()) {
        let gradient = value.grad();
        assert!(gradient.defined(), "{name}, {label}: {variable} has no gradient");
        assert!(bool::try_from(gradient.isfinite().all()).unwrap(), "{name}, {label}: {variable}");
        learns += usize::from(f64::try_from(gradient.abs().max()).unwrap() > 0.0);
    }
    assert!(learns > 0, "{name}, {label}: no gradient at all");
    network.after_step().unwrap();
    let sites = tch::no_grad(|| network.statistics(&x, &EVALUATION)).unwrap();
    let names: BTreeSet<_> = sites.iter().map(|site| (site.layer.clone(), site.role.to_string())).collect();
    let planned: BTreeSet<_> = plan.sites().map(|p| (p.site.layer.clone(), p.site.role.to_string())).collect();
    let gradients = plan.sites().filter(|planned| planned.site.role == Role::Gradient).count();
    assert_eq!(names.len(), sites.len(), "{name}, {label}: a site has one name");
    assert_eq!(names.len() + gradients, planned.len(), "{name}, {label}: every site is measured");
    assert!(names.is_subset(&planned));
}

#[test]
fn every_model_trains_in_full_precision_and_quantized() {
    for model in MODELS {
        for (label, config) in methods() {
            train(model.about().name, &config, label);
        }
    }
}

#[test]
fn names_are_unique_and_networks_have_what_plans_count() {
    for known in MODELS {
        let (choice, input) = tiny(known.about().name);
        let plan = Plan::new(&choice, &float(), input, 7).unwrap();
        let (store, _network) = network(&plan);
        let trained: u64 = store.trainable_variables().iter().map(|t| t.numel() as u64).sum();
        assert_eq!(trained, plan.size.parameters, "{}", known.about().name);
        let indices: BTreeSet<u64> = plan.every_step().iter().map(|step| step.index).collect();
        assert_eq!(indices.len(), plan.every_step().len(), "{}: indices key random draws", known.about().name);
    }
}

#[test]
fn a_residual_block_is_the_sum_of_its_ways() {
    // Zero scales in the last normalization of a block leave the shortcut alone.
    let plan = Plan::new(&model("resnet20", &[("width", OptionValue::Int(3))]), &float(), [3, 9, 9], 5).unwrap();
    let (store, mut network) = network(&plan);
    let zero = |name: &str| tch::no_grad(|| store.variables()[name].shallow_clone().fill_(0.0));
    for (stage, block) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2)] {
        let _scale = zero(&format!("layer{stage}.{block}.bn2.weight"));
    }
    let x = noise(&[2, 3, 9, 9], 8);
    let logits = tch::no_grad(|| network.forward(&x, &EVALUATION)).unwrap();
    // By hand: stem, every fourth pixel, three channels in the middle of twelve, averages, classifier.
    let variables = store.variables();
    let stem = x.conv2d(&variables["conv1.weight"], None::<Tensor>, [1, 1], [1, 1], [1, 1], 1) / (1.0f64 + 1e-5).sqrt();
    let pixels = stem.relu().slice(2, None, None, 4).slice(3, None, None, 4);
    // From 3 to 6 channels: 1 before, 2 after; from 6 to 12: 3 and 3.
    let averages = pixels.mean_dim([2i64, 3].as_slice(), false, Kind::Float).constant_pad_nd([4, 5]);
    let expected = averages.linear(&variables["fc.weight"], Some(&variables["fc.bias"]));
    let difference = f64::try_from((logits - expected).abs().max()).unwrap();
    assert!(difference < 1e-5, "{difference}");
}
