//! `harness sweep`.

pub(super) mod cluster;
mod failures;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use harness_engine::device::{self, DeviceChoice};
use harness_engine::environment::cores;
use harness_engine::event::Event;
use harness_engine::execute::{
    End, Executor, Flow, Local, Outcome as TrialOutcome, Persistent, Placement, free_memory,
};
use harness_engine::gpu::{GPUS, Gpu, UTILISATION};
use harness_engine::prepare::{Prepared, prepare};
use harness_engine::smoke;
use harness_engine::stop;
use harness_engine::worker::Decision;
use harness_records::catalog::Catalog;
use harness_records::filter::Filter;
use harness_records::record::{Status, TrialError};
use harness_records::spec::SweepSpec;
use harness_records::store::Store;
use harness_records::trial::Trial;
use serde::Serialize;
use serde_json::{Value, json};
use tch::Device;

use self::cluster::{Campaign, TaskArguments};
use super::report;
use crate::arguments::Volume;
use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, quoted, talk};
use crate::progress::Progress;
use crate::rules::{RuleArguments, parse_time};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness sweep sweeps/quickstart.yaml
  harness sweep sweeps/quickstart.yaml --dry-run
  harness sweep sweeps/quickstart.yaml --set dataset.name=fashion-mnist --set dataset.root=/data/fashion-mnist
  harness sweep sweeps/quickstart.yaml --filter quant.weights.method=dorefa --jobs 4
  harness sweep sweeps/imagenet_bits.yaml --smoke
  harness sweep sweeps/imagenet_bits.yaml --executor slurm --partition gpu --gpus 1 --time 8:00:00 --throttle 8
  harness sweep sweeps/imagenet_bits.yaml --status
  harness sweep sweeps/imagenet_bits.yaml --dry-run --gpu a100")]
pub(crate) struct Arguments {
    /// The sweep file
    file: PathBuf,
    /// Override a key in every trial (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Keep only trials whose configuration has this value (repeatable: all must hold)
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Keep only the trial with this id, as shown by --dry-run (repeatable: any of them)
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Folder of the runs
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Worker processes at the same time; by default as many as fit the cores (and half as many more when
    /// trials last less than two seconds, since they wait for the disk), or as many as --per-gpu allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Worker processes on each GPU; all but the first begin once there is memory for them [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    per_gpu: Option<u16>,
    /// Where to compute: auto (all GPUs, or the CPU), cpu, cuda or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Who runs the trials
    #[arg(long, default_value = "local")]
    executor: ExecutorChoice,
    /// On a cluster: stay until all is done, and report
    #[arg(long)]
    wait: bool,
    /// Say how far the sweep is, and run nothing: asks the runs folder, and the cluster once if tasks may be left there
    #[arg(long, conflicts_with_all = ["dry_run", "cancel"])]
    status: bool,
    /// End all tasks of the sweep on the cluster; trials keep their checkpoints
    #[arg(long, conflicts_with = "dry_run")]
    cancel: bool,
    /// Say what would run and why, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: estimate the hours on this GPU (t4, v100, rtx3090, rtx4090, l4, a100, h100, h200)
    #[arg(long, value_name = "NAME", requires = "dry_run", value_parser = parse_gpu)]
    gpu: Option<&'static Gpu>,
    /// Try the sweep out: one epoch of a few samples, made-up data where there are no files, runs in a folder of their
    /// own (runs/NAME-smoke); what `--set` says stays
    #[arg(long)]
    smoke: bool,
    /// Stop at the first trial that does not end well
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    rules: RuleArguments,
    /// Times a trial whose process died is begun again at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Take a trial over from a process on another machine that has shown no sign of life for this time
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_time)]
    stale_after: Duration,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
    // Last, because all that follows would stand under its heading in the help.
    #[command(flatten)]
    cluster: cluster::Flags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExecutorChoice {
    /// Worker processes on this machine
    Local,
    /// An array of jobs on a Slurm cluster, which this machine belongs to
    Slurm,
    /// As slurm, but the tasks run here, one after the other, in the background: to try a set-up out
    Mock,
}

