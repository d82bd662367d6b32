//! `harness sweep`.

pub(super) mod cluster;
mod dry_run;
mod failures;
pub(super) mod selection;
mod summary;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use harness_engine::device::{self, DeviceChoice};
use harness_engine::environment::cores;
use harness_engine::event::Event;
use harness_engine::execute::{Control, Executor, Local, Outcome as TrialOutcome, Persistent, Placement, free_memory};
use harness_engine::gpu::{GPUS, Gpu};
use harness_engine::prepare::{Prepared, prepare};
use harness_engine::stop;
use harness_engine::worker::Decision;
use harness_records::record::Status;
use harness_records::spec::SweepSpec;
use harness_records::store::Store;
use harness_records::trial::Trial;
use tch::Device;

use self::cluster::{Campaign, TaskSettings};
use self::dry_run::Plan;
use self::selection::SelectionArguments;
use self::summary::Summary;
use super::report;
use crate::catalog::catalog;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{print, print_json, talk};
use crate::progress::Progress;
use crate::rules::RuleArguments;
use crate::shared_arguments::Volume;

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
pub(crate) struct SweepArguments {
    #[command(flatten)]
    selection: SelectionArguments,
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

pub(crate) fn run(arguments: &SweepArguments, volume: Volume) -> Outcome {
    check(arguments)?;
    let catalog = catalog();
    let selection = &arguments.selection;
    let spec = selection.read(&arguments.cluster.sets(), arguments.smoke, &catalog)?;
    let trials = selection.trials(&spec, &catalog)?;
    let store = selection.store();
    let campaign = Campaign { spec: &spec, trials: &trials, store: &store, volume, json: arguments.json };
    if arguments.status {
        return campaign.status();
    }
    if arguments.cancel {
        return campaign.cancel();
    }
    // A machine that only submits may have no GPU: the device is looked for where the trial runs.
    let cluster = arguments.executor.cluster();
    let device = if cluster.is_some() { Device::Cpu } else { arguments.device.resolve().map_err(refuse)? };
    let prepared = prepare(&trials, &store, arguments.rules.retry_failed())
        .map_err(|refusal| refuse(spec.error_at(&refusal.trial, &refusal.key, &refusal.error.to_string(), None)))?;
    if !volume.quiet {
        for note in &spec.notes {
            talk(format_args!("note: {note}"));
        }
    }
    let told = TaskSettings {
        runs: &selection.runs,
        device: arguments.device,
        rules: &arguments.rules,
        retries: arguments.retries,
    };
    if arguments.dry_run {
        let script = cluster.map(|kind| campaign.script(kind, &told)).transpose()?;
        let place = cluster.map_or_else(|| device::recorded(device).to_string(), str::to_owned);
        return Plan { spec: &spec, prepared: &prepared, place: &place, gpu: arguments.gpu, script }
            .print(arguments.json);
    }
    let Some(kind) = cluster else {
        let outcomes = execute(arguments, volume, &store, &prepared, device)?;
        return conclude(arguments, volume, &spec, &store, &prepared, &outcomes);
    };
    campaign.submit(kind, &prepared, &told, arguments.wait)?;
    if !arguments.wait {
        return Ok(());
    }
    conclude(arguments, volume, &spec, &store, &prepared, &[])
}

/// Does something about a sweep as a whole that runs no trial itself.
pub(super) fn campaign(
    selection: &SelectionArguments,
    is_smoke: bool,
    json: bool,
    volume: Volume,
    act: impl FnOnce(&Campaign<'_>) -> Outcome,
) -> Outcome {
    let catalog = catalog();
    let spec = selection.read(&[], is_smoke, &catalog)?;
    let trials = selection.trials(&spec, &catalog)?;
    act(&Campaign { spec: &spec, trials: &trials, store: &selection.store(), volume, json })
}

/// Rejects options that only have a meaning on a cluster where no cluster runs the trials.
fn check(arguments: &SweepArguments) -> Outcome {
    let cluster = arguments.executor.cluster().is_some() || arguments.status || arguments.cancel;
    if let (Some(flag), false) = (arguments.cluster.first(), cluster) {
        return Err(refuse(format!("{flag} is for a cluster, expected --executor slurm beside it")));
    }
    if arguments.wait && arguments.executor.cluster().is_none() {
        return Err(refuse("--wait is for a cluster, expected --executor slurm beside it"));
    }
    Ok(())
}

fn parse_gpu(name: &str) -> Result<&'static Gpu, String> {
    let names = || GPUS.iter().map(|gpu| gpu.name).collect::<Vec<_>>().join(", ");
    Gpu::find(name).ok_or_else(|| format!("`{name}` is no GPU of the table, expected one of {}", names()))
}

/// Runs what is left to run; what became of each trial that was begun.
fn execute(
    arguments: &SweepArguments,
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
            device::recorded(device),
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
        if arguments.fail_fast && is_bad(event) { Control::Stop } else { Control::Continue }
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

fn worker_command(arguments: &SweepArguments) -> Result<Vec<PathBuf>, Stop> {
    let mut command =
        vec![std::env::current_exe()?, "worker".into(), "--runs".into(), arguments.selection.runs.clone()];
    command.extend(arguments.rules.for_worker().into_iter().map(PathBuf::from));
    Ok(command)
}

/// Enough workers to fill the cores with trials of their threads; on GPUs as many each as asked for.
fn placement(arguments: &SweepArguments, trials: &[Trial], device: Device) -> Placement {
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
    arguments: &SweepArguments,
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
fn write_report(arguments: &SweepArguments, spec: &SweepSpec, store: &Store) -> Result<Option<report::Written>, Stop> {
    let flags: &[&str] = if arguments.smoke { &["--smoke"] } else { &[] };
    let wanted =
        report::input(spec, store, report::command(&arguments.selection.file, &arguments.selection.sets, flags))?;
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
