//! The command line: what can be asked for, and which module answers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::setup::Request;
use crate::{cargo, emulate, fuzz, instructions, nightly, setup, slurm, test, tidy, workspace};

/// Printed by `help` and after a bad command line.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask <task>

  setup [--cuda] [--force] [--archive]
      Put libtorch into .libtorch, once. Does nothing where LIBTORCH or LIBTORCH_USE_PYTORCH names another.
      --cuda     with the CUDA libraries (several gigabytes), for a machine that has no other libtorch with CUDA
      --force    again, over whatever .libtorch holds
      --archive  from the official libtorch archive, not with pip
  quickstart [ARGUMENT...]
      setup, then `harness sweep sweeps/quickstart.yaml ARGUMENT...`
  test [ARGUMENT...]
      setup, then `cargo test --workspace --no-fail-fast ARGUMENT...`; every failure is named once more at the end
  miri [--vectors]
      Interpret the kernels' unit tests with Miri, which sees every wrong use of memory. Needs a nightly toolchain.
      --vectors  the AVX2 and AVX-512 loops, also on a processor that has neither, for their results
  asan
      Run the kernels' tests with AddressSanitizer. Needs a nightly toolchain.
  emulate KERNEL [BOCHS]
      Run the kernels' tests on an emulated processor with AVX-512, which takes minutes. Says what it misses.
      KERNEL     a Linux kernel of some distribution, such as /boot/vmlinuz-6.1.0-50-cloud-amd64
      BOCHS      the emulator, where it is not `bochs`
  instructions [--bless]
      Count the instructions of a small product on every route with valgrind, and compare with the counts on record.
      --bless    put the counts on record
  slurm [--require]
      setup, then the tests on a real Slurm of one node, which is installed (as root, with apt-get) and started for them.
      --require  fail where it cannot be had; otherwise that is only said
  fuzz [--inputs N] [--seed N]
      Give every reader of files N hostile inputs (1,000,000 where nothing is said) and print what came of it.
  tidy
      Check the workspace's rules that no compiler checks.
  help
      Print this.";

/// One task with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Setup(Request),
    Quickstart(Vec<String>),
    Test(Vec<String>),
    Miri { vectors: bool },
    Asan,
    Emulate { kernel: PathBuf, bochs: PathBuf },
    Instructions { bless: bool },
    Slurm { require: bool },
    Fuzz(fuzz::Request),
    Tidy,
    Help,
}

/// Reads the command line, without the program's name.
///
/// # Errors
/// Says what is wrong and, where it can, what would be right.
pub(crate) fn parse(args: &[String]) -> Result<Command, String> {
    let Some((task, rest)) = args.split_first() else {
        return Err("no task given".to_owned());
    };
    match task.as_str() {
        "setup" => request(rest).map(Command::Setup),
        "quickstart" => Ok(Command::Quickstart(rest.to_vec())),
        "test" => Ok(Command::Test(rest.to_vec())),
        "miri" => switch(task, "--vectors", rest).map(|vectors| Command::Miri { vectors }),
        "asan" => nothing_after(task, rest).map(|()| Command::Asan),
        "emulate" => emulation(rest),
        "instructions" => switch(task, "--bless", rest).map(|bless| Command::Instructions { bless }),
        "slurm" => switch(task, "--require", rest).map(|require| Command::Slurm { require }),
        "fuzz" => fuzz::request(rest).map(Command::Fuzz),
        "tidy" => nothing_after(task, rest).map(|()| Command::Tidy),
        "help" | "--help" | "-h" => Ok(Command::Help),
        unknown => Err(format!("there is no task `{unknown}`")),
    }
}

fn request(options: &[String]) -> Result<Request, String> {
    let mut request = Request::default();
    for option in options {
        match option.as_str() {
            "--cuda" => request.cuda = true,
            "--force" => request.force = true,
            "--archive" => request.archive = true,
            unknown => return Err(format!("setup has no option `{unknown}`")),
        }
    }
    Ok(request)
}

