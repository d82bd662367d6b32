//! The figure and the page of results over commits. Its numbers come from the history, not from records of trials, so
//! it stands beside the report.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::encode::csv::csv;
use crate::encode::{html, one_line};
use crate::error::ReportError;
use crate::files;
use crate::pictures::write_pages;
use crate::plot::axes::{Panel, Scale};
use crate::plot::canvas::Canvas;
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{LEVEL, plain_look};
use crate::plot::svg::svg;
use crate::plot::theme::{Style, Theme};
use crate::sheet::{Align, Data, Grid, Value};

/// One configuration over commits.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitSeries {
    /// What it is drawn together with: sweep and hardware.
    pub group: String,
    /// The configuration in words.
    pub label: String,
    /// Label of the axis of values.
    pub unit: String,
    /// Oldest first.
    pub points: Vec<CommitPoint>,
}

/// One configuration at one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitPoint {
    /// Its id.
    pub commit: String,
    /// First line of its message.
    pub subject: String,
    /// Mean over seeds.
    pub mean: f64,
    /// Least over seeds.
    pub low: f64,
    /// Largest over seeds.
    pub high: f64,
    /// Seeds behind it.
    pub seeds: usize,
    /// Whether it surely differs from the commit before.
    pub mark: Option<Mark>,
}

/// A change that is sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Worse.
    Regressed,
    /// Better.
    Improved,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::Regressed => "regressed",
            Mark::Improved => "improved",
        }
    }
}

/// Draws results over commits to `out`, whose name ends in `.svg`, `.pdf`, `.png` or `.html`; beside a picture its numbers go to
/// a file of the same name that ends in `.csv`. Commits stand in the order of the series.
///
/// # Errors
/// [`ReportError::Picture`] before anything is written; [`ReportError::NoRecords`] without series; a file that cannot
/// be written.
pub fn write_commits(title: &str, series: &[CommitSeries], out: &Path) -> Result<Vec<PathBuf>, ReportError> {
    if series.iter().all(|series| series.points.is_empty()) {
        return Err(ReportError::NoRecords { problems: Vec::new() });
    }
    let theme = Theme::new(Style::Report, 2)?;
    if out.extension().is_some_and(|ending| ending == "html") {
        files::write_whole(out, page(title, series, &theme).as_bytes())?;
        return Ok(vec![out.to_owned()]);
    }
    let mut files =
        write_pages(out, &draw(series, None, &theme), &caption(series), &theme).map_err(|error| match error {
            ReportError::Picture { path, .. } => ReportError::Picture { path, expected: ".svg, .pdf, .png or .html" },
            error => error,
        })?;
    let numbers = out.with_extension("csv");
    files::write_whole(&numbers, &csv(&data(series))?)?;
    files.push(numbers);
    Ok(files)
}

/// Digits of a commit's id on an axis.
const SHORT: usize = 7;
/// Lines stand side by side at a commit, this far apart at most and no wider together than `FAN` of its room.
const STEP: f64 = 0.12;
const FAN: f64 = 0.6;
/// Lines that one panel can hold and still be read.
const MOST_LINES: usize = 12;

fn short(commit: &str) -> String {
    one_line(commit).chars().take(SHORT).collect()
}

/// Series by group and unit, in order.
fn groups(series: &[CommitSeries]) -> BTreeMap<(&str, &str), Vec<&CommitSeries>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&CommitSeries>> = BTreeMap::new();
    for series in series {
        groups.entry((&series.group, &series.unit)).or_default().push(series);
    }
    groups
}

/// Commits of some series, each once. Every series has a part of one order; what only later ones have is put after the
/// commit that comes before it there.
fn commits(series: &[&CommitSeries]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for series in series {
        let mut after = 0;
        for point in &series.points {
            match order.iter().position(|commit| *commit == point.commit) {
                Some(place) => after = place + 1,
                None => {
                    order.insert(after, point.commit.clone());
                    after += 1;
                }
            }
        }
    }
    order
}

