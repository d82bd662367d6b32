//! Arguments that several commands take.

use clap::Args;

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Volume {
    /// Say more: every epoch, every note
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// A command that only lists.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  harness methods --json")]
pub(crate) struct Listing {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
