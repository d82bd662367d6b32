//! `harness report`, and the report at the end of a sweep.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use harness_records::record::RunRecord;
use harness_records::spec::{ReportSpec, SweepSpec};
use harness_records::store::{ScanEntry, Store, TrialState};
use harness_reports::{Choice, Format, Kernels, Layout, PIVOT, Pivot, ReportInput, Style, Verified};
use serde::Serialize;

use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{print, print_json, quoted, talk};
use crate::shared_arguments::Volume;

/// Folder of the report inside the folder of a sweep. No trial can have its name.
const FOLDER: &str = "report";

/// What is written when nothing else is asked for.
const FORMATS: &str = "md,html,csv,tex,parquet,svg,pdf,png";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness report sweeps/quickstart.yaml
  harness report sweeps/claims.yaml --tables accuracy,claims
  harness report runs --format md,csv --out summary
  harness report runs/first runs/second --out both
  harness report runs --pivot rows=method cols=bits value=top1 --where model=lenet --format tex,csv
  harness report sweeps/quickstart.yaml --style cvpr --columns 1 --format pdf,tex --out paper
  harness bench --out speed && harness report sweeps/quickstart.yaml --bench speed/bench.json

report.html holds everything in one file that any browser opens: tables that sort and filter, figures, every trial.")]
pub(crate) struct ReportArguments {
    /// Sweep files or folders of runs, of which one report is made
    #[arg(required = true, value_name = "SWEEP|RUNS")]
    inputs: Vec<PathBuf>,
    /// A table of your own: KEY is a column of the table `trials`, `bits` or a key of the configuration, METRIC is
    /// `top1`, `perplexity`, `loss`, `seconds`, `macs`, `bit_ops` and the like; cells are mean ± standard deviation
    #[arg(long, num_args = 1..=3, value_names = ["rows=KEY,KEY", "cols=KEY", "value=METRIC"])]
    pivot: Vec<String>,
    /// Only trials with this value, in the table of --pivot; may be repeated
    #[arg(long = "where", value_name = "KEY=VALUE", requires = "pivot")]
    filters: Vec<String>,
    /// Folder of the runs, when a sweep file is given
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Where to write; by default the folder `report` beside the trials
    #[arg(long)]
    out: Option<PathBuf>,
    /// Tables to write and print, between commas; by default those of the sweep file's `report` section
    #[arg(long, value_name = "NAME,...")]
    tables: Option<String>,
    /// Figures to draw, between commas; by default those of the sweep file's `report` section
    #[arg(long, value_name = "NAME,...")]
    figures: Option<String>,
    /// What to write, between commas
    #[arg(long, default_value = FORMATS)]
    format: String,
    /// What figures are drawn for: `report`, `ieee`, `neurips`, `cvpr` or `slides` (widths, letters and their size)
    #[arg(long, default_value = "report", value_name = "STYLE")]
    style: String,
    /// Panels of a figure side by side; with 1 every figure fits into a column
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2), value_name = "1|2")]
    columns: u8,
    /// Kernel speeds as `harness bench` writes them, to be set beside accuracy
    #[arg(long, value_name = "FILE")]
    bench: Option<PathBuf>,
    /// Override a key of the sweep file, as in `sweep`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print the files written as JSON
    #[arg(long)]
    json: bool,
}

/// The table that is printed where a sweep file asks for none in particular.
const PRINTED: &str = "paper";

/// A report that is to be written.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) input: ReportInput,
    /// Names of the tables that are printed too.
    printed: Vec<String>,
}

/// A report that was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its files.
    pub(crate) files: Vec<PathBuf>,
    /// The tables that are printed, and the trials without a result.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Written {
    /// What to open: the page, or the folder where the formats have none.
    pub(crate) fn page(&self) -> PathBuf {
        let pages = ["report.html", "report.md"].map(|name| self.folder.join(name));
        pages.into_iter().find(|page| self.files.contains(page)).unwrap_or_else(|| self.folder.clone())
    }
}

