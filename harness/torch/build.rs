//! Compiles the C++ shim against the libtorch that torch-sys found, and tells dependents where that lies.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    for file in ["csrc/autograd.cpp", "csrc/int8.cpp", "csrc/runtime.cpp", "csrc/tensor_ops.cpp", "csrc/shim.h"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!("cargo::error=torch-sys did not say where libtorch is; run `cargo xtask setup`");
        return;
    };
    let root = lib.parent().unwrap_or(Path::new(""));
    let include = root.join("include");
    // A missing file would mean "always"; a libtorch that is not ours may have none.
    let version = root.join("build-version");
    if version.exists() {
        println!("cargo::rerun-if-changed={}", version.display());
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .warnings(false)
        // The same numbers on every machine and on every path: no contraction into fused multiply-add. The other
        // two let the compiler use the vector rounding instructions.
        .flag("-ffp-contract=off")
        .flag("-fno-math-errno")
        .flag("-fno-trapping-math")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .files(["csrc/autograd.cpp", "csrc/int8.cpp", "csrc/runtime.cpp", "csrc/tensor_ops.cpp"])
        .compile("harness_torch");
    println!("cargo::metadata=libtorch_lib={}", lib.display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