fn draw(series: &[CommitSeries], only: Option<&str>, theme: &Theme) -> Vec<Canvas> {
    let groups = groups(series);
    let mut labels: Vec<&str> = series.iter().map(|series| series.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    let shown = |label: &str| labels.iter().position(|known| *known == label).filter(|place| *place < MOST_LINES);
    let mut key: Vec<(Key, String)> = labels
        .iter()
        .take(MOST_LINES)
        .enumerate()
        .map(|(i, label)| (Key::Series(plain_look(i)), one_line(label)))
        .collect();
    let (mut marked, mut barred) = (false, false);
    let panels = groups.iter().filter(|((group, _), _)| only.is_none_or(|only| only == *group));
    let panels: Vec<Plot> = panels
        .map(|((group, unit), series)| {
            let order = commits(series);
            let place = |commit: &str| order.iter().position(|known| known == commit).unwrap_or(0) as f64;
            let mut items = Vec::new();
            let lines: Vec<&&CommitSeries> = series.iter().filter(|series| shown(&series.label).is_some()).collect();
            let step = STEP.min(FAN / lines.len().max(1) as f64);
            for (i, series) in lines.iter().enumerate() {
                let Some(look) = shown(&series.label).map(plain_look) else { continue };
                // Side by side, so that error bars do not cover each other.
                let x =
                    |point: &CommitPoint| place(&point.commit) + step * (i as f64 - (lines.len() as f64 - 1.0) / 2.0);
                for point in series.points.iter().filter(|point| point.mark.is_some()) {
                    items.push(Item::Upright { x: x(point), look });
                    marked = true;
                }
                let points = series.points.iter().map(|point| (x(point), point.mean)).collect();
                items.push(Item::Line { points, look });
                for point in &series.points {
                    let spread = (point.high - point.low) / 2.0;
                    let spread = (point.seeds > 1 && spread > 0.0).then_some(spread);
                    barred |= spread.is_some();
                    items.push(Item::Marker { x: x(point), y: point.mean, spread, look });
                }
            }
            let ends = series.iter().flat_map(|series| &series.points).flat_map(|point| {
                let spread = (point.high - point.low) / 2.0;
                [point.mean - spread, point.mean + spread]
            });
            Plot {
                panel: Panel {
                    title: one_line(group),
                    x_label: "Commit".to_owned(),
                    y_label: one_line(unit),
                    x: Scale::Categories(order.iter().map(|commit| short(commit)).collect()),
                    y: Scale::linear(ends, 1e-3, (0.0, f64::MAX)),
                },
                items,
            }
        })
        .collect();
    if barred {
        key.push((Key::Spread { across: false }, "range over seeds, centred on the mean".to_owned()));
    }
    if marked {
        key.push((Key::Upright(LEVEL), "regressed or improved".to_owned()));
    }
    // Commits need width more than company.
    let columns = if panels.len() > 1 { 2 } else { 1 };
    Chart { columns, ..Chart::new(panels, key) }.draw(theme)
}

fn caption(series: &[CommitSeries]) -> String {
    let hidden = {
        let mut labels: Vec<&str> = series.iter().map(|series| series.label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        labels.len().saturating_sub(MOST_LINES)
    };
    let mut caption =
        "Results over commits: means over seeds; bars: the range over seeds, centred on the mean.".to_owned();
    for mark in [Mark::Regressed, Mark::Improved] {
        let commits = marked(series, mark);
        if !commits.is_empty() {
            let _ = write!(caption, " Dotted: {} at {}.", mark.word(), commits.join(", "));
        }
    }
    if hidden > 0 {
        let _ = write!(caption, " {hidden} more configurations are in the data only.");
    }
    caption
}

/// Commits at which some series has a mark.
fn marked(series: &[CommitSeries], mark: Mark) -> Vec<String> {
    let points = series.iter().flat_map(|series| &series.points);
    let mut found: Vec<String> = Vec::new();
    for point in points.filter(|point| point.mark == Some(mark)) {
        let commit = short(&point.commit);
        if !found.contains(&commit) {
            found.push(commit);
        }
    }
    found
}

fn page(title: &str, series: &[CommitSeries], theme: &Theme) -> String {
    let mut body = format!("<h1>{}</h1>\n", html::escape(title));
    let mut names: Vec<&str> = series.iter().map(|series| series.group.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let here: Vec<CommitSeries> = series.iter().filter(|series| series.group == name).cloned().collect();
        let _ = writeln!(body, "<h2>{}</h2>", html::escape(name));
        let pages = draw(&here, Some(name), theme);
        let drawings: Vec<String> =
            pages.iter().map(|canvas| svg(canvas, theme.lettering.face, &caption(&here))).collect();
        body.push_str(&html::figure(&drawings, &caption(&here)));
        body.push_str(&html::table(&grid(&here)));
    }
    html::page(title, &body)
}

fn grid(series: &[CommitSeries]) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let columns = vec![
        left("Configuration"),
        left("Commit"),
        left("Message"),
        right("Mean"),
        right("Least"),
        right("Largest"),
        right("Seeds"),
        left("Mark"),
    ];
    let rows = series.iter().flat_map(|series| {
        series.points.iter().map(|point| {
            vec![
                series.label.clone(),
                short(&point.commit),
                point.subject.clone(),
                format!("{:.3}", point.mean),
                format!("{:.3}", point.low),
                format!("{:.3}", point.high),
                point.seeds.to_string(),
                point.mark.map_or_else(String::new, |mark| mark.word().to_owned()),
            ]
        })
    });
    Grid { columns, rows: rows.collect(), notes: Vec::new(), ..Grid::default() }
}

fn data(series: &[CommitSeries]) -> Data {
    let columns = vec!["group", "label", "unit", "commit", "subject", "mean", "low", "high", "seeds", "mark"];
    let rows = series.iter().flat_map(|series| {
        series.points.iter().map(|point| {
            vec![
                Value::from(&*series.group),
                Value::from(&*series.label),
                Value::from(&*series.unit),
                Value::from(&*point.commit),
                Value::from(&*point.subject),
                Value::from(Some(point.mean)),
                Value::from(Some(point.low)),
                Value::from(Some(point.high)),
                Value::from(point.seeds),
                point.mark.map_or(Value::Absent, |mark| Value::from(mark.word())),
            ]
        })
    });
    Data { columns, rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tidy::assert_tidy;

    fn series(group: &str, label: &str, commits: std::ops::Range<usize>) -> CommitSeries {
        let point = |i: usize| CommitPoint {
            commit: format!("{i:040x}"),
            subject: format!("Change <b>{i}</b>"),
            mean: 90.0 - i as f64,
            low: 89.5 - i as f64,
            high: 90.5 - i as f64,
            seeds: 3,
            mark: (i == 2).then_some(Mark::Regressed),
        };
        CommitSeries {
            group: group.to_owned(),
            label: label.to_owned(),
            unit: "Top-1 accuracy (%)".to_owned(),
            points: commits.map(point).collect(),
        }
    }

    #[test]
    fn any_number_of_commits_is_tidy() {
        let theme = Theme::report();
        for all in [
            vec![series("a", "x", 0..1)],
            vec![series("a", "x", 0..5), series("a", "y", 2..9)],
            vec![series("a, on some long name of a processor", "x", 0..200), series("b", "y", 0..3)],
        ] {
            assert_tidy(&draw(&all, None, &theme));
        }
    }

    #[test]
    fn commits_that_some_series_lack_keep_their_order() {
        let (one, two) = (series("a", "x", 0..3), series("a", "y", 1..5));
        let order: Vec<String> = (0..5).map(|i| format!("{i:040x}")).collect();
        assert_eq!(commits(&[&one, &two]), order);
        assert_eq!(commits(&[&two, &one]), order);
    }

    #[test]
    fn a_page_shows_messages_as_text() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("log.html");
        write_commits("t", &[series("a", "x", 0..4)], &out).unwrap();
        let text = std::fs::read_to_string(&out).unwrap();
        assert!(text.contains("Change &lt;b&gt;2&lt;/b&gt;") && text.contains("<svg ") && text.contains("regressed"));
        let wrong = write_commits("t", &[series("a", "x", 0..4)], &folder.path().join("log.gif")).unwrap_err();
        assert!(wrong.to_string().ends_with(".svg, .pdf, .png or .html"), "{wrong}");
        assert!(write_commits("t", &[], &out).is_err());
    }
}
