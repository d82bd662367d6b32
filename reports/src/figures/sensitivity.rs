//! What it costs to set one layer apart: the drop in accuracy by layer.

use std::collections::{BTreeMap, BTreeSet};

use harness_records::config::QuantConfig;
use harness_stats::Summary;

use crate::accuracy::{IDENTITY, Row, by_place, full_precision};
use crate::bit_widths::in_words;
use crate::difference::Difference;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::measure::{Measure, Spread};
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, Picture};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{LEVEL, plain_look};
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `sensitivity`.
pub(crate) struct Sensitivity;

/// Height of a layer, and of what is above and below, in points of a report.
const LAYER: f64 = 13.0;
const AROUND: f64 = 52.0;
/// Distance between the settings of one layer, as a fraction of the distance of two layers.
const APART: f64 = 0.2;

/// One layer with a setting of its own.
struct Entry<'a> {
    row: &'a Row,
    layer: String,
    /// The setting without the name of the layer, `w2`.
    setting: String,
    /// How much is lost, in the unit of the measure; seed by seed where the seeds are the same.
    loss: Summary,
}

/// The layers of one network that is otherwise the same everywhere.
struct Group<'a> {
    title: String,
    measure: Measure,
    entries: Vec<Entry<'a>>,
}

impl Figure for Sensitivity {
    fn name(&self) -> &'static str {
        "sensitivity"
    }

    fn title(&self) -> &'static str {
        "What one layer costs"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let groups = groups(trials)?;
        if groups.is_empty() {
            let why =
                "no network has one layer with a setting of its own (`quant.layers`), beside one without".to_owned();
            return Ok(Drawn::Nothing(why));
        }
        let settings: BTreeSet<&str> =
            groups.iter().flat_map(|group| &group.entries).map(|entry| entry.setting.as_str()).collect();
        let settings: Vec<&str> = settings.into_iter().collect();
        let most = groups.iter().map(|group| layers(group).len()).max().unwrap_or(1);
        let height = (AROUND + LAYER * most as f64) * theme.small / 7.0;
        let panels = groups.iter().map(|group| plot(group, &settings)).collect();
        let mut key: Vec<(Key, String)> =
            settings.iter().enumerate().map(|(i, setting)| (Key::Marker(plain_look(i)), one_line(setting))).collect();
        if groups.iter().flat_map(|group| &group.entries).any(|entry| entry.loss.sd.is_some()) {
            key.push((Key::Spread { across: true }, Spread::Interval.name().to_owned()));
        }
        let chart = Chart { panel_height: Some(height), ..Chart::new(panels, key) };
        let caption = "Each layer alone with a setting of its own, against the same network without one, or against full \
                       precision where that is not there; the layer that costs most first. Bars: 95 % confidence interval \
                       of the mean over seeds."
            .to_owned();
        let places = groups.iter().flat_map(|group| &group.entries).map(|entry| entry.row.place());
        let caption = caption + &Titles::of(places).common();
        Ok(Drawn::Picture(Picture { pages: chart.draw(theme), data: data(&groups), caption }))
    }
}

/// The setting of the network, which the layers of a group share.
fn base(quant: &QuantConfig) -> String {
    let roles = [&quant.weights, &quant.activations, &quant.gradients];
    serde_json::to_string(&(roles, &quant.keep_float)).unwrap_or_default()
}

