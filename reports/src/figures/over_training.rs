//! What quantizers did while the network trained: populations of codes with effective bits, and the fraction that
//! stochastic quantization quantizes with its error.

use std::collections::BTreeSet;

use harness_records::record::{Role, RunRecord, SiteRecord};

use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::configs::{Config, configs, head_columns};
use crate::figures::epochs::{EpochPoint, bands_below, line, over_epochs};
use crate::figures::groups::{groups, labels};
use crate::figures::looks::Looks;
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, MOST_PANELS, Picture, most_panels};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::plain_look;
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `code_populations`.
pub(crate) struct CodePopulations;

/// `stochastic_portion`.
pub(crate) struct StochasticPortion;

/// Codes that can be told apart as lines.
const MOST_CODES: usize = 16;
/// Layers of which the same is true.
const MOST_LAYERS: usize = 8;
/// The method that the figure of populations is about; it comes first.
const BALANCED: &str = "balanced";

/// Sites of a role after every epoch.
fn sites<'a>(record: &'a RunRecord, role: Role) -> impl Iterator<Item = (u32, &'a SiteRecord)> {
    let of_epoch = |epoch: &'a harness_records::record::EpochRecord| epoch.sites.iter().map(|site| (epoch.epoch, site));
    record.epochs.iter().flat_map(of_epoch).filter(move |(_, site)| site.role == role)
}

fn panel(title: String, y_label: &str, points: &[EpochPoint], y: Scale, items: Vec<Item>) -> Plot {
    let epochs = points.iter().map(|point| f64::from(point.epoch));
    Plot {
        panel: Panel { title, x_label: "Epoch".to_owned(), y_label: y_label.to_owned(), x: Scale::epochs(epochs), y },
        items: bands_below(items),
    }
}

impl Figure for CodePopulations {
    fn name(&self) -> &'static str {
        "code_populations"
    }

    fn title(&self) -> &'static str {
        "Populations of codes and effective bits over training"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let mut configs = configs(rows, trials);
        configs.retain(|config| {
            config.records.iter().any(|r| sites(r, Role::Weight).any(|(_, s)| !s.code_counts.is_empty()))
        });
        if configs.is_empty() {
            return Ok(Drawn::Nothing("no record holds populations over training (older records do not)".to_owned()));
        }
        configs.sort_by_key(|config| !config.row.method.contains(BALANCED));
        let (mut panels, mut data) = (Vec::new(), Vec::new());
        // The names at each place of a network, which differ from one network to the next.
        let (mut codes_shown, mut layers): (usize, Vec<BTreeSet<String>>) = (0, Vec::new());
        let titles = Titles::of(configs.iter().map(Config::place));
        // What is not shown stays in the records: there is far more of it than of anything else.
        let hidden = configs.len().saturating_sub(MOST_PANELS / 2);
        for config in configs.iter().take(MOST_PANELS / 2) {
            let Some(first) = config.records.first() else { continue };
            let mut names: Vec<&str> = Vec::new();
            for (_, site) in sites(first, Role::Weight) {
                if !names.contains(&site.layer.as_str()) {
                    names.push(&site.layer);
                }
            }
            // The largest layer has the smoothest populations.
            let size = |name: &&&str| {
                let site = sites(first, Role::Weight).find(|(_, site)| site.layer == **name);
                site.map_or(0, |(_, site)| site.code_counts.iter().sum::<u64>())
            };
            let Some(largest) = names.iter().max_by_key(size).copied() else { continue };
            let populations = populations(config, largest);
            let mut items = Vec::new();
            let all: Vec<EpochPoint> = populations.iter().flatten().copied().collect();
            for (code, points) in populations.iter().enumerate() {
                data.extend(points.iter().map(|s| fact(config, largest, "portion_of_code", Some(code), s)));
                if code < MOST_CODES {
                    items.extend(
                        line(points, plain_look(code)).into_iter().map(|item| item.of(&format!("code {code}"))),
                    );
                    codes_shown = codes_shown.max(code + 1);
                }
            }
            let highest = all.iter().map(|point| point.high).fold(0.0, f64::max);
            let title = titles.around(largest, config.place(), &config.label);
            panels.push(panel(title, "Weights at a code (%)", &all, Scale::from_zero(highest), items));

            let (mut items, mut all) = (Vec::new(), Vec::new());
            for (place, name) in names.into_iter().enumerate() {
                let of_layer = |r: &&RunRecord| {
                    sites(r, Role::Weight)
                        .filter(|(_, s)| s.layer == name)
                        .map(|(e, s)| (e, s.effective_bits))
                        .collect::<Vec<_>>()
                };
                let points = over_epochs(config.records.iter().flat_map(of_layer));
                data.extend(points.iter().map(|s| fact(config, name, "effective_bits", None, s)));
                if place == layers.len() {
                    layers.push(BTreeSet::new());
                }
                layers[place].insert(name.to_owned());
                if place < MOST_LAYERS {
                    items.extend(line(&points, plain_look(MOST_CODES + place)));
                    all.extend(points);
                }
            }
            let width = f64::from(config.row.widths[0]);
            items.insert(0, Item::Reference { y: width, spread: None });
            let most = all.iter().map(|point| point.high).fold(width, f64::max);
            let y = Scale::linear(all.iter().flat_map(|s| [s.low, s.high]).chain([width]), 0.1, (0.0, most));
            let title = titles.around("", config.place(), &config.label);
            panels.push(panel(title, "Effective bits of a layer", &all, y, items));
        }
        // Codes and layers are never in one panel, and look different all the same: there is one key for all.
        let mut key: Vec<(Key, String)> =
            (0..codes_shown).map(|code| (Key::Series(plain_look(code)), format!("code {code}"))).collect();
        let named = layers.iter().take(MOST_LAYERS).enumerate();
        let joined = |names: &BTreeSet<String>| one_line(&names.iter().cloned().collect::<Vec<_>>().join(" / "));
        key.extend(named.map(|(i, names)| (Key::Series(plain_look(MOST_CODES + i)), joined(names))));
        key.push((Key::Reference { band: false }, "bit width".to_owned()));
        let mut caption =
            "Left: fraction of the weights of the largest quantized layer at each code, after every epoch. \
                           Right: entropy of the codes of each layer, at most the bit width (dashed). Mean over seeds, \
                           band from least to largest."
                .to_owned();
        if hidden > 0 {
            caption.push_str(&format!(" {hidden} more configurations are in the records of the trials."));
        }
        caption.push_str(&titles.common());
        if layers.len() > MOST_LAYERS {
            caption.push_str(&format!(" {} more layers are in the data only.", layers.len() - MOST_LAYERS));
        }
        let columns = head_columns().chain(["layer", "quantity", "code", "epoch", "mean", "low", "high"]).collect();
        let pages = Chart::new(panels, key).draw(theme);
        Ok(Drawn::Picture(Picture { pages, data: Data { columns, rows: data }, caption }))
    }
}

