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
/// Words and lines that stand back.
pub(crate) const GREY: Colour = Colour(110, 110, 110);

/// The palette of Okabe and Ito (2008), which the common kinds of colour blindness keep apart, without its black (the
/// reference line's) and its yellow (too faint on paper); then darker colours that differ from them in lightness.
const COLOURS: [Colour; 12] = [
    Colour(0, 114, 178),
    Colour(213, 94, 0),
    Colour(0, 158, 115),
    Colour(204, 121, 167),
    Colour(230, 159, 0),
    Colour(86, 180, 233),
    Colour(136, 34, 85),
    Colour(51, 34, 136),
    Colour(120, 120, 20),
    Colour(120, 70, 30),
    Colour(0, 80, 80),
    Colour(130, 130, 130),
];

/// Shapes, in an order that keeps neighbours unlike each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Disc,
    Square,
    Triangle,
    Diamond,
    Plus,
    TriangleDown,
    Star,
    Cross,
    Pentagon,
    TriangleLeft,
    Hourglass,
    TriangleRight,
}

const MARKERS: [Marker; 12] = [
    Marker::Disc,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Plus,
    Marker::TriangleDown,
    Marker::Star,
    Marker::Cross,
    Marker::Pentagon,
    Marker::TriangleLeft,
    Marker::Hourglass,
    Marker::TriangleRight,
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
    /// The marker is an outline: the value was not measured here.
    pub(crate) hollow: bool,
    pub(crate) dashes: &'static [f64],
}

impl Look {
    /// The same series, but published by others.
    pub(crate) fn published(self) -> Look {
        Look { hollow: true, ..self }
    }

    /// The `number`-th of several lines that share this look: other dashes, and from the second on another shade.
    pub(crate) fn variant(self, number: usize) -> Look {
        let start = DASHES.iter().position(|dashes| *dashes == self.dashes).unwrap_or(0);
        match number {
            0 => self,
            _ => Look {
                colour: shaded(self.colour, number),
                dashes: DASHES[(start + number) % DASHES.len()],
                marker: MARKERS[(self.place() + number * 5) % MARKERS.len()],
                ..self
            },
        }
    }

    fn place(self) -> usize {
        MARKERS.iter().position(|marker| *marker == self.marker).unwrap_or(0)
    }
}

/// A shade of a colour: the colour itself, then lighter and darker in turn.
fn shaded(colour: Colour, variant: usize) -> Colour {
    match variant {
        0 => colour,
        odd if odd % 2 == 1 => colour.towards(WHITE, 0.35),
        _ => colour.towards(BLACK, 0.35),
    }
}

/// Look of the `variant`-th variant of the `family`-th family of methods, which is the `series`-th series in all.
/// Families have colours, variants have dashes and shades of the colour, and up to twelve series have markers of
/// their own.
pub(crate) fn look(family: usize, variant: usize, series: usize) -> Look {
    Look {
        colour: shaded(COLOURS[family % COLOURS.len()], variant),
        marker: MARKERS[(series + series / MARKERS.len()) % MARKERS.len()],
        hollow: false,
        dashes: DASHES[variant % DASHES.len()],
    }
}

