//! One panel: a pair of axes with ticks, labels and a title, and the way from values to places on paper.

use crate::plot::canvas::{Anchor, Canvas, Point};
use crate::plot::style::{GRID, INK};
use crate::plot::theme::Theme;

/// What an axis runs over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scale {
    /// Numbers from `low` to `high`, with ticks at whole multiples of a round step.
    Linear { low: f64, high: f64, step: f64, decimals: usize, most: f64, min: f64 },
    /// Positive numbers by their magnitude, from `10^low` to `10^high`; with `zero`, a place of its own for 0 at the
    /// lower end.
    Log { low: f64, high: f64, zero: bool },
    /// Names at even distances; the value of the first is 0, of the second 1.
    Categories(Vec<String>),
}

/// Fraction of a logarithmic axis below its first magnitude, where it shows 0 too, and where 0 stands.
const ZERO_ROOM: f64 = 0.12;
const ZERO_PLACE: f64 = 0.03;

impl Scale {
    /// An axis around `values`, at least `span` long, with a margin at both ends; ticks stay within `bounds`, the
    /// values that can occur. Without values it runs over the bounds.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, span: f64, bounds: (f64, f64)) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = bounds;
        }
        let missing = (span - (high - low)).max(0.0);
        let margin = 0.06 * (high - low).max(span);
        // Room that is only there for the span lies where values can be.
        let above = (missing / 2.0).min((bounds.1 - high).max(0.0));
        let below = (missing - above).min((low - bounds.0).max(0.0));
        (low, high) = (low - below - margin, high + (missing - below) + margin);
        let (step, decimals) = round_step(low.max(bounds.0), high.min(bounds.1));
        Scale::Linear { low, high, step, decimals, min: bounds.0, most: bounds.1 }
    }

    /// An axis of epochs, which are whole.
    pub(crate) fn epochs(values: impl IntoIterator<Item = f64>) -> Scale {
        match Scale::linear(values, 1.0, (1.0, f64::MAX)) {
            Scale::Linear { low, high, min, most, step, .. } if step < 1.0 => {
                Scale::Linear { low, high, step: 1.0, decimals: 0, min, most }
            }
            scale => scale,
        }
    }

    /// An axis of counts and the like from exactly 0 to beyond `most`: bars stand on its lower end.
    pub(crate) fn from_zero(most: f64) -> Scale {
        let high = if most > 0.0 { most * 1.12 } else { 1.0 };
        let (step, decimals) = round_step(0.0, high);
        Scale::Linear { low: 0.0, high, step, decimals, min: 0.0, most: f64::MAX }
    }

    /// A logarithmic axis around the positive ones of `values`, at least a factor of 10 long; with a place for 0 where
    /// that is among them. Without positive values it runs from 0.1 to 1.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>) -> Scale {
        let (mut low, mut high, mut zero) = (f64::INFINITY, f64::NEG_INFINITY, false);
        for value in values {
            zero |= value == 0.0;
            if value > 0.0 {
                (low, high) = (low.min(value.log10()), high.max(value.log10()));
            }
        }
        if low > high {
            (low, high) = (-1.0, 0.0);
        }
        let missing = (1.0 - (high - low)).max(0.0);
        let margin = 0.06 * (high - low + missing);
        Scale::Log { low: low - missing / 2.0 - margin, high: high + missing / 2.0 + margin, zero }
    }

    /// The value that stands a fraction of the axis to the right of another.
    pub(crate) fn beside(&self, value: f64, fraction: f64) -> f64 {
        match self {
            Scale::Log { low, high, .. } => value * 10f64.powf(fraction * (high - low)),
            Scale::Linear { low, high, .. } => value + fraction * (high - low),
            Scale::Categories(names) => value + fraction * names.len() as f64,
        }
    }

    /// Fraction of the axis at which a value lies.
    fn place(&self, value: f64) -> f64 {
        match self {
            Scale::Log { zero: true, .. } if value <= 0.0 => ZERO_PLACE,
            Scale::Log { low, high, zero } => {
                let room = if *zero { ZERO_ROOM } else { 0.0 };
                room + (1.0 - room) * (value.log10() - low) / (high - low)
            }
            Scale::Linear { low, high, .. } => (value - low) / (high - low),
            Scale::Categories(names) => (value + 0.5) / names.len() as f64,
        }
    }

    /// Whether lines across the panel help to read it: between names they would not.
    fn has_grid(&self) -> bool {
        !matches!(self, Scale::Categories(_))
    }

    /// The smallest and the largest value that the axis shows; `None` for names.
    pub(crate) fn ends(&self) -> Option<(f64, f64)> {
        match self {
            Scale::Linear { low, high, .. } => Some((*low, *high)),
            Scale::Log { low, high, .. } => Some((10f64.powf(*low), 10f64.powf(*high))),
            Scale::Categories(_) => None,
        }
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Scale::Linear { low, high, step, decimals, min, most } => {
                let (first, last) = ((low.max(*min) / step - 1e-9).ceil(), (high.min(*most) / step + 1e-9).floor());
                let count = (last - first).max(-1.0) as usize + 1;
                (0..count)
                    .map(|i| {
                        // Adding zero turns the negative zero into the positive one.
                        let value = (first + i as f64) * step + 0.0;
                        (value, format!("{value:.decimals$}").replace('-', "−"))
                    })
                    .collect()
            }
            Scale::Log { low, high, zero } => {
                let mut ticks = if *zero { vec![(0.0, "0".to_owned())] } else { Vec::new() };
                ticks.extend(log_ticks(*low, *high));
                ticks
            }
            Scale::Categories(names) => names.iter().enumerate().map(|(i, name)| (i as f64, name.clone())).collect(),
        }
    }
}

