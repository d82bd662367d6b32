//! `harness track`: results across commits.

mod bisect;
mod check;
mod log;
mod record;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use harness_track::git::Repository;
use harness_track::history::History;
use harness_track::{Margins, TrackError, check::Settings};

use crate::exit::{Outcome, Stop, refuse};
use crate::output::talk;
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness sweep sweeps/quickstart.yaml --runs fresh && harness track record fresh
  harness track check --against main
  harness track log
  harness track bisect --good v1.0 --sweep sweeps/quickstart.yaml

The history is made to be committed: one file a sweep in `history/`, one line a trial and commit.")]
pub(crate) struct TrackArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add the finished trials of this commit to the history
    Record(record::TrackRecordArguments),
    /// Say what changed since another commit, and how surely
    Check(check::TrackCheckArguments),
    /// Show results over the commits of the history
    Log(log::TrackLogArguments),
    /// Find the commit that made results worse
    Bisect(bisect::TrackBisectArguments),
}

pub(crate) fn run(arguments: &TrackArguments, volume: Volume) -> Outcome {
    match &arguments.command {
        Command::Record(arguments) => record::run(arguments, volume),
        Command::Check(arguments) => check::run(arguments, volume),
        Command::Log(arguments) => log::run(arguments, volume),
        Command::Bisect(arguments) => bisect::run(arguments, volume),
    }
}

/// Where the history is.
#[derive(Debug, Args)]
struct Place {
    /// Folder of the history, below the top of the repository
    #[arg(long, value_name = "DIR", default_value = "history")]
    history: String,
}

/// What is looked at.
#[derive(Debug, Args)]
struct Only {
    /// Only this sweep
    #[arg(long = "name", value_name = "SWEEP")]
    sweep: Option<String>,
}

/// A repository with its history.
struct Known {
    repository: Repository,
    folder: PathBuf,
    history: History,
}

impl Place {
    fn open(&self) -> Result<Known, Stop> {
        let repository = Repository::around(std::path::Path::new(".")).map_err(stop)?;
        let folder = repository.root().join(&self.history);
        let history = History::read(&folder).map_err(stop)?;
        for problem in &history.problems {
            talk(format_args!("warning: {problem}"));
        }
        Ok(Known { repository, folder, history })
    }
}

impl Only {
    /// Leaves nothing else; for commands that do not write the history.
    fn keep(&self, history: &mut History) -> Outcome {
        let Some(wanted) = &self.sweep else { return Ok(()) };
        if !history.sweeps.contains_key(wanted) {
            let known: Vec<&str> = history.sweeps.keys().map(String::as_str).collect();
            let known =
                if known.is_empty() { "it is empty".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(refuse(format_args!("the history has no sweep `{wanted}`, {known}")));
        }
        history.sweeps.retain(|name, _| name == wanted);
        Ok(())
    }
}

/// What a check is sure of.
#[derive(Debug, Args)]
struct Rules {
    /// Smallest change of accuracy that matters, in points
    #[arg(long, value_name = "POINTS", default_value_t = Margins::default().points, value_parser = positive)]
    margin: f64,
    /// Smallest change of perplexity that matters, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = Margins::default().perplexity, value_parser = positive)]
    perplexity_margin: f64,
    /// Smallest change of kernel speed that matters, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = Margins::default().speed, value_parser = positive)]
    speed_margin: f64,
    /// Fraction of checks without any change that may call something changed
    #[arg(long, value_name = "P", default_value_t = Settings::default().alpha, value_parser = fraction)]
    alpha: f64,
    /// Probability with which what is called detectable would be found
    #[arg(long, value_name = "P", default_value_t = Settings::default().power, value_parser = fraction)]
    power: f64,
}

impl Rules {
    fn settings(&self) -> Settings {
        let margins = Margins { points: self.margin, perplexity: self.perplexity_margin, speed: self.speed_margin };
        Settings { alpha: self.alpha, power: self.power, margins }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("expected a number above 0".to_owned()) }
}

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err("expected a number between 0 and 1".to_owned()) }
}

/// Bad input, or a machine that refuses.
fn stop(error: TrackError) -> Stop {
    if error.is_of_the_machine() { Stop::Broken(error.into()) } else { refuse(error) }
}
