//! `report.html`: everything in one file, for any browser, with no network.

use std::fmt::Write;

use harness_records::record::{EpochRecord, RunRecord};

use crate::encode::html::{escape, figure, list, page as html_page, table};
use crate::failures;
use crate::frames::status_name;
use crate::numbers::two_decimals;
use crate::report_md::{Facts, FigureSection, TableSection, environment, reproduce, setting, summary};
use crate::sheet::{Align, Grid};
use crate::trials::Trials;

/// Trials with a section of their own; the others are in the tables, and their records say the same.
const MOST_TRIALS: usize = 300;

/// The page.
pub(crate) fn page(
    title: &str,
    command: Option<&str>,
    problems: &[String],
    trials: &Trials,
    tables: &[TableSection],
    figures: &[FigureSection],
) -> String {
    let title = if title.trim().is_empty() { "Report" } else { title };
    let mut body = Body::default();
    let _ = writeln!(body.text, "<p>{}</p>", escape(&summary(trials, problems)));
    for section in tables {
        body.section(&section.title, &table(&section.sheet.grid));
    }
    for section in figures {
        let html = match section.svg.is_empty() {
            false => figure(&section.svg, &section.text),
            true => format!("<p>{}</p>\n", escape(&section.text)),
        };
        body.section(section.title, &html);
    }
    let failures = failures::lines(trials);
    if !failures.is_empty() {
        body.section("Trials without a result", &list(&failures, "failures"));
    }
    let problems: Vec<String> = problems.iter().chain(&trials.repeated).cloned().collect();
    if !problems.is_empty() {
        body.section("Problems with the records", &list(&problems, "problems"));
    }
    body.section("Setting", &list(&setting(trials), "setting"));
    body.section("Environment", &facts(&environment(&trials.records)));
    let (lines, text) = reproduce(&trials.records, command);
    body.section("To reproduce", &format!("<pre>{}</pre>\n<p>{}</p>\n", preformatted(&lines), escape(&text)));
    body.section("Trials", &sections(trials));
    html_page(title, &format!("<h1>{}</h1>\n<nav>{}</nav>\n{}", escape(title), body.contents, body.text))
}

/// Sections, and the links to them.
#[derive(Default)]
struct Body {
    contents: String,
    text: String,
    count: usize,
}

impl Body {
    fn section(&mut self, title: &str, html: &str) {
        self.count += 1;
        let (title, count) = (escape(title), self.count);
        let _ = write!(self.contents, "<a href=\"#s{count}\">{title}</a>");
        let _ = write!(self.text, "<section><h2 id=\"s{count}\">{title}</h2>\n{html}</section>\n");
    }
}

