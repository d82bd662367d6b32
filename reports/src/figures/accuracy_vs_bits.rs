//! Accuracy against the bit width of the weights: one line a method (and activation width, where those differ), one
//! panel a data set, model and setting.

use std::collections::{BTreeMap, BTreeSet};

use crate::accuracy::{Row, rows};
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::{Drawn, Figure, Picture};
use crate::labels::FLOAT_WIDTH;
use crate::plot::axes::{AXIS_WIDTH, Area, Axes, Panel, Scale};
use crate::plot::canvas::Canvas;
use crate::plot::legend::{Key, LINE_WIDTH, Legend, MARKER_RADIUS};
use crate::plot::style::{BAND, BLACK, Look, REFERENCE_DASHES, cross, look};
use crate::plot::text::Lettering;
use crate::sheet::{Data, Value};
use crate::stats::Summary;
use crate::trials::Trials;

/// `accuracy_vs_bits`.
pub(crate) struct AccuracyVsBits;

/// Width of a page's column, in points, and of the page, for more than one panel.
const COLUMN: f64 = 252.0;
const PAGE: f64 = 504.0;
const PANEL_HEIGHT: f64 = 165.0;
const EDGE: f64 = 3.0;
/// Between panels, and between panels and legend.
const GUTTER: f64 = 8.0;
/// What one figure can hold and still be read; the rest is in its data and the caption says so.
const MOST_PANELS: usize = 12;
const MOST_LINES: usize = 24;
/// Portions are shown in percent.
const PERCENT: f64 = 100.0;

/// A point of a line.
#[derive(Debug, Clone, Copy)]
struct Spot {
    /// Percent right; `None` when no trial finished.
    top1: Option<Summary>,
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
        let rows = rows(trials)?;
        if rows.iter().all(|row| row.top1.summary.is_none()) {
            return Ok(Drawn::Nothing("no trial finished with a top-1 accuracy".to_owned()));
        }
        let figure = Content::all(&rows);
        Ok(Drawn::Picture(Picture {
            canvas: draw(&figure, lettering),
            data: data(&rows),
            caption: caption(&figure, &rows),
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
                panel.lines.entry(key(row)).or_default().insert(row.widths[0], Spot { top1 });
            }
        }
        let common = [("activations", &activations), ("gradients", &gradients)];
        let common = common.iter().filter(|(_, widths)| widths.len() == 1);
        let common: Vec<String> = common
            .filter_map(|(role, widths)| Some((role, *widths.first()?)))
            .filter(|(_, width)| *width != FLOAT_WIDTH)
            .map(|(role, width)| format!("{role} {}", bits(width)))
            .collect();
        let hidden_panels = panels.len().saturating_sub(MOST_PANELS);
        let titled = panels.into_iter().take(MOST_PANELS).map(|(place, mut panel)| {
            let parts = place.into_iter().filter(|part| !part.is_empty()).map(str::to_owned);
            panel.title = one_line(&parts.chain(common.iter().cloned()).collect::<Vec<_>>().join(", "));
            panel
        });
        All {
            panels: titled.collect(),
            looks,
            show_activations: activations.len() > 1,
            show_gradients: gradients.len() > 1,
            hidden_panels,
            hidden_lines,
        }
    }
}

fn key(row: &Row) -> LineKey {
    (row.method.clone(), row.widths[1], row.widths[2])
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
        if spots.any(|spot| spot.top1.is_none()) {
            entries.push((Key::Missing, "no finished trial".to_owned()));
        }
        entries
    }
}

fn draw(figure: &All, lettering: &Lettering) -> Canvas {
    let columns = if figure.panels.len() > 1 { 2 } else { 1 };
    let width = if columns > 1 { PAGE } else { COLUMN };
    let rows = figure.panels.len().div_ceil(columns);
    let legend = Legend::new(figure.legend(), lettering, width - 2.0 * EDGE);
    let panels_height = rows as f64 * (PANEL_HEIGHT + GUTTER);
    let mut canvas = Canvas::new(width, EDGE + panels_height + legend.height() + EDGE);

    let panels: Vec<Panel> = figure.panels.iter().map(panel).collect();
    let left_room = panels.iter().map(|panel| panel.left_room(lettering)).fold(0.0, f64::max);
    let panel_width = (width - 2.0 * EDGE - (columns - 1) as f64 * GUTTER) / columns as f64;
    for (i, (content, panel)) in figure.panels.iter().zip(panels).enumerate() {
        let area = Area {
            left: EDGE + (i % columns) as f64 * (panel_width + GUTTER),
            top: EDGE + (i / columns) as f64 * (PANEL_HEIGHT + GUTTER),
            width: panel_width,
            height: PANEL_HEIGHT,
        };
        let axes = panel.draw(&mut canvas, lettering, area, left_room);
        draw_data(&mut canvas, &axes, content, &figure.looks);
    }
    legend.draw(&mut canvas, width / 2.0, EDGE + panels_height);
    canvas
}

