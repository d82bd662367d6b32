//! Exit codes.

use std::process::ExitCode;

use crate::output::talk;

/// Done.
pub(crate) const DONE: u8 = 0;
/// It ran, but a trial failed, a regression was found, or a verification did not hold.
pub(crate) const FAILED: u8 = 1;
/// Bad usage, configuration or input. (clap uses the same number.)
pub(crate) const REFUSED: u8 = 2;

/// How a command that did not simply succeed ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It ran and did not come out well; everything has been said.
    Failed,
    /// It ran and broke, for this reason.
    Broken(anyhow::Error),
    /// It was refused, for this reason.
    Refused(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Broken(error.into())
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Stop>;

/// Refuses with this message.
pub(crate) fn refuse(message: impl std::fmt::Display) -> Stop {
    Stop::Refused(anyhow::anyhow!("{message}"))
}

/// Says what there is to say and gives the exit code.
pub(crate) fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Ok(()) => DONE,
        Err(Stop::Failed) => FAILED,
        Err(Stop::Broken(error)) if is_broken_pipe(&error) => DONE,
        Err(Stop::Broken(error)) => {
            talk(format_args!("error: {error:#}"));
            FAILED
        }
        Err(Stop::Refused(error)) => {
            talk(format_args!("error: {error:#}"));
            REFUSED
        }
    })
}

/// Whoever read our output has seen enough: `harness methods | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(is)
}
