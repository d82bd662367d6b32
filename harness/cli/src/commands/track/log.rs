//! `harness track log`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use harness_reports::{CommitPoint, CommitSeries, Mark, ReportError, write_commits};
use harness_track::check::{Measure, Verdict};
use harness_track::git::short;
use harness_track::log::{Point, Series, series, sparkline};

use super::{Only, Place, Rules, stop};
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness track log
  harness track log --name quickstart --filter dorefa --out accuracy.html

Each commit is compared with the recorded one before it; what `track check` would call regressed or improved is marked.")]
pub(crate) struct TrackLogArguments {
    /// Show the ancestors of this commit
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    at: String,
    /// Only configurations whose name has this in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Draw it to this file (.svg, .pdf, .png or .html; the numbers of a picture go beside it as .csv)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    rules: Rules,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &TrackLogArguments, volume: Volume) -> Outcome {
    let mut known = arguments.place.open()?;
    arguments.only.keep(&mut known.history)?;
    let settings = arguments.rules.settings();
    let mut all = series(&known.repository, &known.history, &arguments.at, &settings).map_err(stop)?;
    if let Some(filter) = &arguments.filter {
        all.retain(|series| series.label.contains(filter.as_str()));
        if all.is_empty() {
            return Err(refuse(format_args!("no configuration of the history has `{filter}` in its name")));
        }
    }
    if let Some(out) = &arguments.out {
        let drawn: Vec<CommitSeries> = all.iter().map(drawn).collect();
        let written = write_commits("Results over commits", &drawn, out).map_err(|error| match error {
            ReportError::Write { .. } | ReportError::Build { .. } => Stop::Broken(error.into()),
            refused => refuse(refused),
        })?;
        if !volume.quiet {
            written.iter().for_each(|file| talk(file.display()));
        }
    }
    if arguments.json {
        return Ok(print_json(&all)?);
    }
    Ok(print(text(&all, settings.margins.points))?)
}

fn text(all: &[Series], margin: f64) -> String {
    let mut by_place: BTreeMap<(&str, &str), Vec<&Series>> = BTreeMap::new();
    for series in all {
        by_place.entry((&series.sweep, &series.hardware)).or_default().push(series);
    }
    let mut parts = Vec::new();
    for ((sweep, hardware), series) in by_place {
        let rows: Vec<Vec<String>> = series.iter().map(|series| row(series, margin)).collect();
        let mut part = format!(
            "{sweep}, {hardware}\n{}",
            columns(&["what", "over commits", "commits", "first", "last", "marks"], &rows)
        );
        let mut marked: Vec<&Point> =
            series.iter().flat_map(|series| &series.points).filter(|point| mark(point.verdict).is_some()).collect();
        marked.sort_by_key(|point| point.committed);
        marked.dedup_by_key(|point| &point.commit);
        for point in marked {
            part.push_str(&format!("\n  {} {}", short(&point.commit), point.subject));
        }
        parts.push(part);
    }
    parts.join("\n\n")
}

fn row(series: &Series, margin: f64) -> Vec<String> {
    let shown = |point: Option<&Point>| point.map_or_else(String::new, |point| value(series.measure, point.mean));
    let marks: Vec<String> = series
        .points
        .iter()
        .filter_map(|point| {
            let mark = mark(point.verdict)?;
            let by = point.difference.map_or_else(String::new, |by| format!(" by {by:+.2} {}", series.measure.unit()));
            Some(format!("{} at {}{by}", mark_word(mark), short(&point.commit)))
        })
        .collect();
    vec![
        format!("  {}", series.label),
        sparkline(series, margin),
        series.points.len().to_string(),
        shown(series.points.first()),
        shown(series.points.last()),
        marks.join("; "),
    ]
}

fn value(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Top1 => format!("{value:.2} %"),
        Measure::Perplexity => format!("{value:.2}"),
        Measure::Ratio => format!("{value:.3} x"),
    }
}

fn mark(verdict: Option<Verdict>) -> Option<Mark> {
    match verdict? {
        Verdict::Regressed => Some(Mark::Regressed),
        Verdict::Improved => Some(Mark::Improved),
        Verdict::Equivalent | Verdict::Inconclusive => None,
    }
}

fn mark_word(mark: Mark) -> &'static str {
    match mark {
        Mark::Regressed => "regressed",
        Mark::Improved => "improved",
    }
}

fn drawn(series: &Series) -> CommitSeries {
    let unit = match series.measure {
        Measure::Top1 => "Top-1 accuracy (%)",
        Measure::Perplexity => "Perplexity",
        Measure::Ratio => "Speed (ratio)",
    };
    let point = |point: &Point| CommitPoint {
        commit: point.commit.clone(),
        subject: point.subject.clone(),
        mean: point.mean,
        low: point.range.0,
        high: point.range.1,
        seeds: point.seeds,
        mark: mark(point.verdict),
    };
    CommitSeries {
        group: format!("{}, {}", series.sweep, series.hardware),
        label: series.label.clone(),
        unit: unit.to_owned(),
        points: series.points.iter().map(point).collect(),
    }
}
