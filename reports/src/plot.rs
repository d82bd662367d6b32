//! Drawing, from the paper up: [`canvas`] keeps what is drawn, [`svg`] and [`png`] put it on a [`surface`] of plotters,
//! [`text`] measures and draws letters with the embedded font, [`axes`] and [`legend`] are what a
//! figure is built of, and [`chart`] builds it.

pub(crate) mod axes;
pub(crate) mod canvas;
pub(crate) mod chart;
pub(crate) mod legend;
pub(crate) mod png;
pub(crate) mod style;
pub(crate) mod surface;
pub(crate) mod svg;
pub(crate) mod text;
#[cfg(test)]
pub(crate) mod tidy;
