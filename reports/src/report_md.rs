//! `report.md`: the page that holds everything together.

use std::collections::BTreeMap;
use std::fmt::Write;

use harness_records::record::{RunRecord, Status};

use crate::Verified;
use crate::encode::markdown::{escape, list, markdown};
use crate::encode::one_line;
use crate::failures;
use crate::sheet::Sheet;
use crate::trials::Trials;

/// A table as the page shows it.
pub(crate) struct TableSection {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) sheet: Sheet,
    /// Its files, relative to the page.
    pub(crate) files: Vec<String>,
}

/// A figure as the page shows it.
pub(crate) struct FigureSection {
    pub(crate) title: &'static str,
    /// Its caption, or why there is nothing to see.
    pub(crate) text: String,
    /// The pictures that the page shows, relative to it: one for each page of the figure.
    pub(crate) pictures: Vec<String>,
    /// The drawings themselves, for a page that holds everything.
    pub(crate) svg: Vec<String>,
    /// All its files, relative to the page.
    pub(crate) files: Vec<String>,
}

/// Where trials ran.
pub(crate) struct Facts {
    /// One line a fact.
    pub(crate) facts: Vec<String>,
    /// What makes trials hard to compare.
    pub(crate) warnings: Vec<String>,
}

/// The page.
pub(crate) fn page(
    title: &str,
    command: Option<&str>,
    problems: &[String],
    trials: &Trials,
    tables: &[TableSection],
    figures: &[FigureSection],
) -> String {
    let mut page = format!("# {}\n\n{}\n", heading(title), summary(trials, problems));
    for table in tables {
        section(&mut page, &escape(&table.title), &markdown(&table.sheet.grid));
        files(&mut page, &table.files);
    }
    for figure in figures {
        let mut body = String::new();
        for picture in &figure.pictures {
            let _ = writeln!(body, "![{}]({picture})\n", escape(figure.title));
        }
        let _ = writeln!(body, "{}", escape(&figure.text));
        section(&mut page, figure.title, &body);
        files(&mut page, &figure.files);
    }
    let failures = failures::lines(trials);
    if !failures.is_empty() {
        section(&mut page, "Trials without a result", &list(&failures));
    }
    let problems: Vec<String> = problems.iter().chain(&trials.repeated).cloned().collect();
    if !problems.is_empty() {
        section(&mut page, "Problems with the records", &list(&problems));
    }
    section(&mut page, "Setting", &list(&setting(trials)));
    let Facts { facts, warnings } = environment(&trials.records);
    let warnings: String = warnings.iter().map(|warning| format!("\n> {}\n", escape(warning))).collect();
    section(&mut page, "Environment", &format!("{}{warnings}", list(&facts)));
    let (lines, text) = reproduce(&trials.records, command);
    section(&mut page, "To reproduce", &format!("```sh\n{}\n```\n\n{}\n", lines.replace('`', ""), escape(&text)));
    page
}

fn heading(title: &str) -> String {
    let title = escape(title);
    if title.is_empty() { "Report".to_owned() } else { title }
}

fn section(page: &mut String, title: &str, body: &str) {
    let _ = write!(page, "\n## {title}\n\n{body}");
}

