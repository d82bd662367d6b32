//! Kernel speeds, as `harness bench --json` prints them. Whatever a file holds beyond what is read here is passed over.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::error::ReportError;

/// A run of the kernel bench.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kernels {
    /// On the route that runs when none is asked for.
    pub(crate) cells: Vec<Cell>,
    /// On every route that was timed.
    pub(crate) all: Vec<Cell>,
    pub(crate) peers: Vec<Peer>,
    /// What one thread reads, from the smallest buffer to the largest.
    pub(crate) memory: Vec<Memory>,
    /// Processor and commit, where the file says.
    device: Option<String>,
    commit: Option<String>,
    pub(crate) threads: Option<u64>,
}

/// A shape at a pair of bit widths on a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) shape: String,
    pub(crate) bits: String,
    pub(crate) weight_bits: u32,
    pub(crate) activation_bits: u32,
    pub(crate) route: String,
    /// Seconds of the product on packed activations.
    pub(crate) seconds: Option<f64>,
    /// 10^9 operations a second.
    pub(crate) gops: Option<f64>,
    pub(crate) ratio_f32: Option<f64>,
    pub(crate) ratio_int8: Option<f64>,
    pub(crate) fraction_of_limit: Option<f64>,
    /// What the limit is: `memory`, or the innermost instructions.
    pub(crate) bound: String,
    /// Quantizing and packing in the time of both.
    pub(crate) packing_share: Option<f64>,
    /// Whether the times scatter so much that they say little.
    pub(crate) noisy: bool,
    /// The limit in 10^9 operations a second.
    pub(crate) limit_gops: Option<f64>,
    /// Multiply-accumulates for each byte moved.
    pub(crate) intensity: Option<f64>,
}

/// A layer of libtorch on a shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Peer {
    pub(crate) shape: String,
    pub(crate) kind: String,
    pub(crate) gops: f64,
}

/// Reading a buffer of a size again and again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Memory {
    pub(crate) bytes: u64,
    pub(crate) gb_per_s: f64,
}

/// A number, or the middle of several.
fn number(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    let number = value.as_f64().or_else(|| value.get("median")?.as_f64())?;
    number.is_finite().then_some(number)
}

/// `w2a4` as two widths.
fn widths(bits: &str) -> Option<(u32, u32)> {
    let (weights, activations) = bits.strip_prefix('w')?.split_once('a')?;
    Some((weights.parse().ok()?, activations.parse().ok()?))
}

