//! Sums over an epoch that stay on the device, so that no step waits for it.

use tch::{Device, Kind, TchError, Tensor};

/// Sums over the samples of an epoch so far.
#[derive(Debug)]
pub(crate) struct EpochSums {
    /// Summed loss, f64.
    pub(crate) loss: Tensor,
    /// Correct predictions, i64.
    correct: Tensor,
}

impl EpochSums {
    pub(crate) fn new(device: Device) -> Result<EpochSums, TchError> {
        Ok(EpochSums {
            loss: Tensor::f_zeros([], (Kind::Double, device))?,
            correct: Tensor::f_zeros([], (Kind::Int64, device))?,
        })
    }

    /// Adds `count` samples with this mean loss.
    pub(crate) fn add_loss(&mut self, loss: &Tensor, count: u64) -> Result<(), TchError> {
        tch::no_grad(|| {
            let _ = self.loss.f_add_(&loss.f_to_kind(Kind::Double)?.f_mul_scalar(count as f64)?)?;
            Ok(())
        })
    }

    /// Counts the correct predictions.
    pub(crate) fn add_predictions(&mut self, logits: &Tensor, targets: &Tensor) -> Result<(), TchError> {
        tch::no_grad(|| {
            let correct = logits.f_argmax(1, false)?.f_eq_tensor(targets)?.f_sum(Kind::Int64)?;
            let _ = self.correct.f_add_(&correct)?;
            Ok(())
        })
    }

    /// The summed loss; waits for the device.
    pub(crate) fn total_loss(&self) -> Result<f64, TchError> {
        f64::try_from(&self.loss)
    }

    /// The number of correct predictions; waits for the device.
    pub(crate) fn total_correct(&self) -> Result<i64, TchError> {
        i64::try_from(&self.correct)
    }

    /// The tensors by the names that they have in a checkpoint, where they are read back in place.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        vec![("loss".to_owned(), self.loss.shallow_clone()), ("right".to_owned(), self.correct.shallow_clone())]
    }
}
