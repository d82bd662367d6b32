//! Checks of the kernels' unsafe code that only a nightly toolchain offers: Miri and AddressSanitizer.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::cargo;

/// What Miri has to be told that the processor has before it interprets the vector loops.
const VECTORS: &str =
    "-Ctarget-feature=+avx2,+avx512f,+avx512bw,+avx512vl,+avx512vbmi,+avx512vpopcntdq,+avx512vnni,+popcnt";

/// Modules without `unsafe`, on which Miri would only spend time.
const SAFE: [&str; 6] = ["thresholds", "levels::", "rounding", "layout", "route::", "inner_loop"];

/// Interprets the kernels' unit tests: the portable loops with all of Miri's checks, or the vector loops.
///
/// # Errors
/// When Miri is not installed.
pub(crate) fn miri(root: &Path, vectors: bool) -> Result<ExitCode> {
    let mut test = nightly(root, &["miri", "--version"], "rustup toolchain install nightly --component miri,rust-src")?;
    test.args(["miri", "test", "--package", "harness-kernels", "--lib", "--"]);
    // The interpreter hides the environment otherwise, and with it the number of cases.
    let mut flags = "-Zmiri-disable-isolation".to_owned();
    if vectors {
        // These two checks look at every lane of every vector; what is wanted here are the results.
        flags += " -Zmiri-disable-stacked-borrows -Zmiri-disable-validation";
        test.env("RUSTFLAGS", VECTORS).args(["_avx2", "_avx512", "pack::"]);
    }
    test.args(SAFE.iter().flat_map(|module| ["--skip", module]));
    cargo::finish(test.env("MIRIFLAGS", flags).env("PROPTEST_CASES", "4"), "cargo miri test")
}

/// Runs all of the kernels' tests with every access to memory checked.
///
/// # Errors
/// When there is no nightly toolchain.
pub(crate) fn asan(root: &Path) -> Result<ExitCode> {
    let mut test = nightly(root, &["--version"], "rustup toolchain install nightly")?;
    // A target of its own keeps the sanitizer out of build scripts.
    test.args(["test", "--package", "harness-kernels", "--tests", "--target", "x86_64-unknown-linux-gnu"]);
    cargo::finish(test.env("RUSTFLAGS", "-Zsanitizer=address"), "cargo test")
}

/// The nightly toolchain's cargo, once `probe` has shown that it can do what is wanted of it.
fn nightly(root: &Path, probe: &[&str], install: &str) -> Result<Command> {
    let cargo = || {
        let mut rustup = Command::new("rustup");
        rustup.args(["run", "nightly", "cargo"]).current_dir(root);
        // Set by the cargo that runs this task, for the toolchain that it belongs to.
        for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            rustup.env_remove(variable);
        }
        rustup
    };
    let found = cargo().args(probe).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        bail!(
            "NOTHING WAS CHECKED: the nightly toolchain cannot run `cargo {}`; install it with `{install}`",
            probe[0]
        );
    }
    Ok(cargo())
}