/// Weight widths of a panel; where there are none, full precision has the axis to itself.
fn widths(content: &Content) -> Vec<u32> {
    let widths: BTreeSet<u32> = content.lines.values().flat_map(|line| line.keys().copied()).collect();
    if widths.is_empty() { vec![FLOAT_WIDTH] } else { widths.into_iter().collect() }
}

fn panel(content: &Content) -> Panel {
    let spots = content.lines.values().flat_map(|line| line.values()).filter_map(|spot| spot.top1);
    let ends = spots.chain(content.float).flat_map(|top1| {
        let sd = top1.sd.unwrap_or(0.0);
        [top1.mean - sd, top1.mean + sd]
    });
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
const CAP: f64 = 1.6;
const BAR_WIDTH: f64 = 0.8;

fn draw_data(canvas: &mut Canvas, axes: &Axes, content: &Content, looks: &BTreeMap<LineKey, Look>) {
    if let Some(float) = content.float {
        // From the right edge of the axis, so that the band does not cover half of it.
        let (left, right) = (axes.inner.left + AXIS_WIDTH / 2.0, axes.inner.left + axes.inner.width);
        if let Some(sd) = float.sd {
            let (top, bottom) = (axes.y_at(float.mean + sd), axes.y_at(float.mean - sd));
            canvas.fill(vec![(left, top), (right, top), (right, bottom), (left, bottom)], BAND);
        }
        let y = axes.y_at(float.mean);
        canvas.dashed(&[(left, y), (right, y)], REFERENCE_DASHES, LINE_WIDTH, BLACK);
    }
    let widths = widths(content);
    let count = content.lines.len();
    let step = STEP.min(SPREAD / count as f64);
    for (i, (key, line)) in content.lines.iter().enumerate() {
        let Some(look) = looks.get(key) else { continue };
        let shift = (i as f64 - (count as f64 - 1.0) / 2.0) * step;
        draw_line(canvas, axes, *look, line, |width| {
            widths.iter().position(|&w| w == width).map_or(0.0, |place| place as f64 + shift)
        });
    }
}

fn draw_line(canvas: &mut Canvas, axes: &Axes, look: Look, line: &Line, x: impl Fn(u32) -> f64) {
    // A width at which nothing finished breaks the line: nothing is known there.
    for stretch in line.iter().collect::<Vec<_>>().split(|(_, spot)| spot.top1.is_none()) {
        let points: Vec<_> =
            stretch.iter().filter_map(|(width, spot)| Some(axes.at(x(**width), spot.top1?.mean))).collect();
        if points.len() > 1 {
            canvas.dashed(&points, look.dashes, LINE_WIDTH, look.colour);
        }
    }
    for (&width, spot) in line {
        let Some(top1) = spot.top1 else {
            let floor = axes.inner.top + axes.inner.height - 2.0 * MARKER_RADIUS;
            cross(canvas, (axes.x_at(x(width)), floor), MARKER_RADIUS, look.colour);
            continue;
        };
        let (place, mean) = axes.at(x(width), top1.mean);
        // The rim lies below the error bar, or it would hide the end of a short one.
        look.marker.draw_rim(canvas, (place, mean), MARKER_RADIUS);
        if let Some(sd) = top1.sd {
            let (top, bottom) = (axes.y_at(top1.mean + sd), axes.y_at(top1.mean - sd));
            canvas.stroke(vec![(place, top), (place, bottom)], BAR_WIDTH, look.colour);
            for end in [top, bottom] {
                canvas.stroke(vec![(place - CAP, end), (place + CAP, end)], BAR_WIDTH, look.colour);
            }
        }
        look.marker.draw(canvas, (place, mean), MARKER_RADIUS, look.colour);
    }
}

fn caption(figure: &All, rows: &[Row]) -> String {
    let counts: BTreeSet<usize> = rows.iter().filter_map(|row| row.top1.summary).map(|summary| summary.n).collect();
    let mut caption = "Top-1 accuracy on the test set against the bit width of the weights".to_owned();
    caption.push_str(&match (counts.first(), counts.last()) {
        (Some(1), Some(1)) => ", one seed each.".to_owned(),
        (Some(least), Some(most)) if least == most => {
            format!(": mean and sample standard deviation over {least} seeds.")
        }
        (Some(least), Some(most)) => format!(": mean and sample standard deviation over {least} to {most} seeds."),
        _ => ".".to_owned(),
    });
    if figure.panels.iter().any(|panel| panel.float.is_some()) {
        caption.push_str(" Dashed: full precision.");
    }
    for (hidden, what) in [(figure.hidden_panels, "panels"), (figure.hidden_lines, "lines")] {
        if hidden > 0 {
            caption.push_str(&format!(" {hidden} more {what} are in the data only."));
        }
    }
    caption
}

fn data(rows: &[Row]) -> Data {
    let columns = vec![
        "dataset",
        "model",
        "setting",
        "method",
        "weight_width",
        "activation_width",
        "gradient_width",
        "top1_n",
        "top1_mean",
        "top1_sd",
        "failed",
        "diverged",
    ];
    let row = |row: &Row| {
        vec![
            Value::from(&*row.dataset),
            Value::from(&*row.model),
            Value::from(&*row.setting),
            Value::from(&*row.method),
            Value::from(row.widths[0]),
            Value::from(row.widths[1]),
            Value::from(row.widths[2]),
            Value::from(row.top1.summary.map_or(0, |summary| summary.n)),
            Value::from(row.top1.summary.map(|summary| summary.mean)),
            Value::from(row.top1.summary.and_then(|summary| summary.sd)),
            Value::from(row.failed),
            Value::from(row.diverged),
        ]
    };
    Data { columns, rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::canvas::{Anchor, Mark, Words};
    use crate::samples::{method, record};
    use harness_records::record::{FailureClass, RunRecord, Status};
    use proptest::prelude::*;

    fn picture(records: &[RunRecord]) -> Picture {
        let lettering = Lettering::new().unwrap();
        match AccuracyVsBits.draw(&Trials::new(records, &[]).unwrap(), &lettering).unwrap() {
            Drawn::Picture(picture) => picture,
            Drawn::Nothing(why) => panic!("{why}"),
        }
    }

    fn words(picture: &Picture) -> Vec<&Words> {
        let words = picture.canvas.marks.iter().filter_map(|mark| match mark {
            Mark::Words(words) if !words.text.is_empty() => Some(words),
            _ => None,
        });
        words.collect()
    }

    /// Left, top, right, bottom of a line of text.
    fn extent(words: &Words, lettering: &Lettering) -> [f64; 4] {
        let (x, y) = words.at;
        let width = lettering.width(&words.text, words.size);
        let half = words.size * 0.4;
        match (words.upwards, words.anchor) {
            (true, _) => [x - half, y - width / 2.0, x + half, y + width / 2.0],
            (false, Anchor::Start) => [x, y - half, x + width, y + half],
            (false, Anchor::Middle) => [x - width / 2.0, y - half, x + width / 2.0, y + half],
            (false, Anchor::End) => [x - width, y - half, x, y + half],
        }
    }

    /// Nothing leaves the paper, and no words cover other words.
    fn assert_tidy(picture: &Picture) {
        let Canvas { width, height, marks } = &picture.canvas;
        let lettering = Lettering::new().unwrap();
        for mark in marks {
            let points = match mark {
                Mark::Stroke { points, .. } | Mark::Fill { points, .. } => points.clone(),
                Mark::Disc { centre, .. } => vec![*centre],
                Mark::Words(words) => {
                    let [left, top, right, bottom] = extent(words, &lettering);
                    vec![(left, top), (right, bottom)]
                }
            };
            for (x, y) in points {
                assert!((0.0..=*width).contains(&x) && (0.0..=*height).contains(&y), "({x}, {y}) of {mark:?}");
            }
        }
        let all: Vec<_> = words(picture).into_iter().map(|words| (words, extent(words, &lettering))).collect();
        for (i, (a, [al, at, ar, ab])) in all.iter().enumerate() {
            for (b, [bl, bt, br, bb]) in &all[i + 1..] {
                assert!(ar <= bl || br <= al || ab <= bt || bb <= at, "{a:?} covers {b:?}");
            }
        }
    }

    fn column<'a>(picture: &'a Picture, name: &str) -> Vec<&'a Value> {
        let index = picture.data.columns.iter().position(|column| *column == name).unwrap();
        picture.data.rows.iter().map(|row| &row[index]).collect()
    }

    #[test]
    fn every_method_is_named_and_every_width_has_its_place() {
        let mut records = vec![record().build(), record().seed(1).build()];
        for (i, name) in ["uniform", "dorefa"].into_iter().enumerate() {
            for bits in [1, 2, 8] {
                let top1 = 0.5 + 0.05 * f64::from(bits) + 0.01 * i as f64;
                records.push(record().weights(method(name, bits, &[])).top1(top1).build());
            }
        }
        let picture = picture(&records);
        assert_tidy(&picture);
        let all: Vec<&str> = words(&picture).iter().map(|words| words.text.as_str()).collect();
        for text in [
            "uniform",
            "dorefa",
            "float",
            "Weight bit width (bits)",
            "Top-1 accuracy (%)",
            "digits, lenet",
            "1",
            "2",
            "8",
        ] {
            assert!(all.contains(&text), "{text}: {all:?}");
        }
        assert_eq!(picture.data.rows.len(), 7);
        assert_eq!(column(&picture, "top1_n")[0], &Value::Whole(2));
        assert!(picture.caption.ends_with("over 1 to 2 seeds. Dashed: full precision."), "{}", picture.caption);
    }

    #[test]
    fn activation_bits_tell_lines_apart_or_stand_in_the_title() {
        let at = |activations| {
            let choice = |bits| method("dorefa", bits, &[]);
            record().weights(choice(2)).activations(choice(activations)).build()
        };
        let texts = |records: &[RunRecord]| {
            let picture = picture(records);
            assert_tidy(&picture);
            words(&picture).iter().map(|words| words.text.clone()).collect::<Vec<_>>()
        };
        let same = texts(&[at(2)]);
        assert!(same.contains(&"digits, lenet, activations 2 bits".to_owned()), "{same:?}");
        assert!(same.contains(&"dorefa".to_owned()), "{same:?}");
        let differing = texts(&[at(2), at(4)]);
        assert!(differing.contains(&"dorefa, A2".to_owned()), "{differing:?}");
        assert!(differing.contains(&"dorefa, A4".to_owned()), "{differing:?}");
    }

    #[test]
    fn widths_without_a_finished_trial_are_marked() {
        let failed = record().weights(method("dorefa", 1, &[])).ended(Status::Failed, FailureClass::Oom, "no memory");
        let picture = picture(&[failed.build(), record().weights(method("dorefa", 2, &[])).build()]);
        assert_tidy(&picture);
        assert!(words(&picture).iter().any(|words| words.text == "no finished trial"));
        assert_eq!(column(&picture, "top1_mean"), [&Value::Absent, &Value::Number(0.975)]);
    }

    #[test]
    fn a_single_point_and_float_alone_are_figures() {
        assert_tidy(&picture(&[record().weights(method("dorefa", 3, &[])).build()]));
        assert_tidy(&picture(&[record().build()]));
    }

    #[test]
    fn nothing_to_draw_says_why() {
        let records = [record().ended(Status::Failed, FailureClass::Error, "no data").build()];
        let drawn = AccuracyVsBits.draw(&Trials::new(&records, &[]).unwrap(), &Lettering::new().unwrap()).unwrap();
        assert!(matches!(drawn, Drawn::Nothing(why) if why == "no trial finished with a top-1 accuracy"));
    }

    #[test]
    fn what_does_not_fit_is_in_the_data_and_the_caption_says_so() {
        let mut records = Vec::new();
        for dataset in 0..14 {
            for name in 0..30 {
                let choice = method(&format!("method{name:02}"), 2, &[]);
                records.push(record().dataset(&format!("data{dataset:02}")).weights(choice).build());
            }
        }
        let picture = picture(&records);
        assert_tidy(&picture);
        assert!(picture.caption.contains("2 more panels are in the data only."), "{}", picture.caption);
        assert!(picture.caption.contains("6 more lines are in the data only."), "{}", picture.caption);
        assert_eq!(picture.data.rows.len(), 14 * 30);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_sweep_is_tidy(
            trials in prop::collection::vec(
                ("[a-z ]{1,50}|.{0,9}", 1u8..=8, prop::option::of(1u8..=8), 0u64..3, 0.0f64..=1.0, "[a-b]{1,40}"), 1..30,
            ),
        ) {
            let records: Vec<RunRecord> = trials.into_iter().map(|(name, bits, activations, seed, top1, dataset)| {
                let built = record().weights(method(&name, bits, &[])).seed(seed).top1(top1).dataset(&dataset);
                match activations {
                    Some(bits) => built.activations(method(&name, bits, &[])).build(),
                    None => built.build(),
                }
            }).collect();
            assert_tidy(&picture(&records));
        }
    }
}
