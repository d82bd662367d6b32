//! Weights in safetensors files, under the names of PyTorch's torchvision.
//!
//! A variable of a network is named by its layer and its part: `layer1.0.conv1.weight`, `layer1.0.bn1.running_mean`,
//! `fc.bias`. Where torchvision has the network too (`resnet18`, `resnet34`, `resnet50`, `alexnet`, `googlenet`), these
//! are the names and shapes of its `state_dict`, so its files are read as they are and it reads those written here.
//! What is special:
//!
//! - `*.num_batches_tracked` counts batches, which nothing here needs: it is passed over.
//! - The auxiliary classifiers of GoogLeNet, `aux1.*` and `aux2.*`, are passed over: the network is built without.
//! - Learned numbers and statistics of quantizers lie in folders `quantizer`, `activation` and `gradient` of their
//!   site. They are read where both the file and the network have them, and never missed: a network in full precision
//!   is a start for a quantized one, and the other way round.
//!
//! Everything else must be there, fit, and have a place.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor, nn};

use crate::error::{ModelError, WeightsProblem};

/// Folders of what belongs to quantizers.
const QUANTIZERS: [&str; 3] = ["quantizer", "activation", "gradient"];

/// How many names a message lists.
const LISTED: usize = 3;

/// Copies the tensors of a safetensors file into the variables of a network, of any real kind and onto any device.
/// Tensors whose names begin with one of `ignored` ([`crate::Plan::ignored`]) are passed over. Either everything is copied or nothing.
///
/// # Errors
/// [`ModelError::Weights`] when the file cannot be read, a tensor is missing, has no place, or has another shape.
pub fn load(path: &Path, ignored: &[&str], store: &nn::VarStore) -> Result<(), ModelError> {
    let refuse = |problem| ModelError::Weights { path: path.to_owned(), problem };
    let mut found = read(path)?;
    let (mut pairs, mut missing, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for (name, variable) in sorted(store) {
        match found.remove(&name) {
            None if of_quantizer(&name) => {}
            None => missing.push(name),
            Some(value) if value.size() == variable.size() => match value.kind() {
                Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => pairs.push((variable, value)),
                _ => return Err(refuse(WeightsProblem::Kind(name))),
            },
            Some(value) => shapes.push((name, value.size(), variable.size())),
        }
    }
    let passed_over = |name: &str| {
        let counter = name.rsplit('.').next() == Some("num_batches_tracked");
        counter || of_quantizer(name) || ignored.iter().any(|prefix| name.starts_with(prefix))
    };
    let extra: Vec<String> = found.into_keys().filter(|name| !passed_over(name)).collect();
    if let Some((name, found, expected)) = shapes.first() {
        let more = shapes.len() - 1;
        let others = if more > 0 { format!(", and {more} more do not fit") } else { String::new() };
        let problem = format!("`{name}` has shape {found:?}, expected {expected:?}{others}");
        return Err(refuse(WeightsProblem::Shape(problem)));
    }
    if !missing.is_empty() {
        return Err(refuse(WeightsProblem::Missing(listed(&missing))));
    }
    if !extra.is_empty() {
        return Err(refuse(WeightsProblem::Extra(listed(&extra))));
    }
    tch::no_grad(|| pairs.into_iter().try_for_each(|(mut variable, value)| variable.f_copy_(&value)))?;
    Ok(())
}

/// Writes the variables of a network, those of quantizers left out, and gives their number.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, store: &nn::VarStore) -> Result<usize, ModelError> {
    write(path, sorted(store))
}

/// Copies a file of variables, those of quantizers left out, and gives the number of those that are written.
///
/// # Errors
/// [`ModelError::Weights`] when the first file cannot be read, and when the second one cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<usize, ModelError> {
    write(to, read(from)?)
}

fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let unreadable = |e: tch::TchError| WeightsProblem::Unreadable(e.to_string());
    match Tensor::read_safetensors(path).map_err(unreadable) {
        Ok(tensors) => Ok(tensors.into_iter().collect()),
        Err(problem) => Err(ModelError::Weights { path: path.to_owned(), problem }),
    }
}

fn write(path: &Path, mut tensors: BTreeMap<String, Tensor>) -> Result<usize, ModelError> {
    tensors.retain(|name, _| !of_quantizer(name));
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, path)?;
    Ok(tensors.len())
}

/// The store's own map has another order in every process, and files should be equal to the byte.
fn sorted(store: &nn::VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().collect()
}

fn of_quantizer(name: &str) -> bool {
    name.rsplit('.').skip(1).any(|part| QUANTIZERS.contains(&part))
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    match names.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
