//! `harness track check`.

use clap::{Args, ValueEnum};
use harness_track::check::{self, Check, Measure, Recorded, Row, Verdict};
use serde_json::json;

use super::{Only, Place, Rules, stop};
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness track check --against main
  harness track check --against v1.0 --margin 1 --json
  harness track check --against origin/main --format github

Trials are compared seed by seed, on the same hardware only, by Student's t with Holm's correction; where it is known
which test samples were right, McNemar's test has to agree. Regressed or improved: surely, and by at least the margin.
Equivalent: surely within the margin. Everything else is inconclusive, with the seeds that would decide it.
Exit codes: 0 no regression, 1 a regression, 2 nothing to compare.")]
pub(crate) struct TrackCheckArguments {
    /// The commit to compare with, or its nearest ancestor that was recorded
    #[arg(long, value_name = "REV")]
    against: String,
    /// The commit that is judged
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    at: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    rules: Rules,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns
    Table,
    /// A table for a comment or a job summary
    Markdown,
    /// Annotations that GitHub shows at the check
    Github,
}

pub(super) fn run(arguments: &TrackCheckArguments, volume: Volume) -> Outcome {
    let mut known = arguments.place.open()?;
    arguments.only.keep(&mut known.history)?;
    let settings = arguments.rules.settings();
    let before = check::baseline(&known.repository, &known.history, &arguments.against).map_err(stop)?;
    let after = check::candidate(&known.repository, &known.history, &arguments.at, &arguments.place.history);
    let after = after.map_err(stop)?;
    if before.commit.id == after.commit.id {
        return Err(refuse(format_args!(
            "`{}` and `{}` both stand for the records of {}: there is nothing to compare",
            arguments.against,
            arguments.at,
            before.commit.short()
        )));
    }
    let check = check::compare(&known.history, &before.commit.id, &after.commit.id, &settings);
    if check.rows.is_empty() {
        return Err(refuse(format_args!(
            "{} and {} have no configuration in common: {}",
            before.commit.short(),
            after.commit.short(),
            check.missing.join("; ")
        )));
    }
    if arguments.json {
        print_json(&json!({"before": before.commit.id, "after": after.commit.id, "check": check}))?;
    } else {
        match arguments.format {
            Format::Table => print(table(&check))?,
            Format::Markdown => print(markdown(&check, &before, &after))?,
            Format::Github => print(github(&check, &before))?,
        }
        if !volume.quiet {
            say(&check, &before, &after, &settings);
        }
    }
    if check.of(Verdict::Regressed).next().is_some() { Err(Stop::Failed) } else { Ok(()) }
}

fn say(check: &Check, before: &Recorded, after: &Recorded, settings: &check::Settings) {
    for (word, recorded) in [("before", before), ("after", after)] {
        let by = match recorded.asked.id == recorded.commit.id {
            true => String::new(),
            false => format!(", the nearest recorded commit to {}", recorded.asked.short()),
        };
        talk(format_args!("{word}: {} {}{by}", recorded.commit.short(), recorded.commit.subject));
    }
    for missing in &check.missing {
        talk(format_args!("not compared: {missing}"));
    }
    let count = |verdict| check.of(verdict).count();
    talk(format_args!(
        "{} regressed, {} improved, {} equivalent, {} inconclusive (level {}, corrected for {} comparisons)",
        count(Verdict::Regressed),
        count(Verdict::Improved),
        count(Verdict::Equivalent),
        count(Verdict::Inconclusive),
        settings.alpha,
        check.rows.iter().filter(|row| row.p.is_some()).count()
    ));
}

const HEADER: [&str; 9] =
    ["verdict", "what", "seeds", "before", "after", "difference", "95 % interval", "p (Holm)", "detectable"];

fn table(check: &Check) -> String {
    let mut text = columns(&HEADER, &check.rows.iter().map(cells).collect::<Vec<_>>());
    for row in &check.rows {
        for remark in remarks(row) {
            text.push_str(&format!("\n{}: {remark}", row.label));
        }
    }
    text
}

/// Remarks, and McNemar's test where it was done.
fn remarks(row: &Row) -> Vec<String> {
    let samples = row.samples.filter(|samples| samples.lost + samples.gained > 0).map(|samples| {
        format!(
            "test samples: {} lost, {} gained of {} x {} (McNemar p {})",
            samples.lost,
            samples.gained,
            row.seeds.0.min(row.seeds.1),
            samples.samples,
            p_value(samples.p)
        )
    });
    row.remarks.iter().cloned().chain(samples).collect()
}