impl Kernels {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ReportError::Kernels`] for what is no JSON, and without a single cell whose shape and bits can be read.
    pub fn read(path: &Path) -> Result<Kernels, ReportError> {
        let wrong = |reason: String| ReportError::Kernels { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let root: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let kernels = Kernels::of(&root);
        if kernels.all.is_empty() {
            return Err(wrong("it holds no cell with `shape` and `bits`".to_owned()));
        }
        Ok(kernels)
    }

    fn of(root: &Value) -> Kernels {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let list = |key: &str| root.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let cell = |cell: &Value| {
            let bits = text(cell, "bits")?;
            let (weight_bits, activation_bits) = widths(&bits)?;
            let chosen = cell.get("chosen") != Some(&Value::Bool(false));
            let read = Cell {
                shape: text(cell, "shape")?,
                bits,
                weight_bits,
                activation_bits,
                route: text(cell, "route").unwrap_or_default(),
                gops: number(cell.get("gops")),
                ratio_f32: number(cell.get("ratio_f32")).filter(|ratio| *ratio > 0.0),
                ratio_int8: number(cell.get("ratio_int8")).filter(|ratio| *ratio > 0.0),
                seconds: number(cell.get("time_s")),
                fraction_of_limit: number(cell.get("fraction_of_limit")),
                bound: text(cell, "bound").unwrap_or_default(),
                packing_share: number(cell.get("packing_share")),
                noisy: cell.get("noisy") == Some(&Value::Bool(true)),
                limit_gops: number(cell.get("limit_gops")),
                intensity: number(cell.get("intensity")).filter(|intensity| *intensity > 0.0),
            };
            Some((read, chosen))
        };
        let peer = |peer: &Value| {
            let fastest = peer.get("fastest") != Some(&Value::Bool(false));
            Some(Peer { shape: text(peer, "shape")?, kind: text(peer, "kind")?, gops: number(peer.get("gops"))? })
                .filter(|_| fastest)
        };
        let memory = |memory: &Value| {
            let gb_per_s = number(memory.get("gb_per_s")).filter(|rate| *rate > 0.0)?;
            Some(Memory { bytes: memory.get("bytes")?.as_u64()?, gb_per_s })
        };
        let environment = root.get("environment");
        let cells: Vec<(Cell, bool)> = list("cells").iter().filter_map(cell).collect();
        Kernels {
            cells: cells.iter().filter(|(_, chosen)| *chosen).map(|(cell, _)| cell.clone()).collect(),
            all: cells.into_iter().map(|(cell, _)| cell).collect(),
            memory: list("memory").iter().filter_map(memory).collect(),
            peers: list("peers").iter().filter_map(peer).collect(),
            device: environment.and_then(|environment| text(environment, "device_name")),
            commit: environment.and_then(|environment| text(environment, "commit")),
            threads: root.get("threads").and_then(Value::as_u64),
        }
    }

    /// Names of the shapes, in the order of the file.
    pub(crate) fn shapes(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.cells.iter().map(|cell| cell.shape.as_str()).filter(|shape| seen.insert(*shape)).collect()
    }

    /// Pairs of bit widths, in the order of the file.
    pub(crate) fn pairs(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.cells.iter().map(|cell| cell.bits.as_str()).filter(|bits| seen.insert(*bits)).collect()
    }

    /// Where it was measured, to be put after a noun: `, on EXAMPLE CPU at 0123456789, 1 thread`.
    pub(crate) fn place(&self) -> String {
        let mut text = String::new();
        if let Some(device) = &self.device {
            text.push_str(&format!(", on {device}"));
        }
        if let Some(commit) = &self.commit {
            text.push_str(&format!(" at {}", commit.chars().take(10).collect::<String>()));
        }
        if let Some(threads) = self.threads {
            text.push_str(&format!(", {threads} thread{}", if threads == 1 { "" } else { "s" }));
        }
        text
    }
}

/// Speeds by bit widths.
#[derive(Debug)]
pub(crate) struct Speeds(Vec<(u32, u32, f64)>);

impl Speeds {
    /// Geometric means over shapes of the ratio to f32.
    pub(crate) fn of(kernels: &Kernels) -> Speeds {
        let pairs: BTreeSet<(u32, u32)> = kernels.cells.iter().map(|c| (c.weight_bits, c.activation_bits)).collect();
        let mean = |(weights, activations): (u32, u32)| {
            let here = kernels.cells.iter().filter(|c| (c.weight_bits, c.activation_bits) == (weights, activations));
            let logs: Vec<f64> = here.filter_map(|cell| Some(cell.ratio_f32?.ln())).collect();
            let count = logs.len() as f64;
            (!logs.is_empty()).then(|| (weights, activations, (logs.into_iter().sum::<f64>() / count).exp()))
        };
        Speeds(pairs.into_iter().filter_map(mean).collect())
    }

    /// Times as fast as f32.
    pub(crate) fn ratio(&self, weights: u32, activations: u32) -> Option<f64> {
        self.0.iter().find(|(w, a, _)| (*w, *a) == (weights, activations)).map(|(_, _, ratio)| *ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_is_there() {
        let kernels = Kernels::of(&json!({
            "environment": {"device_name": "Example CPU", "commit": "0123456789abcdef"},
            "threads": 1,
            "cells": [
                {"shape": "a", "bits": "w1a2", "ratio_f32": 4.0, "unknown": [1]},
                {"shape": "b", "bits": "w1a2", "ratio_f32": {"median": 9.0, "low": 8.0, "high": 10.0}, "gops": 5},
                {"shape": "b", "bits": "w1a2", "ratio_f32": 100.0, "chosen": false},
                {"shape": "c", "bits": "w2a2", "ratio_f32": null},
                {"shape": "c", "bits": "two"},
                {"bits": "w1a1"},
            ],
            "peers": [{"shape": "a", "kind": "f32", "gops": 100.0, "fastest": true}, {"shape": "a", "kind": "f32", "gops": 1, "fastest": false}],
        }));
        assert_eq!((kernels.cells.len(), kernels.all.len(), kernels.peers.len()), (3, 4, 1));
        assert_eq!(kernels.shapes(), ["a", "b", "c"]);
        assert_eq!(kernels.pairs(), ["w1a2", "w2a2"]);
        assert_eq!(kernels.place(), ", on Example CPU at 0123456789, 1 thread");
        let speeds = Speeds::of(&kernels);
        assert!((speeds.ratio(1, 2).unwrap() - 6.0).abs() < 1e-9);
        assert_eq!((speeds.ratio(2, 2), speeds.ratio(8, 8)), (None, None));
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (text, part) in [("{", "EOF"), ("{\"cells\": []}", "no cell"), ("[1]", "no cell")] {
            let path = folder.path().join("bench.json");
            std::fs::write(&path, text).unwrap();
            let message = Kernels::read(&path).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("bench.json"), "{message}");
        }
        assert!(Kernels::read(&folder.path().join("absent.json")).is_err());
    }
}
