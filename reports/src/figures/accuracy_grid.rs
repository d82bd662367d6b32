//! Results over bit widths of weights and of activations: a matrix for each method, the best method of each pair of
//! widths in a frame.

use std::collections::{BTreeMap, BTreeSet};

use crate::accuracy::{IDENTITY, Row, by_place};
use crate::bit_widths::FLOAT_WIDTH;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::looks::Looks;
use crate::figures::measure::Measure;
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, Picture};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::style::heat;
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `accuracy_grid`.
pub(crate) struct AccuracyGrid;

/// Height of a row of cells, and of what is above and below them, in points of a report.
const CELL: f64 = 19.0;
const AROUND: f64 = 48.0;

/// Bits of weights, bits of activations and mean.
type Cell = (u32, u32, f64);

/// One matrix.
struct Matrix<'a> {
    title: String,
    measure: Measure,
    name: &'a str,
    /// Bits of weights, bits of activations and mean.
    cells: Vec<Cell>,
    /// The pairs of widths at which this method is the best of several.
    best: BTreeSet<(u32, u32)>,
    /// Values of the lightest and the darkest colour, see [`colour_range`].
    range: (f64, f64),
    weights: Vec<u32>,
    activations: Vec<u32>,
}

impl Figure for AccuracyGrid {
    fn name(&self) -> &'static str {
        "accuracy_grid"
    }

    fn title(&self) -> &'static str {
        "Accuracy by bits of weights and activations"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let looks = Looks::new(&trials.labels.names);
        let places = by_place(rows.iter().filter(|row| row.widths[2] == FLOAT_WIDTH));
        let titles = Titles::of(places.keys().copied());
        let (mut matrices, mut left_out): (Vec<Matrix<'_>>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
        for (place, rows) in &places {
            of_place(&titles.head(*place), rows, &looks, &mut matrices, &mut left_out);
        }
        if matrices.is_empty() {
            return Ok(Drawn::Nothing(
                "no method has results at several widths of activations for one width of weights".to_owned(),
            ));
        }
        let most = matrices.iter().map(|matrix| matrix.weights.len()).max().unwrap_or(1);
        let panels: Vec<Plot> = matrices.iter().map(plot).collect();
        let height = (AROUND + CELL * most as f64) * theme.small / 7.0;
        let chart = Chart { panel_height: Some(height), ..Chart::new(panels, Vec::new()) };
        let mut caption = "Test result at each bit width of weights (rows) and activations (columns), 32 for full \
                           precision: mean over seeds, darker is better. A frame: the best of the methods that have \
                           this pair of widths."
            .to_owned();
        if !left_out.is_empty() {
            let names = left_out.into_iter().collect::<Vec<_>>().join(", ");
            caption.push_str(&format!(" Too few pairs of widths for a matrix: {names}."));
        }
        for remark in trials.labels.remarks() {
            caption.push_str(&format!(" {remark}"));
        }
        caption.push_str(&titles.common());
        Ok(Drawn::Picture(Picture { pages: chart.draw(theme), data: data(rows), caption }))
    }
}