pub(crate) fn run(arguments: &ReportArguments, volume: Volume) -> Outcome {
    let formats = Format::parse_list(&arguments.format).map_err(refuse)?;
    let style = Style::parse(&arguments.style).map_err(refuse)?;
    let pivot = match arguments.pivot.is_empty() {
        true => None,
        false => Some(Pivot::parse(&arguments.pivot, &arguments.filters).map_err(refuse)?),
    };
    let (mut wanted, folder) = of_all(arguments)?;
    if pivot.is_some() {
        wanted.printed = vec![PIVOT.to_owned()];
        wanted.input.pivot = pivot;
    }
    if let Some(tables) = &arguments.tables {
        let names = list(tables);
        wanted.printed.retain(|name| name == PIVOT);
        wanted.printed.extend(names.iter().cloned());
        wanted.input.tables = Choice::Named(names);
    }
    if let Some(figures) = &arguments.figures {
        wanted.input.figures = Choice::Named(list(figures));
    }
    wanted.input.layout = Layout { style, columns: usize::from(arguments.columns) };
    wanted.input.kernels = arguments.bench.as_deref().map(Kernels::read).transpose().map_err(refuse)?;
    let folder = arguments.out.clone().unwrap_or(folder);
    let written = write(&wanted, &folder, &formats)?;
    if arguments.json {
        print_json(&written)?;
    } else {
        print(&written.text)?;
    }
    if !volume.quiet {
        talk(format_args!("report: {}", written.page().display()));
    }
    Ok(())
}

/// `accuracy, claims`; nothing between commas is no name.
fn list(names: &str) -> Vec<String> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Writes a report.
pub(crate) fn write(wanted: &Wanted, folder: &Path, formats: &[Format]) -> Result<Written, Stop> {
    let report = harness_reports::write(&wanted.input, folder, formats).map_err(|error| match error {
        harness_reports::ReportError::Write { .. } => Stop::Broken(error.into()),
        refused => refuse(refused),
    })?;
    let shown = report.tables.iter().filter(|(name, _)| wanted.printed.iter().any(|printed| printed == name));
    let parts = shown.map(|(_, text)| text.trim_end()).chain([report.failures.trim_end()]);
    let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
    Ok(Written { folder: folder.to_owned(), files: report.files, text })
}

/// Everything that a sweep's own section and its trials in the store say. `command` runs the sweep.
pub(crate) fn input(spec: &SweepSpec, store: &Store, command: String) -> Result<Wanted, Stop> {
    let entries = store.scan(Some(&spec.name))?;
    let wanted = |entry: &ScanEntry| spec.trials().iter().any(|trial| trial.id == entry.id);
    let (records, mut problems, verified) = split(entries.into_iter().filter(wanted));
    let missing = spec.trials().len() - records.len() - problems.len();
    if missing > 0 {
        problems.push(format!("{missing} of {} trials of the sweep have not run", spec.trials().len()));
    }
    let mut wanted = with_names(&spec.name, records, problems, verified, &spec.report, Some(command));
    wanted.input.labels.clone_from(&spec.labels);
    Ok(wanted)
}

/// Where the report of a sweep goes.
pub(crate) fn folder(store: &Store, sweep: &str) -> PathBuf {
    store.root().join(sweep).join(FOLDER)
}

/// Every format that is written at the end of a sweep.
pub(crate) fn all_formats() -> Result<Vec<Format>, Stop> {
    Format::parse_list(FORMATS).map_err(refuse)
}

/// One report of all inputs. Each trial counts once, names of later inputs go over those of earlier ones, and problems
/// say where they are from.
fn of_all(arguments: &ReportArguments) -> Result<(Wanted, PathBuf), Stop> {
    let mut inputs = arguments.inputs.iter();
    let one = |path: &PathBuf| if path.is_dir() { of_folder(arguments, path) } else { of_sweep(arguments, path) };
    // clap asks for one input at least.
    let Some(first) = inputs.next() else { return Err(refuse("expected a sweep file or a folder of runs")) };
    let (mut all, folder) = one(first)?;
    let mut several = false;
    for path in inputs {
        let (next, _) = one(path)?;
        let Wanted { input, printed } = next;
        all.input.title = format!("{}, {}", all.input.title, input.title);
        all.input.records.extend(input.records);
        all.input.problems.extend(input.problems.into_iter().map(|problem| format!("{}: {problem}", path.display())));
        all.input.labels.extend(input.labels);
        all.input.verified.again += input.verified.again;
        all.input.verified.identical += input.verified.identical;
        all.input.tables = both(all.input.tables, input.tables);
        all.input.figures = both(all.input.figures, input.figures);
        all.printed.extend(printed.into_iter().filter(|name| !all.printed.contains(name)).collect::<Vec<_>>());
        several = true;
    }
    if several {
        if arguments.out.is_none() {
            return Err(refuse("a report of several sweeps belongs to none of them: say where it goes with --out"));
        }
        // The rows of one sweep have no place for the trials of another.
        (all.input.command, all.input.paper) = (None, None);
    }
    Ok((all, folder))
}

