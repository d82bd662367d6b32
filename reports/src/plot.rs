//! Drawing, from the paper up: [`canvas`] keeps what is drawn; [`svg`], [`pdf`] and [`png`] (on a [`surface`] of
//! plotters) give it a format; [`text`] measures and draws letters with the embedded fonts, [`theme`] holds sizes;
//! [`axes`], [`item`] and [`legend`] are what a figure is built of, and [`chart`] builds it.
//!
//! plotters could lay out charts too. Its charts have no error bars, no place for 0 on a logarithmic axis, no legend
//! outside the data and no embedded font, so that only its bitmap is used.

pub(crate) mod axes;
pub(crate) mod canvas;
pub(crate) mod chart;
pub(crate) mod item;
pub(crate) mod legend;
pub(crate) mod pdf;
pub(crate) mod png;
pub(crate) mod style;
pub(crate) mod surface;
pub(crate) mod svg;
pub(crate) mod text;
pub(crate) mod theme;
#[cfg(test)]
pub(crate) mod tidy;
