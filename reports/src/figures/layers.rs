//! Quantized layers of the finished networks: values before and after, and error and angle by layer.

use harness_records::record::{LayerRecord, Role, ValuesRecord};

use crate::accuracy::IDENTITY;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::configs::{Config, configs};
use crate::figures::groups::{Member, PanelGroup, groups, labels};
use crate::figures::looks::Looks;
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, MOST_PANELS, Picture, most_panels};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{AFTER, BEFORE, LEVEL, Look};
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;
use harness_stats::Summary;

/// `weight_histograms`.
pub(crate) struct WeightHistograms;

/// `layer_error`.
pub(crate) struct LayerError;

/// A layer: its name, relative squared error, and angle in degrees.
type LayerPoint = (String, Option<Summary>, Option<Summary>);

/// Layers of one configuration in the histograms, at most.
const MOST_LAYERS: usize = 4;
/// Columns of the identity that say something of weights: those before the bits of activations.
const BEFORE_ACTIVATIONS: usize = 5;
/// Levels that can be told apart as lines.
const MOST_LEVELS: usize = 16;

impl Figure for WeightHistograms {
    fn name(&self) -> &'static str {
        "weight_histograms"
    }

    fn title(&self) -> &'static str {
        "Weights before and after quantization"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let mut configs = configs(rows, trials);
        // Fewest bits first: there the methods differ most.
        configs.sort_by_key(|config| config.row.widths[0]);
        configs.retain(|config| !config.row.is_float);
        let titles = Titles::of(configs.iter().map(Config::place));
        // Some layers of every method rather than all of one.
        let most = (MOST_PANELS / configs.len().max(1)).clamp(1, MOST_LAYERS);
        let mut panels = Vec::new();
        let mut data = Vec::new();
        let mut hidden = 0;
        for config in &configs {
            // The first seed stands for all: a mean of histograms is the histogram of no network.
            let Some(record) = config.records.first() else { continue };
            let weights = record.layers.iter().filter(|layer| layer.role == Role::Weight);
            let measured = weights.filter_map(|layer| Some((layer, layer.values.as_ref()?)));
            for (number, (layer, values)) in measured.enumerate() {
                if number < most && panels.len() < MOST_PANELS {
                    data.extend(facts(config, layer, values));
                    let title = titles.around(&layer.layer, config.place(), &config.label);
                    panels.push(histogram(title, values));
                } else {
                    hidden += 1;
                }
            }
        }
        if panels.is_empty() {
            return Ok(Drawn::Nothing("no record holds values of quantized weights (older records do not)".to_owned()));
        }
        let key = vec![
            (Key::Area(BEFORE), "before".to_owned()),
            (Key::Area(AFTER), "after".to_owned()),
            (Key::Upright(LEVEL), "levels".to_owned()),
        ];
        let mut caption =
            "Weights of quantized layers of the first seed, before and after quantization: fraction of the \
                           values in each of 64 bins, and the levels where all channels share them."
                .to_owned();
        if hidden > 0 {
            caption.push_str(&format!(" {hidden} more layers are in the records of the trials."));
        }
        caption.push_str(&titles.common());
        let facts = ["seed", "layer", "what", "from", "to", "portion"];
        let columns = IDENTITY.into_iter().take(BEFORE_ACTIVATIONS).chain(facts).collect();
        Ok(Drawn::Picture(Picture {
            pages: Chart::new(panels, key).draw(theme),
            data: Data { columns, rows: data },
            caption,
        }))
    }
}

/// Bins as their ends and the percentage of values in them.
fn bins(values: &ValuesRecord, counts: &[u64]) -> Vec<(f64, f64, f64)> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let width = (values.high - values.low) / counts.len().max(1) as f64;
    let bin = |(i, count): (usize, &u64)| {
        let from = values.low + i as f64 * width;
        (from, from + width, 100.0 * *count as f64 / total)
    };
    counts.iter().enumerate().map(bin).collect()
}

