//! What tells series apart: colour for most readers, marker and dashes for a grey print and for everyone else.

use crate::plot::canvas::{Canvas, Colour, Point};

pub(crate) const BLACK: Colour = Colour(0, 0, 0);
pub(crate) const WHITE: Colour = Colour(255, 255, 255);
/// Axes and their words.
pub(crate) const INK: Colour = Colour(40, 40, 40);
/// Lines behind the data.
pub(crate) const GRID: Colour = Colour(228, 228, 228);
/// The band around a reference line.
pub(crate) const BAND: Colour = Colour(216, 216, 216);

/// Size of words, in points.
pub(crate) const LABEL_SIZE: f64 = 8.0;
/// Size of small words: ticks and legend.
pub(crate) const SMALL_SIZE: f64 = 7.0;

/// Okabe and Ito's palette (2008), which the common kinds of colour blindness keep apart; without its black (the
/// reference line's) and its yellow (too faint on paper), darkest first.
const COLOURS: [Colour; 6] = [
    Colour(0, 114, 178),
    Colour(213, 94, 0),
    Colour(0, 158, 115),
    Colour(204, 121, 167),
    Colour(230, 159, 0),
    Colour(86, 180, 233),
];

/// Shapes, in an order that keeps neighbours unlike each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Disc,
    Square,
    Triangle,
    Diamond,
    HollowDisc,
    HollowSquare,
    TriangleDown,
    HollowDiamond,
    /// Of no series: what others published.
    HollowTriangle,
}

const MARKERS: [Marker; 8] = [
    Marker::Disc,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::HollowDisc,
    Marker::HollowSquare,
    Marker::TriangleDown,
    Marker::HollowDiamond,
];

/// Lengths drawn and left out in turn, in points.
const DASHES: [&[f64]; 5] = [&[], &[5.0, 1.5], &[1.5, 1.5], &[6.0, 1.5, 1.5, 1.5], &[3.0, 1.5]];

/// Dashes of a reference line; no series has them.
pub(crate) const REFERENCE_DASHES: &[f64] = &[3.0, 3.0];

/// Look of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    pub(crate) colour: Colour,
    pub(crate) marker: Marker,
    pub(crate) dashes: &'static [f64],
}

/// Look of the `index`-th series. Since 5, 6 and 8 repeat together only after 120, so many series differ, and any
/// eight in a row differ by marker alone.
pub(crate) fn look(index: usize) -> Look {
    Look {
        colour: COLOURS[index % COLOURS.len()],
        marker: MARKERS[index % MARKERS.len()],
        dashes: DASHES[index % DASHES.len()],
    }
}

/// Look of an area: colour, and strokes across it that tell it from others in a grey print.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shade {
    pub(crate) colour: Colour,
    pub(crate) hatch: Hatch,
}

/// Strokes across an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hatch {
    None,
    Rising,
    Empty,
    Falling,
}

const HATCHES: [Hatch; 4] = [Hatch::None, Hatch::Rising, Hatch::Empty, Hatch::Falling];

/// Shade of the `index`-th kind of bar.
pub(crate) fn shade(index: usize) -> Shade {
    Shade { colour: COLOURS[index % COLOURS.len()], hatch: HATCHES[index % HATCHES.len()] }
}

const GREY: Colour = Colour(110, 110, 110);

/// What others published, in the key: in a figure it has the colour of its line.
pub(crate) const PUBLISHED: Look = Look { colour: INK, marker: Marker::HollowTriangle, dashes: &[] };
/// A Pareto front.
pub(crate) const FRONT: Look = Look { colour: GREY, marker: Marker::Disc, dashes: &[4.0, 2.0] };
/// What a machine allows at most.
pub(crate) const LIMIT: Look = Look { colour: Colour(170, 170, 170), marker: Marker::HollowDisc, dashes: &[] };
/// Values before quantization, and after.
pub(crate) const BEFORE: Shade = Shade { colour: Colour(86, 180, 233), hatch: Hatch::None };
pub(crate) const AFTER: Shade = Shade { colour: Colour(213, 94, 0), hatch: Hatch::None };
/// The levels of a quantizer.
pub(crate) const LEVEL: Look = Look { colour: GREY, marker: Marker::Disc, dashes: &[] };