/// Round numbers from `10^low` to `10^high`: whole magnitudes, some of them left out where there are many, and 2 and 5
/// times them where there are few.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let step = (((high - low) / TICKS).ceil() as usize).max(1);
    let factors: &[f64] = match high - low {
        span if span < 1.2 => &[1.0, 2.0, 5.0],
        span if span < 2.0 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let magnitudes = (first..=last).filter(|power| power.rem_euclid(step as i32) == 0);
    let ticks = magnitudes.flat_map(|power| factors.iter().map(move |factor| (*factor, power)));
    let within = |value: f64| (low - 1e-9..=high + 1e-9).contains(&value.log10());
    ticks.map(|(factor, power)| (factor * 10f64.powi(power), short(factor, power))).filter(|t| within(t.0)).collect()
}

/// `factor * 10^power` in few characters: `0.02`, `5`, `200 k`, `1 G`; `1e−6` where that would be long.
fn short(factor: f64, power: i32) -> String {
    let (names, first) = (["", " k", " M", " G", " T", " P"], 3);
    match power {
        -4..0 => format!("{:.*}", power.unsigned_abs() as usize, factor * 10f64.powi(power)),
        0..18 => format!("{}{}", factor * 10f64.powi(power % first), names[(power / first) as usize]),
        _ => format!("{factor}e{power}").replace('-', "−"),
    }
}

/// Ticks an axis should have.
const TICKS: f64 = 5.0;

/// 1, 2 or 5 times a power of ten, whichever puts nearest to [`TICKS`] ticks between `low` and `high`, with the
/// decimals it needs.
fn round_step(low: f64, high: f64) -> (f64, usize) {
    let power = ((high - low) / TICKS).log10().floor() as i32;
    let candidates = (power - 1..=power + 1).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| (factor, power)));
    let steps = candidates.map(|(factor, power)| (factor * 10f64.powi(power), (-power).max(0) as usize));
    let off = |step: f64| ((high / step + 1e-9).floor() - (low / step - 1e-9).ceil() + 1.0 - TICKS).abs();
    steps.fold((high - low, 0), |best, next| if off(next.0) < off(best.0) { next } else { best })
}

