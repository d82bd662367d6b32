//! Training loss and test results over epochs, by method.

use harness_records::record::EpochRecord;

use crate::error::ReportError;
use crate::figures::configs::{Config, configs, head_columns};
use crate::figures::epochs::{EpochPoint, bands_below, line, over_epochs};
use crate::figures::groups::{PanelGroup, groups, labels};
use crate::figures::looks::Looks;
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, Picture, most_panels};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::theme::Theme;
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

/// Lines of a panel whose names find room at their ends.
const MOST_LABELLED: usize = 10;

impl Figure for TrainingCurves {
    fn name(&self) -> &'static str {
        "training_curves"
    }

    fn title(&self) -> &'static str {
        "Training curves"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let mut configs = configs(rows, trials);
        configs.retain(|config| config.records.iter().any(|record| record.epochs.len() > 1));
        if configs.is_empty() {
            return Ok(Drawn::Nothing("no trial finished more than one epoch".to_owned()));
        }
        let titles = Titles::of(configs.iter().map(Config::place));
        let groups = groups(&configs, &Looks::new(&trials.labels.names));
        let labelled = groups.iter().all(|group| group.members.len() <= MOST_LABELLED);
        let data = configs.iter().flat_map(|config| {
            let curves = [LOSS, TOP1, PERPLEXITY].into_iter();
            curves.flat_map(move |curve| facts(config, &curve)).collect::<Vec<_>>()
        });
        let data: Vec<Vec<Value>> = data.collect();
        let panels: Vec<Plot> = groups.iter().flat_map(|group| panels(group, labelled)).collect();
        let (panels, hidden) = most_panels(panels);
        let key = labels(&groups).into_iter().map(|(label, look)| (Key::Series(look), label));
        let key = key.filter(|_| !labelled).collect();
        let caption = format!(
            "Training loss and test results over epochs: mean over seeds, band from least to largest.{}{hidden}",
            titles.common()
        );
        let columns = head_columns().chain(["curve", "epoch", "mean", "low", "high"]).collect();
        let pages = Chart::new(panels, key).draw(theme);
        Ok(Drawn::Picture(Picture { pages, data: Data { columns, rows: data }, caption }))
    }
}

/// Loss and result of the members of a group.
fn panels(group: &PanelGroup<'_>, labelled: bool) -> Vec<Plot> {
    let perplexity = group.members.iter().all(|member| member.config.row.perplexity.summary.is_some());
    let second = if perplexity { PERPLEXITY } else { TOP1 };
    let mut plots = Vec::new();
    for (curve, with_names) in [(LOSS, false), (second, labelled)] {
        let mut items = Vec::new();
        let mut all: Vec<EpochPoint> = Vec::new();
        for member in &group.members {
            let points = points(member.config, &curve);
            let Some(last) = points.last() else { continue };
            if with_names {
                items.push(Item::EndLabel { y: last.mean, text: member.label.clone(), look: member.look });
            }
            items.extend(line(&points, member.look).into_iter().map(|item| item.of(&member.label)));
            all.extend(points);
        }
        if all.is_empty() {
            continue;
        }
        let ends = || all.iter().flat_map(|point| [point.low, point.high]);
        plots.push(Plot {
            panel: Panel {
                title: group.title.clone(),
                x_label: "Epoch".to_owned(),
                y_label: curve.label.to_owned(),
                x: Scale::epochs(all.iter().map(|point| f64::from(point.epoch))),
                y: match curve.log {
                    true => Scale::log(ends()),
                    false => Scale::linear(ends(), 1.0, (0.0, 100.0)),
                },
            },
            items: bands_below(items),
        });
    }
    plots
}

fn points(config: &Config<'_>, curve: &Curve) -> Vec<EpochPoint> {
    let epochs = config.records.iter().flat_map(|record| &record.epochs);
    over_epochs(epochs.filter_map(|epoch| Some((epoch.epoch, (curve.of)(epoch)?))))
}

fn facts(config: &Config<'_>, curve: &Curve) -> Vec<Vec<Value>> {
    let fact = |point: EpochPoint| {
        let facts = [
            curve.name.into(),
            point.epoch.into(),
            Some(point.mean).into(),
            Some(point.low).into(),
            Some(point.high).into(),
        ];
        config.head().chain(facts).collect()
    };
    points(config, curve).into_iter().map(fact).collect()
}
