//! Update rules over named variables, with a state that can be saved.

use std::collections::BTreeMap;

use harness_records::config::OptimizerConfig;
use harness_torch::optim::{self, Adam, Moments, Sgd};
use tch::{Kind, TchError, Tensor, nn};

/// An optimizer over the trainable variables of one store.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Weights, with decay; then biases, normalization and the like, without.
    groups: [Group; 2],
}

/// Variables that share their constants. The lists run in parallel.
#[derive(Debug, Default)]
struct Group {
    names: Vec<String>,
    values: Vec<Tensor>,
    /// Per slot (momentum, or first and second moment), a tensor a variable.
    slots: Vec<Vec<Tensor>>,
    /// Adam's step counts, f32 scalars.
    counts: Vec<Tensor>,
}

impl Optimizer {
    /// An optimizer at step 0.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(config: &OptimizerConfig, store: &nn::VarStore) -> Result<Optimizer, TchError> {
        // Sorted: the store's own map has another order in every process.
        let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        let mut groups = [Group::default(), Group::default()];
        for (name, value) in variables.into_iter().filter(|(_, value)| value.requires_grad()) {
            // Vectors are biases, normalization or learned steps; only matrices and filters decay.
            let group = &mut groups[usize::from(value.dim() < 2)];
            group.names.push(name);
            group.values.push(value);
        }
        let slots = match config {
            OptimizerConfig::Sgd { .. } => 1,
            OptimizerConfig::Adam { .. } | OptimizerConfig::AdamW { .. } => 2,
        };
        for group in &mut groups {
            for _ in 0..slots {
                let zeros = group.values.iter().map(|value| tch::no_grad(|| value.f_zeros_like()));
                group.slots.push(zeros.collect::<Result<_, _>>()?);
            }
            let counts = group.values.iter().map(|value| Tensor::f_zeros([], (Kind::Float, value.device())));
            group.counts = counts.collect::<Result<_, _>>()?;
        }
        Ok(Optimizer { config: config.clone(), groups })
    }

    /// Sets all gradients to zero.
    pub fn zero_grad(&mut self) {
        for value in self.groups.iter_mut().flat_map(|group| &mut group.values) {
            value.zero_grad();
        }
    }

    /// Scales all gradients so that their common L2 norm is at most `max`. Does not wait for the device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn clip_norm(&self, max: f64) -> Result<(), TchError> {
        tch::no_grad(|| {
            let gradients: Vec<Tensor> = self.gradients().filter(Tensor::defined).collect();
            let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
            let factor = (Tensor::f_stack(&norms, 0)?.f_norm()?.f_add_scalar(1e-6)?.f_reciprocal()?)
                .f_mul_scalar(max)?
                .f_clamp_max(1.0)?;
            for mut gradient in gradients {
                let _ = gradient.f_mul_(&factor)?;
            }
            Ok(())
        })
    }

    fn gradients(&self) -> impl Iterator<Item = Tensor> {
        self.groups.iter().flat_map(|group| &group.values).map(Tensor::grad)
    }

    /// One update with the learning rate `lr`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn step(&mut self, lr: f64) -> Result<(), TchError> {
        let [weights, others] = &self.groups;
        for (group, decays) in [(weights, true), (others, false)] {
            group.step(&self.config, lr, decays)?;
        }
        Ok(())
    }

    /// Goes back to step 0: all momenta and moments are zero.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn reset_state(&mut self) -> Result<(), TchError> {
        for (_, mut tensor) in self.state() {
            let _ = tch::no_grad(|| tensor.f_zero_())?;
        }
        Ok(())
    }

    /// Every tensor of the state by name, to be saved, and to be restored by copying into it.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = Vec::new();
        for group in &self.groups {
            for (i, name) in group.names.iter().enumerate() {
                for (slot, tensors) in group.slots.iter().enumerate() {
                    state.push((format!("slot{slot}.{name}"), tensors[i].shallow_clone()));
                }
                state.push((format!("count.{name}"), group.counts[i].shallow_clone()));
            }
        }
        state
    }
}