/// A rectangle, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    /// True where the two have a point in common.
    pub(crate) fn meets(&self, other: &Area) -> bool {
        self.left < other.left + other.width
            && other.left < self.left + self.width
            && self.top < other.top + other.height
            && other.top < self.top + self.height
    }

    /// True where no point of it is outside of the other.
    pub(crate) fn lies_in(&self, other: &Area) -> bool {
        self.left >= other.left
            && self.top >= other.top
            && self.left + self.width <= other.left + other.width
            && self.top + self.height <= other.top + other.height
    }

    /// True where a straight line from one point to another has a part inside.
    pub(crate) fn is_crossed(&self, from: Point, to: Point) -> bool {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        // The part of the line between two parallel sides, as fractions of its length.
        let between = |start: f64, step: f64, low: f64, high: f64| match step == 0.0 {
            true if low < start && start < high => (0.0, 1.0),
            true => (1.0, 0.0),
            false => {
                let (a, b) = ((low - start) / step, (high - start) / step);
                (a.min(b), a.max(b))
            }
        };
        let (x, y) = (between(from.0, dx, self.left, right), between(from.1, dy, self.top, bottom));
        x.0.max(y.0).max(0.0) < x.1.min(y.1).min(1.0)
    }
}

/// A panel, before it has a place.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
}

/// A panel in its place: where its values go.
#[derive(Debug, Clone)]
pub(crate) struct Axes {
    /// The rectangle of the data.
    pub(crate) inner: Area,
    x: Scale,
    y: Scale,
}

const TICK: f64 = 2.5;
/// Width of the lines of the axes.
pub(crate) const AXIS_WIDTH: f64 = 0.7;
const GRID_WIDTH: f64 = 0.5;
/// From a tick to its words, and between words.
const GAP: f64 = 2.5;
/// So many names on an axis are all worth showing, even if they have to be turned.
const FEW: usize = 48;
/// Longest name that is turned whole.
const TURNED_ROOM: f64 = 110.0;
/// Room for the half of a tick's label that reaches over the end of an axis.
const RIM: f64 = 5.0;
/// Lines of a title.
const TITLE_LINES: usize = 3;
/// Fraction of a panel's width that the words of its vertical axis may take.
const LEFT_SHARE: f64 = 0.45;

