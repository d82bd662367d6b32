//! What is drawn at values inside a panel.

use crate::plot::axes::{AXIS_WIDTH, Area, Axes};
use crate::plot::canvas::{Anchor, Canvas, Colour, Point};
use crate::plot::legend::{BAR_WIDTH, BRACKET_WIDTH, CAP, LINE_WIDTH, MARKER_RADIUS};
use crate::plot::style::{BAND, BLACK, GREY, INK, Look, REFERENCE_DASHES, Shade, WHITE, cross};
use crate::plot::theme::Theme;

/// Of the edges of bands.
const EDGE_WIDTH: f64 = 0.35;
/// From a marker to its words, and from the data to the labels of its lines.
const LABEL_GAP: f64 = 1.5;
/// Room of one bracket beside the data.
const BRACKET_ROOM: f64 = 6.0;
/// Width of the frame around a cell.
const FRAME: f64 = 1.4;
/// Fraction of a panel's width that labels at the ends of lines may take.
const RIGHT_SHARE: f64 = 0.4;

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
    /// A marker with an error bar `x -+ spread`.
    Across { x: f64, y: f64, spread: Option<f64>, look: Look },
    /// A cross at the lower end of the panel: here something is missing.
    Missing { x: f64, look: Look },
    /// An arrow at the lower or upper end of the panel with the value that lies beyond it.
    Beyond { x: f64, above: bool, text: String, look: Look },
    /// An arrow at the left or right end of the panel with the value that lies beyond it.
    Aside { y: f64, left: bool, text: String, look: Look },
    /// Words beside a marker, left out where there is no room for them.
    Label { x: f64, y: f64, text: String },
    /// The name of a line, to the right of the panel.
    EndLabel { y: f64, text: String, look: Look },
    /// A rectangle from one corner to the other.
    Bar { from: (f64, f64), to: (f64, f64), shade: Shade },
    /// The cell of a matrix around a pair of values, which are 1 apart, with words; the best of its kind in a frame.
    Cell { x: f64, y: f64, text: String, colour: Colour, best: bool },
    /// A thick line beside the panel from one height to another; those of another `level` stand further to the right.
    Bracket { from: f64, to: f64, level: usize },
    /// Items of one series, and what to say when somebody points at them.
    Group { series: String, title: Option<String>, items: Vec<Item> },
}

impl Item {
    /// This item as part of a series.
    pub(crate) fn of(self, series: &str) -> Item {
        Item::Group { series: series.to_owned(), title: None, items: vec![self] }
    }

    /// This item as part of a series, with words for whoever points at it.
    pub(crate) fn told(self, series: &str, title: String) -> Item {
        Item::Group { series: series.to_owned(), title: Some(title), items: vec![self] }
    }

