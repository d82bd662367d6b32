//! A figure of one or more panels with a common key: what is in each panel, and how they lie on paper.

use std::collections::BTreeSet;

use crate::plot::axes::{Area, Axes, Margins, Panel};
use crate::plot::canvas::{Canvas, Group};
use crate::plot::item::{self, Item};
use crate::plot::legend::{Key, Legend};
use crate::plot::theme::Theme;

const EDGE: f64 = 3.0;
/// Between panels, and between panels and key.
const GUTTER: f64 = 8.0;

/// A figure.
#[derive(Debug)]
pub(crate) struct Chart {
    /// Row by row.
    pub(crate) panels: Vec<Plot>,
    /// What the looks mean, the same in every panel.
    pub(crate) key: Vec<(Key, String)>,
    /// Panels side by side, at least 1 and at most what the theme allows.
    pub(crate) columns: usize,
    /// Height of a panel in points with one line of title; `None`: what the theme says.
    pub(crate) panel_height: Option<f64>,
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

impl Chart {
    /// Panels in two columns when there is more than one.
    pub(crate) fn new(panels: Vec<Plot>, key: Vec<(Key, String)>) -> Chart {
        let columns = if panels.len() > 1 { 2 } else { 1 };
        Chart { panels, key, columns, panel_height: None, wide: false }
    }

    /// Lays it out and draws it: one canvas a page, each with the part of the key that it needs.
    pub(crate) fn draw(self, theme: &Theme) -> Vec<Canvas> {
        let Chart { panels, key, columns, panel_height, wide } = self;
        let columns = columns.clamp(1, theme.columns);
        let height = panel_height.unwrap_or(theme.panel_height);
        let wide = (wide && theme.columns > 1) || columns > 1;
        let width = if wide { theme.page } else { theme.column };
        let all: BTreeSet<String> = panels.iter().flat_map(|plot| item::series(&plot.items)).collect();
        let mut panels = panels;
        let mut pages = Vec::new();
        while !panels.is_empty() {
            let rest = panels.split_off(panels.len().min(columns * theme.rows));
            let here: BTreeSet<String> = panels.iter().flat_map(|plot| item::series(&plot.items)).collect();
            // A series that is on other pages alone is not named here.
            let key = key.iter().filter(|(_, label)| here.contains(label) || !all.contains(label)).cloned().collect();
            pages.push(page(panels, key, columns, width, height, theme));
            panels = rest;
        }
        if pages.is_empty() {
            pages.push(page(Vec::new(), key, columns, width, height, theme));
        }
        pages
    }
}

fn page(panels: Vec<Plot>, key: Vec<(Key, String)>, columns: usize, width: f64, height: f64, theme: &Theme) -> Canvas {
    let legend = Legend::new(key, theme, width - 2.0 * EDGE);
    let panel_width = (width - 2.0 * EDGE - (columns - 1) as f64 * GUTTER) / columns as f64;
    // Data begin at the same place in every panel of a page, and end at the same place in every panel of a column.
    let left = panels.iter().map(|plot| plot.panel.left(theme, panel_width)).fold(0.0, f64::max);
    let right: Vec<f64> = (0..columns)
        .map(|column| {
            let here = panels.iter().skip(column).step_by(columns);
            here.map(|plot| item::right(&plot.items, theme, panel_width)).fold(0.0, f64::max)
        })
        .collect();
    let plain = theme.label * 1.15 + theme.small;
    let rows: Vec<Margins> = panels
        .chunks(columns)
        .map(|row| {
            let margins =
                row.iter().zip(&right).map(|(plot, right)| plot.panel.margins(theme, panel_width, left, *right));
            margins.fold(Margins::default(), Margins::max)
        })
        .collect();
    // What a title of several lines or turned names need beyond the usual makes the row higher, not the data smaller.
    let usual = |row: &Margins| (row.top + row.bottom - plain - theme.label * 1.2 - 17.0).max(0.0);
    let heights: Vec<f64> = rows.iter().map(|row| height + usual(row)).collect();
    let panels_height: f64 = heights.iter().map(|height| height + GUTTER).sum();
    let mut canvas = Canvas::new(width, EDGE + panels_height + legend.height() + EDGE);
    for (i, plot) in panels.into_iter().enumerate() {
        let row = i / columns;
        let area = Area {
            left: EDGE + (i % columns) as f64 * (panel_width + GUTTER),
            top: EDGE + heights[..row].iter().map(|height| height + GUTTER).sum::<f64>(),
            width: panel_width,
            height: heights[row],
        };
        let right = plot.panel.margins(theme, panel_width, left, right[i % columns]).right;
        let axes = plot.panel.draw(&mut canvas, theme, area, Margins { right, ..rows[row] });
        draw_items(&plot.items, &mut canvas, theme, &axes);
        item::label(&mut canvas, theme, &axes, &plot.items);
    }
    legend.draw(&mut canvas, theme, width / 2.0, EDGE + panels_height);
    canvas
}

fn draw_items(items: &[Item], canvas: &mut Canvas, theme: &Theme, axes: &Axes) {
    for item in items {
        match item {
            Item::Group { series, title, items } => {
                let group = Group { series: Some(series.clone()), title: title.clone(), is_key: false };
                canvas.grouped(group, |canvas| draw_items(items, canvas, theme, axes));
            }
            item => item.draw(canvas, theme, axes),
        }
    }
}
