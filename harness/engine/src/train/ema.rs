//! A moving average of all weights: smoother than the weights themselves, and what is evaluated and kept.

use tch::{Kind, TchError, Tensor, nn};

use crate::checkpoint::sorted;

/// Moving average of the variables of one store.
///
/// After step `t` (from 0) the average moves towards the variables by `1 - min(decay, t / (t + 9))`: the first step
/// copies them, and the average of a short training is not held back by its beginning. Whole numbers among the
/// variables are copied.
#[derive(Debug)]
pub(crate) struct Average {
    decay: f64,
    names: Vec<String>,
    variables: Vec<Tensor>,
    averages: Vec<Tensor>,
}

impl Average {
    /// An average that starts as the variables are now.
    pub(crate) fn new(decay: f64, store: &nn::VarStore) -> Result<Average, TchError> {
        let (names, variables): (Vec<String>, Vec<Tensor>) = sorted(store).into_iter().unzip();
        let averages = variables.iter().map(copy).collect::<Result<_, _>>()?;
        Ok(Average { decay, names, variables, averages })
    }

    /// To be called after step `t`, from 0. Does not wait for the device.
    pub(crate) fn update(&mut self, t: u64) -> Result<(), TchError> {
        let decay = self.decay.min(t as f64 / (t as f64 + 9.0));
        tch::no_grad(|| {
            for (average, variable) in self.averages.iter_mut().zip(&self.variables) {
                let _ = match average.kind() {
                    Kind::Float | Kind::Double => average.f_lerp_(variable, 1.0 - decay)?,
                    _ => {
                        average.f_copy_(variable)?;
                        average.shallow_clone()
                    }
                };
            }
            Ok(())
        })
    }

    /// Does something with the averages in the place of the variables.
    pub(crate) fn instead<T, E: From<TchError>>(
        this: Option<&mut Average>,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(average) = this else { return f() };
        average.swap()?;
        let result = f();
        average.swap()?;
        result
    }

    fn swap(&mut self) -> Result<(), TchError> {
        tch::no_grad(|| {
            for (average, variable) in self.averages.iter_mut().zip(&mut self.variables) {
                let held = copy(variable)?;
                variable.f_copy_(average)?;
                average.f_copy_(&held)?;
            }
            Ok(())
        })
    }

    /// Every average by the name of its variable, to be saved and restored in place.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        self.names.iter().cloned().zip(self.averages.iter().map(Tensor::shallow_clone)).collect()
    }
}

fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    tch::no_grad(|| {
        let mut copy = tensor.f_zeros_like()?;
        copy.f_copy_(tensor)?;
        Ok(copy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_models::ModelError;
    use tch::Device;
    use tch::nn::Init;

    #[test]
    fn it_follows_its_formula_and_steps_aside() {
        let store = nn::VarStore::new(Device::Cpu);
        let mut weight = store.root().var("weight", &[1], Init::Const(5.0));
        let mut average = Average::new(0.5, &store).unwrap();
        let mut expected = 5.0;
        for (t, value) in [(0, 1.0), (1, 2.0), (2, 4.0), (100, 8.0), (101, 16.0)] {
            let _ = tch::no_grad(|| weight.fill_(value));
            average.update(t).unwrap();
            let decay = f64::min(0.5, t as f64 / (t as f64 + 9.0));
            expected = decay * expected + (1.0 - decay) * value;
        }
        let seen = Average::instead(Some(&mut average), || Ok::<_, ModelError>(weight.double_value(&[0]))).unwrap();
        assert!((seen - expected).abs() < 1e-5, "{seen}, expected {expected}");
        assert_eq!(weight.double_value(&[0]), 16.0, "training goes on with the weights themselves");
        assert_eq!(Average::instead(None, || Ok::<_, ModelError>(weight.double_value(&[0]))).unwrap(), 16.0);
    }
}