/// Adds the matrices of one data set, model and setting.
fn of_place<'a>(
    title: &str,
    rows: &[&'a Row],
    looks: &Looks,
    matrices: &mut Vec<Matrix<'a>>,
    left_out: &mut BTreeSet<String>,
) {
    let Some(measure) = Measure::of(rows.iter().copied()) else { return };
    let mut by_name: BTreeMap<(usize, &str), Vec<Cell>> = BTreeMap::new();
    let mut pairs: BTreeMap<(u32, u32), Vec<(&str, f64)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.is_float) {
        let Some(summary) = measure.summary(row) else { continue };
        let [weights, activations, _] = row.widths;
        let name = row.method.as_str();
        by_name.entry((looks.place(name), name)).or_default().push((weights, activations, summary.mean));
        pairs.entry((weights, activations)).or_default().push((name, summary.mean));
    }
    let better = |a: f64, b: f64| if measure.rises() { a > b } else { a < b };
    let mut best: BTreeMap<&str, BTreeSet<(u32, u32)>> = BTreeMap::new();
    for (pair, results) in pairs.iter().filter(|(_, results)| results.len() > 1) {
        let first = results[0].1;
        let top = results.iter().fold(first, |top, result| if better(result.1, top) { result.1 } else { top });
        for (name, _) in results.iter().filter(|result| result.1.total_cmp(&top).is_eq()) {
            best.entry(*name).or_default().insert(*pair);
        }
    }
    let widths = |role: usize, cells: &[Cell]| {
        cells.iter().map(|cell| if role == 0 { cell.0 } else { cell.1 }).collect::<BTreeSet<u32>>()
    };
    // Where each width of the weights has one of the activations, a line tells it better.
    let is_matrix = |cells: &[Cell]| {
        let (weights, activations) = (widths(0, cells).len(), widths(1, cells).len());
        weights.min(activations) > 1 && cells.len() > weights.max(activations)
    };
    let shown: Vec<f64> = by_name.values().filter(|cells| is_matrix(cells)).flatten().map(|cell| cell.2).collect();
    let range = colour_range(&shown, measure.rises());
    let all: Vec<Cell> = by_name.values().filter(|cells| is_matrix(cells)).flatten().copied().collect();
    let (weights, activations) = (widths(0, &all), widths(1, &all));
    for ((_, name), cells) in by_name {
        if !is_matrix(&cells) {
            left_out.insert(one_line(name));
            continue;
        }
        let title = if title.is_empty() { name.to_owned() } else { format!("{title}: {name}") };
        matrices.push(Matrix {
            title: one_line(&title),
            measure,
            name,
            cells,
            best: best.remove(name).unwrap_or_default(),
            range,
            weights: weights.iter().copied().collect(),
            activations: activations.iter().copied().collect(),
        });
    }
}

/// The values of the lightest and the darkest colour: from the best value as far down as four times its distance to the
/// median, so that a few bad results do not make all others look alike.
fn colour_range(values: &[f64], rises: bool) -> (f64, f64) {
    let sign = if rises { 1.0 } else { -1.0 };
    let mut sorted: Vec<f64> = values.iter().map(|value| sign * value).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(&worst), Some(&best)) = (sorted.first(), sorted.last()) else { return (0.0, 0.0) };
    let median = sorted[sorted.len() / 2];
    let lightest = worst.max(best - 4.0 * (best - median).max(0.5));
    if rises { (lightest, best) } else { (-best, -lightest) }
}

fn plot(matrix: &Matrix<'_>) -> Plot {
    let (low, high) = matrix.range;
    let shade = |value: f64| {
        let fraction = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        // The lightest cell can still be told from the paper.
        heat(0.08 + 0.92 * if matrix.measure.rises() { fraction } else { 1.0 - fraction })
    };
    let place = |widths: &[u32], width: u32| widths.iter().position(|known| *known == width).unwrap_or(0) as f64;
    // Fewest bits at the upper left.
    let rows = matrix.weights.len() as f64 - 1.0;
    let cell = |&(weights, activations, mean): &Cell| {
        let item = Item::Cell {
            x: place(&matrix.activations, activations),
            y: rows - place(&matrix.weights, weights),
            text: format!("{mean:.1}"),
            colour: shade(mean),
            best: matrix.best.contains(&(weights, activations)),
        };
        let words = format!("{} {weights}/{activations}: {mean:.2}{}", matrix.name, matrix.measure.unit());
        item.told(&one_line(matrix.name), one_line(&words))
    };
    Plot {
        panel: Panel {
            title: matrix.title.clone(),
            x_label: "Bits of activations".to_owned(),
            y_label: "Bits of weights".to_owned(),
            x: Scale::Categories(matrix.activations.iter().map(u32::to_string).collect()),
            y: Scale::Categories(matrix.weights.iter().rev().map(u32::to_string).collect()),
        },
        items: matrix.cells.iter().map(cell).collect(),
    }
}

fn data(rows: &[Row]) -> Data {
    let columns = IDENTITY.into_iter().chain(["top1_mean", "perplexity_mean"]).collect();
    let row = |row: &Row| {
        let facts = [&row.top1, &row.perplexity].map(|metric| Value::from(metric.summary.map(|summary| summary.mean)));
        row.identity().into_iter().chain(facts).collect()
    };
    Data { columns, rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_results_do_not_make_the_others_alike() {
        assert_eq!(colour_range(&[4.0, 60.0, 62.0, 64.0, 66.0], true), (50.0, 66.0));
        assert_eq!(colour_range(&[60.0, 62.0, 64.0], true), (60.0, 64.0));
        assert_eq!(colour_range(&[100.0, 110.0, 900.0], false), (100.0, 140.0));
        assert_eq!(colour_range(&[], true), (0.0, 0.0));
    }
}
