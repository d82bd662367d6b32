//! Kernels: speed over f32 by shape and bit widths.

use harness_records::bench_report::KernelResult;

use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::Kernels;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::shade;
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `kernel_speed`.
pub(crate) struct KernelSpeed;

/// Shapes in one panel, and panels.
const SHAPES: usize = 5;
const MOST_PANELS: usize = 4;
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

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else { return Ok(Drawn::Nothing(WITHOUT.to_owned())) };
        if kernels.chosen().all(|cell| cell.speedup_f32().is_none()) {
            return Ok(Drawn::Nothing("no cell of the kernel bench has a ratio to f32".to_owned()));
        }
        let (shapes, pairs) = (kernels.shapes(), kernels.pairs());
        let groups = groups(&shapes);
        let hidden = groups.iter().skip(MOST_PANELS).map(|(_, shapes)| shapes.len()).sum::<usize>();
        let shown = groups.iter().take(MOST_PANELS);
        let panels: Vec<Plot> = shown.map(|(title, shapes)| bars(kernels, title, shapes, &pairs)).collect();
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
        Ok(Drawn::Picture(Picture { pages: chart.draw(theme), data: data(kernels), caption }))
    }
}

/// Shapes for each panel: those of one network together under its name, in even fractions; the others after them.
fn groups<'a>(shapes: &[&'a str]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut networks: Vec<(&str, Vec<&str>)> = Vec::new();
    for shape in shapes {
        let network = shape.split_once(' ').map_or("", |(network, _)| network);
        match networks.iter_mut().find(|(known, _)| *known == network) {
            Some((_, of_network)) => of_network.push(shape),
            None => networks.push((network, vec![shape])),
        }
    }
    let fractions = networks.into_iter().flat_map(|(network, shapes)| {
        let size = shapes.len().div_ceil(shapes.len().div_ceil(SHAPES));
        shapes.chunks(size).map(|fraction| (network, fraction.to_vec())).collect::<Vec<_>>()
    });
    fractions.collect()
}

fn bars(kernels: &Kernels, title: &str, shapes: &[&str], pairs: &[&str]) -> Plot {
    let shown = pairs.len().clamp(1, MOST_PAIRS);
    let width = GROUP / shown as f64;
    let mut items = Vec::new();
    let mut ratios = vec![1.0];
    for (place, shape) in shapes.iter().enumerate() {
        for (i, pair) in pairs.iter().take(MOST_PAIRS).enumerate() {
            let cell = kernels.chosen().find(|cell| cell.shape == *shape && cell.bits == *pair);
            let Some(ratio) = cell.and_then(KernelResult::speedup_f32) else { continue };
            ratios.push(ratio);
            let left = place as f64 - GROUP / 2.0 + i as f64 * width;
            items.push(Item::Bar { from: (left, 0.0), to: (left + width * 0.92, ratio), shade: shade(i) });
        }
    }
    items.push(Item::Reference { y: 1.0, spread: None });
    Plot {
        panel: Panel {
            title: one_line(title),
            x_label: "Shape".to_owned(),
            y_label: "Times as fast as f32".to_owned(),
            x: Scale::Categories(
                shapes.iter().map(|shape| one_line(shape.strip_prefix(title).unwrap_or(shape))).collect(),
            ),
            y: Scale::from_zero(ratios.into_iter().fold(0.0, f64::max)),
        },
        items,
    }
}

/// What a cell holds, for both figures of single cells.
pub(crate) fn data(kernels: &Kernels) -> Data {
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
    let row = |cell: &KernelResult| {
        vec![
            Value::from(&*cell.shape),
            Value::from(&*cell.bits),
            u32::from(cell.weight_bits).into(),
            u32::from(cell.activation_bits).into(),
            Value::from(&*cell.route),
            Some(cell.gops).into(),
            Some(cell.limit_gops).into(),
            Some(cell.fraction_of_limit).into(),
            Some(cell.intensity).into(),
            cell.speedup_f32().into(),
            cell.speedup_int8().into(),
            kernels.fastest_f32(&cell.shape).map(|fastest| fastest.gops).into(),
        ]
    };
    Data { columns, rows: kernels.chosen().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_a_network_stand_together() {
        let shapes: Vec<String> = (0..7).map(|i| format!("resnet18 layer{i}")).collect();
        let mut shapes: Vec<&str> = shapes.iter().map(String::as_str).collect();
        shapes.insert(3, "1x4096x4096");
        let sizes: Vec<(&str, usize)> =
            groups(&shapes).into_iter().map(|(name, shapes)| (name, shapes.len())).collect();
        assert_eq!(sizes, [("resnet18", 4), ("resnet18", 3), ("", 1)]);
    }
}
