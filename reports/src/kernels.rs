//! Kernel speeds for the tables and figures, from a file of `harness bench --out` or `--json`.

use std::collections::BTreeSet;
use std::path::Path;

use harness_records::bench_report::{BenchReport, KernelResult, LibtorchResult, MemoryBandwidth, NumberType};

use crate::error::ReportError;

/// A run of the kernel benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernels {
    report: BenchReport,
}

impl Kernels {
    /// Reads a file that `harness bench` has written.
    ///
    /// # Errors
    /// [`ReportError::Kernels`] when the file cannot be read, is of another form or version, or holds no kernel.
    pub fn read(path: &Path) -> Result<Kernels, ReportError> {
        let wrong = |reason: String| ReportError::Kernels { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        BenchReport::parse(&text).map(Kernels::of).map_err(|error| wrong(error.to_string()))
    }

    /// A run that has just been measured.
    #[must_use]
    pub fn of(report: BenchReport) -> Kernels {
        Kernels { report }
    }

    /// The kernels of the routes that run when none is asked for.
    pub(crate) fn chosen(&self) -> impl Iterator<Item = &KernelResult> {
        self.report.kernels.iter().filter(|kernel| kernel.chosen)
    }

    /// The kernels of every route that was timed.
    pub(crate) fn all(&self) -> &[KernelResult] {
        &self.report.kernels
    }

    /// Memory bandwidths of one thread, from the smallest buffer to the largest.
    pub(crate) fn memory(&self) -> &[MemoryBandwidth] {
        &self.report.memory
    }

    /// The fastest f32 operator of libtorch on a shape.
    pub(crate) fn fastest_f32(&self, shape: &str) -> Option<&LibtorchResult> {
        let of_shape = self.report.libtorch.iter().filter(|result| result.shape == shape);
        of_shape.into_iter().find(|result| result.kind == NumberType::F32 && result.fastest)
    }

    /// Names of the shapes, in the order of the file.
    pub(crate) fn shapes(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.chosen().map(|kernel| kernel.shape.as_str()).filter(|shape| seen.insert(*shape)).collect()
    }

    /// Pairs of bit widths, in the order of the file.
    pub(crate) fn pairs(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.chosen().map(|kernel| kernel.bits.as_str()).filter(|bits| seen.insert(*bits)).collect()
    }

    /// Where it was measured, to be put after a noun: `, on EXAMPLE CPU at 0123456789, 1 thread`.
    pub(crate) fn place(&self) -> String {
        let environment = &self.report.environment;
        let mut text = format!(", on {}", environment.device_name);
        if let Some(commit) = &environment.commit {
            text.push_str(&format!(" at {}", commit.chars().take(10).collect::<String>()));
        }
        let threads = self.report.threads;
        text.push_str(&format!(", {threads} thread{}", if threads == 1 { "" } else { "s" }));
        text
    }
}

/// Speeds over f32 by bit widths: `(bits of weights, bits of activations, speed)`.
#[derive(Debug)]
pub(crate) struct Speeds(Vec<(u32, u32, f64)>);

impl Speeds {
    /// Geometric means of the speed over f32, over the shapes.
    pub(crate) fn of(kernels: &Kernels) -> Speeds {
        let bits = |kernel: &KernelResult| (u32::from(kernel.weight_bits), u32::from(kernel.activation_bits));
        let pairs: BTreeSet<(u32, u32)> = kernels.chosen().map(bits).collect();
        let mean = |pair: (u32, u32)| {
            let of_pair = kernels.chosen().filter(|kernel| bits(kernel) == pair);
            let logs: Vec<f64> = of_pair.filter_map(|kernel| Some(kernel.speedup_f32()?.ln())).collect();
            let count = logs.len() as f64;
            (!logs.is_empty()).then(|| (pair.0, pair.1, (logs.into_iter().sum::<f64>() / count).exp()))
        };
        Speeds(pairs.into_iter().filter_map(mean).collect())
    }

    /// The speed over f32 at a pair of bit widths, if it was measured.
    pub(crate) fn ratio(&self, weights: u32, activations: u32) -> Option<f64> {
        self.0.iter().find(|(w, a, _)| (*w, *a) == (weights, activations)).map(|(_, _, ratio)| *ratio)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A report of the version that this crate reads, with the environment and the libtorch results of a real run, whose
    /// kernels `edit` makes of one example.
    pub(crate) fn report(edit: impl FnOnce(&KernelResult) -> Vec<KernelResult>) -> BenchReport {
        let text = include_str!("../../harness/records/tests/records/fixtures/bench-v1.json");
        let mut report = BenchReport::parse(text).unwrap();
        report.kernels = edit(&report.kernels[0]);
        report
    }
}

#[cfg(test)]
mod tests {
    use harness_records::bench_report::Quartiles;

    use super::*;

    fn kernel(example: &KernelResult, shape: &str, bits: [u8; 2], over_f32: Option<f64>) -> KernelResult {
        KernelResult {
            shape: shape.to_owned(),
            bits: format!("w{}a{}", bits[0], bits[1]),
            weight_bits: bits[0],
            activation_bits: bits[1],
            ratio_f32: over_f32.map(|median| Quartiles { median, low: median, high: median }),
            chosen: true,
            ..example.clone()
        }
    }

    #[test]
    fn speeds_are_those_of_the_chosen_routes() {
        let kernels = Kernels::of(testing::report(|example| {
            vec![
                kernel(example, "a", [1, 2], Some(4.0)),
                kernel(example, "b", [1, 2], Some(9.0)),
                KernelResult { chosen: false, ..kernel(example, "b", [1, 2], Some(100.0)) },
                kernel(example, "c", [2, 2], None),
            ]
        }));
        assert_eq!((kernels.chosen().count(), kernels.all().len()), (3, 4));
        assert_eq!(kernels.shapes(), ["a", "b", "c"]);
        assert_eq!(kernels.pairs(), ["w1a2", "w2a2"]);
        assert_eq!(kernels.fastest_f32("3x40x70").unwrap().operator, "linear");
        assert_eq!(kernels.place(), ", on AMD EPYC at 326adcd7fd, 1 thread");
        let speeds = Speeds::of(&kernels);
        assert!((speeds.ratio(1, 2).unwrap() - 6.0).abs() < 1e-9);
        assert_eq!((speeds.ratio(2, 2), speeds.ratio(8, 8)), (None, None));
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (text, part) in [
            ("{", "EOF"),
            ("{\"version\": 1, \"cells\": []}", "missing field"),
            ("{\"cells\": []}", "no `version`"),
            ("{\"version\": 7}", "version 7, expected 1"),
        ] {
            let path = folder.path().join("bench.json");
            std::fs::write(&path, text).unwrap();
            let message = Kernels::read(&path).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("bench.json"), "{message}");
        }
        assert!(Kernels::read(&folder.path().join("absent.json")).is_err());
    }
}