fn histogram(title: String, values: &ValuesRecord) -> Plot {
    let (before, after) = (bins(values, &values.before), bins(values, &values.after));
    let mut items = Vec::new();
    let shown = || values.levels.iter().copied().filter(|_| values.levels.len() <= MOST_LEVELS);
    items.extend(shown().map(|level| Item::Upright { x: f64::from(level), look: LEVEL }));
    for (bins, shade, thin) in [(&before, BEFORE, 0.0), (&after, AFTER, 0.25)] {
        for &(from, to, fraction) in bins.iter().filter(|bin| bin.2 > 0.0) {
            let inset = thin * (to - from);
            // What has been quantized lies exactly at a level, and so does its bar where the level is known.
            let level = shown().map(f64::from).find(|level| thin > 0.0 && (from..=to).contains(level));
            let shift = level.map_or(0.0, |level| level - f64::midpoint(from, to));
            items.push(Item::Bar { from: (from + inset + shift, 0.0), to: (to - inset + shift, fraction), shade });
        }
    }
    let highest = before.iter().chain(&after).map(|bin| bin.2).fold(0.0, f64::max);
    let ends = values.levels.iter().map(|level| f64::from(*level)).chain([values.low, values.high]);
    Plot {
        panel: Panel {
            title,
            x_label: "Weight".to_owned(),
            y_label: "Weights (%)".to_owned(),
            x: Scale::linear(ends, 1e-6, (f64::MIN, f64::MAX)),
            y: Scale::from_zero(highest),
        },
        items,
    }
}

fn facts(config: &Config<'_>, layer: &LayerRecord, values: &ValuesRecord) -> Vec<Vec<Value>> {
    let row = config.row;
    let seed = config.records.first().map_or(Value::Absent, |record| Value::Whole(record.seed));
    let head = || {
        let identity = row.identity().into_iter().take(BEFORE_ACTIVATIONS);
        identity.chain([seed.clone(), Value::from(&*layer.layer)]).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for (what, counts) in [("before", &values.before), ("after", &values.after)] {
        rows.extend(bins(values, counts).into_iter().filter(|bin| bin.2 > 0.0).map(|(from, to, fraction)| {
            let mut row = head();
            row.extend([what.into(), Some(from).into(), Some(to).into(), Some(fraction / 100.0).into()]);
            row
        }));
    }
    rows.extend(values.levels.iter().map(|level| {
        let mut row = head();
        row.extend(["level".into(), Some(f64::from(*level)).into(), Value::Absent, Value::Absent]);
        row
    }));
    rows
}

impl Figure for LayerError {
    fn name(&self) -> &'static str {
        "layer_error"
    }

    fn title(&self) -> &'static str {
        "Quantization error and angle by layer"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let configs = configs(rows, trials);
        let titles = Titles::of(configs.iter().map(Config::place));
        let mut groups = groups(&configs, &Looks::new(&trials.labels.names));
        // Full precision has no error, nor a line.
        groups.iter_mut().for_each(|group| group.members.retain(|member| !member.config.row.is_float));
        let lines: Vec<Vec<LayerLine>> = groups.iter().map(lines).collect();
        if lines.iter().all(Vec::is_empty) {
            return Ok(Drawn::Nothing("no finished trial has a quantized layer".to_owned()));
        }
        let mut panels = Vec::new();
        for (group, lines) in groups.iter().zip(&lines) {
            for role in ROLES {
                let here: Vec<&LayerLine> = lines.iter().filter(|line| line.role == role).collect();
                panels.extend(panels_of(&group.title, role, &here));
            }
        }
        let (panels, hidden) = most_panels(panels);
        let caption = format!(
            "Angle between each quantized tensor and its full-precision values, and squared error over squared norm, in \
             the finished networks: mean and sample standard deviation over seeds.{}{hidden}",
            titles.common()
        );
        let columns = vec![
            "place",
            "role",
            "configuration",
            "layer",
            "relative_mse",
            "relative_mse_sd",
            "angle_degrees",
            "angle_sd",
        ];
        let data = Data { columns, rows: lines.iter().flatten().flat_map(LayerLine::facts).collect() };
        let key = labels(&groups).into_iter().map(|(label, look)| (Key::Series(look), label)).collect();
        let pages = Chart::new(panels, key).draw(theme);
        Ok(Drawn::Picture(Picture { pages, data, caption }))
    }
}

/// Roles whose layers have an error.
const ROLES: [Role; 2] = [Role::Weight, Role::Activation];

/// One configuration over the layers of a role.
struct LayerLine {
    /// Data set, model and setting.
    place: String,
    role: Role,
    /// The configuration with its bit widths.
    configuration: String,
    /// What the legend calls it.
    label: String,
    look: Look,
    layers: Vec<LayerPoint>,
}

