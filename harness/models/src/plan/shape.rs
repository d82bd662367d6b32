//! Shapes: what a layer makes of one sample, and how many parameters that takes.

use crate::ModelError;
use crate::layer::{Layer, Window};
use crate::recurrent;

pub(super) fn size(shape: &[i64]) -> u64 {
    shape.iter().map(|&n| u64::try_from(n).unwrap_or(0)).product()
}

/// `[out, in, kernel, kernel]` or `[out, in]`; empty for a layer without a weight.
pub(crate) fn weight_shape(layer: &Layer, input: &[i64]) -> Vec<i64> {
    let channels = input.first().copied().unwrap_or(1);
    match *layer {
        Layer::Conv { out, kernel, .. } => vec![out, channels, kernel, kernel],
        Layer::Linear { out, .. } => vec![out, channels],
        _ => Vec::new(),
    }
}

/// Learned numbers of a layer, those of quantizers not counted.
pub(super) fn parameters(layer: &Layer, input: &[i64]) -> u64 {
    let weights = size(&weight_shape(layer, input));
    match layer {
        Layer::Conv { out, bias, .. } | Layer::Linear { out, bias, .. } => {
            weights + if *bias { size(&[*out]) } else { 0 }
        }
        Layer::BatchNorm { .. } => 2 * size(&input[..1]),
        Layer::Prelu { .. } => size(&input[..1]),
        Layer::Embedding { tokens, size: length, .. } => size(&[*tokens, *length]),
        Layer::Recurrent { name, cell, hidden, .. } => recurrent::matrices(name, *cell, input[0], *hidden)
            .iter()
            .map(|matrix| size(&matrix.shape) + size(&matrix.shape[..1]))
            .sum(),
        _ => 0,
    }
}

/// Shape of one sample after a layer.
pub(super) fn output(layer: &Layer, input: &[i64]) -> Result<Vec<i64>, ModelError> {
    let wrong = |layer: &str, expected: &'static str| {
        Err(ModelError::WrongInput { layer: layer.to_owned(), expected, found: input.to_vec() })
    };
    match (layer, input) {
        (Layer::Conv { name, out, kernel, stride, padding, .. }, _) => {
            let window = Window { size: *kernel, stride: *stride, padding: *padding, ceil: false };
            moved(name, window, input, *out)
        }
        (Layer::MaxPool(window), &[channels, ..]) => moved("pool", *window, input, channels),
        (Layer::AveragePool { side }, &[channels, _, _]) => Ok(vec![channels, *side, *side]),
        (Layer::AveragePool { .. }, _) => wrong("pool", "an image"),
        (Layer::Subsample { out, stride }, &[channels, height, width]) if *out >= channels => {
            let side = |n: i64| (n - 1) / stride + 1;
            Ok(vec![*out, side(height), side(width)])
        }
        (Layer::Subsample { .. }, _) => wrong("shortcut", "an image of no more channels than it gives"),
        (Layer::Linear { out, .. }, &[_]) => Ok(vec![*out]),
        (Layer::Linear { name, .. }, _) => wrong(name, "a vector"),
        (Layer::Recurrent { hidden, .. }, &[_]) => Ok(vec![*hidden]),
        (Layer::Recurrent { name, .. }, _) => wrong(name, "a vector for each token"),
        (Layer::Embedding { size, .. }, &[]) => Ok(vec![*size]),
        (Layer::Embedding { name, .. }, _) => wrong(name, "tokens"),
        (Layer::Flatten, &[_, ..]) => Ok(vec![input.iter().product()]),
        (_, &[]) => wrong("the first layer", "an embedding of the tokens"),
        _ => Ok(input.to_vec()),
    }
}

fn moved(name: &str, window: Window, input: &[i64], out: i64) -> Result<Vec<i64>, ModelError> {
    let min = window.min();
    let too_small = |height, width| ModelError::TooSmall { layer: name.to_owned(), height, width, min };
    let &[_, height, width] = input else { return Err(too_small(1, 1)) };
    if height < min || width < min {
        return Err(too_small(height, width));
    }
    Ok(vec![out, window.output(height), window.output(width)])
}

/// Shape of the sum of several ways with these shapes.
pub(super) fn summed(shapes: &[&[i64]]) -> Result<Vec<i64>, ModelError> {
    match shapes {
        [first, rest @ ..] if rest.iter().all(|shape| shape == first) => Ok(first.to_vec()),
        _ => Err(ways(shapes)),
    }
}

/// Shape of the channels of several ways with these shapes, side by side.
pub(super) fn joined(shapes: &[&[i64]]) -> Result<Vec<i64>, ModelError> {
    let Some(&&[_, height, width]) = shapes.first() else { return Err(ways(shapes)) };
    let channels = shapes.iter().map(|shape| match **shape {
        [channels, h, w] if (h, w) == (height, width) => Some(channels),
        _ => None,
    });
    let channels: Option<i64> = channels.sum();
    channels.map(|channels| vec![channels, height, width]).ok_or_else(|| ways(shapes))
}

fn ways(shapes: &[&[i64]]) -> ModelError {
    ModelError::Ways { shapes: shapes.iter().map(|shape| shape.to_vec()).collect() }
}
