//! `harness runs show`.

use std::path::PathBuf;

use clap::Args;
use harness_records::store::{TrialDir, TrialState};
use serde_json::json;

use super::{size, trial};
use crate::exit::Outcome;
use crate::output::{columns, print, print_json};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  harness runs show runs/quickstart/0123456789abcdef")]
pub(super) struct RunsShowArguments {
    /// Folder of the trial, runs/SWEEP/ID
    run: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RunsShowArguments) -> Outcome {
    let (sweep, dir) = trial(&arguments.run)?;
    let (files, attempts) = (dir.files()?, dir.attempt_history()?);
    let state = dir.state();
    if arguments.json {
        let record = dir.record().ok().flatten();
        let files: Vec<_> = files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect();
        return Ok(print_json(&json!({
            "sweep": sweep, "id": dir.id(), "state": in_words(&state),
            "attempts": attempts, "files": files, "record": record,
        }))?);
    }
    print(format_args!("{sweep}/{}: {}", dir.id(), in_words(&state)))?;
    print(outcome(&dir))?;
    let attempts: Vec<Vec<String>> = attempts
        .iter()
        .map(|attempt| {
            let end = attempt.end.as_ref();
            let seconds = end.map(|end| end.at.saturating_sub(attempt.started).to_string());
            vec![
                attempt.number.to_string(),
                format!("{}, process {}", attempt.host, attempt.pid),
                seconds.unwrap_or_default(),
                end.map_or("no end", |end| end.how.name()).to_owned(),
                end.map(|end| end.epochs.to_string()).unwrap_or_default(),
                end.and_then(|end| end.error.as_ref()).map(|error| error.message.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    print(columns(&["attempt", "where", "seconds", "ended", "epochs", "because"], &attempts))?;
    let files: Vec<Vec<String>> = files.iter().map(|(name, bytes)| vec![name.clone(), size(*bytes)]).collect();
    Ok(print(format_args!("\n{}", columns(&["file", "size"], &files)))?)
}

fn in_words(state: &TrialState) -> String {
    match state {
        TrialState::New => "nothing has been kept of it yet".to_owned(),
        TrialState::Partial(epochs) => format!("has a checkpoint after {epochs} epochs"),
        TrialState::Running { owner: Some(owner), .. } => format!("running on {}, process {}", owner.host, owner.pid),
        TrialState::Running { owner: None, .. } => "running".to_owned(),
        TrialState::Done(_) => "ok".to_owned(),
        TrialState::Failed(record) => match &record.error {
            Some(error) => format!("failed ({}): {}", error.class.name(), error.message),
            None => "failed".to_owned(),
        },
        TrialState::Broken(reason) => format!("cannot be used: {reason}"),
    }
}

/// The last few epochs and the final metrics.
fn outcome(dir: &TrialDir) -> String {
    let Ok(Some(record)) = dir.record() else { return String::new() };
    let rows: Vec<Vec<String>> = record
        .epochs
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(|epoch| {
            let test = epoch.test.top1.or(epoch.test.perplexity).unwrap_or(epoch.test.loss);
            vec![epoch.epoch.to_string(), format!("{:.4}", epoch.train_loss), format!("{test:.4}")]
        })
        .collect();
    let mut text = columns(&["epoch", "training loss", "test"], &rows);
    if let Some(split) = &record.split {
        text += &format!("\nbatches were computed in {} parts since step {}", split.accumulate, split.since_step);
    }
    text + "\n"
}
