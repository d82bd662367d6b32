//! Claims of the papers with what the trials say of them.

use crate::claims::{Claim, Comparison, Finding, LEAST_SEEDS, Measured, Outcome, Proof, Rule, Verdict, findings};
use crate::error::ReportError;
use crate::numbers::MINUS;
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::trials::Trials;
use harness_stats::Interval;

/// `claims`.
pub(crate) struct Claims;

impl Table for Claims {
    fn name(&self) -> &'static str {
        "claims"
    }

    fn title(&self) -> &'static str {
        "Claims"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let findings = findings(&trials.records);
        Ok(Sheet { grid: grid(&findings, trials), data: data(&findings, trials) })
    }
}

const COLUMNS: &[(&str, Align)] = &[
    ("Claim", Align::Left),
    ("What is compared", Align::Left),
    ("Where", Align::Left),
    ("Measured", Align::Right),
    ("95% interval", Align::Right),
    ("Seeds", Align::Right),
    ("Holds if", Align::Left),
    ("Verdict", Align::Left),
];

fn grid(findings: &[Finding<'_>], trials: &Trials) -> Grid {
    Grid {
        columns: COLUMNS.iter().map(|(title, align)| ((*title).to_owned(), *align)).collect(),
        rows: findings.iter().flat_map(|finding| lines(finding, trials)).collect(),
        notes: notes(findings),
        ..Grid::default()
    }
}

/// A line for the claim, then one for each comparison; claims that trials do not decide are told below the table.
fn lines(finding: &Finding<'_>, trials: &Trials) -> Vec<Vec<String>> {
    let claim = finding.claim;
    if finding.comparisons.is_empty() {
        return Vec::new();
    }
    let head = |text: String, verdict: Verdict| {
        let mut cells = vec![claim.id.to_owned(), text, place(finding, trials)];
        cells.resize(COLUMNS.len() - 1, String::new());
        cells.push(verdict.word().to_owned());
        cells
    };
    let mut lines = vec![head(format!("{} ({})", capital(claim.sentence), claim.source), finding.verdict)];
    let mut missing: Vec<&str> = Vec::new();
    for (number, (comparison, outcome)) in (1..).zip(&finding.comparisons) {
        match outcome {
            Outcome::Measured(measured) => lines.push(line(claim, number, comparison, measured)),
            Outcome::NotRun(parts) => {
                missing.extend(
                    parts.iter().map(String::as_str).filter(|part| !missing.contains(part)).collect::<Vec<_>>(),
                );
            }
        }
    }
    if !missing.is_empty() {
        let mut cells = vec![String::new(); COLUMNS.len()];
        cells[1] = format!("missing: {}", missing.join("; "));
        if finding.verdict != Verdict::NotRun {
            cells[COLUMNS.len() - 1] = Verdict::NotRun.word().to_owned();
        }
        lines.push(cells);
    }
    lines
}

fn line(claim: &Claim, number: usize, comparison: &Comparison, measured: &Measured) -> Vec<String> {
    let mut what = format!("{}: {}", comparison.statistic.name(), arms(comparison));
    for remark in &measured.remarks {
        what.push_str(&format!(" ({remark})"));
    }
    let statistic = comparison.statistic;
    let shown = |value: f64| signed(value, statistic.decimals());
    vec![
        format!("{}.{number}", claim.id),
        what,
        String::new(),
        measured.summary.map_or_else(String::new, |summary| with_unit(shown(summary.mean), statistic.unit())),
        measured
            .interval
            .map_or_else(String::new, |Interval { low, high }| format!("{} to {}", shown(low), shown(high))),
        measured.summary.map_or(0, |summary| summary.n).to_string(),
        rule(comparison, measured),
        measured.verdict.word().to_owned(),
    ]
}

fn notes(findings: &[Finding<'_>]) -> Vec<String> {
    let mut notes = vec![
        format!(
            "Trials are compared seed by seed where all else is equal: data set, model, training, layers kept in full \
             precision. The interval is that of the mean difference by Student's t (two-sided, 95%). Supported: it lies \
             wholly where the claim holds; refuted: wholly where it does not; undecided otherwise, with fewer than \
             {LEAST_SEEDS} seeds, and when a trial diverged. Above and below are strict."
        ),
        "A claim of several comparisons is supported when all of them are and refuted when one is. Numbers of layers \
         are those of the layer that speaks most against the claim, for each seed."
            .to_owned(),
        "Each interval is for itself, with no correction for how many there are: one in twenty misses its mean by \
         chance. Networks and data are not those of the papers, so only the sign of a difference can be compared with \
         theirs."
            .to_owned(),
    ];
    if findings.iter().any(Finding::is_of_time) {
        notes.push(
            "Times are those of a machine as busy as it was: the interval knows the spread over seeds, not a change \
             between one arm and the next. They mean something only where nothing else ran."
                .to_owned(),
        );
    }
    let of = |wanted: fn(&Claim) -> Option<String>| -> Vec<String> {
        findings
            .iter()
            .filter_map(|finding| Some(format!("{} ({})", finding.claim.id, wanted(finding.claim)?)))
            .collect()
    };
    let tested = of(|claim| match claim.proof {
        Proof::Test { function, .. } => Some(format!("{}: {function}", claim.sentence)),
        _ => None,
    });
    notes.push(format!("Proved by tests, not by trials: {}.", tested.join("; ")));
    let open = of(|claim| match claim.proof {
        Proof::Open(reason) => Some(format!("{}: {reason}", claim.sentence)),
        _ => None,
    });
    notes.push(format!("Not decided by anything yet: {}.", open.join("; ")));
    notes
}

/// Data set, model, and whatever else of the place differs among the trials of the report.
fn place(finding: &Finding<'_>, trials: &Trials) -> String {
    let parts = places(finding, trials).into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

fn places(finding: &Finding<'_>, trials: &Trials) -> [String; 3] {
    let Some(record) = finding.example else { return Default::default() };
    let labels = &trials.labels;
    let setting = labels.differing_setting(&record.config, |key| key != RESTARTS || !finding.claim.varies_restarts());
    [labels.dataset(&record.config), labels.model(&record.config), setting]
}

const RESTARTS: &str = "train.restarts";

/// `balanced w2 − uniform w2`.
fn arms(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (index, (sign, arm)) in comparison.terms.iter().enumerate() {
        if index > 0 {
            text.push_str(&format!(" {} ", if *sign < 0.0 { MINUS } else { '+' }));
        }
        text.push_str(arm.name);
    }
    text
}

fn rule(comparison: &Comparison, measured: &Measured) -> String {
    let decimals = comparison.statistic.decimals();
    match comparison.rule {
        Rule::Above(min) => format!("above {}", plain(min, decimals)),
        Rule::Below(most) => format!("below {}", plain(most, decimals)),
        Rule::Within(margin) => format!("within ±{}", plain(margin, decimals)),
        Rule::WithinSpread => match measured.spread {
            Some(spread) => format!("within ±{} (1 sd)", plain(spread, decimals)),
            None => "within ±1 sd".to_owned(),
        },
        Rule::Zero => "0 for every seed".to_owned(),
    }
}

fn with_unit(number: String, unit: &str) -> String {
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// With a sign, unless it rounds to zero.
fn signed(value: f64, decimals: usize) -> String {
    let text = plain(value, decimals);
    if value > 0.0 && text.chars().any(|c| ('1'..='9').contains(&c)) { format!("+{text}") } else { text }
}

/// With a true minus sign and no negative zero; zero has no decimals.
fn plain(value: f64, decimals: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    if value < 0.0 && text.chars().any(|c| ('1'..='9').contains(&c)) { format!("{MINUS}{text}") } else { text }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

const FACTS: &[&str] = &[
    "claim",
    "sentence",
    "source",
    "dataset",
    "model",
    "setting",
    "claim_verdict",
    "comparison",
    "statistic",
    "unit",
    "arms",
    "seeds",
    "mean",
    "sd",
    "low",
    "high",
    "rule",
    "rule_value",
    "verdict",
    "remark",
];

/// One row a comparison; one for a claim without any.
fn data(findings: &[Finding<'_>], trials: &Trials) -> Data {
    let rows = findings.iter().flat_map(|finding| {
        let claim = finding.claim;
        let mut head: Vec<Value> = vec![claim.id.into(), claim.sentence.into(), claim.source.into()];
        head.extend(places(finding, trials).map(Value::Text));
        head.push(finding.verdict.word().into());
        let facts: Vec<Vec<Value>> = match claim.proof {
            Proof::Trials(_) => (1..).zip(&finding.comparisons).map(|(n, (c, o))| facts(n, c, o)).collect(),
            Proof::Test { file, function } => vec![remark(finding.verdict, &format!("{file}: {function}"))],
            Proof::Open(reason) => vec![remark(finding.verdict, reason)],
        };
        facts.into_iter().map(move |facts| [head.clone(), facts].concat())
    });
    Data { columns: FACTS.to_vec(), rows: rows.collect() }
}

fn facts(number: usize, comparison: &Comparison, outcome: &Outcome) -> Vec<Value> {
    let (rule, value) = match comparison.rule {
        Rule::Above(min) => ("above", Some(min)),
        Rule::Below(most) => ("below", Some(most)),
        Rule::Within(margin) => ("within", Some(margin)),
        Rule::WithinSpread => ("within 1 sd", None),
        Rule::Zero => ("zero", None),
    };
    let (measured, remarks) = match outcome {
        Outcome::Measured(measured) => (Some(measured), measured.remarks.join("; ")),
        Outcome::NotRun(missing) => (None, format!("missing: {}", missing.join("; "))),
    };
    let summary = measured.and_then(|measured| measured.summary);
    let interval = measured.and_then(|measured| measured.interval);
    vec![
        number.into(),
        comparison.statistic.name().into(),
        comparison.statistic.unit().into(),
        Value::Text(arms(comparison)),
        summary.map_or(0, |summary| summary.n).into(),
        summary.map(|summary| summary.mean).into(),
        summary.and_then(|summary| summary.sd).into(),
        interval.map(|interval| interval.low).into(),
        interval.map(|interval| interval.high).into(),
        rule.into(),
        value.or(measured.and_then(|measured| measured.spread)).into(),
        outcome.verdict().word().into(),
        Value::Text(remarks),
    ]
}

/// The facts of a claim without comparisons.
fn remark(verdict: Verdict, remark: &str) -> Vec<Value> {
    let mut facts = vec![Value::Absent; 11];
    facts.extend([verdict.word().into(), remark.into()]);
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!([1.25, -1.25, 0.0, 0.001, -0.001].map(|v| signed(v, 2)), ["+1.25", "−1.25", "0", "0.00", "0.00"]);
        assert_eq!([-0.01, 0.5, 0.0].map(|v| plain(v, 3)), ["−0.010", "0.500", "0"]);
        assert_eq!(signed(1e6, 0), "+1000000");
    }

    #[test]
    fn every_fact_has_its_column() {
        assert_eq!(7 + remark(Verdict::Open, "").len(), FACTS.len());
    }
}
