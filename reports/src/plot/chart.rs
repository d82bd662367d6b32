//! A figure of one or more panels with a common key: what is in each panel, and how they lie on paper.

use crate::plot::axes::{AXIS_WIDTH, Area, Axes, Panel};
use crate::plot::canvas::{Anchor, Canvas, Point};
use crate::plot::legend::{Key, LINE_WIDTH, Legend, MARKER_RADIUS};
use crate::plot::style::{BAND, BLACK, INK, Look, REFERENCE_DASHES, SMALL_SIZE, Shade, cross};
use crate::plot::text::Lettering;

/// Width of a page's column, in points.
pub(crate) const COLUMN: f64 = 252.0;
/// Width of a page, for more than one panel side by side.
pub(crate) const PAGE: f64 = 504.0;
/// Height that suits a panel of either width.
pub(crate) const PANEL_HEIGHT: f64 = 165.0;
/// Panels one figure can hold and still fit a page.
pub(crate) const MOST_PANELS: usize = 8;

const EDGE: f64 = 3.0;
/// Between panels, and between panels and key.
const GUTTER: f64 = 8.0;
const CAP: f64 = 1.6;
const BAR_WIDTH: f64 = 0.8;
/// Of the edges of bands.
const EDGE_WIDTH: f64 = 0.35;

/// A figure.
#[derive(Debug)]
pub(crate) struct Chart {
    /// Row by row.
    pub(crate) panels: Vec<Plot>,
    /// What the looks mean, the same in every panel.
    pub(crate) key: Vec<(Key, String)>,
    /// Panels side by side, at least 1.
    pub(crate) columns: usize,
    /// Height of a panel in points.
    pub(crate) panel_height: f64,
    /// As wide as a page even with one column.
    pub(crate) wide: bool,
}

/// One panel with its data.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) panel: Panel,
    /// Drawn in this order.
    pub(crate) items: Vec<Item>,
}

/// Something drawn at values.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A dashed line across the panel, in a grey band `y -+ spread`.
    Reference { y: f64, spread: Option<f64> },
    /// A dotted line from bottom to top.
    Upright { x: f64, look: Look },
    /// A tinted area between two lines: x, lower, upper. Edges tell a few of them apart, in grey too; many would only
    /// be more lines.
    Band { points: Vec<(f64, f64, f64)>, look: Look, edged: bool },
    /// A line.
    Line { points: Vec<(f64, f64)>, look: Look },
    /// A marker with an error bar `y -+ spread`.
    Marker { x: f64, y: f64, spread: Option<f64>, look: Look },
    /// A cross at the lower end of the panel: here something is missing.
    Missing { x: f64, look: Look },
    /// Words beside a marker, left out where there is no room for them.
    Label { x: f64, y: f64, text: String },
    /// A rectangle from one corner to the other.
    Bar { from: (f64, f64), to: (f64, f64), shade: Shade },
}

impl Chart {
    /// Panels in two columns when there is more than one.
    pub(crate) fn new(panels: Vec<Plot>, key: Vec<(Key, String)>) -> Chart {
        let columns = if panels.len() > 1 { 2 } else { 1 };
        Chart { panels, key, columns, panel_height: PANEL_HEIGHT, wide: false }
    }

    /// Lays it out and draws it.
    pub(crate) fn draw(self, lettering: &Lettering) -> Canvas {
        let width = if self.columns > 1 || self.wide { PAGE } else { COLUMN };
        let rows = self.panels.len().div_ceil(self.columns);
        let legend = Legend::new(self.key, lettering, width - 2.0 * EDGE);
        let panels_height = rows as f64 * (self.panel_height + GUTTER);
        let mut canvas = Canvas::new(width, EDGE + panels_height + legend.height() + EDGE);
        let left_room = self.panels.iter().map(|plot| plot.panel.left_room(lettering)).fold(0.0, f64::max);
        let panel_width = (width - 2.0 * EDGE - (self.columns - 1) as f64 * GUTTER) / self.columns as f64;
        for (i, plot) in self.panels.into_iter().enumerate() {
            let area = Area {
                left: EDGE + (i % self.columns) as f64 * (panel_width + GUTTER),
                top: EDGE + (i / self.columns) as f64 * (self.panel_height + GUTTER),
                width: panel_width,
                height: self.panel_height,
            };
            let axes = plot.panel.draw(&mut canvas, lettering, area, left_room);
            for item in &plot.items {
                item.draw(&mut canvas, &axes);
            }
            label(&mut canvas, lettering, &axes, &plot.items);
        }
        legend.draw(&mut canvas, width / 2.0, EDGE + panels_height);
        canvas
    }
}

/// From a marker to its words.
const LABEL_GAP: f64 = 1.5;

