//! The build script of every package that links libtorch and has a binary or tests; such a package says
//! `build = "<path to>/harness/torch/rpath.rs"` and depends on `harness-torch` directly.
//!
//! It writes libtorch's folder into the binaries as their run path, so that `target/debug/harness` and a test binary
//! start without `LD_LIBRARY_PATH`. Cargo hands link arguments to the package that asks for them and to no other,
//! which is why one script in `harness-torch` is not enough. Doctests get no link arguments at all: packages with
//! this script say `doctest = false`.
#![allow(clippy::print_stdout, reason = "a build script speaks to cargo on stdout")]

use std::env;

/// Where `harness-torch` says libtorch is; then where torch-sys says so, for a package that uses only that.
const SOURCES: [&str; 2] = ["DEP_HARNESS_TORCH_LIBTORCH_LIB", "DEP_TCH_LIBTORCH_LIB"];

fn main() {
    // Without a line of this kind cargo would run the script again after every edit of the package.
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    match SOURCES.iter().find_map(|name| env::var(name).ok()) {
        Some(folder) => println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}"),
        None => println!(
            "cargo::error=this package is built with harness/torch/rpath.rs but has no direct dependency on \
             harness-torch, which says where libtorch is"
        ),
    }
}
