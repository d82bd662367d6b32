//! Methods at one setting of bit widths by their distance to full precision, and which of them differ.

use std::collections::{BTreeMap, BTreeSet};

use harness_stats::{Summary, holm, p_of_means};

use crate::accuracy::{IDENTITY, Row, by_place, full_precision};
use crate::difference::Difference;
use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::looks::Looks;
use crate::figures::measure::{AXIS_GAP, Measure, Spread, outlier_limit};
use crate::figures::questions::{SettingOrder, sentence, setting_order};
use crate::figures::titles::Titles;
use crate::figures::{Drawn, Figure, Picture};
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::LEVEL;
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `ranking`.
pub(crate) struct Ranking;

/// Height of a method, and of what is above and below, in points of a report.
const METHOD: f64 = 12.0;
const AROUND: f64 = 52.0;
/// Level at which two methods differ.
const LEVEL_OF_TEST: f64 = 0.05;

/// A method at a setting.
struct Entry<'a> {
    row: &'a Row,
    /// Its results by seed, in the unit of the axis.
    by_seed: BTreeMap<u64, f64>,
    /// What is drawn: the difference to full precision seed by seed where there is one, otherwise the result.
    shown: Summary,
    /// Groups of methods that do not differ from one another, by number.
    groups: Vec<usize>,
}

/// A setting with its methods, the best first.
struct Setting<'a> {
    title: String,
    measure: Measure,
    /// Whether differences to full precision are shown.
    relative: bool,
    entries: Vec<Entry<'a>>,
    /// Groups of entries that do not differ from one another: first and last.
    groups: Vec<(usize, usize)>,
    /// Whether methods have two seeds each, without which nothing can be said of differences.
    tested: bool,
}

impl Figure for Ranking {
    fn name(&self) -> &'static str {
        "ranking"
    }

    fn title(&self) -> &'static str {
        "Methods ranked at each setting"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let settings = settings(trials)?;
        if settings.is_empty() {
            return Ok(Drawn::Nothing("no setting of bit widths has results of two methods".to_owned()));
        }
        let looks = Looks::new(&trials.labels.names);
        let most = settings.iter().map(|setting| setting.entries.len()).max().unwrap_or(1);
        let height = (AROUND + METHOD * most as f64) * theme.small / 7.0;
        let panels = settings.iter().map(|setting| plot(setting, &looks)).collect();
        let entries = || settings.iter().flat_map(|setting| &setting.entries);
        let mut key = Vec::new();
        if settings.iter().any(|setting| !setting.groups.is_empty()) {
            key.push((Key::Bracket, "no significant difference".to_owned()));
        }
        if entries().any(|entry| entry.shown.sd.is_some()) {
            key.push((Key::Spread { across: true }, Spread::Interval.name().to_owned()));
        }
        if settings.iter().any(|setting| setting.relative) {
            key.push((Key::Upright(LEVEL), "full precision".to_owned()));
        }
        let chart = Chart { panel_height: Some(height), ..Chart::new(panels, key) };
        let caption = caption(&settings, trials);
        Ok(Drawn::Picture(Picture { pages: chart.draw(theme), data: data(&settings), caption }))
    }
}

fn settings(trials: &Trials) -> Result<Vec<Setting<'_>>, ReportError> {
    let all = trials.rows()?;
    let places = by_place(all.iter());
    let titles = Titles::of(places.keys().copied());
    let mut settings = Vec::new();
    for (place, rows) in &places {
        let Some(measure) = Measure::of(rows.iter().copied()) else { continue };
        let float = rows.first().and_then(|row| full_precision(all, row)).map(|row| measure.by_seed(row));
        let float = float.filter(|float| !float.is_empty());
        let mut by_widths: BTreeMap<SettingOrder, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.is_float && measure.summary(row).is_some()) {
            by_widths.entry(setting_order(row)).or_default().push(row);
        }
        for rows in by_widths.values().filter(|rows| rows.len() > 1) {
            let head = titles.head(*place);
            let what = sentence(rows[0]);
            let title = if head.is_empty() { capital(&what) } else { format!("{head}: {what}") };
            settings.push(setting(title, measure, float.as_ref(), rows));
        }
    }
    Ok(settings)
}

/// The first letter large, as at the start of a sentence.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn setting<'a>(title: String, measure: Measure, float: Option<&BTreeMap<u64, f64>>, rows: &[&'a Row]) -> Setting<'a> {
    let entry = |row: &&'a Row| {
        let by_seed = measure.by_seed(row);
        let shown = match float {
            Some(float) => Difference::summary(&by_seed, float)?,
            None => Summary::of(&by_seed.values().copied().collect::<Vec<_>>())?,
        };
        Some(Entry { row, by_seed, shown, groups: Vec::new() })
    };
    let mut entries: Vec<Entry<'a>> = rows.iter().filter_map(entry).collect();
    let sign = if measure.rises() { -1.0 } else { 1.0 };
    entries.sort_by(|a, b| (sign * a.shown.mean).total_cmp(&(sign * b.shown.mean)));
    let tested = entries.iter().all(|entry| entry.by_seed.len() > 1);
    let groups = if tested { groups(&entries) } else { Vec::new() };
    for (number, (first, last)) in groups.iter().enumerate() {
        entries[*first..=*last].iter_mut().for_each(|entry| entry.groups.push(number));
    }
    Setting { title: one_line(&title), measure, relative: float.is_some(), entries, groups, tested }
}