    /// Draws it; groups are drawn by the chart, and words that need a free place when everything else is.
    pub(crate) fn draw(&self, canvas: &mut Canvas, theme: &Theme, axes: &Axes) {
        let inner = axes.inner;
        // From the right edge of the axis, so that nothing covers half of it.
        let (left, right) = (inner.left + AXIS_WIDTH / 2.0, inner.left + inner.width);
        let bottom = inner.top + inner.height;
        let (line_width, radius) = (LINE_WIDTH * theme.scale, MARKER_RADIUS * theme.scale);
        match self {
            Item::Reference { y, spread } => {
                if let Some(spread) = spread {
                    let (top, bottom) = (axes.y_at(y + spread).max(inner.top), axes.y_at(y - spread).min(bottom));
                    if top < bottom {
                        canvas.fill(vec![(left, top), (right, top), (right, bottom), (left, bottom)], BAND);
                    }
                }
                let y = axes.y_at(*y);
                canvas.dashed(&[(left, y), (right, y)], REFERENCE_DASHES, line_width, BLACK);
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
                    canvas.dashed(&points, look.dashes, line_width, look.colour);
                }
            }
            Item::Marker { x, y, spread, look } => {
                let place = axes.at(*x, *y);
                // The rim lies below the error bar, or it would hide the end of a short one.
                look.draw_rim(canvas, place, radius);
                if let Some(spread) = spread {
                    let ends = (axes.y_at(y + spread).max(inner.top), axes.y_at(y - spread).min(bottom));
                    bar(canvas, theme, [(place.0, ends.0), (place.0, ends.1)], (CAP, 0.0), look.colour);
                }
                look.draw_marker(canvas, place, radius);
            }
            Item::Across { x, y, spread, look } => {
                let place = axes.at(*x, *y);
                look.draw_rim(canvas, place, radius);
                if let Some(spread) = spread {
                    let ends = (axes.x_at(x - spread).max(left), axes.x_at(x + spread).min(right));
                    bar(canvas, theme, [(ends.0, place.1), (ends.1, place.1)], (0.0, CAP), look.colour);
                }
                look.draw_marker(canvas, place, radius);
            }
            Item::Missing { x, look } => {
                cross(canvas, (axes.x_at(*x), bottom - 2.0 * radius), radius, look.colour);
            }
            Item::Beyond { x, above, look, .. } => {
                let x = axes.x_at(*x);
                let (edge, inwards) = if *above { (inner.top, 1.0) } else { (bottom, -1.0) };
                let (tip, base) = (edge + inwards, edge + inwards * (1.0 + 3.0 * radius));
                canvas.stroke(vec![(x, base), (x, tip)], line_width, look.colour);
                let head = edge + inwards * (1.0 + 1.6 * radius);
                canvas.fill(vec![(x - radius, head), (x + radius, head), (x, tip)], look.colour);
            }
            Item::Aside { y, left: leftwards, text, look } => {
                let y = axes.y_at(*y);
                let (edge, inwards) = if *leftwards { (left, 1.0) } else { (right, -1.0) };
                let (tip, base) = (edge + inwards * 1.5, edge + inwards * (1.5 + 3.0 * radius));
                canvas.stroke(vec![(base, y), (tip, y)], line_width, look.colour);
                let head = edge + inwards * (1.5 + 1.6 * radius);
                canvas.fill(vec![(head, y - radius), (head, y + radius), (tip, y)], look.colour);
                let anchor = if *leftwards { Anchor::Start } else { Anchor::End };
                canvas.words(text, (base + inwards * LABEL_GAP, y), theme.small, anchor, look.colour);
            }
            Item::Bar { from, to, shade } => shade.draw(canvas, axes.at(from.0, from.1), axes.at(to.0, to.1)),
            Item::Cell { x, y, text, colour, best } => cell(canvas, theme, axes, (*x, *y), text, *colour, *best),
            Item::Bracket { from, to, level } => {
                let x = right + BRACKET_ROOM * (*level as f64 + 0.7);
                let overlap = radius;
                let ends = (axes.y_at(from.max(*to)) - overlap, axes.y_at(from.min(*to)) + overlap);
                canvas.stroke(vec![(x, ends.0), (x, ends.1)], BRACKET_WIDTH * theme.scale, INK);
            }
            Item::Label { .. } | Item::EndLabel { .. } | Item::Group { .. } => {}
        }
    }
}

fn bar(canvas: &mut Canvas, theme: &Theme, ends: [Point; 2], cap: (f64, f64), colour: Colour) {
    let width = BAR_WIDTH * theme.scale;
    let (cx, cy) = (cap.0 * theme.scale, cap.1 * theme.scale);
    canvas.stroke(ends.to_vec(), width, colour);
    for (x, y) in ends {
        canvas.stroke(vec![(x - cx, y - cy), (x + cx, y + cy)], width, colour);
    }
}

fn cell(canvas: &mut Canvas, theme: &Theme, axes: &Axes, (x, y): (f64, f64), text: &str, colour: Colour, best: bool) {
    let ((left, top), (right, bottom)) = (axes.at(x - 0.5, y + 0.5), axes.at(x + 0.5, y - 0.5));
    let corners = |inset: f64| {
        vec![
            (left + inset, top + inset),
            (right - inset, top + inset),
            (right - inset, bottom - inset),
            (left + inset, bottom - inset),
        ]
    };
    canvas.fill(corners(0.4), colour);
    let ink = if colour.lightness() > 0.55 { BLACK } else { WHITE };
    if best {
        canvas.fill(corners(0.4 + FRAME), ink);
        canvas.fill(corners(0.4 + 2.0 * FRAME), colour);
    }
    let room = right - left - 2.0 * FRAME - 2.0;
    // A number may be smaller than other words, but must not be cut.
    let size = theme.small.min(theme.small * room / theme.width(text, theme.small).max(1e-9));
    canvas.words(text, (f64::midpoint(left, right), f64::midpoint(top, bottom)), size, Anchor::Middle, ink);
}