/// Between the strokes of a hatch, and their width.
const HATCH_STEP: f64 = 3.0;
const HATCH_WIDTH: f64 = 0.7;
const OUTLINE: f64 = 0.6;

impl Shade {
    /// Fills the rectangle between two corners.
    pub(crate) fn draw(self, canvas: &mut Canvas, one: Point, other: Point) {
        let (left, right) = (one.0.min(other.0), one.0.max(other.0));
        let (top, bottom) = (one.1.min(other.1), one.1.max(other.1));
        let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
        let ground = if self.hatch == Hatch::Empty { self.colour.pale() } else { self.colour };
        canvas.fill(corners.clone(), ground);
        if matches!(self.hatch, Hatch::Rising | Hatch::Falling) {
            let (width, height) = (right - left, bottom - top);
            let mut offset = HATCH_STEP / 2.0;
            // Along x + y = offset, from the left or upper edge to the lower or right one.
            while offset < width + height {
                let (start, end) = (((offset - height).max(0.0)), offset.min(width));
                let point = |x: f64| match self.hatch {
                    Hatch::Falling => (right - x, top + (offset - x)),
                    _ => (left + x, top + (offset - x)),
                };
                canvas.stroke(vec![point(start), point(end)], HATCH_WIDTH, WHITE);
                offset += HATCH_STEP * std::f64::consts::SQRT_2;
            }
        }
        if self.hatch != Hatch::None && right - left > 2.0 * OUTLINE {
            canvas.stroke([corners.as_slice(), &corners[..1]].concat(), OUTLINE, self.colour);
        }
    }
}

/// Width of the rim of a marker.
const RIM: f64 = 0.45;

impl Marker {
    /// A thin white rim, drawn first, that parts the marker from what lies below.
    pub(crate) fn draw_rim(self, canvas: &mut Canvas, centre: Point, radius: f64) {
        self.draw(canvas, centre, radius + RIM, WHITE);
    }

    /// Draws the marker, about `2 * radius` wide.
    pub(crate) fn draw(self, canvas: &mut Canvas, centre: Point, radius: f64, colour: Colour) {
        let inner = radius * 0.55;
        match self {
            Marker::Disc => canvas.disc(centre, radius, colour),
            Marker::Square => canvas.fill(square(centre, radius * 0.89), colour),
            Marker::Triangle => canvas.fill(triangle(centre, radius * 1.2), colour),
            Marker::TriangleDown => canvas.fill(triangle(centre, radius * -1.2), colour),
            Marker::Diamond => canvas.fill(diamond(centre, radius * 1.25), colour),
            Marker::HollowTriangle => {
                canvas.fill(triangle(centre, radius * 1.4), colour);
                canvas.fill(triangle(centre, inner), WHITE);
            }
            Marker::HollowDisc => {
                canvas.disc(centre, radius, colour);
                canvas.disc(centre, inner, WHITE);
            }
            Marker::HollowSquare => {
                canvas.fill(square(centre, radius * 0.89), colour);
                canvas.fill(square(centre, inner * 0.89), WHITE);
            }
            Marker::HollowDiamond => {
                canvas.fill(diamond(centre, radius * 1.25), colour);
                canvas.fill(diamond(centre, inner * 1.25), WHITE);
            }
        }
    }
}

/// Two crossing strokes: what could not be measured.
pub(crate) fn cross(canvas: &mut Canvas, (x, y): Point, radius: f64, colour: Colour) {
    canvas.stroke(vec![(x - radius, y - radius), (x + radius, y + radius)], 0.9, colour);
    canvas.stroke(vec![(x - radius, y + radius), (x + radius, y - radius)], 0.9, colour);
}

fn square((x, y): Point, r: f64) -> Vec<Point> {
    vec![(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
}

fn triangle((x, y): Point, r: f64) -> Vec<Point> {
    vec![(x, y - r), (x + r * 0.866, y + r * 0.5), (x - r * 0.866, y + r * 0.5)]
}

fn diamond((x, y): Point, r: f64) -> Vec<Point> {
    vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn looks_differ() {
        let named = |i: usize| format!("{:?}", look(i));
        assert_eq!((0..120).map(named).collect::<BTreeSet<_>>().len(), 120);
        let markers = |from: usize| (from..from + 8).map(|i| format!("{:?}", look(i).marker)).collect::<BTreeSet<_>>();
        assert!((0..40).all(|from| markers(from).len() == 8));
    }
}
