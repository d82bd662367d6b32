//! Training loss and test accuracy over epochs, by method.

use harness_records::record::EpochRecord;

use crate::error::ReportError;
use crate::figures::configs::{
    Config, Looks, Spot, Titles, bands_below, by_place, configs, head_columns, hidden_panels, line, over_epochs,
};
use crate::figures::{Drawn, Figure, Picture};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, MOST_PANELS, Plot};
use crate::plot::legend::Key;
use crate::plot::text::Lettering;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `training_curves`.
pub(crate) struct TrainingCurves;

/// A number of an epoch.
struct Curve {
    name: &'static str,
    label: &'static str,
    of: fn(&EpochRecord) -> Option<f64>,
    log: bool,
}

const LOSS: Curve = Curve { name: "train_loss", label: "Training loss", of: |e| Some(e.train_loss), log: true };
const TOP1: Curve =
    Curve { name: "test_top1", label: "Test accuracy (%)", of: |e| e.test.top1.map(|top1| 100.0 * top1), log: false };
const PERPLEXITY: Curve =
    Curve { name: "test_perplexity", label: "Test perplexity", of: |e| e.test.perplexity, log: true };

impl Figure for TrainingCurves {
    fn name(&self) -> &'static str {
        "training_curves"
    }

    fn title(&self) -> &'static str {
        "Training curves"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let mut configs = configs(rows, trials);
        configs.retain(|config| config.records.iter().any(|record| record.epochs.len() > 1));
        if configs.is_empty() {
            return Ok(Drawn::Nothing("no trial finished more than one epoch".to_owned()));
        }
        let titles = Titles::of(configs.iter().map(Config::place));
        let looks = Looks::of(configs.iter().map(|config| config.label.as_str()));
        let mut panels = Vec::new();
        let mut data = Vec::new();
        for (place, here) in by_place(&configs) {
            let second =
                if here.iter().all(|config| config.row.perplexity.summary.is_some()) { PERPLEXITY } else { TOP1 };
            for curve in [LOSS, second] {
                let mut items = Vec::new();
                let mut all: Vec<Spot> = Vec::new();
                for config in &here {
                    let spots = spots(config, &curve);
                    data.extend(spots.iter().map(|spot| fact(config, &curve, spot)));
                    if let Some(look) = looks.get(&config.label) {
                        items.extend(line(&spots, look));
                        all.extend(spots);
                    }
                }
                if items.is_empty() {
                    continue;
                }
                let ends = || all.iter().flat_map(|spot| [spot.low, spot.high]);
                panels.push(Plot {
                    panel: Panel {
                        title: titles.get(place),
                        x_label: "Epoch".to_owned(),
                        y_label: curve.label.to_owned(),
                        x: Scale::epochs(all.iter().map(|spot| f64::from(spot.epoch))),
                        y: match curve.log {
                            true => Scale::log(ends()),
                            false => Scale::linear(ends(), 1.0, (0.0, 100.0)),
                        },
                    },
                    items: bands_below(items),
                });
            }
        }
        let hidden = panels.len().saturating_sub(MOST_PANELS);
        panels.truncate(MOST_PANELS);
        let caption = format!(
            "Training loss and test results over epochs: mean over seeds, band from least to largest.{}{}{}",
            titles.common(),
            looks.hidden(),
            hidden_panels(hidden)
        );
        let columns = head_columns().chain(["curve", "epoch", "mean", "low", "high"]).collect();
        let canvas = Chart::new(panels, looks.key(Key::Series)).draw(lettering);
        Ok(Drawn::Picture(Picture { canvas, data: Data { columns, rows: data }, caption }))
    }
}

fn spots(config: &Config<'_>, curve: &Curve) -> Vec<Spot> {
    let epochs = config.records.iter().flat_map(|record| &record.epochs);
    over_epochs(epochs.filter_map(|epoch| Some((epoch.epoch, (curve.of)(epoch)?))))
}

fn fact(config: &Config<'_>, curve: &Curve, spot: &Spot) -> Vec<Value> {
    let facts =
        [curve.name.into(), spot.epoch.into(), Some(spot.mean).into(), Some(spot.low).into(), Some(spot.high).into()];
    config.head().chain(facts).collect()
}
