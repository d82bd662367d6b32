//! What most figures share: configurations with their trials, places, labels, and means over seeds.

use std::collections::{BTreeMap, BTreeSet};

use harness_records::record::{RunRecord, Status};

use crate::accuracy::{IDENTITY, Row};
use crate::encode::one_line;
use crate::labels::FLOAT_WIDTH;
use crate::plot::chart::Item;
use crate::plot::legend::Key;
use crate::plot::style::{Look, look};
use crate::sheet::Value;
use crate::trials::Trials;

/// Lines that one figure can hold and still be read.
pub(crate) const MOST_LINES: usize = 20;

/// A configuration with the trials that ended well.
pub(crate) struct Config<'a> {
    pub(crate) row: &'a Row,
    pub(crate) records: Vec<&'a RunRecord>,
    /// `dorefa 2/32`, or `float`.
    pub(crate) label: String,
}

/// All configurations of which a trial ended well.
pub(crate) fn configs<'a>(rows: &'a [Row], trials: &'a Trials) -> Vec<Config<'a>> {
    let of = |row: &'a Row| {
        let members = row.members.iter().map(|&member| &trials.records[member]);
        Config { row, records: members.filter(|record| record.status == Status::Ok).collect(), label: label(row) }
    };
    rows.iter().map(of).filter(|config| !config.records.is_empty()).collect()
}

fn label(row: &Row) -> String {
    if row.is_float {
        return one_line(&row.method);
    }
    let mut label = format!("{} {}/{}", one_line(&row.method), row.widths[0], row.widths[1]);
    if row.widths[2] != FLOAT_WIDTH {
        label.push_str(&format!("/{}", row.widths[2]));
    }
    label
}

/// Columns of [`Config::head`].
pub(crate) fn head_columns() -> impl Iterator<Item = &'static str> {
    IDENTITY.into_iter().take(HEAD)
}

/// Columns of the identity that data over training has: those before the bits of gradients.
const HEAD: usize = 6;

impl Config<'_> {
    /// Which configuration a row of data over training is about.
    pub(crate) fn head(&self) -> impl Iterator<Item = Value> {
        self.row.identity().into_iter().take(HEAD)
    }

    /// Data set, model and setting.
    pub(crate) fn place(&self) -> [&str; 3] {
        [&self.row.dataset, &self.row.model, &self.row.setting]
    }
}

/// Titles of panels. Where there are several, each says what tells it from the others: a title has one line.
pub(crate) struct Titles {
    /// What all places have, where there are several.
    common: Vec<String>,
    several: bool,
}

impl Titles {
    pub(crate) fn of<'a>(places: impl Iterator<Item = [&'a str; 3]>) -> Titles {
        let places: BTreeSet<[&str; 3]> = places.collect();
        let mut all = places.iter().map(|place| parts(*place));
        let first = all.next().filter(|_| places.len() > 1).unwrap_or_default();
        let others: Vec<Vec<String>> = all.collect();
        let common = first.into_iter().filter(|part| others.iter().all(|parts| parts.contains(part)));
        Titles { common: common.collect(), several: places.len() > 1 }
    }

    /// Title of the panel of a place.
    pub(crate) fn get(&self, place: [&str; 3]) -> String {
        let parts = parts(place).into_iter().filter(|part| !self.common.contains(part));
        one_line(&parts.collect::<Vec<_>>().join(", "))
    }

    /// What comes after `head` and before `tail` in the title of one of many panels of a place: what is cut off where a
    /// title is too long is the end, so that what tells panels apart comes first.
    pub(crate) fn around(&self, head: &str, place: [&str; 3], tail: &str) -> String {
        let place = if self.several { self.get(place) } else { String::new() };
        let parts = [head, &place, tail].into_iter().filter(|part| !part.is_empty());
        one_line(&parts.collect::<Vec<_>>().join(", "))
    }

    /// A sentence for the caption, on what the titles do not say.
    pub(crate) fn common(&self) -> String {
        if self.common.is_empty() {
            String::new()
        } else {
            format!(" In all panels: {}.", one_line(&self.common.join(", ")))
        }
    }
}

/// Data set, model, and the setting key by key, without the section that a key belongs to.
fn parts([dataset, model, setting]: [&str; 3]) -> Vec<String> {
    let mut parts = vec![dataset.to_owned(), model.to_owned()];
    let (mut depth, mut start) = (0i32, 0);
    let mut ends: Vec<usize> = Vec::new();
    for (i, c) in setting.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => ends.push(i),
            _ => {}
        }
    }
    for end in ends.into_iter().chain([setting.len()]) {
        let part = setting[start..end].trim();
        let short = part.strip_prefix("train.").or_else(|| part.strip_prefix("quant.")).unwrap_or(part);
        parts.extend((!short.is_empty()).then(|| short.to_owned()));
        start = (end + 1).min(setting.len());
    }
    parts
}

