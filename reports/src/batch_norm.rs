//! The figure of batch normalization in integers: how often naive rounding errs at each shift, and the smallest shift
//! at which each channel can be exact.
//!
//! Its numbers come from layers, not from records of trials, so it stands beside the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::encode::csv::csv;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::files;
use crate::pictures::write_pages;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{plain_look, shade};
use crate::plot::theme::{Style, Theme};
use crate::sheet::{Data, Value};

/// One layer's batch normalization as integers.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormLayer {
    /// What the layer is called in the key.
    pub name: String,
    /// Fraction of (channel, accumulator value) at which constants rounded to so many fractional bits give another
    /// code than real arithmetic: shift and fraction, 0..=1, by rising shift.
    pub mismatch: Vec<(u32, f64)>,
    /// The smallest shift at which each channel has exact integers.
    pub smallest_shifts: Vec<u32>,
}

impl BatchNormLayer {
    /// The smallest shift at which every channel is exact.
    fn shared(&self) -> u32 {
        self.smallest_shifts.iter().copied().max().unwrap_or(0)
    }
}

/// Draws the figure to `picture`, whose name ends in `.svg`, `.pdf` or `.png`, and writes its numbers beside it as `.csv`;
/// returns the names of all files.
///
/// # Errors
/// [`ReportError::Picture`] before anything is written; [`ReportError::NoRecords`] without layers; a file that cannot
/// be written.
pub fn write_batch_norm(layers: &[BatchNormLayer], picture: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let numbers = picture.with_extension("csv");
    if layers.is_empty() {
        return Err(ReportError::NoRecords { problems: Vec::new() });
    }
    let theme = Theme::new(Style::Report, 2)?;
    let mut files = write_pages(picture, &chart(layers).draw(&theme), &caption(layers), &theme)?;
    files::write_whole(&numbers, &csv(&data(layers))?)?;
    files.push(numbers);
    Ok(files)
}

fn caption(layers: &[BatchNormLayer]) -> String {
    let parts: Vec<String> = layers
        .iter()
        .map(|layer| format!("{} is exact from shift {}", one_line(&layer.name), layer.shared()))
        .collect();
    format!(
        "Batch normalization in integers. Left: codes that naive rounding gets wrong, by shift. Right: smallest shift at \
         which each channel is exact. {}.",
        parts.join("; ")
    )
}

const PERCENT: f64 = 100.0;

fn chart(layers: &[BatchNormLayer]) -> Chart {
    let mut key: Vec<(Key, String)> =
        layers.iter().enumerate().map(|(i, layer)| (Key::Series(plain_look(i)), one_line(&layer.name))).collect();
    key.push((Key::Upright(plain_look(0)), "all channels exact".to_owned()));
    Chart::new(vec![mismatches(layers), shifts(layers)], key)
}

fn mismatches(layers: &[BatchNormLayer]) -> Plot {
    let values = || layers.iter().flat_map(|layer| &layer.mismatch);
    let uprights =
        layers.iter().enumerate().map(|(i, layer)| Item::Upright { x: f64::from(layer.shared()), look: plain_look(i) });
    let mut items: Vec<Item> = uprights.collect();
    for (i, layer) in layers.iter().enumerate() {
        let points: Vec<(f64, f64)> = layer.mismatch.iter().map(|&(s, rate)| (f64::from(s), PERCENT * rate)).collect();
        let look = plain_look(i);
        items.push(Item::Line { points: points.clone(), look });
        items.extend(points.into_iter().map(|(x, y)| Item::Marker { x, y, spread: None, look }));
    }
    let marked = values().map(|&(shift, _)| shift).chain(layers.iter().map(BatchNormLayer::shared));
    Plot {
        panel: Panel {
            title: "Naive rounding".to_owned(),
            x_label: "Shift (fractional bits)".to_owned(),
            y_label: "Wrong codes (%)".to_owned(),
            x: Scale::linear(marked.map(f64::from), 4.0, (0.0, f64::from(u32::MAX))),
            y: Scale::log(values().map(|&(_, rate)| PERCENT * rate)),
        },
        items,
    }
}

/// Room of the bars of one shift.
const GROUP: f64 = 0.8;