impl ExecutorChoice {
    /// The kind of cluster; `None` where there is none.
    fn cluster(self) -> Option<&'static str> {
        match self {
            ExecutorChoice::Local => None,
            ExecutorChoice::Slurm => Some("slurm"),
            ExecutorChoice::Mock => Some("mock"),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, volume: Volume) -> Outcome {
    check(arguments)?;
    let catalog = catalog();
    let spec = read(arguments, &catalog)?;
    let filters = arguments.filters.iter().map(|filter| Filter::parse(filter, &catalog));
    let filters = filters.collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    if let Some(id) = arguments.only.iter().find(|id| spec.trials().iter().all(|trial| trial.id != **id)) {
        return Err(refuse(format!("--only {id}: the sweep has no trial of this id, --dry-run lists them")));
    }
    let trials = spec.with_needs(|trial| {
        (arguments.only.is_empty() || arguments.only.contains(&trial.id))
            && filters.iter().all(|filter| filter.matches(&trial.config))
    });
    if trials.is_empty() {
        return Err(refuse("no trial of the sweep passes every --filter (and --only)"));
    }
    let store = Store::with_stale_after(&arguments.runs, arguments.stale_after);
    let campaign = Campaign { spec: &spec, trials: &trials, store: &store, volume, json: arguments.json };
    if arguments.status {
        return campaign.status();
    }
    if arguments.cancel {
        return campaign.cancel();
    }
    // A machine that only submits may have no GPU: the device is looked for where the trial runs.
    let on_cluster = arguments.executor.cluster().filter(|_| !arguments.dry_run);
    let device = if on_cluster.is_some() { Device::Cpu } else { arguments.device.resolve().map_err(refuse)? };
    let prepared = prepare(&trials, &store, arguments.rules.retry_failed())
        .map_err(|refusal| refuse(spec.error_at(&refusal.trial, refusal.key, &refusal.error.to_string(), None)))?;
    if !volume.quiet {
        for note in &spec.notes {
            talk(format_args!("note: {note}"));
        }
    }
    if arguments.dry_run {
        return dry_run(&spec, &prepared, device, arguments);
    }
    let Some(kind) = on_cluster else {
        let outcomes = execute(arguments, volume, &store, &prepared, device)?;
        return conclude(arguments, volume, &spec, &store, &prepared, &outcomes);
    };
    let told = TaskArguments {
        runs: &arguments.runs,
        device: arguments.device,
        rules: &arguments.rules,
        retries: arguments.retries,
    };
    campaign.submit(kind, &prepared, &told, arguments.wait)?;
    if !arguments.wait {
        return Ok(());
    }
    conclude(arguments, volume, &spec, &store, &prepared, &[])
}

/// Options that only mean something on a cluster are no mistake anybody should have to find out later.
fn check(arguments: &Arguments) -> Outcome {
    let sets = arguments.cluster.sets();
    let cluster = arguments.executor.cluster().is_some() || arguments.status || arguments.cancel;
    if let (Some(set), false) = (sets.first(), cluster) {
        let name = set.trim_start_matches("slurm.").split('=').next().unwrap_or_default();
        return Err(refuse(format!("`{name}` is for a cluster, expected --executor slurm beside it")));
    }
    if arguments.wait && arguments.executor.cluster().is_none() {
        return Err(refuse("--wait is for a cluster, expected --executor slurm beside it"));
    }
    Ok(())
}

/// The sweep file, as it is or made small.
fn read(arguments: &Arguments, catalog: &Catalog) -> Result<SweepSpec, Stop> {
    let sets: Vec<String> = arguments.sets.iter().cloned().chain(arguments.cluster.sets()).collect();
    let (file, sets) = (&arguments.file, &sets);
    if !arguments.smoke {
        return SweepSpec::read(file, sets, catalog).map_err(refuse);
    }
    let given: Vec<&str> = sets.iter().map(|set| set.split('=').next().unwrap_or_default().trim()).collect();
    let made_up = RefCell::new(BTreeSet::new());
    let spec = SweepSpec::read_smoke(file, sets, catalog, &|name| std::env::var(name).ok(), &|config| {
        made_up.borrow_mut().extend(smoke::shrink(config, &given));
    });
    let spec = spec.map_err(refuse)?;
    // However quiet: nobody may take these numbers for results.
    talk(format_args!("SMOKE RUN of {}: one epoch of a few samples, its numbers mean nothing", file.display()));
    for line in made_up.into_inner() {
        talk(line);
    }
    Ok(spec)
}

fn parse_gpu(name: &str) -> Result<&'static Gpu, String> {
    let names = || GPUS.iter().map(|gpu| gpu.name).collect::<Vec<_>>().join(", ");
    Gpu::find(name).ok_or_else(|| format!("`{name}` is no GPU of the table, expected one of {}", names()))
}

