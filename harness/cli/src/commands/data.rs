//! `harness data`: what data sets there are, where their files are, bringing them here, and checking them.

use std::cell::RefCell;
use std::env;
use std::fmt::Display;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use harness_datasets::fetch::{self, FetchError, FileState, Origin, Progress};
use harness_datasets::{DATASETS, Dataset, DatasetError, Problem, Samples, Split};
use harness_records::options::Options;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};
use crate::shared_arguments::{Listing, Volume};

/// Time between two lines of progress where there are no bars.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Names the folder that holds a folder for each data set.
const HOME: &str = "HARNESS_DATA";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  harness data list\n  harness data fetch cifar10 --to /data/cifar10")]
pub(crate) struct DataArguments {
    /// What to do
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the data sets: what they are, and whether their files are here
    #[command(after_help = "Example:\n  harness data list --json")]
    List(Listing),
    /// Print the folder of a data set: NAME_DIR, else NAME in HARNESS_DATA, else in the user's cache
    #[command(after_help = "Example:\n  harness sweep my.yaml --set dataset.root=$(harness data path cifar10)")]
    Path(One),
    /// Fetch the official files, going on where an earlier try stopped, check them and unpack them
    #[command(after_help = "Example:\n  harness data fetch cifar10 --to /data/cifar10")]
    Fetch(Fetch),
    /// Check the files: against the official checksums where there are some, and by reading everything
    #[command(after_help = "Example:\n  harness data verify imagenet --root /data/imagenet")]
    Verify(Verify),
}

#[derive(Debug, Args)]
struct One {
    /// Name of the data set
    name: String,
}

#[derive(Debug, Args)]
struct Fetch {
    /// Name of the data set
    name: String,
    /// Folder to put the files into [default: what `harness data path` prints]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Address of a mirror that the names of the files are put behind; checksums stay the official ones
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Print JSON: data set, folder, files
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Verify {
    /// Name of the data set
    name: String,
    /// Folder of the files [default: what `harness data path` prints]
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &DataArguments, volume: Volume) -> Outcome {
    match &arguments.action {
        Action::List(listing) => list(listing),
        Action::Path(one) => Ok(print(folder(dataset(&one.name)?.about().name)?.display())?),
        Action::Fetch(arguments) => bring(arguments, volume),
        Action::Verify(arguments) => verify(arguments, volume),
    }
}

fn dataset(name: &str) -> Result<&'static dyn Dataset, Stop> {
    harness_datasets::find(name).ok_or_else(|| {
        let names: Vec<String> = DATASETS.iter().map(|dataset| format!("`{}`", dataset.about().name)).collect();
        refuse(format!("unknown data set `{name}`, expected one of {}", names.join(", ")))
    })
}

/// The environment variable that names the folder of a data set, `FASHION_MNIST_DIR` for `fashion-mnist`.
pub(crate) fn variable(name: &str) -> String {
    format!("{}_DIR", name.to_uppercase().replace('-', "_"))
}

/// The folder of a data set, which need not exist.
fn folder(name: &str) -> Result<PathBuf, Stop> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(own) = named(&variable(name)) {
        return Ok(own);
    }
    let cache = || named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    let home = named(HOME).or_else(|| Some(cache()?.join("harness")));
    let home = home.ok_or_else(|| refuse(format!("there is no home folder, set {HOME} to a folder for data sets")))?;
    Ok(home.join(name))
}

/// One data set, as `list` shows it.
#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    summary: &'static str,
    source: &'static str,
    /// `built in`, `fetch` or `by hand`.
    origin: &'static str,
    terms: &'static str,
    folder: Option<PathBuf>,
    found: bool,
    detail: String,
}

fn list(listing: &Listing) -> Outcome {
    let all = DATASETS.iter().map(|dataset| listed(*dataset)).collect::<Result<Vec<_>, Stop>>()?;
    if listing.json {
        return Ok(print_json(&all)?);
    }
    let row = |one: &Listed| vec![one.name.to_owned(), one.origin.to_owned(), one.detail.clone()];
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    Ok(print(columns(&["data set", "origin", "here"], &rows))?)
}

