//! Accuracy against cost, with the Pareto front: operations, and measured kernel time.

use std::collections::BTreeSet;

use crate::accuracy::IDENTITY;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::configs::{Config, by_place, configs};
use crate::figures::looks::Looks;
use crate::figures::measure::PERCENT;
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::Speeds;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{FLOAT_LOOK, FRONT};
use crate::plot::theme::Theme;
use crate::sheet::Data;
use crate::trials::Trials;

/// `accuracy_vs_bit_ops`.
pub(crate) struct AccuracyVsBitOps;

/// `accuracy_vs_kernel_time`.
pub(crate) struct AccuracyVsKernelTime;

/// From one method to the next of equal cost, as a fraction of the axis.
const ASIDE: f64 = 0.025;

impl Figure for AccuracyVsBitOps {
    fn name(&self) -> &'static str {
        "accuracy_vs_bit_ops"
    }

    fn title(&self) -> &'static str {
        "Accuracy against bit operations"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let cost = |config: &Config<'_>| {
            let ops = config.records.first()?.model.bit_ops;
            (ops > 0).then_some(ops as f64)
        };
        let what = What {
            axis: "Bit operations of a forward pass",
            column: "bit_ops",
            caption: "Top-1 accuracy against bit operations (multiply-accumulates times bits times bits) of one forward pass",
            none: "no trial finished with a top-1 accuracy and a count of operations",
        };
        draw(trials, theme, &what, cost)
    }
}

impl Figure for AccuracyVsKernelTime {
    fn name(&self) -> &'static str {
        "accuracy_vs_kernel_time"
    }

    fn title(&self) -> &'static str {
        "Accuracy against measured kernel time"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else {
            return Ok(Drawn::Nothing("no kernel speeds were given (`--bench FILE`)".to_owned()));
        };
        let speeds = Speeds::of(kernels);
        let caption = format!(
            "Top-1 accuracy against the time of the kernels at these bit widths relative to f32, geometric mean over {} \
             shapes{}",
            kernels.shapes().len(),
            kernels.place()
        );
        let what = What {
            axis: "Kernel time (f32 = 1)",
            column: "relative_kernel_time",
            caption: &caption,
            none: "no trial with both weights and activations quantized has bit widths that were timed",
        };
        let cost = |config: &Config<'_>| match config.row.is_float {
            true => Some(1.0),
            false => speeds.ratio(config.row.widths[0], config.row.widths[1]).map(|ratio| 1.0 / ratio),
        };
        draw(trials, theme, &what, cost)
    }
}

/// Words of one of the two.
struct What<'a> {
    axis: &'a str,
    column: &'static str,
    caption: &'a str,
    none: &'a str,
}

/// A configuration at its cost, accuracy in percent.
struct CostPoint<'a> {
    config: &'a Config<'a>,
    cost: f64,
    top1: f64,
    sd: Option<f64>,
    on_front: bool,
}

