//! Files of weights: what fits is read, and what does not is named.

use harness_models::{ModelError, Plan, weights};
use harness_records::config::MethodChoice;
use harness_records::options::OptionValue;
use tch::{Device, Kind, Tensor, nn};

use crate::support::{EVALUATION, float, method, model, network, noise, quant};

const INPUT: [i64; 3] = [3, 32, 32];

/// A small ResNet-18.
fn plan() -> Plan {
    Plan::new(&model("resnet18", &[("width", OptionValue::Int(2))]), &float(), INPUT, 5).unwrap()
}

fn tensors(path: &std::path::Path) -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(path).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let plan = plan();
    let (store, mut network) = network(&plan);
    weights::save(&path, &store).unwrap();
    let (other, mut again) = crate::support::network(&plan);
    weights::load(&path, &[], &other).unwrap();
    let images = noise(&[2, 3, 32, 32], 4);
    let logits =
        |network: &mut harness_models::Network| tch::no_grad(|| network.forward(&images, &EVALUATION)).unwrap();
    assert_eq!(logits(&mut network), logits(&mut again));
    // Counters are no weights, and half precision is precision too.
    let mut saved = tensors(&path);
    saved.push(("bn1.num_batches_tracked".to_owned(), Tensor::from(7i64)));
    let half: Vec<_> = saved
        .iter()
        .map(|(name, t)| (name.clone(), t.to_kind(if t.kind() == Kind::Float { Kind::Half } else { t.kind() })))
        .collect();
    Tensor::write_safetensors(&half, &path).unwrap();
    weights::load(&path, &[], &other).unwrap();
    let kept = &other.variables()["conv1.weight"] - &store.variables()["conv1.weight"];
    assert!(f64::try_from(kept.abs().max()).unwrap() < 1e-3);
}

#[test]
fn quantizers_come_along_only_where_they_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let options = [("width", OptionValue::Int(2))];
    let pact = quant(method("dorefa", 2, &[]), method("pact", 2, &[]), MethodChoice::float(), &["first", "last"]);
    let pact = Plan::new(&model("resnet18", &options), &pact, INPUT, 5).unwrap();
    let (quantized, _network) = network(&pact);
    let (plain, _network) = network(&Plan::new(&model("resnet18", &options), &float(), INPUT, 5).unwrap());
    // From full precision to few bits.
    weights::save(&path, &plain).unwrap();
    weights::load(&path, &[], &quantized).unwrap();
    assert_eq!(quantized.variables()["fc.weight"], plain.variables()["fc.weight"]);
    // And back: the file of a run has everything, that of an export only the weights.
    let all: Vec<(String, Tensor)> = quantized.variables().into_iter().collect();
    assert!(all.len() > plain.variables().len(), "pact learns its range");
    Tensor::write_safetensors(&all, &path).unwrap();
    weights::load(&path, &[], &plain).unwrap();
    weights::load(&path, &[], &quantized).unwrap();
    weights::save(&path, &quantized).unwrap();
    assert_eq!(tensors(&path).len(), plain.variables().len());
    let again = folder.path().join("again.safetensors");
    Tensor::write_safetensors(&all, &path).unwrap();
    assert_eq!(weights::copy(&path, &again).unwrap(), plain.variables().len());
    assert_eq!(tensors(&again).len(), plain.variables().len());
}

/// A change of a file.
type Change<'a> = &'a dyn Fn(&mut Vec<(String, Tensor)>);

#[test]
fn what_does_not_fit_is_named_and_nothing_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let plan = plan();
    let (store, _network) = network(&plan);
    weights::save(&path, &store).unwrap();
    let whole = tensors(&path);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let refused = |change: Change<'_>, expected: &str| {
        let mut changed: Vec<_> = whole.iter().map(|(name, t)| (name.clone(), t.zeros_like())).collect();
        change(&mut changed);
        Tensor::write_safetensors(&changed, &path).unwrap();
        let error = weights::load(&path, &[], &store).unwrap_err();
        assert!(matches!(error, ModelError::Weights { .. }));
        let message = error.to_string();
        assert!(message.ends_with(expected), "{message}");
        assert!(message.contains("weights.safetensors: "), "{message}");
        assert!(f64::try_from(store.variables()["conv1.weight"].abs().max()).unwrap() > 0.0, "nothing is copied");
    };
    refused(&|all| all.retain(|(name, _)| name != "fc.bias"), "it has no `fc.bias`");
    refused(
        &|all| all.retain(|(name, _)| !name.starts_with("layer1.0")),
        "it has no `layer1.0.bn1.bias`, `layer1.0.bn1.running_mean`, `layer1.0.bn1.running_var` and 7 more",
    );
    refused(
        &|all| all.push(("aux1.conv.weight".to_owned(), zeros(&[1]))),
        "the model has no place for `aux1.conv.weight`",
    );
    let reshape = |all: &mut Vec<(String, Tensor)>, name: &str| {
        all.iter_mut().filter(|(n, _)| n == name).for_each(|(_, t)| *t = zeros(&[1000, 16]));
    };
    refused(&|all| reshape(all, "fc.weight"), "`fc.weight` has shape [1000, 16], expected [5, 16]");
    refused(
        &|all| ["fc.weight", "fc.bias"].iter().for_each(|name| reshape(all, name)),
        "`fc.bias` has shape [1000, 16], expected [5], and 1 more do not fit",
    );
    let integers = |all: &mut Vec<(String, Tensor)>| {
        all.iter_mut().filter(|(n, _)| n == "fc.bias").for_each(|(_, t)| *t = t.to_kind(Kind::Int64));
    };
    refused(&integers, "`fc.bias` holds no real numbers");
}

#[test]
fn auxiliary_classifiers_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let plan = Plan::new(&model("googlenet", &[("width", OptionValue::Int(4))]), &float(), INPUT, 5).unwrap();
    let (store, _network) = network(&plan);
    weights::save(&path, &store).unwrap();
    let mut all = tensors(&path);
    all.push(("aux2.fc1.weight".to_owned(), Tensor::zeros([2, 2], (Kind::Float, Device::Cpu))));
    Tensor::write_safetensors(&all, &path).unwrap();
    weights::load(&path, plan.ignored, &store).unwrap();
    assert!(weights::load(&path, &[], &store).is_err());
}

#[test]
fn what_is_no_file_of_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let plan = plan();
    let store = nn::VarStore::new(Device::Cpu);
    let network = harness_models::Network::new(&plan, &store.root());
    assert!(network.is_ok());
    weights::save(&path, &store).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let refused = || {
        let error = weights::load(&path, &[], &store).unwrap_err().to_string();
        assert!(error.contains("no safetensors file"), "{error}");
    };
    std::fs::remove_file(&path).unwrap();
    refused();
    for bytes in [&b""[..], b"12345678", &[0xff; 64], &whole[..whole.len() - 1], &whole[..9]] {
        std::fs::write(&path, bytes).unwrap();
        refused();
    }
    let mut header = (u64::MAX / 2).to_le_bytes().to_vec();
    header.extend(b"{}");
    std::fs::write(&path, header).unwrap();
    refused();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused();
}
