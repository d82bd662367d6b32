//! Numbers over epochs: means over seeds, and lines through them.

use std::collections::BTreeMap;

use crate::plot::item::Item;
use crate::plot::style::Look;

/// A number over epochs: mean, least and largest over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EpochPoint {
    pub(crate) epoch: u32,
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Means over records of a number by epoch; what is not finite is left out.
pub(crate) fn over_epochs(values: impl Iterator<Item = (u32, f64)>) -> Vec<EpochPoint> {
    let mut by_epoch: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (epoch, value) in values.filter(|(_, value)| value.is_finite()) {
        by_epoch.entry(epoch).or_default().push(value);
    }
    let point = |(epoch, values): (u32, Vec<f64>)| EpochPoint {
        epoch,
        mean: values.iter().sum::<f64>() / values.len() as f64,
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    by_epoch.into_iter().map(point).collect()
}

/// A line over epochs in the band of its seeds. Short lines have markers, long ones are clearer without.
pub(crate) fn line(points: &[EpochPoint], look: Look) -> Vec<Item> {
    let at = |point: &EpochPoint| f64::from(point.epoch);
    let mut items = Vec::new();
    if points.len() > 1 && points.iter().any(|point| point.high > point.low) {
        items.push(Item::Band {
            points: points.iter().map(|point| (at(point), point.low, point.high)).collect(),
            look,
            edged: false,
        });
    }
    items.push(Item::Line { points: points.iter().map(|point| (at(point), point.mean)).collect(), look });
    let every = points.len().div_ceil(12).max(1);
    let marked = points.iter().step_by(every);
    items.extend(marked.map(|point| Item::Marker { x: at(point), y: point.mean, spread: None, look }));
    items
}

/// Bands first, so that no band covers a line.
pub(crate) fn bands_below(items: Vec<Item>) -> Vec<Item> {
    let is_band = |item: &Item| match item {
        Item::Group { items, .. } => items.iter().all(|item| matches!(item, Item::Band { .. })),
        item => matches!(item, Item::Band { .. }),
    };
    let (bands, others): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_band);
    bands.into_iter().chain(others).collect()
}
