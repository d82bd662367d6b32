//! A canvas on a surface of plotters.

use std::fmt::Display;

use plotters::prelude::{Color, DrawingBackend, RGBColor, ShapeStyle};

use crate::plot::canvas::{Canvas, Colour, Mark, Point, UNITS_PER_POINT, Words};

/// How much of a veil's colour comes over what is below it.
pub(crate) const VEIL: f64 = 0.15;

/// Nothing, or what the surface says went wrong (plotters does not export the type of its errors).
pub(crate) type Drawing = Result<(), String>;

/// The error in words.
pub(crate) fn said<E: Display>(result: Result<(), E>) -> Drawing {
    result.map_err(|error| error.to_string())
}

/// Draws every mark in order; text is left to `words`, since each format has its own.
pub(crate) fn draw<B: DrawingBackend>(
    canvas: &Canvas,
    surface: &mut B,
    mut words: impl FnMut(&mut B, &Words) -> Drawing,
) -> Drawing {
    for mark in &canvas.marks {
        match mark {
            Mark::Stroke { points, width, colour } => {
                let stroke_width = grid(*width).max(1) as u32;
                let style = ShapeStyle { color: rgb(*colour).into(), filled: false, stroke_width };
                said(surface.draw_path(points.iter().map(|&point| at(point)), &style))?;
            }
            Mark::Fill { points, colour } => {
                said(surface.fill_polygon(points.iter().map(|&point| at(point)), &rgb(*colour)))?
            }
            Mark::Veil { points, colour } => {
                said(surface.fill_polygon(points.iter().map(|&point| at(point)), &rgb(*colour).mix(VEIL)))?
            }
            Mark::Disc { centre, radius, colour } => {
                said(surface.draw_circle(at(*centre), grid(*radius).max(1) as u32, &rgb(*colour), true))?;
            }
            Mark::Words(text) => words(surface, text)?,
            // Pixels have no groups.
            Mark::Open(_) | Mark::Close => {}
        }
    }
    said(surface.present())
}

/// A length on the grid of a surface.
pub(crate) fn grid(length: f64) -> i32 {
    (length * UNITS_PER_POINT).round() as i32
}

/// A place on the grid of a surface.
pub(crate) fn at((x, y): Point) -> (i32, i32) {
    (grid(x), grid(y))
}

/// A colour as plotters has it.
pub(crate) fn rgb(Colour(red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}
