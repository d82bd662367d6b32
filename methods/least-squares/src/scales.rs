//! Which scales a row gets.

use harness_method_core::{Bits, KeyDefault, KeyDoc, KeyKind, MethodError, Options};
use harness_torch::{on_host, slices};
use tch::{Device, Kind, Tensor};

use crate::exact::{LevelCount, best_split};
use crate::levels::clamped;
use crate::{official, rows};

/// Where the scales of each row come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scales<'a> {
    /// Each row has its own.
    Own(Solver),
    /// `[1, k]`, for all rows, or `[g, k]`.
    Given(&'a Tensor),
}

/// The default is that of the authors' code.
pub(crate) const SKIP: KeyDoc = KeyDoc {
    name: "skip",
    kind: KeyKind::Int { min: 1, max: 1000 },
    default: KeyDefault::Int(3),
    doc: "the official solver searches every skip-th number of a row",
};

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
    Optimal(LevelCount),
    Official(LevelCount, usize),
}

impl Solver {
    pub(crate) fn new(options: &Options, bits: Bits) -> Solver {
        let levels = if options.text("variant") == "ternary" { LevelCount::Three } else { LevelCount::Four };
        let skip = options.size_or_default(&SKIP);
        let variant = match (options.text("variant"), bits.get()) {
            ("greedy", _) | ("optimal", 1) => Variant::Greedy,
            _ if options.text("solver") == "official" => Variant::Official(levels, skip),
            _ => Variant::Optimal(levels),
        };
        Solver { variant, count: bits.get() }
    }

    /// True when greater inputs never get lesser levels. A third scale can break that, and so can `v_2 > v_1`: just
    /// above zero the level is then `v_1 - v_2 < 0`.
    pub(crate) fn is_monotone(self) -> bool {
        let ordered = matches!(self.variant, Variant::Optimal(_) | Variant::Official(LevelCount::Three, _));
        ordered || self.count == 1
    }

    /// Number of scales, k.
    pub(crate) fn count(self) -> usize {
        usize::from(self.count)
    }

    /// Scales of each row of `x`, `[g, n]` f32, its magnitudes limited to `clamp`: `[g, k]` f32. The official solver
    /// goes to the CPU wherever `x` is: it is for comparison.
    pub(crate) fn scales(self, x: &Tensor, clamp: f32) -> Result<Tensor, MethodError> {
        if on_host(x) || matches!(self.variant, Variant::Official(..)) {
            return self.on_host(x, clamp);
        }
        self.on_device(x, clamp)
    }

    /// Row by row on the CPU.
    pub(crate) fn on_host(self, x: &Tensor, clamp: f32) -> Result<Tensor, MethodError> {
        let rows = usize::try_from(x.size()[0]).unwrap_or(0);
        let mut scales = vec![0.0f32; rows * self.count()];
        slices::with(&x.f_to_device(Device::Cpu)?, |values| {
            let n = values.len() / rows.max(1);
            rows::for_each(rows, values.len(), (&mut scales, &mut [(); 0]), |row, scales, _| {
                self.solve(&values[row * n..][..n], clamp, scales);
            });
        })?;
        let scales = Tensor::f_from_slice(&scales)?.f_view([-1, i64::from(self.count)])?;
        Ok(scales.f_to_device(x.device())?)
    }

    /// One row. Sums are in f64 and in an order of their own, which no number of threads changes.
    pub(crate) fn solve(self, row: &[f32], clamp: f32, scales: &mut [f32]) {
        let n = row.len() as f64;
        // A NaN stays one, and makes the scales NaN.
        let magnitude = |x: &f32| if x.abs() > clamp { clamp } else { x.abs() };
        match self.variant {
            Variant::Greedy if self.count == 1 => scales[0] = (sum(row, magnitude) / n) as f32,
            Variant::Greedy => {
                let mut magnitudes: Vec<f32> = row.iter().map(magnitude).collect();
                let mut last = 0.0;
                for scale in scales {
                    // What is left after a sign has the magnitude | |r| - v |, whatever the sign.
                    magnitudes.iter_mut().for_each(|a| *a = (*a - last).abs());
                    *scale = (sum(&magnitudes, |&a| a) / n) as f32;
                    last = *scale;
                }
            }
            Variant::Optimal(levels) => {
                let magnitudes: Vec<f32> = row.iter().map(magnitude).collect();
                let (split, sum) = best_split(&magnitudes, levels);
                let lower = split.lower as f64;
                let high = (sum - split.lower_sum) / (n - lower);
                let pair = match levels {
                    LevelCount::Three => [high / 2.0; 2],
                    // Nothing in the lower part: one bit is enough.
                    LevelCount::Four if split.lower == 0 => [high, 0.0],
                    LevelCount::Four => {
                        let low = split.lower_sum / lower;
                        [(high + low) / 2.0, (high - low) / 2.0]
                    }
                };
                scales.copy_from_slice(&pair.map(|v| v as f32));
            }
            Variant::Official(levels, skip) => {
                let magnitudes: Vec<f32> = row.iter().map(magnitude).collect();
                scales.copy_from_slice(&official::scales(&magnitudes, levels, skip).map(|v| v as f32));
            }
        }
    }

    /// The same by tensor operations, without waiting for the device.
    pub(crate) fn on_device(self, x: &Tensor, clamp: f32) -> Result<Tensor, MethodError> {
        let magnitudes = clamped(&x.f_abs()?, clamp)?;
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
        let (sorted, _) = magnitudes.f_sort(1, false)?;
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
            LevelCount::Four => above.f_add(&low.f_mul(&lower_sum)?)?,
            LevelCount::Three => above,
        };
        let best = gain.f_argmax(1, true)?;
        let high = high.f_gather(1, &best, false)?;
        let pair = match levels {
            LevelCount::Three => [high.f_div_scalar(2.0)?, high.f_div_scalar(2.0)?],
            LevelCount::Four => {
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

/// Sum of `f` over the row, in as many parts as keep the additions from waiting for each other.
fn sum(row: &[f32], f: impl Fn(&f32) -> f32) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0f64; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(|x| f64::from(f(x))).sum();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(f(x));
        }
    }
    sums.iter().sum::<f64>() + rest
}