/// Look of the `index`-th of things that are no methods: layers, codes, shapes. Any twelve in a row differ by marker.
pub(crate) fn plain_look(index: usize) -> Look {
    let look = look(index, 0, index);
    Look { dashes: DASHES[index % DASHES.len()], ..look }
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

/// Colour of a number between 0 and 1, from near white to a dark blue; lightness falls evenly, so that it can be read
/// in grey.
pub(crate) fn heat(fraction: f64) -> Colour {
    Colour(247, 251, 255).towards(Colour(8, 69, 148), fraction.clamp(0.0, 1.0))
}

/// Networks in full precision, where they are a series like others.
pub(crate) const FLOAT_LOOK: Look =
    Look { colour: BLACK, marker: Marker::Disc, hollow: false, dashes: REFERENCE_DASHES };
/// What others published, in the key: in a figure it has the colour and the marker of its series.
pub(crate) const PUBLISHED: Look = Look { colour: INK, marker: Marker::Disc, hollow: true, dashes: &[] };
/// A Pareto front.
pub(crate) const FRONT: Look = Look { colour: GREY, marker: Marker::Disc, hollow: false, dashes: &[4.0, 2.0] };
/// What a machine allows at most.
pub(crate) const LIMIT: Look = Look { colour: Colour(170, 170, 170), marker: Marker::Disc, hollow: true, dashes: &[] };
/// Values before quantization, and after.
pub(crate) const BEFORE: Shade = Shade { colour: Colour(86, 180, 233), hatch: Hatch::None };
pub(crate) const AFTER: Shade = Shade { colour: Colour(213, 94, 0), hatch: Hatch::None };
/// The levels of a quantizer.
pub(crate) const LEVEL: Look = Look { colour: GREY, marker: Marker::Disc, hollow: false, dashes: &[] };

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
/// Width of the outline of a hollow marker, in radii.
const HOLLOW: f64 = 0.42;

impl Look {
    /// A thin white rim, drawn first, that parts the marker from what lies below.
    pub(crate) fn draw_rim(self, canvas: &mut Canvas, centre: Point, radius: f64) {
        self.marker.draw(canvas, centre, radius + RIM, WHITE);
    }

    /// Draws the marker, about `2 * radius` wide.
    pub(crate) fn draw_marker(self, canvas: &mut Canvas, centre: Point, radius: f64) {
        if !self.hollow {
            self.marker.draw(canvas, centre, radius, self.colour);
            return;
        }
        match self.marker.outline(centre, radius) {
            None => {
                canvas.disc(centre, radius, self.colour);
                canvas.disc(centre, radius * (1.0 - HOLLOW), WHITE);
            }
            Some(outline) => {
                let inner = self.marker.outline(centre, radius * (1.0 - HOLLOW)).unwrap_or_default();
                canvas.fill(outline, self.colour);
                canvas.fill(inner, WHITE);
            }
        }
    }
}

impl Marker {
    fn draw(self, canvas: &mut Canvas, centre: Point, radius: f64, colour: Colour) {
        match self.outline(centre, radius) {
            None => canvas.disc(centre, radius, colour),
            Some(outline) => canvas.fill(outline, colour),
        }
    }

    /// Corners of the marker; `None` for the disc. Sizes are such that all shapes look equally large.
    fn outline(self, (x, y): Point, radius: f64) -> Option<Vec<Point>> {
        let turned = |angles: &[f64], radii: &[f64]| {
            let corner = |(i, angle): (usize, &f64)| {
                let (sin, cos) = angle.to_radians().sin_cos();
                let r = radius * radii[i % radii.len()];
                (x + r * sin, y - r * cos)
            };
            angles.iter().enumerate().map(corner).collect::<Vec<_>>()
        };
        let even = |count: u32, start: f64| {
            (0..count).map(|i| start + 360.0 / f64::from(count) * f64::from(i)).collect::<Vec<f64>>()
        };
        let plus = |turn: f64| {
            // Arms a third as wide as the marker.
            let (arm, half) = (1.2f64, 0.4f64);
            let (far, near) = ((arm * arm + half * half).sqrt(), half * std::f64::consts::SQRT_2);
            let off = (half / arm).atan().to_degrees();
            let angles: Vec<f64> =
                (0..4).flat_map(|i| [-off, off, 45.0].map(|a| a + 90.0 * f64::from(i) + turn)).collect();
            turned(&angles, &[far, far, near])
        };
        let corners = match self {
            Marker::Disc => return None,
            Marker::Square => turned(&even(4, 45.0), &[1.26]),
            Marker::Triangle => turned(&even(3, 0.0), &[1.3]),
            Marker::TriangleDown => turned(&even(3, 180.0), &[1.3]),
            Marker::TriangleLeft => turned(&even(3, 270.0), &[1.3]),
            Marker::TriangleRight => turned(&even(3, 90.0), &[1.3]),
            Marker::Diamond => turned(&even(4, 0.0), &[1.25]),
            Marker::Pentagon => turned(&even(5, 0.0), &[1.15]),
            Marker::Star => turned(&even(10, 0.0), &[1.5, 0.65]),
            Marker::Plus => plus(0.0),
            Marker::Cross => plus(45.0),
            Marker::Hourglass => {
                let r = radius * 1.05;
                vec![(x - r, y - r), (x + r, y - r), (x - r, y + r), (x + r, y + r)]
            }
        };
        Some(corners)
    }
}

/// Two crossing strokes: what could not be measured.
pub(crate) fn cross(canvas: &mut Canvas, (x, y): Point, radius: f64, colour: Colour) {
    canvas.stroke(vec![(x - radius, y - radius), (x + radius, y + radius)], 0.9, colour);
    canvas.stroke(vec![(x - radius, y + radius), (x + radius, y - radius)], 0.9, colour);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn twelve_series_have_markers_of_their_own_and_families_have_colours() {
        let markers: BTreeSet<String> = (0..12).map(|i| format!("{:?}", look(i, 0, i).marker)).collect();
        assert_eq!(markers.len(), 12);
        let colours: BTreeSet<String> = (0..12).map(|i| format!("{:?}", look(i, 0, i).colour)).collect();
        assert_eq!(colours.len(), 12);
        // Variants of a family differ in their dashes, and in their markers while those last.
        let variants: BTreeSet<String> = (0..5).map(|v| format!("{:?}", look(3, v, 0).dashes)).collect();
        assert_eq!(variants.len(), 5);
        // A thirteenth series has the colour of the first and another marker.
        assert_eq!(look(12, 0, 12).colour, look(0, 0, 0).colour);
        assert_ne!(look(12, 0, 12).marker, look(0, 0, 0).marker);
    }

    #[test]
    fn heat_darkens_evenly() {
        let grey = |c: Colour| 0.299 * f64::from(c.0) + 0.587 * f64::from(c.1) + 0.114 * f64::from(c.2);
        let shades: Vec<f64> = (0..=10).map(|i| grey(heat(f64::from(i) / 10.0))).collect();
        let steps: Vec<f64> = shades.windows(2).map(|pair| pair[0] - pair[1]).collect();
        assert!(steps.iter().all(|step| (10.0..25.0).contains(step)), "{steps:?}");
    }
}