/// All items, those in groups too.
fn flat(items: &[Item]) -> Vec<&Item> {
    let mut all = Vec::new();
    for item in items {
        match item {
            Item::Group { items, .. } => all.extend(flat(items)),
            item => all.push(item),
        }
    }
    all
}

/// Names of the series among the items.
pub(crate) fn series(items: &[Item]) -> Vec<String> {
    let named = items.iter().filter_map(|item| match item {
        Item::Group { series, .. } => Some(series.clone()),
        _ => None,
    });
    named.collect()
}

/// Room that the items need to the right of the data.
pub(crate) fn right(items: &[Item], theme: &Theme, width: f64) -> f64 {
    let mut room = 0.0f64;
    for item in flat(items) {
        room = room.max(match item {
            Item::EndLabel { text, .. } => {
                (LABEL_GAP * 2.0 + theme.width(text, theme.small) + 2.0).min(RIGHT_SHARE * width)
            }
            Item::Bracket { level, .. } => BRACKET_ROOM * (*level as f64 + 1.5),
            _ => 0.0,
        });
    }
    room
}

/// Places the words of a panel: labels beside their markers, values beyond the axis beside their arrows, and names at
/// the ends of lines.
pub(crate) fn label(canvas: &mut Canvas, theme: &Theme, axes: &Axes, items: &[Item]) {
    let flat = flat(items);
    let (size, radius) = (theme.small, MARKER_RADIUS * theme.scale);
    let around = |(x, y): Point, half_width: f64, half_height: f64| Area {
        left: x - half_width,
        top: y - half_height,
        width: 2.0 * half_width,
        height: 2.0 * half_height,
    };
    let markers = flat.iter().filter_map(|item| match item {
        Item::Marker { x, y, spread, .. } => {
            Some((axes.at(*x, *y), axes.y_at(*y) - axes.y_at(y + spread.unwrap_or(0.0))))
        }
        Item::Across { x, y, .. } => Some((axes.at(*x, *y), 0.0)),
        _ => None,
    });
    let (mut taken, bars): (Vec<Area>, Vec<Area>) =
        markers.map(|(place, reach)| (around(place, radius, radius), around(place, CAP, radius.max(reach)))).unzip();
    let lines: Vec<[Point; 2]> = flat
        .iter()
        .filter_map(|item| match item {
            Item::Line { points, .. } => {
                Some(points.windows(2).map(|p| [axes.at(p[0].0, p[0].1), axes.at(p[1].0, p[1].1)]))
            }
            _ => None,
        })
        .flatten()
        .collect();
    let crossed = |area: &Area| lines.iter().any(|[from, to]| area.is_crossed(*from, *to));
    let covers = |area: &Area, others: &[Area]| others.iter().any(|other| area.meets(other));
    // Values beyond the axis come first: nothing else says them.
    for item in &flat {
        let Item::Beyond { x, above, text, look } = item else { continue };
        let x = axes.x_at(*x);
        let half = (theme.width(text, size) / 2.0, size * 0.45);
        let inner = axes.inner;
        let edge = if *above { inner.top + half.1 + 1.0 } else { inner.top + inner.height - half.1 - 1.0 };
        let step = if *above { 2.0 * half.1 } else { -2.0 * half.1 };
        let aside = radius + LABEL_GAP + half.0;
        let tries = (0..12)
            .flat_map(|row| [(x + aside, edge + step * f64::from(row)), (x - aside, edge + step * f64::from(row))]);
        let found = tries.map(|place| (place, around(place, half.0, half.1)));
        let found = found.filter(|(_, area)| area.lies_in(&inner)).find(|(_, area)| !covers(area, &taken));
        if let Some((place, area)) = found {
            canvas.words(text, place, size, Anchor::Middle, look.colour);
            taken.push(area);
        }
    }
    for item in &flat {
        let Item::Label { x, y, text } = item else { continue };
        let (x, y) = axes.at(*x, *y);
        let (half_width, half_height) = (theme.width(text, size) / 2.0, size * 0.4);
        let (aside, apart) = (radius + LABEL_GAP + half_width, radius + LABEL_GAP + half_height);
        // Error bars run up and down, so that the sides are the better places.
        let corner = |right: f64, down: f64| (x + right * aside, y + down * apart * 0.8);
        let places = [(x - aside, y), (x + aside, y), corner(-1.0, -1.0), corner(1.0, -1.0), corner(-1.0, 1.0)];
        let more = [corner(1.0, 1.0), (x, y - apart), (x, y + apart)];
        let free = || {
            let areas = places.into_iter().chain(more).map(|place| (place, around(place, half_width, half_height)));
            areas.filter(|(_, area)| area.lies_in(&axes.inner))
        };
        let clear = free().find(|(_, area)| !covers(area, &taken) && !covers(area, &bars) && !crossed(area));
        // Words on a line or an error bar can still be read, on a marker they cannot; a line is the longer disturbance.
        let off_lines = || free().find(|(_, area)| !covers(area, &taken) && !crossed(area));
        let found = clear.or_else(off_lines).or_else(|| free().find(|(_, area)| !covers(area, &taken)));
        if let Some((place, area)) = found {
            canvas.words(text, place, size, Anchor::Middle, INK);
            taken.push(area);
        }
    }
    end_labels(canvas, theme, axes, &flat);
}

