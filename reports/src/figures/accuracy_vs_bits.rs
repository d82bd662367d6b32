//! Results against bit widths: one panel a question (what is quantized, which width is held), one line a method.

use std::collections::{BTreeMap, BTreeSet};

use crate::accuracy::{IDENTITY, Row, by_place, full_precision};
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::looks::Looks;
use crate::figures::measure::{AXIS_GAP, Measure, PERCENT, Spread, in_words, outlier_limit};
use crate::figures::questions::{Question, questions, widths};
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, Picture};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{Look, PUBLISHED};
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;
use harness_stats::Summary;

/// `accuracy_vs_bits`.
pub(crate) struct AccuracyVsBits;

impl Figure for AccuracyVsBits {
    fn name(&self) -> &'static str {
        "accuracy_vs_bits"
    }

    fn title(&self) -> &'static str {
        "Accuracy against bit width"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let rows = trials.rows()?;
        let shown = rows.iter().filter(|row| row.top1.summary.or(row.perplexity.summary).is_some());
        if shown.clone().next().is_none() {
            return Ok(Drawn::Nothing("no trial finished with an accuracy or a perplexity".to_owned()));
        }
        let looks = Looks::new(&trials.labels.names);
        let spread = Spread::of(shown.filter_map(|row| Measure::of_row(row)?.summary(row)));
        let contents = contents(rows, spread);
        let panels = contents.iter().map(|content| plot(content, &looks, spread)).collect();
        let pages = Chart::new(panels, legend(&contents, &looks, spread)).draw(theme);
        let caption = caption(&contents, rows, spread, trials);
        Ok(Drawn::Picture(Picture { pages, data: data(rows), caption }))
    }
}

/// A point of a line.
#[derive(Debug, Clone)]
struct Point {
    /// Place on the axis, from 0.
    place: f64,
    /// Mean and spread in the unit of the axis; `None` when no trial finished.
    summary: Option<Summary>,
    /// What was published for it, in the same unit.
    published: Option<f64>,
    /// What it is, for whoever points at it.
    setting: String,
}

/// One panel.
struct Content<'a> {
    title: String,
    question: Question,
    measure: Measure,
    float: Option<Summary>,
    /// Names along the axis.
    places: Vec<String>,
    /// Points of each name, from left to right.
    lines: BTreeMap<&'a str, Vec<Point>>,
    /// Values beyond this one are shown at the edge.
    limit: Option<f64>,
    /// The vertical axis.
    scale: Scale,
}

/// Fraction of a common axis that every panel of a place must fill for the panels to have it.
const SHARED: f64 = 0.4;

/// Room for crosses below all values, as a fraction of their range.
const CROSS_ROOM: f64 = 0.2;

fn contents(known: &[Row], spread: Spread) -> Vec<Content<'_>> {
    let places = by_place(known.iter());
    let titles = Titles::of(places.keys().copied());
    let mut all = Vec::new();
    for (place, rows) in &places {
        let Some(measure) = Measure::of(rows.iter().copied()) else { continue };
        let float = rows.first().and_then(|row| full_precision(known, row)).and_then(|row| measure.summary(row));
        let mut groups: Vec<(Question, Vec<&Row>)> = questions(rows).into_iter().collect();
        if groups.is_empty() {
            groups.push((Question::Weights, Vec::new()));
        }
        let alone = places.len() == 1;
        let mut here: Vec<Content<'_>> = Vec::new();
        for (question, rows) in groups.iter().filter(|(_, rows)| float.is_some() || !rows.is_empty()) {
            // A single panel says where its trials are from, several share a sentence of the caption.
            let what = if rows.is_empty() { "full precision".to_owned() } else { question.title() };
            let whole = alone && groups.len() == 1;
            let head = if whole { titles.get(*place) } else { titles.head(*place) };
            let title = if head.is_empty() { what } else { format!("{head}: {}", lower(&what)) };
            here.push(content(title, *question, measure, float, rows, spread));
        }
        share_axes(&mut here, spread);
        all.extend(here);
    }
    all
}

/// The first letter small, as inside a sentence.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn content<'a>(
    title: String,
    question: Question,
    measure: Measure,
    float: Option<Summary>,
    rows: &[&'a Row],
    spread: Spread,
) -> Content<'a> {
    let order: BTreeSet<([u32; 3], String)> = rows.iter().map(|row| question.place(row)).collect();
    let places: Vec<String> = order.iter().map(|(_, name)| name.clone()).collect();
    let mut lines: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for row in rows {
        let place = order.iter().position(|known| *known == question.place(row)).unwrap_or(0) as f64;
        lines.entry(&row.method).or_default().push(Point {
            place,
            summary: measure.summary(row),
            published: measure.published(row),
            setting: widths(row),
        });
    }
    for points in lines.values_mut() {
        points.sort_by(|a, b| a.place.total_cmp(&b.place));
    }
    let places = if places.is_empty() { vec!["32".to_owned()] } else { places };
    let scale = measure.scale([]);
    let mut content = Content { title, question, measure, float, places, lines, limit: None, scale };
    content.limit = outlier_limit(content.means(), measure.rises(), AXIS_GAP);
    content.scale = measure.scale(content.ends(spread));
    content
}

