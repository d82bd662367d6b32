//! How many instructions a small product takes: a figure without noise, which a busy machine does not change.
//!
//! Every route runs the same convolution three times and eight times; a fifth of the difference is one run, without
//! the program's start and the packing of weights. The counts belong to a compiler, so the file names it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::{cargo, workspace};

/// Where the counts are kept.
const FILE: &str = "harness/kernels/instructions.txt";
/// What is counted. Valgrind knows no AVX-512.
const CASES: [(&str, &str); 8] = [
    ("popcount-portable", "w2a2"),
    ("table-portable", "w2a2"),
    ("int8-portable", "w8a8"),
    ("popcount-avx2", "w2a2"),
    ("table-avx2", "w2a2"),
    ("int8-avx2", "w2a4"),
    ("int8-avx2", "w4a8"),
    ("int8-avx2", "w8a8"),
];
/// Times that the product runs in the two programs whose difference counts.
const TIMES: [u64; 2] = [3, 8];
/// Difference, in percent, that passes.
const TOLERANCE: f64 = 2.0;

/// Counts, and compares with the file or, if `bless`, writes it.
///
/// # Errors
/// When the example does not build or run, or the file cannot be read or written.
pub(crate) fn run(root: &Path, bless: bool) -> Result<ExitCode> {
    if !runs(Command::new("valgrind").arg("--version")) {
        eprintln!("NOTHING WAS COUNTED: valgrind is not installed");
        return Ok(ExitCode::SUCCESS);
    }
    let compiler = compiler()?;
    let example = build(root)?;
    let mut counts = Vec::new();
    for (route, pair) in CASES {
        let [few, many] = [count(&example, route, pair, TIMES[0])?, count(&example, route, pair, TIMES[1])?];
        counts.push((format!("{route} {pair}"), many.saturating_sub(few) / (TIMES[1] - TIMES[0])));
    }
    let path = root.join(FILE);
    if bless {
        fs::write(&path, print(&compiler, &counts)).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", workspace::shown(root, &path));
        return Ok(ExitCode::SUCCESS);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (expected_compiler, expected) = parse(&text).with_context(|| format!("{FILE} has another form"))?;
    let worse = compare(&expected, &counts);
    if expected_compiler != compiler {
        eprintln!("NOTHING WAS COMPARED: counts are of {expected_compiler}, this is {compiler}");
        return Ok(ExitCode::SUCCESS);
    }
    if worse > 0 {
        eprintln!(
            "{worse} of {} counts differ by more than {TOLERANCE} %; if they should, run with --bless",
            counts.len()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints both counts of every case and returns how many differ too much.
fn compare(expected: &BTreeMap<String, u64>, counts: &[(String, u64)]) -> usize {
    let mut differing = 0;
    for (case, count) in counts {
        let before = expected.get(case).copied();
        let percent = before.map_or(f64::INFINITY, |before| 100.0 * (*count as f64 / before as f64 - 1.0));
        let differs = percent.abs() > TOLERANCE || percent.is_nan();
        differing += usize::from(differs);
        let mark = if differs { "  <-" } else { "" };
        let before = before.map_or_else(|| "nothing".to_owned(), |before| before.to_string());
        eprintln!("{case:24} {count:>10} instructions, expected {before:>10} ({percent:+.2} %){mark}");
    }
    differing
}

fn print(compiler: &str, counts: &[(String, u64)]) -> String {
    let mut text = format!(
        "# Instructions of one product, packing included. Written by `cargo xtask instructions --bless`.\n{compiler}\n"
    );
    for (case, count) in counts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{case} {count}");
    }
    text
}

/// The compiler and the counts.
fn parse(text: &str) -> Option<(String, BTreeMap<String, u64>)> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next()?.to_owned();
    let case = |line: &str| {
        let (case, count) = line.rsplit_once(' ')?;
        Some((case.to_owned(), count.parse().ok()?))
    };
    Some((compiler, lines.map(case).collect::<Option<_>>()?))
}

/// Name, version and host of the compiler that cargo uses.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().next().unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(format!("{version}, {host}"))
}

/// Builds the example and returns its path.
fn build(root: &Path) -> Result<PathBuf> {
    let build = ["build", "--package", "harness-kernels", "--example", "instructions", "--message-format", "json"];
    let output = cargo::command(root).args(build).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the example does not build");
    cargo::executables(&output.stdout).pop().context("cargo does not say where the example is")
}

/// Instructions of the whole program.
fn count(example: &Path, route: &str, pair: &str, times: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(example);
    let output = valgrind.args([route, pair, &times.to_string()]).output().context("cannot start valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{route} {pair} fails under valgrind:\n{text}");
    }
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.with_context(|| format!("valgrind does not say how many instructions it saw:\n{text}"))
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_round_trips_and_two_percent_pass() {
        let counts = vec![("table-avx2 w2a2".to_owned(), 1000), ("int8-avx2 w8a8".to_owned(), 2000)];
        let (compiler, expected) = parse(&print("rustc 1.2.3, here", &counts)).unwrap();
        assert_eq!(compiler, "rustc 1.2.3, here");
        assert_eq!(expected.len(), 2);
        assert_eq!(compare(&expected, &counts), 0);
        let moved = |count| compare(&expected, &[("table-avx2 w2a2".to_owned(), count)]);
        assert_eq!([moved(981), moved(1019), moved(979), moved(1021)], [0, 0, 1, 1]);
        assert_eq!(compare(&expected, &[("new w1a1".to_owned(), 1)]), 1);
        assert!(parse("").is_none());
        assert!(parse("rustc\ncase many").is_none());
    }
}
