//! Batches of labelled images, and how an epoch is divided into them.

use tch::Tensor;

/// Images and their labels on the device.
#[derive(Debug)]
pub struct ImageBatch {
    /// Normalised, f32 `[n, c, h, w]`.
    pub images: Tensor,
    /// Classes, i64 `[n]`.
    pub labels: Tensor,
}

/// Cuts an epoch's order into batches. All of it is used; a last batch of one is joined to the one before, because
/// batch normalization cannot work on a single sample.
#[must_use]
pub fn batches(order: &[u32], batch: u32) -> Vec<&[u32]> {
    let batch = batch as usize;
    let mut cuts: Vec<usize> = (0..order.len()).step_by(batch.max(1)).collect();
    if batch > 1 && order.len() > batch && order.len() % batch == 1 {
        cuts.pop();
    }
    let ends = cuts.iter().copied().skip(1).chain([order.len()]);
    cuts.iter().copied().zip(ends).map(|(start, end)| &order[start..end]).collect()
}

/// Steps of one epoch of `images` images.
#[must_use]
pub fn steps(images: u32, batch: u32) -> u64 {
    let order: Vec<u32> = (0..images).collect();
    batches(&order, batch).len() as u64
}
