//! A drawing as a list of strokes, fills and words, before it has a format.
//!
//! Lengths are in points (1/72 inch), from the upper left corner, so a figure is laid out once at the size it has on
//! paper. Surfaces have whole coordinates: [`UNITS_PER_POINT`] of them to a point keep rounding invisible.

/// Steps of a surface's grid to a point: 600 to the inch.
pub(crate) const UNITS_PER_POINT: f64 = 600.0 / 72.0;

/// Where something is, in points.
pub(crate) type Point = (f64, f64);

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Colour {
    /// The same hue, near white: for areas with something on them.
    pub(crate) fn pale(self) -> Colour {
        let pale = |channel: u8| 255 - (255 - channel) / 6;
        Colour(pale(self.0), pale(self.1), pale(self.2))
    }

    /// A fraction of the way to another colour.
    pub(crate) fn towards(self, other: Colour, fraction: f64) -> Colour {
        let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * fraction).round() as u8;
        Colour(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// Lightness between 0 and 1, as the eye weighs the channels.
    pub(crate) fn lightness(self) -> f64 {
        (0.299 * f64::from(self.0) + 0.587 * f64::from(self.1) + 0.114 * f64::from(self.2)) / 255.0
    }
}

/// How words stand at their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing that is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mark {
    /// A line through points.
    Stroke { points: Vec<Point>, width: f64, colour: Colour },
    /// A filled polygon.
    Fill { points: Vec<Point>, colour: Colour },
    /// A polygon that tints what lies below it.
    Veil { points: Vec<Point>, colour: Colour },
    /// A filled disc.
    Disc { centre: Point, radius: f64, colour: Colour },
    /// One line of text.
    Words(Words),
    /// Here begins what belongs to a group, see [`Group`].
    Open(Group),
    /// Here it ends.
    Close,
}

/// What a reader can point at or hide, where the format allows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Group {
    /// The series that the marks belong to, as the legend names it.
    pub(crate) series: Option<String>,
    /// What to say when somebody points at them.
    pub(crate) title: Option<String>,
    /// The marks are the entry of the series in the legend.
    pub(crate) is_key: bool,
}

/// One line of text, its middle height at `at`; `upwards` turns it a quarter to the left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) at: Point,
    /// Height of an em.
    pub(crate) size: f64,
    pub(crate) anchor: Anchor,
    pub(crate) upwards: bool,
    pub(crate) colour: Colour,
}

/// A drawing of a certain size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Canvas {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) marks: Vec<Mark>,
}

impl Canvas {
    pub(crate) fn new(width: f64, height: f64) -> Canvas {
        Canvas { width, height, marks: Vec::new() }
    }

    /// Size on the grid of a surface.
    pub(crate) fn units(&self) -> (u32, u32) {
        let units = |length: f64| (length * UNITS_PER_POINT).round().max(1.0) as u32;
        (units(self.width), units(self.height))
    }

    pub(crate) fn stroke(&mut self, points: Vec<Point>, width: f64, colour: Colour) {
        self.marks.push(Mark::Stroke { points, width, colour });
    }

    pub(crate) fn fill(&mut self, points: Vec<Point>, colour: Colour) {
        self.marks.push(Mark::Fill { points, colour });
    }

    pub(crate) fn veil(&mut self, points: Vec<Point>, colour: Colour) {
        self.marks.push(Mark::Veil { points, colour });
    }

    pub(crate) fn disc(&mut self, centre: Point, radius: f64, colour: Colour) {
        self.marks.push(Mark::Disc { centre, radius, colour });
    }

    /// Draws what belongs to a group.
    pub(crate) fn grouped(&mut self, group: Group, draw: impl FnOnce(&mut Canvas)) {
        self.marks.push(Mark::Open(group));
        draw(self);
        self.marks.push(Mark::Close);
    }

    /// Level text.
    pub(crate) fn words(&mut self, text: &str, at: Point, size: f64, anchor: Anchor, colour: Colour) {
        self.marks.push(Mark::Words(Words { text: text.to_owned(), at, size, anchor, upwards: false, colour }));
    }

    /// Text that reads upwards, centred.
    pub(crate) fn words_upwards(&mut self, text: &str, at: Point, size: f64, colour: Colour) {
        let anchor = Anchor::Middle;
        self.marks.push(Mark::Words(Words { text: text.to_owned(), at, size, anchor, upwards: true, colour }));
    }

    /// A line in dashes: `pattern` gives lengths drawn and left out in turn, in points; empty means unbroken.
    pub(crate) fn dashed(&mut self, points: &[Point], pattern: &[f64], width: f64, colour: Colour) {
        if pattern.is_empty() || pattern.iter().sum::<f64>() <= 0.0 {
            self.stroke(points.to_vec(), width, colour);
            return;
        }
        let mut dash = Vec::new();
        let (mut part, mut left) = (0, pattern[0]);
        for ends in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (ends[0], ends[1]);
            let length = (x1 - x0).hypot(y1 - y0);
            let along = |t: f64| (x0 + (x1 - x0) * t / length, y0 + (y1 - y0) * t / length);
            let mut done = 0.0;
            while done < length {
                let next = (done + left).min(length);
                if part % 2 == 0 {
                    if dash.is_empty() {
                        dash.push(along(done));
                    }
                    dash.push(along(next));
                }
                left -= next - done;
                done = next;
                if left <= 1e-9 {
                    if dash.len() > 1 {
                        self.stroke(std::mem::take(&mut dash), width, colour);
                    }
                    dash.clear();
                    part = (part + 1) % pattern.len();
                    left = pattern[part].max(1e-3);
                }
            }
        }
        if dash.len() > 1 {
            self.stroke(dash, width, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLACK: Colour = Colour(0, 0, 0);

    proptest! {
        #[test]
        fn dashes_cover_their_share_of_the_line(
            points in prop::collection::vec((0.0f64..300.0, 0.0f64..300.0), 2..6), on in 1.0f64..9.0, off in 1.0f64..9.0,
        ) {
            let length = |points: &[Point]| {
                points.windows(2).map(|e| (e[1].0 - e[0].0).hypot(e[1].1 - e[0].1)).sum::<f64>()
            };
            let mut canvas = Canvas::new(300.0, 300.0);
            canvas.dashed(&points, &[on, off], 1.0, BLACK);
            let drawn: f64 = canvas.marks.iter().map(|mark| match mark {
                Mark::Stroke { points, .. } => length(points),
                _ => unreachable!("only strokes are drawn"),
            }).sum();
            let (whole, rest) = ((length(&points) / (on + off)).floor(), length(&points) % (on + off));
            prop_assert!((drawn - (whole * on + rest.min(on))).abs() < 1e-3 * (1.0 + whole), "{drawn}");
        }
    }

    #[test]
    fn no_pattern_is_one_stroke() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.dashed(&[(0.0, 0.0), (5.0, 5.0)], &[], 1.0, BLACK);
        assert_eq!(canvas.marks.len(), 1);
        assert_eq!(canvas.units(), (83, 83));
    }
}
