//! `harness completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::exit::Outcome;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  harness completions bash > ~/.local/share/bash-completion/completions/harness")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::arguments::Arguments::command(), "harness", &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?)
}