/// Runs what is left to run; what became of each trial that was begun.
fn execute(
    arguments: &Arguments,
    volume: Volume,
    store: &Store,
    prepared: &[Prepared],
    device: Device,
) -> Result<Vec<TrialOutcome>, Stop> {
    let trials: Vec<Trial> = prepared.iter().filter(|p| p.decision.runs()).map(|p| p.trial.clone()).collect();
    if !volume.quiet {
        let skipped = prepared.len() - trials.len();
        talk(format_args!(
            "{} trials on {}: {} to run, {skipped} to skip",
            prepared.len(),
            device::name(device),
            trials.len()
        ));
    }
    let held: Vec<Trial> = prepared.iter().filter(|p| is_held(&p.decision)).map(|p| p.trial.clone()).collect();
    if trials.is_empty() && held.is_empty() {
        return Ok(Vec::new());
    }
    store.check_writable().map_err(|error| refuse(format_args!("{error}: choose another folder with --runs")))?;
    stop::listen(true)?;
    let inner = Local { command: worker_command(arguments)?, placement: placement(arguments, &trials, device) };
    let executor = Persistent { inner, store, device, retries: arguments.retries, held };
    let mut progress = Progress::new(&trials, &executor.held, volume);
    let mut watch = |event: &Event| {
        progress.see(event);
        if arguments.fail_fast && is_bad(event) { Flow::Stop } else { Flow::Continue }
    };
    let outcomes = executor.execute(&trials, &mut watch)?;
    progress.finish();
    Ok(outcomes)
}

fn is_held(decision: &Decision) -> bool {
    matches!(decision, Decision::Skip(_))
}

fn is_bad(event: &Event) -> bool {
    match event {
        Event::Finished { status, .. } => *status != Status::Ok,
        Event::Broken { .. } | Event::Blocked { .. } => true,
        _ => false,
    }
}

fn worker_command(arguments: &Arguments) -> Result<Vec<PathBuf>, Stop> {
    let mut command = vec![std::env::current_exe()?, "worker".into(), "--runs".into(), arguments.runs.clone()];
    command.extend(arguments.rules.for_worker().into_iter().map(PathBuf::from));
    Ok(command)
}

