//! Accuracy against cost, with the Pareto front: operations, and measured kernel time.

use std::collections::BTreeSet;

use crate::accuracy::IDENTITY;
use crate::error::ReportError;
use crate::figures::configs::{Config, Looks, Titles, by_place, configs, hidden_panels};
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::Speeds;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Item, MOST_PANELS, Plot};
use crate::plot::legend::Key;
use crate::plot::style::FRONT;
use crate::plot::text::Lettering;
use crate::sheet::Data;
use crate::trials::Trials;

/// `accuracy_vs_bit_ops`.
pub(crate) struct AccuracyVsBitOps;

/// `accuracy_vs_kernel_time`.
pub(crate) struct AccuracyVsKernelTime;

const PERCENT: f64 = 100.0;
/// From one method to the next of equal cost, as a fraction of the axis.
const ASIDE: f64 = 0.025;

impl Figure for AccuracyVsBitOps {
    fn name(&self) -> &'static str {
        "accuracy_vs_bit_ops"
    }

    fn title(&self) -> &'static str {
        "Accuracy against bit operations"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
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
        draw(trials, lettering, &what, cost)
    }
}

impl Figure for AccuracyVsKernelTime {
    fn name(&self) -> &'static str {
        "accuracy_vs_kernel_time"
    }

    fn title(&self) -> &'static str {
        "Accuracy against measured kernel time"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
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
        draw(trials, lettering, &what, cost)
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
struct Spot<'a> {
    config: &'a Config<'a>,
    cost: f64,
    top1: f64,
    sd: Option<f64>,
    on_front: bool,
}

fn draw(
    trials: &Trials,
    lettering: &Lettering,
    what: &What<'_>,
    cost: impl Fn(&Config<'_>) -> Option<f64>,
) -> Result<Drawn, ReportError> {
    let rows = trials.rows()?;
    let configs = configs(rows, trials);
    let mut places = Vec::new();
    for (place, here) in by_place(&configs) {
        let spot = |config: &&'_ Config<'_>| {
            let top1 = config.row.top1.summary?.times(PERCENT);
            Some((cost(config)?, top1))
        };
        let mut spots: Vec<Spot<'_>> = here
            .iter()
            .filter_map(|config| {
                let (cost, top1) = spot(config)?;
                Some(Spot { config, cost, top1: top1.mean, sd: top1.sd, on_front: false })
            })
            .collect();
        mark_front(&mut spots);
        if spots.iter().any(|spot| !spot.config.row.is_float) {
            places.push((place, spots));
        }
    }
    if places.is_empty() {
        return Ok(Drawn::Nothing(what.none.to_owned()));
    }
    let methods: Vec<String> = places.iter().flat_map(|(_, spots)| spots).map(|spot| method(spot.config)).collect();
    let looks = Looks::of(methods.iter().map(String::as_str));
    let mut key = looks.key(Key::Marker);
    key.push((Key::Line(FRONT), "Pareto front".to_owned()));
    let titles = Titles::of(places.iter().map(|(place, _)| *place));
    let seen =
        |(_, spots): &&([&str; 3], Vec<Spot<'_>>)| spots.iter().any(|spot| looks.get(&method(spot.config)).is_some());
    let panels = places.iter().filter(seen).map(|(place, spots)| plot(titles.get(*place), spots, &looks, what.axis));
    let mut panels: Vec<Plot> = panels.collect();
    panels.truncate(MOST_PANELS);
    let hidden = places.len() - panels.len();
    let chart = Chart::new(panels, key);
    let labels: BTreeSet<&str> = places
        .iter()
        .flat_map(|(_, spots)| spots)
        .filter(|spot| spot.on_front)
        .map(|spot| &*spot.config.label)
        .collect();
    let caption = format!(
        "{}: mean and sample standard deviation over seeds. Methods of equal cost stand side by side. On the Pareto front, \
         labelled by bits of weights and activations: {}.{}{}{}",
        what.caption,
        labels.into_iter().collect::<Vec<_>>().join(", "),
        titles.common(),
        looks.hidden(),
        hidden_panels(hidden)
    );
    Ok(Drawn::Picture(Picture { canvas: chart.draw(lettering), data: data(&places, what.column), caption }))
}

/// The method alone: bit widths stand beside the markers.
fn method(config: &Config<'_>) -> String {
    crate::encode::one_line(&config.row.method)
}

/// Marks what nothing else beats in both.
fn mark_front(spots: &mut [Spot<'_>]) {
    let points: Vec<(f64, f64)> = spots.iter().map(|spot| (spot.cost, spot.top1)).collect();
    for (spot, &(cost, top1)) in spots.iter_mut().zip(&points) {
        spot.on_front = !points.iter().any(|&(c, t)| c <= cost && t >= top1 && (c < cost || t > top1));
    }
}

fn plot(title: String, spots: &[Spot<'_>], looks: &Looks<'_>, axis: &str) -> Plot {
    let mut front: Vec<(f64, f64)> =
        spots.iter().filter(|spot| spot.on_front).map(|spot| (spot.cost, spot.top1)).collect();
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
    let scale = Scale::log(spots.iter().map(|spot| spot.cost));
    for (i, spot) in spots.iter().enumerate() {
        let Some(look) = looks.get(&method(spot.config)) else { continue };
        // Side by side where the cost is the same, so that error bars do not cover each other.
        let alike = || spots.iter().enumerate().filter(|(_, other)| other.cost == spot.cost);
        let place = alike().position(|(other, _)| other == i).unwrap_or(0) as f64;
        let x = scale.beside(spot.cost, ASIDE * (place - (alike().count() as f64 - 1.0) / 2.0));
        items.push(Item::Marker { x, y: spot.top1, spread: spot.sd, look });
        if spot.on_front {
            let [weights, activations, _] = spot.config.row.widths;
            items.push(Item::Label { x, y: spot.top1, text: format!("{weights}/{activations}") });
        }
    }
    let ends = spots.iter().flat_map(|spot| {
        let sd = spot.sd.unwrap_or(0.0);
        [spot.top1 - sd, spot.top1 + sd]
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

fn data(places: &[([&str; 3], Vec<Spot<'_>>)], column: &'static str) -> Data {
    let columns = IDENTITY.into_iter().chain([column, "top1_mean", "top1_sd", "pareto"]).collect();
    let row = |spot: &Spot<'_>| {
        let facts = [
            Some(spot.cost).into(),
            Some(spot.top1 / PERCENT).into(),
            spot.sd.map(|sd| sd / PERCENT).into(),
            if spot.on_front { "true" } else { "false" }.into(),
        ];
        spot.config.row.identity().into_iter().chain(facts).collect()
    };
    Data { columns, rows: places.iter().flat_map(|(_, spots)| spots.iter().map(row)).collect() }
}
