//! What a quantizer may see of the training set before the first training step, or instead of any.
//!
//! The sites of a network are calibrated in the order of the data: what reaches one of them has passed through all
//! quantizers before it, as they are after their own calibration. Labels are not used.

use tch::{Kind, TchError, Tensor};

/// How the upper end of a range is chosen from the inputs of an activation quantizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeRule {
    /// The largest input.
    Max,
    /// The input below which this many percent of the positive inputs lie.
    Percentile(f64),
    /// The end with the least squared error of rounding and clipping together.
    Mse,
}

/// What reaches an activation quantizer: f32, a tensor `[n, ...]` for each batch of images, and how to choose a range.
#[derive(Debug, Clone, Copy)]
pub struct ActivationCalibration<'a> {
    /// The inputs, finite, on one device.
    pub inputs: &'a [Tensor],
    /// How a range is chosen from them.
    pub rule: RangeRule,
}

/// `product(weights, input)`: what a layer computes, without its bias.
pub type LayerProduct<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Result<Tensor, TchError>;

/// What reaches a layer whose weights are quantized.
pub struct WeightCalibration<'a> {
    /// What its input quantizer gives for each batch of images, f32 `[n, ...]`.
    pub inputs: &'a [Tensor],
    /// The layer's product. Its outputs in full precision are those of the master weights on the same inputs.
    pub product: LayerProduct<'a>,
}

/// Bins of the histogram from which percentiles and errors are computed.
const BINS: i64 = 8192;
/// Ends of a range that are tried for the least squared error, as fractions of the largest input.
const ENDS: i64 = 200;

impl ActivationCalibration<'_> {
    /// The upper end of a range that begins at zero, for a uniform grid of `max_code` steps; 0 where no input is positive.
    /// Computed from a histogram of 8192 equal bins between zero and the largest input, so that the result does not
    /// depend on how the images are cut into batches.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn upper_end(&self, max_code: u8) -> Result<f64, TchError> {
        let mut max = 0.0f64;
        for input in self.inputs {
            max = max.max(f64::try_from(&input.f_max()?.f_to_kind(Kind::Double)?)?);
        }
        // Below the smallest normal number no scale can be formed.
        if self.rule == RangeRule::Max || max < f64::from(f32::MIN_POSITIVE) {
            return Ok(max);
        }
        let counts = self.histogram(max)?;
        let width = max / BINS as f64;
        Ok(match self.rule {
            RangeRule::Max => max,
            RangeRule::Percentile(percent) => {
                let wanted = percent / 100.0 * counts.iter().sum::<f64>();
                let mut below = 0.0;
                let bin = counts.iter().position(|count| {
                    below += count;
                    below >= wanted
                });
                bin.map_or(max, |bin| width * (bin as f64 + 1.0))
            }
            RangeRule::Mse => {
                let error = |end: f64| -> f64 {
                    let step = end / f64::from(max_code);
                    let squared = |(bin, count): (usize, &f64)| {
                        let value = width * (bin as f64 + 0.5);
                        let level = (value / step).round_ties_even().min(f64::from(max_code)) * step;
                        count * (value - level) * (value - level)
                    };
                    counts.iter().enumerate().map(squared).sum()
                };
                let ends = (1..=ENDS).map(|part| max * part as f64 / ENDS as f64);
                let tried = ends.map(|end| (error(end), end));
                tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(max, |(_, end)| end)
            }
        })
    }

    /// How many positive inputs lie in each of [`BINS`] equal bins up to `max`.
    fn histogram(&self, max: f64) -> Result<Vec<f64>, TchError> {
        let mut counts = vec![0.0; usize::try_from(BINS).unwrap_or(0)];
        for input in self.inputs {
            let positive = input.f_masked_select(&input.f_gt(0.0)?)?;
            let bins = positive.f_to_kind(Kind::Double)?.f_mul_scalar(BINS as f64 / max)?.f_floor()?;
            let bins = bins.f_clamp(0.0, (BINS - 1) as f64)?.f_to_kind(Kind::Int64)?;
            let found = Vec::<i64>::try_from(&bins.f_bincount(None::<Tensor>, BINS)?)?;
            counts.iter_mut().zip(found).for_each(|(count, found)| *count += found as f64);
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(values: &[f32], cut: usize, rule: RangeRule, max_code: u8) -> f64 {
        let inputs: Vec<Tensor> = values.chunks(cut).map(Tensor::from_slice).collect();
        ActivationCalibration { inputs: &inputs, rule }.upper_end(max_code).unwrap()
    }

    /// Squared error of a grid from 0 to `end`, done one value after the other.
    fn error(values: &[f32], end: f64, max_code: u8) -> f64 {
        let step = end / f64::from(max_code);
        let level = |v: f64| (v / step).round_ties_even().clamp(0.0, f64::from(max_code)) * step;
        values.iter().map(|&v| f64::from(v).max(0.0)).map(|v| (v - level(v)) * (v - level(v))).sum()
    }

    #[test]
    fn ends_of_known_inputs() {
        let ramp: Vec<f32> = (1..=1000).map(|i| i as f32 / 1000.0).collect();
        assert_eq!(end(&ramp, 300, RangeRule::Max, 3), 1.0);
        assert!((end(&ramp, 300, RangeRule::Percentile(90.0), 3) - 0.9).abs() < 2e-3);
        // One outlier is clipped where codes are few, and kept where they are many.
        let outlier: Vec<f32> = ramp.iter().copied().chain([4.0]).collect();
        assert!(end(&outlier, 100, RangeRule::Mse, 3) < 1.3);
        assert!(end(&outlier, 100, RangeRule::Mse, 255) > 3.9);
        for rule in [RangeRule::Max, RangeRule::Percentile(99.0), RangeRule::Mse] {
            assert_eq!(end(&[-1.0, -0.5], 1, rule, 3), 0.0_f64.max(end(&[-1.0, -0.5], 1, rule, 3)));
            assert_eq!(end(&[0.0, 0.0], 2, rule, 3), 0.0);
        }
    }

    proptest! {
        #[test]
        fn the_end_does_not_depend_on_the_cut_and_beats_other_ends(
            values in prop::collection::vec(-2.0f32..8.0, 20..200), cut in 1usize..50, bits in 1u32..5,
        ) {
            let max_code = ((1u32 << bits) - 1) as u8;
            for rule in [RangeRule::Max, RangeRule::Percentile(95.0), RangeRule::Mse] {
                prop_assert_eq!(end(&values, cut, rule, max_code), end(&values, values.len(), rule, max_code));
            }
            let max = f64::from(values.iter().copied().fold(0.0, f32::max));
            prop_assume!(max > 0.1);
            let best = error(&values, end(&values, cut, RangeRule::Mse, max_code), max_code);
            for part in 1..=20 {
                let other = error(&values, max * f64::from(part) / 20.0, max_code);
                // The histogram knows each value to half a bin.
                prop_assert!(best <= other * 1.02 + 1e-3 * values.len() as f64 * max / 8192.0 * 4.0, "{best} {other}");
            }
        }
    }
}
