//! `harness completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::Outcome;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  harness completions bash > ~/.local/share/bash-completion/completions/harness")]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints the completion script of `command`.
pub(crate) fn run(arguments: &CompletionsArguments, command: &mut Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "harness", &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?)
}
