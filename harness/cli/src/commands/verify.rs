//! `harness verify`: a finished trial run again, bit for bit.

use std::path::PathBuf;

use clap::Args;
use harness_engine::device::DeviceChoice;
use harness_engine::stop;
use harness_engine::verify::{again, first_difference};
use harness_records::record::{RunRecord, Status};
use harness_records::store::TrialDir;
use harness_records::trial::Trial;
use serde_json::json;

use super::runs::trial;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{print, print_json, talk};
use crate::progress::Progress;
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness verify runs/quickstart/0123456789abcdef
  harness verify runs/quickstart/0123456789abcdef --root /data/mnist --json")]
pub(crate) struct VerifyArguments {
    /// Folder of the trial, runs/SWEEP/ID
    run: PathBuf,
    /// Where to compute: auto (where it ran first), cpu, cuda or cuda:0
    #[arg(long, default_value = "auto")]
    device: String,
    /// Folder of the data set, where it has moved
    #[arg(long)]
    root: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &VerifyArguments, volume: Volume) -> Outcome {
    let (_, dir) = trial(&arguments.run)?;
    let shown = arguments.run.display();
    let record = dir.record().map_err(refuse)?;
    let Some(mut record) = record.filter(|record| record.status == Status::Ok) else {
        return Err(refuse(format_args!("{shown} has not ended well, expected a finished trial")));
    };
    // A GPU gives other bits than a CPU: only the same kind can be expected to agree.
    let wanted = if arguments.device == "auto" { record.environment.device.kind() } else { &arguments.device };
    let device = wanted.parse::<DeviceChoice>().map_err(refuse)?.resolve().map_err(refuse)?;
    if let Some(root) = &arguments.root {
        record.config.dataset.root = Some(root.clone());
    }
    stop::listen(true)?;
    let scratch = tempfile::tempdir()?;
    let label = Trial {
        id: record.id.clone(),
        sweep: record.sweep.clone(),
        config: record.config.clone(),
        label: format!("{} again", record.id),
        axes: Vec::new(),
    };
    let mut progress = Progress::new(&[label], &[], volume);
    let ran = again(&record, &dir, scratch.path(), device, &mut |event| progress.see(&event));
    progress.finish();
    let (new, new_dir) = ran?;
    let difference = first_difference(&record, &new).or_else(|| other_network(&dir, &new_dir));
    say(arguments, &record, &new, difference.as_ref())?;
    if let Err(error) = dir.write_verification(&new.environment, difference.clone()) {
        talk(format_args!("not noted beside the record: {error}"));
    }
    if difference.is_some() { Err(Stop::Failed) } else { Ok(()) }
}

/// Whether the files of the networks differ, where both are there.
fn other_network(one: &TrialDir, other: &TrialDir) -> Option<String> {
    let read = |dir: &TrialDir| std::fs::read(dir.model_path()).ok();
    let differ = matches!((read(one), read(other)), (Some(a), Some(b)) if a != b);
    differ.then(|| "the weights of the final network differ, though no recorded number does".to_owned())
}

fn say(arguments: &VerifyArguments, old: &RunRecord, new: &RunRecord, difference: Option<&String>) -> Outcome {
    let (before, now) = (&old.environment, &new.environment);
    let changed: Vec<String> = [
        ("device", &before.device_name, &now.device_name),
        ("instruction sets", &before.cpu_capability, &now.cpu_capability),
        ("libtorch", &before.libtorch, &now.libtorch),
        ("harness", &before.harness, &now.harness),
    ]
    .iter()
    .filter(|(_, before, now)| before != now)
    .map(|(what, before, now)| format!("{what} {before} then, {now} now"))
    .collect();
    if arguments.json {
        return Ok(print_json(&json!({
            "id": old.id,
            "identical": difference.is_none(),
            "difference": difference,
            "epochs": new.epochs.len(),
            "losses_compared": old.losses.as_ref().map(|losses| losses.bits.len() / 8),
            "environment_changed": changed,
        }))?);
    }
    match difference {
        None => print(format_args!("{}: run again, every number is the same to the bit", old.id))?,
        Some(difference) => print(format_args!("{}: not the same: {difference}", old.id))?,
    }
    for changed in changed {
        print(format_args!("  {changed}"))?;
    }
    Ok(())
}
