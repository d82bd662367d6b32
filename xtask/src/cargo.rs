//! Running cargo from a task.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};

/// The cargo that runs this task, in the workspace.
pub(crate) fn command(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root);
    cargo
}

/// Runs cargo with the terminal as its own and returns its exit code.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn run(root: &Path, args: &[&str], more: &[String]) -> Result<ExitCode> {
    finish(command(root).args(args).args(more), &format!("cargo {}", args.join(" ")))
}

/// The programs that a build made, by the messages that it prints with `--message-format json`.
pub(crate) fn executables(messages: &[u8]) -> Vec<PathBuf> {
    let executable = |line: &[u8]| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    messages.split(|&byte| byte == b'\n').filter_map(executable).collect()
}

/// Runs a command with the terminal as its own and returns its exit code.
///
/// # Errors
/// When it cannot be started; `shown` is what it is called then.
pub(crate) fn finish(command: &mut Command, shown: &str) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    Ok(exit_code(status))
}

/// The code a shell would show: a program that ends by a signal has 128 plus the signal's number.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| signal(status).map(|number| 128 + number));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}
