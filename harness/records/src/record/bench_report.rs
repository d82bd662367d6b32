//! The format of kernel speeds: what `harness bench --json` prints and `bench.json` holds.
//!
//! The benchmark writes these structs, and reports and the history read the same ones, so a field has one name and one
//! meaning. The layout is that of the structs: one JSON object with `environment`, `version`, `threads`, `rounds`,
//! `memory`, `peers` and `cells`. [`VERSION`] counts changes that an older reader would misunderstand; a reader refuses
//! any other version and passes over fields that it does not know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::run_record::Environment;

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// One run of the kernel benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// Machine, libtorch and commit that were measured.
    pub environment: Environment,
    /// Version of this format, see [`VERSION`].
    pub version: u32,
    /// Threads that every candidate ran on.
    pub threads: usize,
    /// Measurement rounds; every candidate was timed once per round.
    pub rounds: usize,
    /// Numbers of the cores that the threads of the native kernels were pinned to, the calling thread's first; of two threads of
    /// libtorch, too. Empty where they were not pinned, and in files of earlier writers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<usize>,
    /// Memory bandwidth by buffer size, ascending.
    pub memory: Vec<MemoryBandwidth>,
    /// The operators of libtorch, on every shape.
    #[serde(rename = "peers")]
    pub libtorch: Vec<LibtorchResult>,
    /// The native kernels, on every shape, pair of bit widths and route that was asked for.
    #[serde(rename = "cells")]
    pub kernels: Vec<KernelResult>,
    /// Chains of layers, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<ChainResult>,
}

/// Two layers of a network from packed codes to packed codes (convolution, batch normalization, quantizer, twice) on one route at
/// one pair of bit widths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainResult {
    /// Name of the chain.
    pub name: String,
    /// Both bit widths, such as `w2a4`.
    pub bits: String,
    /// The routes of both convolutions.
    pub routes: [String; 2],
    /// Seconds of the chain: the shortest of all rounds, because what else the machine does can only add to it.
    pub time_s: f64,
    /// Seconds of its two products alone, which write integer sums: the shortest of all rounds.
    pub products_s: f64,
    /// Time of the chain over that of its products.
    pub over_products: f64,
    /// Speed over the fastest form of the same chain in libtorch's f32, in the shortest times.
    pub ratio_f32: Option<f64>,
    /// Speed over the same chain in libtorch's int8, in the shortest times.
    pub ratio_int8: Option<f64>,
    /// Interquartile range of the chain's time over its median.
    pub spread: f64,
}

/// The rate at which one thread reads a buffer again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryBandwidth {
    /// Size of the buffer in bytes.
    pub bytes: u64,
    /// 10^9 bytes per second, the median over rounds.
    pub gb_per_s: f64,
    /// Interquartile range over the median.
    pub spread: f64,
}

/// An operator of libtorch on one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LibtorchResult {
    /// Name of the shape.
    pub shape: String,
    /// Name of the operator, such as `linear` or `quantized::conv2d`.
    pub operator: String,
    /// Number type of the operands.
    pub kind: NumberType,
    /// Seconds per call, the median over rounds.
    pub time_s: f64,
    /// 10^9 operations per second: `2 * macs / time_s`.
    pub gops: f64,
    /// Rate over that of a loop of float multiply-adds in registers; for f32 alone.
    pub fraction_of_limit: Option<f64>,
    /// Interquartile range of the time over its median.
    pub spread: f64,
    /// Whether it is the fastest operator of its number type on this shape, to which the kernels' ratios refer.
    pub fastest: bool,
}

