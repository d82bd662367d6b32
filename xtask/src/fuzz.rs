//! Hostile inputs for every reader of files: the tests whose names begin with `fuzz_`, told to try many.

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo;

/// Packages whose tests have such readers, and which of their tests.
const TESTS: [&[&str]; 5] = [
    &["--package", "harness-records", "--test", "records"],
    &["--package", "harness-track", "--test", "track"],
    &["--package", "harness-datasets", "--lib", "--test", "datasets"],
    &["--package", "harness-engine", "--lib"],
    &["--package", "harness", "--bins"],
];

/// Files in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// What to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// Inputs a reader.
    pub(crate) inputs: u64,
    /// Another seed gives other inputs.
    pub(crate) seed: u64,
}

/// Reads the options.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn request(options: &[String]) -> Result<Request, String> {
    let mut request = Request { inputs: 1_000_000, seed: 0 };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let place = match option.as_str() {
            "--inputs" => &mut request.inputs,
            "--seed" => &mut request.seed,
            unknown => return Err(format!("fuzz has no option `{unknown}`")),
        };
        let value = options.next().ok_or_else(|| format!("{option} needs a number"))?;
        *place = value.parse().map_err(|_| format!("{option} is `{value}`, expected a whole number"))?;
    }
    Ok(request)
}

/// Tries, and prints a line for each reader.
///
/// # Errors
/// When cargo cannot be started, or a reader left no figures.
pub(crate) fn run(root: &Path, request: Request) -> Result<ExitCode> {
    let out = root.join("target/fuzz");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot clear {}", out.display()))?;
    }
    for test in TESTS {
        let mut command = cargo::command(root);
        command.arg("test").args(test).args(["--", "fuzz_"]);
        command.env("HARNESS_FUZZ_INPUTS", request.inputs.to_string());
        command.env("HARNESS_FUZZ_SEED", request.seed.to_string());
        command.env("HARNESS_FUZZ_OUT", &out);
        // Many readers read files: on a disk each input would wait for it, ten times as long as it is read.
        if env::var_os("TMPDIR").is_none() && Path::new(MEMORY).is_dir() {
            command.env("TMPDIR", MEMORY);
        }
        let code = cargo::finish(&mut command, "cargo test")?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    for line in figures(&out)? {
        eprintln!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// One line a reader.
fn figures(out: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(out).with_context(|| format!("no reader left figures in {}", out.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut lines =
        vec![format!("{:16} {:>12} {:>12} {:>8} {:>9}", "reader", "inputs", "accepted", "panics", "seconds")];
    for path in paths {
        let figures: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let text = |key: &str| figures[key].as_str().map_or_else(|| figures[key].to_string(), str::to_owned);
        let [reader, inputs, accepted, panics, seconds] =
            ["target", "inputs", "accepted", "panics", "seconds"].map(text);
        lines.push(format!("{reader:16} {inputs:>12} {accepted:>12} {panics:>8} {seconds:>9}"));
    }
    if lines.len() < TESTS.len() {
        bail!("only {} readers left figures in {}", lines.len() - 1, out.display());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let check = |line: &str| request(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(check(""), Ok(Request { inputs: 1_000_000, seed: 0 }));
        assert_eq!(check("--seed 3 --inputs 500"), Ok(Request { inputs: 500, seed: 3 }));
        assert_eq!(check("--inputs"), Err("--inputs needs a number".to_owned()));
        assert_eq!(check("--inputs many"), Err("--inputs is `many`, expected a whole number".to_owned()));
        assert_eq!(check("--input 5"), Err("fuzz has no option `--input`".to_owned()));
    }
}
