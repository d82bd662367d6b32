//! `harness runs archive`: one tar file that can be looked at and run again elsewhere.
//!
//! ```text
//! <name>/README.txt              how to look at it and run it again
//! <name>/sweep.yaml              every trial that builds on no other, in full
//! <name>/checksums.txt           BLAKE3 of every file of the runs
//! <name>/runs/<sweep>/<id>/...   configuration, record, attempts, network
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use harness_records::atomic;
use harness_records::config::TrialConfig;
use harness_records::spec::read_config;
use harness_records::store::TrialDir;
use serde_json::json;
use tar::{Builder, Header};

use super::{Chosen, size};
use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{print_json, talk};

/// Files that only a trial that still runs needs.
const UNFINISHED: [&str; 5] = [
    "state.json",
    "previous-state.json",
    "checkpoint.safetensors",
    "previous-checkpoint.safetensors",
    "next-checkpoint.safetensors",
];

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness runs archive quickstart --out quickstart.tar
  tar xf quickstart.tar && cd quickstart && harness sweep sweep.yaml")]
pub(super) struct RunsArchiveArguments {
    /// Name of the sweep
    sweep: String,
    /// Folder of the runs
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Only the trial with this id, and what it builds on (repeatable)
    #[arg(long = "only", value_name = "ID")]
    ids: Vec<String>,
    /// The tar file to write
    #[arg(long)]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RunsArchiveArguments) -> Outcome {
    let chosen = Chosen { sweep: Some(arguments.sweep.clone()), runs: arguments.runs.clone() };
    let store = chosen.store()?;
    let all: Vec<TrialDir> = store.trials(Some(&arguments.sweep))?.into_iter().map(|(_, dir)| dir).collect();
    if let Some(id) = arguments.ids.iter().find(|id| all.iter().all(|dir| dir.id() != id.as_str())) {
        return Err(refuse(format_args!(
            "--only {id}: the sweep has no trial of this id, `harness runs list` lists them"
        )));
    }
    let wanted = with_needs(&all, &arguments.ids)?;
    let trials: Vec<&TrialDir> = all.iter().filter(|dir| wanted.contains(dir.id())).collect();
    if trials.is_empty() {
        return Err(refuse(format_args!("sweep `{}` has no trial", arguments.sweep)));
    }
    let mut alone = BTreeSet::new();
    for dir in &trials {
        if config(dir)?.train.needs().next().is_none() {
            alone.insert(dir.id());
        }
    }
    let mut files = 0;
    atomic::write_with(&arguments.out, |path| {
        files = pack(path, &arguments.sweep, &trials, &alone)?;
        Ok::<(), anyhow::Error>(())
    })?;
    let bytes = fs::metadata(&arguments.out)?.len();
    if arguments.json {
        let ids: Vec<&str> = trials.iter().map(|dir| dir.id()).collect();
        print_json(&json!({"archive": arguments.out, "bytes": bytes, "files": files, "trials": ids}))?;
    } else {
        let shown = arguments.out.display();
        talk(format_args!("{shown}: {} trials, {files} files, {}", trials.len(), size(bytes)));
    }
    Ok(())
}

/// The ids asked for (all, where none is) and those of the trials they build on.
fn with_needs(all: &[TrialDir], ids: &[String]) -> Result<BTreeSet<String>, Stop> {
    let mut wanted: BTreeSet<String> = if ids.is_empty() {
        all.iter().map(|dir| dir.id().to_owned()).collect()
    } else {
        ids.iter().cloned().collect()
    };
    let mut open: Vec<String> = wanted.iter().cloned().collect();
    while let Some(id) = open.pop() {
        let Some(dir) = all.iter().find(|dir| dir.id() == id) else { continue };
        for need in config(dir)?.train.needs() {
            if wanted.insert(need.to_owned()) {
                open.push(need.to_owned());
            }
        }
    }
    Ok(wanted)
}

/// The configuration of a trial, as its folder has it.
fn config(dir: &TrialDir) -> Result<TrialConfig, Stop> {
    read_config(&dir.config_path(), &catalog()).map_err(refuse)
}

/// Writes the archive; how many files of the runs it holds.
fn pack(path: &Path, sweep: &str, trials: &[&TrialDir], alone: &BTreeSet<&str>) -> anyhow::Result<usize> {
    let mut tar = Builder::new(io::BufWriter::new(File::create_new(path)?));
    let (mut checksums, mut configs, mut files) = (String::new(), String::new(), 0);
    for dir in trials {
        let text = fs::read_to_string(dir.config_path())?;
        // A sweep file names what a trial builds on by what that has, not by its id.
        if alone.contains(dir.id()) {
            let mut lines = text.lines().map(|line| format!("      {line}\n"));
            // The first line stands behind the mark of the list.
            let first = lines.next().unwrap_or_default();
            configs += &format!("    - {}{}", first.trim_start(), lines.collect::<String>());
        }
        for (name, _) in dir.files()?.iter().filter(|(name, _)| !UNFINISHED.contains(&name.as_str())) {
            let bytes = fs::read(dir.path().join(name))?;
            let inside = format!("runs/{sweep}/{}/{name}", dir.id());
            writeln!(checksums, "{}  {inside}", blake3::hash(&bytes).to_hex())?;
            append(&mut tar, &format!("{sweep}/{inside}"), &bytes)?;
            files += 1;
        }
    }
    if !configs.is_empty() {
        let spec = format!(
            "# The trials of this archive that build on no other, in full.\nname: {sweep}\naxes:\n  trial:\n{configs}"
        );
        append(&mut tar, &format!("{sweep}/sweep.yaml"), spec.as_bytes())?;
    }
    append(&mut tar, &format!("{sweep}/checksums.txt"), checksums.as_bytes())?;
    append(&mut tar, &format!("{sweep}/README.txt"), readme(sweep, trials)?.as_bytes())?;
    tar.into_inner()?.flush()?;
    Ok(files)
}

/// An entry that is the same whenever and by whomever it is packed.
fn append(tar: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes)
}

fn readme(sweep: &str, trials: &[&TrialDir]) -> anyhow::Result<String> {
    let first = trials[0].id();
    let mut text = format!(
        "Trials of the sweep `{sweep}`, packed by `harness runs archive`.\n\n\
         To look at them:     harness runs list\n\
         Tables and figures:  harness report runs\n\
         To run one again and compare every number:\n\
         \x20                    harness verify runs/{sweep}/{first}\n\
         To run what has not ended well yet:\n\
         \x20                    harness sweep sweep.yaml\n\n\
         Data sets live in files of their own; where they lie elsewhere, add --set dataset.root=FOLDER.\n\
         `checksums.txt` holds the BLAKE3 hash of every file (b3sum --check checksums.txt).\n\n"
    );
    let mut places = BTreeSet::new();
    for dir in trials {
        if let Ok(Some(record)) = dir.record() {
            let e = record.environment;
            let commit = e.commit.unwrap_or_else(|| "no commit".to_owned());
            places.insert(format!("harness {} ({commit}), libtorch {}, {}", e.harness, e.libtorch, e.device_name));
        }
    }
    for place in places {
        writeln!(text, "Run with {place}")?;
    }
    Ok(text)
}