impl Content<'_> {
    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.values().flatten()
    }

    fn means(&self) -> Vec<f64> {
        self.points().filter_map(|point| point.summary).chain(self.float).map(|summary| summary.mean).collect()
    }

    fn beyond(&self, value: f64) -> bool {
        self.limit.is_some_and(|limit| if self.measure.rises() { value < limit } else { value > limit })
    }

    /// Ends of everything that is shown in its place.
    fn ends(&self, spread: Spread) -> Vec<f64> {
        let ours = self.points().filter_map(|point| point.summary).chain(self.float);
        let ours = ours.filter(|summary| !self.beyond(summary.mean)).flat_map(|summary| {
            let half = spread.half(summary).unwrap_or(0.0);
            let (low, high) = self.measure.bounds();
            [(summary.mean - half).max(low), (summary.mean + half).min(high)]
        });
        let published = self.points().filter_map(|point| point.published).filter(|value| !self.beyond(*value));
        let mut ends: Vec<f64> = ours.chain(published).collect();
        // Crosses stand at the lower end of the panel: a published value right above one would look like a part of it.
        let apart = |point: &Point| point.summary.is_none() && point.published.is_some();
        if self.points().any(apart) {
            let (low, high) = ends.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            ends.push((low - CROSS_ROOM * (high - low).max(1.0)).max(self.measure.bounds().0));
        }
        ends
    }
}