impl Group {
    fn step(&self, config: &OptimizerConfig, lr: f64, decays: bool) -> Result<(), TchError> {
        let gradients: Vec<Tensor> = self.values.iter().map(Tensor::grad).collect();
        // A variable that took no part in the loss has no gradient and is left alone.
        let used: Vec<usize> = (0..gradients.len()).filter(|&i| gradients[i].defined()).collect();
        if used.is_empty() {
            return Ok(());
        }
        fn pick<'a>(used: &[usize], tensors: &'a [Tensor]) -> Vec<&'a Tensor> {
            used.iter().map(|&i| &tensors[i]).collect()
        }
        let (values, gradients) = (pick(&used, &self.values), pick(&used, &gradients));
        let decay = |weight_decay: f64| if decays { weight_decay } else { 0.0 };
        match *config {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay, .. } => {
                let sgd = Sgd { lr, momentum, nesterov, weight_decay: decay(weight_decay) };
                optim::sgd_step(&values, &gradients, &pick(&used, &self.slots[0]), sgd)
            }
            OptimizerConfig::Adam { betas, eps, weight_decay, .. }
            | OptimizerConfig::AdamW { betas, eps, weight_decay, .. } => {
                let decoupled = matches!(config, OptimizerConfig::AdamW { .. });
                let counts = pick(&used, &self.counts);
                for count in &counts {
                    let _ = count.shallow_clone().f_add_scalar_(1.0)?;
                }
                let moments = Moments {
                    first: &pick(&used, &self.slots[0]),
                    second: &pick(&used, &self.slots[1]),
                    steps: &counts,
                };
                let adam = Adam { lr, betas, eps, weight_decay: decay(weight_decay), decoupled };
                optim::adam_step(&values, &gradients, moments, adam)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::Init;

    const SGD: OptimizerConfig = OptimizerConfig::Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.5 };
    const ADAM: OptimizerConfig = OptimizerConfig::Adam { lr: 0.1, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.5 };

    fn store() -> (nn::VarStore, Tensor, Tensor) {
        let store = nn::VarStore::new(Device::Cpu);
        let weight = store.root().var("weight", &[2, 2], Init::Const(1.0));
        let bias = store.root().var("bias", &[2], Init::Const(1.0));
        (store, weight, bias)
    }

    fn train(optimizer: &mut Optimizer, weight: &Tensor, bias: &Tensor, steps: usize) {
        for _ in 0..steps {
            optimizer.zero_grad();
            (weight.square().sum(Kind::Float) + (bias * 3.0).sin().sum(Kind::Float)).backward();
            optimizer.step(0.1).unwrap();
        }
    }

    #[test]
    fn only_matrices_decay() {
        let (store, weight, bias) = store();
        let mut optimizer = Optimizer::new(&SGD, &store).unwrap();
        optimizer.zero_grad();
        ((&weight * 0.0).sum(Kind::Float) + (&bias * 0.0).sum(Kind::Float)).backward();
        optimizer.step(0.1).unwrap();
        assert!((weight.double_value(&[0, 0]) - 0.95).abs() < 1e-7, "{weight:?}");
        assert_eq!(bias.double_value(&[0]), 1.0);
    }

    #[test]
    fn a_restored_optimizer_goes_on_to_the_bit() {
        for config in [SGD, ADAM] {
            let (whole, weight, bias) = store();
            let mut optimizer = Optimizer::new(&config, &whole).unwrap();
            train(&mut optimizer, &weight, &bias, 7);
            let saved: BTreeMap<String, Tensor> =
                optimizer.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
            let (part, mut weight2, mut bias2) = store();
            tch::no_grad(|| {
                weight2.copy_(&weight);
                bias2.copy_(&bias);
            });
            let mut second = Optimizer::new(&config, &part).unwrap();
            for (name, mut tensor) in second.state() {
                tch::no_grad(|| tensor.copy_(&saved[&name]));
            }
            train(&mut optimizer, &weight, &bias, 5);
            train(&mut second, &weight2, &bias2, 5);
            assert_eq!(weight, weight2);
            assert_eq!(bias, bias2);
        }
    }

    #[test]
    fn an_optimizer_with_a_reset_state_is_a_new_one() {
        for config in [SGD, ADAM] {
            let (one, weight, bias) = store();
            let mut optimizer = Optimizer::new(&config, &one).unwrap();
            train(&mut optimizer, &weight, &bias, 3);
            optimizer.reset_state().unwrap();
            let (two, mut weight2, mut bias2) = store();
            tch::no_grad(|| {
                weight2.copy_(&weight);
                bias2.copy_(&bias);
            });
            let mut fresh = Optimizer::new(&config, &two).unwrap();
            train(&mut optimizer, &weight, &bias, 3);
            train(&mut fresh, &weight2, &bias2, 3);
            assert_eq!((weight, bias), (weight2, bias2));
        }
    }

    #[test]
    fn clipping_bounds_the_common_norm() {
        let (store, weight, bias) = store();
        let mut optimizer = Optimizer::new(&SGD, &store).unwrap();
        let norm = |weight: &Tensor, bias: &Tensor| {
            (weight.grad().square().sum(Kind::Float) + bias.grad().square().sum(Kind::Float)).sqrt().double_value(&[])
        };
        for (max, expected) in [(1.0, 1.0), (100.0, 6.0)] {
            optimizer.zero_grad();
            ((&weight * 3.0).sum(Kind::Float) + (&bias * 0.0).sum(Kind::Float)).backward();
            optimizer.clip_norm(max).unwrap();
            assert!((norm(&weight, &bias) - expected).abs() < 1e-5, "{}", norm(&weight, &bias));
        }
    }
}