fn listed(dataset: &dyn Dataset) -> Result<Listed, Stop> {
    let about = dataset.about();
    let (origin, terms, folder) = match fetch::origin(about.name) {
        Some(Origin::Files(source)) => ("fetch", source.terms, Some(folder(about.name)?)),
        Some(Origin::ByHand(_)) => ("by hand", "", Some(folder(about.name)?)),
        Some(Origin::BuiltIn) | None => ("built in", "", None),
    };
    let probed = dataset.probe(folder.as_deref(), &Options::defaults(about.options));
    let found = probed.is_ok();
    let detail = match (probed, &folder) {
        (Ok(contents), None) => contents.to_string(),
        (Ok(contents), Some(folder)) => format!("{contents}, {}", folder.display()),
        (Err(_), Some(folder)) if !folder.exists() => format!("no, expected in {}", folder.display()),
        (Err(error), _) => format!("no: {error}"),
    };
    Ok(Listed { name: about.name, summary: about.summary, source: about.source, origin, terms, folder, found, detail })
}

fn bring(arguments: &Fetch, volume: Volume) -> Outcome {
    let name = dataset(&arguments.name)?.about().name;
    let source = match fetch::origin(name) {
        Some(Origin::Files(source)) => source,
        Some(Origin::ByHand(how)) => return Err(refuse(format!("`{name}` cannot be fetched: {how}"))),
        Some(Origin::BuiltIn) | None => return Err(refuse(format!("`{name}` needs no files"))),
    };
    let to = arguments.to.clone().map_or_else(|| folder(name), Ok)?;
    if !volume.quiet {
        talk(format_args!("terms of `{name}`: {}", source.terms));
    }
    let show = RefCell::new(Show::new(volume));
    let fetched = fetch::fetch(source, &to, arguments.from.as_deref(), &mut |event| show.borrow_mut().event(event));
    show.borrow().clear();
    match fetched {
        Ok(()) if arguments.json => {
            let files: Vec<&str> = source.files.iter().map(|file| file.name).collect();
            Ok(print_json(&serde_json::json!({"name": name, "folder": to, "files": files}))?)
        }
        Ok(()) => Ok(print(to.display())?),
        // Nobody there is nothing the data can be blamed for, but nothing has run either.
        Err(error @ (FetchError::Unreachable { .. } | FetchError::Busy(_))) => Err(refuse(error)),
        Err(error) => Err(error.into()),
    }
}

/// A bar on a terminal, lines elsewhere.
struct Show {
    volume: Volume,
    bar: Option<ProgressBar>,
    spoken: Instant,
}