/// Lines between `<pre>` tags.
fn preformatted(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

fn facts(Facts { facts, warnings }: &Facts) -> String {
    let mut html = list(facts, "facts");
    for warning in warnings {
        let _ = writeln!(html, "<p class=\"warning\">{}</p>", escape(warning));
    }
    html
}

fn sections(trials: &Trials) -> String {
    let mut html = String::new();
    for record in trials.records.iter().take(MOST_TRIALS) {
        trial(&mut html, trials, record);
    }
    let hidden = trials.records.len().saturating_sub(MOST_TRIALS);
    if hidden > 0 {
        let _ = writeln!(
            html,
            "<p>{hidden} more trials have no section here, which would make the page slow; each has its record in the \
             folder of the runs.</p>"
        );
    }
    html
}

fn trial(html: &mut String, trials: &Trials, record: &RunRecord) {
    let result = match record.metrics.as_ref().and_then(|metrics| metrics.top1.or(metrics.perplexity)) {
        Some(_) if record.error.is_some() => String::new(),
        Some(value) if record.metrics.as_ref().is_some_and(|m| m.top1.is_some()) => {
            format!(", {} %", two_decimals(100.0 * value))
        }
        Some(value) => format!(", perplexity {}", two_decimals(value)),
        None => String::new(),
    };
    let _ = writeln!(
        html,
        "<details id=\"t{}\"><summary>{}: {}{}</summary>",
        escape(&record.id),
        escape(&trials.name(record)),
        status_name(record.status),
        escape(&result)
    );
    if let Some(error) = &record.error {
        let _ = writeln!(html, "<p class=\"warning\">{}: {}</p>", error.class.name(), escape(&error.message));
    }
    if record.epochs.len() > 1 {
        html.push_str("<h3>Curves</h3>\n");
        html.push_str(&curve("training loss", &record.epochs, |epoch| Some(epoch.train_loss)));
        html.push_str(&curve("test loss", &record.epochs, |epoch| Some(epoch.test.loss)));
        html.push_str(&curve("test accuracy (%)", &record.epochs, |epoch| epoch.test.top1.map(|top1| 100.0 * top1)));
        html.push_str(&curve("test perplexity", &record.epochs, |epoch| epoch.test.perplexity));
    }
    if !record.layers.is_empty() {
        html.push_str("<h3>Quantized layers</h3>\n");
        html.push_str(&table(&layers(record)));
    }
    html.push_str("<h3>Configuration</h3>\n");
    // A configuration of plain numbers and words always has a JSON form.
    let config = serde_json::to_string_pretty(&record.config).unwrap_or_default();
    let _ = writeln!(html, "<pre>{}</pre>", preformatted(&config));
    html.push_str("<h3>Environment</h3>\n<dl>");
    let environment = &record.environment;
    let dirty = match environment.dirty {
        Some(true) => " with uncommitted changes",
        Some(false) => "",
        None => ", changes unknown",
    };
    let commit = environment.commit.as_ref().map_or_else(|| "none".to_owned(), |commit| format!("{commit}{dirty}"));
    let pairs = [
        ("commit", commit),
        ("harness", environment.harness.clone()),
        ("libtorch", environment.libtorch.clone()),
        ("device", format!("{} ({})", environment.device, environment.device_name)),
        ("CPU", format!("{} ({})", environment.cpu, environment.cpu_capability)),
        ("threads", environment.threads.to_string()),
        ("host", environment.host.clone()),
        ("platform", environment.platform.clone()),
        ("seconds", two_decimals(record.time.seconds)),
        ("attempt", format!("{}, resumed {} times", record.attempt, record.time.resumed)),
    ];
    for (name, value) in pairs {
        let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    let _ = write!(
        html,
        "<dt>record</dt><dd>{}/{}/record.json</dd></dl>\n</details>\n",
        escape(&record.sweep),
        escape(&record.id)
    );
}

/// Width and height of a small curve, in pixels.
const SIZE: (f64, f64) = (220.0, 56.0);

/// A small curve over epochs, with the values of both ends; nothing without two finite values.
fn curve(name: &str, epochs: &[EpochRecord], of: impl Fn(&EpochRecord) -> Option<f64>) -> String {
    let values: Vec<(usize, f64)> =
        epochs.iter().enumerate().filter_map(|(i, epoch)| Some((i, of(epoch).filter(|v| v.is_finite())?))).collect();
    let [(_, first), .., (_, last)] = values.as_slice() else { return String::new() };
    let low = values.iter().map(|(_, v)| *v).fold(f64::INFINITY, f64::min);
    let high = values.iter().map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let end = (epochs.len() - 1) as f64;
    let points: Vec<String> = values
        .iter()
        .map(|(i, v)| {
            format!("{:.1},{:.1}", 2.0 + (SIZE.0 - 4.0) * *i as f64 / end, 2.0 + (SIZE.1 - 4.0) * (high - v) / span)
        })
        .collect();
    format!(
        "<figure style=\"display:inline-block;margin:.2rem 1rem .2rem 0\"><svg width=\"{}\" height=\"{}\" role=\"img\">\
         <title>{name}</title><polyline fill=\"none\" stroke=\"#0072b2\" stroke-width=\"1.5\" points=\"{}\"/></svg>\
         <figcaption>{name}: {first:.4} to {last:.4}, between {low:.4} and {high:.4}</figcaption></figure>\n",
        SIZE.0,
        SIZE.1,
        points.join(" ")
    )
}

fn layers(record: &RunRecord) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let columns = vec![
        left("Layer"),
        left("Role"),
        left("Method"),
        right("Bits"),
        left("Shape"),
        right("Relative MSE"),
        right("Angle (°)"),
        right("Eff. bits"),
        right("Quantized (%)"),
    ];
    let row = |layer: &harness_records::record::LayerRecord| {
        let shape: Vec<String> = layer.shape.iter().map(i64::to_string).collect();
        let angle = layer.values.as_ref().map(|values| values.cosine.clamp(-1.0, 1.0).acos().to_degrees());
        vec![
            layer.layer.clone(),
            layer.role.to_string(),
            layer.method.clone(),
            layer.bits.to_string(),
            shape.join("×"),
            format!("{:.4}", layer.relative_mse),
            angle.map_or_else(String::new, two_decimals),
            two_decimals(layer.effective_bits),
            two_decimals(100.0 * layer.fraction),
        ]
    };
    Grid { columns, rows: record.layers.iter().map(row).collect(), notes: Vec::new(), ..Grid::default() }
}