fn draw(
    trials: &Trials,
    theme: &Theme,
    what: &What<'_>,
    cost: impl Fn(&Config<'_>) -> Option<f64>,
) -> Result<Drawn, ReportError> {
    let rows = trials.rows()?;
    let configs = configs(rows, trials);
    let mut places = Vec::new();
    for (place, here) in by_place(&configs) {
        let point = |config: &&'_ Config<'_>| {
            let top1 = config.row.top1.summary?.times(PERCENT);
            Some((cost(config)?, top1))
        };
        let mut points: Vec<CostPoint<'_>> = here
            .iter()
            .filter_map(|config| {
                let (cost, top1) = point(config)?;
                Some(CostPoint { config, cost, top1: top1.mean, sd: top1.sd, on_front: false })
            })
            .collect();
        mark_front(&mut points);
        if points.iter().any(|point| !point.config.row.is_float) {
            places.push((place, points));
        }
    }
    if places.is_empty() {
        return Ok(Drawn::Nothing(what.none.to_owned()));
    }
    let looks = Looks::new(&trials.labels.names);
    let quantized = || places.iter().flat_map(|(_, points)| points).filter(|point| !point.config.row.is_float);
    let used: BTreeSet<&str> = quantized().map(|point| point.config.row.method.as_str()).collect();
    let mut key = looks.key(&used, Key::Marker);
    if places.iter().flat_map(|(_, points)| points).any(|point| point.config.row.is_float) {
        key.push((Key::Marker(FLOAT_LOOK), "float".to_owned()));
    }
    key.push((Key::Line(FRONT), "Pareto front".to_owned()));
    let titles = Titles::of(places.iter().map(|(place, _)| *place));
    let panels = places.iter().map(|(place, points)| plot(titles.get(*place), points, &looks, what.axis));
    let chart = Chart::new(panels.collect(), key);
    let labels: BTreeSet<&str> = places
        .iter()
        .flat_map(|(_, points)| points)
        .filter(|point| point.on_front)
        .map(|point| &*point.config.label)
        .collect();
    let caption = format!(
        "{}: mean and sample standard deviation over seeds. Methods of equal cost stand side by side. On the Pareto front, \
         labelled by bits of weights and activations: {}.{}",
        what.caption,
        labels.into_iter().collect::<Vec<_>>().join(", "),
        titles.common()
    );
    Ok(Drawn::Picture(Picture { pages: chart.draw(theme), data: data(&places, what.column), caption }))
}

/// Marks what nothing else beats in both.
fn mark_front(points: &mut [CostPoint<'_>]) {
    let places: Vec<(f64, f64)> = points.iter().map(|point| (point.cost, point.top1)).collect();
    for (point, &(cost, top1)) in points.iter_mut().zip(&places) {
        point.on_front = !places.iter().any(|&(c, t)| c <= cost && t >= top1 && (c < cost || t > top1));
    }
}

fn plot(title: String, points: &[CostPoint<'_>], looks: &Looks, axis: &str) -> Plot {
    let mut front: Vec<(f64, f64)> =
        points.iter().filter(|point| point.on_front).map(|point| (point.cost, point.top1)).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Steps: what a cost buys at least.
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for &(cost, top1) in &front {
        if let Some(&(_, last)) = steps.last() {
            steps.push((cost, last));
        }
        steps.push((cost, top1));
    }
    let mut items = vec![Item::Line { points: steps, look: FRONT }];
    let scale = Scale::log(points.iter().map(|point| point.cost));
    for (i, point) in points.iter().enumerate() {
        let look = looks.get(&point.config.row.method);
        // Side by side where the cost is the same, so that error bars do not cover each other.
        let alike = || points.iter().enumerate().filter(|(_, other)| other.cost == point.cost);
        let place = alike().position(|(other, _)| other == i).unwrap_or(0) as f64;
        let x = scale.beside(point.cost, ASIDE * (place - (alike().count() as f64 - 1.0) / 2.0));
        let words = format!("{}: {:.2} % at {:.3e}", point.config.label, point.top1, point.cost);
        let series = if point.config.row.is_float { "float".to_owned() } else { one_line(&point.config.row.method) };
        items.push(Item::Marker { x, y: point.top1, spread: point.sd, look }.told(&series, words));
        if point.on_front {
            let [weights, activations, _] = point.config.row.widths;
            items.push(Item::Label { x, y: point.top1, text: format!("{weights}/{activations}") });
        }
    }
    let ends = points.iter().flat_map(|point| {
        let sd = point.sd.unwrap_or(0.0);
        [point.top1 - sd, point.top1 + sd]
    });
    Plot {
        panel: Panel {
            title,
            x_label: axis.to_owned(),
            y_label: "Top-1 accuracy (%)".to_owned(),
            x: scale,
            y: Scale::linear(ends, 1.0, (0.0, PERCENT)),
        },
        items,
    }
}

fn data(places: &[([&str; 3], Vec<CostPoint<'_>>)], column: &'static str) -> Data {
    let columns = IDENTITY.into_iter().chain([column, "top1_mean", "top1_sd", "pareto"]).collect();
    let row = |point: &CostPoint<'_>| {
        let facts = [
            Some(point.cost).into(),
            Some(point.top1 / PERCENT).into(),
            point.sd.map(|sd| sd / PERCENT).into(),
            if point.on_front { "true" } else { "false" }.into(),
        ];
        point.config.row.identity().into_iter().chain(facts).collect()
    };
    Data { columns, rows: places.iter().flat_map(|(_, points)| points.iter().map(row)).collect() }
}