/// The kernel to start and the emulator to start it in.
fn emulation(files: &[String]) -> Result<Command, String> {
    let (kernel, bochs) = match files {
        [kernel] => (kernel, "bochs"),
        [kernel, bochs] => (kernel, bochs.as_str()),
        _ => return Err(format!("emulate takes a kernel and perhaps an emulator, got `{}`", files.join(" "))),
    };
    Ok(Command::Emulate { kernel: kernel.into(), bochs: bochs.into() })
}

/// Whether the one option that a task has is given.
fn switch(task: &str, option: &str, rest: &[String]) -> Result<bool, String> {
    match rest {
        [] => Ok(false),
        [given] if given == option => Ok(true),
        _ => Err(format!("{task} takes only {option}, got `{}`", rest.join(" "))),
    }
}

fn nothing_after(task: &str, rest: &[String]) -> Result<(), String> {
    rest.first().map_or(Ok(()), |extra| Err(format!("{task} takes no argument, got `{extra}`")))
}

/// Does what was asked.
///
/// # Errors
/// Whatever keeps the task from being done; a program that the task runs reports by its exit code instead.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    let root = workspace::root()?;
    match command {
        Command::Setup(request) => {
            setup::run(&root, request)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Quickstart(args) => {
            setup::run(&root, Request::default())?;
            cargo::run(&root, &["run", "--package", "harness", "--", "sweep", "sweeps/quickstart.yaml"], &args)
        }
        Command::Test(args) => {
            setup::run(&root, Request::default())?;
            test::run(&root, &args)
        }
        Command::Miri { vectors } => nightly::miri(&root, vectors),
        Command::Asan => nightly::asan(&root),
        Command::Emulate { kernel, bochs } => emulate::run(&root, &kernel, &bochs),
        Command::Instructions { bless } => instructions::run(&root, bless),
        Command::Slurm { require } => {
            setup::run(&root, Request::default())?;
            slurm::run(&root, require)
        }
        Command::Fuzz(request) => {
            setup::run(&root, setup::Request::default())?;
            fuzz::run(&root, request)
        }
        Command::Tidy => tidy::run(&root),
        Command::Help => {
            eprintln!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Command, &str>) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(parse(&args), expected.map_err(str::to_owned), "{line}");
    }

    #[test]
    fn command_lines() {
        let request = Request::default();
        check("setup", Ok(Command::Setup(request)));
        check("setup --cuda --force", Ok(Command::Setup(Request { cuda: true, force: true, archive: false })));
        check("setup --archive", Ok(Command::Setup(Request { archive: true, ..request })));
        check("quickstart --jobs 2", Ok(Command::Quickstart(vec!["--jobs".to_owned(), "2".to_owned()])));
        check("test -p harness", Ok(Command::Test(vec!["-p".to_owned(), "harness".to_owned()])));
        check("miri", Ok(Command::Miri { vectors: false }));
        check("miri --vectors", Ok(Command::Miri { vectors: true }));
        check("asan", Ok(Command::Asan));
        let emulate = |bochs: &str| Ok(Command::Emulate { kernel: "linux".into(), bochs: bochs.into() });
        check("emulate linux", emulate("bochs"));
        check("emulate linux ./bochs", emulate("./bochs"));
        check("emulate", Err("emulate takes a kernel and perhaps an emulator, got ``"));
        check("instructions --bless", Ok(Command::Instructions { bless: true }));
        check("slurm", Ok(Command::Slurm { require: false }));
        check("slurm --require", Ok(Command::Slurm { require: true }));
        check("slurm --now", Err("slurm takes only --require, got `--now`"));
        check("tidy", Ok(Command::Tidy));
        check("--help", Ok(Command::Help));
        check("", Err("no task given"));
        check("stup", Err("there is no task `stup`"));
        check("setup --gpu", Err("setup has no option `--gpu`"));
        check("miri --all", Err("miri takes only --vectors, got `--all`"));
        check("tidy all", Err("tidy takes no argument, got `all`"));
    }
}