/// Room around the data of a panel, the same for all panels that stand in a row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Margins {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Margins {
    /// Enough for both.
    pub(crate) fn max(self, other: Margins) -> Margins {
        Margins {
            left: self.left.max(other.left),
            right: self.right.max(other.right),
            top: self.top.max(other.top),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// How the names of a horizontal axis are written.
struct TickLayout {
    /// One of so many is written.
    every: usize,
    /// Names stand upright.
    turned: bool,
    /// Height of the written names.
    height: f64,
    /// Room along the axis for one level name.
    room: f64,
}

impl Panel {
    /// Room that the vertical axis needs to the left of the data in a panel of a width.
    pub(crate) fn left(&self, theme: &Theme, width: f64) -> f64 {
        let widest = self.y.ticks().iter().map(|(_, text)| theme.width(text, theme.small)).fold(0.0, f64::max);
        let label = if self.y_label.is_empty() { 0.0 } else { theme.label * 1.2 + GAP };
        (label + widest + GAP + TICK).min(LEFT_SHARE * width)
    }

    /// All margins in a panel of a width, given what is left and right.
    pub(crate) fn margins(&self, theme: &Theme, width: f64, left: f64, right: f64) -> Margins {
        let inner = width - left - right;
        let lines = self.title_lines(theme, width).len();
        let title = if lines == 0 { RIM } else { lines as f64 * theme.label * 1.15 + 2.0 * GAP };
        let ticks = self.tick_layout(theme, inner);
        let label = if self.x_label.is_empty() { 0.0 } else { GAP + theme.label * 1.2 };
        Margins { left, right: right.max(RIM), top: title, bottom: TICK + GAP + ticks.height + label }
    }

    fn title_lines(&self, theme: &Theme, width: f64) -> Vec<String> {
        theme.lettering.lines(&self.title, theme.label, width, TITLE_LINES)
    }

    fn tick_layout(&self, theme: &Theme, inner_width: f64) -> TickLayout {
        let ticks = self.x.ticks();
        let room = inner_width / ticks.len().max(1) as f64;
        let widest = ticks.iter().map(|(_, text)| theme.width(text, theme.small)).fold(0.0, f64::max);
        let level = TickLayout { every: 1, turned: false, height: theme.small, room: room - GAP };
        if widest <= level.room || !matches!(self.x, Scale::Categories(_)) {
            return level;
        }
        if ticks.len() > FEW {
            let every = ((widest + GAP) / room.max(1.0)).ceil().max(1.0) as usize;
            return TickLayout { every, room: room * every as f64 - GAP, ..level };
        }
        let every = (theme.small * 1.1 / room).ceil().max(1.0) as usize;
        TickLayout { every, turned: true, height: widest.min(TURNED_ROOM), room }
    }

    /// Draws everything but the data into `area`, with these margins, and says where data go.
    pub(crate) fn draw(self, canvas: &mut Canvas, theme: &Theme, area: Area, margins: Margins) -> Axes {
        let inner = Area {
            left: area.left + margins.left,
            top: area.top + margins.top,
            width: area.width - margins.left - margins.right,
            height: area.height - margins.top - margins.bottom,
        };
        let (small, label) = (theme.small, theme.label);
        let layout = self.tick_layout(theme, inner.width);
        let title = self.title_lines(theme, area.width);
        let axes = Axes { inner, x: self.x, y: self.y };
        let (right, bottom) = (inner.left + inner.width, inner.top + inner.height);
        let axis_width = AXIS_WIDTH * theme.scale;

        let label_room = if self.y_label.is_empty() { 0.0 } else { label * 1.2 + GAP };
        for (value, text) in axes.y.ticks() {
            let y = axes.y_at(value);
            if axes.y.has_grid() {
                canvas.stroke(vec![(inner.left, y), (right, y)], GRID_WIDTH, GRID);
            }
            canvas.stroke(vec![(inner.left - TICK, y), (inner.left, y)], axis_width, INK);
            let text = theme.lettering.fit(&text, small, margins.left - TICK - GAP - label_room + 0.01);
            canvas.words(&text, (inner.left - TICK - GAP, y), small, Anchor::End, INK);
        }
        for (i, (value, text)) in axes.x.ticks().into_iter().enumerate() {
            let x = axes.x_at(value);
            canvas.stroke(vec![(x, bottom), (x, bottom + TICK)], axis_width, INK);
            if i % layout.every != 0 {
                continue;
            }
            let top = bottom + TICK + GAP;
            if layout.turned {
                let text = theme.lettering.fit(&text, small, TURNED_ROOM);
                canvas.words_upwards(&text, (x, top + theme.width(&text, small) / 2.0), small, INK);
            } else {
                let text = theme.lettering.fit(&text, small, layout.room.max(small));
                canvas.words(&text, (x, top + small / 2.0), small, Anchor::Middle, INK);
            }
        }
        canvas.stroke(vec![(inner.left, inner.top), (inner.left, bottom), (right, bottom)], axis_width, INK);

        let centre = (inner.left + inner.width / 2.0, inner.top + inner.height / 2.0);
        let below = bottom + margins.bottom - label * 0.7;
        let x_label = theme.lettering.fit(&self.x_label, label, area.width);
        let x_centre = centre.0.min(area.left + area.width - theme.width(&x_label, label) / 2.0);
        canvas.words(&x_label, (x_centre, below), label, Anchor::Middle, INK);
        let y_label = theme.lettering.fit(&self.y_label, label, area.height);
        let half = theme.width(&y_label, label) / 2.0;
        let y_centre = centre.1.max(area.top + half).min(area.top + area.height - half);
        canvas.words_upwards(&y_label, (area.left + label * 0.6, y_centre), label, INK);
        // Over the data where it fits there, otherwise over the whole panel.
        for (i, line) in title.iter().enumerate() {
            let half = theme.width(line, label) / 2.0;
            let x = centre.0.max(area.left + half).min(area.left + area.width - half);
            let y = area.top + GAP / 2.0 + label * (0.5 + 1.15 * i as f64);
            canvas.words(line, (x, y), label, Anchor::Middle, INK);
        }
        axes
    }
}

impl Axes {
    /// Horizontal place of a value.
    pub(crate) fn x_at(&self, value: f64) -> f64 {
        self.inner.left + self.inner.width * self.x.place(value)
    }

    /// Vertical place of a value.
    pub(crate) fn y_at(&self, value: f64) -> f64 {
        self.inner.top + self.inner.height * (1.0 - self.y.place(value))
    }

    /// Place of a pair.
    pub(crate) fn at(&self, x: f64, y: f64) -> Point {
        (self.x_at(x), self.y_at(y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_crosses_what_it_has_a_part_in() {
        let area = Area { left: 10.0, top: 10.0, width: 10.0, height: 4.0 };
        let check = |from, to, expected| {
            assert_eq!(area.is_crossed(from, to), expected, "{from:?} {to:?}");
            assert_eq!(area.is_crossed(to, from), expected, "{to:?} {from:?}");
        };
        check((0.0, 12.0), (30.0, 12.0), true);
        check((15.0, 0.0), (15.0, 30.0), true);
        check((12.0, 11.0), (13.0, 12.0), true);
        check((0.0, 0.0), (30.0, 30.0), true);
        check((0.0, 12.0), (9.0, 12.0), false);
        check((0.0, 15.0), (30.0, 15.0), false);
        check((0.0, 10.0), (30.0, 10.0), false);
        check((5.0, 12.0), (12.0, 30.0), false);
    }

    #[test]
    fn ticks_are_round() {
        let check = |values: &[f64], expected: &[&str]| {
            let scale = Scale::linear(values.iter().copied(), 1.0, (0.0, 100.0));
            let ticks: Vec<String> = scale.ticks().into_iter().map(|(_, text)| text).collect();
            assert_eq!(ticks, expected);
        };
        check(&[10.0, 97.5], &["20", "40", "60", "80", "100"]);
        check(&[97.2], &["96.8", "97.0", "97.2", "97.4", "97.6"]);
        check(&[0.0], &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(&[], &["0", "20", "40", "60", "80", "100"]);
        check(&[88.0, 99.9], &["88", "90", "92", "94", "96", "98", "100"]);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_and_ticks_are_few(values in prop::collection::vec(0.0f64..100.0, 1..9)) {
            let scale = Scale::linear(values.iter().copied(), 1.0, (0.0, 100.0));
            prop_assert!(values.iter().all(|&v| (0.0..=1.0).contains(&scale.place(v))));
            let ticks = scale.ticks();
            prop_assert!((2..=8).contains(&ticks.len()), "{:?}", ticks);
            prop_assert!(ticks.iter().all(|(v, _)| (-1e-6..=1.0 + 1e-6).contains(&scale.place(*v))));
            prop_assert!(ticks.iter().all(|(v, text)| (text.replace('−', "-").parse::<f64>().unwrap() - v).abs() < 1e-9));
        }

        #[test]
        fn magnitudes_have_places_and_ticks(powers in prop::collection::vec(-8.0f64..15.0, 1..9), zero: bool) {
            let values: Vec<f64> = powers.iter().map(|p| 10f64.powf(*p)).chain(zero.then_some(0.0)).collect();
            let scale = Scale::log(values.iter().copied());
            prop_assert!(values.iter().all(|&v| (0.0..=1.0).contains(&scale.place(v))));
            let ticks = scale.ticks();
            prop_assert!((1..=9).contains(&ticks.len()), "{:?}", ticks);
            prop_assert!(ticks.iter().all(|(v, _)| (-1e-6..=1.0 + 1e-6).contains(&scale.place(*v))));
        }
    }

    #[test]
    fn magnitudes_are_round() {
        let check = |values: &[f64], expected: &[&str]| {
            let ticks: Vec<String> = Scale::log(values.iter().copied()).ticks().into_iter().map(|(_, t)| t).collect();
            assert_eq!(ticks, expected);
        };
        check(&[1e-3, 1.0], &["0.001", "0.01", "0.1", "1"]);
        check(&[0.0, 1e-6, 100.0], &["0", "1e−6", "0.0001", "0.01", "1", "100"]);
        check(&[3e5, 2e6], &["500 k", "1 M", "2 M"]);
        check(&[1e9], &["500 M", "1 G", "2 G"]);
        check(&[0.0], &["0", "0.1", "0.2", "0.5", "1"]);
    }

    #[test]
    fn categories_are_evenly_spaced() {
        let scale = Scale::Categories(["1", "2", "8"].map(str::to_owned).to_vec());
        assert_eq!([0.0, 1.0, 2.0].map(|i| scale.place(i)), [0.5 / 3.0, 0.5, 2.5 / 3.0]);
    }
}
