//! Accuracy against the bit width of the weights: one line a method (and activation width, where those differ), one
//! panel a data set, model and setting.

use std::collections::{BTreeMap, BTreeSet};

use crate::accuracy::{IDENTITY, Row};
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::configs::Titles;
use crate::figures::{Drawn, Figure, Picture};
use crate::labels::FLOAT_WIDTH;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Item, MOST_PANELS, Plot};
use crate::plot::legend::Key;
use crate::plot::style::{Look, PUBLISHED, look};
use crate::plot::text::Lettering;
use crate::published::Metric;
use crate::sheet::{Data, Value};
use crate::trials::Trials;
use harness_stats::Interval;
use harness_stats::Summary;

/// `accuracy_vs_bits`.
pub(crate) struct AccuracyVsBits;

/// Lines one figure can hold and still be read; the rest is in its data and the caption says so.
const MOST_LINES: usize = 24;
/// Lines of one panel whose bands can still be told apart.
const MOST_BANDS: usize = 8;
/// Seeds from which on an interval says more than that there are too few.
const BAND_SEEDS: usize = 3;
/// Fractions are shown in percent.
const PERCENT: f64 = 100.0;

/// A point of a line.
#[derive(Debug, Clone, Copy)]
struct Spot {
    /// Percent right; `None` when no trial finished.
    top1: Option<Summary>,
    /// What was published for it, in percent.
    published: Option<f64>,
}

/// A line by weight width.
type Line = BTreeMap<u32, Spot>;

#[derive(Debug, Default)]
struct Content {
    title: String,
    float: Option<Summary>,
    lines: BTreeMap<LineKey, Line>,
}

/// What makes a line: label of all methods, bits of activations, bits of gradients.
type LineKey = (String, u32, u32);

impl Figure for AccuracyVsBits {
    fn name(&self) -> &'static str {
        "accuracy_vs_bits"
    }

    fn title(&self) -> &'static str {
        "Accuracy against weight bit width"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        if rows.iter().all(|row| row.top1.summary.is_none()) {
            return Ok(Drawn::Nothing("no trial finished with a top-1 accuracy".to_owned()));
        }
        let figure = Content::all(rows);
        Ok(Drawn::Picture(Picture {
            canvas: chart(&figure).draw(lettering),
            data: data(rows),
            caption: caption(&figure, rows),
        }))
    }
}

/// Everything in the figure, in order.
struct All {
    panels: Vec<Content>,
    /// Keys of all lines, with the look each has in every panel.
    looks: BTreeMap<LineKey, Look>,
    /// Widths of activations and gradients are part of the labels where they differ.
    show_activations: bool,
    show_gradients: bool,
    /// What titles do not say.
    in_all: String,
    hidden_panels: usize,
    hidden_lines: usize,
}

impl Content {
    fn all(rows: &[Row]) -> All {
        let quantized = || rows.iter().filter(|row| !row.is_float);
        let differing = |role: usize| quantized().map(|row| row.widths[role]).collect::<BTreeSet<_>>();
        let (activations, gradients) = (differing(1), differing(2));

        let keys: BTreeSet<LineKey> = quantized().map(key).collect();
        let hidden_lines = keys.len().saturating_sub(MOST_LINES);
        let looks: BTreeMap<LineKey, Look> =
            keys.into_iter().take(MOST_LINES).enumerate().map(|(i, key)| (key, look(i))).collect();

        let mut panels: BTreeMap<[&str; 3], Content> = BTreeMap::new();
        for row in rows {
            let panel = panels.entry([&row.dataset, &row.model, &row.setting]).or_default();
            let top1 = row.top1.summary.map(|summary| summary.times(PERCENT));
            if row.is_float {
                panel.float = top1;
            } else if looks.contains_key(&key(row)) {
                panel
                    .lines
                    .entry(key(row))
                    .or_default()
                    .insert(row.widths[0], Spot { top1, published: published(row) });
            }
        }
        let common = [("activations", &activations), ("gradients", &gradients)];
        let common = common.iter().filter(|(_, widths)| widths.len() == 1);
        let common: Vec<String> = common
            .filter_map(|(role, widths)| Some((role, *widths.first()?)))
            .filter(|(_, width)| *width != FLOAT_WIDTH)
            .map(|(role, width)| format!("{role} {}", bits(width)))
            .collect();
        // All its lines are among the hidden ones.
        panels.retain(|_, panel| panel.float.is_some() || !panel.lines.is_empty());
        let hidden_panels = panels.len().saturating_sub(MOST_PANELS);
        let titles = Titles::of(panels.keys().copied());
        let in_all = titles.common();
        let titled = panels.into_iter().take(MOST_PANELS).map(|(place, mut panel)| {
            let parts = [titles.get(place)].into_iter().chain(common.iter().map(|part| one_line(part)));
            panel.title = parts.collect::<Vec<_>>().join(", ");
            panel
        });
        All {
            panels: titled.collect(),
            looks,
            show_activations: activations.len() > 1,
            show_gradients: gradients.len() > 1,
            in_all,
            hidden_panels,
            hidden_lines,
        }
    }
}

