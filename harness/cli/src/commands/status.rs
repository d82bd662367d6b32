//! `harness status`: how far a sweep is.

use clap::Args;

use super::sweep::campaign;
use super::sweep::selection::SelectionArguments;
use crate::exit::Outcome;
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness status sweeps/imagenet_bits.yaml
  harness status sweeps/imagenet_bits.yaml --filter quant.weights.method=dorefa --json

The same as `harness sweep FILE --status`. It asks the runs folder, and the cluster once if tasks may be left there.")]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Look at the smoke run of the sweep, runs/NAME-smoke
    #[arg(long)]
    smoke: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &StatusArguments, volume: Volume) -> Outcome {
    let StatusArguments { selection, smoke, json } = arguments;
    campaign(selection, *smoke, *json, volume, |campaign| campaign.status())
}
