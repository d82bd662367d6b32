//! `harness task`: one task of an array, on a machine of a cluster.

use std::path::PathBuf;

use clap::Args;
use harness_engine::device::DeviceChoice;
use harness_engine::event::Event;
use harness_engine::execute::cluster::{TaskEnd, TaskRun};
use harness_engine::execute::{Control, Local, Persistent, Placement};
use harness_engine::stop;
use harness_records::slurm::SlurmOptions;
use harness_records::store::Store;
use harness_records::submission::Submissions;

use super::sweep::cluster::cluster_of;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::talk;
use crate::progress::Progress;
use crate::rules::RuleArguments;
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
pub(crate) struct TaskArguments {
    /// Folder of the runs
    #[arg(long)]
    runs: PathBuf,
    /// Name of the sweep
    #[arg(long)]
    sweep: String,
    /// Kind of the cluster
    #[arg(long)]
    cluster: String,
    /// Name of the submission
    #[arg(long)]
    submission: String,
    /// Number of the task
    #[arg(long)]
    task: usize,
    /// Where to compute
    #[arg(long)]
    device: DeviceChoice,
    #[command(flatten)]
    rules: RuleArguments,
    /// Times a trial whose process died is begun again at once
    #[arg(long)]
    retries: u32,
}

pub(crate) fn run(arguments: &TaskArguments, volume: Volume) -> Outcome {
    stop::listen(false)?;
    let device = arguments.device.resolve().map_err(refuse)?;
    let store = Store::open(&arguments.runs);
    let submissions = Submissions::of(&store, &arguments.sweep);
    let trials = submissions.trials(&arguments.submission, arguments.task)?;
    let cluster = cluster_of(&arguments.cluster, &SlurmOptions::default(), 1, submissions.folder())
        .ok_or_else(|| refuse(format_args!("there is no cluster `{}`", arguments.cluster)))?;
    let mut command = vec![std::env::current_exe()?, "worker".into(), "--runs".into(), arguments.runs.clone()];
    command.extend(arguments.rules.for_worker().into_iter().map(PathBuf::from));
    let executor = Persistent {
        inner: Local { command, placement: Placement::on(device, 1) },
        store: &store,
        device,
        retries: arguments.retries,
        held: Vec::new(),
    };
    let mut progress = Progress::new(&trials[..1], &trials[1..], volume);
    let mut watch = |event: &Event| {
        progress.see(event);
        Control::Continue
    };
    let task = TaskRun {
        store: &store,
        executor: &executor,
        cluster: &*cluster,
        trials: &trials,
        retry_failed: arguments.rules.retry_failed(),
        time_is_up: &stop::time_is_up,
    };
    let end = task.run(&mut watch)?;
    progress.finish();
    match end {
        TaskEnd::Well => Ok(()),
        TaskEnd::Badly => Err(Stop::Failed),
        TaskEnd::Requeued => {
            talk("time is up: the trial has a checkpoint and goes on when this task runs again");
            Ok(())
        }
        TaskEnd::NoProgress => {
            talk("time was up three times before the first step: give tasks more time (`slurm.time`, `slurm.notice`)");
            Err(Stop::Failed)
        }
    }
}
