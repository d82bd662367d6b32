//! The key to a figure's lines, in even columns outside the data.

use crate::plot::canvas::{Anchor, Canvas, Group, Point};
use crate::plot::style::{BAND, BLACK, INK, Look, REFERENCE_DASHES, Shade, cross};
use crate::plot::theme::Theme;

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
    /// An error bar, upright or lying.
    Spread { across: bool },
    /// A cross.
    Missing,
    /// A thick line between things that do not differ.
    Bracket,
}

/// An entry: its key, and its label in lines.
#[derive(Debug)]
struct Entry {
    key: Key,
    label: String,
    lines: Vec<String>,
}

/// A legend that fits a width.
#[derive(Debug)]
pub(crate) struct Legend {
    /// Rows of entries, each as high as its highest entry.
    rows: Vec<Vec<Entry>>,
    columns: usize,
    column_width: f64,
    row_height: f64,
    key_width: f64,
}

/// Size of markers, here and in the data, in a report.
pub(crate) const MARKER_RADIUS: f64 = 2.3;
/// Width of lines, here and in the data, in a report.
pub(crate) const LINE_WIDTH: f64 = 1.0;
/// Half the width of the ends of error bars, and the width of their lines, here and in the data, in a report.
pub(crate) const CAP: f64 = 1.6;
pub(crate) const BAR_WIDTH: f64 = 0.8;
const KEY_WIDTH: f64 = 20.0;
const KEY_GAP: f64 = 4.0;
const COLUMN_GAP: f64 = 12.0;
/// Lines that one label may take.
const MOST_LINES: usize = 6;

impl Legend {
    /// As many columns as fit into `width`; labels that are wider than that go on in the next line.
    pub(crate) fn new(entries: Vec<(Key, String)>, theme: &Theme, width: f64) -> Legend {
        let key_width = KEY_WIDTH * theme.scale;
        let room = width - key_width - KEY_GAP;
        let entry = |(key, label): (Key, String)| {
            let lines = theme.lettering.lines(&label, theme.small, room, MOST_LINES);
            Entry { key, label, lines }
        };
        let entries: Vec<Entry> = entries.into_iter().map(entry).collect();
        let widest = entries.iter().flat_map(|entry| &entry.lines).map(|line| theme.width(line, theme.small));
        let column_width = key_width + KEY_GAP + widest.fold(0.0, f64::max);
        let fitting = ((width + COLUMN_GAP) / (column_width + COLUMN_GAP)).floor().max(1.0) as usize;
        // No more columns than rows need, so that rows are filled evenly.
        let count = entries.len().div_ceil(fitting).max(1);
        let columns = entries.len().div_ceil(count).max(1);
        let mut rows: Vec<Vec<Entry>> = Vec::new();
        for entry in entries {
            match rows.last_mut() {
                Some(row) if row.len() < columns => row.push(entry),
                _ => rows.push(vec![entry]),
            }
        }
        Legend { rows, columns, column_width, row_height: theme.small * 1.45, key_width }
    }

    fn height_of(&self, row: &[Entry]) -> f64 {
        self.row_height * row.iter().map(|entry| entry.lines.len()).max().unwrap_or(1).max(1) as f64
    }

    /// Height in points.
    pub(crate) fn height(&self) -> f64 {
        self.rows.iter().map(|row| self.height_of(row)).sum()
    }

    /// Draws it, centred about `centre`, from `top` down; read row by row.
    pub(crate) fn draw(&self, canvas: &mut Canvas, theme: &Theme, centre: f64, top: f64) {
        let columns = self.columns as f64;
        let left = centre - (columns * self.column_width + (columns - 1.0) * COLUMN_GAP) / 2.0;
        let mut top = top;
        for row in &self.rows {
            for (i, entry) in row.iter().enumerate() {
                let x = left + i as f64 * (self.column_width + COLUMN_GAP);
                let y = top + self.row_height / 2.0;
                let group = Group { series: Some(entry.label.clone()), title: None, is_key: true };
                canvas.grouped(group, |canvas| {
                    draw_key(canvas, theme, entry.key, (x, y), self.key_width);
                    for (number, line) in entry.lines.iter().enumerate() {
                        let place = (x + self.key_width + KEY_GAP, y + number as f64 * self.row_height);
                        canvas.words(line, place, theme.small, Anchor::Start, INK);
                    }
                });
            }
            top += self.height_of(row);
        }
    }
}

fn draw_key(canvas: &mut Canvas, theme: &Theme, key: Key, (x, y): Point, width: f64) {
    let line = [(x, y), (x + width, y)];
    let middle = (x + width / 2.0, y);
    let (stroke, radius) = (LINE_WIDTH * theme.scale, MARKER_RADIUS * theme.scale);
    match key {
        Key::Series(look) => {
            canvas.dashed(&line, look.dashes, stroke, look.colour);
            look.draw_rim(canvas, middle, radius);
            look.draw_marker(canvas, middle, radius);
        }
        Key::Line(look) => canvas.dashed(&line, look.dashes, stroke, look.colour),
        Key::Marker(look) => {
            look.draw_rim(canvas, middle, radius);
            look.draw_marker(canvas, middle, radius);
        }
        Key::Area(shade) => {
            let half = theme.small * 0.4;
            shade.draw(canvas, (x + width * 0.2, y - half), (x + width * 0.8, y + half));
        }
        Key::Upright(look) => {
            let half = theme.small * 0.5;
            canvas.dashed(&[(middle.0, y - half), (middle.0, y + half)], &[1.0, 2.0], stroke, look.colour);
        }
        Key::Reference { band } => {
            if band {
                let (top, bottom) = (y - theme.small * 0.4, y + theme.small * 0.4);
                canvas.fill(vec![(x, top), (x + width, top), (x + width, bottom), (x, bottom)], BAND);
            }
            canvas.dashed(&line, REFERENCE_DASHES, stroke, BLACK);
        }
        Key::Spread { across } => {
            let (half, cap) = (theme.small * 0.5, CAP * theme.scale);
            let ((dx, dy), (cx, cy)) = if across { ((half, 0.0), (0.0, cap)) } else { ((0.0, half), (cap, 0.0)) };
            let width = BAR_WIDTH * theme.scale;
            canvas.stroke(vec![(middle.0 - dx, y - dy), (middle.0 + dx, y + dy)], width, INK);
            for (x, y) in [(middle.0 - dx, y - dy), (middle.0 + dx, y + dy)] {
                canvas.stroke(vec![(x - cx, y - cy), (x + cx, y + cy)], width, INK);
            }
        }
        Key::Missing => cross(canvas, middle, radius, INK),
        Key::Bracket => canvas.stroke(line.to_vec(), BRACKET_WIDTH * theme.scale, INK),
    }
}

/// Width of the line between things that do not differ.
pub(crate) const BRACKET_WIDTH: f64 = 2.2;