/// Percentage of the weights of a layer at each code, over epochs.
fn populations(config: &Config<'_>, layer: &str) -> Vec<Vec<EpochPoint>> {
    let counts = |record: &&RunRecord| {
        sites(record, Role::Weight)
            .filter(|(_, site)| site.layer == layer)
            .map(|(epoch, site)| (epoch, site.code_counts.clone()))
            .collect::<Vec<_>>()
    };
    let all: Vec<(u32, Vec<u64>)> = config.records.iter().flat_map(counts).collect();
    let codes = all.iter().map(|(_, counts)| counts.len()).max().unwrap_or(0);
    let of_code = |code: usize| {
        over_epochs(all.iter().filter_map(|(epoch, counts)| {
            let total = counts.iter().sum::<u64>().max(1) as f64;
            Some((*epoch, 100.0 * *counts.get(code)? as f64 / total))
        }))
    };
    (0..codes).map(of_code).collect()
}

fn fact(config: &Config<'_>, layer: &str, quantity: &str, code: Option<usize>, point: &EpochPoint) -> Vec<Value> {
    let mut row: Vec<Value> = config.head().collect();
    row.extend([
        layer.into(),
        quantity.into(),
        code.map_or(Value::Absent, Value::from),
        point.epoch.into(),
        Some(point.mean).into(),
        Some(point.low).into(),
        Some(point.high).into(),
    ]);
    row
}

impl Figure for StochasticPortion {
    fn name(&self) -> &'static str {
        "stochastic_portion"
    }

    fn title(&self) -> &'static str {
        "Fraction quantized and error over training"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let mut configs = configs(rows, trials);
        configs.retain(|config| {
            config.records.iter().any(|record| sites(record, Role::Weight).any(|(_, site)| site.fraction < 1.0))
        });
        if configs.is_empty() {
            return Ok(Drawn::Nothing("no trial left a fraction of its weights in full precision".to_owned()));
        }
        let titles = Titles::of(configs.iter().map(Config::place));
        let groups = groups(&configs, &Looks::new(&trials.labels.names));
        let (mut panels, mut data) = (Vec::new(), Vec::new());
        type Quantity = (&'static str, &'static str, fn(&SiteRecord) -> f64);
        let quantities: [Quantity; 2] = [
            ("portion", "Weights quantized (%)", |site| 100.0 * site.fraction),
            ("relative_mse", "Relative squared error", |site| site.relative_mse),
        ];
        for group in &groups {
            for (quantity, label, of) in quantities {
                let (mut items, mut all) = (Vec::new(), Vec::new());
                for member in &group.members {
                    // Mean over the layers of a trial, then over trials.
                    let of_record = |record: &&RunRecord| {
                        let values = sites(record, Role::Weight).map(|(epoch, site)| (epoch, of(site)));
                        over_epochs(values).into_iter().map(|point| (point.epoch, point.mean)).collect::<Vec<_>>()
                    };
                    let points = over_epochs(member.config.records.iter().flat_map(of_record));
                    data.extend(points.iter().map(|point| fact(member.config, "", quantity, None, point)));
                    items.extend(line(&points, member.look).into_iter().map(|item| item.of(&member.label)));
                    all.extend(points);
                }
                if !items.is_empty() {
                    let y = Scale::from_zero(all.iter().map(|point| point.high).fold(0.0, f64::max));
                    panels.push(panel(group.title.clone(), label, &all, y, items));
                }
            }
        }
        let (panels, hidden) = most_panels(panels);
        let caption = format!(
            "Fraction of the weights that is quantized, and squared error over squared norm of the weights as the network \
             sees them, after every epoch: mean over layers and seeds, band over seeds.{}{hidden}",
            titles.common()
        );
        let key = labels(&groups).into_iter().map(|(label, look)| (Key::Series(look), label)).collect();
        let columns = head_columns().chain(["layer", "quantity", "code", "epoch", "mean", "low", "high"]).collect();
        let pages = Chart::new(panels, key).draw(theme);
        Ok(Drawn::Picture(Picture { pages, data: Data { columns, rows: data }, caption }))
    }
}
