//! Kernels: speed over f32 by shape and bit widths, and the roofline.

use std::collections::BTreeSet;

use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::configs::Looks;
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::{Cell, Kernels};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Item, Plot};
use crate::plot::legend::Key;
use crate::plot::style::{LIMIT, shade};
use crate::plot::text::Lettering;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `kernel_speed`.
pub(crate) struct KernelSpeed;

/// `roofline`.
pub(crate) struct Roofline;

/// Shapes in one panel, and panels.
const SHAPES: usize = 6;
const MOST_PANELS: usize = 6;
/// Bit widths that bars can be told apart by.
const MOST_PAIRS: usize = 8;
/// Room of the bars of one shape.
const GROUP: f64 = 0.84;

pub(crate) const WITHOUT: &str = "no kernel speeds were given (`--bench FILE`)";

impl Figure for KernelSpeed {
    fn name(&self) -> &'static str {
        "kernel_speed"
    }

    fn title(&self) -> &'static str {
        "Kernel speed"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else { return Ok(Drawn::Nothing(WITHOUT.to_owned())) };
        if kernels.cells.iter().all(|cell| cell.ratio_f32.is_none()) {
            return Ok(Drawn::Nothing("no cell of the kernel bench has a ratio to f32".to_owned()));
        }
        let (shapes, pairs) = (kernels.shapes(), kernels.pairs());
        let mut panels: Vec<Plot> = shapes.chunks(SHAPES).map(|shapes| bars(kernels, shapes, &pairs)).collect();
        let hidden = panels.len().saturating_sub(MOST_PANELS) * SHAPES;
        panels.truncate(MOST_PANELS);
        let pairs_shown = pairs.iter().take(MOST_PAIRS).enumerate();
        let mut key: Vec<(Key, String)> = pairs_shown.map(|(i, pair)| (Key::Area(shade(i)), one_line(pair))).collect();
        key.push((Key::Reference { band: false }, "f32".to_owned()));
        let mut caption = format!(
            "Speed of the kernels over the fastest f32 kernel of libtorch in the same run, by shape and bits of weights and \
             activations{}.",
            kernels.place()
        );
        if hidden > 0 || pairs.len() > MOST_PAIRS {
            caption.push_str(" More shapes or bit widths are in the data only.");
        }
        // A page's width for one panel: groups of bars need it.
        let chart = Chart { columns: 1, wide: true, ..Chart::new(panels, key) };
        Ok(Drawn::Picture(Picture { canvas: chart.draw(lettering), data: data(kernels), caption }))
    }
}

fn bars(kernels: &Kernels, shapes: &[&str], pairs: &[&str]) -> Plot {
    let shown = pairs.len().clamp(1, MOST_PAIRS);
    let width = GROUP / shown as f64;
    let mut items = Vec::new();
    let mut ratios = vec![1.0];
    for (place, shape) in shapes.iter().enumerate() {
        for (i, pair) in pairs.iter().take(MOST_PAIRS).enumerate() {
            let cell = kernels.cells.iter().find(|cell| cell.shape == *shape && cell.bits == *pair);
            let Some(ratio) = cell.and_then(|cell| cell.ratio_f32) else { continue };
            ratios.push(ratio);
            let left = place as f64 - GROUP / 2.0 + i as f64 * width;
            items.push(Item::Bar { from: (left, 0.0), to: (left + width * 0.92, ratio), shade: shade(i) });
        }
    }
    items.push(Item::Reference { y: 1.0, spread: None });
    Plot {
        panel: Panel {
            title: String::new(),
            x_label: "Shape".to_owned(),
            y_label: "Times as fast as f32".to_owned(),
            x: Scale::Categories(shapes.iter().map(|shape| one_line(shape)).collect()),
            y: Scale::from_zero(ratios.into_iter().fold(0.0, f64::max)),
        },
        items,
    }
}

