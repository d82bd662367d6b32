//! The tests on a real Slurm of one node.
//!
//! `harness/cli/tests/cli/slurm.sh` installs the packages, as root and with apt, and starts daemons that keep all
//! their files in one folder. Nothing but this task runs it: plain `cargo test` installs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};

use crate::cargo;

const SCRIPT: &str = "harness/cli/tests/cli/slurm.sh";
const TEST: [&str; 5] = ["test", "--package", "harness", "--test", "slurm"];
/// Exit code of the script when the packages cannot be had.
const ABSENT: i32 = 3;
/// Lines of Slurm's own log that are shown when a test fails.
const LOG_LINES: usize = 30;

/// Installs Slurm, starts it, runs the tests, stops it. With `require` it is a failure that Slurm cannot be had.
///
/// # Errors
/// When a program cannot be started, or Slurm can be had and does not start.
pub(crate) fn run(root: &Path, require: bool) -> Result<ExitCode> {
    let script = |arguments: &[&str]| -> Result<ExitStatus> {
        let mut command = Command::new("bash");
        command.arg(root.join(SCRIPT)).args(arguments);
        command.status().with_context(|| format!("cannot start `bash {SCRIPT} {}`", arguments.join(" ")))
    };
    match script(&["install"])?.code() {
        Some(0) => {}
        Some(ABSENT) if !require => {
            eprintln!("\n*** SKIPPED: Slurm cannot be had here, so nothing was tested on a real cluster. ***\n");
            return Ok(ExitCode::SUCCESS);
        }
        _ => bail!("Slurm could not be installed"),
    }
    // Before the cluster starts, which then lives as long as the tests take.
    let built = cargo::command(root).args(TEST).arg("--no-run").status().context("cannot start cargo")?;
    if !built.success() {
        bail!("the tests do not build");
    }
    let folder = Folder::new()?;
    let path = folder.0.to_str().context("the folder for temporary files is no UTF-8")?;
    let started = script(&["start", path])?;
    let tested = if started.success() {
        let mut tests = cargo::command(root);
        tests.args(TEST).args(["--", "--nocapture"]).env("SLURM_CONF", folder.0.join("slurm.conf"));
        Some(tests.status().context("cannot start cargo")?)
    } else {
        None
    };
    script(&["stop", path])?;
    match tested {
        Some(status) if status.success() => Ok(ExitCode::SUCCESS),
        Some(_) => {
            show_log(&folder.0.join("slurmctld.log"));
            Ok(ExitCode::FAILURE)
        }
        None => {
            show_log(&folder.0.join("slurmctld.log"));
            bail!("Slurm is installed and does not start")
        }
    }
}

fn show_log(path: &Path) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let lines: Vec<&str> = text.lines().collect();
    eprintln!("the end of {}:\n{}", path.display(), lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
}

/// What the daemons write, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("harness-slurm-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Litter among the temporary files is all that is left otherwise.
        let _ = fs::remove_dir_all(&self.0);
    }
}
