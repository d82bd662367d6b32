//! The definition of a product, slow and obvious.

use crate::epilogue::Grid;
use crate::geometry::Conv2d;

/// `[batch, height, width, outputs]` sums of products of values over the windows; padding counts as zero.
pub(super) fn conv2d(shape: &Conv2d, activations: &[u8], weights: &[u8], grid: &Grid) -> Vec<i64> {
    let activation =
        |at: usize| i64::from(grid.activation_step) * i64::from(activations[at]) - i64::from(grid.activation_zero);
    let depth = shape.depth();
    let weight = |at: usize| {
        let zero = grid.weight_zero[at / depth % grid.weight_zero.len()];
        i64::from(grid.weight_step) * i64::from(weights[at]) - i64::from(zero)
    };
    conv2d_of(shape, activation, weight)
}

/// The same for the values that `activation` and `weight` make of an index into `[batch, height, width, channels]` and into
/// `[outputs, channels / groups, kernel height, kernel width]`.
pub(super) fn conv2d_of(shape: &Conv2d, activation: impl Fn(usize) -> i64, weight: impl Fn(usize) -> i64) -> Vec<i64> {
    let [height, width] = shape.output().unwrap();
    let (channels, outputs) = (shape.channels / shape.groups, shape.outputs / shape.groups);
    let mut sums = Vec::new();
    for n in 0..shape.batch {
        for y in 0..height {
            for x in 0..width {
                for o in 0..shape.outputs {
                    let mut sum = 0;
                    for ky in 0..shape.kernel[0] {
                        for kx in 0..shape.kernel[1] {
                            let row = (y * shape.stride[0] + ky * shape.dilation[0]).checked_sub(shape.padding[0]);
                            let column = (x * shape.stride[1] + kx * shape.dilation[1]).checked_sub(shape.padding[1]);
                            let (Some(row), Some(column)) = (row, column) else { continue };
                            if row >= shape.height || column >= shape.width {
                                continue;
                            }
                            for c in 0..channels {
                                let pixel = (n * shape.height + row) * shape.width + column;
                                let a = activation(pixel * shape.channels + o / outputs * channels + c);
                                let w = weight(((o * channels + c) * shape.kernel[0] + ky) * shape.kernel[1] + kx);
                                sum += a * w;
                            }
                        }
                    }
                    sums.push(sum);
                }
            }
        }
    }
    sums
}
