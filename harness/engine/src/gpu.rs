//! How long a GPU would take: a rough estimate from peak numbers, for planning before anything runs.

use harness_records::config::{Precision, TrainConfig};

/// Fraction of the peak that a training step of a convolutional network reaches: an assumption, not a measurement.
pub const UTILISATION: f64 = 0.3;

/// A GPU with its peaks in TFLOP/s, dense, from its maker's data sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// Name for `--gpu`.
    pub name: &'static str,
    /// f32.
    float: f64,
    /// TF32, which libtorch's convolutions take unasked where it exists.
    tf32: Option<f64>,
    /// bfloat16 on tensor cores; none: no faster than f32.
    bf16: Option<f64>,
}

const fn gpu(name: &'static str, float: f64, tf32: Option<f64>, bf16: Option<f64>) -> Gpu {
    Gpu { name, float, tf32, bf16 }
}

/// All known ones.
pub static GPUS: &[Gpu] = &[
    gpu("t4", 8.1, None, None),
    gpu("v100", 15.7, None, None),
    gpu("rtx3090", 35.6, Some(35.6), Some(71.0)),
    gpu("rtx4090", 82.6, Some(82.6), Some(165.2)),
    gpu("l4", 30.3, Some(60.0), Some(121.0)),
    gpu("a100", 19.5, Some(156.0), Some(312.0)),
    gpu("h100", 66.9, Some(494.7), Some(989.4)),
    gpu("h200", 66.9, Some(494.7), Some(989.4)),
];

impl Gpu {
    /// The GPU of this name, upper or lower case.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Gpu> {
        GPUS.iter().find(|gpu| gpu.name.eq_ignore_ascii_case(name))
    }

    /// Hours that this much work of a trial takes at [`UTILISATION`].
    #[must_use]
    pub fn hours(&self, flops: f64, train: &TrainConfig) -> f64 {
        flops / (self.peak(train).1 * 1e12 * UTILISATION) / 3600.0
    }

    /// The numbers a trial computes in, and the peak for them in TFLOP/s.
    #[must_use]
    pub fn peak(&self, train: &TrainConfig) -> (&'static str, f64) {
        match (train.amp, self.bf16, self.tf32) {
            (Some(Precision::Bf16), Some(peak), _) => ("bf16", peak),
            (_, _, Some(peak)) => ("TF32", peak),
            _ => ("f32", self.float),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_follow_peak_and_precision() {
        let float = TrainConfig::default();
        let half = TrainConfig { amp: Some(Precision::Bf16), ..TrainConfig::default() };
        let a100 = Gpu::find("A100").unwrap();
        assert_eq!((a100.peak(&float), a100.peak(&half)), (("TF32", 156.0), ("bf16", 312.0)));
        assert!((a100.hours(156e12 * UTILISATION * 7200.0, &float) - 2.0).abs() < 1e-9);
        assert_eq!(Gpu::find("v100").unwrap().peak(&half), ("f32", 15.7));
        assert_eq!(Gpu::find("abacus"), None);
    }
}
