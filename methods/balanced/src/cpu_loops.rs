//! The partition on the CPU, where sorting and scattering tensors would cost more than the rest of the quantizer:
//! the same thresholds and parts as [`crate::partition`], one value after the other. Medians are selected, not
//! sorted; a mean takes one pass that also moves every value to its part of the next depth.

use harness_method_core::Bits;

/// The part of each value when parts are split at their median.
pub(crate) fn by_median(values: &[f32], bits: Bits) -> Vec<u8> {
    // In the order of a heap: the children of node i are 2i and 2i + 1, the root is 1.
    let mut thresholds = [f32::INFINITY; 256];
    let mut scratch = values.to_vec();
    select(&mut scratch, 1, f32::INFINITY, &mut thresholds[..bits.codes()]);
    let part = |value: f32| {
        let descend = |node: usize, _| 2 * node + usize::from(value >= thresholds[node & 255]);
        ((0..bits.get()).fold(1, descend) & usize::from(bits.max_code())) as u8
    };
    values.iter().map(|&value| part(value)).collect()
}

/// Fills in the thresholds at and below `node` from its values; an empty node takes its parent's.
fn select(values: &mut [f32], node: usize, parent: f32, thresholds: &mut [f32]) {
    if node >= thresholds.len() {
        return;
    }
    let middle = values.len() / 2;
    let threshold = if values.is_empty() { parent } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 };
    thresholds[node] = threshold;
    let (left, right) = values.split_at_mut(middle);
    select(left, 2 * node, threshold, thresholds);
    select(right, 2 * node + 1, threshold, thresholds);
}

/// Sums are kept in as many places as an addition takes steps, so that none waits for the one before.
const LANES: usize = 8;

/// The part of each value when parts are split at their mean.
pub(crate) fn by_mean(values: &[f32], bits: Bits) -> Vec<u8> {
    let mut root = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (sum, &value) in root.iter_mut().zip(chunk) {
            *sum += f64::from(value);
        }
    }
    let mut parts = vec![0; values.len()];
    // Indexed by a part of the depth at hand. An empty part is never asked for its mean.
    let mut means = [0.0; 256];
    means[0] = root.iter().sum::<f64>() / values.len() as f64;
    for _ in 1..bits.get() {
        let mut sums = [[(0.0, 0.0); 256]; LANES];
        for (values, parts) in values.chunks(LANES).zip(parts.chunks_mut(LANES)) {
            for ((&value, part), lane) in values.iter().zip(parts).zip(&mut sums) {
                let value = f64::from(value);
                *part = descend(*part, value, &means);
                let (sum, count) = &mut lane[usize::from(*part)];
                *sum += value;
                *count += 1.0;
            }
        }
        for (part, mean) in means.iter_mut().enumerate() {
            let (sum, count) = sums.iter().fold((0.0, 0.0), |(s, c), lane| (s + lane[part].0, c + lane[part].1));
            *mean = sum / count;
        }
    }
    for (&value, part) in values.iter().zip(&mut parts) {
        *part = descend(*part, f64::from(value), &means);
    }
    parts
}

/// The child of `part` that `value` goes to.
fn descend(part: u8, value: f64, means: &[f64; 256]) -> u8 {
    (part << 1) | u8::from(value >= means[usize::from(part)])
}

/// Whether each value is the least of its part.
pub(crate) fn is_min(values: &[f32], parts: &[u8]) -> Vec<bool> {
    let mut min = [f32::INFINITY; 256];
    for (&value, &part) in values.iter().zip(parts) {
        let min = &mut min[usize::from(part)];
        *min = min.min(value);
    }
    values.iter().zip(parts).map(|(&value, &part)| value == min[usize::from(part)]).collect()
}