fn files(page: &mut String, files: &[String]) {
    let links: Vec<String> = files.iter().map(|file| format!("[{file}]({file})")).collect();
    if !links.is_empty() {
        let _ = writeln!(page, "\nFiles: {}", links.join(", "));
    }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(crate) fn summary(trials: &Trials, problems: &[String]) -> String {
    let count = |status| trials.count(status);
    let mut text = format!(
        "{}: {} ok, {} failed, {} diverged.",
        plural(trials.records.len(), "trial"),
        count(Status::Ok),
        count(Status::Failed),
        count(Status::Diverged)
    );
    let seconds: f64 = trials.records.iter().map(|record| record.time.seconds).filter(|s| s.is_finite()).sum();
    let _ = write!(text, " Work: {}.", duration(seconds));
    let Verified { again, identical } = trials.verified;
    match again {
        0 => {}
        _ if again == identical => {
            let _ = write!(text, " Verified: {} run again, every number the same to the bit.", plural(again, "trial"));
        }
        _ => {
            let _ = write!(text, " {} run again, {} of them NOT the same.", plural(again, "trial"), again - identical);
        }
    }
    if !problems.is_empty() {
        let _ = write!(text, " {} with the records, see below.", plural(problems.len(), "problem"));
    }
    text
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// What is the same in every trial, a line each.
pub(crate) fn setting(trials: &Trials) -> Vec<String> {
    let common = trials.labels.common();
    if common.is_empty() {
        return vec!["Nothing is the same in every trial.".to_owned()];
    }
    let pairs = common.iter().map(|(key, value)| format!("{key} = {value}"));
    ["The same in every trial that has it:".to_owned()].into_iter().chain(pairs).collect()
}

/// A fact about where trials ran: its name and how to read it. Trials that differ in one need a second thought before
/// they are compared.
type Fact = (&'static str, fn(&RunRecord) -> String);

const FACTS: &[Fact] = &[
    ("commit", commit),
    ("harness", |r| r.environment.harness.clone()),
    ("libtorch", |r| r.environment.libtorch.clone()),
    ("device", |r| format!("{} ({})", r.environment.device, r.environment.device_name)),
    ("CPU", |r| format!("{} ({})", r.environment.cpu, r.environment.cpu_capability)),
    ("threads", |r| r.environment.threads.to_string()),
    ("platform", |r| r.environment.platform.clone()),
];

fn commit(record: &RunRecord) -> String {
    let Some(commit) = &record.environment.commit else { return "not in a git repository".to_owned() };
    match record.environment.dirty {
        Some(false) => commit.clone(),
        Some(true) => format!("{commit} with uncommitted changes"),
        None => format!("{commit}, changes unknown"),
    }
}

/// Values named in one line; the rest are counted.
const NAMED: usize = 5;

/// Distinct values with the number of trials that have them, most frequent first.
fn counted(records: &[RunRecord], of: impl Fn(&RunRecord) -> String) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(of(record)).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// Where trials ran, and what of it differs.
pub(crate) fn environment(records: &[RunRecord]) -> Facts {
    let mut facts = Vec::new();
    let mut warnings = Vec::new();
    for (name, of) in FACTS {
        let counts = counted(records, of);
        facts.push(format!("{name}: {}", named(&counts)));
        if counts.len() > 1 {
            warnings.push(format!(
                "Warning: these records come from {} different values of {name}. Differences between them may not be \
                 differences between methods.",
                counts.len()
            ));
        }
    }
    if records.iter().any(|record| record.environment.dirty == Some(true)) {
        warnings
            .push("Warning: some trials ran with uncommitted changes; their commit does not reproduce them.".into());
    }
    Facts { facts, warnings }
}

fn named(counts: &[(String, usize)]) -> String {
    if let [(only, _)] = counts {
        return only.clone();
    }
    let mut parts: Vec<String> =
        counts.iter().take(NAMED).map(|(value, count)| format!("{value} ({})", plural(*count, "trial"))).collect();
    if counts.len() > NAMED {
        parts.push(format!("{} more", counts.len() - NAMED));
    }
    parts.join("; ")
}

/// Commands that run these trials again, and what there is to know about them.
pub(crate) fn reproduce(records: &[RunRecord], command: Option<&str>) -> (String, String) {
    let mut lines = Vec::new();
    let commits = counted(records, |record| record.environment.commit.clone().unwrap_or_default());
    if let [(commit, _)] = commits.as_slice()
        && !commit.is_empty()
    {
        lines.push(format!("git checkout {}", one_line(commit)));
    }
    lines.push(one_line(command.unwrap_or("harness sweep FILE")));
    let sweeps: Vec<String> =
        counted(records, |record| record.sweep.clone()).into_iter().map(|(name, _)| name).collect();
    let which = match command {
        Some(_) => String::new(),
        None => format!("FILE is the sweep file named {}. ", sweeps.join(", ")),
    };
    let text = format!(
        "{which}Every trial keeps its resolved configuration in config.yaml beside its record; the same configuration, \
         seed and thread count on the same CPU type give the same numbers."
    );
    (lines.join("\n"), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::record;

    #[test]
    fn mixed_environments_are_warned_about() {
        let check = |change: fn(&mut RunRecord), expected: &[&str]| {
            let records = [record().build(), record().seed(1).edit(change).build()];
            let Facts { warnings, .. } = environment(&records);
            assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
            assert!(warnings.iter().zip(expected).all(|(warning, part)| warning.contains(part)), "{warnings:?}");
        };
        check(|_| {}, &[]);
        check(|r| r.environment.host = "elsewhere".to_owned(), &[]);
        check(|r| r.environment.commit = Some("f".repeat(40)), &["2 different values of commit"]);
        check(|r| r.environment.commit = None, &["2 different values of commit"]);
        check(|r| r.environment.dirty = Some(true), &["2 different values of commit", "uncommitted changes"]);
        check(|r| r.environment.device_name = "Another".to_owned(), &["2 different values of device"]);
        check(|r| r.environment.libtorch = "2.12.0".to_owned(), &["2 different values of libtorch"]);
    }

    #[test]
    fn many_values_are_counted() {
        let records: Vec<RunRecord> = (0..8u64)
            .map(|seed| record().seed(seed).edit(|r| r.environment.commit = Some(format!("{seed:040}"))).build())
            .collect();
        assert!(environment(&records).facts.iter().any(|fact| fact.contains("; 3 more")));
    }

    #[test]
    fn durations() {
        assert_eq!(duration(3.21), "3.2 s");
        assert_eq!(duration(125.0), "2 min 5 s");
        assert_eq!(duration(7384.0), "2 h 3 min");
    }
}