fn key(row: &Row) -> LineKey {
    (row.method.clone(), row.widths[1], row.widths[2])
}

/// A published accuracy in percent.
fn published(row: &Row) -> Option<f64> {
    row.published.as_ref().filter(|number| number.metric == Metric::Top1).map(|number| number.value)
}

fn bits(width: u32) -> String {
    if width == 1 { "1 bit".to_owned() } else { format!("{width} bits") }
}

impl All {
    fn label(&self, (method, activations, gradients): &LineKey) -> String {
        let mut label = one_line(method);
        for (shown, role, width) in [(self.show_activations, 'A', activations), (self.show_gradients, 'G', gradients)] {
            if shown {
                label.push_str(&format!(", {role}{width}"));
            }
        }
        label
    }

    fn legend(&self) -> Vec<(Key, String)> {
        let mut entries: Vec<(Key, String)> =
            self.looks.iter().map(|(key, look)| (Key::Series(*look), self.label(key))).collect();
        let floats: Vec<Summary> = self.panels.iter().filter_map(|panel| panel.float).collect();
        if !floats.is_empty() {
            let band = floats.iter().any(|float| float.sd.is_some());
            entries.push((Key::Reference { band }, "float".to_owned()));
        }
        let mut spots = self.panels.iter().flat_map(|panel| panel.lines.values()).flat_map(|line| line.values());
        if spots.clone().any(|spot| spot.published.is_some()) {
            entries.push((Key::Marker(PUBLISHED), "published".to_owned()));
        }
        if spots.any(|spot| spot.top1.is_none()) {
            entries.push((Key::Missing, "no finished trial".to_owned()));
        }
        entries
    }
}

fn chart(figure: &All) -> Chart {
    let plot = |content: &Content| Plot { panel: panel(content), items: items(content, &figure.looks) };
    Chart::new(figure.panels.iter().map(plot).collect(), figure.legend())
}

/// Weight widths of a panel; where there are none, full precision has the axis to itself.
fn widths(content: &Content) -> Vec<u32> {
    let widths: BTreeSet<u32> = content.lines.values().flat_map(|line| line.keys().copied()).collect();
    if widths.is_empty() { vec![FLOAT_WIDTH] } else { widths.into_iter().collect() }
}

/// The 95 % confidence interval of a mean, no further than there can be values.
fn confidence(top1: Summary) -> Option<Interval> {
    let Interval { low, high } = top1.interval_95().filter(|_| top1.n >= BAND_SEEDS)?;
    Some(Interval { low: low.max(0.0), high: high.min(PERCENT) })
}

/// Too many bands would hide each other.
fn has_bands(content: &Content) -> bool {
    content.lines.len() <= MOST_BANDS
}

fn panel(content: &Content) -> Panel {
    let spots = || content.lines.values().flat_map(|line| line.values());
    let ours = spots().filter_map(|spot| spot.top1).chain(content.float).flat_map(|top1| {
        let sd = top1.sd.unwrap_or(0.0);
        [top1.mean - sd, top1.mean + sd]
    });
    let bands = content.lines.values().filter(|_| has_bands(content)).flat_map(stretches).flatten();
    let ours = ours.chain(bands.flat_map(|(_, band)| [band.low, band.high]));
    let ends = ours.chain(spots().filter_map(|spot| spot.published));
    Panel {
        title: content.title.clone(),
        x_label: "Weight bit width (bits)".to_owned(),
        y_label: "Top-1 accuracy (%)".to_owned(),
        x: Scale::Categories(widths(content).iter().map(u32::to_string).collect()),
        y: Scale::linear(ends, 1.0, (0.0, PERCENT)),
    }
}

/// Lines stand side by side at a width, this far apart at most and no wider together than `SPREAD` of its room.
const STEP: f64 = 0.12;
const SPREAD: f64 = 0.56;

fn items(content: &Content, looks: &BTreeMap<LineKey, Look>) -> Vec<Item> {
    let float = content.float.map(|float| Item::Reference { y: float.mean, spread: float.sd });
    let widths = widths(content);
    let count = content.lines.len();
    let step = STEP.min(SPREAD / count as f64);
    let (mut below, mut above): (Vec<Item>, Vec<Item>) = (float.into_iter().collect(), Vec::new());
    for (i, (key, line)) in content.lines.iter().enumerate() {
        let Some(look) = looks.get(key) else { continue };
        let shift = (i as f64 - (count as f64 - 1.0) / 2.0) * step;
        let place = |width: u32| widths.iter().position(|&w| w == width).map_or(0.0, |place| place as f64 + shift);
        if has_bands(content) {
            below.extend(bands(*look, line, place));
        }
        above.extend(line_items(*look, line, place));
    }
    below.into_iter().chain(above).collect()
}

