//! The key to a figure's lines, in even columns outside the data.

use crate::plot::canvas::{Anchor, Canvas, Point};
use crate::plot::style::{BAND, BLACK, INK, Look, REFERENCE_DASHES, SMALL_SIZE, Shade, cross};
use crate::plot::text::Lettering;

/// What stands before a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Key {
    /// A line with its marker.
    Series(Look),
    /// A line alone.
    Line(Look),
    /// A marker alone.
    Marker(Look),
    /// An area.
    Area(Shade),
    /// A dotted upright.
    Upright(Look),
    /// The dashed reference line, with its band where there is one.
    Reference { band: bool },
    /// A cross.
    Missing,
}

/// A legend that fits a width.
#[derive(Debug)]
pub(crate) struct Legend {
    entries: Vec<(Key, String)>,
    columns: usize,
    column_width: f64,
}

/// Size of markers, here and in the data.
pub(crate) const MARKER_RADIUS: f64 = 2.3;
/// Width of lines, here and in the data.
pub(crate) const LINE_WIDTH: f64 = 1.0;
const KEY_WIDTH: f64 = 20.0;
const KEY_GAP: f64 = 4.0;
const COLUMN_GAP: f64 = 12.0;
const ROW_HEIGHT: f64 = SMALL_SIZE * 1.45;

impl Legend {
    /// As many columns as fit into `width`; labels that do not fit into one are cut.
    pub(crate) fn new(entries: Vec<(Key, String)>, lettering: &Lettering, width: f64) -> Legend {
        let room = width - KEY_WIDTH - KEY_GAP;
        let entries: Vec<(Key, String)> =
            entries.into_iter().map(|(key, label)| (key, lettering.fit(&label, SMALL_SIZE, room))).collect();
        let widest = entries.iter().map(|(_, label)| lettering.width(label, SMALL_SIZE)).fold(0.0, f64::max);
        let column_width = KEY_WIDTH + KEY_GAP + widest;
        let fitting = ((width + COLUMN_GAP) / (column_width + COLUMN_GAP)).floor().max(1.0) as usize;
        // No more columns than rows need, so that rows are filled evenly.
        let rows = entries.len().div_ceil(fitting).max(1);
        Legend { columns: entries.len().div_ceil(rows).max(1), entries, column_width }
    }

    fn rows(&self) -> usize {
        self.entries.len().div_ceil(self.columns)
    }

    /// Height in points.
    pub(crate) fn height(&self) -> f64 {
        self.rows() as f64 * ROW_HEIGHT
    }

    /// Draws it, centred about `centre`, from `top` down; read row by row.
    pub(crate) fn draw(&self, canvas: &mut Canvas, centre: f64, top: f64) {
        let columns = self.columns as f64;
        let left = centre - (columns * self.column_width + (columns - 1.0) * COLUMN_GAP) / 2.0;
        for (i, (key, label)) in self.entries.iter().enumerate() {
            let x = left + (i % self.columns) as f64 * (self.column_width + COLUMN_GAP);
            let y = top + (i / self.columns) as f64 * ROW_HEIGHT + ROW_HEIGHT / 2.0;
            draw_key(canvas, *key, (x, y));
            canvas.words(label, (x + KEY_WIDTH + KEY_GAP, y), SMALL_SIZE, Anchor::Start, INK);
        }
    }
}

fn draw_key(canvas: &mut Canvas, key: Key, (x, y): Point) {
    let line = [(x, y), (x + KEY_WIDTH, y)];
    let middle = (x + KEY_WIDTH / 2.0, y);
    match key {
        Key::Series(look) => {
            canvas.dashed(&line, look.dashes, LINE_WIDTH, look.colour);
            look.marker.draw_rim(canvas, middle, MARKER_RADIUS);
            look.marker.draw(canvas, middle, MARKER_RADIUS, look.colour);
        }
        Key::Line(look) => canvas.dashed(&line, look.dashes, LINE_WIDTH, look.colour),
        Key::Marker(look) => {
            look.marker.draw_rim(canvas, middle, MARKER_RADIUS);
            look.marker.draw(canvas, middle, MARKER_RADIUS, look.colour);
        }
        Key::Area(shade) => {
            let half = SMALL_SIZE * 0.4;
            shade.draw(canvas, (x + KEY_WIDTH * 0.2, y - half), (x + KEY_WIDTH * 0.8, y + half));
        }
        Key::Upright(look) => {
            let half = SMALL_SIZE * 0.5;
            canvas.dashed(&[(middle.0, y - half), (middle.0, y + half)], &[1.0, 2.0], LINE_WIDTH, look.colour);
        }
        Key::Reference { band } => {
            if band {
                let (top, bottom) = (y - SMALL_SIZE * 0.4, y + SMALL_SIZE * 0.4);
                canvas.fill(vec![(x, top), (x + KEY_WIDTH, top), (x + KEY_WIDTH, bottom), (x, bottom)], BAND);
            }
            canvas.dashed(&line, REFERENCE_DASHES, LINE_WIDTH, BLACK);
        }
        Key::Missing => cross(canvas, middle, MARKER_RADIUS, INK),
    }
}