/// Enough workers to fill the cores with trials of their threads; on GPUs as many each as asked for.
fn placement(arguments: &Arguments, trials: &[Trial], device: Device) -> Placement {
    let threads = trials.iter().map(|trial| trial.config.train.threads as usize).max().unwrap_or(1);
    let asked = arguments.jobs.map(usize::from);
    if device == Device::Cpu {
        let jobs = asked.unwrap_or_else(|| (cores() / threads.max(1)).max(1));
        return Placement { spare: asked.is_none(), ..Placement::on(device, jobs) };
    }
    let devices = match arguments.device {
        DeviceChoice::Auto => device::all_gpus(),
        _ => vec![device],
    };
    let each = arguments.per_gpu.map(usize::from);
    let jobs = asked.unwrap_or_else(|| devices.len() * each.unwrap_or(1));
    // Whoever asks for more workers than GPUs wants them to share.
    let per_device = each.unwrap_or_else(|| jobs.div_ceil(devices.len().max(1)));
    Placement { devices, per_device, jobs, spare: false, memory: free_memory }
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
    // Whoever stops a sweep wants it to end; the report comes when all is done, or from `harness report`.
    let written = if stop::requested() { None } else { write_report(arguments, spec, store)? };
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

/// Writes the report of all that has run; `None` when nothing has. A disk that is full costs the report, not the
/// summary of what happened.
fn write_report(arguments: &Arguments, spec: &SweepSpec, store: &Store) -> Result<Option<report::Written>, Stop> {
    let flags: &[&str] = if arguments.smoke { &["--smoke"] } else { &[] };
    let wanted = report::input(spec, store, report::command(&arguments.file, &arguments.sets, flags))?;
    if wanted.input.records.is_empty() {
        return Ok(None);
    }
    match report::write(&wanted, &report::folder(store, &spec.name), &report::all_formats()?) {
        Ok(written) => Ok(Some(written)),
        Err(Stop::Broken(error)) => {
            talk(format_args!("no report: {error:#}"));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// What a sweep came to.
#[derive(Debug, Serialize)]
struct Summary {
    sweep: String,
    counts: Counts,
    /// True when it was asked to stop before it was done.
    stopped: bool,
    /// Failed trials by class, with the next thing to try.
    failures: Vec<failures::Group>,
    trials: Vec<TrialSummary>,
    report: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    ok: usize,
    diverged: usize,
    failed: usize,
    /// Not run, because what they build on did not end well.
    blocked: usize,
    /// Run by another process, or not begun.
    open: usize,
}

#[derive(Debug, Serialize)]
struct TrialSummary {
    id: String,
    label: String,
    /// `ok`, `diverged`, `failed`, `blocked` or `open`.
    status: &'static str,
    /// True when this command ran it.
    ran: bool,
    metrics: Value,
    error: Option<TrialError>,
    /// What it builds on that did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<String>,
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
            let blocked = match (end, &p.decision) {
                (Some(End::Blocked(reason)), _) | (None, Decision::Blocked(reason)) => Some(reason.clone()),
                _ => None,
            };
            let (status, count) = match record.as_ref().map(|record| record.status) {
                Some(Status::Ok) => ("ok", &mut counts.ok),
                Some(Status::Diverged) => ("diverged", &mut counts.diverged),
                Some(Status::Failed) => ("failed", &mut counts.failed),
                None if broken.is_some() => ("failed", &mut counts.failed),
                None if blocked.is_some() => ("blocked", &mut counts.blocked),
                None => ("open", &mut counts.open),
            };
            *count += 1;
            TrialSummary {
                id: trial.id.clone(),
                label: trial.label.clone(),
                status,
                ran: matches!(end, Some(End::Recorded { .. } | End::Broken(_))),
                metrics: json!(record.as_ref().and_then(|record| record.metrics.clone())),
                error: record.and_then(|record| record.error).or(broken),
                blocked,
            }
        });
        let trials: Vec<TrialSummary> = trials.collect();
        let failed = trials.iter().filter_map(|t| Some((t.error.as_ref()?.class, t.id.as_str(), t.label.as_str())));
        let failures = failures::groups(failed);
        let report = written.map(report::Written::page);
        Summary { sweep: spec.name.clone(), counts, stopped: stop::requested(), failures, trials, report }
    }

    fn is_well(&self) -> bool {
        self.counts.diverged + self.counts.failed + self.counts.blocked + self.counts.open == 0
    }

    fn say(&self, written: Option<&report::Written>) {
        let Counts { ok, diverged, failed, blocked, open } = self.counts;
        let blocked = if blocked > 0 { format!("{blocked} blocked, ") } else { String::new() };
        talk(format_args!("{}: {ok} ok, {diverged} diverged, {failed} failed, {blocked}{open} open", self.sweep));
        for trial in self.trials.iter().filter(|trial| trial.status != "ok") {
            let error = trial.error.as_ref();
            let class = error.map_or_else(String::new, |error| format!(" ({})", error.class.name()));
            let message = error.map(|error| error.message.as_str()).or(trial.blocked.as_deref());
            let message = message.unwrap_or("not run to its end by this command");
            talk(format_args!("  {} {}: {}{class}: {message}", trial.id, trial.label, trial.status));
        }
        for line in self.failures.iter().flat_map(failures::Group::lines) {
            talk(line);
        }
        if self.stopped && self.counts.open > 0 {
            talk(format_args!("stopped; what was running has a checkpoint. To go on: {}", quoted(std::env::args())));
        }
        for file in written.iter().flat_map(|written| &written.files) {
            let is_page = file.ends_with("report.md") || file.ends_with("report.html");
            if is_page || file.extension().is_some_and(|extension| extension == "png") {
                talk(format_args!("  {}", file.display()));
            }
        }
    }
}

fn dry_run(spec: &SweepSpec, prepared: &[Prepared], device: Device, arguments: &Arguments) -> Outcome {
    let hours = |p: &Prepared| arguments.gpu.map(|gpu| gpu.hours(p.work.flops, &p.trial.config.train));
    if arguments.json {
        let trials = prepared.iter().map(|p| {
            json!({
                "id": p.trial.id,
                "label": p.trial.label,
                "decision": p.decision.word(),
                "reason": p.decision.reason(),
                "needs": p.trial.config.train.needs().collect::<Vec<_>>(),
                "sites": p.sites,
                "model": p.model,
                "work": p.work,
                "gpu_hours": hours(p),
                "config": p.trial.config,
            })
        });
        let trials: Vec<Value> = trials.collect();
        return Ok(print_json(&json!({"sweep": spec.name, "device": device::name(device), "trials": trials}))?);
    }
    let mut header = vec!["trial", "what", "does", "because", "sites", "parameters", "MACs/image", "images", "TFLOP"];
    header.extend(arguments.gpu.map(|_| "GPU h"));
    let row = |p: &Prepared| {
        let mut row = dry_row(p);
        row.extend(hours(p).map(|hours| format!("{hours:.3}")));
        row
    };
    print(columns(&header, &prepared.iter().map(row).collect::<Vec<_>>()))?;
    let (mut images, mut flops, mut total) = (0, 0.0, 0.0);
    let runs = || prepared.iter().filter(|p| p.decision.runs());
    for p in runs() {
        images += p.work.train_images;
        flops += p.work.flops;
        total += hours(p).unwrap_or_default();
    }
    let (all, left) = (prepared.len(), runs().count());
    print(format_args!(
        "\n{all} trials, {left} to run on {}: {images} training images, {:.3} TFLOP",
        device::name(device),
        flops / 1e12
    ))?;
    if let (Some(gpu), Some(p)) = (arguments.gpu, prepared.first()) {
        let (numbers, peak) = gpu.peak(&p.trial.config.train);
        print(format_args!(
            "about {total:.1} GPU hours on one {}: an estimate, {:.0}% of its peak of {peak} TFLOP/s in {numbers}",
            gpu.name,
            100.0 * UTILISATION
        ))?;
    }
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
