//! Everything a training needs to go on to the bit: variables, optimizer, generator.

use std::collections::BTreeMap;
use std::path::Path;

use harness_torch::random;
use tch::{Device, Tensor, nn};

use crate::failure::EngineError;
use crate::optimizer::Optimizer;

const GENERATOR: &str = "generator";

/// Writes a checkpoint.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, store: &nn::VarStore, optimizer: &Optimizer, device: Device) -> Result<(), EngineError> {
    let variables = sorted(store).into_iter().map(|(name, tensor)| (format!("model.{name}"), tensor));
    let state = optimizer.state().into_iter().map(|(name, tensor)| (format!("optimizer.{name}"), tensor));
    let generator = [(GENERATOR.to_owned(), random::state(device)?)];
    let all: Vec<(String, Tensor)> = variables.chain(state).chain(generator).collect();
    Ok(Tensor::write_safetensors(&all, path)?)
}

/// Writes the variables alone, under their own names.
///
/// # Errors
/// When the file cannot be written.
pub fn save_model(path: &Path, store: &nn::VarStore) -> Result<(), EngineError> {
    Ok(Tensor::write_safetensors(&sorted(store), path)?)
}

/// Reads a checkpoint back into what it was saved from.
///
/// # Errors
/// A file that cannot be read, and tensors that are missing or have other shapes.
pub fn load(path: &Path, store: &nn::VarStore, optimizer: &mut Optimizer, device: Device) -> Result<(), EngineError> {
    let mut saved: BTreeMap<String, Tensor> = Tensor::read_safetensors(path)?.into_iter().collect();
    fill(store, &mut saved, "model.")?;
    let Some(generator) = saved.remove(GENERATOR) else {
        return Err(EngineError::Checkpoint("it has no generator state".to_owned()));
    };
    random::restore(device, &generator)?;
    let state = saved.into_iter().filter_map(|(name, t)| Some((name.strip_prefix("optimizer.")?.to_owned(), t)));
    Ok(optimizer.restore(&state.collect())?)
}

/// Reads a file of [`save_model`] back.
///
/// # Errors
/// A file that cannot be read, and tensors that are missing or have other shapes.
pub fn load_model(path: &Path, store: &nn::VarStore) -> Result<(), EngineError> {
    let mut saved: BTreeMap<String, Tensor> = Tensor::read_safetensors(path)?.into_iter().collect();
    fill(store, &mut saved, "")
}

/// Copies saved tensors, named with a prefix, into the variables of a store, and takes them out of `saved`.
fn fill(store: &nn::VarStore, saved: &mut BTreeMap<String, Tensor>, prefix: &str) -> Result<(), EngineError> {
    for (name, mut variable) in sorted(store) {
        let Some(value) = saved.remove(&format!("{prefix}{name}")) else {
            return Err(EngineError::Checkpoint(format!("it has no `{name}`")));
        };
        if value.size() != variable.size() {
            let message = format!("`{name}` has shape {:?}, expected {:?}", value.size(), variable.size());
            return Err(EngineError::Checkpoint(message));
        }
        tch::no_grad(|| variable.f_copy_(&value))?;
    }
    Ok(())
}

/// Sorted by name: the store's own map has another order in every process, and files should be equal to the byte.
fn sorted(store: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_records::config::OptimizerConfig;
    use tch::Kind;
    use tch::nn::Init;

    const SGD: OptimizerConfig = OptimizerConfig::Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.0 };

    fn network(fill: f64) -> (nn::VarStore, Tensor, Optimizer) {
        let store = nn::VarStore::new(Device::Cpu);
        let weight = (store.root() / "fc").var("weight", &[3, 2], Init::Const(fill));
        let _ = store.root().zeros_no_train("scalar", &[]);
        let optimizer = Optimizer::new(&SGD, &store).unwrap();
        (store, weight, optimizer)
    }

    fn train(weight: &Tensor, optimizer: &mut Optimizer) {
        optimizer.zero_grad();
        let noise = Tensor::rand([3, 2], (Kind::Float, Device::Cpu));
        (weight * noise).square().sum(Kind::Float).backward();
        optimizer.step(0.1).unwrap();
    }

    #[test]
    fn training_goes_on_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let (store, weight, mut optimizer) = network(1.0);
        tch::manual_seed(11);
        train(&weight, &mut optimizer);
        save(&path, &store, &optimizer, Device::Cpu).unwrap();
        train(&weight, &mut optimizer);
        let (other, weight2, mut optimizer2) = network(5.0);
        load(&path, &other, &mut optimizer2, Device::Cpu).unwrap();
        train(&weight2, &mut optimizer2);
        assert_eq!(weight, weight2);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let (store, _, mut optimizer) = network(1.0);
        assert!(load(&path, &store, &mut optimizer, Device::Cpu).is_err(), "no file");
        std::fs::write(&path, b"not a checkpoint").unwrap();
        assert!(load(&path, &store, &mut optimizer, Device::Cpu).is_err(), "not a checkpoint");
        save_model(&path, &store).unwrap();
        let error = load(&path, &store, &mut optimizer, Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "the checkpoint does not fit: it has no `fc.weight`");
    }
}