/// Panels of one place get one vertical axis where each of them fills enough of it.
fn share_axes(panels: &mut [Content<'_>], spread: Spread) {
    let spans: Vec<(f64, f64)> = panels.iter().filter_map(|panel| panel.scale.ends()).collect();
    let low = spans.iter().map(|span| span.0).fold(f64::INFINITY, f64::min);
    let high = spans.iter().map(|span| span.1).fold(f64::NEG_INFINITY, f64::max);
    if spans.len() != panels.len() || spans.iter().any(|(from, to)| to - from < SHARED * (high - low)) {
        return;
    }
    let all: Vec<f64> = panels.iter().flat_map(|panel| panel.ends(spread)).collect();
    for panel in panels.iter_mut() {
        panel.scale = panel.measure.scale(all.iter().copied());
    }
}

/// Lines stand side by side at a width, this far apart at most and no wider together than `FAN` of its room.
const STEP: f64 = 0.12;
const FAN: f64 = 0.6;

fn plot(content: &Content<'_>, looks: &Looks, spread: Spread) -> Plot {
    let float = content.float.map(|float| {
        let words = in_words(content.measure, spread, float);
        Item::Reference { y: float.mean, spread: spread.half(float) }.told("float", format!("full precision: {words}"))
    });
    let mut items: Vec<Item> = float.into_iter().collect();
    let mut names: Vec<&str> = content.lines.keys().copied().collect();
    names.sort_by_key(|name| (looks.place(name), *name));
    let count = names.len();
    let step = STEP.min(FAN / count.max(1) as f64);
    for (i, name) in names.iter().enumerate() {
        let shift = (i as f64 - (count as f64 - 1.0) / 2.0) * step;
        items.push(line(content, name, looks.get(name), shift, spread));
    }
    Plot {
        panel: Panel {
            title: one_line(&content.title),
            x_label: if content.lines.is_empty() { String::new() } else { content.question.axis().to_owned() },
            y_label: content.measure.label().to_owned(),
            x: Scale::Categories(content.places.clone()),
            y: content.scale.clone(),
        },
        items,
    }
}

/// Everything of one name in a panel.
fn line(content: &Content<'_>, name: &str, look: Look, shift: f64, spread: Spread) -> Item {
    let shown = one_line(name);
    let points = &content.lines[name];
    let mut items = Vec::new();
    if content.question.has_lines() {
        // A width at which nothing finished breaks the line: nothing is known there.
        for pair in points.windows(2) {
            let (Some(from), Some(to)) = (pair[0].summary, pair[1].summary) else { continue };
            let ends = ((pair[0].place + shift, from.mean), (pair[1].place + shift, to.mean));
            items.extend(segment(content, ends).map(|points| Item::Line { points, look }));
        }
    }
    for point in points {
        let x = point.place + shift;
        if let Some(value) = point.published {
            let words = format!("{shown} {}: published {value:.2}{}", point.setting, content.measure.unit());
            items.push(marker(content, x, value, None, look.published()).told(&shown, words));
        }
        let (item, words) = match point.summary {
            Some(summary) => (
                marker(content, x, summary.mean, spread.half(summary), look),
                in_words(content.measure, spread, summary),
            ),
            None => (Item::Missing { x, look }, "no trial finished".to_owned()),
        };
        items.push(item.told(&shown, format!("{shown} {}: {words}", point.setting)));
    }
    Item::Group { series: shown, title: None, items }
}

/// A value in its place, or at the edge where it lies beyond the axis.
fn marker(content: &Content<'_>, x: f64, y: f64, spread: Option<f64>, look: Look) -> Item {
    if content.beyond(y) {
        let above = !content.measure.rises();
        return Item::Beyond { x, above, text: format!("{y:.1}"), look };
    }
    Item::Marker { x, y, spread, look }
}

/// The part of a line between two points that lies on the axis; `None` where nothing does.
fn segment(content: &Content<'_>, (from, to): ((f64, f64), (f64, f64))) -> Option<Vec<(f64, f64)>> {
    let (low, high) = content.scale.ends()?;
    let edge = if content.measure.rises() { low } else { high };
    let cut = |inside: (f64, f64), outside: (f64, f64)| {
        let fraction = (edge - inside.1) / (outside.1 - inside.1);
        (inside.0 + (outside.0 - inside.0) * fraction, edge)
    };
    match (content.beyond(from.1), content.beyond(to.1)) {
        (false, false) => Some(vec![from, to]),
        (false, true) => Some(vec![from, cut(from, to)]),
        (true, false) => Some(vec![cut(to, from), to]),
        (true, true) => None,
    }
}

fn legend(contents: &[Content<'_>], looks: &Looks, spread: Spread) -> Vec<(Key, String)> {
    let used: BTreeSet<&str> = contents.iter().flat_map(|content| content.lines.keys().copied()).collect();
    let mut key = looks.key(&used, Key::Series);
    let floats: Vec<Summary> = contents.iter().filter_map(|content| content.float).collect();
    if !floats.is_empty() {
        key.push((Key::Reference { band: floats.iter().any(|float| float.sd.is_some()) }, "float".to_owned()));
    }
    let points = || contents.iter().flat_map(Content::points);
    if points().any(|point| point.summary.is_some_and(|summary| summary.sd.is_some())) {
        key.push((Key::Spread { across: false }, spread.name().to_owned()));
    }
    if points().any(|point| point.published.is_some()) {
        key.push((Key::Marker(PUBLISHED), "published".to_owned()));
    }
    if points().any(|point| point.summary.is_none()) {
        key.push((Key::Missing, "no finished trial".to_owned()));
    }
    key
}

fn caption(contents: &[Content<'_>], rows: &[Row], spread: Spread, trials: &Trials) -> String {
    let measures: BTreeSet<Measure> = contents.iter().map(|content| content.measure).collect();
    let names: Vec<&str> = measures.into_iter().map(Measure::name).collect();
    let mut sentences = vec![format!("Test {} against bit width, by what is quantized.", names.join(" and "))];
    let summaries = contents.iter().flat_map(|content| content.points().filter_map(|point| point.summary));
    let counts = summaries.chain(contents.iter().filter_map(|content| content.float)).map(|summary| summary.n);
    sentences.push(spread.sentence(counts));
    if contents.iter().any(|content| content.float.is_some()) {
        sentences.push("Dashed: full precision.".to_owned());
    }
    if contents.iter().any(|content| content.means().iter().any(|mean| content.beyond(*mean))) {
        sentences.push("Arrows: values beyond the axis, in numbers.".to_owned());
    }
    let shown = |row: &&Row| Measure::of_row(row).is_some_and(|measure| measure.published(row).is_some());
    let sources: BTreeSet<String> =
        rows.iter().filter(shown).filter_map(|row| Some(row.published.as_ref()?.cited())).collect();
    if !sources.is_empty() {
        let sources = sources.into_iter().collect::<Vec<_>>().join("; ");
        sentences.push(format!("Hollow: published for these bit widths, with the training of the source: {sources}."));
    }
    sentences.extend(trials.labels.remarks());
    let mut caption = sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" ");
    if contents.len() > 1 {
        caption.push_str(&Titles::of(rows.iter().map(Row::place)).common());
    }
    caption
}

fn data(rows: &[Row]) -> Data {
    let facts = [
        "top1_n",
        "top1_mean",
        "top1_sd",
        "top1_low",
        "top1_high",
        "perplexity_n",
        "perplexity_mean",
        "perplexity_sd",
        "published",
        "failed",
        "diverged",
    ];
    let interval = |row: &Row| row.top1.summary.and_then(Summary::interval_95);
    let row = |row: &Row| {
        let (top1, perplexity) = (row.top1.summary, row.perplexity.summary);
        let published = Measure::of_row(row).and_then(|measure| match measure {
            Measure::Top1 => measure.published(row).map(|value| value / PERCENT),
            Measure::Perplexity => measure.published(row),
        });
        let facts = [
            Value::from(top1.map_or(0, |summary| summary.n)),
            Value::from(top1.map(|summary| summary.mean)),
            Value::from(top1.and_then(|summary| summary.sd)),
            Value::from(interval(row).map(|interval| interval.low)),
            Value::from(interval(row).map(|interval| interval.high)),
            Value::from(perplexity.map_or(0, |summary| summary.n)),
            Value::from(perplexity.map(|summary| summary.mean)),
            Value::from(perplexity.and_then(|summary| summary.sd)),
            Value::from(published),
            Value::from(row.failed),
            Value::from(row.diverged),
        ];
        row.identity().into_iter().chain(facts).collect()
    };
    Data { columns: IDENTITY.into_iter().chain(facts).collect(), rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests;
