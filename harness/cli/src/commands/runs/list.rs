//! `harness runs list`.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use harness_records::listing::{Brief, Listed};
use harness_records::store::TrialState;
use serde_json::{Value, json};

use super::Chosen;
use crate::exit::Outcome;
use crate::output::{columns, print, print_json};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness runs list
  harness runs list quickstart --state failed --json")]
pub(super) struct RunsListArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Only trials that are so far (repeatable: any of them)
    #[arg(long = "state", value_name = "STATE", value_parser = states())]
    states: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RunsListArguments) -> Outcome {
    let wanted = |listed: &Listed| {
        let is = |state: &String| state == listed.state.name() || (state == FORMER_PARTIAL && is_partial(listed));
        arguments.states.is_empty() || arguments.states.iter().any(is)
    };
    let mut listed = arguments.chosen.store()?.list(arguments.chosen.sweep.as_deref())?;
    listed.retain(wanted);
    if arguments.json {
        return Ok(print_json(&listed.iter().map(object).collect::<Vec<_>>())?);
    }
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    Ok(print(columns(&["sweep", "trial", "state", "result", "seconds", "attempt", "what"], &rows))?)
}

/// What `partial` was called before. On a cluster "waiting" says that a task will run the trial, which nobody knows here;
/// scripts that ask for it by the old name go on working.
const FORMER_PARTIAL: &str = "waiting";

fn states() -> PossibleValuesParser {
    let value = |name: &'static str| {
        let value = PossibleValue::new(name);
        if name == "partial" { value.alias(FORMER_PARTIAL) } else { value }
    };
    PossibleValuesParser::new(TrialState::<Brief>::NAMES.map(value))
}

fn is_partial(listed: &Listed) -> bool {
    matches!(listed.state, TrialState::Partial(_))
}

fn object(listed: &Listed) -> Value {
    let Listed { sweep, id, path, state } = listed;
    let brief = state.record();
    let (epochs, owner) = match state {
        TrialState::Partial(epochs) => (Some(*epochs), None),
        TrialState::Running { owner, .. } => (None, owner.as_ref()),
        _ => (None, None),
    };
    json!({
        "sweep": sweep,
        "id": id,
        "path": path,
        "state": state.name(),
        "label": brief.map(|brief| brief.label()),
        "metrics": brief.and_then(|brief| brief.metrics.as_ref()),
        "error": brief.and_then(|brief| brief.error.as_ref()),
        "attempt": brief.map(|brief| brief.attempt),
        "seconds": brief.map(|brief| brief.time.seconds),
        "finished": brief.map(|brief| brief.time.finished),
        "host": brief.map(|brief| &brief.environment.host),
        "device": brief.map(|brief| &brief.environment.device),
        "epochs": epochs,
        "owner": owner.map(|owner| json!({"host": owner.host, "pid": owner.pid})),
        "broken": if let TrialState::Broken(reason) = state { Some(reason) } else { None },
    })
}

fn row(listed: &Listed) -> Vec<String> {
    let brief = listed.state.record();
    let error = || brief.and_then(|brief| brief.error.as_ref()).map(|error| error.class.name().to_owned());
    let metrics = brief.and_then(|brief| brief.metrics.as_ref());
    let result = match &listed.state {
        TrialState::Running { owner: Some(owner), .. } => format!("{}, process {}", owner.host, owner.pid),
        TrialState::Partial(epochs) => format!("{epochs} epochs done"),
        TrialState::Broken(reason) => reason.clone(),
        _ => metrics
            .map(|metrics| match (metrics.top1, metrics.perplexity) {
                (Some(top1), _) => format!("top-1 {:.2}%", 100.0 * top1),
                (None, Some(perplexity)) => format!("perplexity {perplexity:.2}"),
                (None, None) => format!("loss {:.4}", metrics.loss),
            })
            .or_else(error)
            .unwrap_or_default(),
    };
    let text = |value: Option<String>| value.unwrap_or_default();
    vec![
        listed.sweep.clone(),
        listed.id.clone(),
        listed.state.name().to_owned(),
        result,
        text(brief.map(|brief| format!("{:.1}", brief.time.seconds))),
        text(brief.map(|brief| brief.attempt.to_string())),
        text(brief.map(|brief| brief.label())),
    ]
}

#[cfg(test)]
mod tests {
    use harness_engine::execute::cluster::TrialPhase;

    use super::*;

    /// A word that `harness status` uses too means the same there.
    #[test]
    fn waiting_means_one_thing() {
        let on_a_cluster = json!([TrialPhase::Waiting, TrialPhase::Open, TrialPhase::Done]);
        for word in on_a_cluster.as_array().unwrap() {
            assert!(!TrialState::<Brief>::NAMES.contains(&word.as_str().unwrap()), "{word}");
        }
    }
}
