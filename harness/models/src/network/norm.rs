//! Batch normalization.

use tch::Tensor;
use tch::nn::{self, Init};

use super::placed::folder;
use crate::ModelError;

#[derive(Debug)]
pub(super) struct BatchNorm {
    pub(super) name: String,
    pub(super) eps: f64,
    pub(super) scale: Tensor,
    pub(super) shift: Tensor,
    pub(super) mean: Tensor,
    pub(super) var: Tensor,
}

impl BatchNorm {
    /// Weight of the newest batch in the running statistics (PyTorch's).
    const MOMENTUM: f64 = 0.1;

    pub(super) fn new(name: &str, eps: f64, channels: i64, root: &nn::Path<'_>) -> Result<BatchNorm, ModelError> {
        let path = folder(root, name);
        Ok(BatchNorm {
            name: name.to_owned(),
            eps,
            scale: path.f_var("weight", &[channels], Init::Const(1.0))?,
            shift: path.f_var("bias", &[channels], Init::Const(0.0))?,
            mean: path.f_zeros_no_train("running_mean", &[channels])?,
            var: path.f_ones_no_train("running_var", &[channels])?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor, ModelError> {
        self.apply(x, training, Self::MOMENTUM)
    }

    /// Normalizes by the statistics of the batch, and makes the running ones the mean over this batch and the `before`
    /// ones that were estimated before it.
    pub(super) fn estimate(&self, x: &Tensor, before: usize) -> Result<Tensor, ModelError> {
        self.apply(x, true, 1.0 / (before as f64 + 1.0))
    }

    fn apply(&self, x: &Tensor, training: bool, momentum: f64) -> Result<Tensor, ModelError> {
        let (scale, shift, mean, var) = (Some(&self.scale), Some(&self.shift), Some(&self.mean), Some(&self.var));
        Ok(x.f_batch_norm(scale, shift, mean, var, training, momentum, self.eps, true)?)
    }
}