/// What either of two asks for.
fn both(one: Choice, other: Choice) -> Choice {
    match (one, other) {
        (Choice::Named(mut names), Choice::Named(more)) => {
            names.extend(more);
            Choice::Named(names)
        }
        _ => Choice::All,
    }
}

fn of_sweep(arguments: &ReportArguments, path: &Path) -> Result<(Wanted, PathBuf), Stop> {
    let spec = SweepSpec::read(path, &arguments.sets, &catalog()).map_err(refuse)?;
    let store = Store::open(&arguments.runs);
    let command = command(path, &arguments.sets, &[]);
    Ok((input(&spec, &store, command)?, folder(&store, &spec.name)))
}

/// A folder of runs, `runs`, or of one sweep in it, `runs/quickstart`.
fn of_folder(arguments: &ReportArguments, path: &Path) -> Result<(Wanted, PathBuf), Stop> {
    if !arguments.sets.is_empty() {
        return Err(refuse("--set needs a sweep file, not a folder of runs"));
    }
    let store = Store::open(path);
    let mut entries = store.scan(None)?;
    let mut title = "runs".to_owned();
    if entries.is_empty()
        && let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        entries = Store::open(parent).scan(Some(name))?;
        name.clone_into(&mut title);
    }
    if entries.is_empty() {
        return Err(refuse(format_args!("{} holds no trials, expected a folder of runs", path.display())));
    }
    let (records, problems, verified) = split(entries.into_iter());
    Ok((with_names(&title, records, problems, verified, &ReportSpec::default(), None), path.join(FOLDER)))
}

fn split(entries: impl Iterator<Item = ScanEntry>) -> (Vec<RunRecord>, Vec<String>, Verified) {
    let (mut records, mut problems, mut verified) = (Vec::new(), Vec::new(), Verified::default());
    for entry in entries {
        if let Ok(Some(verification)) = entry.dir.verification() {
            verified.again += 1;
            verified.identical += usize::from(verification.difference.is_none());
        }
        match entry.state {
            TrialState::Done(record) | TrialState::Failed(record) => records.push(*record),
            TrialState::Broken(reason) => problems.push(format!("trial {}: {reason}", entry.id)),
            TrialState::Partial(epochs) => problems.push(format!("trial {} stopped after {epochs} epochs", entry.id)),
            TrialState::Running { .. } => problems.push(format!("trial {} is still running", entry.id)),
            TrialState::New => problems.push(format!("trial {} has not got through its first epoch", entry.id)),
        }
    }
    (records, problems, verified)
}

/// The command that runs a sweep, to be copied into a shell.
pub(crate) fn command(file: &Path, sets: &[String], flags: &[&str]) -> String {
    let mut words = vec!["harness".to_owned(), "sweep".to_owned(), file.display().to_string()];
    words.extend(sets.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
    words.extend(flags.iter().map(|&flag| flag.to_owned()));
    quoted(words.into_iter())
}

fn with_names(
    title: &str,
    records: Vec<RunRecord>,
    problems: Vec<String>,
    verified: Verified,
    spec: &ReportSpec,
    command: Option<String>,
) -> Wanted {
    let choice = |names: &Option<Vec<String>>| names.clone().map_or(Choice::All, Choice::Named);
    let (tables, figures) = (choice(&spec.tables), choice(&spec.figures));
    let input = ReportInput {
        title: title.to_owned(),
        tables,
        figures,
        records,
        problems,
        command,
        verified,
        kernels: None,
        pivot: None,
        paper: spec.paper.clone(),
        layout: Layout::default(),
        catalog: catalog(),
        labels: BTreeMap::new(),
    };
    Wanted { input, printed: spec.tables.clone().unwrap_or_else(|| vec![PRINTED.to_owned()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_copied_into_a_shell() {
        let sets = ["train.epochs=1".to_owned(), "name=it's $HOME".to_owned()];
        assert_eq!(
            command(Path::new("my sweep.yaml"), &sets, &["--smoke"]),
            r"harness sweep 'my sweep.yaml' --set train.epochs=1 --set 'name=it'\''s $HOME' --smoke"
        );
    }
}