/// Places the labels of a panel, each beside its marker where it covers no marker and no other label, and if possible no error bar.
fn label(canvas: &mut Canvas, lettering: &Lettering, axes: &Axes, items: &[Item]) {
    let around = |(x, y): Point, half_width: f64, half_height: f64| Area {
        left: x - half_width,
        top: y - half_height,
        width: 2.0 * half_width,
        height: 2.0 * half_height,
    };
    let markers = items.iter().filter_map(|item| match item {
        Item::Marker { x, y, spread, .. } => {
            Some((axes.at(*x, *y), axes.y_at(*y) - axes.y_at(y + spread.unwrap_or(0.0))))
        }
        _ => None,
    });
    let (mut taken, bars): (Vec<Area>, Vec<Area>) = markers
        .map(|(place, reach)| {
            (around(place, MARKER_RADIUS, MARKER_RADIUS), around(place, CAP, MARKER_RADIUS.max(reach)))
        })
        .unzip();
    for item in items {
        let Item::Label { x, y, text } = item else { continue };
        let (x, y) = axes.at(*x, *y);
        let (half_width, half_height) = (lettering.width(text, SMALL_SIZE) / 2.0, SMALL_SIZE * 0.4);
        let (aside, apart) = (MARKER_RADIUS + LABEL_GAP + half_width, MARKER_RADIUS + LABEL_GAP + half_height);
        // Error bars run up and down, so that the sides are the better places.
        let corner = |right: f64, down: f64| (x + right * aside, y + down * apart * 0.8);
        let places = [(x - aside, y), (x + aside, y), corner(-1.0, -1.0), corner(1.0, -1.0), corner(-1.0, 1.0)];
        let more = [corner(1.0, 1.0), (x, y - apart), (x, y + apart)];
        let free = || {
            let areas = places.into_iter().chain(more).map(|place| (place, around(place, half_width, half_height)));
            areas.filter(|(_, area)| area.lies_in(&axes.inner))
        };
        let covers = |area: &Area, others: &[Area]| others.iter().any(|other| area.meets(other));
        let clear = free().find(|(_, area)| !covers(area, &taken) && !covers(area, &bars));
        // Words on an error bar can still be read, on a marker they cannot.
        let found = clear.or_else(|| free().find(|(_, area)| !covers(area, &taken)));
        if let Some((place, area)) = found {
            canvas.words(text, place, SMALL_SIZE, Anchor::Middle, INK);
            taken.push(area);
        }
    }
}

impl Item {
    fn draw(&self, canvas: &mut Canvas, axes: &Axes) {
        let inner = axes.inner;
        // From the right edge of the axis, so that nothing covers half of it.
        let (left, right) = (inner.left + AXIS_WIDTH / 2.0, inner.left + inner.width);
        let bottom = inner.top + inner.height;
        match self {
            Item::Reference { y, spread } => {
                if let Some(spread) = spread {
                    let (top, bottom) = (axes.y_at(y + spread), axes.y_at(y - spread));
                    canvas.fill(vec![(left, top), (right, top), (right, bottom), (left, bottom)], BAND);
                }
                let y = axes.y_at(*y);
                canvas.dashed(&[(left, y), (right, y)], REFERENCE_DASHES, LINE_WIDTH, BLACK);
            }
            Item::Upright { x, look } => {
                let x = axes.x_at(*x);
                canvas.dashed(&[(x, inner.top), (x, bottom)], &[1.0, 2.0], BAR_WIDTH, look.colour);
            }
            Item::Band { points, look, edged } => {
                let upper: Vec<_> = points.iter().map(|&(x, _, high)| axes.at(x, high)).collect();
                let lower: Vec<_> = points.iter().rev().map(|&(x, low, _)| axes.at(x, low)).collect();
                canvas.veil([&upper[..], &lower[..]].concat(), look.colour);
                for edge in [upper, lower].iter().filter(|_| *edged) {
                    canvas.dashed(edge, look.dashes, EDGE_WIDTH, look.colour);
                }
            }
            Item::Line { points, look } => {
                let points: Vec<_> = points.iter().map(|&(x, y)| axes.at(x, y)).collect();
                if points.len() > 1 {
                    canvas.dashed(&points, look.dashes, LINE_WIDTH, look.colour);
                }
            }
            Item::Marker { x, y, spread, look } => {
                let place = axes.at(*x, *y);
                // The rim lies below the error bar, or it would hide the end of a short one.
                look.marker.draw_rim(canvas, place, MARKER_RADIUS);
                if let Some(spread) = spread {
                    let (top, bottom) = (axes.y_at(y + spread), axes.y_at(y - spread));
                    canvas.stroke(vec![(place.0, top), (place.0, bottom)], BAR_WIDTH, look.colour);
                    for end in [top, bottom] {
                        canvas.stroke(vec![(place.0 - CAP, end), (place.0 + CAP, end)], BAR_WIDTH, look.colour);
                    }
                }
                look.marker.draw(canvas, place, MARKER_RADIUS, look.colour);
            }
            // Placed when everything else is.
            Item::Label { .. } => {}
            Item::Missing { x, look } => {
                cross(canvas, (axes.x_at(*x), bottom - 2.0 * MARKER_RADIUS), MARKER_RADIUS, look.colour);
            }
            Item::Bar { from, to, shade } => shade.draw(canvas, axes.at(from.0, from.1), axes.at(to.0, to.1)),
        }
    }
}