/// A sentence on panels that a figure has no room for.
pub(crate) fn hidden_panels(hidden: usize) -> String {
    if hidden == 0 { String::new() } else { format!(" {hidden} more panels are in the data only.") }
}

/// Configurations by place, in order.
pub(crate) fn by_place<'a, 'b>(configs: &'b [Config<'a>]) -> BTreeMap<[&'b str; 3], Vec<&'b Config<'a>>> {
    let mut places: BTreeMap<[&str; 3], Vec<&Config<'a>>> = BTreeMap::new();
    for config in configs {
        places.entry(config.place()).or_default().push(config);
    }
    places
}

/// One look a label, the same in every panel; labels beyond what a figure can hold have none.
pub(crate) struct Looks<'a>(Vec<&'a str>);

impl<'a> Looks<'a> {
    pub(crate) fn of(labels: impl Iterator<Item = &'a str>) -> Looks<'a> {
        let mut seen = BTreeSet::new();
        Looks(labels.filter(|label| seen.insert(*label)).collect())
    }

    pub(crate) fn get(&self, label: &str) -> Option<Look> {
        self.0.iter().take(MOST_LINES).position(|known| *known == label).map(look)
    }

    /// The key, each look as `key` shows it.
    pub(crate) fn key(&self, key: fn(Look) -> Key) -> Vec<(Key, String)> {
        self.0.iter().take(MOST_LINES).enumerate().map(|(i, label)| (key(look(i)), (*label).to_owned())).collect()
    }

    /// A sentence on what the figure has no room for.
    pub(crate) fn hidden(&self) -> String {
        match self.0.len().saturating_sub(MOST_LINES) {
            0 => String::new(),
            hidden => format!(" {hidden} more configurations are in the data only."),
        }
    }
}

/// A number over epochs: mean, least and largest over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spot {
    pub(crate) epoch: u32,
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Means over records of a number by epoch; what is not finite is left out.
pub(crate) fn over_epochs(values: impl Iterator<Item = (u32, f64)>) -> Vec<Spot> {
    let mut by_epoch: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (epoch, value) in values.filter(|(_, value)| value.is_finite()) {
        by_epoch.entry(epoch).or_default().push(value);
    }
    let spot = |(epoch, values): (u32, Vec<f64>)| Spot {
        epoch,
        mean: values.iter().sum::<f64>() / values.len() as f64,
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    by_epoch.into_iter().map(spot).collect()
}

/// A line over epochs in the band of its seeds. Short lines have markers, long ones are clearer without.
pub(crate) fn line(spots: &[Spot], look: Look) -> Vec<Item> {
    let at = |spot: &Spot| f64::from(spot.epoch);
    let mut items = Vec::new();
    if spots.len() > 1 && spots.iter().any(|spot| spot.high > spot.low) {
        items.push(Item::Band {
            points: spots.iter().map(|spot| (at(spot), spot.low, spot.high)).collect(),
            look,
            edged: false,
        });
    }
    items.push(Item::Line { points: spots.iter().map(|spot| (at(spot), spot.mean)).collect(), look });
    let every = spots.len().div_ceil(12).max(1);
    let marked = spots.iter().step_by(every);
    items.extend(marked.map(|spot| Item::Marker { x: at(spot), y: spot.mean, spread: None, look }));
    items
}

/// Bands first, so that no band covers a line.
pub(crate) fn bands_below(items: Vec<Item>) -> Vec<Item> {
    let (bands, others): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| matches!(item, Item::Band { .. }));
    bands.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_say_what_tells_panels_apart() {
        let six = ["digits", "lenet", "train.epochs=6, quant.keep_float=[first, last]"];
        let eight = ["digits", "lenet", "train.epochs=8, quant.keep_float=[first, last]"];
        let none = ["digits", "lenet", "train.epochs=8, quant.keep_float=[]"];
        let titles = Titles::of([six, eight, none].into_iter());
        assert_eq!(titles.get(six), "epochs=6, keep_float=[first, last]");
        assert_eq!(titles.get(none), "epochs=8, keep_float=[]");
        assert_eq!(titles.common(), " In all panels: digits, lenet.");
        let alone = Titles::of([six, six].into_iter());
        assert_eq!(alone.get(six), "digits, lenet, epochs=6, keep_float=[first, last]");
        assert_eq!(alone.common(), "");
    }
}