/// The native kernel of one route on one shape at one pair of bit widths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelResult {
    /// Name of the shape.
    pub shape: String,
    /// Whether the shape is a matrix product or a convolution.
    pub op: Operation,
    /// Output pixels of the convolution, or rows of the matrix product.
    pub m: usize,
    /// Output channels, or columns.
    pub n: usize,
    /// Products summed for one output.
    pub k: usize,
    /// Both bit widths, such as `w2a4`.
    pub bits: String,
    /// Bits of a weight, 1 to 8.
    pub weight_bits: u8,
    /// Bits of an activation, 1 to 8.
    pub activation_bits: u8,
    /// Name of the route that ran, such as `table-avx2`.
    pub route: String,
    /// Whether this route runs when none is asked for.
    pub chosen: bool,
    /// Whether this route was measured to be the fastest one and is kept in a file of plans.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub planned: bool,
    /// Threads.
    pub threads: usize,
    /// Seconds of the product on packed activations, the median over rounds.
    pub time_s: f64,
    /// Seconds of quantizing and packing the f32 activations, the median over rounds.
    pub pack_s: f64,
    /// 10^9 operations per second without packing: `2 * macs / time_s`.
    pub gops: f64,
    /// 10^9 operations per second with packing included.
    pub gops_packed: f64,
    /// Packing over the time of packing and product.
    pub packing_share: f64,
    /// Speed over the fastest f32 operator of libtorch, packing included.
    pub ratio_f32: Option<Quartiles>,
    /// Speed over the fastest int8 operator of libtorch, packing included; libtorch's input is quantized already.
    pub ratio_int8: Option<Quartiles>,
    /// Rate over the limit's rate, without packing, the median over rounds.
    pub fraction_of_limit: f64,
    /// Which of the two limits is the lower one.
    pub bound: Bound,
    /// Rate of the limit in 10^9 operations per second.
    pub limit_gops: f64,
    /// Multiply-accumulates per byte of weights, activations and results.
    pub intensity: f64,
    /// Interquartile range of the time over its median.
    pub spread: f64,
    /// Whether the spread is so large that the times mean little.
    pub noisy: bool,
}

impl KernelResult {
    /// The median speed over libtorch's f32, if it is a positive number.
    #[must_use]
    pub fn speedup_f32(&self) -> Option<f64> {
        positive(self.ratio_f32.map(|ratio| ratio.median))
    }

    /// The median speed over libtorch's int8, if it is a positive number.
    #[must_use]
    pub fn speedup_int8(&self) -> Option<f64> {
        positive(self.ratio_int8.map(|ratio| ratio.median))
    }
}

fn positive(ratio: Option<f64>) -> Option<f64> {
    ratio.filter(|ratio| *ratio > 0.0 && ratio.is_finite())
}

/// Median and quartiles of a number that was measured in every round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quartiles {
    /// The second quartile.
    pub median: f64,
    /// The first quartile.
    pub low: f64,
    /// The third quartile.
    pub high: f64,
}

/// Number type of a libtorch operator's operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberType {
    /// 32-bit floats.
    F32,
    /// 8-bit integers.
    Int8,
}

/// Kind of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Matrix product.
    Gemm,
    /// Convolution.
    Conv,
}

/// What limits a kernel at most, in the sense of the roofline model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The innermost instructions of its loop.
    Compute,
    /// Reading its weights.
    Memory,
}

impl fmt::Display for NumberType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberType::F32 => "f32",
            NumberType::Int8 => "int8",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Gemm => "gemm",
            Operation::Conv => "conv",
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
        })
    }
}

