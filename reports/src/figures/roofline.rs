//! The roofline (Williams et al. 2009): speed of kernels over arithmetic intensity, below the rates at which the machine
//! reads and computes.

use std::collections::BTreeSet;

use harness_records::bench_report::{Bound, KernelResult};

use crate::error::ReportError;
use crate::figures::kernel_speed::{WITHOUT, data};
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::Kernels;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{LIMIT, Look, plain_look};
use crate::plot::theme::Theme;
use crate::trials::Trials;

/// `roofline`.
pub(crate) struct Roofline;

/// A multiply-accumulate is two operations.
const OPS: f64 = 2.0;
/// Looks of bit widths come first; those of memories follow where none of them is in use.
const MEMORY_LOOKS: usize = 40;

/// A cell in its place.
struct Place<'a> {
    cell: &'a KernelResult,
    /// Multiply-accumulates a byte.
    intensity: f64,
    /// 10^9 operations a second.
    gops: f64,
}

impl Place<'_> {
    fn of(cell: &KernelResult) -> Option<Place<'_>> {
        let positive = |number: f64| (number > 0.0 && number.is_finite()).then_some(number);
        Some(Place { cell, intensity: positive(cell.intensity)?, gops: positive(cell.gops)? })
    }
}

impl Figure for Roofline {
    fn name(&self) -> &'static str {
        "roofline"
    }

    fn title(&self) -> &'static str {
        "Kernels against the limits of the machine"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else { return Ok(Drawn::Nothing(WITHOUT.to_owned())) };
        let places: Vec<Place<'_>> = kernels.chosen().filter_map(Place::of).collect();
        if places.is_empty() {
            return Ok(Drawn::Nothing("no cell of the kernel bench has an intensity and a speed".to_owned()));
        }
        let looks = BitLooks::of(places.iter().map(|place| place.cell.bits.as_str()));
        let plot = plot(kernels, &places, &looks);
        let mut key = looks.key();
        key.extend(kernels.memory().iter().enumerate().map(|(i, memory)| (Key::Line(slope(i)), size(memory.bytes))));
        let routes: BTreeSet<&str> = places.iter().map(|place| &*place.cell.route).filter(|r| !r.is_empty()).collect();
        let routes = routes.into_iter().collect::<Vec<_>>().join(", ");
        let caption = format!(
            "Speed of each kernel on packed activations over its arithmetic intensity{}. Flat lines: the rate of the \
             innermost instructions alone at these bit widths, the largest over shapes. Slopes: what reading a buffer of \
             this size allows, on one thread. Both were measured in the same run. Routes: {}.",
            kernels.place(),
            if routes.is_empty() { "not named" } else { &routes }
        );
        let chart = Chart { columns: 1, wide: true, panel_height: Some(230.0), ..Chart::new(vec![plot], key) };
        Ok(Drawn::Picture(Picture { pages: chart.draw(theme), data: data(kernels), caption }))
    }
}

/// One look a pair of bit widths.
struct BitLooks<'a>(Vec<&'a str>);

impl<'a> BitLooks<'a> {
    fn of(bits: impl Iterator<Item = &'a str>) -> BitLooks<'a> {
        let mut seen = BTreeSet::new();
        BitLooks(bits.filter(|bits| seen.insert(*bits)).collect())
    }

    fn get(&self, bits: &str) -> Option<Look> {
        self.0.iter().position(|known| *known == bits).map(plain_look)
    }

    fn key(&self) -> Vec<(Key, String)> {
        self.0.iter().enumerate().map(|(i, bits)| (Key::Series(plain_look(i)), (*bits).to_owned())).collect()
    }
}

/// Look of the slope of a memory: grey, told apart by dashes.
fn slope(index: usize) -> Look {
    Look { colour: LIMIT.colour, ..plain_look(MEMORY_LOOKS + index) }
}

fn plot(kernels: &Kernels, places: &[Place<'_>], looks: &BitLooks<'_>) -> Plot {
    let (min, most) = ends(places.iter().map(|place| place.intensity));
    // A margin in which the lines can be seen beside the first and the last kernel.
    let (left, right) = (min / 1.3, most * 1.3);
    let ceilings = ceilings(places);
    let (slowest, fastest) = ends(places.iter().map(|place| place.gops).chain(ceilings.iter().map(|(_, gops)| *gops)));
    let (floor, top) = (slowest / 1.2, fastest * 1.2);
    let mut items = Vec::new();
    for (i, memory) in kernels.memory().iter().enumerate() {
        let at = |intensity: f64| OPS * intensity * memory.gb_per_s;
        let (from, to) = (left.max(floor / at(1.0)), right.min(top / at(1.0)));
        if from < to {
            items.push(Item::Line { points: vec![(from, at(from)), (to, at(to))], look: slope(i) });
        }
    }
    for (bits, gops) in &ceilings {
        let Some(look) = looks.get(bits) else { continue };
        // From where the fastest memory reaches it.
        let reached =
            kernels.memory().iter().map(|memory| gops / (OPS * memory.gb_per_s)).fold(f64::INFINITY, f64::min);
        let from = if reached.is_finite() { reached.max(left) } else { left };
        if from < right {
            items.push(Item::Line { points: vec![(from, *gops), (right, *gops)], look });
        }
    }
    let marker = |place: &Place<'_>| {
        let look = looks.get(&place.cell.bits)?;
        Some(Item::Marker { x: place.intensity, y: place.gops, spread: None, look })
    };
    items.extend(places.iter().filter_map(marker));
    Plot {
        panel: Panel {
            title: String::new(),
            x_label: "Multiply-accumulates for each byte moved".to_owned(),
            y_label: "10^9 operations a second".to_owned(),
            x: Scale::log([left, right]),
            y: Scale::log([floor, top]),
        },
        items,
    }
}

/// The least and the largest.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, most), value| (min.min(value), most.max(value)))
}

/// The rate of the innermost instructions at each pair of widths, where that and not reading is the limit.
fn ceilings<'a>(places: &[Place<'a>]) -> Vec<(&'a str, f64)> {
    let mut ceilings: Vec<(&str, f64)> = Vec::new();
    for cell in places.iter().map(|place| place.cell).filter(|cell| cell.bound != Bound::Memory) {
        let limit = cell.limit_gops;
        match ceilings.iter_mut().find(|(bits, _)| *bits == cell.bits) {
            Some((_, known)) => *known = known.max(limit),
            None => ceilings.push((&cell.bits, limit)),
        }
    }
    ceilings
}

/// `reading 256 KiB`.
fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("reading {} MiB", bytes >> 20) } else { format!("reading {} KiB", bytes >> 10) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::style::plain_look;

    #[test]
    fn memories_look_like_no_bit_widths() {
        let dashes: BTreeSet<String> = (0..5).map(|i| format!("{:?}", slope(i).dashes)).collect();
        assert_eq!(dashes.len(), 5);
        assert!((0..40).all(|i| plain_look(i).colour != slope(0).colour));
    }
}