/// Names at the ends of lines, pushed apart where they would cover each other, each with a thin line from its end.
fn end_labels(canvas: &mut Canvas, theme: &Theme, axes: &Axes, items: &[&Item]) {
    let mut labels: Vec<(f64, &str, &Look)> = items
        .iter()
        .filter_map(|item| match item {
            Item::EndLabel { y, text, look } => Some((axes.y_at(*y), text.as_str(), look)),
            _ => None,
        })
        .collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let step = theme.small * 1.1;
    let (top, bottom) = (axes.inner.top + step / 2.0, axes.inner.top + axes.inner.height - step / 2.0);
    let wanted: Vec<f64> = labels.iter().map(|(y, ..)| *y).collect();
    let places = spread_apart(&wanted, step, top, bottom);
    let right = axes.inner.left + axes.inner.width;
    for ((y, text, look), place) in labels.iter().zip(places) {
        let start = right + LABEL_GAP * 2.0;
        if (place - y).abs() > 1.0 {
            canvas.stroke(vec![(right, *y), (start - 0.5, place)], EDGE_WIDTH, GREY);
        }
        canvas.words(text, (start, place), theme.small, Anchor::Start, look.colour);
    }
}

/// Places at least `step` apart that are near to the `wanted` ones, which rise, between `low` and `high`.
fn spread_apart(wanted: &[f64], step: f64, low: f64, high: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for &want in wanted {
        let least = places.last().map_or(low, |last| last + step);
        places.push(want.max(least));
    }
    let mut most = high;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - step;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_keep_their_distance_and_their_order(mut wanted in prop::collection::vec(0.0f64..100.0, 1..12)) {
            wanted.sort_by(f64::total_cmp);
            let places = spread_apart(&wanted, 8.0, 0.0, 100.0);
            prop_assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= 8.0 - 1e-9), "{:?}", places);
            prop_assert!(places.iter().all(|place| *place <= 100.0));
        }
    }

    #[test]
    fn labels_that_have_room_stay_where_they_are() {
        assert_eq!(spread_apart(&[10.0, 50.0], 8.0, 0.0, 100.0), [10.0, 50.0]);
        assert_eq!(spread_apart(&[50.0, 50.0], 8.0, 0.0, 100.0), [50.0, 58.0]);
        assert_eq!(spread_apart(&[99.0, 100.0], 8.0, 0.0, 100.0), [92.0, 100.0]);
    }
}
