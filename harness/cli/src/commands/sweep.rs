//! `harness sweep`.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use harness_engine::device::{self, DeviceChoice};
use harness_engine::environment::cores;
use harness_engine::event::Event;
use harness_engine::execute::{End, Executor, Flow, Local, Outcome as TrialOutcome};
use harness_engine::prepare::{Prepared, prepare};
use harness_engine::worker::{Decision, record_death};
use harness_records::filter::Filter;
use harness_records::record::{FailureClass, Status};
use harness_records::spec::SweepSpec;
use harness_records::store::Store;
use harness_records::trial::Trial;
use serde::Serialize;
use serde_json::{Value, json};
use tch::Device;

use super::report;
use crate::arguments::Volume;
use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};
use crate::progress::Progress;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness sweep sweeps/quickstart.yaml
  harness sweep sweeps/quickstart.yaml --dry-run
  harness sweep sweeps/quickstart.yaml --set dataset.name=fashion-mnist --set dataset.root=/data/fashion-mnist
  harness sweep sweeps/quickstart.yaml --filter quant.weights.method=dorefa --jobs 4")]
pub(crate) struct Arguments {
    /// The sweep file
    file: PathBuf,
    /// Override a key in every trial (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Keep only trials whose configuration has this value (repeatable: all must hold)
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Folder of the runs
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Worker processes at the same time; by default as many as fit the cores, or one on a GPU
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Where to compute: auto, cpu, cuda or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Who runs the trials
    #[arg(long, default_value = "local")]
    executor: ExecutorChoice,
    /// Say what would run and why, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop at the first trial that does not end well
    #[arg(long)]
    fail_fast: bool,
    /// Run trials again that failed for a reason of their own (diverged, out of memory, an error)
    #[arg(long)]
    retry_failed: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExecutorChoice {
    /// Worker processes on this machine
    Local,
}

pub(crate) fn run(arguments: &Arguments, volume: Volume) -> Outcome {
    let catalog = catalog();
    let spec = SweepSpec::read(&arguments.file, &arguments.sets, &catalog).map_err(refuse)?;
    let filters = arguments.filters.iter().map(|filter| Filter::parse(filter, &catalog));
    let filters = filters.collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    let wanted = |trial: &&Trial| filters.iter().all(|filter| filter.matches(&trial.config));
    let trials: Vec<Trial> = spec.trials().iter().filter(wanted).cloned().collect();
    if trials.is_empty() {
        return Err(refuse("no trial of the sweep passes every --filter"));
    }
    let device = arguments.device.resolve().map_err(refuse)?;
    let store = Store::open(&arguments.runs);
    let prepared = prepare(&trials, &store, arguments.retry_failed)
        .map_err(|refusal| refuse(spec.error_at(&refusal.trial, refusal.key, &refusal.error.to_string(), None)))?;
    if !volume.quiet {
        for note in &spec.notes {
            talk(format_args!("note: {note}"));
        }
    }
    if arguments.dry_run {
        return dry_run(&spec, &prepared, device, arguments.json);
    }
    let outcomes = execute(arguments, volume, &store, &prepared, device)?;
    conclude(arguments, volume, &spec, &store, &prepared, &outcomes)
}

/// Runs what is left to run; what became of each trial that was begun.
fn execute(
    arguments: &Arguments,
    volume: Volume,
    store: &Store,
    prepared: &[Prepared],
    device: Device,
) -> Result<Vec<TrialOutcome>, Stop> {
    let pending = |p: &&Prepared| !matches!(p.decision, Decision::Skip(_));
    let trials: Vec<Trial> = prepared.iter().filter(pending).map(|p| p.trial.clone()).collect();
    if !volume.quiet {
        let skipped = prepared.len() - trials.len();
        talk(format_args!(
            "{} trials on {}: {} to run, {skipped} to skip",
            prepared.len(),
            device::name(device),
            trials.len()
        ));
    }
    if trials.is_empty() {
        return Ok(Vec::new());
    }
    let ExecutorChoice::Local = arguments.executor;
    let local = Local { command: worker_command(arguments, device)?, jobs: jobs(arguments, &trials, device) };
    let mut progress = Progress::new(&trials, volume);
    let mut watch = |event: &Event| {
        progress.see(event);
        if arguments.fail_fast && is_bad(event) { Flow::Stop } else { Flow::Continue }
    };
    let outcomes = local.execute(&trials, &mut watch)?;
    progress.finish();
    for outcome in &outcomes {
        let died = |class| class == FailureClass::Crash;
        if let (End::Broken(error), Some(trial)) = (&outcome.end, trials.iter().find(|t| t.id == outcome.id))
            && died(error.class)
        {
            record_death(store, trial, device, error)?;
        }
    }
    Ok(outcomes)
}

fn is_bad(event: &Event) -> bool {
    match event {
        Event::Finished { status, .. } => *status != Status::Ok,
        Event::Broken { .. } => true,
        _ => false,
    }
}

fn worker_command(arguments: &Arguments, device: Device) -> Result<Vec<PathBuf>, Stop> {
    let mut command = vec![std::env::current_exe()?, "worker".into(), "--runs".into(), arguments.runs.clone()];
    command.extend(["--device".into(), device::name(device).into()]);
    if arguments.retry_failed {
        command.push("--retry-failed".into());
    }
    Ok(command)
}

/// Enough workers to fill the cores with trials of their threads; one on a GPU.
fn jobs(arguments: &Arguments, trials: &[Trial], device: Device) -> usize {
    let threads = trials.iter().map(|trial| trial.config.train.threads as usize).max().unwrap_or(1);
    let fitting = if device == Device::Cpu { (cores() / threads.max(1)).max(1) } else { 1 };
    arguments.jobs.map_or(fitting, usize::from)
}

/// Report, summary, exit code.
fn conclude(
    arguments: &Arguments,
    volume: Volume,
    spec: &SweepSpec,
    store: &Store,
    prepared: &[Prepared],
    outcomes: &[TrialOutcome],
) -> Outcome {
    let wanted = report::input(spec, store)?;
    let written = if wanted.input.records.is_empty() {
        None
    } else {
        Some(report::write(&wanted, &report::folder(store, &spec.name), &report::all_formats()?)?)
    };
    let summary = Summary::new(spec, store, prepared, outcomes, written.as_ref());
    if arguments.json {
        print_json(&summary)?;
    } else if let Some(written) = &written {
        print(&written.text)?;
    }
    if !volume.quiet || !summary.is_well() {
        summary.say(written.as_ref());
    }
    if summary.is_well() { Ok(()) } else { Err(Stop::Failed) }
}

/// What a sweep came to.
#[derive(Debug, Serialize)]
struct Summary {
    sweep: String,
    counts: Counts,
    trials: Vec<TrialSummary>,
    report: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    ok: usize,
    diverged: usize,
    failed: usize,
    /// Run by another process, or not begun.
    open: usize,
}

#[derive(Debug, Serialize)]
struct TrialSummary {
    id: String,
    label: String,
    /// `ok`, `diverged`, `failed` or `open`.
    status: &'static str,
    /// True when this command ran it.
    ran: bool,
    metrics: Value,
    error: Value,
}

impl Summary {
    fn new(
        spec: &SweepSpec,
        store: &Store,
        prepared: &[Prepared],
        outcomes: &[TrialOutcome],
        written: Option<&report::Written>,
    ) -> Summary {
        let outcomes: HashMap<&str, &End> = outcomes.iter().map(|o| (o.id.as_str(), &o.end)).collect();
        let mut counts = Counts::default();
        let trials = prepared.iter().map(|p| {
            let trial = &p.trial;
            let end = outcomes.get(trial.id.as_str()).copied();
            let record = store.trial(&trial.sweep, &trial.id).record().ok().flatten();
            let broken = match end {
                Some(End::Broken(error)) => Some(error.clone()),
                _ => None,
            };
            let (status, count) = match record.as_ref().map(|record| record.status) {
                Some(Status::Ok) => ("ok", &mut counts.ok),
                Some(Status::Diverged) => ("diverged", &mut counts.diverged),
                Some(Status::Failed) => ("failed", &mut counts.failed),
                None if broken.is_some() => ("failed", &mut counts.failed),
                None => ("open", &mut counts.open),
            };
            *count += 1;
            TrialSummary {
                id: trial.id.clone(),
                label: trial.label.clone(),
                status,
                ran: matches!(end, Some(End::Recorded { .. } | End::Broken(_))),
                metrics: json!(record.as_ref().and_then(|record| record.metrics.clone())),
                error: json!(record.and_then(|record| record.error).or(broken)),
            }
        });
        let trials = trials.collect();
        let report = written.map(|written| written.folder.join("report.md"));
        Summary { sweep: spec.name.clone(), counts, trials, report }
    }

