//! What each configuration costs: size, operations, effective bits, training time, and kernel speed where measured.

use crate::accuracy::{IDENTITY, Row};
use crate::error::ReportError;
use crate::kernels::Speeds;
use crate::numbers::two_decimals;
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::trials::Trials;
use harness_stats::Summary;

/// `cost`.
pub(crate) struct Cost;

impl Table for Cost {
    fn name(&self) -> &'static str {
        "cost"
    }

    fn title(&self) -> &'static str {
        "Size, operations and time"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let speeds = trials.kernels.as_ref().map(Speeds::of);
        let rows = trials.rows()?;
        let entries: Vec<Entry<'_>> = rows.iter().map(|row| Entry::new(row, trials, speeds.as_ref())).collect();
        Ok(Sheet { grid: grid(&entries, trials), data: data(&entries) })
    }
}

/// A configuration with its costs.
struct Entry<'a> {
    row: &'a Row,
    weight_bits: u64,
    parameters: u64,
    bit_ops: u64,
    macs: u64,
    /// Training seconds over seeds, of trials that ended well.
    seconds: Option<Summary>,
    /// Times as fast as f32.
    speed: Option<f64>,
}

impl<'a> Entry<'a> {
    fn new(row: &'a Row, trials: &Trials, speeds: Option<&Speeds>) -> Entry<'a> {
        let model = &trials.records[row.example].model;
        let quantized = row.widths[0] < 32 && row.widths[1] < 32;
        Entry {
            row,
            weight_bits: model.weight_bits,
            parameters: model.parameters,
            bit_ops: model.bit_ops,
            macs: model.macs,
            seconds: row.seconds.summary,
            speed: speeds.filter(|_| quantized).and_then(|speeds| speeds.ratio(row.widths[0], row.widths[1])),
        }
    }

    /// Size against 32 bits a parameter.
    fn compression(&self) -> Option<f64> {
        (self.weight_bits > 0).then(|| 32.0 * self.parameters as f64 / self.weight_bits as f64)
    }
}

/// `12.3 k`, `4.5 M`: three digits and a unit.
pub(crate) fn short(value: f64) -> String {
    let units = [(1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (scale, unit) = units.into_iter().find(|(scale, _)| value >= *scale * 0.9995).unwrap_or((1.0, ""));
    let scaled = value / scale;
    let decimals = if unit.is_empty() { 0 } else { 2usize.saturating_sub(scaled.log10().floor().max(0.0) as usize) };
    format!("{scaled:.decimals$}{unit}")
}

fn grid(entries: &[Entry<'_>], trials: &Trials) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let has_setting = entries.iter().any(|entry| !entry.row.setting.is_empty());
    let has_speed = entries.iter().any(|entry| entry.speed.is_some());
    let mut columns = vec![left("Data set"), left("Model")];
    columns.extend(has_setting.then(|| left("Setting")));
    columns.extend([
        left("Method"),
        right("W/A"),
        right("Weights (bits)"),
        right("Smaller by"),
        right("BitOps"),
        right("MACs"),
        right("Eff. bits W"),
        right("Eff. bits A"),
        right("Training (s)"),
    ]);
    columns.extend(has_speed.then(|| right("Kernel speed")));
    let dash = || "–".to_owned();
    let cells = |entry: &Entry<'_>| {
        let row = entry.row;
        let mean = |summary: Option<Summary>| summary.map_or_else(dash, |summary| two_decimals(summary.mean));
        let mut cells = vec![row.dataset.clone(), row.model.clone()];
        cells.extend(has_setting.then(|| row.setting.clone()));
        cells.extend([
            row.method.clone(),
            format!("{}/{}", row.widths[0], row.widths[1]),
            short(entry.weight_bits as f64),
            entry.compression().map_or_else(dash, |by| format!("{by:.1} ×")),
            short(entry.bit_ops as f64),
            short(entry.macs as f64),
            mean(row.effective_weight_bits.summary),
            mean(row.effective_activation_bits.summary),
            mean(entry.seconds),
        ]);
        cells.extend(has_speed.then(|| entry.speed.map_or_else(dash, |speed| format!("{speed:.1} ×"))));
        cells
    };
    let mut notes = vec![
        "Weights: all parameters of convolutions and linear layers at their bit widths. BitOps: multiply-accumulates \
         times weight bits times activation bits, of one forward pass. Training: mean wall-clock time of a trial, on a \
         machine as busy as it was."
            .to_owned(),
    ];
    if let Some(kernels) = trials.kernels.as_ref().filter(|_| has_speed) {
        notes.push(format!(
            "Kernel speed: times as fast as f32 with these bit widths, geometric mean over {} shapes of the kernel bench{}.",
            kernels.shapes().len(),
            kernels.place()
        ));
    }
    Grid { columns, rows: entries.iter().map(cells).collect(), notes, ..Grid::default() }
}

fn data(entries: &[Entry<'_>]) -> Data {
    let facts = [
        "parameters",
        "weight_bits",
        "bit_ops",
        "macs",
        "effective_weight_bits",
        "effective_activation_bits",
        "seconds_n",
        "seconds_mean",
        "seconds_sd",
        "kernel_ratio_f32",
    ];
    let row = |entry: &Entry<'_>| {
        let row = entry.row;
        let facts = [
            Value::Whole(entry.parameters),
            Value::Whole(entry.weight_bits),
            Value::Whole(entry.bit_ops),
            Value::Whole(entry.macs),
            row.effective_weight_bits.summary.map(|summary| summary.mean).into(),
            row.effective_activation_bits.summary.map(|summary| summary.mean).into(),
            entry.seconds.map_or(0, |seconds| seconds.n).into(),
            entry.seconds.map(|seconds| seconds.mean).into(),
            entry.seconds.and_then(|seconds| seconds.sd).into(),
            entry.speed.into(),
        ];
        row.identity().into_iter().chain(facts).collect()
    };
    Data { columns: IDENTITY.into_iter().chain(facts).collect(), rows: entries.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0.0, 7.0, 999.4, 1000.0, 12_345.0, 5_120_000.0, 999_600_000.0].map(short);
        assert_eq!(shown, ["0", "7", "999", "1.00 k", "12.3 k", "5.12 M", "1.00 G"]);
    }
}