impl Figure for Roofline {
    fn name(&self) -> &'static str {
        "roofline"
    }

    fn title(&self) -> &'static str {
        "Kernels against the limits of the machine"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else { return Ok(Drawn::Nothing(WITHOUT.to_owned())) };
        let placed = |cell: &Cell| Some((cell.intensity?, cell.gops?, cell.limit_gops));
        let cells: Vec<(&Cell, (f64, f64, Option<f64>))> =
            kernels.cells.iter().filter_map(|cell| Some((cell, placed(cell)?))).collect();
        if cells.is_empty() {
            return Ok(Drawn::Nothing("no cell of the kernel bench has an intensity and a speed".to_owned()));
        }
        let looks = Looks::of(cells.iter().map(|(cell, _)| cell.bits.as_str()));
        let mut items = Vec::new();
        for (cell, (intensity, gops, limit)) in &cells {
            let Some(look) = looks.get(&cell.bits) else { continue };
            if let Some(limit) = limit {
                let points = vec![(*intensity, *gops), (*intensity, *limit)];
                items.push(Item::Line { points, look: LIMIT });
                items.push(Item::Marker { x: *intensity, y: *limit, spread: None, look: LIMIT });
            }
            items.push(Item::Marker { x: *intensity, y: *gops, spread: None, look });
        }
        // Limits and the distances to them lie below what was measured.
        items.sort_by_key(|item| match item {
            Item::Line { .. } => 0,
            Item::Marker { look, .. } if *look == LIMIT => 1,
            _ => 2,
        });
        let plot = Plot {
            panel: Panel {
                title: String::new(),
                x_label: "Multiply-accumulates for each byte moved".to_owned(),
                y_label: "10^9 operations a second".to_owned(),
                x: Scale::log(cells.iter().map(|(_, (intensity, ..))| *intensity)),
                y: Scale::log(cells.iter().flat_map(|(_, (_, gops, limit))| [*gops, limit.unwrap_or(*gops)])),
            },
            items,
        };
        let mut key = looks.key(Key::Marker);
        key.push((Key::Marker(LIMIT), "limit".to_owned()));
        let routes: BTreeSet<&str> =
            cells.iter().map(|(cell, _)| cell.route.as_str()).filter(|r| !r.is_empty()).collect();
        let routes = routes.into_iter().collect::<Vec<_>>().join(", ");
        let caption = format!(
            "Speed of each kernel over its arithmetic intensity, with a line up to the limit measured in the same run: the \
             rate of its innermost instructions, or of reading its weights{}. Routes: {}.{}",
            kernels.place(),
            if routes.is_empty() { "not named" } else { &routes },
            looks.hidden()
        );
        let chart = Chart { columns: 1, wide: true, ..Chart::new(vec![plot], key) };
        Ok(Drawn::Picture(Picture { canvas: chart.draw(lettering), data: data(kernels), caption }))
    }
}

fn data(kernels: &Kernels) -> Data {
    let columns = vec![
        "shape",
        "bits",
        "weight_bits",
        "activation_bits",
        "route",
        "gops",
        "limit_gops",
        "fraction_of_limit",
        "intensity",
        "ratio_f32",
        "ratio_int8",
        "f32_gops",
    ];
    let row = |cell: &Cell| {
        let peer = kernels.peers.iter().find(|peer| peer.shape == cell.shape && peer.kind == "f32");
        vec![
            Value::from(&*cell.shape),
            Value::from(&*cell.bits),
            cell.weight_bits.into(),
            cell.activation_bits.into(),
            Value::from(&*cell.route),
            cell.gops.into(),
            cell.limit_gops.into(),
            cell.fraction_of_limit.into(),
            cell.intensity.into(),
            cell.ratio_f32.into(),
            cell.ratio_int8.into(),
            peer.map(|peer| peer.gops).into(),
        ]
    };
    Data { columns, rows: kernels.cells.iter().map(row).collect() }
}