fn shifts(layers: &[BatchNormLayer]) -> Plot {
    let counts: Vec<BTreeMap<u32, u32>> = layers
        .iter()
        .map(|layer| {
            let mut counts = BTreeMap::new();
            layer.smallest_shifts.iter().for_each(|&shift| *counts.entry(shift).or_default() += 1);
            counts
        })
        .collect();
    let all = || counts.iter().flatten();
    let (min, most) = (all().map(|(s, _)| *s).min().unwrap_or(0), all().map(|(s, _)| *s).max().unwrap_or(0));
    let width = GROUP / layers.len() as f64;
    let mut items = Vec::new();
    for (i, counts) in counts.iter().enumerate() {
        let left = |shift: u32| f64::from(shift - min) - GROUP / 2.0 + i as f64 * width;
        items.extend(counts.iter().map(|(&shift, &count)| Item::Bar {
            from: (left(shift), 0.0),
            to: (left(shift) + width, f64::from(count)),
            shade: shade(i),
        }));
    }
    let highest = all().map(|(_, count)| *count).max().unwrap_or(0);
    Plot {
        panel: Panel {
            title: "Smallest exact shift".to_owned(),
            x_label: "Shift (fractional bits)".to_owned(),
            y_label: "Channels".to_owned(),
            x: Scale::Categories((min..=most).map(|shift| shift.to_string()).collect()),
            y: Scale::from_zero(f64::from(highest)),
        },
        items,
    }
}

fn data(layers: &[BatchNormLayer]) -> Data {
    let mut rows = Vec::new();
    for layer in layers {
        let name = || Value::from(&*layer.name);
        rows.extend(layer.mismatch.iter().map(|&(shift, rate)| {
            vec![name(), Value::from("mismatch"), Value::Absent, shift.into(), Some(rate).into()]
        }));
        rows.extend(layer.smallest_shifts.iter().enumerate().map(|(channel, &shift)| {
            vec![name(), Value::from("smallest_exact_shift"), channel.into(), shift.into(), Value::Absent]
        }));
    }
    Data { columns: vec!["layer", "quantity", "channel", "shift", "portion"], rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tidy::{assert_tidy, words};

    fn layer(name: &str, channels: u32) -> BatchNormLayer {
        BatchNormLayer {
            name: name.to_owned(),
            mismatch: (0..14u32).map(|s| (s, if s > 11 { 0.0 } else { 0.5f64.powf(f64::from(s)) })).collect(),
            smallest_shifts: (0..channels).map(|channel| 3 + channel % 8).collect(),
        }
    }

    #[test]
    fn any_number_of_layers_is_tidy() {
        let theme = Theme::report();
        for layers in
            [vec![layer("conv2", 1)], vec![layer("conv2", 64)], vec![layer("a", 8), layer("b", 300), layer("c", 3)]]
        {
            let canvas = chart(&layers).draw(&theme);
            assert_tidy(&canvas);
            let texts: Vec<&str> = words(&canvas).iter().map(|words| words.text.as_str()).collect();
            for text in ["Wrong codes (%)", "Channels", &layers[0].name, "all channels exact", "0"] {
                assert!(texts.contains(&text), "{text}: {texts:?}");
            }
        }
    }

    #[test]
    fn the_name_says_the_format_and_the_numbers_lie_beside() {
        let folder = tempfile::tempdir().unwrap();
        let layers = [layer("conv2", 2)];
        for name in ["bn.svg", "bn.png"] {
            let written = write_batch_norm(&layers, &folder.path().join(name)).unwrap();
            assert_eq!(written, [folder.path().join(name), folder.path().join("bn.csv")]);
        }
        let text = std::fs::read_to_string(folder.path().join("bn.csv")).unwrap();
        assert!(text.contains("conv2,mismatch,,1,0.5\n"), "{text}");
        assert!(text.contains("conv2,smallest_exact_shift,1,4,\n"), "{text}");
        let wrong = write_batch_norm(&layers, &folder.path().join("bn.jpeg")).unwrap_err().to_string();
        assert!(wrong.ends_with("expected a name that ends in .svg, .pdf or .png"), "{wrong}");
        assert!(write_batch_norm(&[], &folder.path().join("x.svg")).is_err());
    }
}
