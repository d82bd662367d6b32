//! `harness runs`: what is in a folder of runs.

mod archive;
mod gc;
mod list;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use harness_records::store::{Store, TrialDir};

use crate::exit::{Outcome, Stop, refuse};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness runs list quickstart
  harness runs show runs/quickstart/0123456789abcdef
  harness runs gc --dry-run
  harness runs archive quickstart --out quickstart.tar")]
pub(crate) struct RunsArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List trials: how far each is and what it came to
    List(list::RunsListArguments),
    /// Show one trial: files, attempts, what it came to
    Show(show::RunsShowArguments),
    /// Remove what finished trials no longer need and what killed processes left
    Gc(gc::RunsGcArguments),
    /// Pack trials into one tar file that can be looked at and run again elsewhere
    Archive(archive::RunsArchiveArguments),
}

pub(crate) fn run(arguments: &RunsArguments) -> Outcome {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Gc(arguments) => gc::run(arguments),
        Command::Archive(arguments) => archive::run(arguments),
    }
}

/// Which trials a command is about.
#[derive(Debug, Args)]
struct Chosen {
    /// Name of the sweep; all sweeps where none is given
    sweep: Option<String>,
    /// Folder of the runs
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
}

impl Chosen {
    /// The store, once it is certain that it holds what is asked for.
    fn store(&self) -> Result<Store, Stop> {
        let shown = self.runs.display();
        if !self.runs.is_dir() {
            return Err(refuse(format_args!("there is no folder {shown}, expected the folder of runs (--runs)")));
        }
        let store = Store::open(&self.runs);
        if let Some(sweep) = &self.sweep
            && !self.runs.join(sweep).is_dir()
        {
            let there = store.sweeps().map_err(refuse)?.join(", ");
            return Err(refuse(format_args!("{shown} has no sweep `{sweep}`; it has {there}")));
        }
        Ok(store)
    }
}

/// The folder of a trial that was named on the command line, with the name of its sweep.
pub(crate) fn trial(run: &std::path::Path) -> Result<(String, TrialDir), Stop> {
    let shown = run.display();
    let expected =
        || refuse(format_args!("{shown} is no trial, expected a folder such as runs/quickstart/0123456789abcdef"));
    let path = run.canonicalize().map_err(|_| expected())?;
    let name = |path: &std::path::Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let sweep = path.parent().ok_or_else(expected)?;
    let (Some(id), Some(sweep), Some(runs)) = (name(&path), name(sweep), sweep.parent()) else {
        return Err(expected());
    };
    let dir = Store::open(runs).trial(&sweep, &id);
    if !dir.config_path().exists() && !dir.record_path().exists() {
        return Err(expected());
    }
    Ok((sweep, dir))
}

/// A size as people read it.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
