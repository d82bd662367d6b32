//! Which scales a row gets.

use harness_method_core::{Bits, MethodError, Options};
use harness_torch::slices;
use tch::{Device, Kind, Tensor};

use crate::exact::{Levels, best_split};
use crate::{official, rows};

/// Variant, solver and number of scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Solver {
    variant: Variant,
    count: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// GF-k; GF-1 is LS-1.
    Greedy,
    Optimal(Levels),
    Official(Levels, usize),
}

impl Solver {
    pub(crate) fn new(options: &Options, bits: Bits) -> Solver {
        let levels = if options.text("variant") == "ternary" { Levels::Three } else { Levels::Four };
        let skip = options.int("skip").and_then(|skip| usize::try_from(skip).ok()).unwrap_or(1);
        let variant = match (options.text("variant"), bits.get()) {
            ("greedy", _) | ("optimal", 1) => Variant::Greedy,
            _ if options.text("solver") == "official" => Variant::Official(levels, skip),
            _ => Variant::Optimal(levels),
        };
        Solver { variant, count: bits.get() }
    }

    /// True when greater inputs never get lesser levels: `v_1 >= v_2` and no third scale.
    pub(crate) fn is_monotone(self) -> bool {
        self.variant != Variant::Greedy || self.count == 1
    }

    /// Number of scales, k.
    pub(crate) fn count(self) -> usize {
        usize::from(self.count)
    }

    /// Scales of each row of `x`, `[g, n]` f32: `[g, k]` f32, descending (but for the official solver's fallback).
    pub(crate) fn scales(self, x: &Tensor) -> Result<Tensor, MethodError> {
        if x.device() == Device::Cpu || matches!(self.variant, Variant::Official(..)) {
            return self.on_host(x);
        }
        self.on_device(x)
    }

    /// Row by row on the CPU, sums in f64. (The official solver comes here from a GPU too: it is for comparison.)
    pub(crate) fn on_host(self, x: &Tensor) -> Result<Tensor, MethodError> {
        let (groups, k) = (x.size()[0], self.count());
        let count = usize::try_from(groups).unwrap_or(0);
        let mut scales = vec![0.0f32; count * k];
        slices::with(&x.f_to_device(Device::Cpu)?, |values| {
            rows::for_each(count, values, &mut scales, |_, row, scales| {
                let mut magnitudes: Vec<f32> = row.iter().map(|v| v.abs()).collect();
                self.solve(&mut magnitudes, scales);
            });
        })?;
        Ok(Tensor::f_from_slice(&scales)?.f_view([groups, -1])?.f_to_device(x.device())?)
    }

    fn solve(self, magnitudes: &mut [f32], scales: &mut [f32]) {
        let n = magnitudes.len() as f64;
        match self.variant {
            Variant::Greedy => {
                for scale in scales {
                    let mean = magnitudes.iter().map(|&a| f64::from(a)).sum::<f64>() / n;
                    *scale = mean as f32;
                    // What is left has the magnitude | |r| - v |, whatever its sign.
                    magnitudes.iter_mut().for_each(|a| *a = (*a - *scale).abs());
                }
            }
            Variant::Optimal(levels) => {
                let (split, sum) = best_split(magnitudes, levels);
                let lower = split.lower as f64;
                let high = (sum - split.lower_sum) / (n - lower);
                let low = if levels == Levels::Four && split.lower > 0 { split.lower_sum / lower } else { 0.0 };
                let pair = match levels {
                    Levels::Three => [high / 2.0; 2],
                    // Nothing in the lower part: one bit is enough.
                    Levels::Four if split.lower == 0 => [high, 0.0],
                    Levels::Four => [(high + low) / 2.0, (high - low) / 2.0],
                };
                scales.copy_from_slice(&pair.map(|v| v as f32));
            }
            Variant::Official(levels, skip) => {
                scales.copy_from_slice(&official::scales(magnitudes, levels, skip).map(|v| v as f32));
            }
        }
    }

    /// The same by tensor operations, without waiting for the device.
    pub(crate) fn on_device(self, x: &Tensor) -> Result<Tensor, MethodError> {
        let magnitudes = x.f_abs()?;
        let Variant::Optimal(levels) = self.variant else {
            let mut left = magnitudes;
            let mut scales = Vec::with_capacity(self.count());
            for _ in 0..self.count() {
                let mean =
                    left.f_to_kind(Kind::Double)?.f_mean_dim(1i64, true, Kind::Double)?.f_to_kind(Kind::Float)?;
                left = left.f_sub(&mean)?.f_abs()?;
                scales.push(mean);
            }
            return Ok(Tensor::f_cat(&scales, 1)?);
        };
        let n = x.size()[1];
        let (sorted, _) = magnitudes.f_to_kind(Kind::Double)?.f_sort(1, false)?;
        // Sums of the 0, 1, ..., n - 1 least magnitudes.
        let sums = sorted.f_cumsum(1, Kind::Double)?;
        let total = sums.f_narrow(1, n - 1, 1)?;
        let zero = total.f_zeros_like()?;
        let lower_sum = Tensor::f_cat(&[zero, sums.f_narrow(1, 0, n - 1)?], 1)?;
        let lower = Tensor::f_arange(n, (Kind::Double, x.device()))?.f_unsqueeze(0)?;
        let high = total.f_sub(&lower_sum)?.f_div(&lower.f_neg()?.f_add_scalar(n as f64)?)?;
        let above = high.f_mul(&total.f_sub(&lower_sum)?)?;
        // The mean of nothing is taken as 0 here and as `high` below.
        let low = lower_sum.f_div(&lower.f_clamp_min(1.0)?)?;
        let gain = match levels {
            Levels::Four => above.f_add(&low.f_mul(&lower_sum)?)?,
            Levels::Three => above,
        };
        let best = gain.f_argmax(1, true)?;
        let high = high.f_gather(1, &best, false)?;
        let pair = match levels {
            Levels::Three => [high.f_div_scalar(2.0)?, high.f_div_scalar(2.0)?],
            Levels::Four => {
                let low = low.f_gather(1, &best, false)?;
                let low = high.f_where_self(&best.f_eq(0)?, &low)?;
                let one_bit = best.f_eq(0)?;
                let first = high.f_add(&low)?.f_div_scalar(2.0)?;
                let second = high.f_sub(&low)?.f_div_scalar(2.0)?.f_masked_fill(&one_bit, 0.0)?;
                [first, second]
            }
        };
        Ok(Tensor::f_cat(&pair, 1)?.f_to_kind(Kind::Float)?)
    }
}