/// Largest runs of ranked methods of which no two differ, after Holm's correction over all pairs of the setting.
fn groups(entries: &[Entry<'_>]) -> Vec<(usize, usize)> {
    let count = entries.len();
    let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    let p: Vec<f64> =
        pairs.iter().map(|&(a, b)| p_of_means(&entries[a].by_seed, &entries[b].by_seed).unwrap_or(1.0)).collect();
    let adjusted = holm(&p);
    let differ: BTreeSet<(usize, usize)> =
        pairs.iter().zip(&adjusted).filter(|(_, p)| **p < LEVEL_OF_TEST).map(|(pair, _)| *pair).collect();
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for first in 0..count {
        let alike = |last: usize| (first..=last).all(|a| (a + 1..=last).all(|b| !differ.contains(&(a, b))));
        let last = (first..count).take_while(|&last| alike(last)).last().unwrap_or(first);
        let inside = groups.iter().any(|(_, known)| *known >= last);
        if last > first && !inside {
            groups.push((first, last));
        }
    }
    groups
}

fn plot(setting: &Setting<'_>, looks: &Looks) -> Plot {
    let count = setting.entries.len();
    let height = |rank: usize| (count - 1 - rank) as f64;
    let mut items = Vec::new();
    if setting.relative {
        items.push(Item::Upright { x: 0.0, look: LEVEL });
    }
    let rises = setting.measure.rises();
    let all = || setting.entries.iter().map(|entry| entry.shown.mean);
    let limit = outlier_limit(all().chain(setting.relative.then_some(0.0)), rises, AXIS_GAP);
    let beyond = |value: f64, limit: f64| if rises { value < limit } else { value > limit };
    let half = Summary::half_interval_95;
    for (rank, entry) in setting.entries.iter().enumerate() {
        let (look, name) = (looks.get(&entry.row.method), one_line(&entry.row.method));
        let mean = entry.shown.mean;
        let marker = match limit.is_some_and(|limit| beyond(mean, limit)) {
            true => Item::Aside { y: height(rank), left: rises, text: format!("{mean:.1}").replace('-', "−"), look },
            false => Item::Across { x: mean, y: height(rank), spread: half(entry.shown), look },
        };
        items.push(marker.told(&name, format!("{name}: {}", in_words(setting, entry))));
    }
    for (level, (first, last)) in levels(&setting.groups) {
        items.push(Item::Bracket { from: height(first), to: height(last), level });
    }
    // Means decide the axis: an interval from two seeds may be wider than all of them together, and is cut.
    let inside = |entry: &&Entry<'_>| !limit.is_some_and(|limit| beyond(entry.shown.mean, limit));
    let means = || setting.entries.iter().filter(inside).map(|entry| entry.shown.mean);
    let (low, high) =
        means().chain(setting.relative.then_some(0.0)).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    let room = (high - low).max(1.0);
    let ends = setting.entries.iter().filter(inside).flat_map(|entry| {
        let half = half(entry.shown).unwrap_or(0.0).min(room);
        [entry.shown.mean - half, entry.shown.mean + half]
    });
    let names: Vec<String> = setting.entries.iter().rev().map(|entry| one_line(&entry.row.method)).collect();
    let x_label = match (setting.relative, setting.measure) {
        (true, Measure::Top1) => "Difference to full precision (points)".to_owned(),
        (true, Measure::Perplexity) => "Difference to full precision (perplexity)".to_owned(),
        (false, measure) => measure.label().to_owned(),
    };
    Plot {
        panel: Panel {
            title: setting.title.clone(),
            x_label,
            y_label: String::new(),
            x: Scale::linear(ends.chain(setting.relative.then_some(0.0)), 0.5, (f64::MIN, f64::MAX)),
            y: Scale::Categories(names),
        },
        items,
    }
}

/// A level for each group, such that groups of one level have nothing in common.
fn levels(groups: &[(usize, usize)]) -> Vec<(usize, (usize, usize))> {
    let mut ends: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for group in groups {
        let level = ends.iter().position(|end| *end < group.0).unwrap_or(ends.len());
        if level == ends.len() {
            ends.push(group.1);
        } else {
            ends[level] = group.1;
        }
        found.push((level, *group));
    }
    found
}

fn in_words(setting: &Setting<'_>, entry: &Entry<'_>) -> String {
    let sign = if setting.relative && entry.shown.mean > 0.0 { "+" } else { "" };
    let interval = match entry.shown.interval_95() {
        Some(interval) => format!(", 95 % interval {:.2} to {:.2}", interval.low, interval.high),
        None => String::new(),
    };
    let seeds = if entry.shown.n == 1 { "1 seed".to_owned() } else { format!("{} seeds", entry.shown.n) };
    format!("{sign}{:.2}{interval}, {seeds}", entry.shown.mean)
}

fn caption(settings: &[Setting<'_>], trials: &Trials) -> String {
    let mut sentences = vec!["Methods at each setting of bit widths, the best first.".to_owned()];
    if settings.iter().any(|setting| setting.relative) {
        sentences.push("Differences to full precision are taken seed by seed where the seeds are the same.".to_owned());
    }
    if settings.iter().any(|setting| setting.tested) {
        sentences.push(
            "Bars: 95 % confidence interval of the mean, cut where it leaves the axis. Methods that a thick line joins \
             do not differ at the 5 % level: t test of each pair, paired by seed where the seeds are the same, otherwise \
             Welch's, with Holm's correction over all pairs of the setting. Arrows: values beyond the axis."
                .to_owned(),
        );
    }
    if settings.iter().any(|setting| !setting.tested) {
        sentences.push("Where a method has one seed, no difference can be tested.".to_owned());
    }
    sentences.extend(trials.labels.remarks());
    let rows = settings.iter().flat_map(|setting| &setting.entries).map(|entry| entry.row);
    sentences.join(" ") + &Titles::of(rows.map(Row::place)).common()
}

fn data(settings: &[Setting<'_>]) -> Data {
    let facts = ["rank", "seeds", "shown", "relative_to_float", "low", "high", "groups"];
    let columns = IDENTITY.into_iter().chain(facts).collect();
    let mut rows = Vec::new();
    for setting in settings {
        for (rank, entry) in (1usize..).zip(&setting.entries) {
            let interval = entry.shown.interval_95();
            let groups: Vec<String> = entry.groups.iter().map(|group| (group + 1).to_string()).collect();
            let facts = [
                Value::from(rank),
                Value::from(entry.shown.n),
                Value::from(Some(entry.shown.mean)),
                Value::from(if setting.relative { "true" } else { "false" }),
                Value::from(interval.map(|interval| interval.low)),
                Value::from(interval.map(|interval| interval.high)),
                Value::Text(groups.join(" ")),
            ];
            rows.push(entry.row.identity().into_iter().chain(facts).collect());
        }
    }
    Data { columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use harness_records::record::RunRecord;

    fn records(of: &[(&str, [f64; 3])]) -> Vec<RunRecord> {
        let trial = |name: &str, seed: usize, top1: f64| {
            let built = if name == "float" { record() } else { record().weights(method(name, 2, &[])) };
            built.seed(seed as u64).top1(top1).build()
        };
        of.iter().flat_map(|(name, values)| values.iter().enumerate().map(|(i, v)| trial(name, i, *v))).collect()
    }

    #[test]
    fn methods_that_differ_are_not_joined() {
        let records = records(&[
            ("float", [0.980, 0.982, 0.984]),
            ("a", [0.970, 0.972, 0.974]),
            ("b", [0.9701, 0.9719, 0.9742]),
            ("c", [0.900, 0.902, 0.9041]),
        ]);
        let trials = Trials::new(&records, &[]).unwrap();
        let settings = settings(&trials).unwrap();
        assert_eq!(settings.len(), 1);
        let names: Vec<&str> = settings[0].entries.iter().map(|entry| entry.row.method.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(settings[0].groups, [(0, 1)]);
        assert!((settings[0].entries[1].shown.mean + 1.0).abs() < 1e-9);
    }

    #[test]
    fn full_precision_may_differ_in_the_layers_kept_so() {
        let all = records(&[("float", [0.98; 3]), ("a", [0.97; 3]), ("b", [0.96; 3])]);
        let quantized = |record: RunRecord| match record.config.quant.weights.is_float() {
            true => record,
            false => {
                let mut record = record;
                record.config.quant.keep_float.clear();
                record
            }
        };
        let all: Vec<RunRecord> = all.into_iter().map(quantized).collect();
        let trials = Trials::new(&all, &[]).unwrap();
        let settings = settings(&trials).unwrap();
        assert!(settings[0].relative);
        assert!((settings[0].entries[0].shown.mean + 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_seed_says_nothing_of_differences() {
        let all = records(&[("a", [0.97; 3]), ("b", [0.5; 3])]);
        let one: Vec<RunRecord> = all.into_iter().filter(|record| record.seed == 0).collect();
        let trials = Trials::new(&one, &[]).unwrap();
        let settings = settings(&trials).unwrap();
        assert!(settings[0].groups.is_empty() && !settings[0].tested && !settings[0].relative);
    }

    #[test]
    fn brackets_of_one_level_do_not_touch() {
        assert_eq!(levels(&[(0, 2), (1, 3), (3, 5)]), [(0, (0, 2)), (1, (1, 3)), (0, (3, 5))]);
    }
}
