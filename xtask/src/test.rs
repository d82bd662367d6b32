//! `cargo xtask test`: all tests, going on after a program that fails, and every failure named at the end.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cargo;

/// Runs the tests of the workspace with these further arguments.
///
/// # Errors
/// When cargo cannot be started or what it prints cannot be passed on.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<ExitCode> {
    let (reader, writer) = std::io::pipe()?;
    // Both streams in one pipe: which program a test belongs to is only known from their order.
    let mut command = cargo::command(root);
    command.args(["test", "--workspace", "--no-fail-fast"]).args(args);
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot start `cargo test`")?;
    // The command holds ends of the pipe too; without this, reading would never come to an end.
    drop(command);
    let mut failures = Failures::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        failures.see(String::from_utf8_lossy(&line).trim());
        line.clear();
    }
    let code = cargo::exit_code(child.wait()?);
    for line in failures.summary() {
        eprintln!("{line}");
    }
    Ok(code)
}

/// What failed, as the lines of `cargo test` tell.
#[derive(Debug, Default)]
struct Failures {
    program: String,
    /// Program and test.
    tests: Vec<(String, String)>,
    /// Programs of which no single test failed: they did not end by themselves.
    programs: Vec<String>,
}

impl Failures {
    fn see(&mut self, line: &str) {
        if let Some(running) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            running.clone_into(&mut self.program);
        } else if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.tests.push((self.program.clone(), test.to_owned()));
        } else if line.starts_with("error: test failed") || line.starts_with("error: doctest failed") {
            let is_named = self.tests.last().is_some_and(|(program, _)| *program == self.program);
            if !is_named {
                self.programs.push(self.program.clone());
            }
        }
    }

    fn summary(&self) -> Vec<String> {
        let count = self.tests.len() + self.programs.len();
        if count == 0 {
            return Vec::new();
        }
        let mut lines = vec![format!("\n{count} failed:")];
        lines.extend(self.tests.iter().map(|(program, test)| format!("  {test}, in {program}")));
        lines.extend(self.programs.iter().map(|program| format!("  {program}, which did not end by itself")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_named_with_its_program() {
        let mut failures = Failures::default();
        let printed = "\
     Running unittests src/main.rs (target/debug/deps/harness-1)
test progress::tests::good ... ok
test result: ok. 1 passed; 0 failed; 0 ignored
     Running tests/faults/main.rs (target/debug/deps/faults-2)
test signals::out_of_time ... FAILED
test kills::at_random ... FAILED
test result: FAILED. 0 passed; 2 failed
error: test failed, to rerun pass `-p harness --test faults`
     Running tests/sweep.rs (target/debug/deps/sweep-3)
error: test failed, to rerun pass `-p harness --test sweep`
   Doc-tests harness_kernels
test harness/kernels/src/product.rs - product (line 3) ... FAILED
error: doctest failed, to rerun pass `-p harness-kernels --doc`
error: 3 targets failed:";
        printed.lines().for_each(|line| failures.see(line.trim()));
        assert_eq!(
            failures.summary(),
            [
                "\n4 failed:",
                "  signals::out_of_time, in tests/faults/main.rs (target/debug/deps/faults-2)",
                "  kills::at_random, in tests/faults/main.rs (target/debug/deps/faults-2)",
                "  harness/kernels/src/product.rs - product (line 3), in harness_kernels",
                "  tests/sweep.rs (target/debug/deps/sweep-3), which did not end by itself",
            ]
        );
        assert!(Failures::default().summary().is_empty());
    }
}