fn cells(row: &Row) -> Vec<String> {
    let seeds =
        if row.seeds.0 == row.seeds.1 { row.seeds.0.to_string() } else { format!("{}/{}", row.seeds.0, row.seeds.1) };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        verdict(row),
        format!("{}: {}", row.sweep, row.label),
        seeds,
        or_dash(row.before.map(|value| value_of(row, value))),
        or_dash(row.after.map(|value| value_of(row, value))),
        or_dash(row.difference.map(|value| format!("{value:+.2} {}", row.measure.unit()))),
        or_dash(row.interval.map(|(low, high)| format!("{low:+.2} to {high:+.2}"))),
        or_dash(row.p_corrected.map(p_value)),
        or_dash(row.detectable.map(|value| format!("{value:.2} {}", row.measure.unit()))),
    ]
}

fn verdict(row: &Row) -> String {
    match (row.verdict, row.seeds_needed) {
        (Verdict::Inconclusive, Some(1)) => "inconclusive (1 more seed needed)".to_owned(),
        (Verdict::Inconclusive, Some(n)) => format!("inconclusive ({n} more seeds needed)"),
        (Verdict::Inconclusive, None) => "inconclusive (over 1000 more seeds needed)".to_owned(),
        (verdict, _) => verdict.word().to_owned(),
    }
}

fn value_of(row: &Row, value: f64) -> String {
    match row.measure {
        Measure::Top1 => format!("{value:.2} %"),
        Measure::Perplexity => format!("{value:.2}"),
        Measure::Ratio => format!("{value:.3} x"),
    }
}

fn p_value(p: f64) -> String {
    if p < 1e-3 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

fn markdown(check: &Check, before: &Recorded, after: &Recorded) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('\n', " ");
    let line =
        |cells: Vec<String>| format!("| {} |", cells.iter().map(|cell| escape(cell)).collect::<Vec<_>>().join(" | "));
    let mut lines = vec![
        format!("### Tracked results: {} against {}\n", escape(after.commit.short()), escape(before.commit.short())),
        line(HEADER.map(str::to_owned).to_vec()),
        format!("|{}", " --- |".repeat(HEADER.len())),
    ];
    lines.extend(check.rows.iter().map(|row| line(cells(row))));
    let notes: Vec<String> = check
        .rows
        .iter()
        .flat_map(|row| remarks(row).into_iter().map(move |remark| format!("{}: {remark}", row.label)))
        .collect();
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes.iter().chain(&check.missing).map(|note| format!("- {}", escape(note))));
    }
    lines.join("\n")
}

/// GitHub's workflow commands, one line a row that somebody has to look at, and a summary.
fn github(check: &Check, before: &Recorded) -> String {
    let mut lines = Vec::new();
    for row in &check.rows {
        let level = match row.verdict {
            Verdict::Regressed => "error",
            Verdict::Inconclusive => "warning",
            Verdict::Improved => "notice",
            Verdict::Equivalent => continue,
        };
        let mut message = format!("{}: {} since {}", row.label, verdict(row), before.commit.short());
        if let (Some(old), Some(new), Some(difference)) = (row.before, row.after, row.difference) {
            message.push_str(&format!(
                ", {} to {} ({difference:+.2} {})",
                value_of(row, old),
                value_of(row, new),
                row.measure.unit()
            ));
        }
        for remark in remarks(row) {
            message.push_str(&format!("; {remark}"));
        }
        let title = format!("{} {}", row.sweep, row.verdict.word());
        lines.push(format!("::{level} title={}::{}", property(&title), data(&message)));
    }
    if lines.is_empty() {
        let message = format!("all {} configurations are equivalent to {}", check.rows.len(), before.commit.short());
        lines.push(format!("::notice title=Tracked results::{}", data(&message)));
    }
    lines.join("\n")
}

/// Escapes as GitHub's runner wants it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_commands_are_escaped() {
        assert_eq!(data("97.5 %\nx"), "97.5 %25%0Ax");
        assert_eq!(property("a: b, c"), "a%3A b%2C c");
    }
}