impl Show {
    fn new(volume: Volume) -> Show {
        let bar = (std::io::stderr().is_terminal() && !volume.quiet).then(|| {
            let style = ProgressStyle::with_template("{bar:30.cyan/dim} {msg} {bytes} of {total_bytes}, {eta} to go");
            ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Show { volume, bar, spoken: Instant::now() }
    }

    fn event(&mut self, event: Progress<'_>) {
        match event {
            Progress::Bytes { name, done, total } => self.bytes(name, done, total),
            Progress::Present { name } => self.say(format_args!("{name}: is here, and right")),
            Progress::Resumed { name, done } => self.say(format_args!("{name}: goes on after {done} bytes")),
            Progress::Verified { name } => self.say(format_args!("{name}: fetched, checksum right")),
            Progress::Unpacked { name } => self.say(format_args!("{name}: unpacked")),
        }
    }

    fn bytes(&mut self, name: &str, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_message(name.to_owned());
            bar.set_position(done);
        } else if self.spoken.elapsed() >= PLAIN_EVERY {
            self.spoken = Instant::now();
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            self.say(format_args!("{name}: {done}{of} bytes"));
        }
    }

    fn say(&self, line: impl Display) {
        match (&self.bar, self.volume.quiet) {
            (_, true) => {}
            (Some(bar), false) => bar.suspend(|| talk(line)),
            (None, false) => talk(line),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What `verify` found.
#[derive(Debug, Serialize)]
struct Verified {
    name: &'static str,
    folder: Option<PathBuf>,
    ok: bool,
    /// What it holds, in words, when it can be read.
    contents: Option<String>,
    /// Official files: `right`, `absent`, or what is wrong.
    files: Vec<(String, String)>,
    /// Everything that is wrong, one line each.
    problems: Vec<String>,
}

fn verify(arguments: &Verify, volume: Volume) -> Outcome {
    let dataset = dataset(&arguments.name)?;
    let about = dataset.about();
    let origin = fetch::origin(about.name).unwrap_or(Origin::BuiltIn);
    let root = match (&arguments.root, origin) {
        (Some(root), _) => Some(root.clone()),
        (None, Origin::BuiltIn) => None,
        (None, _) => Some(folder(about.name)?),
    };
    let options = Options::defaults(about.options);
    let probed = dataset.probe(root.as_deref(), &options);
    if let Err(error) = &probed
        && matches!(*error.problem, Problem::RootAbsent { .. } | Problem::RootNotFolder { .. })
    {
        return Err(refuse(error));
    }
    let mut found =
        Verified { name: about.name, folder: root, ok: true, contents: None, files: Vec::new(), problems: Vec::new() };
    if let (Origin::Files(source), Some(root)) = (origin, &found.folder) {
        for (file, state) in fetch::compare(source, root)? {
            let state = match state {
                FileState::Right => "right".to_owned(),
                // Unpacked files may be all there is.
                FileState::Absent => "absent".to_owned(),
                FileState::Wrong { found: digits, expected } => {
                    found.problems.push(format!("{file}: checksum {digits}, expected {expected}"));
                    "wrong".to_owned()
                }
            };
            found.files.push((file.to_owned(), state));
        }
    }
    match probed {
        Ok(contents) => {
            found.contents = Some(contents.to_string());
            let root = found.folder.clone();
            match read_all(dataset, root.as_deref(), &options, volume) {
                Ok(problems) => found.problems.extend(problems),
                Err(error) => found.problems.push(error.to_string()),
            }
        }
        Err(error) => found.problems.push(error.to_string()),
    }
    found.ok = found.problems.is_empty();
    if arguments.json {
        print_json(&found)?;
    } else {
        found.files.iter().try_for_each(|(file, state)| print(format_args!("{file}: {state}")))?;
        found.problems.iter().try_for_each(|problem| print(format_args!("wrong: {problem}")))?;
        if let Some(contents) = found.contents.as_ref().filter(|_| found.ok) {
            print(format_args!("{}: {contents}, all of it read", found.name))?;
        }
    }
    if found.ok { Ok(()) } else { Err(Stop::Failed) }
}

/// Reads every split; the photographs that are broken.
fn read_all(
    dataset: &dyn Dataset,
    root: Option<&Path>,
    options: &Options,
    volume: Volume,
) -> Result<Vec<String>, DatasetError> {
    let mut problems = Vec::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        let samples = match dataset.load(root, options, split) {
            Ok(samples) => samples,
            Err(error) if matches!(*error.problem, Problem::NoSplit { .. }) => continue,
            Err(error) => return Err(error),
        };
        if let Samples::Photos(photos) = samples {
            let spoken = Mutex::new(Instant::now());
            let tell = |done: usize| {
                if let Ok(mut spoken) = spoken.try_lock()
                    && spoken.elapsed() >= PLAIN_EVERY
                    && !volume.quiet
                {
                    *spoken = Instant::now();
                    talk(format_args!("{done} of {} {} images", photos.len(), split.name()));
                }
            };
            let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let broken = photos.check(workers, &tell)?;
            problems.extend(broken.into_iter().map(|(path, damage)| format!("{}: {damage}", path.display())));
        }
    }
    Ok(problems)
}