/// Lines of all members of a group, role by role.
fn lines(group: &PanelGroup<'_>) -> Vec<LayerLine> {
    let line = |member: &Member<'_>, role: Role| {
        let config = member.config;
        let of_role = |layer: &&LayerRecord| layer.role == role;
        let names: Vec<String> =
            config.records.first()?.layers.iter().filter(of_role).map(|layer| layer.layer.clone()).collect();
        let layers: Vec<LayerPoint> = names
            .into_iter()
            .map(|name| {
                let of = |value: fn(&LayerRecord) -> Option<f64>| {
                    let same = config.records.iter().flat_map(|record| &record.layers);
                    let same = same.filter(|layer| layer.role == role && layer.layer == name);
                    Summary::of(&same.filter_map(value).filter(|v| v.is_finite()).collect::<Vec<_>>())
                };
                let error = of(|layer| Some(layer.relative_mse));
                let angle = of(|layer| Some(layer.values.as_ref()?.cosine.clamp(-1.0, 1.0).acos().to_degrees()));
                (name, error, angle)
            })
            .collect();
        let place = config.place().into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        (!layers.is_empty()).then(|| LayerLine {
            place: one_line(&place),
            role,
            configuration: config.label.clone(),
            label: member.label.clone(),
            look: member.look,
            layers,
        })
    };
    let line = &line;
    group.members.iter().flat_map(|member| ROLES.into_iter().filter_map(move |role| line(member, role))).collect()
}

impl LayerLine {
    fn facts(&self) -> Vec<Vec<Value>> {
        let mean = |summary: &Option<Summary>| summary.map(|summary| summary.mean).into();
        let sd = |summary: &Option<Summary>| summary.and_then(|summary| summary.sd).into();
        let fact = |(name, error, angle): &LayerPoint| {
            vec![
                Value::from(&*self.place),
                Value::from(self.role.name()),
                Value::from(&*self.configuration),
                Value::from(&**name),
                mean(error),
                sd(error),
                mean(angle),
                sd(angle),
            ]
        };
        self.layers.iter().map(fact).collect()
    }
}

fn panels_of(title: &str, role: Role, lines: &[&LayerLine]) -> Vec<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in lines.iter().flat_map(|line| &line.layers) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let plot = |label: &str, of: fn(&LayerPoint) -> Option<Summary>, log: bool| {
        let mut items = Vec::new();
        let mut ends = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            let look = line.look;
            // Side by side, so that error bars do not cover each other.
            let shift = (i as f64 - (lines.len() as f64 - 1.0) / 2.0) * (0.5 / lines.len() as f64).min(0.1);
            let place = |name: &str| names.iter().position(|known| *known == name).unwrap_or(0) as f64 + shift;
            let points: Vec<(f64, Summary)> =
                line.layers.iter().filter_map(|layer| Some((place(&layer.0), of(layer)?))).collect();
            let line_points = points.iter().map(|(x, s)| (*x, s.mean)).collect();
            items.push(Item::Line { points: line_points, look }.of(&line.label));
            for (x, summary) in points {
                // Below a mean of zero there is nothing that a logarithm could show.
                let spread = summary.sd.filter(|sd| *sd > 0.0 && (!log || *sd < summary.mean));
                let reach = spread.unwrap_or(0.0);
                ends.extend([summary.mean - reach, summary.mean + reach]);
                items.push(Item::Marker { x, y: summary.mean, spread, look }.of(&line.label));
            }
        }
        let y =
            if log { Scale::log(ends.iter().copied()) } else { Scale::linear(ends.iter().copied(), 0.1, (0.0, 180.0)) };
        (!ends.is_empty()).then(|| Plot {
            panel: Panel {
                title: if title.is_empty() { format!("{role}s") } else { one_line(&format!("{title}, {role}s")) },
                x_label: "Layer".to_owned(),
                y_label: label.to_owned(),
                x: Scale::Categories(names.iter().map(|name| one_line(name)).collect()),
                y,
            },
            items,
        })
    };
    [plot("Angle (degrees)", |layer| layer.2, false), plot("Relative squared error", |layer| layer.1, true)]
        .into_iter()
        .flatten()
        .collect()
}