fn groups(trials: &Trials) -> Result<Vec<Group<'_>>, ReportError> {
    let all = trials.rows()?;
    let quant = |row: &Row| &trials.records[row.example].config.quant;
    let places = by_place(all.iter());
    let titles = Titles::of(places.keys().copied());
    let mut groups = Vec::new();
    for (place, rows) in &places {
        let Some(measure) = Measure::of(rows.iter().copied()) else { continue };
        let mut by_base: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            by_base.entry(base(quant(row))).or_default().push(row);
        }
        for rows in by_base.values() {
            let whole = rows.iter().copied().find(|row| quant(row).layers.is_empty());
            let entry = |row: &&'_ Row| -> Option<(String, String, Summary)> {
                let [rule] = quant(row).layers.as_slice() else { return None };
                let reference = whole.or_else(|| full_precision(all, row))?;
                let loss = loss(measure, row, reference)?;
                let setting = rule.label().strip_prefix(&rule.pattern).unwrap_or_default().trim().to_owned();
                Some((rule.pattern.clone(), setting, loss))
            };
            let entries: Vec<Entry<'_>> = rows
                .iter()
                .filter_map(|row| {
                    let (layer, setting, loss) = entry(row)?;
                    Some(Entry { row, layer, setting, loss })
                })
                .collect();
            if !entries.is_empty() {
                let network = match whole.filter(|row| !row.is_float) {
                    Some(row) => format!("Otherwise {} {}", row.method, in_words(row.widths)),
                    None => "Otherwise full precision".to_owned(),
                };
                let head = titles.head(*place);
                let title = if head.is_empty() { network } else { format!("{head}: {network}") };
                groups.push(Group { title: one_line(&title), measure, entries });
            }
        }
    }
    Ok(groups)
}

/// What a row loses against another, larger being worse.
fn loss(measure: Measure, row: &Row, reference: &Row) -> Option<Summary> {
    let difference = Difference::summary(&measure.by_seed(row), &measure.by_seed(reference))?;
    // A spread has no direction: only the mean turns round.
    Some(if measure.rises() { Summary { mean: -difference.mean, ..difference } } else { difference })
}

/// The layers of a group, the one that costs most in the mean over its settings first.
fn layers<'a>(group: &'a Group<'_>) -> Vec<&'a str> {
    let mut losses: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for entry in &group.entries {
        losses.entry(&entry.layer).or_default().push(entry.loss.mean);
    }
    let mut layers: Vec<(&str, f64)> =
        losses.into_iter().map(|(layer, losses)| (layer, losses.iter().sum::<f64>() / losses.len() as f64)).collect();
    layers.sort_by(|a, b| b.1.total_cmp(&a.1));
    layers.into_iter().map(|(layer, _)| layer).collect()
}

fn plot(group: &Group<'_>, settings: &[&str]) -> Plot {
    let layers = layers(group);
    let here: BTreeSet<&str> = group.entries.iter().map(|entry| entry.setting.as_str()).collect();
    let half = Summary::half_interval_95;
    let mut items = vec![Item::Upright { x: 0.0, look: LEVEL }];
    for entry in &group.entries {
        let rank = layers.iter().position(|layer| *layer == entry.layer).unwrap_or(0);
        let number = settings.iter().position(|setting| *setting == entry.setting).unwrap_or(0);
        // Settings of this panel alone share the room of a layer.
        let place = here.iter().position(|setting| *setting == entry.setting).unwrap_or(0);
        let middle = (here.len() as f64 - 1.0) / 2.0;
        let apart = APART.min(0.8 / here.len() as f64);
        let y = (layers.len() - 1 - rank) as f64 + (middle - place as f64) * apart;
        let marker = Item::Across { x: entry.loss.mean, y, spread: half(entry.loss), look: plain_look(number) };
        let seeds = if entry.loss.n == 1 { "1 seed".to_owned() } else { format!("{} seeds", entry.loss.n) };
        let words = format!("{} {}: {:.2}, {seeds}", entry.layer, entry.setting, entry.loss.mean);
        items.push(marker.told(&one_line(&entry.setting), words));
    }
    // Means decide the axis: an interval from two seeds may be wider than all of them together, and is cut.
    let means = || group.entries.iter().map(|entry| entry.loss.mean).chain([0.0]);
    let room = means().fold(f64::MIN, f64::max) - means().fold(f64::MAX, f64::min);
    let ends = group.entries.iter().flat_map(|entry| {
        let half = half(entry.loss).unwrap_or(0.0).min(room.max(1.0));
        [entry.loss.mean - half, entry.loss.mean + half]
    });
    let x_label = match group.measure {
        Measure::Top1 => "Drop in top-1 accuracy (points)".to_owned(),
        Measure::Perplexity => "Rise in perplexity".to_owned(),
    };
    Plot {
        panel: Panel {
            title: group.title.clone(),
            x_label,
            y_label: String::new(),
            x: Scale::linear(ends.chain([0.0]), 0.5, (f64::MIN, f64::MAX)),
            y: Scale::Categories(layers.iter().rev().map(|layer| one_line(layer)).collect()),
        },
        items,
    }
}