    fn is_well(&self) -> bool {
        self.counts.diverged + self.counts.failed + self.counts.open == 0
    }

    fn say(&self, written: Option<&report::Written>) {
        let Counts { ok, diverged, failed, open } = self.counts;
        talk(format_args!("{}: {ok} ok, {diverged} diverged, {failed} failed, {open} open", self.sweep));
        for trial in self.trials.iter().filter(|trial| trial.status != "ok") {
            let class = trial.error["class"].as_str().map_or_else(String::new, |class| format!(" ({class})"));
            let message = trial.error["message"].as_str().unwrap_or("not run to its end by this command");
            talk(format_args!("  {} {}: {}{class}: {message}", trial.id, trial.label, trial.status));
        }
        for file in written.iter().flat_map(|written| &written.files) {
            if file.extension().is_some_and(|extension| extension == "png") || file.ends_with("report.md") {
                talk(format_args!("  {}", file.display()));
            }
        }
    }
}

fn dry_run(spec: &SweepSpec, prepared: &[Prepared], device: Device, as_json: bool) -> Outcome {
    if as_json {
        let trials = prepared.iter().map(|p| {
            json!({
                "id": p.trial.id,
                "label": p.trial.label,
                "decision": p.decision.word(),
                "reason": p.decision.reason(),
                "sites": p.sites,
                "model": p.model,
                "work": p.work,
                "config": p.trial.config,
            })
        });
        let trials: Vec<Value> = trials.collect();
        return Ok(print_json(&json!({"sweep": spec.name, "device": device::name(device), "trials": trials}))?);
    }
    let rows: Vec<Vec<String>> = prepared.iter().map(dry_row).collect();
    print(columns(
        &["trial", "what", "does", "because", "sites", "parameters", "MACs/image", "images", "TFLOP"],
        &rows,
    ))?;
    let (mut images, mut flops) = (0, 0.0);
    let runs = || prepared.iter().filter(|p| !matches!(p.decision, Decision::Skip(_)));
    for p in runs() {
        images += p.work.train_images;
        flops += p.work.flops;
    }
    let (all, left) = (prepared.len(), runs().count());
    print(format_args!(
        "\n{all} trials, {left} to run on {}: {images} training images, {:.3} TFLOP",
        device::name(device),
        flops / 1e12
    ))?;
    Ok(())
}

fn dry_row(p: &Prepared) -> Vec<String> {
    vec![
        p.trial.id.clone(),
        p.trial.label.clone(),
        p.decision.word().to_owned(),
        p.decision.reason(),
        sites(p),
        p.model.parameters.to_string(),
        p.model.macs.to_string(),
        p.work.train_images.to_string(),
        format!("{:.3}", p.work.flops / 1e12),
    ]
}

/// `conv2:w2,a2 fc1:w2`, or `none`.
fn sites(p: &Prepared) -> String {
    let mut layers: Vec<(&str, Vec<String>)> = Vec::new();
    for site in &p.sites {
        let short = format!("{}{}", &site.role[..1], site.bits);
        match layers.iter_mut().find(|(layer, _)| *layer == site.layer) {
            Some((_, shorts)) => shorts.push(short),
            None => layers.push((&site.layer, vec![short])),
        }
    }
    if layers.is_empty() {
        return "none".to_owned();
    }
    layers.into_iter().map(|(layer, shorts)| format!("{layer}:{}", shorts.join(","))).collect::<Vec<_>>().join(" ")
}
