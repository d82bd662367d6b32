//! `harness cancel`: end the tasks of a sweep on a cluster.

use clap::Args;

use super::sweep::campaign;
use super::sweep::selection::SelectionArguments;
use crate::exit::Outcome;
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  harness cancel sweeps/imagenet_bits.yaml

The same as `harness sweep FILE --cancel`. All tasks of the sweep end; `harness sweep` goes on from the checkpoints.")]
pub(crate) struct CancelArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// End the tasks of the smoke run of the sweep
    #[arg(long)]
    smoke: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &CancelArguments, volume: Volume) -> Outcome {
    let CancelArguments { selection, smoke, json } = arguments;
    campaign(selection, *smoke, *json, volume, |campaign| campaign.cancel())
}
