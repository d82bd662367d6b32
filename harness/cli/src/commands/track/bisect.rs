//! `harness track bisect`.

use std::path::PathBuf;

use clap::Args;
use harness_track::bisect::{Found, Runner, Search, Step};
use harness_track::git::{Commit, Repository, short};
use harness_track::{TrackError, bisect};

use super::{Known, Place, Rules, stop};
use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{print, print_json, talk};
use crate::shared_arguments::Volume;

/// Builds the harness of a commit and runs the sweep with it.
const COMMAND: &str = "cargo run --quiet --package harness -- sweep \"$HARNESS_SWEEP\" --runs \"$HARNESS_RUNS\"";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness track bisect --good v1.0 --sweep sweeps/quickstart.yaml
  harness track bisect --good 1234567 --bad main --command 'make && ./train --out \"$HARNESS_RUNS\"'

Each commit that is needed and not in the history is checked out beside the working tree (which stays as it is) and run
there; its results are added to the history, so a search that was stopped goes on where it was.
Exit codes: 0 the commit was found, 1 only a range of commits or no regression at that commit alone, 2 nothing to find.")]
pub(crate) struct TrackBisectArguments {
    /// A commit whose results are good
    #[arg(long, value_name = "REV")]
    good: String,
    /// A later commit whose results are not
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    bad: String,
    /// The sweep that is run at each commit, as this file asks for it
    #[arg(long, value_name = "FILE", required_unless_present = "command")]
    sweep: Option<PathBuf>,
    /// What runs a commit instead: a shell command that leaves its runs in the folder `$HARNESS_RUNS`
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    rules: Rules,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &TrackBisectArguments, volume: Volume) -> Outcome {
    let Known { repository, folder, mut history } = arguments.place.open()?;
    let settings = arguments.rules.settings();
    let good = repository.commit(&arguments.good).map_err(stop)?;
    let bad = repository.commit(&arguments.bad).map_err(stop)?;
    let sweep = arguments.sweep.as_ref().map(|file| {
        file.canonicalize().map_err(|error| refuse(format_args!("cannot read {}: {error}", file.display())))
    });
    let sweep = sweep.transpose()?;
    let catalog = catalog();
    let runner = Runner {
        repository: &repository,
        command: arguments.command.as_deref().unwrap_or(COMMAND),
        sweep: sweep.as_deref(),
        catalog: &catalog,
        scratch: &repository.private_folder().map_err(stop)?.join("harness-bisect"),
    };
    let mut search = Search {
        repository: &repository,
        history: &mut history,
        folder: &folder,
        settings: &settings,
        run: &mut |commit: &Commit| -> Result<bisect::Results, TrackError> { runner.run(commit) },
        say: &mut |step: Step<'_>| {
            if !volume.quiet {
                talk(said(&step));
            }
        },
    };
    let found = search.first_bad(&good, &bad).map_err(stop)?;
    if arguments.json {
        print_json(&found)?;
    } else {
        print(text(&found, &repository)?)?;
    }
    if found.is_sure() { Ok(()) } else { Err(Stop::Failed) }
}

fn said(step: &Step<'_>) -> String {
    match step {
        Step::Runs(commit) => format!("running {} {}", commit.short(), commit.subject),
        Step::Judged { commit, bad, left } => {
            let word = if *bad { "bad" } else { "good" };
            let plural = if *left == 1 { "" } else { "s" };
            format!("{} is {word}, {left} commit{plural} left", commit.short())
        }
        Step::Skipped(commit) => format!("{} gives no results, skipped", commit.short()),
    }
}

fn text(found: &Found, repository: &Repository) -> Result<String, Stop> {
    let mut lines = Vec::new();
    match found.suspects.as_slice() {
        [only] => {
            let commit = repository.commit(only).map_err(stop)?;
            lines.push(format!("first bad commit: {} {}", commit.id, commit.subject));
            if !found.is_sure() {
                lines.push("compared with the commit before it alone, nothing regressed for sure".to_owned());
            }
        }
        several => {
            lines.push("the first bad commit is one of these, which could not be run:".to_owned());
            lines.extend(several.iter().map(|commit| format!("  {commit}")));
        }
    }
    for row in &found.regressed {
        let by = row.difference.map_or_else(String::new, |by| format!(" by {by:+.2} {}", row.measure.unit()));
        lines.push(format!("  {}: {} regressed{by}", row.sweep, row.label));
    }
    if !found.skipped.is_empty() {
        let skipped: Vec<&str> = found.skipped.iter().map(|commit| short(commit)).collect();
        lines.push(format!("skipped: {}", skipped.join(", ")));
    }
    Ok(lines.join("\n"))
}