/// Why a text is no [`BenchReport`].
#[derive(Debug, thiserror::Error)]
pub enum BenchReportError {
    /// The text is not JSON, or a field is missing or has another type.
    #[error("{0}, expected what `harness bench --json` prints")]
    Form(#[from] serde_json::Error),
    /// The object has no version, so it was not written by the benchmark.
    #[error("it has no `version`, expected what `harness bench --json` prints")]
    NoVersion,
    /// The file is of a version that this program does not read.
    #[error("it is of version {found}, expected {VERSION}: read it with the harness that wrote it, or measure again")]
    Version {
        /// The file's version.
        found: u64,
    },
    /// There is nothing in it.
    #[error("it holds no kernel speeds (`cells` is empty)")]
    Empty,
}

impl BenchReport {
    /// Reads what [`BenchReport::to_json`] has written.
    ///
    /// # Errors
    /// When the text is not such an object, is of another version, or holds no kernel.
    pub fn parse(text: &str) -> Result<BenchReport, BenchReportError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: Option<u64>,
        }
        // The version first: what else a newer file holds need not fit these structs.
        match serde_json::from_str::<Versioned>(text)?.version {
            None => return Err(BenchReportError::NoVersion),
            Some(found) if found != u64::from(VERSION) => return Err(BenchReportError::Version { found }),
            Some(_) => {}
        }
        let report: BenchReport = serde_json::from_str(text)?;
        if report.kernels.is_empty() { Err(BenchReportError::Empty) } else { Ok(report) }
    }

    /// The text of the file, indented, with a newline at its end.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Written at commit 326adcd, when the writer and its readers had structs of their own; cut to one shape.
    const OLD: &str = include_str!("../../tests/records/fixtures/bench-v1.json");

    fn old() -> Value {
        serde_json::from_str(OLD).unwrap()
    }

    #[test]
    fn a_file_of_version_1_is_read_and_written_as_it_was() {
        let report = BenchReport::parse(OLD).unwrap();
        assert_eq!((report.memory.len(), report.libtorch.len(), report.kernels.len()), (2, 3, 4));
        let written: Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(written, old());
        let names = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
        };
        // Also in the same order, for readers that compare text.
        assert_eq!(names(&report.to_json().unwrap()), names(OLD));
        let fastest = report.libtorch.iter().find(|result| result.fastest && result.kind == NumberType::F32);
        assert_eq!(fastest.unwrap().operator, "linear");
        let kernel = &report.kernels[0];
        assert_eq!((&*kernel.bits, &*kernel.route, kernel.op), ("w1a1", "int8-portable", Operation::Gemm));
        assert!(kernel.speedup_f32().unwrap() > 0.0 && kernel.speedup_int8().unwrap() > 0.0);
    }

    #[test]
    fn fields_of_later_writers_are_passed_over() {
        let mut newer = old();
        newer["more"] = json!([1]);
        newer["cells"][0]["cache_misses"] = json!({"l1": 3});
        newer["environment"]["governor"] = json!("performance");
        let report = BenchReport::parse(&newer.to_string()).unwrap();
        assert_eq!(report, BenchReport::parse(OLD).unwrap());
    }

    #[test]
    fn other_versions_and_other_files_are_refused() {
        let edited = |edit: &dyn Fn(&mut Value)| {
            let mut value = old();
            edit(&mut value);
            BenchReport::parse(&value.to_string()).unwrap_err().to_string()
        };
        // A later version need not have the same fields.
        let later = BenchReport::parse("{\"version\": 2, \"results\": []}").unwrap_err().to_string();
        assert_eq!(later, "it is of version 2, expected 1: read it with the harness that wrote it, or measure again");
        assert!(edited(&|value| value["version"] = json!(null)).contains("no `version`"));
        assert!(edited(&|value| value["cells"] = json!([])).contains("no kernel speeds"));
        assert!(edited(&|value| value["cells"][1]["time_s"] = json!("fast")).contains("expected f64"));
        assert!(edited(&|value| value["cells"][1]["bound"] = json!("luck")).contains("`compute` or `memory`"));
        let nameless = edited(&|value| {
            value["cells"][2].as_object_mut().unwrap().remove("shape");
        });
        assert!(nameless.contains("missing field `shape`"), "{nameless}");
        for text in ["", "{", "[1]", "3", "{\"cells\": []}", "sweep: x"] {
            let error = BenchReport::parse(text).unwrap_err().to_string();
            assert!(error.contains("harness bench --json"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_ratio_that_is_no_speed_is_no_speed() {
        let mut kernel = BenchReport::parse(OLD).unwrap().kernels.remove(0);
        for median in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            kernel.ratio_f32 = Some(Quartiles { median, low: 0.0, high: 1.0 });
            assert_eq!(kernel.speedup_f32(), None);
        }
        kernel.ratio_int8 = None;
        assert_eq!(kernel.speedup_int8(), None);
    }
}
