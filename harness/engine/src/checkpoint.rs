//! Everything that a training needs to continue exactly where it stopped: variables, state of the optimizer, averages of
//! weights, hidden states and the state of the random number generator.

use std::collections::BTreeMap;
use std::path::Path;

use harness_torch::random;
use tch::{Device, Tensor, nn};

use crate::failure::EngineError;

const GENERATOR: &str = "generator";

/// Tensors of one kind, each under its own name. They share memory with what they belong to, so that a checkpoint is
/// read back by copying into them.
#[derive(Debug)]
pub struct TensorGroup {
    /// What stands before the names in the file.
    pub name: &'static str,
    /// In a fixed order: files should be equal to the byte.
    pub tensors: Vec<(String, Tensor)>,
}

/// Writes a checkpoint of these groups and the default generator of the device.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, groups: &[TensorGroup], device: Device) -> Result<(), EngineError> {
    let tensors = groups.iter().flat_map(|TensorGroup { name, tensors }| {
        tensors.iter().map(move |(tensor, value)| (format!("{name}.{tensor}"), value.shallow_clone()))
    });
    let generator = [(GENERATOR.to_owned(), random::state(device)?)];
    let all: Vec<(String, Tensor)> = tensors.chain(generator).collect();
    Ok(Tensor::write_safetensors(&all, path)?)
}

/// Reads a checkpoint back into the same groups and the generator.
///
/// # Errors
/// A file that cannot be read, and tensors that are missing or have other shapes. Some of the groups may then have been
/// overwritten.
pub fn load(path: &Path, groups: Vec<TensorGroup>, device: Device) -> Result<(), EngineError> {
    let mut saved = read(path)?;
    for TensorGroup { name, tensors } in groups {
        fill(tensors, &mut saved, &format!("{name}."))?;
    }
    let Some(generator) = saved.remove(GENERATOR) else {
        return Err(EngineError::Checkpoint("it has no generator state".to_owned()));
    };
    Ok(random::restore(device, &generator)?)
}

/// Writes the variables alone, under their own names.
///
/// # Errors
/// When the file cannot be written.
pub fn save_model(path: &Path, store: &nn::VarStore) -> Result<(), EngineError> {
    Ok(Tensor::write_safetensors(&sorted(store), path)?)
}

/// Reads a file of [`save_model`] back.
///
/// # Errors
/// A file that cannot be read, and tensors that are missing or have other shapes.
pub fn load_model(path: &Path, store: &nn::VarStore) -> Result<(), EngineError> {
    fill(sorted(store), &mut read(path)?, "")
}

/// Folders of variables that belong to a quantizer, which another network of the same model may lack.
const OF_QUANTIZERS: [&str; 3] = ["quantizer", "activation", "gradient"];

/// Reads first weights from the network that another trial of the same model ended with. What only the quantizers of
/// this network have stays as it is; those that both have go on as they were.
///
/// # Errors
/// A file that cannot be read, and any other tensor that is missing or has another shape.
pub fn load_init(path: &Path, store: &nn::VarStore) -> Result<(), EngineError> {
    let mut saved = read(path)?;
    let wanted = sorted(store)
        .into_iter()
        .filter(|(name, _)| saved.contains_key(name) || !name.split('.').any(|folder| OF_QUANTIZERS.contains(&folder)));
    fill(wanted.collect(), &mut saved, "")
}

fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, EngineError> {
    Ok(Tensor::read_safetensors(path)?.into_iter().collect())
}

/// Copies saved tensors, named with a prefix, into others, and takes them out of `saved`.
fn fill(tensors: Vec<(String, Tensor)>, saved: &mut BTreeMap<String, Tensor>, prefix: &str) -> Result<(), EngineError> {
    for (name, mut tensor) in tensors {
        let Some(value) = saved.remove(&format!("{prefix}{name}")) else {
            return Err(EngineError::Checkpoint(format!("it has no `{prefix}{name}`")));
        };
        if value.size() != tensor.size() {
            let message = format!("`{name}` has shape {:?}, expected {:?}", value.size(), tensor.size());
            return Err(EngineError::Checkpoint(message));
        }
        tch::no_grad(|| tensor.f_copy_(&value))?;
    }
    Ok(())
}

/// The variables of a store, sorted by name: its own map has another order in every process, and files should be equal
/// to the byte.
#[must_use]
pub fn sorted(store: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::Optimizer;
    use harness_records::config::OptimizerConfig;
    use tch::Kind;
    use tch::nn::Init;

    const SGD: OptimizerConfig = OptimizerConfig::Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.0 };

    struct Tiny {
        store: nn::VarStore,
        weight: Tensor,
        optimizer: Optimizer,
    }

    impl Tiny {
        fn new(fill: f64) -> Tiny {
            let store = nn::VarStore::new(Device::Cpu);
            let weight = (store.root() / "fc").var("weight", &[3, 2], Init::Const(fill));
            let _ = store.root().zeros_no_train("scalar", &[]);
            let optimizer = Optimizer::new(&SGD, &store).unwrap();
            Tiny { store, weight, optimizer }
        }

        fn groups(&self) -> Vec<TensorGroup> {
            vec![
                TensorGroup { name: "model", tensors: sorted(&self.store) },
                TensorGroup { name: "optimizer", tensors: self.optimizer.state() },
            ]
        }

        fn train(&mut self) {
            self.optimizer.zero_grad();
            let noise = Tensor::rand([3, 2], (Kind::Float, Device::Cpu));
            (&self.weight * noise).square().sum(Kind::Float).backward();
            self.optimizer.step(0.1).unwrap();
        }
    }

    #[test]
    fn training_goes_on_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let mut one = Tiny::new(1.0);
        tch::manual_seed(11);
        one.train();
        save(&path, &one.groups(), Device::Cpu).unwrap();
        one.train();
        let mut other = Tiny::new(5.0);
        load(&path, other.groups(), Device::Cpu).unwrap();
        other.train();
        assert_eq!(one.weight, other.weight);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let tiny = Tiny::new(1.0);
        assert!(load(&path, tiny.groups(), Device::Cpu).is_err(), "no file");
        std::fs::write(&path, b"not a checkpoint").unwrap();
        assert!(load(&path, tiny.groups(), Device::Cpu).is_err(), "not a checkpoint");
        save_model(&path, &tiny.store).unwrap();
        let error = load(&path, tiny.groups(), Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "the checkpoint does not fit: it has no `model.fc.weight`");
    }

    #[test]
    fn first_weights_come_without_quantizers_but_not_without_weights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let float = Tiny::new(3.0);
        save_model(&path, &float.store).unwrap();
        let quantized = Tiny::new(1.0);
        let step = (quantized.store.root() / "fc" / "quantizer").var("step", &[], Init::Const(0.5));
        load_init(&path, &quantized.store).unwrap();
        assert_eq!(quantized.weight, float.weight);
        assert_eq!(step.double_value(&[]), 0.5, "what the other network lacks stays as it is");
        let _ = (quantized.store.root() / "other").var("weight", &[2], Init::Const(0.0));
        let error = load_init(&path, &quantized.store).unwrap_err().to_string();
        assert_eq!(error, "the checkpoint does not fit: it has no `other.weight`");
    }

    #[test]
    fn fuzz_safetensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tiny = Tiny::new(1.0);
        save_model(&path, &tiny.store).unwrap();
        let whole = std::fs::read(&path).unwrap();
        harness_fuzz::check("safetensors", &[whole], |bytes| {
            std::fs::write(&path, bytes).unwrap();
            load_model(&path, &tiny.store).map_err(|error| error.to_string()).is_ok()
        })
        .unwrap();
    }
}