fn data(groups: &[Group<'_>]) -> Data {
    let facts = ["layer", "layer_setting", "seeds", "loss", "low", "high"];
    let columns = IDENTITY.into_iter().chain(facts).collect();
    let row = |entry: &Entry<'_>| {
        let interval = entry.loss.interval_95();
        let facts = [
            Value::Text(entry.layer.clone()),
            Value::Text(entry.setting.clone()),
            Value::from(entry.loss.n),
            Value::from(Some(entry.loss.mean)),
            Value::from(interval.map(|interval| interval.low)),
            Value::from(interval.map(|interval| interval.high)),
        ];
        entry.row.identity().into_iter().chain(facts).collect()
    };
    Data { columns, rows: groups.iter().flat_map(|group| &group.entries).map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use harness_records::record::RunRecord;

    fn trial(rules: &str, seed: u64, top1: f64) -> RunRecord {
        let layers = serde_json::from_str(rules).unwrap();
        let built = record().weights(method("uniform", 8, &[])).seed(seed).top1(top1);
        built.edit(move |r| r.config.quant.layers = layers).build()
    }

    #[test]
    fn losses_are_taken_seed_by_seed_against_the_network_without_the_setting() {
        let rule = |layer: &str, bits: u8| format!(r#"[{{"layer": "{layer}", "weights": {{"bits": {bits}}}}}]"#);
        let mut records = vec![record().seed(0).top1(0.5).build()];
        for (seed, luck) in [(0, 0.0), (1, 0.01), (2, 0.02)] {
            records.push(trial("[]", seed, 0.9 + luck));
            records.push(trial(&rule("conv2", 2), seed, 0.8 + luck));
            records.push(trial(&rule("conv2", 4), seed, 0.89 + luck));
            records.push(trial(&rule("fc", 2), seed, 0.7 + luck));
            let two = r#"[{"layer": "a", "weights": {"bits": 1}}, {"layer": "b", "weights": {"bits": 1}}]"#;
            records.push(trial(two, seed, 0.1));
        }
        let trials = Trials::new(&records, &[]).unwrap();
        let groups = groups(&trials).unwrap();
        assert_eq!(groups.len(), 1);
        let mut seen: Vec<(String, String, f64, usize)> = groups[0]
            .entries
            .iter()
            .map(|entry| {
                (entry.layer.clone(), entry.setting.clone(), (1e6 * entry.loss.mean).round() / 1e6, entry.loss.n)
            })
            .collect();
        seen.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let expected = [("conv2", "w2", 10.0, 3), ("conv2", "w4", 1.0, 3), ("fc", "w2", 20.0, 3)];
        assert_eq!(seen, expected.map(|(layer, setting, loss, n)| (layer.to_owned(), setting.to_owned(), loss, n)));
        assert!(groups[0].entries.iter().all(|entry| entry.loss.sd.unwrap() < 1e-9), "luck is the same on both sides");
        assert_eq!(layers(&groups[0]), ["fc", "conv2"]);
    }

    #[test]
    fn the_ends_of_an_interval_are_in_order() {
        let rule = r#"[{"layer": "conv2", "weights": {"bits": 2}}]"#;
        let rows = [(0, 0.9, 0.8), (1, 0.91, 0.85), (2, 0.92, 0.81)];
        let records: Vec<RunRecord> =
            rows.iter().flat_map(|&(seed, whole, one)| [trial("[]", seed, whole), trial(rule, seed, one)]).collect();
        let trials = Trials::new(&records, &[]).unwrap();
        let loss = groups(&trials).unwrap()[0].entries[0].loss;
        let interval = loss.interval_95().unwrap();
        assert!((loss.mean - 9.0).abs() < 1e-9 && loss.sd.unwrap() > 0.0, "{loss:?}");
        assert!(interval.low < loss.mean && loss.mean < interval.high, "{interval:?}");
    }

    #[test]
    fn without_single_layers_there_is_nothing_to_show() {
        let trials = Trials::new(&[record().build()], &[]).unwrap();
        assert!(groups(&trials).unwrap().is_empty());
    }
}