/// Widths side by side, at least two, whose means have an interval: a band each.
fn stretches(line: &Line) -> Vec<Vec<(u32, Interval)>> {
    let known: Vec<_> = line.iter().map(|(&width, spot)| Some((width, confidence(spot.top1?)?))).collect();
    let stretches = known.split(Option::is_none).map(|stretch| stretch.iter().flatten().copied().collect::<Vec<_>>());
    stretches.filter(|stretch| stretch.len() > 1).collect()
}

fn bands(look: Look, line: &Line, x: impl Fn(u32) -> f64) -> Vec<Item> {
    let band = |stretch: Vec<(u32, Interval)>| {
        let points = stretch.into_iter().map(|(width, Interval { low, high })| (x(width), low, high)).collect();
        Item::Band { points, look, edged: true }
    };
    stretches(line).into_iter().map(band).collect()
}

fn line_items(look: Look, line: &Line, x: impl Fn(u32) -> f64) -> Vec<Item> {
    let mut items = Vec::new();
    // A width at which nothing finished breaks the line: nothing is known there.
    for stretch in line.iter().collect::<Vec<_>>().split(|(_, spot)| spot.top1.is_none()) {
        let points = stretch.iter().filter_map(|(width, spot)| Some((x(**width), spot.top1?.mean)));
        items.push(Item::Line { points: points.collect(), look });
    }
    let theirs = Look { marker: PUBLISHED.marker, ..look };
    let of_others = line.iter().filter_map(|(&width, spot)| Some((x(width), spot.published?)));
    items.extend(of_others.map(|(x, y)| Item::Marker { x, y, spread: None, look: theirs }));
    items.extend(line.iter().map(|(&width, spot)| match spot.top1 {
        Some(top1) => Item::Marker { x: x(width), y: top1.mean, spread: top1.sd, look },
        None => Item::Missing { x: x(width), look },
    }));
    items
}

fn caption(figure: &All, rows: &[Row]) -> String {
    let counts: BTreeSet<usize> = rows.iter().filter_map(|row| row.top1.summary).map(|summary| summary.n).collect();
    let mut caption = "Top-1 accuracy on the test set against the bit width of the weights".to_owned();
    caption.push_str(&match (counts.first(), counts.last()) {
        (Some(1), Some(1)) => ", one seed each.".to_owned(),
        (Some(min), Some(most)) if min == most => {
            format!(": mean and sample standard deviation over {min} seeds.")
        }
        (Some(min), Some(most)) => format!(": mean and sample standard deviation over {min} to {most} seeds."),
        _ => ".".to_owned(),
    });
    let banded = |panel: &Content| has_bands(panel) && panel.lines.values().any(|line| !stretches(line).is_empty());
    if figure.panels.iter().any(banded) {
        caption.push_str(" Bands: 95% confidence interval of the mean (Student's t).");
    }
    if figure.panels.iter().any(|panel| panel.float.is_some()) {
        caption.push_str(" Dashed: full precision.");
    }
    let sources: BTreeSet<String> = rows
        .iter()
        .filter(|row| published(row).is_some())
        .filter_map(|row| Some(row.published.as_ref()?.cited()))
        .collect();
    if !sources.is_empty() {
        let sources = sources.into_iter().collect::<Vec<_>>().join("; ");
        caption.push_str(&format!(
            " Hollow triangles: published for these bit widths, with the training of the source: {sources}."
        ));
    }
    caption.push_str(&figure.in_all);
    for (hidden, what) in [(figure.hidden_panels, "panels"), (figure.hidden_lines, "lines")] {
        if hidden > 0 {
            caption.push_str(&format!(" {hidden} more {what} are in the data only."));
        }
    }
    caption
}

fn data(rows: &[Row]) -> Data {
    let facts = ["top1_n", "top1_mean", "top1_sd", "top1_low", "top1_high", "published", "failed", "diverged"];
    let interval = |row: &Row| row.top1.summary.and_then(Summary::interval_95);
    let row = |row: &Row| {
        let facts = [
            Value::from(row.top1.summary.map_or(0, |summary| summary.n)),
            Value::from(row.top1.summary.map(|summary| summary.mean)),
            Value::from(row.top1.summary.and_then(|summary| summary.sd)),
            Value::from(interval(row).map(|interval| interval.low)),
            Value::from(interval(row).map(|interval| interval.high)),
            Value::from(published(row).map(|value| value / PERCENT)),
            Value::from(row.failed),
            Value::from(row.diverged),
        ];
        row.identity().into_iter().chain(facts).collect()
    };
    Data { columns: IDENTITY.into_iter().chain(facts).collect(), rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests;
